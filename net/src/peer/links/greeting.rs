//! How connections begin: who calls is checked and welcomed, or refused with a reason that stands in
//! both logs.

use bytes::BytesMut;
use quorra_core::identity::MemberId;
use quorra_core::time::Instant;

use super::attempt::{Outgoing, State};
use super::channel::Role;
use super::{Links, Marks, Order};
use crate::host::{ConnectionId, Level};
use crate::peer::handshake::{Hello, Lane, Refusal, Welcome};

impl Links {
    pub(super) fn refuse(&mut self, now: Instant, connection: ConnectionId, refusal: Refusal) {
        self.put(now, connection, |out| refusal.put(out));
        if let Some(found) = self.connections.get_mut(&connection) {
            found.role = Role::Ending;
            found.input = BytesMut::new();
        }
        self.orders.push_back(Order::Close { connection, at_once: false });
    }

    pub(super) fn greet(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: Hello,
        mark: Marks<'_>,
    ) {
        let id = hello.from;
        let seen = self.peers.get(&id).and_then(|peer| peer.seen);
        let checked = match hello.check(self.me, &self.membership, seen) {
            Err(Refusal::Unknown) => self.check_newcomer(&hello, seen),
            checked => checked,
        };
        if let Err(refusal) = checked {
            if self.refused.replace((id, refusal)) != Some((id, refusal)) {
                let text = format!(
                    "refused a connection from member {id} of cluster {}: {refusal}",
                    hello.cluster
                );
                self.orders.push_back(Order::Log(Level::Warn, text));
            }
            return self.refuse(now, connection, refusal);
        }
        if seen.is_some_and(|seen| seen < hello.incarnation) {
            self.restart(now, id);
        }
        self.take_in(now, &hello);
        let acknowledged = mark(id);
        let welcome = Welcome {
            incarnation: self.incarnation,
            mark_term: acknowledged.term,
            mark_index: acknowledged.index,
        };
        self.put(now, connection, |out| welcome.put(out));
        self.admit(now, connection, hello);
    }

    /// A peer has started anew: what leads to its earlier start is dead.
    fn restart(&mut self, now: Instant, id: MemberId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let outgoing = peer.outgoing.values().filter_map(Outgoing::connection);
        let dead: Vec<_> = outgoing.chain(peer.incoming.values().copied()).collect();
        for connection in dead {
            self.abandon(now, connection, "the peer has restarted");
        }
    }

    fn admit(&mut self, now: Instant, connection: ConnectionId, hello: Hello) {
        let id = hello.from;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.seen = Some(hello.incarnation);
        peer.acknowledged = peer.acknowledged.max(hello.mark());
        // Who calls can be called: no need to wait for the next attempt.
        for outgoing in peer.outgoing.values_mut() {
            if matches!(outgoing.state, State::Waiting(_)) {
                outgoing.state = State::Waiting(now);
            }
        }
        if let Some(older) = peer.incoming.remove(&hello.lane) {
            self.review(id);
            self.abandon(now, older, "a newer connection replaces it");
        }
        if let Some(found) = self.connections.get_mut(&connection) {
            found.role = Role::Incoming(id, hello.lane);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.incoming.insert(hello.lane, connection);
        }
        self.review(id);
        self.tick(now);
    }

    pub(super) fn welcomed(
        &mut self,
        id: MemberId,
        lane: Lane,
        connection: ConnectionId,
        welcome: Welcome,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.acknowledged = peer.acknowledged.max(welcome.mark());
        if let Some(outgoing) = peer.outgoing.get_mut(&lane) {
            *outgoing = Outgoing { state: State::Open(connection), failures: 0, refusal: None };
        }
        if let Some(found) = self.connections.get_mut(&connection) {
            found.open = true;
        }
        self.review(id);
    }

    pub(super) fn refused(
        &mut self,
        now: Instant,
        id: MemberId,
        lane: Lane,
        connection: ConnectionId,
        refusal: Refusal,
    ) {
        match refusal {
            Refusal::Removed => self.orders.push_back(Order::Removed),
            Refusal::Incarnation(later) if later > self.incarnation => {
                self.orders.push_back(Order::Superseded);
            }
            _ => {}
        }
        let Some(outgoing) = self.outgoing(id, lane) else { return };
        if outgoing.refusal.replace(refusal) != Some(refusal) {
            let text = format!("peer {id} refused the connection: {refusal}");
            self.orders.push_back(Order::Log(Level::Warn, text));
        }
        self.abandon(now, connection, "refused");
    }
}
