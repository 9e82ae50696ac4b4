//! quorractl says what etcdctl says, word for word.
//!
//! A transcript is a list of commands with what etcdctl 3.4.23 printed against a fresh member, in
//! that order: `$` the API and the command, before it `<` its input, behind it `>` stdout, `!`
//! stderr and `=` the exit code; protobuf stands there field by field. quorractl must print the
//! same. Where etcdctl is installed, it is asked again, so that the transcripts stay true;
//! `QUORRA_RECORD=1` writes its words into them.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quorra::client;

use crate::binaries;
use crate::cluster::{Cluster, Member, REQUEST_TIMEOUT, wait_for};
use crate::etcdctl::is_installed;
use crate::protobuf;

/// A command of a transcript.
struct Step {
    api: String,
    command: String,
    input: String,
}

/// What two members differ in, and what stands for it in a transcript.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(member: &Member) -> Self {
        let answer = client::get(&member.client, "/v2/members", REQUEST_TIMEOUT);
        let answer = answer.expect("a healthy member lists its members");
        let cluster = answer.header("x-etcd-cluster-id").expect("every such answer has it");
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let id = list["members"][0]["id"].as_str().expect("a member has an id");
        let decimal = |hex| u64::from_str_radix(hex, 16).expect("ids are hexadecimal").to_string();
        Self(vec![
            (id.to_string(), "MEMBER"),
            (decimal(id), "MEMBER-DECIMAL"),
            (cluster.to_string(), "CLUSTER"),
            (decimal(cluster), "CLUSTER-DECIMAL"),
            (member.client.address.clone(), "CLIENT"),
            (member.peer.address.clone(), "PEER"),
        ])
    }

    /// The text as a transcript has it: without what no two runs share.
    fn replace(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (own, name) in &self.0 {
            text = text.replace(own, name);
        }
        let lines = text.split_inclusive('\n').filter(|line| {
            // etcdctl's own log, and what stty says without a terminal.
            !line.starts_with("{\"level\":\"warn\"") && !line.starts_with("stty: ")
        });
        lines
            .map(|line| without(without(line.into(), "took = ", "\n"), "\"expiration\":\"", "\""))
            .collect()
    }
}

/// Replaces what stands between two marks.
fn without(line: String, begin: &str, end: &str) -> String {
    let Some(start) = line.find(begin).map(|at| at + begin.len()) else { return line };
    let Some(length) = line[start..].find(end) else { return line };
    format!("{}TIME{}", &line[..start], &line[start + length..])
}

fn path(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/transcripts");
    tests.join(name).with_extension("txt")
}

fn steps(transcript: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut input = String::new();
    for line in transcript.lines() {
        if let Some(rest) = line.strip_prefix('<') {
            input += rest.strip_prefix(' ').unwrap_or(rest);
            input.push('\n');
        } else if let Some(command) = line.strip_prefix("$ ") {
            let (api, command) = command.split_once(' ').expect("an API and a command");
            let (api, command) = (api.to_string(), command.to_string());
            steps.push(Step { api, command, input: std::mem::take(&mut input) });
        }
    }
    steps
}

/// Words between spaces; single quotes hold them together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in command.split('\'').enumerate() {
        if at % 2 == 1 {
            words.last_mut().expect("never empty").push_str(part);
            continue;
        }
        for (at, word) in part.split(' ').enumerate() {
            if at > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("never empty").push_str(word);
        }
    }
    // Nothing between quotes is a word as well; nothing between spaces is none.
    let quoted = command.contains("''");
    words.into_iter().filter(|word| quoted || !word.is_empty()).collect()
}

