//! Members wired together by hand: bytes are carried, time is told.

use std::collections::BTreeSet;

use quorra_core::identity::ClusterId;
use quorra_core::raft::{Index, Term};
use quorra_core::store::membership::Member;

use super::newcomer::NEWCOMERS_MAX;
use super::*;

const STEP: Duration = Duration::from_millis(50);

/// Some members, and the network between them.
struct World {
    now: Instant,
    links: BTreeMap<MemberId, Links>,
    /// Each connection by its two ends.
    wires: BTreeMap<(MemberId, ConnectionId), (MemberId, ConnectionId)>,
    accepted: u64,
    /// Members that nobody reaches and that reach nobody; their connections stay open.
    silent: BTreeSet<MemberId>,
    seen: Vec<String>,
}

fn membership(ids: &[u64]) -> Membership {
    let mut membership = Membership { cluster: ClusterId(7), ..Membership::default() };
    for id in ids {
        let member = Member {
            id: MemberId(*id),
            name: String::new(),
            peer_urls: vec![format!("http://{id}")],
            client_urls: Vec::new(),
            is_learner: false,
        };
        membership.members.insert(member.id, member);
    }
    membership
}

fn mark(peer: MemberId) -> Position {
    Position { term: Term(1), index: Index(peer.0) }
}

fn ping(round: u64) -> Message {
    Message::Raft(raft::Message::Heartbeat { term: Term(1), commit_index: Index(0), round })
}

impl World {
    fn new(ids: &[u64]) -> Self {
        let mut world = Self {
            now: Instant(0),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            accepted: 0,
            silent: BTreeSet::new(),
            seen: Vec::new(),
        };
        ids.iter().for_each(|id| world.start(*id, 1, &membership(ids)));
        world
    }

    fn start(&mut self, id: u64, incarnation: u64, membership: &Membership) {
        let mut links = Links::new(MemberId(id), Incarnation(incarnation), id);
        links.set_members(self.now, membership);
        self.links.insert(MemberId(id), links);
    }

    /// The process is gone; nobody is told.
    fn crash(&mut self, id: u64) {
        self.links.remove(&MemberId(id));
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + STEP;
            let ids: Vec<_> = self.links.keys().copied().collect();
            let now = self.now;
            ids.iter().for_each(|id| self.member(*id).tick(now));
            for _ in 0..10 {
                ids.iter().for_each(|id| self.turn(*id));
            }
        }
    }

    fn member(&mut self, id: MemberId) -> &mut Links {
        self.links.get_mut(&id).expect("the member runs")
    }

    fn turn(&mut self, id: MemberId) {
        while let Some(order) = self.member(id).next_order() {
            self.perform(id, order);
        }
        while self.member(id).next_writable().is_some() {}
        let wires: Vec<_> = self.wires.iter().map(|(from, to)| (*from, *to)).collect();
        for ((from, connection), (to, far)) in wires {
            if from != id || self.silent.contains(&from) || self.silent.contains(&to) {
                continue;
            }
            let now = self.now;
            let bytes = self.member(from).output(connection).to_vec();
            if bytes.is_empty() {
                continue;
            }
            self.member(from).written(now, connection, bytes.len());
            match self.links.get_mut(&to) {
                Some(links) => links.receive(now, far, &bytes, &mark),
                None => self.cut(from, connection),
            }
        }
    }

    fn cut(&mut self, id: MemberId, connection: ConnectionId) {
        if let Some((to, far)) = self.wires.remove(&(id, connection)) {
            self.wires.remove(&(to, far));
        }
        let now = self.now;
        self.member(id).closed(now, connection);
    }

    fn perform(&mut self, id: MemberId, order: Order) {
        let now = self.now;
        match order {
            Order::Connect(connection, url) => {
                let to = url.strip_prefix("http://").and_then(|to| to.parse().ok());
                let to = MemberId(to.expect("the tests' URLs name members"));
                if self.silent.contains(&to) || self.silent.contains(&id) {
                    return;
                }
                if !self.links.contains_key(&to) {
                    return self.member(id).closed(now, connection);
                }
                let far = ConnectionId(self.accepted * 2);
                self.accepted += 1;
                self.wires.insert((id, connection), (to, far));
                self.wires.insert((to, far), (id, connection));
                self.member(to).accept(now, far);
                self.member(id).connected(now, connection, &mark);
            }
            Order::Close { connection, at_once: true } => {
                if let Some((to, far)) = self.wires.remove(&(id, connection)) {
                    self.wires.remove(&(to, far));
                    if let Some(links) = self.links.get_mut(&to) {
                        links.closed(now, far);
                    }
                }
            }
            Order::Close { .. } => {}
            Order::Up { peer, acknowledged } => {
                self.seen.push(format!("{id} up {peer} {}", acknowledged.index));
            }
            Order::Down(peer) => self.seen.push(format!("{id} down {peer}")),
            Order::Message(from, Message::Raft(raft::Message::Heartbeat { round, .. })) => {
                self.seen.push(format!("{id} hears {round} from {from}"));
            }
            Order::Message(from, message) => panic!("{from} said {message:?}"),
            Order::Removed => self.seen.push(format!("{id} removed")),
            Order::Superseded => self.seen.push(format!("{id} superseded")),
            Order::Log(Level::Warn, line) => self.seen.push(format!("{id} warns: {line}")),
            Order::Log(..) => {}
        }
    }

    fn take_seen(&mut self) -> Vec<String> {
        let mut seen = std::mem::take(&mut self.seen);
        seen.sort();
        seen
    }
}

