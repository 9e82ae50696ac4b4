//! The v2 proxy as a process: members that come and go behind it, many watches, large values, and
//! Debian's etcd where it is installed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use quorra::client::{self, Answer, Request};
use quorra::urls::Url;

use crate::cluster::{Cluster, Directory, Member, PATIENCE, REQUEST_TIMEOUT, free_urls, wait_for};

/// A started proxy with this `--initial-cluster`, which looks for members every 200 ms.
fn start(directory: &Directory, list: &str) -> Member {
    let urls = free_urls(2);
    let flags = ["--proxy", "on", "--initial-cluster", list, "--proxy-refresh-interval", "200"];
    let mut proxy = Member::new(directory.path(), "proxy", &urls[0], &urls[1]).with(&flags);
    proxy.start();
    proxy
}

fn put(url: &Url, key: &str, value: &str) -> Option<Answer> {
    let (path, body) = (format!("/v2/keys/{key}"), format!("value={value}"));
    let content_type = "application/x-www-form-urlencoded";
    let request = Request { method: "PUT", path: &path, content_type, body: body.as_bytes() };
    client::exchange(url, &request, REQUEST_TIMEOUT).ok()
}

fn is_written(url: &Url, key: &str, value: &str) -> Option<()> {
    put(url, key, value).filter(|answer| matches!(answer.status, 200 | 201)).map(drop)
}

fn endpoints(proxy: &Member) -> Option<usize> {
    Some(proxy.json("/v2/config/local/proxy")?["endpoints"].as_array()?.len())
}

#[test]
fn a_proxy_follows_its_members_and_knows_them_after_a_restart() {
    let mut cluster = Cluster::start("proxy-members", 3);
    let directory = Directory::new("proxy-follows");
    let list = format!("infra0={}", cluster.members[0].peer);
    let mut proxy = start(&directory, &list);
    wait_for("the proxy to find all members", || (endpoints(&proxy)? == 3).then_some(()));
    wait_for("a write", || is_written(&proxy.client, "a", "1"));
    // The one member that its flags name goes; the others are in its list.
    cluster.members[0].kill();
    for round in 0..20 {
        wait_for("a write without that member", || {
            is_written(&proxy.client, "a", &round.to_string())
        });
    }
    proxy.kill();
    let kept = fs::read_to_string(proxy.data_dir.join("proxy/cluster")).expect("it is kept");
    for member in &cluster.members {
        assert!(kept.contains(&member.peer.to_string()), "{kept}");
    }
    proxy.start();
    wait_for("a write after the restart", || is_written(&proxy.client, "a", "2"));
    // A member that is removed is no endpoint any more.
    let gone = wait_for("the members", || {
        let members = cluster.members[1].json("/v2/members")?;
        let mut members = members["members"].as_array()?.iter();
        let gone = members.find(|member| member["name"] == "infra0")?;
        gone["id"].as_str().map(str::to_owned)
    });
    let path = format!("/v2/members/{gone}");
    let request = Request { method: "DELETE", path: &path, content_type: "", body: b"" };
    wait_for("its removal, asked for through the proxy", || {
        let answer = client::exchange(&proxy.client, &request, REQUEST_TIMEOUT).ok()?;
        matches!(answer.status, 204 | 410).then_some(())
    });
    wait_for("the proxy to forget it", || (endpoints(&proxy)? == 2).then_some(()));
    assert!(proxy.terminate().success());
}

/// A watch whose events are read as they come.
struct Watch(TcpStream, Vec<u8>);

impl Watch {
    fn begin(url: &Url, path: &str) -> Self {
        let mut stream = TcpStream::connect(&url.address).expect("the proxy listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the proxy reads");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be told");
        Self(stream, Vec::new())
    }

