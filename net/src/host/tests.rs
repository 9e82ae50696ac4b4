//! A member alone, with connections and a disk that are played by hand.

use proptest::prelude::*;
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft;
use quorra_core::replica::{Bootstrap, Recovery, RecoveryStep};
use quorra_core::store::membership;
use quorra_core::time::{Duration, WallTime};

use super::*;

const URL: &str = "http://127.0.0.1:2380";
const C: ConnectionId = ConnectionId(0);

/// A host, and all that its driver would keep.
struct Driver {
    host: Host,
    now: Now,
    ready: bool,
    log: Vec<String>,
    stopped: bool,
    /// Whether sockets take what is written.
    takes: bool,
    written: BTreeMap<ConnectionId, Vec<u8>>,
    closed: BTreeMap<ConnectionId, bool>,
    paused: BTreeMap<ConnectionId, bool>,
    turns: usize,
}

fn replica() -> Replica {
    let urls = vec![URL.to_owned()];
    let id = MemberId::of_bootstrap(&urls, "token");
    let member = membership::Member {
        id,
        name: String::new(),
        peer_urls: urls,
        client_urls: Vec::new(),
        is_learner: false,
    };
    let options = replica::Options {
        raft: raft::Options {
            id,
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            pre_vote: true,
            check_quorum: true,
            inflight_messages_max: limits::INFLIGHT_MESSAGES_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            append_bytes_target: limits::APPEND_BYTES_TARGET,
            tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
            uncommitted_bytes_max: limits::UNCOMMITTED_BYTES_MAX,
        },
        incarnation: Incarnation(1),
        seed: 1,
        segment_bytes: 16 << 20,
        checkpoint_log_bytes: limits::CHECKPOINT_LOG_BYTES_MIN,
        entries_kept: 1_000,
        snapshot_part_bytes: limits::SNAPSHOT_PART_BYTES,
        v2_history_events: limits::V2_HISTORY_EVENTS,
        slice_keys: limits::SLICE_KEYS,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        quota_bytes: None,
        strict_reconfig_check: true,
        version: "3.5.33".to_owned(),
    };
    let bootstrap = Bootstrap { cluster: ClusterId::of(&[id]), member: id, members: vec![member] };
    let mut recovery = Recovery::start(options, Vec::new(), Some(bootstrap), Now::default());
    match recovery.next(None) {
        RecoveryStep::Ready(replica) => *replica,
        RecoveryStep::Read(_) | RecoveryStep::Failed(_) => panic!("an empty directory is enough"),
    }
}

impl Driver {
    /// A member that has published itself.
    fn new() -> Self {
        Self::allowing(&[])
    }

    /// The same, for requests that name one of these hosts; for all if there are none.
    fn allowing(hosts: &[&str]) -> Self {
        let options = Options {
            name: "alone".to_owned(),
            client_urls: vec!["http://127.0.0.1:2379".to_owned()],
            v2: true,
            discovery_service: false,
            request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
            cors: Vec::new(),
            host_whitelist: hosts.iter().map(|host| (*host).to_owned()).collect(),
            incarnation: Incarnation(1),
            connections_max: 3,
            command_line: Vec::new(),
            file_descriptor_limit: 1_024,
            v3: V3Options::default(),
            extensive_metrics: false,
            quota_bytes: None,
        };
        let now = Now { monotonic: Instant(1_000_000_000), wall: WallTime(0) };
        let mut driver = Self {
            host: Host::new(options, replica(), now),
            now,
            ready: false,
            log: Vec::new(),
            stopped: false,
            takes: true,
            written: BTreeMap::new(),
            closed: BTreeMap::new(),
            paused: BTreeMap::new(),
            turns: 0,
        };
        for _ in 0..200 {
            driver.run(Duration::from_millis(10));
        }
        assert!(driver.ready, "a single member elects itself and publishes");
        driver
    }

    fn input(&mut self, input: Input<'_>) {
        self.host.input(self.now, input);
    }

    fn open(&mut self, id: ConnectionId) {
        self.accept(id, Listener::Client, Security::Plain);
    }

    fn accept(&mut self, connection: ConnectionId, listener: Listener, security: Security) {
        self.input(Input::Accepted { connection, listener, remote: "test", security });
    }

    fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.input(Input::Received(id, bytes));
    }

    /// Turns until nothing is left to be done at this time.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("a host at rest asks for no more turns");
    }

    fn run(&mut self, duration: Duration) {
        self.now.monotonic = self.now.monotonic + duration;
        self.now.wall.0 += i64::try_from(duration.as_nanos()).expect("a test is short");
        self.settle();
    }

    /// One turn. True if another is due at once.
    fn turn(&mut self) -> bool {
        self.turns += 1;
        if self.host.deadline() <= self.now.monotonic {
            self.input(Input::Tick);
        }
        self.input(Input::Flush);
        let mut answered = false;
        while let Some(action) = self.host.next_action() {
            answered |= matches!(action, Action::Disk(..));
            self.perform(action);
        }
        self.host.check();
        !self.stopped && (answered || self.host.deadline() <= self.now.monotonic)
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Write(id) if self.takes => self.take(id, usize::MAX),
            Action::Disk(lane, ticket, _) => self.input(Input::Durable(lane, ticket)),
            Action::Pause(id, paused) => drop(self.paused.insert(id, paused)),
            Action::Close { connection, at_once } => {
                self.closed.insert(connection, at_once);
            }
            Action::Ready => self.ready = true,
            Action::Stop(_) => self.stopped = true,
            Action::Read(..) | Action::Job(..) | Action::Connect(..) => {
                panic!("a member alone needs no {action:?}")
            }
            Action::Log(_, line) => self.log.push(line),
            Action::Write(_) | Action::Notice(_) => {}
            Action::LogLevel(_) | Action::Measure => {}
        }
    }

    /// The socket takes so many bytes, and what is made meanwhile.
    fn take(&mut self, id: ConnectionId, most: usize) {
        let mut left = most;
        while left > 0 {
            let output = self.host.output(id);
            let count = output.len().min(left);
            if count == 0 {
                return;
            }
            self.written.entry(id).or_default().extend_from_slice(&output[..count]);
            self.host.written(self.now, id, count);
            left -= count;
        }
    }

    fn text(&mut self, id: ConnectionId) -> String {
        String::from_utf8(self.written.remove(&id).unwrap_or_default()).expect("answers are text")
    }
}

fn put(key: &str, value: &str) -> String {
    let body = format!("value={value}");
    format!(
        "PUT /v2/keys/{key} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    )
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn the_log_says_in_etcds_words_that_a_member_serves() {
    let published = "published local member to cluster through raft";
    let mut told = Driver::new().log;
    told.sort();
    assert_eq!(told, ["enabled capabilities for version 3.5", published], "each is told once");
}

#[test]
fn a_member_alone_serves_what_was_written() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, (put("a", "1") + &get("/v2/keys/a") + &get("/health")).as_bytes());
    driver.settle();
    let text = driver.text(C);
    assert_eq!(text.matches("HTTP/1.1 201 Created\r\n").count(), 1, "{text}");
    assert!(
        text.contains("{\"action\":\"get\",\"node\":{\"key\":\"/a\",\"value\":\"1\""),
        "{text}"
    );
    assert!(text.ends_with("{\"health\":\"true\"}"), "{text}");
}

#[test]
fn what_is_no_request_is_refused_before_anything_else_is_looked_at() {
    let mut driver = Driver::new();
    driver.open(C);
    let options = |path: &str| format!("OPTIONS {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    driver.send(C, (options("/none") + &options("/%zz") + &get("/v3?a")).as_bytes());
    driver.send(C, get("/v2/auth/users?a=%zz").as_bytes());
    driver.settle();
    let text = driver.text(C);
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "400", "301", "500"], "{text}");
    assert!(text.contains("\r\nLocation: /v3/?a\r\n"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_split_of_a_connections_bytes_gives_the_same_answers(
        cuts in proptest::collection::vec(1_usize..60, 1..20),
    ) {
        let input = put("a", "1") + &get("/v2/keys/a") + &get("/version") + &get("/nope");
        let mut answers = Vec::new();
        for cuts in [&cuts[..], &[]] {
            let mut driver = Driver::new();
            driver.open(C);
            let mut rest = input.as_bytes();
            for cut in cuts {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                rest = behind;
                if !piece.is_empty() {
                    driver.send(C, piece);
                    driver.settle();
                }
            }
            if !rest.is_empty() {
                driver.send(C, rest);
            }
            driver.settle();
            answers.push(driver.text(C));
        }
        prop_assert_eq!(&answers[0], &answers[1]);
    }
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let mut driver = Driver::new();
    let timers = driver.host.timers.len();
    for (round, request) in [
        get("/v2/keys/w?wait=true"),
        get("/v2/keys/w?wait=true&stream=true&recursive=true"),
        put("x", "1"),
        get("/health"),
        "PUT /v2/keys/half HTTP/1.1\r\nHost: h\r\nContent-Le".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let id = ConnectionId(round as u64 * 2);
        driver.open(id);
        driver.send(id, request.as_bytes());
        driver.input(Input::Closed(id));
        driver.settle();
    }
    assert!(driver.host.connections.is_empty());
    assert!(driver.host.owners.is_empty(), "{:?}", driver.host.owners);
    assert!(driver.host.call_deadlines.is_empty());
    assert_eq!(driver.host.timers.len(), timers);
    driver.open(ConnectionId(100));
    driver.send(ConnectionId(100), get("/v2/stats/store").as_bytes());
    driver.settle();
    let text = driver.text(ConnectionId(100));
    assert!(text.contains("\"watchers\":0"), "{text}");
}

#[test]
fn a_watcher_that_half_closes_has_left_and_a_reader_has_not() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, get("/v2/keys/w?wait=true").as_bytes());
    driver.settle();
    driver.input(Input::HalfClosed(C));
    driver.settle();
    assert_eq!(driver.closed.get(&C), Some(&false));
    let reader = ConnectionId(2);
    driver.open(reader);
    driver.send(reader, put("x", "1").as_bytes());
    driver.input(Input::HalfClosed(reader));
    driver.settle();
    assert!(driver.text(reader).starts_with("HTTP/1.1 201 "));
    assert_eq!(driver.closed.get(&reader), Some(&false));
    assert!(driver.host.connections.is_empty() && driver.host.owners.is_empty());
}

