//! Snapshots on their way to followers that the log no longer reaches.
//!
//! A follower is sent the newest published checkpoint file, read back from disk in parts, a few in
//! flight at a time. What the follower tells it has, without a gap, moves the window: forward, or
//! back when it had to begin again. Silence makes the leader send the same parts again, each time
//! after waiting twice as long, so that a slow link is not filled with repeats; much silence makes
//! it give up, and Raft probes anew.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use super::{Effect, Effects, ReadId};
use crate::disk::{DiskRead, File};
use crate::identity::MemberId;
use crate::raft::{CASTAGNOLI, Position, SnapshotChunk, SnapshotId};
use crate::time::{Duration, Instant};

/// Parts that are read or sent, but not yet received.
const WINDOW_PARTS: u64 = 4;
/// After this much silence, at the least, the unconfirmed parts are sent again.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// After this much silence the transfer is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// A published checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) at: Position,
    pub(super) bytes: u64,
}

impl Published {
    fn id(self) -> SnapshotId {
        SnapshotId { index: self.at.index, term: self.at.term }
    }
}

struct Transfer {
    source: Published,
    received: u64,
    /// What the follower last said it has: less than `received` if that answer came late, or if it
    /// began again.
    told: u64,
    asked: u64,
    heard_at: Instant,
    /// When the window last moved, or was last sent again.
    moved_at: Instant,
    /// How long the window may stand still before it is sent again.
    patience: Duration,
    /// Whether it was sent again since it last moved.
    repeated: bool,
}

impl Transfer {
    fn new(source: Published, now: Instant) -> Self {
        Self {
            source,
            received: 0,
            told: 0,
            asked: 0,
            heard_at: now,
            moved_at: now,
            patience: PATIENCE_MIN,
            repeated: false,
        }
    }

    /// The follower has this much. As much as before means that it heard something else than the
    /// next part, which may be lost: that is sent again at once, if it was not already.
    fn on_received(&mut self, now: Instant, received: u64) {
        self.heard_at = now;
        if received > self.source.bytes {
            return;
        }
        self.told = received;
        if received <= self.received {
            if received == self.received && received < self.source.bytes && !self.repeated {
                self.send_again(now);
            }
            return;
        }
        self.repeated = false;
        self.received = received;
        self.asked = self.asked.max(received);
        self.patience = (now.since(self.moved_at) * 2).max(PATIENCE_MIN);
        self.moved_at = now;
    }

    /// What was sent may be lost: it is sent again. A follower that has everything and says no more
    /// is asked by a part from the start, which it needs to answer.
    fn send_again(&mut self, now: Instant) {
        self.received = if self.told == self.source.bytes { 0 } else { self.told };
        self.asked = self.received;
        self.moved_at = now;
        self.repeated = true;
    }

    fn gives_up_at(&self) -> Instant {
        self.heard_at + GIVE_UP_AFTER
    }

    fn sends_again_at(&self) -> Instant {
        self.moved_at + self.patience
    }
}

/// # Invariants
/// - One transfer for each follower.
/// - For each transfer: received <= asked <= received + the window.
pub(super) struct Outbound {
    part_bytes: u64,
    transfers: BTreeMap<MemberId, Transfer>,
    reads: BTreeMap<ReadId, (MemberId, SnapshotId, u64)>,
}

impl Outbound {
    /// Sends parts of this size.
    pub(super) fn new(part_bytes: usize) -> Self {
        assert!(part_bytes > 0, "a part holds something");
        Self { part_bytes: part_bytes as u64, transfers: BTreeMap::new(), reads: BTreeMap::new() }
    }

    /// Raft wants a follower to have a snapshot: a transfer that already runs goes on, with what
    /// may have been lost.
    pub(super) fn begin(&mut self, now: Instant, to: MemberId, source: Published) {
        self.transfers
            .entry(to)
            .and_modify(|transfer| transfer.send_again(now))
            .or_insert_with(|| Transfer::new(source, now));
    }

    /// Forgets every transfer: this member no longer leads.
    pub(super) fn clear(&mut self) {
        self.transfers.clear();
        self.reads.clear();
    }

