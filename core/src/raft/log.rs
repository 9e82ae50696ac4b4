//! The log's content: its newest entries in memory, the place where it begins, and the rule by
//! which a leader's entries replace what conflicts with them.
//!
//! ```text
//!   base            before                         last
//!    |  only on disk  |  tail, in memory             |
//!    5  6  7  8  9   10  11  12  13  14  15  16  17  18
//! ```
//!
//! What is durable is not this type's business but [`Writes`](super::writes::Writes)'.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Entry, EntryKind, Index, Position, Term};

/// What an entry takes in memory beside its payload.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// What an entry counts for in every bound on bytes.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    entry.payload.len() + ENTRY_OVERHEAD_BYTES
}

/// See the module.
///
/// # Invariants
/// - `base.index <= before`; the tail holds `before + 1 ..= last`, without gaps.
/// - Terms never decrease along the log.
/// - Only applied entries leave the tail from the front, only uncommitted ones from the back.
/// - `changes` holds the indexes of all configuration entries that are not applied, ascending.
#[derive(Debug)]
pub(super) struct Log {
    base: Position,
    before: Index,
    before_term: Option<Term>,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    changes: VecDeque<Index>,
}

impl Log {
    /// The log as recovery found it; `tail` ends at `last`.
    pub(super) fn new(base: Position, tail: Vec<Entry>, last: Position, applied: Index) -> Self {
        let before = tail.first().map_or(last.index, |first| first.index.previous());
        assert!(base.index <= before, "the log begins behind its base");
        assert!(before <= applied, "what is not applied is in memory");
        let before_term = match tail.first() {
            None => Some(last.term),
            Some(_) if before == base.index => Some(base.term),
            Some(_) => None,
        };
        let mut log = Self {
            base,
            before,
            before_term,
            tail: VecDeque::with_capacity(tail.len()),
            tail_bytes: 0,
            changes: VecDeque::new(),
        };
        tail.into_iter().for_each(|entry| log.push(entry));
        assert!(log.last() == last, "the tail reaches to the last entry");
        log.applied(applied);
        log
    }

    /// The log begins behind this entry.
    pub(super) fn base(&self) -> Position {
        self.base
    }

    /// Everything behind this index is in memory.
    pub(super) fn before(&self) -> Index {
        self.before
    }

    /// The last entry, or the base of an empty log.
    pub(super) fn last(&self) -> Position {
        match self.tail.back() {
            Some(entry) => Position { term: entry.term, index: entry.index },
            None => {
                let term = self.before_term.unwrap_or(self.base.term);
                Position { term, index: self.before }
            }
        }
    }

    /// The bytes of the tail.
    pub(super) fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// The first configuration entry that is not applied.
    pub(super) fn first_change(&self) -> Option<Index> {
        self.changes.front().copied()
    }

