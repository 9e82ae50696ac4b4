//! Members that are not known here (yet).
//!
//! A member that joins a running cluster, or was away while the cluster changed, does not know who
//! leads it: that is in the log which only the leader can bring. So whoever belongs to this cluster,
//! was not removed as far as is known here, and greets this member by its id, is taken at its word
//! and called back where it says it is reached: a *newcomer*, until the log names it or it goes.
//! Raft needs no more: votes and entries are judged by terms and logs, not by their senders. Only
//! members count in quorums, and a leader takes commands from members only.

use std::collections::BTreeMap;

use quorra_core::identity::Incarnation;
use quorra_core::raft::Position;
use quorra_core::time::Instant;

use super::attempt::{Outgoing, State};
use super::order::Order;
use super::{Links, Peer};
use crate::host::Level;
use crate::peer::handshake::{Hello, Lane, Refusal};

/// Members that the log does not name (yet).
pub(super) const NEWCOMERS_MAX: usize = 16;
/// What a hello may tell of its sender's URLs; the rest is left out.
const HELLO_URL_BYTES_MAX: usize = 32 << 10;

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        let outgoing = Outgoing { state: State::Waiting(now), failures: 0, refusal: None };
        Self {
            urls: Vec::new(),
            newcomer: false,
            outgoing: [(Lane::Control, outgoing), (Lane::Bulk, outgoing)].into(),
            incoming: BTreeMap::new(),
            acknowledged: Position::default(),
            seen: None,
            up: false,
        }
    }
}

impl Links {
    /// Whether a caller whom the log does not name (yet) may come: if it can be called back, there
    /// is room, and no later start of it was heard.
    pub(super) fn check_newcomer(
        &self,
        hello: &Hello,
        seen: Option<Incarnation>,
    ) -> Result<(), Refusal> {
        let newcomers = self.peers.values().filter(|peer| peer.newcomer).count();
        let known = self.peers.contains_key(&hello.from);
        match seen {
            _ if hello.urls.is_empty() => Err(Refusal::Unknown),
            _ if !known && newcomers >= NEWCOMERS_MAX => Err(Refusal::Unknown),
            Some(seen) if seen > hello.incarnation => Err(Refusal::Incarnation(seen)),
            _ => Ok(()),
        }
    }

    /// Takes in a caller who may come, unless the log names it anyway.
    pub(super) fn take_in(&mut self, now: Instant, hello: &Hello) {
        if self.membership.members.contains_key(&hello.from) {
            return;
        }
        if !self.peers.contains_key(&hello.from) {
            let text =
                format!("member {} is not known here yet: it is taken at its word", hello.from);
            self.orders.push_back(Order::Log(Level::Info, text));
        }
        let peer = self.peers.entry(hello.from).or_insert_with(|| Peer::new(now));
        peer.newcomer = true;
        peer.urls.clone_from(&hello.urls);
    }

    /// Where the others reach this member, as far as its log tells and a hello has room.
    pub(super) fn own_urls(&self) -> Vec<String> {
        let urls = self.membership.members.get(&self.me).map_or(&[][..], |own| &own.peer_urls);
        let mut bytes = 0;
        let fits = |url: &&String| {
            bytes += url.len();
            bytes <= HELLO_URL_BYTES_MAX
        };
        urls.iter().take_while(fits).cloned().collect()
    }
}