/// A stream that began in the history hears one event and then nothing (as in etcd), so it was no
/// watcher any more for whoever looks for watchers: its connection stayed when its client left.
#[test]
fn a_stream_that_hears_no_more_goes_with_its_client() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, put("w", "1").as_bytes());
    driver.send(C, get("/v2/keys/w?wait=true&stream=true&waitIndex=1").as_bytes());
    driver.settle();
    assert!(driver.text(C).contains("\"action\":\"set\""), "it hears the past");
    assert_eq!(driver.closed.get(&C), None, "the stream stays open, silent");
    driver.input(Input::HalfClosed(C));
    driver.settle();
    assert_eq!(driver.closed.get(&C), Some(&false));
    assert!(driver.host.connections.is_empty() && driver.host.owners.is_empty());
}

#[test]
fn a_long_poll_is_answered_by_another_connections_write() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, get("/v2/keys/w?wait=true").as_bytes());
    driver.settle();
    assert!(driver.text(C).ends_with("Transfer-Encoding: chunked\r\n\r\n"), "the head goes early");
    driver.open(ConnectionId(2));
    driver.send(ConnectionId(2), put("w", "1").as_bytes());
    driver.settle();
    let text = driver.text(C);
    assert!(text.contains("\"value\":\"1\"") && text.ends_with("0\r\n\r\n"), "{text}");
    driver.send(C, get("/version").as_bytes());
    driver.settle();
    assert!(driver.text(C).starts_with("HTTP/1.1 200 "), "the connection can be used again");
}

#[test]
fn one_connection_cannot_take_a_whole_turn() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, get("/version").repeat(300).as_bytes());
    let turns = driver.turns;
    driver.turn();
    let first = driver.text(C).matches("HTTP/1.1 200 ").count();
    assert!(first > 0 && first < 300, "{first}");
    driver.settle();
    assert!(driver.turns > turns + 1);
    assert_eq!(first + driver.text(C).matches("HTTP/1.1 200 ").count(), 300);
}

#[test]
fn a_client_that_does_not_read_is_read_no_further() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.send(C, put("big", &"x".repeat(100_000)).as_bytes());
    driver.settle();
    driver.text(C);
    driver.takes = false;
    driver.send(C, get("/v2/keys/big").repeat(100).as_bytes());
    driver.settle();
    assert_eq!(driver.paused.get(&C), Some(&true));
    assert!(driver.host.output(C).len() < 2 << 20, "what waits is bounded");
    driver.takes = true;
    driver.take(C, usize::MAX);
    driver.settle();
    assert_eq!(driver.paused.get(&C), Some(&false));
    assert_eq!(driver.text(C).matches("HTTP/1.1 200 ").count(), 100);
}

#[test]
fn who_sends_or_reads_too_slowly_is_given_up_and_who_is_idle_is_not() {
    let mut driver = Driver::new();
    let (idle, sender, reader) = (ConnectionId(0), ConnectionId(2), ConnectionId(4));
    [idle, sender, reader].into_iter().for_each(|id| driver.open(id));
    driver.send(sender, b"GET / HTTP/1.1\r\nHo");
    driver.takes = false;
    driver.send(reader, get("/version").as_bytes());
    driver.settle();
    driver.run(Duration::from_secs(31));
    assert!(driver.host.output(sender).starts_with(b"HTTP/1.1 408 "));
    driver.run(Duration::from_secs(31));
    assert_eq!(driver.closed.get(&reader), Some(&true));
    driver.run(Duration::from_secs(3_600));
    assert_eq!(driver.closed.get(&idle), None);
    assert_eq!(driver.host.connections.len(), 1);
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let mut driver = Driver::new();
    (0..4).for_each(|count| driver.open(ConnectionId(count * 2)));
    driver.settle();
    assert_eq!(driver.closed, [(ConnectionId(6), true)].into());
}

