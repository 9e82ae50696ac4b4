//! Linearizable reads: gathered for a turn, confirmed by one round, answered when applied far
//! enough (thesis, 6.4).
//!
//! Every attempt has a context of its own, so that an answer to an earlier one can never confirm a
//! later read. A round that fails because the leadership changed is tried again until the time of
//! the oldest read in it is up: a read has no effect that could happen twice.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Request, RequestId};
use crate::raft::{Index, ReadContext, ReadReady};
use crate::time::Instant;

/// A read on its way.
pub(super) struct Read {
    pub(super) id: RequestId,
    pub(super) request: Request,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
}

/// # Invariants
/// - A read is in exactly one of `gathered`, `rounds` and `confirmed`.
/// - Contexts are never reused.
/// - In each list the first deadline comes first.
pub(super) struct Reads {
    gathered: Vec<Read>,
    rounds: BTreeMap<ReadContext, Vec<Read>>,
    confirmed: BTreeMap<Index, Vec<Read>>,
    next_context: u64,
    count: usize,
}

impl Reads {
    /// `incarnation`, what fits of it, keeps contexts apart from those of the last restarts.
    pub(super) fn new(incarnation: crate::identity::Incarnation) -> Self {
        Self {
            gathered: Vec::new(),
            rounds: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            next_context: incarnation.0 << 40,
            count: 0,
        }
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a read to this turn's round.
    pub(super) fn gather(&mut self, read: Read) {
        self.gathered.push(read);
        self.count += 1;
    }

    /// Whether this turn needs a round.
    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Begins a round for everything gathered.
    pub(super) fn begin_round(&mut self) -> Option<ReadContext> {
        if self.gathered.is_empty() {
            return None;
        }
        let context = ReadContext(self.next_context);
        self.next_context += 1;
        self.rounds.insert(context, core::mem::take(&mut self.gathered));
        Some(context)
    }

    /// A round has ended: its reads wait for the index, or for another round.
    pub(super) fn on_ready(&mut self, ready: ReadReady) {
        let Some(reads) = self.rounds.remove(&ready.context) else { return };
        match ready.index {
            Some(index) => self.confirmed.entry(index).or_default().extend(reads),
            None => {
                let newer = core::mem::replace(&mut self.gathered, reads);
                self.gathered.extend(newer);
            }
        }
    }

    /// Takes the reads that the applied state is new enough for.
    pub(super) fn release(&mut self, applied: Index) -> Vec<Read> {
        let mut released = Vec::new();
        while let Some(entry) = self.confirmed.first_entry() {
            if *entry.key() > applied {
                break;
            }
            released.append(&mut entry.remove());
        }
        self.count -= released.len();
        released
    }

    /// Takes the reads whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Read> {
        let mut expired: Vec<Read> = Vec::new();
        let lists = self.rounds.values_mut().chain(self.confirmed.values_mut());
        for list in lists.chain(core::iter::once(&mut self.gathered)) {
            expired.extend(list.extract_if(.., |read| read.deadline <= now));
        }
        self.rounds.retain(|_, list| !list.is_empty());
        self.confirmed.retain(|_, list| !list.is_empty());
        self.count -= expired.len();
        expired
    }

    /// Takes all of them, for a member that goes.
    pub(super) fn drain(&mut self) -> Vec<Read> {
        self.count = 0;
        let rounds = core::mem::take(&mut self.rounds).into_values();
        let confirmed = core::mem::take(&mut self.confirmed).into_values();
        rounds.chain(confirmed).flatten().chain(self.gathered.drain(..)).collect()
    }

    /// When the first read's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let lists = self.rounds.values().chain(self.confirmed.values());
        let all = lists.chain(core::iter::once(&self.gathered));
        all.filter_map(|list| list.first()).map(|read| read.deadline).min()
    }
}

/// Local reads that wait until this member has caught up with what it may have shown before its
/// restart: a restart never shows an older revision.
#[derive(Default)]
pub(super) struct EarlyReads {
    waiting: VecDeque<Read>,
}

impl EarlyReads {
    pub(super) fn push(&mut self, read: Read) {
        self.waiting.push_back(read);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes all of them.
    pub(super) fn release(&mut self) -> impl Iterator<Item = Read> + use<> {
        core::mem::take(&mut self.waiting).into_iter()
    }

    /// Takes the next one whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Read> {
        self.waiting.pop_front_if(|read| read.deadline <= now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|read| read.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Incarnation;

    fn read(id: u64, deadline: u64) -> Read {
        Read {
            id: RequestId(id),
            request: Request::Barrier,
            since: Instant(0),
            deadline: Instant(deadline),
        }
    }

    fn ids(reads: &[Read]) -> Vec<u64> {
        reads.iter().map(|read| read.id.0).collect()
    }

    #[test]
    fn one_round_confirms_what_was_gathered_before_it() {
        let mut reads = Reads::new(Incarnation(1));
        reads.gather(read(1, 9));
        reads.gather(read(2, 9));
        let first = reads.begin_round().expect("two reads wait");
        reads.gather(read(3, 9));
        let second = reads.begin_round().expect("one read waits");
        assert_ne!(first, second);
        reads.on_ready(ReadReady { context: first, index: Some(Index(7)) });
        assert!(reads.release(Index(6)).is_empty());
        assert_eq!(ids(&reads.release(Index(7))), [1, 2]);
        reads.on_ready(ReadReady { context: first, index: Some(Index(7)) });
        assert_eq!(reads.len(), 1, "an old context confirms nothing");
    }

    #[test]
    fn a_failed_round_is_tried_again_until_time_is_up() {
        let mut reads = Reads::new(Incarnation(1));
        reads.gather(read(1, 9));
        let first = reads.begin_round().expect("a read waits");
        reads.gather(read(2, 11));
        reads.on_ready(ReadReady { context: first, index: None });
        assert!(reads.has_gathered());
        assert_eq!(reads.deadline(), Some(Instant(9)), "the older read is the first to give up");
        assert!(reads.expire(Instant(8)).is_empty());
        assert_eq!(ids(&reads.expire(Instant(9))), [1]);
        assert_eq!(ids(&reads.expire(Instant(11))), [2]);
        assert_eq!((reads.len(), reads.deadline()), (0, None));
    }
}
