//! The log lane: Raft's batches on their way to the disk.
//!
//! A batch gets its ticket at once, in order, and becomes bytes as soon as there is prepared space
//! for it; so an append never meets a full disk, and what it promises simply waits. Space runs
//! ahead on the bulk lane.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::disk::{DiskOp, Lane, Ticket};
use crate::raft::{Index, LogBatch};
use crate::replica::{Effect, Effects};
use crate::time::{Duration, Instant};
use crate::wal::Wal;

/// How long the log must be quiet before an empty batch records that all before it was synced.
const QUIET: Duration = Duration::from_millis(100);
/// How long to wait before a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// # Invariants
/// - Tickets are handed out in order, and batches become bytes in the order of their tickets.
/// - What is in flight has lower tickets than what is held.
pub(super) struct LogLane {
    pub(super) wal: Wal,
    next: Ticket,
    held: VecDeque<(Ticket, LogBatch)>,
    flight: VecDeque<(Ticket, u64)>,
    appends: u64,
    quiet_since: Option<Instant>,
    is_full: bool,
    /// When a full disk is tried again.
    retry_at: Option<Instant>,
}

impl LogLane {
    /// `first` is what a new log begins with; it is written with what follows first.
    pub(super) fn new(wal: Wal, first: Option<LogBatch>) -> Self {
        let held: VecDeque<_> = first.into_iter().map(|batch| (Ticket(1), batch)).collect();
        Self {
            wal,
            next: Ticket(1 + held.len() as u64),
            held,
            flight: VecDeque::new(),
            appends: 0,
            quiet_since: None,
            is_full: false,
            retry_at: None,
        }
    }

    /// Takes a batch; its ticket says when it is durable.
    pub(super) fn submit(&mut self, batch: LogBatch, effects: &mut Effects) -> Ticket {
        let ticket = self.next;
        self.next = ticket.next();
        self.quiet_since = None;
        self.held.push_back((ticket, batch));
        self.write_held(effects);
        ticket
    }

    /// Writes what fits the prepared space.
    pub(super) fn write_held(&mut self, effects: &mut Effects) {
        while let Some((ticket, batch)) = self.held.front() {
            if self.wal.space_of(batch) > self.wal.room() {
                break;
            }
            let ticket = *ticket;
            let ops = self.wal.append(batch);
            self.held.pop_front();
            self.appends += 1;
            self.flight.push_back((ticket, self.appends));
            effects.push(Effect::Disk(Lane::Log, ticket, ops));
        }
    }

    /// Everything up to this ticket is durable.
    pub(super) fn durable(&mut self, now: Instant, ticket: Ticket) {
        assert!(ticket < self.next, "a disk answers only what it was asked");
        while let Some((first, appends)) = self.flight.front().copied() {
            if first > ticket {
                break;
            }
            self.flight.pop_front();
            self.wal.durable(appends);
        }
        if self.is_idle() {
            self.quiet_since = Some(now);
        }
    }

    fn is_idle(&self) -> bool {
        self.flight.is_empty() && self.held.is_empty()
    }

    /// The empty batch that closes the gap, once the log has been quiet for a while.
    pub(super) fn close_gap(&mut self, now: Instant, commit_index: Index) -> Option<LogBatch> {
        let since = self.quiet_since?;
        if now.since(since) < QUIET {
            return None;
        }
        self.quiet_since = None;
        self.wal.close_gap(commit_index)
    }

    /// Bulk operations that prepare the space which is wanted next, if the disk was not full
    /// just now.
    pub(super) fn prepare(&mut self, now: Instant) -> Vec<DiskOp> {
        if self.retry_at.is_some_and(|at| now < at) {
            return Vec::new();
        }
        self.retry_at = None;
        let wanted = self.held.front().map_or(0, |(_, batch)| self.wal.space_of(batch));
        self.wal.prepare(wanted)
    }

    /// Prepared space is durable.
    pub(super) fn prepared(&mut self, effects: &mut Effects) {
        self.is_full = false;
        self.wal.prepared();
        self.write_held(effects);
    }

    /// The disk was full; writes are refused until it is not.
    pub(super) fn prepare_failed(&mut self, now: Instant) {
        self.wal.prepare_failed();
        self.is_full = true;
        self.retry_at = Some(now + FULL_RETRY);
    }

    /// Whether the disk has no space for what is asked of the log.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// When something is to be done that no disk answer announces.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let gap = self.quiet_since.map(|since| since + QUIET);
        [gap, self.retry_at].into_iter().flatten().min()
    }
}
