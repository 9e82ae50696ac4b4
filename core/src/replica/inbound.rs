//! A snapshot on its way in: checked, written, and made into a state as it comes.
//!
//! Chunks are taken in order; anything else is answered with how much is there, and the leader goes
//! on from that. Only what is on disk is answered for, so that the leader's window bounds what
//! waits here, however slow the disk. The file gets its name only when every byte of it is here and
//! its own checksums hold, so an interrupted transfer leaves nothing that could be taken for a
//! checkpoint.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Effects;
use super::bulk_lane::{BulkLane, Purpose};
use super::outbound::Published;
use crate::disk::{DiskOp, File};
use crate::identity::ClusterId;
use crate::raft::{CASTAGNOLI, Position, SnapshotChunk, SnapshotId};
use crate::store::State;
use crate::store::checkpoint::Loader;

/// What a snapshot is received for.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    /// The only cluster whose state is taken.
    pub(super) cluster: ClusterId,
    /// See [`Loader::new`].
    pub(super) slice_keys: usize,
}

/// # Invariants
/// - `received` bytes from the start are loaded and on their way to the disk, without a gap.
/// - `written <= received` bytes from the start are on disk.
pub(super) struct Inbound {
    attempt: Attempt,
    cluster: ClusterId,
    snapshot: SnapshotId,
    total: u64,
    received: u64,
    written: u64,
    stage: Stage,
}

/// Tells one reception from another of the same snapshot: the disk may still answer for an earlier
/// one that was given up. Counts up from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt(pub(super) u64);

enum Stage {
    Receiving(Box<Loader>),
    /// Everything is here; the disk is to make it durable.
    Publishing(Box<State>),
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is on its way to the disk.
    Whole,
    /// It was not the next one; so much is on disk.
    Not(u64),
    /// The snapshot cannot be used and must be dropped.
    Unusable,
}

/// A snapshot that is complete on disk.
pub(super) struct Installed {
    pub(super) at: Position,
    bytes: u64,
    pub(super) state: Box<State>,
}

impl Installed {
    pub(super) fn snapshot(&self) -> SnapshotId {
        SnapshotId { index: self.at.index, term: self.at.term }
    }

    /// Its file.
    pub(super) fn published(&self) -> Published {
        Published { at: self.at, bytes: self.bytes }
    }
}

impl Inbound {
    /// Begins with the first chunk of a snapshot.
    pub(super) fn begin(
        attempt: Attempt,
        chunk: &SnapshotChunk,
        destination: Destination,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Self {
        let create = DiskOp::Create(File::Checkpoint(chunk.snapshot.index.0));
        bulk.submit(Purpose::Received(attempt, 0), Vec::from([create]), effects);
        let Destination { cluster, slice_keys } = destination;
        Self {
            attempt,
            cluster,
            snapshot: chunk.snapshot,
            total: chunk.total,
            received: 0,
            written: 0,
            stage: Stage::Receiving(Box::new(Loader::new(slice_keys))),
        }
    }

    pub(super) fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    fn file(&self) -> File {
        File::Checkpoint(self.snapshot.index.0)
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Takes a chunk; its answer waits for the disk.
    pub(super) fn on_chunk(
        &mut self,
        chunk: SnapshotChunk,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Taken {
        let Stage::Receiving(loader) = &mut self.stage else { return Taken::Not(self.written) };
        let in_place = chunk.offset == self.received && chunk.total == self.total;
        let fits = chunk.bytes.len() as u64 <= self.total.saturating_sub(chunk.offset);
        let intact = CASTAGNOLI.checksum(&chunk.bytes) == chunk.checksum;
        if !in_place || !fits || !intact || chunk.bytes.is_empty() {
            return Taken::Not(self.written);
        }
        if loader.feed(chunk.bytes.clone()).is_err() {
            return Taken::Unusable;
        }
        self.received += chunk.bytes.len() as u64;
        let file = self.file();
        let write = DiskOp::Write { file, offset: chunk.offset, bytes: chunk.bytes };
        bulk.submit(Purpose::Received(self.attempt, self.received), Vec::from([write]), effects);
        if self.received == self.total && self.complete(bulk, effects).is_none() {
            return Taken::Unusable;
        }
        Taken::Whole
    }

    /// This much is on disk.
    pub(super) fn on_written(&mut self, written: u64) {
        assert!(self.written <= written && written <= self.received, "the lane is in order");
        self.written = written;
    }

    fn complete(&mut self, bulk: &mut BulkLane, effects: &mut Effects) -> Option<()> {
        let Stage::Receiving(loader) = &mut self.stage else { return None };
        let loader = core::mem::replace(&mut **loader, Loader::new(1));
        let (at, state) = loader.finish().ok()?;
        let named = SnapshotId { index: at.index, term: at.term };
        if named != self.snapshot || state.membership().cluster != self.cluster {
            return None;
        }
        self.stage = Stage::Publishing(Box::new(state));
        let publish = DiskOp::Publish(self.file());
        bulk.submit(Purpose::ReceivedPublished(self.attempt), Vec::from([publish]), effects);
        Some(())
    }

    /// The file is complete on disk.
    pub(super) fn into_installed(self) -> Option<Installed> {
        let Stage::Publishing(state) = self.stage else { return None };
        let at = Position { term: self.snapshot.term, index: self.snapshot.index };
        Some(Installed { at, bytes: self.total, state })
    }

    /// Drops what has arrived.
    pub(super) fn abandon(self, bulk: &mut BulkLane, effects: &mut Effects) {
        bulk.submit(Purpose::Removal, Vec::from([DiskOp::Remove(self.file())]), effects);
    }
}