#[test]
fn members_find_each_other_and_tell_their_marks() {
    let mut world = World::new(&[1, 2, 3]);
    world.run(STEP);
    let expected =
        ["1 up 2 1", "1 up 3 1", "2 up 1 2", "2 up 3 2", "3 up 1 3", "3 up 2 3"].map(String::from);
    assert_eq!(world.take_seen(), expected, "each is told what it acknowledged to the other");
}

#[test]
fn messages_arrive_in_order_and_silence_is_filled_by_pings() {
    let mut world = World::new(&[1, 2]);
    world.run(STEP);
    world.take_seen();
    world.run(Duration::from_secs(30));
    assert_eq!(world.take_seen(), Vec::<String>::new(), "nobody is lost while nothing is said");
    for round in 1..4 {
        let now = world.now;
        world.member(MemberId(1)).send(now, MemberId(2), ping(round));
    }
    world.run(STEP);
    assert_eq!(world.take_seen(), ["2 hears 1 from 1", "2 hears 2 from 1", "2 hears 3 from 1"]);
}

#[test]
fn a_silent_peer_is_given_up_and_found_again() {
    let mut world = World::new(&[1, 2]);
    world.run(STEP);
    world.take_seen();
    world.silent.insert(MemberId(2));
    world.run(Duration::from_secs(7));
    let seen = world.take_seen();
    assert!(seen.contains(&"1 down 2".to_owned()), "{seen:?}");
    world.silent.clear();
    world.run(Duration::from_secs(12));
    let seen = world.take_seen();
    assert!(seen.contains(&"1 up 2 1".to_owned()), "{seen:?}");
    assert!(seen.contains(&"2 up 1 2".to_owned()), "{seen:?}");
}

#[test]
fn a_restarted_peer_is_found_at_once_although_its_old_connections_seem_open() {
    let mut world = World::new(&[1, 2]);
    world.run(STEP);
    world.take_seen();
    world.crash(2);
    world.wires.clear();
    world.start(2, 2, &membership(&[1, 2]));
    world.run(STEP * 4);
    let seen = world.take_seen();
    let position = |text: &str| seen.iter().position(|line| line == text);
    assert!(position("1 down 2").is_some() && position("1 up 2 1").is_some(), "{seen:?}");
    world.start(2, 1, &membership(&[1, 2]));
    world.run(Duration::from_secs(2));
    let seen = world.take_seen();
    assert!(seen.iter().any(|line| line.contains("a later start of the member")), "{seen:?}");
    assert!(!seen.iter().any(|line| line.starts_with("1 up")), "{seen:?}");
}

#[test]
fn strangers_and_the_removed_are_told_why_once() {
    let mut world = World::new(&[1, 2]);
    let mut other = membership(&[1, 3]);
    other.cluster = ClusterId(9);
    world.start(3, 1, &other);
    let mut shrunk = membership(&[1, 2]);
    shrunk.removed.insert(MemberId(4));
    world.member(MemberId(1)).set_members(Instant(0), &shrunk);
    world.start(4, 1, &membership(&[1, 4]));
    world.run(Duration::from_secs(3));
    let seen = world.take_seen();
    let count = |text: &str| seen.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("3 warns: peer 1 refused the connection: cluster ID mismatch"), 2, "{seen:?}");
    assert!(count("1 warns: refused a connection from member 3 of cluster 9") >= 1, "{seen:?}");
    assert!(count("4 removed") >= 1, "{seen:?}");
    assert_eq!(count("up 3") + count("up 4"), 0, "{seen:?}");
}

#[test]
fn a_member_that_knows_nobody_yet_is_found_by_those_who_know_it() {
    let mut world = World::new(&[1, 2]);
    world.start(3, 1, &membership(&[]));
    let grown = membership(&[1, 2, 3]);
    for id in [1, 2] {
        let now = world.now;
        world.member(MemberId(id)).set_members(now, &grown);
    }
    world.run(Duration::from_secs(3));
    let seen = world.take_seen();
    for expected in ["1 up 3 1", "2 up 3 2", "3 up 1 3", "3 up 2 3"] {
        assert!(seen.contains(&expected.to_owned()), "{expected}: {seen:?}");
    }
    // Its log names some of them, and one that is not there any more.
    let now = world.now;
    world.member(MemberId(3)).set_members(now, &membership(&[1, 9]));
    world.run(Duration::from_secs(2));
    assert!(!world.take_seen().iter().any(|line| line.contains("down 2")), "it leads, perhaps");
    let mut shrunk = membership(&[1, 3]);
    shrunk.removed.insert(MemberId(2));
    let now = world.now;
    world.member(MemberId(3)).set_members(now, &shrunk);
    world.run(STEP);
    assert!(world.take_seen().contains(&"3 down 2".to_owned()));
}

