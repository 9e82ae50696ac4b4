//! A whole proxy between clients and endpoints that these tests play.

use std::collections::BTreeMap;

use quorra_core::time::WallTime;

use super::*;
use crate::host::{Listener, Security};

const A: &str = "http://a:1";
const B: &str = "http://b:1";
const OK: &str = "HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nContent-Length: 2\r\n\r\nhi";
const GET: &str = "GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: h\r\n\r\n";

/// The driver of a proxy whose sockets take everything at once, unless they are told not to.
struct World {
    proxy: Proxy,
    now: Now,
    /// What was written to each connection and not looked at yet.
    written: BTreeMap<ConnectionId, String>,
    /// Connections that were asked for and not opened yet.
    dials: VecDeque<(ConnectionId, String)>,
    closed: BTreeSet<ConnectionId>,
    paused: BTreeSet<ConnectionId>,
    /// Connections whose sockets take nothing.
    stuck: BTreeSet<ConnectionId>,
    stopped: bool,
    clients: u64,
}

impl World {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            read_only: false,
            failure_wait: Duration::from_secs(5),
            refresh_interval: Duration::from_secs(30),
            write_timeout: Duration::from_secs(5),
            read_timeout: Duration::ZERO,
            cors: Vec::new(),
            connections_max: 1_000,
            seed: 1,
        };
        change(&mut options);
        let now = Now { monotonic: Instant(1 << 40), wall: WallTime(0) };
        let peers = vec!["http://a:2".to_owned(), "http://b:2".to_owned()];
        let mut world = Self {
            proxy: Proxy::new(options, peers, now),
            now,
            written: BTreeMap::new(),
            dials: VecDeque::new(),
            closed: BTreeSet::new(),
            paused: BTreeSet::new(),
            stuck: BTreeSet::new(),
            stopped: false,
            clients: 0,
        };
        world.input(Input::Tick);
        world
    }

    /// One that has found these endpoints.
    fn with_endpoints(urls: &[&str]) -> Self {
        let mut world = Self::new(|_| ());
        world.answer_refresh(urls);
        world
    }

    fn answer_refresh(&mut self, urls: &[&str]) {
        let (id, url) = self.open();
        assert_eq!((url.as_str(), self.take(id).as_str()), ("http://a:2", MEMBERS));
        self.receive(id, &members(urls));
        assert!(self.closed.contains(&id));
    }

    fn input(&mut self, input: Input<'_>) {
        self.proxy.input(self.now, input);
        self.proxy.input(self.now, Input::Flush);
        while let Some(action) = self.proxy.next_action() {
            match action {
                Action::Write(id) => self.write(id),
                Action::Connect(id, url) => self.dials.push_back((id, url)),
                Action::Close { connection, .. } => drop(self.closed.insert(connection)),
                Action::Pause(id, true) => drop(self.paused.insert(id)),
                Action::Pause(id, false) => drop(self.paused.remove(&id)),
                Action::Stop(_) => self.stopped = true,
                Action::Log(..) | Action::Ready => {}
                other => panic!("a proxy does not ask for {other:?}"),
            }
        }
        self.proxy.check();
    }

    fn write(&mut self, id: ConnectionId) {
        while !self.stuck.contains(&id) && !self.proxy.output(id).is_empty() {
            let bytes = self.proxy.output(id).to_vec();
            self.written.entry(id).or_default().push_str(&String::from_utf8_lossy(&bytes));
            self.proxy.written(self.now, id, bytes.len());
        }
    }

    /// A new client.
    fn client(&mut self) -> ConnectionId {
        let connection = ConnectionId(self.clients * 2);
        self.clients += 1;
        let (listener, security) = (Listener::Client, Security::Plain);
        self.input(Input::Accepted { connection, listener, remote: "10.0.0.9:4", security });
        connection
    }

    /// A new client that sends this.
    fn ask(&mut self, request: &str) -> ConnectionId {
        let id = self.client();
        self.receive(id, request);
        id
    }

    fn receive(&mut self, id: ConnectionId, bytes: &str) {
        for piece in bytes.as_bytes().chunks(60_000) {
            self.input(Input::Received(id, piece));
        }
    }

    /// Opens the connection that was asked for first.
    fn open(&mut self) -> (ConnectionId, String) {
        let (id, url) = self.dials.pop_front().expect("a connection is asked for");
        self.input(Input::Connected(id));
        (id, url)
    }

    /// Refuses it.
    fn refuse(&mut self) {
        let (id, _) = self.dials.pop_front().expect("a connection is asked for");
        self.input(Input::Closed(id));
    }

    fn take(&mut self, id: ConnectionId) -> String {
        self.written.remove(&id).unwrap_or_default()
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now.monotonic = self.now.monotonic + Duration::from_millis(100);
            if self.proxy.deadline() <= self.now.monotonic {
                self.input(Input::Tick);
            }
        }
    }
}