/// Gives a command to a tool, and adds to a transcript what it says.
fn perform(tool: &str, step: &Step, member: &Member, names: &Names, transcript: &mut String) {
    let endpoint = match step.api.as_str() {
        "2" => member.client.to_string(),
        _ => member.client.address.clone(),
    };
    let mut child = Command::new(tool)
        .env("ETCDCTL_API", &step.api)
        .args(["--endpoints", &endpoint])
        .args(words(&step.command))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    // Most commands end without reading it.
    let _unread = stdin.write_all(step.input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let stdout = match step.command.contains("-w protobuf") {
        true => protobuf::text(&output.stdout).map(String::into_bytes),
        false => None,
    };
    let mut lines = |mark, bytes: &[u8]| {
        let text = names.replace(&String::from_utf8_lossy(bytes));
        for line in text.split_inclusive('\n') {
            let line = line.strip_suffix('\n').map_or_else(|| format!("{line}\\"), str::to_string);
            transcript.push_str(format!("{mark} {line}").trim_end());
            transcript.push('\n');
        }
    };
    lines('<', step.input.as_bytes());
    lines('$', format!("{} {}\n", step.api, step.command).as_bytes());
    lines('>', stdout.as_ref().unwrap_or(&output.stdout));
    lines('!', &output.stderr);
    let code = output.status.code().expect("the tool ends by itself");
    writeln!(transcript, "= {code}\n").expect("a string takes all text");
}

/// What a tool says to all commands of a transcript, asked of a fresh member.
fn played(tool: &str, name: &str, recorded: &str) -> String {
    let cluster = Cluster::start(&format!("{name}-{}", tool.rsplit('/').next().unwrap_or(tool)), 1);
    let member = &cluster.members[0];
    // What a member writes at its start has an index in the v2 store: all of it comes first.
    wait_for("the cluster's version", || {
        member.json("/version").filter(|it| it["etcdcluster"] != "not_decided")
    });
    wait_for("the member's name", || {
        member.json("/v2/members").filter(|list| list["members"][0]["name"] == "infra0")
    });
    let names = Names::of(member);
    let mut transcript = String::new();
    for step in steps(recorded) {
        perform(tool, &step, member, &names, &mut transcript);
    }
    transcript
}

/// Compares command by command: the first difference says which.
fn assert_same(tool: &str, recorded: &str, played: &str) {
    let parts = recorded.split("\n\n").zip(played.split("\n\n"));
    for (recorded, played) in parts {
        assert_eq!(played.trim(), recorded.trim(), "what {tool} says is on the left");
    }
    assert_eq!(played.trim(), recorded.trim(), "{tool}");
}

fn check(name: &str) {
    let path = path(name);
    let recorded = std::fs::read_to_string(&path).expect("the transcript is part of the tests");
    if is_installed() {
        let etcdctl = played("etcdctl", name, &recorded);
        if std::env::var_os("QUORRA_RECORD").is_some() {
            std::fs::write(&path, &etcdctl).expect("the sources can be written");
            return;
        }
        assert_same("etcdctl", &recorded, &etcdctl);
    }
    assert_same("quorractl", &recorded, &played(&binaries::quorractl(), name, &recorded));
}

#[test]
fn quorractl_says_of_keys_in_v2_what_etcdctl_says() {
    check("v2_keys");
}

#[test]
fn quorractl_says_of_members_in_v2_what_etcdctl_says() {
    check("v2_members");
}

#[test]
fn quorractl_says_of_users_and_roles_in_v2_what_etcdctl_says() {
    check("v2_auth");
}

#[test]
fn quorractl_says_of_keys_in_v3_what_etcdctl_says() {
    check("v3_keys");
}

#[test]
fn quorractl_says_of_the_cluster_in_v3_what_etcdctl_says() {
    check("v3_cluster");
}

/// quorractl with a member as its endpoint.
fn quorractl(endpoints: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::quorractl());
    command.env_remove("ETCDCTL_API").args(["--endpoints", endpoints]).args(arguments);
    command
}

/// What quorractl prints, and its exit code.
fn said(endpoints: &str, arguments: &[&str]) -> (String, String, i32) {
    let output = quorractl(endpoints, arguments).output().expect("quorractl starts");
    let text = |bytes| String::from_utf8(bytes).expect("quorractl prints text");
    let code = output.status.code().expect("quorractl ends by itself");
    (text(output.stdout), text(output.stderr), code)
}

