//! A whole etcd server without an operating system.
//!
//! A driver's loop, the same in production and in the simulator:
//!
//! ```text
//! wait until host.deadline(), or until something comes
//! for each thing that came: host.input(now, ..)      peers' bytes and disk answers first
//! host.input(now, Input::Flush)
//! while let Some(action) = host.next_action(): perform it
//! ```
//!
//! Output bytes stay in the host until the driver's socket takes them: [`Action::Write`] says that
//! a connection has some, [`Host::output`] shows them, [`Host::written`] takes them away. So the
//! host always knows how far a slow client is behind.
//!
//! # A request, followed through
//!
//! ```text
//! Received -> connection   sniffed once: HTTP/1.1, HTTP/2, or another member
//!          -> protocol     an event: a request, whole
//!          -> api          answered at once, or a call that waits beside a question
//!          -> replica      under a RequestId; this turn's Flush makes the batch
//! effect   -> the call     hears the reply, answers
//!          -> protocol     bytes; one Write for each connection at the turn's end
//! ```
//!
//! # Invariants
//! - A request that the replica was asked has one owner: a call on a stream of a connection, or
//!   the publishing. When the owner goes, the replica is told to cancel it.
//! - The work of a turn does not grow with the number of connections: what has more to do stands in
//!   a queue, what waits for time in an ordered set.
//! - A connection holds a bounded number of bytes: what does not fit is not read ([`Action::Pause`]).

mod calls;
pub(crate) mod connection;
mod door;
mod ending;
mod publish;
mod statistics;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorra_core::raft::Notice;
use quorra_core::replica::{self, Effect, Effects, Replica, RequestId, StopReason};
use quorra_core::time::{Instant, Now};

pub use door::{
    Action, ConnectionId, Identity, Input, Level, Listener, Machine, Options, Security, V3Options,
};
pub use statistics::{
    Calls, Counter, Histogram, KeysCount, KeysMethod, Latency, Measured, Peer, REFUSALS, Rate,
    Requests, Statistics,
};

use self::connection::{Connection, Sniffed, Waiting};
use self::ending::Ending;
use self::publish::Publish;
use crate::api::Service;
use crate::http::{Limits, StreamId};
use crate::peer::{Links, Order};

/// Connections beyond the flags' number that a peer listener still takes: clients cannot lock the
/// other members out.
pub const PEER_CONNECTIONS_RESERVED: usize = 64;

/// A member: its replica and all its connections.
pub struct Host {
    options: Options,
    service: Service,
    limits: Limits,
    statistics: Statistics,
    replica: Replica,
    effects: Effects,
    links: Links,
    connections: BTreeMap<ConnectionId, Connection<Waiting>>,
    owners: BTreeMap<RequestId, Owner>,
    requests: u64,
    /// Connections that have more to do than a turn allowed, or may go on with what they hold.
    ready: VecDeque<ConnectionId>,
    /// Connections that have output since they were last named to the driver.
    writable: Vec<ConnectionId>,
    /// The connection whose events are being taken: it is looked after once they are.
    advancing: Option<ConnectionId>,
    timers: BTreeSet<(Instant, ConnectionId)>,
    call_deadlines: BTreeSet<(Instant, ConnectionId, StreamId)>,
    publish: Publish,
    /// The cluster version that the log has told last; empty before the first.
    told_version: String,
    /// Calls that wait until the process is measured.
    measuring: Vec<(ConnectionId, StreamId)>,
    actions: VecDeque<Action>,
    ending: Ending,
    stopped: bool,
}

/// Who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Publish,
    Call(ConnectionId, StreamId),
}

