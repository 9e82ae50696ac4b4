//! Checkpoints on their way: to this disk, to followers, and from the leader.

use bytes::Bytes;

use super::bulk_lane::BulkLane;
use super::checkpoints::Checkpoints;
use super::inbound::{Attempt, Destination, Inbound, Installed, Taken};
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
    attempts: u64,
}

impl Transfers {
    /// Sends snapshots in parts of that size.
    pub(super) fn new(checkpoints: Checkpoints, part_bytes: usize) -> Self {
        Self { checkpoints, outbound: Outbound::new(part_bytes), inbound: None, attempts: 0 }
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

    /// A follower tells how much it has, or that it wants no more.
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
                self.outbound.end(from, snapshot);
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

    /// A part of a snapshot came from the leader.
    pub(super) fn on_chunk(
        &mut self,
        chunk: SnapshotChunk,
        destination: Destination,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Taken {
        if self.inbound.as_ref().is_some_and(|inbound| inbound.snapshot() != chunk.snapshot) {
            self.drop_inbound(bulk, effects);
        }
        if self.inbound.is_none() && chunk.offset > 0 {
            return Taken::Not(0);
        }
        let mut inbound = match self.inbound.take() {
            Some(inbound) => inbound,
            None => {
                self.attempts += 1;
                Inbound::begin(Attempt(self.attempts), &chunk, destination, bulk, effects)
            }
        };
        let taken = inbound.on_chunk(chunk, bulk, effects);
        match taken {
            Taken::Whole | Taken::Not(_) => self.inbound = Some(inbound),
            Taken::Unusable => inbound.abandon(bulk, effects),
        }
        taken
    }

    /// So much of what the leader sends is on disk: what to tell it, unless that was given up.
    pub(super) fn on_written(
        &mut self,
        attempt: Attempt,
        written: u64,
    ) -> Option<(SnapshotId, u64)> {
        let inbound = self.inbound.as_mut().filter(|inbound| inbound.attempt() == attempt)?;
        inbound.on_written(written);
        (written > 0).then(|| (inbound.snapshot(), written))
    }

    /// Takes the received snapshot whose file is now complete on disk.
    pub(super) fn take_installed(&mut self, attempt: Attempt) -> Option<Installed> {
        let inbound = self.inbound.take_if(|inbound| inbound.attempt() == attempt)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Index;
    use alloc::vec::Vec;

    const DESTINATION: Destination =
        Destination { cluster: crate::identity::ClusterId(0), slice_keys: 10 };

    /// A snapshot of an empty state, in one chunk.
    fn whole(index: u64) -> SnapshotChunk {
        let at = Position { term: Term(1), index: Index(index) };
        let mut state = State::new(10);
        let mut writer = state.begin_checkpoint(at).expect("nothing blocks an empty state");
        let mut bytes = Vec::new();
        while let Some(chunk) = writer.next_chunk(&mut state) {
            bytes.extend_from_slice(&chunk);
        }
        SnapshotChunk {
            snapshot: SnapshotId { index: at.index, term: at.term },
            offset: 0,
            total: bytes.len() as u64,
            checksum: raft::CASTAGNOLI.checksum(&bytes),
            bytes: bytes.into(),
        }
    }

    /// Core seed 11846: a snapshot was given up for another one and then sent again, behind a slow
    /// disk. Its first publishing was answered, its removal was still to come: what was installed
    /// had no file any more.
    #[test]
    fn the_disk_s_answer_for_a_reception_that_was_given_up_completes_no_later_one() {
        let mut transfers = Transfers::new(Checkpoints::new(0, None, Vec::new()), 100);
        let (mut bulk, mut effects) = (BulkLane::new(), Effects::new());
        for index in [7, 8, 7] {
            let taken = transfers.on_chunk(whole(index), DESTINATION, &mut bulk, &mut effects);
            assert_eq!(taken, Taken::Whole);
        }
        for given_up in [1, 2] {
            assert!(transfers.take_installed(Attempt(given_up)).is_none());
            assert!(transfers.on_written(Attempt(given_up), 1).is_none());
        }
        let installed = transfers.take_installed(Attempt(3)).expect("the last one is complete");
        assert_eq!(installed.snapshot().index, Index(7));
    }
}