    /// An entry of the tail.
    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        self.tail.get(self.place(index)?)
    }

    /// The term of an entry, where it is known without the disk.
    pub(super) fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            Some(self.base.term)
        } else if index == self.before {
            self.before_term
        } else {
            self.entry(index).map(|entry| entry.term)
        }
    }

    /// Entries of the tail from `from` on: at least one if there is any, then more while all
    /// together stay within `bytes_max`.
    pub(super) fn slice(&self, from: Index, bytes_max: usize) -> (Vec<Entry>, usize) {
        let Some(place) = self.place(from).filter(|&place| place < self.tail.len()) else {
            return (Vec::new(), 0);
        };
        let mut bytes = 0;
        let mut count = 0;
        for entry in self.tail.range(place..) {
            let more = bytes + entry_bytes(entry);
            if count > 0 && more > bytes_max {
                break;
            }
            bytes = more;
            count += 1;
        }
        (self.tail.range(place..place + count).cloned().collect(), bytes)
    }

    /// All entries of the tail behind `index`.
    pub(super) fn entries_behind(&self, index: Index) -> impl Iterator<Item = &Entry> {
        let place = self.place(index.next()).unwrap_or(0).min(self.tail.len());
        self.tail.range(place..)
    }

    /// The last index at which a log with an entry `(index, term)` may agree with this one: the
    /// greatest one not above `index` whose term is not above `term`. `floor` agrees surely.
    ///
    /// It skips a whole term of conflicting entries at once (Raft paper, end of 5.3).
    pub(super) fn agreement(&self, index: Index, term: Term, floor: Index) -> Index {
        let bounded = index.min(self.last().index);
        if bounded <= self.before {
            return bounded.max(floor);
        }
        let agrees = |entry: &Entry| entry.index <= bounded && entry.term <= term;
        let count = self.tail.partition_point(agrees);
        let places = u64::try_from(count).expect("a count of entries fits 64 bits");
        Index(self.before.0 + places).max(floor)
    }

    /// The first place where a leader's log, as far as a message shows it, has another term.
    pub(super) fn first_conflict(&self, prev: Position, entries: &[Entry]) -> Option<Index> {
        let differs = |index, term| self.term(index).is_some_and(|present| present != term);
        if differs(prev.index, prev.term) {
            return Some(prev.index);
        }
        entries.iter().find(|entry| differs(entry.index, entry.term)).map(|entry| entry.index)
    }

    /// Adds the entry behind the last one.
    pub(super) fn push(&mut self, entry: Entry) {
        let last = self.last();
        assert!(entry.index == last.index.next(), "the log has no gaps");
        assert!(entry.term >= last.term || self.before_term.is_none(), "terms never decrease");
        self.tail_bytes += entry_bytes(&entry);
        if entry.kind == EntryKind::Configuration {
            self.changes.push_back(entry.index);
        }
        self.tail.push_back(entry);
    }

    /// Takes over a leader's entries, which follow an entry that is known to match. Present
    /// entries stay unless one *conflicts*: has the same index and another term (Raft paper, 5.3).
    /// Then it goes, with all behind it. Returns the last index that stayed, if any had to go.
    pub(super) fn merge(&mut self, entries: Vec<Entry>, committed: Index) -> Option<Index> {
        let mut kept = None;
        for entry in entries {
            match self.term(entry.index) {
                Some(term) if term == entry.term => {}
                Some(_) => {
                    assert!(entry.index > committed, "committed entries are never replaced");
                    assert!(kept.is_none(), "entries behind a conflict are new");
                    kept = Some(entry.index.previous());
                    self.truncate(entry.index.previous());
                    self.push(entry);
                }
                None => self.push(entry),
            }
        }
        kept
    }

    fn truncate(&mut self, last: Index) {
        assert!(last >= self.before, "only entries in memory are removed");
        while self.tail.back().is_some_and(|entry| entry.index > last) {
            let removed = self.tail.pop_back().expect("the loop saw it");
            self.tail_bytes -= entry_bytes(&removed);
        }
        while self.changes.back().is_some_and(|&change| change > last) {
            self.changes.pop_back();
        }
    }

    /// Configuration entries up to here are in force.
    pub(super) fn applied(&mut self, index: Index) {
        while self.changes.front().is_some_and(|&change| change <= index) {
            self.changes.pop_front();
        }
    }

    /// Lets the oldest entries go, none behind `keep_behind`, until the tail fits.
    pub(super) fn evict(&mut self, bytes_max: usize, keep_behind: Index) {
        while self.tail_bytes > bytes_max && self.before < keep_behind {
            let Some(evicted) = self.tail.pop_front() else { return };
            self.tail_bytes -= entry_bytes(&evicted);
            self.before = evicted.index;
            self.before_term = Some(evicted.term);
        }
    }

    /// The log begins behind `base` from now on.
    pub(super) fn compact(&mut self, base: Position) {
        assert!(base.index >= self.base.index, "the base never goes back");
        assert!(base.index <= self.last().index, "the base is an entry of the log");
        assert!(self.term(base.index).is_none_or(|term| term == base.term), "and has its term");
        self.base = base;
        while self.tail.front().is_some_and(|entry| entry.index <= base.index) {
            let removed = self.tail.pop_front().expect("the loop saw it");
            self.tail_bytes -= entry_bytes(&removed);
        }
        if self.before <= base.index {
            self.before = base.index;
            self.before_term = Some(base.term);
        }
    }

    /// Nothing is left but the base: a snapshot was installed.
    pub(super) fn reset(&mut self, base: Position) {
        self.base = base;
        self.before = base.index;
        self.before_term = Some(base.term);
        self.tail.clear();
        self.tail_bytes = 0;
        self.changes.clear();
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        assert!(self.base.index <= self.before, "the log begins behind its base");
        let mut previous = Position { term: self.base.term, index: self.before };
        let mut bytes = 0;
        for entry in &self.tail {
            assert!(entry.index == previous.index.next(), "the log has no gaps");
            assert!(entry.term >= previous.term, "terms never decrease");
            previous = Position { term: entry.term, index: entry.index };
            bytes += entry_bytes(entry);
        }
        assert!(bytes == self.tail_bytes, "the tail's bytes are counted");
        assert!(self.changes.iter().is_sorted(), "changes are in order");
        assert!(
            self.changes.iter().all(|&change| {
                self.entry(change).is_some_and(|entry| entry.kind == EntryKind::Configuration)
            }),
            "changes are configuration entries in memory"
        );
    }

    fn place(&self, index: Index) -> Option<usize> {
        let behind = index.0.checked_sub(self.before.0)?.checked_sub(1)?;
        usize::try_from(behind).ok()
    }
}
