//! Snapshots on their way to followers that the log no longer reaches.
//!
//! A follower is sent the newest published checkpoint file, read back from disk in chunks, a few in
//! flight at a time. What the follower has received without a gap moves the window; silence makes
//! the leader send the same part again, and much silence makes it give up, so that Raft probes anew.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use super::{Effect, Effects, ReadId};
use crate::disk::{DiskRead, File};
use crate::identity::MemberId;
use crate::limits::CHECKPOINT_CHUNK_BYTES;
use crate::raft::{CASTAGNOLI, Position, SnapshotChunk, SnapshotId};
use crate::time::{Duration, Instant};

/// Chunks that are read or sent, but not yet received.
const WINDOW_BYTES: u64 = 4 * CHECKPOINT_CHUNK_BYTES as u64;
/// After this much silence the unconfirmed part is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// After this much silence the transfer is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);

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
    asked: u64,
    heard_at: Instant,
    resent_at: Instant,
}

/// # Invariants
/// - One transfer for each follower.
/// - For each transfer: received <= asked <= received + the window.
#[derive(Default)]
pub(super) struct Outbound {
    transfers: BTreeMap<MemberId, Transfer>,
    reads: BTreeMap<ReadId, (MemberId, SnapshotId, u64)>,
}

impl Outbound {
    /// Begins sending; a transfer that already runs goes on.
    pub(super) fn begin(&mut self, now: Instant, to: MemberId, source: Published) {
        let fresh = Transfer { source, received: 0, asked: 0, heard_at: now, resent_at: now };
        self.transfers.entry(to).or_insert(fresh);
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
            let end = transfer.source.bytes.min(transfer.received + WINDOW_BYTES);
            while transfer.asked < end {
                let length = (end - transfer.asked).min(CHECKPOINT_CHUNK_BYTES as u64);
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
        let Some(transfer) = self.transfers.get_mut(&from) else { return };
        if transfer.source.id() != snapshot {
            return;
        }
        transfer.heard_at = now;
        if received > transfer.received && received <= transfer.asked {
            transfer.received = received;
            transfer.resent_at = now;
        }
    }

    /// A follower refuses a snapshot.
    pub(super) fn on_refused(&mut self, from: MemberId, snapshot: SnapshotId) {
        if self.transfers.get(&from).is_some_and(|transfer| transfer.source.id() == snapshot) {
            self.transfers.remove(&from);
        }
    }

    /// Time has passed: unconfirmed parts are sent again, silent transfers are given up.
    pub(super) fn tick(&mut self, now: Instant) -> alloc::vec::Vec<MemberId> {
        let silent = |t: &Transfer| now.since(t.heard_at) >= GIVE_UP_AFTER;
        let gone = self.transfers.extract_if(.., |_, transfer| silent(transfer));
        let gone = gone.map(|(to, _)| to).collect();
        for transfer in self.transfers.values_mut() {
            if transfer.asked > transfer.received && now.since(transfer.resent_at) >= RESEND_AFTER {
                transfer.asked = transfer.received;
                transfer.resent_at = now;
            }
        }
        gone
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = |transfer: &Transfer| {
            let given_up = transfer.heard_at + GIVE_UP_AFTER;
            let resent = transfer.resent_at + RESEND_AFTER;
            if transfer.asked > transfer.received { resent.min(given_up) } else { given_up }
        };
        self.transfers.values().map(due).min()
    }
}
