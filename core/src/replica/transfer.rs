//! Checkpoints on their way: to this disk, to followers, and from the leader.

use bytes::Bytes;

use super::bulk_lane::BulkLane;
use super::checkpoints::Checkpoints;
use super::inbound::{Destination, Inbound, Installed};
use super::outbound::Outbound;
use super::{Effect, Effects, Message, ReadId};
use crate::disk::DiskFailure;
use crate::identity::MemberId;
use crate::raft::{self, Position, Raft, SnapshotChunk, SnapshotId, Term};
use crate::store::State;
use crate::time::Instant;

/// # Invariants
/// - A file that is being sent is not removed.
/// - At most one snapshot is being received.
pub(super) struct Transfers {
    pub(super) checkpoints: Checkpoints,
    pub(super) outbound: Outbound,
    inbound: Option<Inbound>,
}

impl Transfers {
    pub(super) fn new(checkpoints: Checkpoints) -> Self {
        Self { checkpoints, outbound: Outbound::default(), inbound: None }
    }

    /// A follower needs a snapshot; without a checkpoint there is none to send.
    pub(super) fn begin_outbound(&mut self, now: Instant, to: MemberId, raft: &mut Raft) {
        match self.checkpoints.published() {
            Some(published) => self.outbound.begin(now, to, published),
            None => raft.snapshot_sent(to, None),
        }
    }

    /// A part of a snapshot was read back from disk: it is sent on.
    pub(super) fn on_read(
        &mut self,
        id: ReadId,
        bytes: Result<Bytes, DiskFailure>,
        term: Term,
        raft: &mut Raft,
        effects: &mut Effects,
    ) {
        match bytes {
            Ok(bytes) if !bytes.is_empty() => {
                if let Some((to, chunk)) = self.outbound.on_read(id, bytes) {
                    let message = raft::Message::Chunk { term, chunk };
                    effects.push(Effect::Send(to, Message::Raft(message)));
                }
            }
            _ => {
                if let Some(to) = self.outbound.on_read_failed(id) {
                    raft.snapshot_sent(to, None);
                }
            }
        }
    }

    /// A follower tells how much it has.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        from: MemberId,
        snapshot: SnapshotId,
        received: Option<u64>,
        raft: &mut Raft,
    ) {
        match received {
            Some(received) => self.outbound.on_received(now, from, snapshot, received),
            None => {
                self.outbound.on_refused(from, snapshot);
                raft.snapshot_sent(from, None);
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, raft: &mut Raft) {
        for to in self.outbound.tick(now) {
            raft.snapshot_sent(to, None);
        }
    }

    /// A part of a snapshot came from the leader: how much of it is here now, without a gap, or
    /// none if it cannot be used.
    pub(super) fn on_chunk(
        &mut self,
        chunk: SnapshotChunk,
        destination: Destination,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Option<u64> {
        if self.inbound.as_ref().is_some_and(|inbound| inbound.snapshot() != chunk.snapshot) {
            self.drop_inbound(bulk, effects);
        }
        if self.inbound.is_none() && chunk.offset > 0 {
            return Some(0);
        }
        let mut inbound = match self.inbound.take() {
            Some(inbound) => inbound,
            None => Inbound::begin(&chunk, destination, bulk, effects),
        };
        let received = inbound.on_chunk(chunk, bulk, effects);
        match received {
            Some(_) => self.inbound = Some(inbound),
            None => inbound.abandon(bulk, effects),
        }
        received
    }

    /// Takes the received snapshot whose file is now complete on disk.
    pub(super) fn take_installed(&mut self, snapshot: SnapshotId) -> Option<Installed> {
        let inbound = self.inbound.take_if(|inbound| inbound.snapshot() == snapshot)?;
        inbound.into_installed()
    }

    /// Gives up what was being received.
    pub(super) fn drop_inbound(&mut self, bulk: &mut BulkLane, effects: &mut Effects) {
        if let Some(inbound) = self.inbound.take() {
            inbound.abandon(bulk, effects);
        }
    }

    /// Begins or continues a checkpoint, and removes what is superseded.
    pub(super) fn advance(
        &mut self,
        log_bytes: u64,
        applied: Position,
        state: &mut State,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) {
        if self.inbound.is_none() {
            self.checkpoints.begin_if_due(log_bytes, state, applied, bulk, effects);
        }
        self.checkpoints.advance(state, bulk, effects);
        let outbound = &self.outbound;
        self.checkpoints.remove_superseded(|file| outbound.is_sending(file), bulk, effects);
    }

    /// Whether a checkpoint could go on at once.
    pub(super) fn has_work(&self, bulk: &BulkLane) -> bool {
        self.checkpoints.has_work(bulk)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.outbound.deadline()
    }
}
