//! Removals that are in force, but not yet carried out on every key.
//!
//! A removal of a million keys must not hold up the small writes behind it. So it takes effect as
//! a whole by being *pending*: a live version older than the removal, in its interval and behind
//! its cursor, counts as ended by it. A slice at a time the cursor moves and the tombstones become
//! real; a put that meets a pending removal makes its key's tombstone real first. Nobody can tell
//! how far the cursor has come.

use alloc::collections::BTreeMap;

use super::key_index::contains;
use super::{Blocks, Interval, Record, Records, Revision};

/// A removal under way.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) interval: Interval,
    /// The last key that was dealt with, as any version of it.
    pub(super) last: Option<Record>,
    pub(super) ended: Ended,
}

/// The versions that a removal has ended so far, in key order.
#[derive(Debug)]
pub(super) struct Ended {
    /// For the history.
    pub(super) records: Blocks<Record>,
    /// For the answer, if it wants them: a million handles are not copied in one go.
    pub(super) answered: Option<Records>,
}

impl Ended {
    pub(super) fn push(&mut self, record: &Record) {
        self.records.push(record.clone());
        if let Some(answered) = &mut self.answered {
            answered.push(record.clone());
        }
    }
}

impl Removal {
    /// Nothing is dealt with yet.
    pub(super) fn new(interval: Interval, previous: bool) -> Self {
        let ended = Ended { records: Blocks::default(), answered: previous.then(Records::default) };
        Self { interval, last: None, ended }
    }

    fn awaits(&self, key: &[u8]) -> bool {
        self.last.as_ref().is_none_or(|last| last.key() < key) && contains(&self.interval, key)
    }
}

/// The removals under way, by their place.
#[derive(Debug, Default)]
pub(super) struct Removals {
    pending: BTreeMap<Revision, Removal>,
}

impl Removals {
    /// The removal that ends a version of `key` put at `version`, as seen from the place `at`:
    /// the first one between the two that has not come to the key.
    pub(super) fn ending(&self, key: &[u8], version: Revision, at: Revision) -> Option<Revision> {
        if self.pending.is_empty() || at <= version {
            return None;
        }
        let mut between = self.pending.range(version..=at);
        between.find(|(_, removal)| removal.awaits(key)).map(|(place, _)| *place)
    }

    pub(super) fn insert(&mut self, place: Revision, removal: Removal) {
        let before = self.pending.insert(place, removal);
        assert!(before.is_none(), "a place has one removal");
    }

    pub(super) fn take(&mut self, place: Revision) -> Removal {
        self.pending.remove(&place).expect("a removal is pending until it is carried out")
    }

    /// Nobody waits for what a removal ends: it goes on without gathering that for the answer.
    /// Returns what it has gathered.
    pub(super) fn cancel_answer(&mut self, place: Revision) -> Option<Records> {
        let removal = self.pending.get_mut(&place).expect("a removal is pending until it is over");
        removal.ended.answered.take()
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}