    /// Whether a file is still being sent.
    pub(super) fn is_sending(&self, file: File) -> bool {
        let mut sources = self.transfers.values().map(|transfer| transfer.source.at.index.0);
        sources.any(|index| File::Checkpoint(index) == file)
    }

    /// Asks the disk for what the windows have room for.
    pub(super) fn read_ahead(&mut self, next_read: &mut u64, effects: &mut Effects) {
        for (to, transfer) in &mut self.transfers {
            let window = WINDOW_PARTS * self.part_bytes;
            let end = transfer.source.bytes.min(transfer.received + window);
            while transfer.asked < end {
                let length = (end - transfer.asked).min(self.part_bytes);
                let id = ReadId(*next_read);
                *next_read += 1;
                self.reads.insert(id, (*to, transfer.source.id(), transfer.asked));
                let file = File::Checkpoint(transfer.source.at.index.0);
                effects.push(Effect::Read(id, DiskRead { file, offset: transfer.asked, length }));
                transfer.asked += length;
            }
        }
    }

    /// Whether a disk read belongs to a transfer.
    pub(super) fn owns(&self, id: ReadId) -> bool {
        self.reads.contains_key(&id)
    }

    /// A part was read: it becomes a chunk, unless its transfer has ended meanwhile.
    pub(super) fn on_read(
        &mut self,
        id: ReadId,
        bytes: Bytes,
    ) -> Option<(MemberId, SnapshotChunk)> {
        let (to, snapshot, offset) = self.reads.remove(&id)?;
        let transfer = self.transfers.get(&to)?;
        if transfer.source.id() != snapshot {
            return None;
        }
        let checksum = CASTAGNOLI.checksum(&bytes);
        let total = transfer.source.bytes;
        Some((to, SnapshotChunk { snapshot, offset, total, checksum, bytes }))
    }

    /// A part could not be read: the transfer cannot go on.
    pub(super) fn on_read_failed(&mut self, id: ReadId) -> Option<MemberId> {
        let (to, ..) = self.reads.remove(&id)?;
        self.transfers.remove(&to).map(|_| to)
    }

    /// A follower has received this much of a snapshot, without a gap.
    pub(super) fn on_received(
        &mut self,
        now: Instant,
        from: MemberId,
        snapshot: SnapshotId,
        received: u64,
    ) {
        let transfer = self.transfers.get_mut(&from);
        if let Some(transfer) = transfer.filter(|transfer| transfer.source.id() == snapshot) {
            transfer.on_received(now, received);
        }
    }

    /// A follower has installed a snapshot, or refuses it.
    pub(super) fn end(&mut self, from: MemberId, snapshot: SnapshotId) {
        if self.transfers.get(&from).is_some_and(|transfer| transfer.source.id() == snapshot) {
            self.transfers.remove(&from);
        }
    }

    /// Time has passed: unconfirmed parts are sent again, silent transfers are given up.
    pub(super) fn tick(&mut self, now: Instant) -> alloc::vec::Vec<MemberId> {
        let gone = self.transfers.extract_if(.., |_, transfer| transfer.gives_up_at() <= now);
        let gone = gone.map(|(to, _)| to).collect();
        for transfer in self.transfers.values_mut() {
            if transfer.sends_again_at() <= now {
                transfer.send_again(now);
                transfer.patience *= 2;
            }
        }
        gone
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = |transfer: &Transfer| transfer.sends_again_at().min(transfer.gives_up_at());
        self.transfers.values().map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Index, Term};
    use alloc::vec::Vec;

    const PART: u64 = 100;
    const TO: MemberId = MemberId(2);

    struct Leader {
        outbound: Outbound,
        now: Instant,
        next_read: u64,
    }

    impl Leader {
        /// Sends a snapshot of ten parts.
        fn sending() -> (Self, SnapshotId) {
            let mut leader = Self {
                outbound: Outbound::new(PART as usize),
                now: Instant(1_000_000_000),
                next_read: 0,
            };
            let source = Published { at: Position { term: Term(1), index: Index(7) }, bytes: 1000 };
            leader.outbound.begin(leader.now, TO, source);
            (leader, source.id())
        }