#[test]
fn whoever_says_nothing_to_the_peer_listener_is_sent_away() {
    let mut driver = Driver::new();
    driver.accept(C, Listener::Peer, Security::Plain);
    driver.run(Duration::from_secs(9));
    assert!(driver.closed.is_empty());
    driver.run(Duration::from_secs(1));
    assert_eq!(driver.closed, [(C, true)].into());
}

#[test]
fn a_peer_listener_answers_operators() {
    let mut driver = Driver::new();
    let peer = ConnectionId(0);
    driver.accept(peer, Listener::Peer, Security::Plain);
    let requests = get("/members") + &get("/raft/stream/message/1") + &get("/v2/keys");
    driver.send(peer, requests.as_bytes());
    driver.settle();
    let text = driver.text(peer);
    assert!(text.contains("\"peerURLs\":[\"http://127.0.0.1:2380\"]"), "{text}");
    assert!(text.contains("HTTP/1.1 412 ") && text.contains("HTTP/1.1 404 "), "{text}");
}

#[test]
fn the_gateway_takes_and_refuses_what_etcds_does() {
    let rows = [
        ("POST /v3/kv/range", "", "null", "HTTP/1.1 400 ", "key is not provided"),
        ("POST /v3/kv/range", "", r#"{"key":"Y\nQ="}"#, "HTTP/1.1 400 ", "base64"),
        ("POST /v3/kv/range", "", r#"{"key":"Y\nR=="}"#, "HTTP/1.1 200 ", "revision"),
        ("POST /v3beta//kv/range", "", "", "HTTP/1.1 301 ", "Location: /v3/kv/range\r\n"),
        ("GET /v3?a=b", "", "", "HTTP/1.1 301 ", "Location: /v3/?a=b\r\n"),
        ("POST /v3/kv/range", "Grpc-Timeout: 0S\r\n", "{}", "HTTP/1.1 504 ", "deadline exceeded"),
        ("POST /v3/kv/range", "Grpc-Timeout: x\r\n", "{}", "HTTP/1.1 400 ", "grpc-timeout: x"),
        ("POST /v3/cluster/member/update", "", "{}", "HTTP/1.1 404 ", "member not found"),
    ];
    for (line, field, body, status, part) in rows {
        let mut driver = Driver::new();
        driver.open(C);
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: h\r\n{field}Content-Length: {length}\r\n\r\n");
        driver.send(C, (head + body).as_bytes());
        driver.settle();
        let text = driver.text(C);
        assert!(text.starts_with(status) && text.contains(part), "{line} {field}{body}: {text}");
    }
}

/// A page that rebinds a name to this machine cannot show a certificate for it (etcd).
#[test]
fn hosts_are_held_against_the_list_in_plain_text_only() {
    let mut driver = Driver::allowing(&["good"]);
    for (id, security, status) in [(0, Security::Plain, "421"), (2, Security::Tls(None), "200")] {
        let id = ConnectionId(id);
        driver.accept(id, Listener::Client, security);
        driver.send(id, get("/version").as_bytes());
        driver.settle();
        let text = driver.text(id);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

/// Who waits for an answer gets one; who waits for nothing in particular is let go.
#[test]
fn a_member_that_goes_answers_first() {
    let mut driver = Driver::new();
    let (idle, watcher, late) = (ConnectionId(2), ConnectionId(4), ConnectionId(6));
    [C, idle, watcher].into_iter().for_each(|id| driver.open(id));
    driver.send(idle, get("/version").as_bytes());
    driver.send(watcher, get("/v2/keys/a?wait=true").as_bytes());
    driver.settle();
    driver.send(C, (put("a", "1") + &get("/version")).as_bytes());
    driver.input(Input::Stop);
    driver.open(late);
    driver.input(Input::Flush);
    assert!(!driver.stopped, "a write is under way");
    (0..25).for_each(|_| driver.run(Duration::from_millis(5)));
    assert!(driver.stopped, "a tick after its answer");
    let text = driver.text(C);
    assert!(text.starts_with("HTTP/1.1 201 ") && text.contains("\r\nConnection: close"), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "what came behind it was not begun: {text}");
    assert_eq!((driver.closed[&idle], driver.closed[&late]), (false, true));
}

#[test]
fn a_member_that_goes_waits_for_nobody_for_long() {
    let mut driver = Driver::new();
    driver.open(C);
    driver.takes = false;
    driver.send(C, get("/version").as_bytes());
    driver.input(Input::Stop);
    driver.settle();
    assert!(!driver.stopped, "a reader may be slow");
    (0..79).for_each(|_| driver.run(Duration::from_millis(5)));
    assert!(!driver.stopped);
    (0..25).for_each(|_| driver.run(Duration::from_millis(5)));
    assert!(driver.stopped);
}
