//! What `/v2/stats/store` counts.
//!
//! Local to a member since its start: no part of the replicated state, its hash or a checkpoint.
//! The counters follow etcd's, oddities included: some refusals count as successes, and so do the
//! writes by which etcd keeps its members and the cluster's version.

use super::request::{Action, ErrorKind, Write};

/// Successes and failures of one kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Carried out, or refused in a way that etcd does not count as a failure.
    pub success: u64,
    /// Refused.
    pub fail: u64,
}

impl Tally {
    fn count(&mut self, success: bool) {
        if success {
            self.success += 1;
        } else {
            self.fail += 1;
        }
    }
}

/// The counters, in the order in which they are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Reads.
    pub gets: Tally,
    /// Sets, and walks of a create that end at a file.
    pub sets: Tally,
    /// Deletes.
    pub deletes: Tally,
    /// Updates.
    pub updates: Tally,
    /// Creates, in-order ones included.
    pub creates: Tally,
    /// Compare-and-swaps.
    pub compare_and_swaps: Tally,
    /// Compare-and-deletes.
    pub compare_and_deletes: Tally,
    /// Nodes that expired; what was below an expired directory does not count.
    pub expirations: u64,
    /// Watchers registered now.
    pub watchers: u64,
}

impl Statistics {
    pub(super) fn count_get(&mut self, success: bool) {
        self.gets.count(success);
    }

    /// Counts a write of etcd's own, which always succeeds.
    pub(super) fn count_own(&mut self, action: Action) {
        match action {
            Action::Set => self.sets.count(true),
            Action::Create => self.creates.count(true),
            Action::Update => self.updates.count(true),
            Action::Delete => self.deletes.count(true),
            other => unreachable!("etcd writes nothing of its own by {other:?}"),
        }
    }

    /// Counts a write, by etcd's rules: the refusals that its deferred counting misses (those
    /// returned without setting the error that it looks at) count as successes.
    pub(super) fn count_write(&mut self, write: &Write, refusal: Option<ErrorKind>) {
        let plain = refusal.is_none();
        match write.action() {
            Action::Set => self.sets.count(plain),
            Action::Create => {
                self.creates.count(plain);
                if refusal == Some(ErrorKind::NotDirectory) {
                    self.sets.count(false);
                }
            }
            Action::Update => {
                let missed = [Some(ErrorKind::RootReadOnly), Some(ErrorKind::NotFile)];
                self.updates.count(plain || missed.contains(&refusal));
            }
            Action::CompareAndSwap => {
                self.compare_and_swaps.count(plain || refusal == Some(ErrorKind::RootReadOnly));
            }
            Action::Delete => {
                self.deletes.count(plain || refusal == Some(ErrorKind::RootReadOnly));
            }
            Action::CompareAndDelete => {
                let missed = [Some(ErrorKind::NotFile), Some(ErrorKind::CompareFailed)];
                self.compare_and_deletes.count(plain || missed.contains(&refusal));
            }
            Action::Get | Action::Expire => unreachable!("no write has this action"),
        }
    }
}
