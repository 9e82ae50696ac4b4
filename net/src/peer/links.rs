//! A member's connections to all the others: opened, greeted, watched, and opened again.
//!
//! # Invariants
//! - For each other member there is at most one outgoing and one incoming connection per lane; a
//!   newer incoming one replaces an older one.
//! - A peer is *up* exactly while its control lane is greeted in both directions. Every
//!   [`Order::Up`] is followed by an [`Order::Down`] before the next one.
//! - Strangers that have not said hello are few, and have a deadline.

mod attempt;
mod backlog;
mod channel;
mod greeting;
mod newcomer;
mod order;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BytesMut};
use quorra_core::codec::DecodeError;
use quorra_core::identity::{Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft::{self, Position};
use quorra_core::random::Random;
use quorra_core::replica::Message;
use quorra_core::store::membership::Membership;
use quorra_core::time::{Duration, Instant};

use self::attempt::{Outgoing, RETRY_MAX, State};
use self::backlog::Span;
use self::channel::{Connection, Due, Role};
pub use self::order::Order;
use super::frame::{self, Kind};
use super::handshake::{self, Hello, Lane, Refusal, Welcome};
use super::message;
use crate::host::{ConnectionId, Level};

/// How long opening a connection may take, and again the greeting on it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Output beyond which messages are dropped; Raft repairs that. An empty output takes any message.
const OUTPUT_BYTES_MAX: usize = 2 * limits::INFLIGHT_BYTES_MAX;
/// A forwarded command beyond this goes by the bulk lane.
const FORWARD_CONTROL_BYTES_MAX: usize = 64 << 10;
/// Accepted connections that have not said hello.
const STRANGERS_MAX: usize = 64;

/// All connections between this member and the others.
#[derive(Debug)]
pub struct Links {
    me: MemberId,
    incarnation: Incarnation,
    membership: Membership,
    random: Random,
    opened: u64,
    peers: BTreeMap<MemberId, Peer>,
    connections: BTreeMap<ConnectionId, Connection>,
    orders: VecDeque<Order>,
    /// Connections whose output was empty and is not any more.
    writable: Vec<ConnectionId>,
    refused: Option<(MemberId, Refusal)>,
}

#[derive(Debug)]
struct Peer {
    urls: Vec<String>,
    /// The log does not name it (yet).
    newcomer: bool,
    outgoing: BTreeMap<Lane, Outgoing>,
    incoming: BTreeMap<Lane, ConnectionId>,
    acknowledged: Position,
    seen: Option<Incarnation>,
    up: bool,
}

impl Links {
    /// No connections yet: [`Self::set_members`] and [`Self::tick`] open them. `seed` spreads the
    /// attempts of members that start together.
    #[must_use]
    pub fn new(me: MemberId, incarnation: Incarnation, seed: u64) -> Self {
        Self {
            me,
            incarnation,
            membership: Membership::default(),
            random: Random::new(seed),
            opened: 0,
            peers: BTreeMap::new(),
            connections: BTreeMap::new(),
            orders: VecDeque::new(),
            writable: Vec::new(),
            refused: None,
        }
    }

    /// The next thing to do, in order.
    pub fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// A connection that has new output since it was last named here.
    pub fn next_writable(&mut self) -> Option<ConnectionId> {
        self.writable.pop()
    }

    /// Whether a connection is one of the links.
    #[must_use]
    pub fn contains(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Whom a connection leads to, once that is known.
    #[must_use]
    pub fn peer_of(&self, connection: ConnectionId) -> Option<MemberId> {
        match self.connections.get(&connection)?.role {
            Role::Incoming(id, _) | Role::Outgoing(id, _) => Some(id),
            Role::Stranger | Role::Caller | Role::Ending => None,
        }
    }

    /// The membership has changed: closes what leads to those who left, opens what is missing.
    pub fn set_members(&mut self, now: Instant, membership: &Membership) {
        self.membership = membership.clone();
        let stays = |id: &MemberId, peer: &Peer| {
            let waits = peer.newcomer && !membership.removed.contains(id);
            waits || membership.members.contains_key(id)
        };
        let gone = self.peers.iter().filter(|(id, peer)| !stays(id, peer));
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.forget(id);
        }
        for member in membership.members.values().filter(|member| member.id != self.me) {
            let peer = self.peers.entry(member.id).or_insert_with(|| Peer::new(now));
            peer.newcomer = false;
            peer.urls.clone_from(&member.peer_urls);
        }
        self.tick(now);
    }

    fn forget(&mut self, id: MemberId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        if peer.up {
            self.orders.push_back(Order::Down(id));
        }
        let outgoing = peer.outgoing.values().filter_map(Outgoing::connection);
        for connection in outgoing.chain(peer.incoming.into_values()) {
            self.connections.remove(&connection);
            self.orders.push_back(Order::Close { connection, at_once: true });
        }
    }

    /// A connection was accepted, and its first bytes may be our magic.
    pub fn accept(&mut self, now: Instant, connection: ConnectionId) {
        self.connections.insert(connection, Connection::new(Role::Stranger, now));
        let strangers =
            self.connections.values().filter(|c| matches!(c.role, Role::Stranger | Role::Caller));
        if strangers.count() > STRANGERS_MAX {
            self.abandon(now, connection, "too many connections without a greeting");
        }
    }

    /// A connection that was ordered is open.
    pub fn connected(&mut self, now: Instant, connection: ConnectionId, mark: Marks<'_>) {
        let Some(&Connection { role: Role::Outgoing(id, lane), .. }) =
            self.connections.get(&connection)
        else {
            return;
        };
        let acknowledged = mark(id);
        let hello = Hello {
            cluster: self.membership.cluster,
            from: self.me,
            to: id,
            incarnation: self.incarnation,
            lane,
            mark_term: acknowledged.term,
            mark_index: acknowledged.index,
            urls: self.own_urls(),
        };
        self.put(now, connection, |out| hello.put(out));
        if let Some(outgoing) = self.outgoing(id, lane) {
            outgoing.state = State::Greeting(connection, now + OPEN_TIMEOUT);
        }
    }

    /// A connection is gone, or could not be opened.
    pub fn closed(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(gone) = self.connections.remove(&connection) {
            self.lost(now, connection, gone.role, "the connection was closed");
        }
    }

    /// Gives a connection up.
    fn abandon(&mut self, now: Instant, connection: ConnectionId, reason: &str) {
        let Some(gone) = self.connections.remove(&connection) else { return };
        self.orders.push_back(Order::Close { connection, at_once: true });
        self.lost(now, connection, gone.role, reason);
    }

    fn lost(&mut self, now: Instant, connection: ConnectionId, role: Role, reason: &str) {
        match role {
            Role::Outgoing(id, lane) => {
                let jitter = self.random.below(1_000);
                let Some(outgoing) = self.outgoing(id, lane) else { return };
                let first = outgoing.failures == 0;
                outgoing.fail(now, jitter);
                if first {
                    let text = format!("lost the connection to peer {id} ({lane:?}): {reason}");
                    self.orders.push_back(Order::Log(Level::Warn, text));
                }
                self.review(id);
            }
            Role::Incoming(id, lane) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                if peer.incoming.get(&lane) == Some(&connection) {
                    peer.incoming.remove(&lane);
                    let is_gone = peer.newcomer && peer.incoming.is_empty();
                    self.review(id);
                    if is_gone {
                        self.forget(id);
                    }
                }
            }
            Role::Stranger | Role::Caller => {
                let text = format!("a connection to the peer listener was given up: {reason}");
                self.orders.push_back(Order::Log(Level::Debug, text));
            }
            Role::Ending => {}
        }
    }

    fn outgoing(&mut self, id: MemberId, lane: Lane) -> Option<&mut Outgoing> {
        self.peers.get_mut(&id)?.outgoing.get_mut(&lane)
    }

    /// Tells whether a peer came up or went down.
    fn review(&mut self, id: MemberId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let speaks = matches!(peer.outgoing[&Lane::Control].state, State::Open(_));
        let up = speaks && peer.incoming.contains_key(&Lane::Control);
        if up == peer.up {
            return;
        }
        peer.up = up;
        self.orders.push_back(if up {
            Order::Up { peer: id, acknowledged: peer.acknowledged }
        } else {
            Order::Down(id)
        });
        let text = format!("peer {id} is {}", if up { "connected" } else { "disconnected" });
        self.orders.push_back(Order::Log(Level::Info, text));
    }

    /// These bytes came in. `mark` tells the highest entry that a peer ever acknowledged here.
    pub fn receive(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: &[u8],
        mark: Marks<'_>,
    ) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        found.heard = now;
        if found.role == Role::Ending {
            return;
        }
        found.input.extend_from_slice(bytes);
        if let Err(error) = self.read(now, connection, mark) {
            let text = format!("a peer connection broke a rule: {error}");
            self.orders.push_back(Order::Log(Level::Warn, text));
            self.abandon(now, connection, error.rule);
        }
    }

    fn read(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        mark: Marks<'_>,
    ) -> Result<(), DecodeError> {
        while let Some(found) = self.connections.get_mut(&connection) {
            if found.role == Role::Stranger {
                match handshake::take_preface(&mut found.input)? {
                    None => return Ok(()),
                    Some(handshake::VERSION) => found.role = Role::Caller,
                    Some(theirs) => {
                        let text = format!("refused a peer that speaks protocol version {theirs}");
                        self.orders.push_back(Order::Log(Level::Warn, text));
                        self.refuse(now, connection, Refusal::Version(handshake::VERSION));
                    }
                }
                continue;
            }
            let role = found.role;
            let allowed = |kind| match role {
                Role::Caller => kind == Kind::Hello,
                Role::Outgoing(..) => matches!(kind, Kind::Welcome | Kind::Refused),
                _ => !matches!(kind, Kind::Hello | Kind::Welcome | Kind::Refused),
            };
            let Some(frame) = frame::next(&mut found.input, allowed)? else { return Ok(()) };
            match (role, frame.kind) {
                (Role::Incoming(id, _), _) => {
                    let message = message::decode(frame)?;
                    self.orders.extend(message.map(|message| Order::Message(id, message)));
                }
                (Role::Caller, _) => {
                    self.greet(now, connection, Hello::get(&frame.content)?, mark);
                }
                (Role::Outgoing(id, lane), Kind::Welcome) => {
                    self.welcomed(id, lane, connection, Welcome::get(&frame.content)?);
                }
                (Role::Outgoing(id, lane), _) => {
                    self.refused(now, id, lane, connection, Refusal::get(&frame.content)?);
                }
                (Role::Stranger | Role::Ending, _) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends a message, or drops it if there is no connection or too much waits for it.
    pub fn send(&mut self, now: Instant, to: MemberId, message: Message) {
        let wanted = match &message {
            Message::Raft(raft::Message::Chunk { .. }) => Lane::Bulk,
            Message::Forward(command) if command.len() > FORWARD_CONTROL_BYTES_MAX => Lane::Bulk,
            _ => Lane::Control,
        };
        let Some(&Outgoing { state: State::Open(connection), .. }) =
            self.outgoing(to, wanted).as_deref()
        else {
            return;
        };
        let Some(found) = self.connections.get(&connection) else { return };
        let span = Span::of(&message);
        let repeats = span.as_ref().is_some_and(|span| found.backlog.holds(span));
        if repeats || found.output.len() >= OUTPUT_BYTES_MAX {
            return;
        }
        self.put(now, connection, |out| message::encode(message, out));
        if let (Some(span), Some(found)) = (span, self.connections.get_mut(&connection)) {
            found.backlog.add(span, found.output.len());
        }
    }

    fn put(&mut self, now: Instant, connection: ConnectionId, put: impl FnOnce(&mut BytesMut)) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        if found.output.is_empty() {
            found.taken = now;
            self.writable.push(connection);
        }
        found.spoke = now;
        put(&mut found.output);
    }

    /// What waits to be written to a connection.
    #[must_use]
    pub fn output(&self, connection: ConnectionId) -> &[u8] {
        self.connections.get(&connection).map_or(&[], |found| &found.output)
    }

    /// That much of the output was taken.
    pub fn written(&mut self, now: Instant, connection: ConnectionId, bytes: usize) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        let bytes = bytes.min(found.output.len());
        found.output.advance(bytes);
        found.backlog.take(bytes);
        found.taken = now;
        if found.output.is_empty() && found.role == Role::Ending {
            self.connections.remove(&connection);
        }
    }

    /// Time has passed: opens, pings, and gives up.
    pub fn tick(&mut self, now: Instant) {
        let due: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(id, found)| Some((*id, found.due(now)?)))
            .collect();
        for (connection, due) in due {
            match due {
                Due::Ping => self.put(now, connection, |out| frame::put(out, Kind::Ping, |_| ())),
                Due::GiveUp(reason) => self.abandon(now, connection, reason),
            }
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            for lane in [Lane::Control, Lane::Bulk] {
                match self.outgoing(id, lane).map(|outgoing| outgoing.state) {
                    Some(State::Waiting(until)) if until <= now => self.open(now, id, lane),
                    Some(State::Opening(connection, end) | State::Greeting(connection, end))
                        if end <= now =>
                    {
                        self.abandon(now, connection, "no answer in time");
                    }
                    _ => {}
                }
            }
        }
    }

    fn open(&mut self, now: Instant, id: MemberId, lane: Lane) {
        let connection = ConnectionId(self.opened * 2 + 1);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(outgoing) = peer.outgoing.get_mut(&lane) else { return };
        let attempt = usize::try_from(outgoing.failures).unwrap_or(0);
        let Some(url) = attempt.checked_rem(peer.urls.len()).and_then(|i| peer.urls.get(i)) else {
            outgoing.state = State::Waiting(now + RETRY_MAX);
            return;
        };
        self.opened += 1;
        outgoing.state = State::Opening(connection, now + OPEN_TIMEOUT);
        self.orders.push_back(Order::Connect(connection, url.clone()));
        self.connections.insert(connection, Connection::new(Role::Outgoing(id, lane), now));
    }

    /// When [`Self::tick`] has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let attempts =
            self.peers.values().flat_map(|peer| peer.outgoing.values()).filter_map(|outgoing| {
                match outgoing.state {
                    State::Waiting(until) => Some(until),
                    State::Opening(_, end) | State::Greeting(_, end) => Some(end),
                    State::Open(_) => None,
                }
            });
        attempts.chain(self.connections.values().filter_map(Connection::deadline)).min()
    }
}

/// Tells the highest entry that a peer ever acknowledged to this member.
pub type Marks<'a> = &'a dyn Fn(MemberId) -> Position;

#[cfg(test)]
mod tests;