/// Lets quorractl watch until it has printed that much, then presses Ctrl-C.
fn watched(member: &Member, arguments: &[&str], changes: &[&[&str]], expected: &str) {
    let watchers = || member.json("/v2/stats/store").and_then(|stats| stats["watchers"].as_u64());
    let endpoint = member.client.to_string();
    let mut child =
        quorractl(&endpoint, arguments).stdout(Stdio::piped()).spawn().expect("quorractl starts");
    let mut stdout = child.stdout.take().expect("it was piped");
    let mut printed = String::new();
    for change in changes {
        wait_for("a watcher", || watchers().filter(|count| *count > 0));
        let (_, error, code) = said(&endpoint, change);
        assert_eq!((error.as_str(), code), ("", 0), "{change:?}");
        let length = expected.len().min(printed.len() + expected.len() / changes.len());
        while printed.len() < length {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("quorractl goes on");
            printed.push(char::from(byte[0]));
        }
    }
    assert_eq!(printed, expected, "{arguments:?}");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIGINT cannot be sent");
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(0), "Ctrl-C ends a watch without an error");
}

#[test]
fn watches_tell_of_changes_until_they_are_interrupted() {
    let cluster = Cluster::start("quorractl-watch", 1);
    let member = &cluster.members[0];
    let changes: [&[&str]; 2] = [&["set", "/dir/key", "one"], &["set", "/dir/key", "two"]];
    watched(member, &["--api", "2", "watch", "-f", "/dir/key"], &changes, "one\ntwo\n");
    watched(
        member,
        &["--api=2", "watch", "--forever", "--recursive", "/dir"],
        &changes,
        "[set] /dir/key\none\n[set] /dir/key\ntwo\n",
    );
    let script = "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE";
    watched(
        member,
        &["exec-watch", "--recursive", "/dir", "--", "sh", "-c", script],
        &changes,
        "set /dir/key one\nset /dir/key two\n",
    );
}

#[test]
fn what_is_down_is_passed_over_and_reported() {
    let mut cluster = Cluster::start("quorractl-down", 3);
    let endpoints = cluster.endpoints();
    assert_eq!(said(&endpoints, &["put", "key", "value"]).0, "OK\n");
    cluster.members[0].kill();
    cluster.wait_for_leader();
    let down = cluster.members[0].client.clone();

    assert_eq!(said(&endpoints, &["set", "/key", "value"]), ("value\n".into(), String::new(), 0));
    assert_eq!(said(&endpoints, &["get", "key"]), ("key\nvalue\n".into(), String::new(), 0));
    assert_eq!(said(&endpoints, &["del", "key"]), ("1\n".into(), String::new(), 0));

    let (health, _, code) = said(&endpoints, &["cluster-health"]);
    assert!(health.ends_with("cluster is degraded\n"), "{health}");
    let refused = format!(
        "on {down}: Get \"{down}/health\": dial tcp {}: connect: connection refused\n",
        down.address
    );
    assert!(health.contains(&refused), "{health}");
    assert_eq!((health.matches("got healthy result from").count(), code), (2, 5), "{health}");

    let (_, health, code) = said(&endpoints, &["endpoint", "health"]);
    assert_eq!((health.matches(" is healthy: ").count(), code), (2, 1), "{health}");
    assert!(health.contains(&format!("{down} is unhealthy: ")), "{health}");
    assert!(health.ends_with("Error: unhealthy cluster\n"), "{health}");

    let (status, error, code) = said(&endpoints, &["endpoint", "status"]);
    assert_eq!((status.lines().count(), code), (2, 1), "{status}");
    assert!(
        error.starts_with(&format!("Failed to get the status of endpoint {down} (")),
        "{error}"
    );

    let (_, error, code) = said(&down.to_string(), &["ls"]);
    assert!(error.starts_with("Error:  client: etcd cluster is unavailable or misconfigured; "));
    assert_eq!(code, 2, "no connection");
    let (_, error, code) = said(&down.to_string(), &["get", "key"]);
    assert!(error.starts_with("Error: no endpoint answers: "), "{error}");
    assert_eq!(code, 1);
}