    /// Reads until this has come.
    fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&self.1).contains(text) {
            let count = self.0.read(&mut buffer).expect("an event comes in time");
            assert!(count > 0, "the watch ends before {text:?}");
            self.1.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Has watches and large values pass a proxy in front of whoever is at that peer URL.
fn pass_everything(directory: &Directory, peer: &Url, member: &Url) {
    let proxy = start(directory, &format!("one={peer}"));
    wait_for("a write", || is_written(&proxy.client, "w/0", "first"));
    let base = wait_for("the index", || {
        let answer = client::get(&proxy.client, "/v2/keys/w/0", REQUEST_TIMEOUT).ok()?;
        answer.header("x-etcd-index")?.parse::<u64>().ok()
    });
    let from = format!("waitIndex={}", base + 1);
    let mut watches: Vec<Watch> = (0..300)
        .map(|number| {
            let stream = if number % 2 == 0 { "&stream=true" } else { "" };
            let path = format!("/v2/keys/w?wait=true&recursive=true&{from}{stream}");
            Watch::begin(&proxy.client, &path)
        })
        .collect();
    // A stream that begins in the history gets one event of it and no more (etcd).
    wait_for("the member to know all watches", || {
        let answer = client::get(member, "/v2/stats/store", REQUEST_TIMEOUT).ok()?;
        answer.text().contains("\"watchers\":300").then_some(())
    });
    for value in ["second", "third"] {
        is_written(member, "w/0", value).expect("the member takes a write");
        let streams = watches.iter_mut().step_by(if value == "second" { 1 } else { 2 });
        streams.for_each(|watch| watch.wait_for(&format!("\"value\":\"{value}\"")));
    }
    drop(watches);
    let large = "x".repeat(1_000_000);
    is_written(&proxy.client, "large", &large).expect("a large value is taken");
    let answer = client::get(&proxy.client, "/v2/keys/large", REQUEST_TIMEOUT).expect("it comes");
    assert!(answer.text().contains(&large));
    let metrics = client::get(&proxy.client, "/metrics", REQUEST_TIMEOUT).expect("they come");
    let counted = "etcd_proxy_handled_total{code=\"200\",method=\"GET\"} 302";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[test]
fn watches_and_large_values_pass() {
    let directory = Directory::new("proxy-passes");
    let urls = free_urls(2);
    let mut member = Member::new(directory.path(), "one", &urls[0], &urls[1]);
    member.start();
    member.wait_until_healthy();
    pass_everything(&directory, &member.peer, &member.client);
}

/// Debian's etcd, until it is dropped.
struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        self.0.wait().expect("a child can be waited for");
    }
}

#[test]
fn etcd_itself_may_stand_behind_a_proxy() {
    let directory = Directory::new("proxy-etcd");
    let urls = free_urls(2);
    let (client, peer) = (urls[0].to_string(), urls[1].to_string());
    let started = Command::new("etcd")
        .args(["--enable-v2", "--name", "one", "--initial-cluster", &format!("one={peer}")])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .arg("--data-dir")
        .arg(directory.path().join("etcd"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(child) => {
            let _etcd = Etcd(child);
            pass_everything(&directory, &urls[1], &urls[0]);
        }
        Err(error) => eprintln!("etcd: {error}: it is not installed here"),
    }
}

#[test]
fn a_data_directory_stays_what_it_was() {
    let directory = Directory::new("proxy-stays");
    let urls = free_urls(2);
    let mut member = Member::new(directory.path(), "one", &urls[0], &urls[1]);
    member.start();
    member.wait_until_healthy();
    assert!(member.terminate().success());
    let mut member = member.with(&["--proxy", "on"]);
    member.start();
    member.wait_until_healthy();
    let peer = member.peer.clone();
    let mut proxy = start(&directory, &format!("one={peer}"));
    wait_for("the proxy to find the member", || (endpoints(&proxy)? == 1).then_some(()));
    assert!(proxy.terminate().success());
    let mut proxy = proxy.with(&["--proxy", "off"]);
    proxy.start();
    wait_for("a proxy in spite of the flag", || (endpoints(&proxy)? == 1).then_some(()));
    proxy.kill();
    member.kill();
    fs::create_dir(member.data_dir.join("proxy")).expect("it can be made");
    member.start();
    assert_eq!(member.wait_for_end().code(), Some(1));
    let told = "both member and proxy directories exist";
    assert!(member.log().contains(told), "{}", member.log());
}
