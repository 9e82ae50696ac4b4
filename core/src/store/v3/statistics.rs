//! What this member counts of its operations on the v3 store.
//!
//! Local to a member since its start: no part of the replicated state, its hash or a checkpoint.
//! The counters follow etcd's, oddities included: to look a key up, for a condition or a put that
//! needs the version before, is a range; and a transaction that may write is two, one that decides
//! and one that writes.

use super::Put;
use super::decision::Step;

/// The counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Puts, those in transactions included.
    pub puts: u64,
    /// Removals, those in transactions and those of nothing included.
    pub deletes: u64,
    /// Reads, whoever asked for them.
    pub ranges: u64,
    /// How often more than one of these was done at once, be it for a request by itself.
    pub transactions: u64,
}

impl Statistics {
    /// Counts what etcd does in one of its store's transactions.
    pub(super) fn count(&mut self, operations: Operations) {
        let Operations { puts, deletes, ranges } = operations;
        self.puts += puts;
        self.deletes += deletes;
        self.ranges += ranges;
        self.transactions += u64::from(puts + deletes + ranges > 1);
    }
}

/// What is done at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Operations {
    puts: u64,
    deletes: u64,
    ranges: u64,
}

impl Operations {
    /// So many reads.
    pub(super) fn reads(ranges: u64) -> Self {
        Self { ranges, ..Self::default() }
    }

    /// A put by itself.
    pub(super) fn of_put(put: &Put) -> Self {
        let mut operations = Self::default();
        operations.add_put(put);
        operations
    }

    /// One more read.
    pub(super) fn add_read(&mut self) {
        self.ranges += 1;
    }

    fn add_put(&mut self, put: &Put) {
        self.puts += 1;
        self.ranges += u64::from(put.previous || put.needs_key());
    }

    /// And these steps.
    pub(super) fn with(mut self, steps: &[Step]) -> Self {
        for step in steps {
            match step {
                Step::Range(_) => self.add_read(),
                Step::Put(put) => self.add_put(put),
                Step::DeleteRange(delete) => {
                    self.deletes += 1;
                    self.ranges += u64::from(delete.previous);
                }
                Step::Begin { .. } | Step::End => {}
            }
        }
        self
    }
}