const MEMBERS: &str = "GET /members HTTP/1.1\r\nHost: a:2\r\nConnection: close\r\n\r\n";

/// What a peer answers that knows members with these client URLs.
fn members(urls: &[&str]) -> String {
    let list = serde_json::json!([
        { "id": 1, "name": "x", "peerURLs": ["http://a:2", "http://c:2"], "clientURLs": urls }
    ]);
    let body = list.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn the_peers_tell_the_endpoints_and_are_kept_when_they_change() {
    let mut world = World::with_endpoints(&[A]);
    assert_eq!(world.proxy.news(), Some(&["http://a:2".to_owned(), "http://c:2".to_owned()][..]));
    assert_eq!(world.proxy.news(), None);
    let client = world.ask("GET /v2/config/local/proxy HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(body(&world.take(client)), "{\"endpoints\":[\"http://a:1\"]}\n");
    world.pass(30);
    world.answer_refresh(&[B]);
    assert_eq!(world.proxy.news(), None, "they are the same");
    world.receive(client, "GET /v2/config/local/proxy HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(body(&world.take(client)), "{\"endpoints\":[\"http://b:1\"]}\n");
}

#[test]
fn the_next_peer_is_asked_where_one_is_silent_or_talks_nonsense() {
    let mut world = World::new(|_| ());
    let (silent, _) = world.open();
    world.pass(10);
    assert!(world.closed.contains(&silent));
    let (second, url) = world.open();
    assert_eq!(url, "http://b:2");
    world.receive(second, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    assert!(world.dials.is_empty(), "all were asked");
    world.pass(1);
    for nonsense in [
        "HTTP/1.1 500 No\r\nX-Etcd-Cluster-Id: 1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "SSH-2.0\r\n\r\n".to_owned(),
    ] {
        let (id, _) = world.open();
        world.receive(id, &nonsense);
        assert!(world.closed.contains(&id), "{nonsense}");
    }
    world.pass(1);
    let (endless, _) = world.open();
    world.receive(endless, "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 1\r\n\r\n");
    world.receive(endless, &"[".repeat(2 << 20));
    assert!(world.closed.contains(&endless));
    world.refuse();
    let client = world.ask(GET);
    let answer = world.take(client);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(body(&answer), r#"{"message":"httpproxy: zero endpoints currently available"}"#);
}

#[test]
fn a_request_and_its_answer_are_passed_on() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(
        "PUT /v2/keys/a%20b?ttl=5 HTTP/1.1\r\nHost: h\r\nTE: x\r\nContent-Length: 7\r\n\r\nvalue=1",
    );
    let (endpoint, url) = world.open();
    assert_eq!(url, A);
    assert_eq!(
        world.take(endpoint),
        "PUT /v2/keys/a%20b?ttl=5 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.9\r\n\
         Content-Length: 7\r\n\r\nvalue=1"
    );
    world.receive(endpoint, OK);
    let answer = world.take(client);
    let end = "\r\nX-Etcd-Index: 7\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
               Content-Length: 2\r\n\r\nhi";
    assert!(answer.ends_with(end), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: *\r\n"), "{answer}");
    world.receive(client, GET);
    assert!(world.dials.is_empty(), "the connection is used again");
    assert!(world.take(endpoint).starts_with("GET "));
}

#[test]
fn a_watchs_head_comes_with_its_first_event_and_later_events_at_once() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.receive(endpoint, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(world.take(client), "");
    world.receive(endpoint, "3\r\none\r\n");
    assert!(world.take(client).ends_with("Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"));
    world.receive(endpoint, "3\r\ntwo\r\n");
    assert_eq!(world.take(client), "3\r\ntwo\r\n");
    world.receive(endpoint, "0\r\n\r\n");
    assert_eq!(world.take(client), "0\r\n\r\n");
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask("HEAD /version HTTP/1.1\r\nHost: h\r\n\r\n");
    let (endpoint, _) = world.open();
    world.receive(endpoint, "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n");
    assert!(world.take(client).ends_with("Content-Length: 45\r\n\r\n"));
}

#[test]
fn endpoints_are_tried_in_turn_and_left_alone_after_a_failure() {
    let mut world = World::with_endpoints(&[A, B]);
    let client = world.ask(GET);
    let first = world.dials[0].1.clone();
    world.refuse();
    let (second, url) = world.open();
    assert_ne!(first, url);
    world.input(Input::Closed(second));
    let answer = world.take(client);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(
        body(&answer),
        r#"{"message":"httpproxy: unable to get response from 2 endpoint(s)"}"#
    );
    let other = world.ask(GET);
    assert!(world.take(other).starts_with("HTTP/1.1 503 "), "both failed lately");
    world.pass(5);
    world.receive(other, GET);
    assert_eq!(world.dials.len(), 1, "they are tried again");
}

#[test]
fn whoever_waits_at_an_endpoint_that_cannot_be_reached_turns_to_the_next() {
    let mut world = World::with_endpoints(&[A, B]);
    let clients: Vec<_> = (0..100).map(|_| world.ask(GET)).collect();
    assert_eq!(world.dials.len(), 32, "only so many connections are opened at once");
    let unreachable = world.dials[0].1.clone();
    world.refuse();
    let (reachable, refused): (Vec<_>, Vec<_>) =
        world.dials.drain(..).partition(|(_, url)| *url != unreachable);
    assert_eq!(reachable.len(), 32);
    refused.into_iter().for_each(|(id, _)| world.input(Input::Closed(id)));
    let (endpoint, _) = reachable[0];
    world.input(Input::Connected(endpoint));
    for client in clients {
        world.receive(endpoint, OK);
        assert_eq!(body(&world.take(client)), "hi", "they are served in order");
    }
}

#[test]
fn any_number_of_watches_get_their_connections() {
    let mut world = World::with_endpoints(&[A]);
    let clients: Vec<_> = (0..500).map(|_| world.ask(GET)).collect();
    let mut endpoints = Vec::new();
    while !world.dials.is_empty() {
        assert!(world.dials.len() <= 32, "only so many connections are opened at once");
        endpoints.push(world.open().0);
    }
    assert_eq!(endpoints.len(), 500);
    endpoints.into_iter().for_each(|endpoint| world.receive(endpoint, OK));
    assert!(clients.into_iter().all(|client| body(&world.take(client)) == "hi"));
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_no_failure() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.receive(endpoint, OK);
    world.take(client);
    world.receive(client, GET);
    world.input(Input::HalfClosed(endpoint));
    let (fresh, _) = world.open();
    world.receive(fresh, OK);
    assert_eq!(body(&world.take(client)), "hi");
}

#[test]
fn an_answer_that_is_broken_off_never_looks_whole() {
    let mut world = World::with_endpoints(&[A]);
    for (sent, expected) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", "3\r\none\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", "\r\n\r\none"),
    ] {
        let client = world.ask(GET);
        let (endpoint, _) = world.open();
        world.receive(endpoint, sent);
        world.input(Input::Closed(endpoint));
        assert!(world.take(client).ends_with(expected), "{sent}");
        assert!(world.closed.contains(&client), "{sent}");
    }
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.receive(endpoint, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    world.input(Input::Closed(endpoint));
    assert!(world.take(client).starts_with("HTTP/1.1 502 "));
}

#[test]
fn nonsense_from_an_endpoint_is_no_answer() {
    let huge = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1 << 20));
    for nonsense in [
        "SSH-2.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        &huge,
    ] {
        let mut world = World::with_endpoints(&[A]);
        let client = world.ask(GET);
        let (endpoint, _) = world.open();
        world.receive(endpoint, nonsense);
        let answer = world.take(client);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(world.closed.contains(&endpoint));
    }
}

#[test]
fn an_endpoint_is_read_no_faster_than_its_client() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.stuck.insert(client);
    let length = 8 << 20;
    world.receive(endpoint, &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    let mut sent = 0;
    while !world.paused.contains(&endpoint) {
        world.receive(endpoint, &"x".repeat(50_000));
        sent += 50_000;
    }
    assert!(sent <= exchange::BACKLOG_BYTES_MAX + 50_000, "{sent} bytes wait");
    world.stuck.clear();
    world.write(client);
    world.input(Input::Tick);
    assert!(!world.paused.contains(&endpoint));
    world.receive(endpoint, &"x".repeat(length - sent));
    assert_eq!(body(&world.take(client)).len(), length);
}

#[test]
fn a_client_that_takes_nothing_is_given_up_with_what_it_asked_for() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.stuck.insert(client);
    world.receive(endpoint, "HTTP/1.1 200 OK\r\n\r\nx");
    world.pass(61);
    assert!(world.closed.contains(&client) && world.closed.contains(&endpoint));
}

#[test]
fn endpoints_have_only_so_much_time() {
    let mut world = World::new(|options| options.read_timeout = Duration::from_secs(7));
    world.answer_refresh(&[A]);
    let client = world.ask(GET);
    world.open();
    world.pass(6);
    assert_eq!(world.take(client), "");
    world.pass(1);
    assert!(world.take(client).starts_with("HTTP/1.1 502 "), "nothing was said");
    world.pass(5);
    let client = world.ask(GET);
    let (id, _) = world.dials[0].clone();
    world.stuck.insert(id);
    world.open();
    world.pass(5);
    assert!(world.take(client).starts_with("HTTP/1.1 502 "), "nothing was taken");
}

#[test]
fn what_a_client_asked_for_goes_with_it() {
    let mut world = World::with_endpoints(&[A]);
    for leaving in [Input::Closed, Input::HalfClosed] {
        let asking = world.ask(GET);
        let (endpoint, _) = world.open();
        world.input(leaving(asking));
        assert!(world.closed.contains(&endpoint));
        let waiting = world.ask(GET);
        world.input(leaving(waiting));
        let (unwanted, _) = world.open();
        assert_eq!(world.take(unwanted), "", "nobody waits for it any more");
        world.input(Input::Closed(unwanted));
    }
}

#[test]
fn one_that_only_reads_passes_nothing_but_get() {
    let mut world = World::new(|options| options.read_only = true);
    world.answer_refresh(&[A]);
    for method in ["PUT", "HEAD", "OPTIONS", "PATCH"] {
        let client = world.ask(&format!("{method} /v2/keys/a HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = world.take(client);
        assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
    world.ask(GET);
    assert_eq!(world.dials.len(), 1);
}

#[test]
fn a_proxy_that_stops_lets_those_finish_who_have_begun() {
    let mut world = World::with_endpoints(&[A]);
    let client = world.ask(GET);
    let (endpoint, _) = world.open();
    world.input(Input::Stop);
    assert!(!world.stopped);
    world.receive(endpoint, OK);
    assert_eq!(body(&world.take(client)), "hi");
    assert!(world.stopped);
}

/// Large requests, and an endpoint that takes none of them.
#[test]
fn what_waits_for_endpoints_is_bounded() {
    let mut world = World::with_endpoints(&[A]);
    let body = "x".repeat(10 << 20);
    let request = format!(
        "PUT /v2/keys/a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let clients: Vec<_> = (0..27).map(|_| world.ask(&request)).collect();
    let answers = clients.iter().filter(|id| !world.take(**id).is_empty()).count();
    assert_eq!(answers, 2, "twenty-five of them fit");
    // One that is answered holds nothing more, even if its answer does not end.
    let (endpoint, _) = world.open();
    world.receive(endpoint, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    let next = world.ask(&request);
    assert_eq!(world.take(next), "", "it waits");
}
