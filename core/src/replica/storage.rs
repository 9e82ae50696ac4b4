//! A replica's disk: both lanes, the checkpoints that lie there, and what is read back.
//!
//! The log lane carries what claims wait for; the bulk lane everything large. Where one must follow
//! the other, it is a state kept here: a checkpoint is complete before the log below it is cut, and
//! a received snapshot is complete before it becomes the state.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::bulk_lane::{BulkLane, Purpose};
use super::checkpoints::Checkpoints;
use super::inbound::{Destination, Installed, Taken};
use super::log_lane::LogLane;
use super::recovery::Parts;
use super::transfer::Transfers;
use super::{Effect, Effects, Options, ReadId};
use crate::disk::{DiskFailure, DiskRead, Lane, Ticket};
use crate::identity::MemberId;
use crate::raft::{self, Index, LogBatch, Position, Raft, SnapshotChunk, SnapshotId};
use crate::store::State;
use crate::time::Instant;

/// # Invariants
/// - A disk read belongs either to `log_reads` or to a transfer.
pub(super) struct Storage {
    log: LogLane,
    bulk: BulkLane,
    transfers: Transfers,
    /// Entries that are read back for lagging followers.
    log_reads: BTreeMap<ReadId, (MemberId, DiskRead, Index)>,
    next_read: u64,
    entries_kept: u64,
    slice_keys: usize,
}

impl Storage {
    /// What recovery found. `first` is what a new log begins with.
    pub(super) fn new(options: &Options, parts: &mut Parts, first: Option<LogBatch>) -> Self {
        let superseded = core::mem::take(&mut parts.superseded);
        let checkpoints =
            Checkpoints::new(options.checkpoint_log_bytes, parts.published, superseded);
        let wal = parts.wal.take().expect("recovery leaves a log to go on with");
        Self {
            log: LogLane::new(wal, first),
            bulk: BulkLane::new(),
            transfers: Transfers::new(checkpoints, options.snapshot_part_bytes),
            log_reads: BTreeMap::new(),
            next_read: 0,
            entries_kept: options.entries_kept,
            slice_keys: options.slice_keys,
        }
    }

    /// Takes a batch of the log; its ticket says when it is durable.
    pub(super) fn submit(&mut self, batch: LogBatch, effects: &mut Effects) -> Ticket {
        self.log.submit(batch, effects)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, raft: &mut Raft, effects: &mut Effects) {
        self.transfers.tick(now, raft);
        self.log.write_held(effects);
        // Not the commit index: what was committed in this very turn may still wait to be written,
        // in the place of an older entry that is on disk.
        if let Some(gap) = self.log.close_gap(now, raft.applicable_index()) {
            self.log.submit(gap, effects);
        }
    }