        /// The offsets of the parts that are asked of the disk now.
        fn parts(&mut self) -> Vec<u64> {
            let mut effects = Effects::new();
            self.outbound.read_ahead(&mut self.next_read, &mut effects);
            let mut offsets = Vec::new();
            while let Some(effect) = effects.pop() {
                let Effect::Read(_, read) = effect else { panic!("only reads are asked for") };
                offsets.push(read.offset);
            }
            offsets
        }

        /// Waits for the next thing that is to be done; how long, in seconds.
        fn waits(&mut self) -> u64 {
            let due = self.outbound.deadline().expect("a transfer runs");
            let waited = due.since(self.now).as_secs();
            self.now = due;
            waited
        }
    }

    #[test]
    fn a_silent_follower_is_sent_the_same_parts_ever_more_seldom_and_then_given_up() {
        let (mut leader, _) = Leader::sending();
        for patience in [1, 2, 4, 8] {
            assert_eq!(leader.parts(), [0, 100, 200, 300]);
            assert_eq!(leader.waits(), patience);
            assert_eq!(leader.outbound.tick(leader.now), []);
        }
        assert_eq!(leader.parts(), [0, 100, 200, 300]);
        assert_eq!(leader.waits(), 30 - 15, "before the fifth repeat it has been silent for long");
        assert_eq!(leader.outbound.tick(leader.now), [TO]);
        assert_eq!(leader.outbound.deadline(), None);
    }

    #[test]
    fn the_patience_follows_the_link() {
        let (mut leader, snapshot) = Leader::sending();
        assert_eq!(leader.parts().len(), 4);
        leader.now = leader.now + Duration::from_secs(5);
        leader.outbound.on_received(leader.now, TO, snapshot, PART);
        assert_eq!(leader.parts(), [400], "the window moves");
        assert_eq!(leader.waits(), 10, "twice what the first part took");
    }

    #[test]
    fn a_part_that_seems_lost_is_sent_again_once() {
        let (mut leader, snapshot) = Leader::sending();
        leader.parts();
        leader.outbound.on_received(leader.now, TO, snapshot, PART);
        assert_eq!(leader.parts(), [400]);
        leader.outbound.on_received(leader.now, TO, snapshot, PART);
        assert_eq!(leader.parts(), [100, 200, 300, 400]);
        leader.outbound.on_received(leader.now, TO, snapshot, PART);
        assert_eq!(leader.parts(), []);
    }

    #[test]
    fn a_follower_that_begins_again_is_sent_everything_again() {
        let (mut leader, snapshot) = Leader::sending();
        leader.parts();
        leader.outbound.on_received(leader.now, TO, snapshot, 4 * PART);
        assert_eq!(leader.parts(), [400, 500, 600, 700]);
        leader.outbound.on_received(leader.now, TO, snapshot, 0);
        assert_eq!(leader.parts(), [], "the answer may have come late");
        leader.waits();
        leader.outbound.tick(leader.now);
        assert_eq!(leader.parts(), [0, 100, 200, 300]);
    }

    #[test]
    fn a_follower_that_has_everything_and_falls_silent_is_asked_by_the_first_parts() {
        let (mut leader, snapshot) = Leader::sending();
        leader.outbound.on_received(leader.now, TO, snapshot, 10 * PART);
        assert_eq!(leader.parts(), []);
        leader.waits();
        leader.outbound.tick(leader.now);
        assert_eq!(leader.parts(), [0, 100, 200, 300]);
        leader.outbound.on_received(leader.now, TO, snapshot, 10 * PART);
        assert_eq!(leader.parts(), [], "it is still there");
    }

    #[test]
    fn a_transfer_ends_with_its_own_snapshot_only() {
        let (mut leader, snapshot) = Leader::sending();
        leader.outbound.end(TO, SnapshotId { index: Index(6), ..snapshot });
        assert!(leader.outbound.is_sending(File::Checkpoint(7)));
        leader.outbound.end(TO, snapshot);
        assert!(!leader.outbound.is_sending(File::Checkpoint(7)));
    }
}
