//! A thousand clients that all come at once.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quorra::client::{Client, Limits};

use super::*;
use crate::cluster::PATIENCE;

const CLIENTS: usize = 1_000;
/// Each of them comes back so often.
const ROUNDS: usize = 3;
const THREADS: usize = 8;
/// A quarter of the election timeout: what heartbeats must not come near.
const PING_MAX: Duration = Duration::from_millis(250);

/// More than may shake hands at once.
const SILENT: usize = 600;

#[test]
fn those_who_say_nothing_keep_nobody_out_and_are_sent_away() {
    let fortress = Fortress::start("tls-silent");
    let member = &fortress.cluster.members[0];
    let mut silent: Vec<_> = (0..SILENT)
        .map(|_| TcpStream::connect(&member.client.address).expect("the member listens"))
        .collect();
    let answer = get(&fortress.tls, &member.client, "/health").expect("there is a place");
    assert_eq!(answer.status, 200);
    let told = "gave its place to others: the handshake took too long";
    wait_for(told, || member.log().contains(told).then_some(()));
    // The last ones had a place until their time was up.
    for stream in &mut silent {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        match stream.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0, "nothing is said to them"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

/// Shakes hands with a member as often as it takes, and leaves each time.
fn reconnect(tls: &ClientTls, url: &Url, shaken: &AtomicUsize) {
    while shaken.fetch_add(1, Ordering::Relaxed) < CLIENTS * ROUNDS {
        let mut stream = TcpStream::connect(&url.address).expect("the member listens");
        let mut session = tls.begin(url.host()).expect("a good host");
        while session.is_handshaking() {
            session.complete_io(&mut stream).expect("the member shakes hands");
        }
    }
}

/// How long each ping of the members took while the storm lasted; there is one for every heartbeat.
fn pings(fortress: &Fortress, shaken: &AtomicUsize) -> Vec<Duration> {
    let mut client = Client::new(REQUEST_TIMEOUT);
    client.secure(fortress.tls.clone());
    let request = Request { method: "GET", path: "/version", content_type: "", body: b"" };
    let mut took = Vec::new();
    while shaken.load(Ordering::Relaxed) < CLIENTS * ROUNDS {
        for member in &fortress.cluster.members {
            let start = Instant::now();
            let limits = Limits::within(REQUEST_TIMEOUT);
            let answer = client.exchange(&member.client, &request, limits).expect("an answer");
            assert_eq!(answer.status, 200);
            took.push(start.elapsed());
        }
    }
    took.sort();
    took
}

#[test]
fn a_storm_of_handshakes_delays_no_heartbeat() {
    let fortress = Fortress::start("tls-storm");
    let leader = fortress.cluster.wait_for_leader();
    let url = fortress.cluster.members[leader].client.clone();
    let term = || {
        let answer = get(&fortress.tls, &url, "/v2/keys/").expect("an answer");
        answer.header("x-raft-term").map(str::to_string)
    };
    let before = term();
    let shaken = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (tls, url, shaken) = (fortress.tls.clone(), url.clone(), shaken.clone());
            std::thread::spawn(move || reconnect(&tls, &url, &shaken))
        })
        .collect();
    let start = Instant::now();
    let took = pings(&fortress, &shaken);
    let lasted = start.elapsed();
    for thread in threads {
        thread.join().expect("no client is sent away");
    }
    let late = took[took.len() * 99 / 100];
    println!(
        "{} handshakes in {lasted:?}; {} pings, the median {:?}, the 99th percentile {late:?}",
        CLIENTS * ROUNDS,
        took.len(),
        took[took.len() / 2],
    );
    assert!(late < PING_MAX, "{late:?}");
    assert_eq!(term(), before, "there was no election");
}