impl Host {
    /// A member as recovery found it; it publishes itself when it can.
    #[must_use]
    pub fn new(options: Options, replica: Replica, now: Now) -> Self {
        let me = replica.status().member;
        let mut links = Links::new(me, options.incarnation, me.0 ^ options.incarnation.0);
        links.set_members(now.monotonic, replica.membership());
        let mut host = Self {
            service: Service::new(&options),
            limits: Limits {
                streams_max: options.v3.streams_max,
                pings: options.v3.pings,
                ..Limits::new(options.request_bytes_max)
            },
            statistics: Statistics { started: now.wall, ..Statistics::default() },
            options,
            replica,
            effects: Effects::new(),
            links,
            connections: BTreeMap::new(),
            owners: BTreeMap::new(),
            requests: 0,
            ready: VecDeque::new(),
            writable: Vec::new(),
            advancing: None,
            timers: BTreeSet::new(),
            call_deadlines: BTreeSet::new(),
            publish: Publish::Waiting(now.monotonic),
            told_version: String::new(),
            measuring: Vec::new(),
            actions: VecDeque::new(),
            ending: Ending::NotYet,
            stopped: false,
        };
        host.drain(now);
        host
    }

    /// Something happened.
    pub fn input(&mut self, now: Now, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Accepted { connection, listener, remote, security } => {
                if self.has_room(connection, listener, remote) {
                    let mut accepted = Connection::new(listener, remote, security, now);
                    calls::set_timer(&mut self.timers, connection, &mut accepted);
                    self.connections.insert(connection, accepted);
                }
            }
            Input::Connected(id) => {
                let replica = &self.replica;
                self.links.connected(now.monotonic, id, &|peer| replica.acknowledged_by(peer));
            }
            Input::Received(id, bytes) => self.on_received(now, id, bytes),
            Input::HalfClosed(id) => self.on_half_closed(now, id),
            Input::Closed(id) => self.on_closed(now, id),
            Input::Durable(lane, ticket) => self.step(now, replica::Input::Durable(lane, ticket)),
            Input::Failed(lane, ticket, failure) => {
                self.step(now, replica::Input::Failed(lane, ticket, failure));
            }
            Input::Read(id, bytes) => self.step(now, replica::Input::Read(id, bytes)),
            Input::Job(id, result) => self.step(now, replica::Input::Job(id, result)),
            Input::Measured(measured) => self.on_measured(now, *measured),
            Input::Tick => self.on_tick(now),
            Input::Flush => self.on_flush(now),
            Input::Stop => self.on_stop(now),
        }
        self.drain(now);
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Tick`] is wanted next; in the past while work is left.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if !self.ready.is_empty() {
            return Instant(0);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let call = self.call_deadlines.first().map(|(at, ..)| *at);
        [self.links.deadline(), timer, call, self.publish.deadline(), self.ending.deadline()]
            .into_iter()
            .flatten()
            .fold(self.replica.deadline(), Instant::min)
    }

    /// The bytes that wait to be written to a connection; empty if there are none.
    #[must_use]
    pub fn output(&mut self, connection: ConnectionId) -> &[u8] {
        match self.connections.get_mut(&connection) {
            Some(found) => found.output(),
            None => self.links.output(connection),
        }
    }

    /// That many bytes of [`Self::output`] were taken.
    pub fn written(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        let Some(found) = self.connections.get_mut(&connection) else {
            if let Some(peer) = self.links.peer_of(connection) {
                self.statistics.peers.entry(peer).or_default().sent_bytes += bytes as u64;
            }
            return self.links.written(now.monotonic, connection, bytes);
        };
        found.written(now, bytes);
        self.statistics.client_sent += bytes as u64;
        if found.closing {
            if found.output().is_empty() {
                self.remove(now, connection);
            }
        } else if found.output().is_empty() || found.paused {
            self.enqueue(connection);
            self.settle(now, connection);
        }
    }

    /// The replica, for the simulator's checks and for recordings.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Requests of clients that the replica was asked and has not answered for good.
    #[must_use]
    pub fn requests_open(&self) -> usize {
        self.owners.values().filter(|owner| matches!(owner, Owner::Call(..))).count()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.replica.check();
        for (request, owner) in &self.owners {
            let Owner::Call(connection, stream) = owner else { continue };
            let call = self.connections.get(connection).and_then(|c| c.calls.get(stream));
            let asked = call.and_then(|call| call.request);
            assert_eq!(asked, Some(*request), "a request is owned by a call that waits for it");
        }
    }

    fn step(&mut self, now: Now, input: replica::Input) {
        self.replica.step(now, input, &mut self.effects);
    }

    fn log(&mut self, level: Level, line: String) {
        self.actions.push_back(Action::Log(level, line));
    }

    /// Whether one more connection may be taken; it is closed if not.
    fn has_room(&mut self, id: ConnectionId, listener: Listener, remote: &str) -> bool {
        let most = match listener {
            Listener::Client | Listener::Metrics if self.ending != Ending::NotYet => 0,
            Listener::Client | Listener::Metrics => self.options.connections_max,
            Listener::Peer => self.options.connections_max + PEER_CONNECTIONS_RESERVED,
        };
        if self.connections.len() >= most {
            self.log(Level::Warn, format!("refused {remote}: too many connections"));
            self.actions.push_back(Action::Close { connection: id, at_once: true });
            return false;
        }
        true
    }

    fn on_received(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else {
            let replica = &self.replica;
            let mark = |peer| replica.acknowledged_by(peer);
            self.links.receive(now.monotonic, id, bytes, &mark);
            if let Some(peer) = self.links.peer_of(id) {
                self.statistics.peers.entry(peer).or_default().received_bytes += bytes.len() as u64;
            }
            return;
        };
        if connection.closing {
            return;
        }
        self.statistics.client_received += bytes.len() as u64;
        match connection.receive(now, self.limits, bytes) {
            Sniffed::Stays => self.advance(now, id),
            Sniffed::Tls(line) => {
                self.log(Level::Warn, line);
                self.advance(now, id);
            }
            Sniffed::Peer(beginning) => {
                self.connections.remove(&id);
                self.links.accept(now.monotonic, id);
                self.on_received(now, id, &beginning);
            }
        }
    }

    /// A member that half-closes has nothing more to say; a client may still read its answer.
    fn on_half_closed(&mut self, now: Now, id: ConnectionId) {
        if self.links.contains(id) {
            self.links.closed(now.monotonic, id);
            self.actions.push_back(Action::Close { connection: id, at_once: true });
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.half_closed = true;
        match connection.protocol() {
            Some(protocol) => protocol.half_closed(),
            None => return self.close(now, id),
        }
        // Nobody would notice that a watcher has gone: Go's server takes this for its leaving, too.
        // A stream that hears no more asks nothing, and would otherwise stay for ever.
        if connection.calls.values().any(|call| call.watching || call.request.is_none()) {
            return self.close(now, id);
        }
        self.advance(now, id);
    }

    fn on_closed(&mut self, now: Now, id: ConnectionId) {
        if self.links.contains(id) {
            self.links.closed(now.monotonic, id);
        } else {
            self.remove(now, id);
        }
    }

    fn on_tick(&mut self, now: Now) {
        self.step(now, replica::Input::Tick);
        self.links.tick(now.monotonic);
        self.expire_calls(now);
        while let Some((at, id)) =
            self.timers.first().copied().filter(|(at, _)| *at <= now.monotonic)
        {
            self.timers.remove(&(at, id));
            self.on_timer(now, id);
        }
        let has_leader = self.replica.status().leader.is_some();
        if self.publish.is_due(now.monotonic, has_leader) {
            self.publish = Publish::Asked;
            self.ask(now, Owner::Publish, publish::request(&self.options));
        }
        self.tell_version();
    }

    fn on_timer(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.timer = None;
        if connection.has_stalled(now) {
            return self.close_at_once(now, id);
        }
        let closing = connection.closing;
        if let Some(protocol) = connection.protocol().filter(|_| !closing)
            && protocol.deadline().is_some_and(|deadline| deadline <= now.monotonic)
        {
            protocol.expire(now);
        }
        self.settle(now, id);
    }

    fn on_flush(&mut self, now: Now) {
        self.drain(now);
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.queued = false;
                self.advance(now, id);
            }
        }
        self.end_if_idle(now);
        self.step(now, replica::Input::Flush);
        self.drain(now);
        self.name_writable();
    }

    /// Names the connections that have output to the driver.
    fn name_writable(&mut self) {
        while let Some(id) = self.links.next_writable() {
            self.actions.push_back(Action::Write(id));
        }
        for id in std::mem::take(&mut self.writable) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.writable = false;
                self.actions.push_back(Action::Write(id));
            }
        }
    }

    /// Carries out what the replica and the links want, until they want nothing more.
    fn drain(&mut self, now: Now) {
        while !self.stopped {
            if let Some(effect) = self.effects.pop() {
                self.on_effect(now, effect);
            } else if let Some(order) = self.links.next_order() {
                self.on_order(now, order);
            } else {
                return;
            }
        }
    }

    fn on_effect(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Disk(lane, ticket, operations) => {
                self.actions.push_back(Action::Disk(lane, ticket, operations));
            }
            Effect::Read(id, read) => self.actions.push_back(Action::Read(id, read)),
            Effect::Job(id, job) => self.actions.push_back(Action::Job(id, job)),
            Effect::Send(to, message) => {
                self.statistics.sent(now.monotonic, to, &message);
                self.links.send(now.monotonic, to, message);
            }
            Effect::Reply(request, reply) => self.on_reply(now, request, reply),
            Effect::Members => {
                let members = &self.replica.membership().members;
                self.statistics.peers.retain(|id, _| members.contains_key(id));
                self.links.set_members(now.monotonic, self.replica.membership());
            }
            Effect::Notice(notice) => self.on_notice(now, notice),
            Effect::Stop(reason) => self.stop(reason),
        }
    }

    fn on_notice(&mut self, now: Now, notice: Notice) {
        if let Notice::Leader { leader: Some(_), .. } = notice {
            self.statistics.leader_changes += 1;
            self.statistics.leader_since = now.wall;
            self.publish.leader_found(now.monotonic);
        }
        self.actions.push_back(Action::Notice(notice));
    }

    fn on_order(&mut self, now: Now, order: Order) {
        match order {
            Order::Connect(id, url) => self.actions.push_back(Action::Connect(id, url)),
            Order::Close { connection, at_once } => {
                self.actions.push_back(Action::Close { connection, at_once });
            }
            Order::Up { peer, acknowledged } => {
                self.statistics.peers.entry(peer).or_default().set_up(true);
                self.step(now, replica::Input::Connected { peer, acknowledged });
            }
            Order::Down(peer) => {
                self.statistics.peers.entry(peer).or_default().set_up(false);
                self.step(now, replica::Input::Disconnected(peer));
            }
            Order::Message(from, message) => {
                self.statistics.received(now.monotonic, from, &message);
                self.step(now, replica::Input::Peer(from, message));
            }
            Order::Removed => {
                let line = "this member has been removed from its cluster".to_owned();
                self.log(Level::Error, line);
                self.stop(StopReason::Removed);
            }
            Order::Superseded => self.stop(StopReason::Superseded),
            Order::Log(level, line) => self.log(level, line),
        }
    }
}

impl Machine for Host {
    fn input(&mut self, now: Now, input: Input<'_>) {
        Self::input(self, now, input);
    }

    fn next_action(&mut self) -> Option<Action> {
        Self::next_action(self)
    }

    fn deadline(&self) -> Instant {
        Self::deadline(self)
    }

    fn output(&mut self, connection: ConnectionId) -> &[u8] {
        Self::output(self, connection)
    }

    fn written(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        Self::written(self, now, connection, bytes);
    }
}

#[cfg(test)]
mod tests;