#[test]
fn a_newcomer_that_restarts_is_taken_in_at_once_and_its_earlier_start_no_more() {
    let mut world = World::new(&[1]);
    world.start(3, 2, &membership(&[1, 3]));
    world.run(STEP * 4);
    assert!(world.take_seen().contains(&"1 up 3 1".to_owned()));
    world.crash(3);
    world.wires.clear();
    world.start(3, 3, &membership(&[1, 3]));
    world.run(STEP * 4);
    let seen = world.take_seen();
    let position = |text: &str| seen.iter().position(|line| line == text);
    assert!(position("1 down 3").is_some() && position("1 up 3 1").is_some(), "{seen:?}");
    assert!(!seen.iter().any(|line| line.contains("lost the connection to peer 1")), "{seen:?}");
    world.start(3, 2, &membership(&[1, 3]));
    world.run(Duration::from_secs(2));
    let seen = world.take_seen();
    assert!(seen.iter().any(|line| line.contains("a later start of the member")), "{seen:?}");
}

#[test]
fn of_two_processes_with_one_identity_the_earlier_is_told_to_go() {
    let mut world = World::new(&[1, 2]);
    world.start(2, 5, &membership(&[1, 2]));
    world.run(Duration::from_secs(2));
    assert!(!world.take_seen().contains(&"2 superseded".to_owned()), "it is the later one");
    world.start(2, 4, &membership(&[1, 2]));
    world.run(Duration::from_secs(2));
    assert!(world.take_seen().contains(&"2 superseded".to_owned()));
}

#[test]
fn newcomers_are_few_and_forgotten_when_they_go() {
    let mut world = World::new(&[1]);
    for id in 10..40 {
        world.start(id, 1, &membership(&[1, id]));
    }
    world.run(Duration::from_secs(2));
    let links = world.member(MemberId(1));
    assert_eq!(links.peers.len(), NEWCOMERS_MAX);
    let refused = world.take_seen().iter().filter(|line| line.contains("is not known")).count();
    assert!(refused >= 30 - NEWCOMERS_MAX);
    (10..40).for_each(|id| world.crash(id));
    world.run(Duration::from_secs(7));
    assert!(world.member(MemberId(1)).peers.is_empty());
}

#[test]
fn a_member_that_left_is_down_and_called_no_more() {
    let mut world = World::new(&[1, 2]);
    world.run(STEP);
    world.take_seen();
    let mut shrunk = membership(&[1]);
    shrunk.removed.insert(MemberId(2));
    let now = world.now;
    world.member(MemberId(1)).set_members(now, &shrunk);
    world.run(Duration::from_secs(2));
    let seen = world.take_seen();
    assert!(seen.contains(&"1 down 2".to_owned()) && seen.contains(&"2 removed".to_owned()));
    assert_eq!(world.member(MemberId(1)).deadline(), None, "nothing is left to be done");
}

#[test]
fn a_peer_that_takes_nothing_costs_a_bounded_amount_of_memory() {
    let mut world = World::new(&[1, 2]);
    world.run(STEP);
    let now = world.now;
    let links = world.member(MemberId(1));
    let command = bytes::Bytes::from(vec![0; 60 << 10]);
    for _ in 0..2_000 {
        links.send(now, MemberId(2), Message::Forward(command.clone()));
    }
    let waits: usize = links.connections.values().map(|found| found.output.len()).sum();
    assert!((OUTPUT_BYTES_MAX..OUTPUT_BYTES_MAX + (64 << 10)).contains(&waits), "{waits}");
}

#[test]
fn a_connection_that_breaks_a_rule_is_closed() {
    let hello = Hello {
        cluster: ClusterId(7),
        from: MemberId(2),
        to: MemberId(1),
        incarnation: Incarnation(1),
        lane: Lane::Control,
        mark_term: Term(0),
        mark_index: Index(0),
        urls: Vec::new(),
    };
    let mut greeting = BytesMut::new();
    hello.put(&mut greeting);
    let mut early = BytesMut::from(&handshake::MAGIC[..]);
    early.extend_from_slice(&handshake::VERSION.to_le_bytes());
    message::encode(ping(1), &mut early);
    let mut twice = greeting.clone();
    hello.put(&mut twice);
    let mut torn = greeting.clone();
    torn.extend_from_slice(&[255; 16]);
    for bytes in [early, twice, torn] {
        let mut links = Links::new(MemberId(1), Incarnation(1), 0);
        links.set_members(Instant(0), &membership(&[1, 2]));
        links.accept(Instant(0), ConnectionId(0));
        links.receive(Instant(0), ConnectionId(0), &bytes, &mark);
        assert!(!links.contains(ConnectionId(0)));
        let mut closed = false;
        while let Some(order) = links.next_order() {
            closed |= matches!(order, Order::Close { connection: ConnectionId(0), at_once: true });
        }
        assert!(closed);
    }
}
