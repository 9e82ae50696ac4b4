//! The recorded answers of etcd's v2 API (`conformance/v2`), each profile replayed over sockets
//! against the kind of server that it is about. `conformance/profiles` does the same from outside.

use std::fs;
use std::path::PathBuf;

use quorra::client::{self, Request};
use quorra::urls::Url;

use crate::cluster::{Cluster, Directory, Member, REQUEST_TIMEOUT, free_urls, wait_for};
use crate::json::Json;
use crate::scenario::Scenario;
use crate::wire::Wire;

/// Replays all scenarios of a profile; `count` of them.
fn replay(profile: &str, count: usize, main: &Url, direct: &Url) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance/v2");
    let entries = fs::read_dir(corpus).expect("the corpus is part of the repository");
    let mut scenarios: Vec<(i64, PathBuf, Scenario)> = entries
        .map(|entry| entry.expect("its files can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a scenario is text");
            let scenario = Scenario::parse(&text);
            let order = scenario.label("order").and_then(Json::integer).unwrap_or(50);
            (order, path, scenario)
        })
        .filter(|(.., scenario)| scenario.label("profile").and_then(Json::text) == Some(profile))
        .collect();
    scenarios.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
    assert_eq!(scenarios.len(), count, "{profile}: no scenario is left out");
    let mut failures = Vec::new();
    for (number, (_, path, scenario)) in scenarios.iter().enumerate() {
        let attempt = |attempt: usize| {
            let directory = format!("/conf{:08x}", number + attempt * 1_000);
            let outcome = scenario.replay(&mut Wire::new(main, direct), &directory);
            assert!(outcome.steps > 0, "{} has steps", path.display());
            outcome.wrong
        };
        // A leader looks for what has expired every 500 ms, which takes an index: a scenario that
        // was met by it between two of its steps is replayed once more.
        let wrong = Some(attempt(0)).filter(|wrong| wrong.is_empty());
        let wrong = wrong.unwrap_or_else(|| attempt(1));
        failures.extend(wrong.iter().map(|wrong| format!("{}: {wrong}", path.display())));
    }
    assert!(failures.is_empty(), "{profile}: {} differ:\n{}", failures.len(), failures.join("\n"));
}

/// A cluster of one with these flags, whose version is decided: that takes an index.
fn one(directory: &Directory, flags: &[&str]) -> Member {
    let urls = free_urls(2);
    let mut member = Member::new(directory.path(), "one", &urls[0], &urls[1]).with(flags);
    member.start();
    member.wait_until_healthy();
    wait_for("the cluster's version", || {
        let version = member.json("/version")?;
        let parts = |field: &str| {
            let text = version[field].as_str().unwrap_or_default();
            text.split('.').take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        (parts("etcdcluster") == parts("etcdserver")).then_some(())
    });
    member
}

/// A proxy in front of whoever is at that peer URL.
fn proxy(directory: &Directory, mode: &str, peer: &Url) -> Member {
    let urls = free_urls(2);
    let list = format!("one={peer}");
    let flags = ["--proxy", mode, "--initial-cluster", &list];
    let mut proxy = Member::new(directory.path(), "proxy", &urls[0], &urls[1]).with(&flags);
    proxy.start();
    proxy
}

/// Replays a profile of one member with these flags.
fn replay_one(profile: &str, count: usize, flags: &[&str]) {
    let directory = Directory::new(&format!("profile-{profile}"));
    let member = one(&directory, flags);
    replay(profile, count, &member.client, &member.client);
}

/// Replays a profile of a proxy in front of one member.
fn replay_behind(profile: &str, mode: &str) {
    let directory = Directory::new(&format!("profile-{profile}"));
    let member = one(&directory, &[]);
    let proxy = proxy(&directory, mode, &member.peer);
    wait_for("the proxy to find the member", || {
        let endpoints = proxy.json("/v2/config/local/proxy")?;
        (!endpoints["endpoints"].as_array()?.is_empty()).then_some(())
    });
    replay(profile, 1, &proxy.client, &member.client);
}

#[test]
fn one_member_answers_as_etcds_did() {
    replay_one("server", 63, &[]);
}

#[test]
fn a_member_without_v2_answers_as_etcds_did() {
    replay_one("no-v2", 1, &["--enable-v2=false"]);
}

#[test]
fn listed_origins_are_answered_as_etcds_did() {
    replay_one("cors", 1, &["--cors=http://a.example:8080,https://b.example:443"]);
}

#[test]
fn listed_hosts_are_answered_as_etcds_did() {
    replay_one("host-whitelist", 1, &["--host-whitelist=good.example,127.0.0.1"]);
}

#[test]
fn a_discovery_service_answers_as_the_public_one_did() {
    replay_one("discovery-service", 1, &["--enable-discovery-service"]);
}

#[test]
fn a_proxy_answers_as_etcds_did() {
    replay_behind("proxy-on", "on");
}

#[test]
fn a_proxy_that_only_reads_answers_as_etcds_did() {
    replay_behind("proxy-readonly", "readonly");
}

#[test]
fn a_proxy_of_nobody_answers_as_etcds_did() {
    let directory = Directory::new("profile-proxy-down");
    let proxy = proxy(&directory, "on", &free_urls(1)[0]);
    wait_for("the proxy", || proxy.json("/v2/config/local/proxy"));
    replay("proxy-down", 1, &proxy.client, &proxy.client);
}

#[test]
fn a_cluster_and_its_last_survivor_answer_as_etcds_did() {
    let mut cluster = Cluster::start("profile-cluster", 3);
    // A URL that is in use is told apart once the members have been connected for long enough.
    let body = format!(r#"{{"peerURLs":["{}"]}}"#, cluster.members[1].peer);
    let (method, path, content_type) = ("POST", "/v2/members", "application/json");
    let request = Request { method, path, content_type, body: body.as_bytes() };
    wait_for("all members to be connected", || {
        let answer = client::exchange(&cluster.members[0].client, &request, REQUEST_TIMEOUT);
        answer.is_ok_and(|answer| answer.status == 409).then_some(())
    });
    let survivor = cluster.members[0].client.clone();
    replay("cluster3", 2, &survivor, &survivor);
    cluster.members[1].kill();
    cluster.members[2].kill();
    wait_for("the loss of the quorum", || {
        let leader = cluster.members[0].json("/v2/members/leader")?;
        leader["id"].is_null().then_some(())
    });
    replay("noquorum", 1, &survivor, &survivor);
}
