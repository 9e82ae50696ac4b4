//! What a member is told otherwise than by its flags: by a file, and while it runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use quorra::client::{self, Request};
use serde_json::json;

use crate::api::Api;
use crate::cluster::{Cluster, Directory, Member, PATIENCE, REQUEST_TIMEOUT, free_urls};

#[test]
fn a_config_file_is_all_that_counts() {
    let directory = Directory::new("config-file");
    let urls = free_urls(4);
    let (client, peer) = (&urls[0], &urls[1]);
    let data_dir = directory.path().join("of-the-file");
    let path = directory.path().join("member.yml");
    let text = format!(
        "# As packages install it.\n\
         name: filed\n\
         data-dir: {}\n\
         listen-client-urls: {client}\n\
         advertise-client-urls: {client}\n\
         listen-peer-urls: {peer}\n\
         initial-advertise-peer-urls: {peer}\n\
         initial-cluster: filed={peer}\n\
         cors: http://a.example\n\
         log-level: error\n",
        data_dir.display()
    );
    fs::write(&path, text).expect("the test's directory takes files");
    let mut member = Member::new(directory.path(), "flagged", &urls[2], &urls[3])
        .with(&["--config-file", &path.display().to_string()]);
    member.client = client.clone();
    member.start();
    member.wait_until_healthy();
    Api::V3.put(&member, "k/1", "v").expect("a healthy member writes");
    let members = member.json("/v2/members").expect("a healthy member answers");
    let told = &members["members"][0];
    assert_eq!(told["name"], "filed");
    assert_eq!(told["clientURLs"], json!([client.to_string()]));
    assert_eq!(told["peerURLs"], json!([peer.to_string()]));
    let allowed = |origin| head_for(&member, origin).contains("Access-Control-Allow-Origin");
    assert!(allowed("http://a.example") && !allowed("http://b.example"));
    assert_eq!(member.terminate().code(), Some(0));
    assert!(data_dir.join("wal").is_dir() && !member.data_dir.exists());
    assert!(!member.log().contains("\"level\":\"info\""), "{}", member.log());
}

/// The head of the answer to a browser's request for the version.
fn head_for(member: &Member, origin: &str) -> String {
    let mut stream = TcpStream::connect(&member.client.address).expect("the member listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    let request = format!(
        "GET /version HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the member reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the member answers and closes");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

#[test]
fn a_listener_for_metrics_serves_them_and_health_and_nothing_else() {
    let url = &free_urls(1)[0];
    let mut cluster =
        Cluster::new("metrics-urls", 1).with(&["--listen-metrics-urls", &url.to_string()]);
    let member = &mut cluster.members[0];
    member.start();
    member.wait_until_healthy();
    let get = |url, path| client::get(url, path, REQUEST_TIMEOUT).expect("somebody listens");
    for url in [url, &member.client] {
        let metrics = get(url, "/metrics").text();
        assert!(metrics.contains("\netcd_server_has_leader 1\n"), "{url}: {metrics}");
        assert_eq!(get(url, "/health").text(), "{\"health\":\"true\"}", "{url}");
    }
    for path in ["/version", "/v2/keys/", "/v2/members", "/v3/kv/range", "/debug/vars", "/"] {
        assert_eq!(get(url, path).status, 404, "{path}");
    }
    assert_eq!(get(&member.client, "/version").status, 200);
}

#[test]
fn the_log_level_changes_while_a_member_runs() {
    let farewell = "stopping: handing leadership over";
    for (first, then, is_logged) in [("error", "INFO", true), ("info", "ERROR", false)] {
        let mut cluster = Cluster::new(&format!("level-{first}"), 1).with(&["--log-level", first]);
        let member = &mut cluster.members[0];
        member.start();
        member.wait_until_healthy();
        let is_ready = member.log().contains("ready to serve client requests");
        assert_eq!(is_ready, first == "info", "{}", member.log());
        let body = format!("{{\"Level\":\"{then}\"}}");
        let (path, content_type) = ("/config/local/log", "application/json");
        let request = Request { method: "PUT", path, content_type, body: body.as_bytes() };
        let answer = client::exchange(&member.client, &request, REQUEST_TIMEOUT);
        assert_eq!(answer.expect("a healthy member answers").status, 204);
        assert_eq!(member.terminate().code(), Some(0));
        assert_eq!(member.log().contains(farewell), is_logged, "{}", member.log());
    }
}
