//! A snapshot on its way in: checked, written, and made into a state as it comes.
//!
//! Chunks are taken in order; anything else is answered with how much is there, and the leader goes
//! on from that. The file gets its name only when every byte of it is here and its own checksums
//! hold, so an interrupted transfer leaves nothing that could be taken for a checkpoint.

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
/// - `received` bytes from the start are written and loaded, without a gap.
pub(super) struct Inbound {
    cluster: ClusterId,
    snapshot: SnapshotId,
    total: u64,
    received: u64,
    stage: Stage,
}

enum Stage {
    Receiving(Box<Loader>),
    /// Everything is here; the disk is to make it durable.
    Publishing(Box<State>),
}

/// A snapshot that is complete on disk.
pub(super) struct Installed {
    pub(super) at: Position,
    bytes: u64,
    pub(super) state: Box<State>,
}

impl Installed {
    /// Its file.
    pub(super) fn published(&self) -> Published {
        Published { at: self.at, bytes: self.bytes }
    }
}

impl Inbound {
    /// Begins with the first chunk of a snapshot.
    pub(super) fn begin(
        chunk: &SnapshotChunk,
        destination: Destination,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Self {
        let create = DiskOp::Create(File::Checkpoint(chunk.snapshot.index.0));
        bulk.submit(Purpose::Received, Vec::from([create]), effects);
        let Destination { cluster, slice_keys } = destination;
        Self {
            cluster,
            snapshot: chunk.snapshot,
            total: chunk.total,
            received: 0,
            stage: Stage::Receiving(Box::new(Loader::new(slice_keys))),
        }
    }

    pub(super) fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    fn file(&self) -> File {
        File::Checkpoint(self.snapshot.index.0)
    }

    /// Takes a chunk. Answers how much is here without a gap, or `None` when the snapshot cannot be
    /// used and must be dropped.
    pub(super) fn on_chunk(
        &mut self,
        chunk: SnapshotChunk,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) -> Option<u64> {
        let Stage::Receiving(loader) = &mut self.stage else { return Some(self.received) };
        let in_place = chunk.offset == self.received && chunk.total == self.total;
        let fits = chunk.bytes.len() as u64 <= self.total.saturating_sub(chunk.offset);
        let intact = CASTAGNOLI.checksum(&chunk.bytes) == chunk.checksum;
        if !in_place || !fits || !intact || chunk.bytes.is_empty() {
            return Some(self.received);
        }
        loader.feed(chunk.bytes.clone()).ok()?;
        self.received += chunk.bytes.len() as u64;
        let file = self.file();
        let write = DiskOp::Write { file, offset: chunk.offset, bytes: chunk.bytes };
        bulk.submit(Purpose::Received, Vec::from([write]), effects);
        if self.received == self.total {
            self.complete(bulk, effects)?;
        }
        Some(self.received)
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
        bulk.submit(Purpose::ReceivedPublished(self.snapshot), Vec::from([publish]), effects);
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