    /// Goes on with what runs in the background: space for the log, checkpoints, transfers.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        applied: Position,
        state: &mut State,
        effects: &mut Effects,
    ) {
        let ops = self.log.prepare(now);
        self.bulk.submit(Purpose::Prepare, ops, effects);
        let log_bytes = self.log.wal.bytes_since(self.transfers.checkpoints.base());
        self.transfers.advance(log_bytes, applied, state, &mut self.bulk, effects);
        self.transfers.outbound.read_ahead(&mut self.next_read, effects);
    }

    /// Everything up to this ticket of the log lane is durable.
    pub(super) fn log_durable(&mut self, now: Instant, ticket: Ticket) {
        self.log.durable(now, ticket);
    }

    /// Everything up to this ticket of the bulk lane is durable. A received snapshot that is
    /// complete with it comes back.
    pub(super) fn bulk_durable(
        &mut self,
        ticket: Ticket,
        raft: &mut Raft,
        out: &mut raft::Output,
        effects: &mut Effects,
    ) -> Option<Installed> {
        let mut installed = None;
        while let Some(purpose) = self.bulk.durable(ticket) {
            match purpose {
                Purpose::Prepare => self.log.prepared(effects),
                Purpose::Checkpoint | Purpose::Removal => {}
                Purpose::Received(attempt, written) => {
                    let told = self.transfers.on_written(attempt, written);
                    if let (Some((snapshot, written)), Some(leader)) = (told, raft.leader()) {
                        raft.chunk_received(leader, snapshot, Some(written), out);
                    }
                }
                Purpose::CheckpointPublished => {
                    self.transfers.checkpoints.on_published();
                    self.cut_log(raft, effects);
                }
                Purpose::ReceivedPublished(attempt) => {
                    installed = self.transfers.take_installed(attempt);
                }
            }
        }
        installed
    }

    /// Removes what the newest checkpoint made superfluous. For followers that lag a little, a
    /// number of entries stays, but not more than what memory holds.
    fn cut_log(&mut self, raft: &mut Raft, effects: &mut Effects) {
        let checkpoint = self.transfers.checkpoints.base();
        let cut = Index(checkpoint.index.0.saturating_sub(self.entries_kept));
        let kept = raft.entry(cut).map(|entry| Position { term: entry.term, index: cut });
        let kept = kept.or_else(|| raft.tail_base()).unwrap_or(checkpoint);
        let base = kept.min(checkpoint);
        raft.compacted(base);
        let ops = self.log.wal.cut(base.index);
        self.bulk.submit(Purpose::Removal, ops, effects);
    }

    /// The received snapshot becomes the state: what was being taken of the old one is given up.
    pub(super) fn on_installed(
        &mut self,
        installed: &Installed,
        old: &mut State,
        effects: &mut Effects,
    ) {
        if !self.transfers.checkpoints.is_publishing() {
            self.transfers.checkpoints.abandon(old, &mut self.bulk, effects);
        }
        self.transfers.checkpoints.publish(installed.published());
    }

    /// The received snapshot is not wanted any more.
    pub(super) fn drop_installed(&mut self, installed: &Installed, effects: &mut Effects) {
        self.transfers.checkpoints.discard(installed.published(), &mut self.bulk, effects);
    }

    /// The operations of this ticket failed. False if the member cannot go on.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        (lane, ticket): (Lane, Ticket),
        failure: DiskFailure,
        state: &mut State,
        effects: &mut Effects,
    ) -> bool {
        if (lane, failure) != (Lane::Bulk, DiskFailure::Full) {
            return false;
        }
        match self.bulk.failed(ticket) {
            Some(Purpose::Prepare) => self.log.prepare_failed(now),
            Some(Purpose::Checkpoint | Purpose::CheckpointPublished) => {
                self.transfers.checkpoints.abandon(state, &mut self.bulk, effects);
            }
            Some(Purpose::Received(..) | Purpose::ReceivedPublished(_)) => {
                self.transfers.drop_inbound(&mut self.bulk, effects);
            }
            Some(Purpose::Removal) => {}
            None => return false,
        }
        true
    }

    /// A disk read came back.
    pub(super) fn on_read(
        &mut self,
        id: ReadId,
        bytes: Result<Bytes, DiskFailure>,
        raft: &mut Raft,
        out: &mut raft::Output,
        effects: &mut Effects,
    ) {
        if let Some((to, read, from)) = self.log_reads.remove(&id) {
            let bytes = bytes.unwrap_or_default();
            let entries = self.log.wal.decode(read, bytes, from).unwrap_or_default();
            raft.entries_read(to, entries, out);
        } else if self.transfers.outbound.owns(id) {
            let term = raft.term();
            self.transfers.on_read(id, bytes, term, raft, effects);
        }
    }

    /// Reads entries back for a follower.
    pub(super) fn read_log(
        &mut self,
        (to, from, bytes): (MemberId, Index, usize),
        raft: &mut Raft,
        out: &mut raft::Output,
        effects: &mut Effects,
    ) {
        match self.log.wal.locate(from, bytes as u64) {
            Some(read) => {
                let id = ReadId(self.next_read);
                self.next_read += 1;
                self.log_reads.insert(id, (to, read, from));
                effects.push(Effect::Read(id, read));
            }
            None => raft.entries_read(to, Vec::new(), out),
        }
    }

    /// A follower needs a snapshot.
    pub(super) fn begin_outbound(&mut self, now: Instant, to: MemberId, raft: &mut Raft) {
        self.transfers.begin_outbound(now, to, raft);
    }

    /// A follower tells how much of a snapshot it has.
    pub(super) fn on_chunk_answer(
        &mut self,
        now: Instant,
        (from, snapshot, received): (MemberId, SnapshotId, Option<u64>),
        raft: &mut Raft,
    ) {
        self.transfers.on_answer(now, from, snapshot, received, raft);
    }

    /// A part of a snapshot came from the leader.
    pub(super) fn on_chunk(&mut self, chunk: SnapshotChunk, effects: &mut Effects) -> Taken {
        let cluster = self.log.wal.identity().cluster;
        let destination = Destination { cluster, slice_keys: self.slice_keys };
        self.transfers.on_chunk(chunk, destination, &mut self.bulk, effects)
    }

    /// This member does not lead any more: it sends no snapshots.
    pub(super) fn stop_sending(&mut self) {
        self.transfers.outbound.clear();
    }

    /// Whether something could go on at once.
    pub(super) fn has_work(&self) -> bool {
        self.transfers.has_work(&self.bulk)
    }

    /// Whether the disk has no space for what is asked of the log.
    pub(super) fn is_full(&self) -> bool {
        self.log.is_full()
    }

    /// When something is to be done that no disk answer announces.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.log.deadline().into_iter().chain(self.transfers.deadline()).min()
    }

    /// What log and checkpoint take on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.log.wal.disk_bytes() + self.transfers.checkpoints.disk_bytes()
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        self.log.wal.check();
    }
}
