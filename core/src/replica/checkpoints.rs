//! Taking checkpoints: when, how fast, and what may be forgotten afterwards.
//!
//! A checkpoint is due when the log behind the last one exceeds both a fixed size and the size of
//! the state, so that its cost stays a constant share of the writing. It is pulled from the state
//! in chunks while commands go on being applied, at most two chunks ahead of the disk. Only when
//! the whole file is published may the log below it go.

use alloc::vec::Vec;

use super::Effects;
use super::bulk_lane::{BulkLane, Purpose};
use super::outbound::Published;
use crate::disk::{DiskOp, File};
use crate::raft::Position;
use crate::store::State;
use crate::store::checkpoint::Writer;

/// Chunks that may be on their way to the disk.
const CHUNKS_IN_FLIGHT_MAX: usize = 2;

/// # Invariants
/// - At most one checkpoint is being taken.
/// - `published` is complete on disk, and only grows.
pub(super) struct Checkpoints {
    log_bytes_min: u64,
    taking: Option<Taking>,
    published: Option<Published>,
    /// Older files, to be removed when nobody reads them any more.
    superseded: Vec<File>,
}

struct Taking {
    writer: Writer,
    at: Position,
    offset: u64,
    complete: bool,
}

impl Checkpoints {
    /// What recovery found. One is due when the log exceeds this.
    pub(super) fn new(
        log_bytes_min: u64,
        published: Option<Published>,
        superseded: Vec<File>,
    ) -> Self {
        Self { log_bytes_min, taking: None, published, superseded }
    }

    /// The newest complete checkpoint.
    pub(super) fn published(&self) -> Option<Published> {
        self.published
    }

    /// Where the newest complete checkpoint stands, or the start of the log.
    pub(super) fn base(&self) -> Position {
        self.published.map(|published| published.at).unwrap_or_default()
    }

    /// What the newest complete checkpoint takes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.published.map_or(0, |published| published.bytes)
    }

    /// Begins a checkpoint of the present state if one is due.
    pub(super) fn begin_if_due(
        &mut self,
        log_bytes: u64,
        state: &mut State,
        applied: Position,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) {
        let due = log_bytes > self.log_bytes_min.max(state.bytes());
        if !due || self.taking.is_some() || applied.index <= self.base().index {
            return;
        }
        let Some(writer) = state.begin_checkpoint(applied) else { return };
        let create = DiskOp::Create(File::Checkpoint(applied.index.0));
        bulk.submit(Purpose::Checkpoint, Vec::from([create]), effects);
        self.taking = Some(Taking { writer, at: applied, offset: 0, complete: false });
    }

    /// Writes the next chunk if the disk keeps up.
    pub(super) fn advance(
        &mut self,
        state: &mut State,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) {
        if !self.has_work(bulk) {
            return;
        }
        let Some(taking) = &mut self.taking else { return };
        let file = File::Checkpoint(taking.at.index.0);
        match taking.writer.next_chunk(state) {
            Some(bytes) => {
                let offset = taking.offset;
                taking.offset += bytes.len() as u64;
                if !bytes.is_empty() {
                    let write = DiskOp::Write { file, offset, bytes };
                    bulk.submit(Purpose::Checkpoint, Vec::from([write]), effects);
                }
            }
            None => {
                taking.complete = true;
                let publish = DiskOp::Publish(file);
                bulk.submit(Purpose::CheckpointPublished, Vec::from([publish]), effects);
            }
        }
    }

    /// Whether [`Self::advance`] has something to do now. Chunks wait for their file, and its name
    /// waits for all of them: whatever fails on a full disk, no part of a file is published.
    pub(super) fn has_work(&self, bulk: &BulkLane) -> bool {
        self.taking.as_ref().is_some_and(|taking| {
            let waits = taking.offset == 0 || taking.writer.is_complete();
            let most = if waits { 1 } else { CHUNKS_IN_FLIGHT_MAX };
            !taking.complete && bulk.in_flight(Purpose::Checkpoint) < most
        })
    }

    /// Whether the checkpoint is complete and about to get its name: it cannot be given up.
    pub(super) fn is_publishing(&self) -> bool {
        self.taking.as_ref().is_some_and(|taking| taking.complete)
    }

    /// The checkpoint that was being taken is complete on disk.
    pub(super) fn on_published(&mut self) {
        let Some(taking) = self.taking.take() else { return };
        assert!(taking.complete, "only a complete checkpoint is published");
        self.publish(Published { at: taking.at, bytes: taking.offset });
    }

    /// A complete checkpoint is on disk: taken here, or received.
    pub(super) fn publish(&mut self, published: Published) {
        let newest = self.published.map_or(published, |known| match known.at.index {
            index if index > published.at.index => known,
            _ => published,
        });
        let all = self.published.into_iter().chain([published]);
        let files = all.map(|checkpoint| File::Checkpoint(checkpoint.at.index.0));
        self.superseded.extend(files);
        self.superseded.retain(|file| *file != File::Checkpoint(newest.at.index.0));
        self.published = Some(newest);
    }

    /// A complete checkpoint is of no use: its file goes, unless it is the newest one's.
    pub(super) fn discard(&self, published: Published, bulk: &mut BulkLane, effects: &mut Effects) {
        if self.published.is_none_or(|newest| newest.at.index != published.at.index) {
            let remove = DiskOp::Remove(File::Checkpoint(published.at.index.0));
            bulk.submit(Purpose::Removal, Vec::from([remove]), effects);
        }
    }

    /// Gives up the checkpoint that is being taken: the disk is full, or the state was replaced.
    pub(super) fn abandon(
        &mut self,
        state: &mut State,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) {
        let Some(taking) = self.taking.take() else { return };
        taking.writer.abandon(state);
        let remove = DiskOp::Remove(File::Checkpoint(taking.at.index.0));
        bulk.submit(Purpose::Removal, Vec::from([remove]), effects);
    }

    /// Removes superseded files that nobody reads.
    pub(super) fn remove_superseded(
        &mut self,
        is_read: impl Fn(File) -> bool,
        bulk: &mut BulkLane,
        effects: &mut Effects,
    ) {
        let unread: Vec<DiskOp> =
            self.superseded.extract_if(.., |file| !is_read(*file)).map(DiskOp::Remove).collect();
        bulk.submit(Purpose::Removal, unread, effects);
    }
}
