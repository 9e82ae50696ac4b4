//! Connections as clients really leave them: idle, half closed, slow, gone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use crate::api::Api;
use crate::cluster::{Cluster, Member, PATIENCE, REQUEST_TIMEOUT};

fn connect(member: &Member) -> TcpStream {
    let stream = TcpStream::connect(&member.client.address).expect("the member listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream
}

#[test]
fn idle_connections_cost_other_clients_nothing() {
    let cluster = Cluster::start("idle", 1);
    let member = &cluster.members[0];
    // Both ends count against limits; this one's is the smaller, and not ours to raise.
    let idle: Vec<_> = (0..500).map(|_| connect(member)).collect();
    let start = Instant::now();
    Api::V3.put(member, "beside/idle", "x").expect("a healthy member writes");
    assert!(start.elapsed() < REQUEST_TIMEOUT, "{:?} for one write", start.elapsed());
    drop(idle);
    assert!(member.is_healthy());
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer_and_an_end() {
    let cluster = Cluster::start("half-closed", 1);
    let mut stream = connect(&cluster.members[0]);
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").expect("the member reads");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the member closes once it has answered");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("etcdserver"), "{answer}");
}

/// Whoever is answered and does not close lingers for a while. Files of the log need descriptors
/// as well: a member that cannot open one has to stop.
#[test]
fn connections_that_linger_leave_descriptors_for_files() {
    const DESCRIPTORS: usize = 256;
    let mut cluster = Cluster::new("lingering", 1);
    let member = &mut cluster.members[0];
    member.start_below(DESCRIPTORS);
    member.wait_until_healthy();
    let mut lingering = Vec::new();
    let mut most = 0;
    for _ in 0..20 {
        for _ in 0..25 {
            let mut stream = connect(member);
            let request = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request).expect("the member reads");
            lingering.push(stream);
        }
        let metrics = member.get("/metrics").expect("a healthy member is measured").text();
        let open = metrics.lines().find_map(|line| line.strip_prefix("process_open_fds "));
        most = most.max(open.and_then(|open| open.parse().ok()).expect("a number"));
    }
    assert!((64..DESCRIPTORS - 30).contains(&most), "{most} descriptors were open");
    Api::V2.put(member, "beside/lingering", "x").expect("a healthy member writes");
}

#[test]
fn an_answer_larger_than_the_sockets_buffers_reaches_a_slow_reader_whole() {
    let cluster = Cluster::start("slow-reader", 1);
    let member = &cluster.members[0];
    let value = "v".repeat(1 << 20);
    for count in 0..12 {
        Api::V2.put(member, &format!("large/{count}"), &value).expect("a healthy member writes");
    }
    let mut stream = connect(member);
    let request =
        b"GET /v2/keys/large?recursive=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("the member reads");
    // Others are served while nobody reads this answer.
    Api::V3.put(member, "beside/slow", "x").expect("a healthy member writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the member sends all of it");
    let values = answer.iter().filter(|byte| **byte == b'v').count();
    assert!(values >= 12 << 20, "only {values} bytes of the values came");
}

#[test]
fn what_is_not_http_is_answered_or_closed_and_hurts_nobody() {
    let cluster = Cluster::start("not-http", 1);
    let member = &cluster.members[0];
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01",
        b"GARBAGE\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\0",
    ];
    for bytes in garbage {
        let mut stream = connect(member);
        stream.write_all(bytes).expect("the member reads");
        stream.shutdown(Shutdown::Write).expect("the connection is open");
        let mut answer = Vec::new();
        // Cut off or answered: both are fine, as long as it ends.
        let end = stream.read_to_end(&mut answer);
        let timed_out = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "{bytes:?} is neither answered nor closed");
    }
    let mut vanishing = connect(member);
    let promise = b"PUT /v2/keys/half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nvalue=";
    vanishing.write_all(promise).expect("the member reads");
    drop(vanishing);
    assert!(member.is_healthy());
    assert!(member.json("/v2/keys/half").is_some_and(|answer| answer["errorCode"] == 100));
}
