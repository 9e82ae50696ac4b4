//! What a replica remembers of its peers: since when they are connected, and what they promised.

use alloc::collections::BTreeMap;

use crate::identity::MemberId;
use crate::raft::Position;
use crate::time::{Duration, Instant};

/// # Invariants
/// - `acknowledged` never goes back for a peer.
#[derive(Default)]
pub(super) struct Peers {
    connected_since: BTreeMap<MemberId, Instant>,
    acknowledged: BTreeMap<MemberId, Position>,
}

impl Peers {
    pub(super) fn connected(&mut self, now: Instant, peer: MemberId) {
        self.connected_since.entry(peer).or_insert(now);
    }

    pub(super) fn disconnected(&mut self, peer: MemberId) {
        self.connected_since.remove(&peer);
    }

    pub(super) fn is_connected(&self, peer: MemberId) -> bool {
        self.connected_since.contains_key(&peer)
    }

    /// Whether a peer has been connected for at least that long.
    pub(super) fn connected_for(&self, now: Instant, peer: MemberId, least: Duration) -> bool {
        self.connected_since.get(&peer).is_some_and(|since| now.since(*since) >= least)
    }

    /// A peer says that its disk holds everything up to here.
    pub(super) fn acknowledge(&mut self, peer: MemberId, position: Position) {
        let highest = self.acknowledged.entry(peer).or_default();
        *highest = position.max(*highest);
    }

    /// The highest entry that a peer ever acknowledged to this start of this member.
    pub(super) fn acknowledged_by(&self, peer: MemberId) -> Position {
        self.acknowledged.get(&peer).copied().unwrap_or_default()
    }
}
