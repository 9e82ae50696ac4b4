//! The clients that people have: curl, which asks for HTTP/2 when there is TLS, and etcdctl.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use super::*;
use crate::binaries;

/// A tool with the fortress's certificates, by the names that it has for them.
struct Tool<'a> {
    name: &'a str,
    flags: [&'static str; 3],
    fortress: &'a Fortress,
}

impl<'a> Tool<'a> {
    fn curl(fortress: &'a Fortress) -> Self {
        Self { name: "curl", flags: ["--cacert", "--cert", "--key"], fortress }
    }

    fn is_installed(&self) -> bool {
        let found = Command::new(self.name).arg("--help").output().is_ok();
        if !found {
            eprintln!("{} is not installed: its part is left out", self.name);
        }
        found
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let own = Pair::at(&self.fortress.directory, "client");
        let files = [&self.fortress.ca, &own.certificate, &own.key];
        let mut command = Command::new(self.name);
        for (flag, file) in self.flags.iter().zip(files) {
            command.arg(flag).arg(file);
        }
        command.args(arguments);
        command
    }

    /// What it prints; a failure shows both of its streams.
    fn run(&self, arguments: &[&str]) -> String {
        let output: Output = self.command(arguments).output().expect("it was found before");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{} {arguments:?}\n{out}\n{err}", self.name);
        out
    }
}

/// A child that goes with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn curl_speaks_http2_to_everything() {
    let fortress = Fortress::start("tls-curl");
    let curl = Tool::curl(&fortress);
    if !curl.is_installed() {
        return;
    }
    let base = fortress.cluster.members[0].client.to_string();
    let key = format!("{base}/v2/keys/a");
    let created = curl.run(&["-sSi", &key, "-XPUT", "-d", "value=1"]);
    assert!(created.starts_with("HTTP/2 201"), "{created}");
    assert!(created.contains("\nx-etcd-index: "), "{created}");
    let read = curl.run(&["-sSi", &key, "-H", "Origin: http://a.example"]);
    assert!(read.starts_with("HTTP/2 200"), "{read}");
    assert!(read.contains("access-control-allow-origin: *"), "{read}");
    assert!(curl.run(&["-sSI", &key]).starts_with("HTTP/2 200"));
    assert!(curl.run(&["-sSi", "-XOPTIONS", &key]).starts_with("HTTP/2 200"));
    let missing = curl.run(&["-sSi", &format!("{key}b?quorum=true")]);
    assert!(missing.starts_with("HTTP/2 404") && missing.contains(":100,"), "{missing}");
    let metrics = curl.run(&["-sSi", &format!("{base}/metrics")]);
    assert!(metrics.starts_with("HTTP/2 200"), "{metrics}");
    assert!(metrics.contains("etcd_server_has_leader 1"), "{metrics}");
    let range = curl.run(&["-sSi", &format!("{base}/v3/kv/range"), "-d", r#"{"key":"YQ=="}"#]);
    assert!(range.starts_with("HTTP/2 200"), "{range}");
    let old = curl.run(&["-sSi", "--http1.1", "--tls-max", "1.2", &key]);
    assert!(old.starts_with("HTTP/1.1 200"), "{old}");
}

#[test]
fn watchers_hear_their_headers_at_once_and_each_event_when_it_happens() {
    let fortress = Fortress::start("tls-watch");
    let curl = Tool::curl(&fortress);
    if !curl.is_installed() {
        return;
    }
    let url = fortress.cluster.members[0].client.clone();
    let (head, body) = (fortress.directory.join("head"), fortress.directory.join("body"));
    let watched = format!("{url}/v2/keys/w?wait=true&stream=true&recursive=true");
    let (head_path, body_path) = (head.display().to_string(), body.display().to_string());
    let watch = curl
        .command(&["-sSN", "-D", &head_path, "-o", &body_path, &watched])
        .stdout(Stdio::null())
        .spawn();
    let _watch = Running(watch.expect("curl was found before"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    wait_for("the watch's head", || {
        let head = text(&head);
        (head.starts_with("HTTP/2 200") && head.contains("x-etcd-index")).then_some(())
    });
    for (events, name) in [(1, "a"), (2, "b")] {
        assert_eq!(put(&fortress.tls, &url, &format!("w/{name}")).expect("it").status, 201);
        wait_for("an event", || {
            (text(&body).matches("\"action\":\"set\"").count() == events).then_some(())
        });
    }
}

#[test]
fn etcdctl_works_with_certificates_over_both_apis() {
    works_over_both_apis("etcdctl", &Fortress::start("tls-etcdctl"));
}

#[test]
fn quorractl_works_with_certificates_over_both_apis() {
    works_over_both_apis(&binaries::quorractl(), &Fortress::start("tls-quorractl"));
}

/// Lets etcdctl, or what takes its flags, use a cluster that asks for certificates.
fn works_over_both_apis(name: &str, fortress: &Fortress) {
    let v2 = Tool { name, flags: ["--ca-file", "--cert-file", "--key-file"], fortress };
    let v3 = Tool { flags: ["--cacert", "--cert", "--key"], ..v2 };
    if !v2.is_installed() {
        return;
    }
    let endpoints = format!("--endpoints={}", fortress.cluster.endpoints());
    let run = |tool: &Tool<'_>, api: &str, arguments: &[&str]| {
        let all = [&[endpoints.as_str()], arguments].concat();
        let output = tool.command(&all).env("ETCDCTL_API", api).output().expect("it was found");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{name} {arguments:?}\n{out}\n{err}");
        out
    };
    assert!(run(&v2, "2", &["cluster-health"]).contains("cluster is healthy"));
    assert_eq!(run(&v2, "2", &["set", "/message", "Hello"]), "Hello\n");
    assert_eq!(run(&v2, "2", &["get", "/message"]), "Hello\n");
    assert_eq!(run(&v3, "3", &["put", "name", "value"]), "OK\n");
    assert_eq!(run(&v3, "3", &["get", "name"]), "name\nvalue\n");
    assert_eq!(run(&v3, "3", &["member", "list"]).lines().count(), 3);
}
