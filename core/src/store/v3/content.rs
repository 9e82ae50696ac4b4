//! The versions themselves: history and key index, changed together.

use super::history::{History, Slot};
use super::key_index::{KeyIndex, Versions};
use super::removal::{Removal, Removals};
use super::statistics::Statistics;
use super::{Interval, LeaseId, Put, Record, Revision};
use crate::store::hash;

/// How many pages can be asked for their count in the time that visiting one key takes, at least:
/// a count lies in the page itself, a key's version anywhere.
const PAGES_PER_KEY: usize = 64;

/// What the store holds.
///
/// # Invariants
/// - Every place in the index has its slot in the history, and the other way round, but for
///   tombstones that a pending removal has yet to make.
/// - `live_hash` is the sum of the hashes of all versions that no real tombstone or newer version
///   has ended; without pending removals these are the live versions.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) index: KeyIndex,
    pub(super) history: History,
    pub(super) removals: Removals,
    pub(super) live_hash: u64,
    /// Reads below it fail; -1 if the store was never compacted.
    pub(super) compact_revision: i64,
    /// What was asked for; nothing of the above depends on it.
    pub(super) statistics: Statistics,
}

impl Content {
    /// A fresh store: its first transaction will have revision 2.
    pub(super) fn new() -> Self {
        Self {
            index: KeyIndex::default(),
            history: History::starting_at(1),
            removals: Removals::default(),
            live_hash: 0,
            compact_revision: -1,
            statistics: Statistics::default(),
        }
    }

    /// The place of a key's version that is alive at `at`.
    pub(super) fn alive(&self, key: &[u8], versions: &Versions, at: Revision) -> Option<Revision> {
        let newest = versions.newest_at(at)?;
        let is_ended = match newest == versions.newest() {
            true => versions.is_ended(),
            false => self.history.is_removal(newest),
        };
        if is_ended {
            return None;
        }
        self.removals.ending(key, newest, at).is_none().then_some(newest)
    }

    /// A key's version that is alive at `at`.
    pub(super) fn find(&self, key: &[u8], at: Revision) -> Option<&Record> {
        let versions = self.index.versions(key)?;
        self.alive(key, versions, at).map(|place| self.history.record(place))
    }

    /// How many keys of an interval are alive at `at`, where that is known without a visit to each:
    /// nothing came behind it, and no removal is pending. It is charged to the slice.
    pub(super) fn count(
        &self,
        interval: &Interval,
        at: Revision,
        keys: &mut usize,
    ) -> Option<usize> {
        if at < self.history.newest() || self.removals.len() > 0 {
            return None;
        }
        let pages_max = keys.saturating_mul(PAGES_PER_KEY);
        let counted = self.index.count(interval, pages_max);
        *keys -= counted.map_or(pages_max, |(_, pages)| pages).div_ceil(PAGES_PER_KEY).min(*keys);
        counted.map(|(count, _)| count)
    }

    /// Writes a key at the open main revision. Answers the version before.
    pub(super) fn put(&mut self, put: &Put) -> Option<Record> {
        let main = self.history.revision();
        let Some(mut changes) = self.index.changes(&put.key) else {
            let record = version_of(put, main, None);
            self.live_hash = self.live_hash.wrapping_add(record.hash());
            let place = self.history.push(Slot::Put(record.clone()));
            self.index.insert(record, Versions::one(place));
            return None;
        };
        let newest = changes.newest();
        let mut before = match self.history.slot(newest) {
            Slot::Put(record) => Some(record.clone()),
            Slot::Removal(_) => None,
        };
        if let Some(ended) = &before {
            self.live_hash = self.live_hash.wrapping_sub(ended.hash());
            let end = Revision::end_of(main);
            if let Some(removal) = self.removals.ending(&put.key, newest, end) {
                changes.end(removal);
                before = None;
            }
        }
        let record = version_of(put, main, before.as_ref());
        self.live_hash = self.live_hash.wrapping_add(record.hash());
        changes.put(self.history.push(Slot::Put(record)));
        before
    }

    /// Carries a removal out on at most `keys` more keys; true when it is complete. It must not be
    /// among the pending ones meanwhile.
    pub(super) fn remove(
        &mut self,
        place: Revision,
        removal: &mut Removal,
        keys: &mut usize,
    ) -> bool {
        let Removal { interval, last, ended } = removal;
        let start = last.take();
        let mut seen: Option<&Record> = None;
        for (key, mut changes) in self.index.range_mut(interval, start.as_ref()) {
            if *keys == 0 {
                *last = seen.cloned().or_else(|| start.clone());
                return false;
            }
            *keys -= 1;
            seen = Some(key);
            let Some(newest) = changes.newest_at(place) else { continue };
            if newest == place {
                let before = changes.before(place).expect("a tombstone ends a version");
                ended.push(self.history.record(before));
                continue;
            }
            let Slot::Put(record) = self.history.slot(newest) else { continue };
            if self.removals.ending(key.key(), newest, place).is_some() {
                continue;
            }
            assert!(changes.newest() == newest, "a newer put has made the tombstone already");
            self.live_hash = self.live_hash.wrapping_sub(record.hash());
            ended.push(record);
            changes.end(place);
        }
        true
    }

    /// The hash of all that is alive; none while removals are pending, whose victims are not all
    /// known yet.
    pub(super) fn hash(&self) -> Option<u64> {
        let revisions = hash_of_revisions(self.history.revision(), self.compact_revision);
        (self.removals.len() == 0).then(|| self.live_hash.wrapping_add(revisions))
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        self.index.check();
        let now = Revision::end_of(self.history.revision());
        let mut live_hash = 0_u64;
        let mut places = 0;
        for (key, versions) in self.index.iter() {
            places += versions.iter().count();
            let is_ended = self.history.is_removal(versions.newest());
            assert!(
                versions.is_ended() == is_ended,
                "a key knows whether its newest is a tombstone"
            );
            for place in versions.iter() {
                if let Slot::Put(record) = self.history.slot(place) {
                    assert!(record.key() == key.key(), "the index leads to the key's versions");
                    assert!(record.mod_revision() == place.main, "a version knows its revision");
                }
            }
            if let Some(place) = self.alive(key.key(), versions, now) {
                live_hash = live_hash.wrapping_add(self.history.record(place).hash());
            }
        }
        if self.removals.len() == 0 {
            assert!(live_hash == self.live_hash, "the hash is the sum of what is alive");
            let changes: usize = (self.history.first_revision()..=now.main)
                .flat_map(|main| self.history.slots_of(main))
                .map(|slot| match slot {
                    Slot::Put(_) => 1,
                    Slot::Removal(removed) => removed.ended.len(),
                })
                .sum();
            assert!(changes == places, "index and history hold the same changes");
        }
    }
}

/// What the revisions add to the hash of a store.
pub(super) fn hash_of_revisions(revision: i64, compact_revision: i64) -> u64 {
    hash::of_pair(revision.cast_unsigned(), compact_revision.cast_unsigned())
}

/// The version that a put makes of the one before.
fn version_of(put: &Put, main: i64, before: Option<&Record>) -> Record {
    let lease = match put.lease {
        Some(lease) => lease.map_or(0, |LeaseId(id)| id),
        None => before.map_or(0, Record::lease),
    };
    let value = match &put.value {
        Some(value) => value.as_ref(),
        None => before.map_or(&[][..], Record::value),
    };
    let create = before.map_or(main, Record::create_revision);
    let version = before.map_or(1, |before| before.version() + 1);
    Record::new(create, main, version, lease, &put.key, value)
}
