//! What was handed to the disk, and what the disk has answered.
//!
//! Each batch travels under a ticket. When the ticket comes back, everything that the batch
//! *still* covers is durable. "Still" is the point: if a new leader's entries cut the log while an
//! older batch is in flight, that batch's ticket is cut as well. Otherwise its answer could be
//! taken for the new entries at the same indexes (etcd-io/raft calls this the ABA problem).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::log::Log;
use super::{HardState, Index, LogBatch, Position, Term};
use crate::disk::Ticket;
use crate::time::{Duration, Instant};

/// A batch in flight.
#[derive(Clone, Copy, Debug)]
struct Write {
    ticket: Ticket,
    hard_state: HardState,
    last: Index,
}

/// See the module.
///
/// # Invariants
/// - Tickets in flight ascend; so do the indexes that they cover, up to cuts.
/// - `durable_index <= handed_index <=` the log's last index.
#[derive(Debug)]
pub(super) struct Writes {
    handed: HardState,
    handed_index: Index,
    handed_commit: Index,
    reset: Option<Position>,
    durable: HardState,
    durable_index: Index,
    in_flight: VecDeque<Write>,
    unnamed: Option<Write>,
    waiting_since: Option<Instant>,
}

impl Writes {
    /// Everything that recovery found is durable.
    pub(super) fn new(hard_state: HardState, last: Index, commit_index: Index) -> Self {
        Self {
            handed: hard_state,
            handed_index: last,
            handed_commit: commit_index,
            reset: None,
            durable: hard_state,
            durable_index: last,
            in_flight: VecDeque::new(),
            unnamed: None,
            waiting_since: None,
        }
    }

    /// The log is durable up to here.
    pub(super) fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Whether a restart could not fall behind this term.
    pub(super) fn holds_term(&self, term: Term) -> bool {
        self.durable.term >= term
    }

    /// Whether a restart would find exactly this term and vote.
    pub(super) fn holds(&self, hard_state: HardState) -> bool {
        self.durable == hard_state
    }

    /// Whether a batch was handed over whose ticket is not known yet.
    pub(super) fn awaits_ticket(&self) -> bool {
        self.unnamed.is_some()
    }

    /// Whether something has been with the disk for this long without any answer from it.
    pub(super) fn is_stalled(&self, now: Instant, patience: Duration) -> bool {
        self.waiting_since.is_some_and(|since| now.since(since) >= patience)
    }

    /// What must be written now, if anything.
    ///
    /// The committed index is advice, and never a reason to write, but for one case: when a
    /// change of the configuration is known to be committed, a restart must not forget it.
    pub(super) fn batch(
        &mut self,
        now: Instant,
        hard_state: HardState,
        log: &Log,
        commit_index: Index,
    ) -> Option<LogBatch> {
        assert!(self.unnamed.is_none(), "the ticket of the last batch is told before the next");
        assert!(self.handed_index <= log.last().index, "nothing was handed over that is gone");
        let entries = log.entries_behind(self.handed_index).cloned().collect::<Vec<_>>();
        let change = log.first_change().filter(|&change| change <= commit_index);
        let is_news = change.is_some_and(|change| change > self.handed_commit);
        let changed = (hard_state != self.handed).then_some(hard_state);
        let reset = self.reset.take();
        if entries.is_empty() && changed.is_none() && reset.is_none() && !is_news {
            return None;
        }
        self.handed = hard_state;
        self.handed_index = log.last().index;
        self.handed_commit = commit_index;
        self.unnamed = Some(Write { ticket: Ticket(0), hard_state, last: log.last().index });
        self.waiting_since = self.waiting_since.or(Some(now));
        Some(LogBatch { hard_state: changed, reset, entries, commit_index })
    }

    /// The batch just handed over travels under this ticket.
    pub(super) fn submitted(&mut self, ticket: Ticket) {
        let write = self.unnamed.take().expect("a ticket names the batch just handed over");
        assert!(self.in_flight.back().is_none_or(|last| last.ticket < ticket), "tickets grow");
        self.in_flight.push_back(Write { ticket, ..write });
    }

    /// Everything up to this ticket is durable.
    pub(super) fn durable(&mut self, now: Instant, ticket: Ticket) {
        while let Some(&write) = self.in_flight.front().filter(|write| write.ticket <= ticket) {
            self.in_flight.pop_front();
            self.durable = write.hard_state;
            self.durable_index = self.durable_index.max(write.last);
            assert!(self.durable_index <= self.handed_index, "only what was handed is durable");
        }
        self.waiting_since = if self.in_flight.is_empty() { None } else { Some(now) };
    }

    /// The log was cut: it ends at `last` now, before anything new is added.
    pub(super) fn truncated(&mut self, last: Index) {
        assert!(self.unnamed.is_none(), "the log is not cut while a batch has no ticket");
        self.handed_index = self.handed_index.min(last);
        self.durable_index = self.durable_index.min(last);
        self.in_flight.iter_mut().for_each(|write| write.last = write.last.min(last));
    }

    /// The log was replaced by a snapshot; nothing counts as durable until that is written.
    pub(super) fn reset(&mut self, base: Position) {
        self.truncated(Index(0));
        self.handed_index = base.index;
        self.reset = Some(base);
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, last: Index) {
        assert!(self.durable_index <= self.handed_index, "only what was handed is durable");
        assert!(self.handed_index <= last, "nothing was handed over that is gone");
        assert!(self.durable.term <= self.handed.term, "terms reach the disk in order");
        assert!(self.in_flight.iter().map(|write| write.ticket).is_sorted(), "tickets grow");
        assert!(
            self.in_flight.iter().all(|write| write.last <= self.handed_index),
            "a ticket covers nothing that is gone"
        );
    }
}
