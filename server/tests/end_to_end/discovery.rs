//! Clusters that form by discovery: by a URL, served by Quorra and by etcd, and by DNS.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quorra::client;
use quorra::urls::Url;

use crate::api::Api;
use crate::cluster::{Directory, Member, REQUEST_TIMEOUT, free_urls, wait_for};

/// A new token of a service, as `curl URL/new?size=N` shows it.
fn token(service: &Url, size: usize) -> String {
    let path = format!("/new?size={size}");
    let answer = client::get(service, &path, REQUEST_TIMEOUT).expect("the service answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let url = answer.text();
    assert!(url.starts_with(&format!("{service}/")), "{url}");
    url
}

/// A discovery service, healthy.
fn service(directory: &Directory) -> Member {
    let urls = free_urls(2);
    let cluster = format!("service={}", urls[1]);
    let mut service = Member::new(directory.path(), "service", &urls[0], &urls[1]).with(&[
        "--initial-cluster",
        &cluster,
        "--enable-discovery-service",
    ]);
    service.start();
    service.wait_until_healthy();
    service
}

/// Members that know nothing but a discovery URL.
fn members(directory: &Path, count: usize, token: &str) -> Vec<Member> {
    let urls = free_urls(2 * count);
    let member = |(at, urls): (usize, &[Url])| {
        let name = format!("infra{at}");
        Member::new(directory, &name, &urls[0], &urls[1]).with(&["--discovery", token])
    };
    urls.chunks(2).enumerate().map(member).collect()
}

/// Waits for all of them to be one healthy cluster that takes a write.
fn check_cluster(members: &[Member]) {
    members.iter().for_each(Member::wait_until_healthy);
    Api::V2.put(&members[0], "formed", "x").expect("a healthy cluster writes");
    for member in members {
        let list = wait_for("all members to be published", || {
            let list = member.json("/v2/members")?;
            let list = list["members"].as_array()?.clone();
            let published = list.iter().all(|member| member["name"] != "");
            published.then_some(list)
        });
        let mut found: Vec<_> = list.iter().map(|member| member["name"].to_string()).collect();
        found.sort();
        let expected: Vec<_> = members.iter().map(|member| format!("{:?}", member.name)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn three_members_form_by_a_url_of_ours_and_a_fourth_becomes_a_proxy_that_can_restart() {
    let directory = Directory::new("discovery");
    let service = service(&directory);
    let token = token(&service.client, 3);
    let mut all = members(directory.path(), 4, &token);
    let mut fourth = all.pop().expect("there are four");
    for member in &mut all {
        member.start();
    }
    check_cluster(&all);
    let proxies = |proxy: &Member| {
        wait_for("requests to be passed on", || {
            let answer = client::get(&proxy.client, "/v2/keys/formed", REQUEST_TIMEOUT).ok()?;
            (answer.status == 200).then_some(())
        });
    };
    fourth.start();
    proxies(&fourth);
    assert!(fourth.log().contains("falling back to proxy"), "{}", fourth.log());
    assert!(!fourth.data_dir.join("wal").exists(), "a proxy has no log");
    assert_eq!(fourth.terminate().code(), Some(0));
    fourth.start();
    proxies(&fourth);
    let url = free_urls(2);
    let mut fifth = Member::new(directory.path(), "fifth", &url[0], &url[1]).with(&[
        "--discovery",
        &token,
        "--proxy",
        "on",
    ]);
    fifth.start();
    proxies(&fifth);
    assert!(!fifth.log().contains("falling back"), "it never asked to be a member");
    // A member with data asks the service no more.
    drop(service);
    all[1].kill();
    all[1].start();
    all[1].wait_until_healthy();
}

#[test]
fn who_comes_too_late_or_twice_is_told_so_and_leaves_no_data() {
    let directory = Directory::new("discovery-full");
    let service = service(&directory);
    let token = token(&service.client, 1);
    let mut all = members(directory.path(), 2, &token);
    let mut second = all.pop().expect("there are two").with(&["--discovery-fallback", "exit"]);
    let mut first = all.remove(0);
    let taken = TcpListener::bind(&first.client.address).expect("the port was free just now");
    first.start();
    assert_eq!(first.wait_for_end().code(), Some(1));
    drop(taken);
    // That start did not use up the registration.
    first.start();
    first.wait_until_healthy();
    second.start();
    assert_eq!(second.wait_for_end().code(), Some(1));
    let reason = "failed to join discovery cluster (discovery: cluster is full)";
    assert!(second.log().contains(reason), "{}", second.log());
    assert!(!second.data_dir.join("wal").exists() && !second.data_dir.join("proxy").exists());
    first.kill();
    fs::remove_dir_all(&first.data_dir).expect("it was killed");
    first.start();
    assert_eq!(first.wait_for_end().code(), Some(1));
    let reason = "has previously registered with discovery service token";
    assert!(first.log().contains(reason), "{}", first.log());
    assert!(!first.data_dir.join("wal").exists(), "nothing was begun");
    let garbage = format!("{}/nowhere", service.client);
    let mut lost = members(directory.path(), 1, &garbage).remove(0);
    lost.start();
    assert_eq!(lost.wait_for_end().code(), Some(1));
    let reason = "failed to join discovery cluster (discovery: bad discovery endpoint)";
    assert!(lost.log().contains(reason), "{}", lost.log());
    let unknown = token.replace(|digit: char| digit.is_ascii_hexdigit(), "0");
    let unknown = format!("{}/{}", service.client, &unknown[unknown.len() - 32..]);
    let mut lost = members(directory.path(), 1, &unknown).remove(0);
    lost.start();
    assert_eq!(lost.wait_for_end().code(), Some(1));
    let reason = "failed to join discovery cluster (100: Key not found (/_etcd/registry/0";
    assert!(lost.log().contains(reason), "{}", lost.log());
}

#[test]
fn members_wait_for_a_service_that_starts_after_them() {
    let directory = Directory::new("discovery-late");
    let mut service = service(&directory);
    let token = token(&service.client, 1);
    assert_eq!(service.terminate().code(), Some(0));
    let mut members = members(directory.path(), 1, &token);
    members[0].start();
    wait_for("the first attempt", || members[0].log().contains("retrying in 2s").then_some(()));
    service.start();
    members[0].wait_until_healthy();
}

/// An etcd, which goes with the test.
struct Etcd(Child);

impl Etcd {
    /// One that serves v2 at these URLs; none if it is not installed here.
    fn start(
        directory: &Directory,
        name: &str,
        client: &Url,
        peer: &Url,
        flags: &[&str],
    ) -> Option<Self> {
        let [client, peer] = [client, peer].map(Url::to_string);
        let log = fs::File::create(directory.path().join(format!("{name}.log")));
        let child = Command::new("etcd")
            .args(["--enable-v2", "--name", name, "--data-dir"])
            .arg(directory.path().join(name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the test's directory takes files"))
            .spawn();
        if child.is_err() {
            eprintln!("skipped: etcd is not installed");
        }
        child.ok().map(Self)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[test]
fn three_members_form_by_a_registry_in_etcd() {
    let directory = Directory::new("discovery-etcd");
    let urls = free_urls(2);
    let alone = format!("etcd={}", urls[1]);
    let flags = ["--initial-cluster", &alone];
    let Some(_etcd) = Etcd::start(&directory, "etcd", &urls[0], &urls[1], &flags) else { return };
    let size = client::Request {
        method: "PUT",
        path: "/v2/keys/discovery/t/_config/size?value=3",
        content_type: "",
        body: b"",
    };
    wait_for("etcd to take the size", || {
        let answer = client::exchange(&urls[0], &size, REQUEST_TIMEOUT).ok()?;
        matches!(answer.status, 200 | 201).then_some(())
    });
    let url = format!("{}/v2/keys/discovery/t", urls[0]);
    let mut members = members(directory.path(), 3, &url);
    members.iter_mut().for_each(Member::start);
    check_cluster(&members);
}

#[test]
fn three_etcds_form_by_a_url_of_ours() {
    let directory = Directory::new("discovery-of-etcd");
    let service = service(&directory);
    let token = token(&service.client, 3);
    let urls = free_urls(6);
    let mut etcds = Vec::new();
    for (at, urls) in urls.chunks(2).enumerate() {
        let (name, flags) = (format!("etcd{at}"), ["--discovery", &token]);
        let Some(etcd) = Etcd::start(&directory, &name, &urls[0], &urls[1], &flags) else { return };
        etcds.push(etcd);
    }
    wait_for("three members of etcd", || {
        let answer = client::get(&urls[0], "/v2/members", REQUEST_TIMEOUT).ok()?;
        (answer.text().matches("\"peerURLs\"").count() == 3).then_some(())
    });
}
