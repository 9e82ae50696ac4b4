//! A range read that can pause between keys.
//!
//! The read is pinned: it sees what was there at one place in the history, however much is applied
//! while it goes on.

use alloc::collections::BTreeSet;
use core::cmp::Ordering;

use super::content::Content;
use super::walk::{Progress, Walk};
use super::{Range, RangeAnswer, Record, Records, Revision, SortOrder, SortTarget};

/// A range under way.
#[derive(Debug)]
pub(super) struct Reading {
    range: Range,
    at: Revision,
    walk: Walk,
    /// How many candidates are looked at; none is all. A mere count looks at none.
    fetch_max: Option<u64>,
    /// The answer's count was known from the start.
    is_counted: bool,
    /// Candidates looked at, and those of them that pass the filters.
    fetched: u64,
    matched: u64,
    kept: Kept,
    answer: RangeAnswer,
}

/// The best records so far, never more than the limit.
#[derive(Debug)]
struct Kept {
    /// As they will be answered.
    records: Records,
    /// Those that have to be sorted first; moved to the records when all are there.
    ranked: Option<BTreeSet<Ranked>>,
}

impl Reading {
    /// A read at `at`, answered with the store's `revision`.
    pub(super) fn new(
        range: Range,
        at: Revision,
        revision: i64,
        content: &Content,
        keys: &mut usize,
    ) -> Self {
        // Order "none" by another target than the key is ascending, but among the first keys only
        // (etcd fetches limit + 1 keys and sorts those).
        let by_key = range.target == SortTarget::Key && range.order != SortOrder::Descend;
        let is_filtered = range.mod_revisions != (0, 0) || range.create_revisions != (0, 0);
        let fetches_all = range.order != SortOrder::None || is_filtered || range.limit == 0;
        let kept = Kept { records: Records::default(), ranked: (!by_key).then(BTreeSet::new) };
        let fetch_max = match range.count_only {
            true => Some(0),
            false => (!fetches_all).then(|| range.limit.saturating_add(1)),
        };
        // Who looks at every key counts on the way.
        let count = fetch_max.and_then(|_| content.count(&range.interval, at, keys));
        let mut answer =
            RangeAnswer { revision, keys_only: range.keys_only, ..RangeAnswer::default() };
        answer.count = count.unwrap_or(0) as u64;
        Self {
            walk: Walk::new(range.interval.clone()),
            fetch_max,
            is_counted: count.is_some(),
            fetched: 0,
            matched: 0,
            range,
            at,
            kept,
            answer,
        }
    }

    /// Visits, or moves, at most `keys` more keys; true when the answer is complete. One that is
    /// not wanted any more is, once all that was gathered can be given back.
    pub(super) fn advance(&mut self, content: &Content, is_wanted: bool, keys: &mut usize) -> bool {
        let Self { range, at, walk, fetch_max, is_counted, fetched, matched, kept, answer } = self;
        let is_enough = |fetched: u64| fetch_max.is_some_and(|max| fetched >= max);
        if !is_wanted || (*is_counted && is_enough(*fetched)) {
            return kept.settle(keys);
        }
        let progress = walk.advance(content, *at, keys, |place| {
            answer.count += u64::from(!*is_counted);
            if is_enough(*fetched) {
                return !*is_counted;
            }
            *fetched += 1;
            let record = content.history.record(place);
            if passes(range, record) {
                *matched += 1;
                kept.add(range, record);
            }
            !(*is_counted && is_enough(*fetched))
        });
        progress != Progress::Paused && kept.settle(keys)
    }

    /// The answer, once everything was visited.
    pub(super) fn finish(self) -> RangeAnswer {
        assert!(self.kept.ranked.is_none_or(|ranked| ranked.is_empty()), "all are in order");
        let records = self.kept.records;
        let more = self.range.limit > 0 && self.matched > self.range.limit;
        RangeAnswer { records, more, ..self.answer }
    }
}

fn passes(range: &Range, record: &Record) -> bool {
    let within = |(min, max): (i64, i64), revision: i64| {
        (min == 0 || revision >= min) && (max == 0 || revision <= max)
    };
    within(range.mod_revisions, record.mod_revision())
        && within(range.create_revisions, record.create_revision())
}

impl Kept {
    fn add(&mut self, range: &Range, record: &Record) {
        let limit = if range.limit == 0 { u64::MAX } else { range.limit };
        match &mut self.ranked {
            None => {
                if (self.records.len() as u64) < limit {
                    self.records.push(record.clone());
                }
            }
            Some(ranked) => {
                let descending = range.order == SortOrder::Descend;
                let target = range.target;
                ranked.insert(Ranked { record: record.clone(), target, descending });
                if ranked.len() as u64 > limit {
                    ranked.pop_last();
                }
            }
        }
    }
}

impl Kept {
    /// Moves at most `keys` sorted records to the answer; true when all were.
    fn settle(&mut self, keys: &mut usize) -> bool {
        let Some(ranked) = &mut self.ranked else { return true };
        while *keys > 0
            && let Some(first) = ranked.pop_first()
        {
            self.records.push(first.record);
            *keys -= 1;
        }
        ranked.is_empty()
    }
}

/// A record in the order that a range asks for; equal ones in the order of their keys.
#[derive(Debug)]
struct Ranked {
    record: Record,
    target: SortTarget,
    descending: bool,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.record, &other.record);
        let order = match self.target {
            SortTarget::Key => a.key().cmp(b.key()),
            SortTarget::Version => a.version().cmp(&b.version()),
            SortTarget::Create => a.create_revision().cmp(&b.create_revision()),
            SortTarget::Mod => a.mod_revision().cmp(&b.mod_revision()),
            SortTarget::Value => a.value().cmp(b.value()),
        };
        let order = if self.descending { order.reverse() } else { order };
        order.then_with(|| a.key().cmp(b.key()))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}
