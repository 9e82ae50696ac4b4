//! From a key to the places of its changes.
//!
//! A key's changes are one ascending list of places. A tombstone ends a *generation*: the put
//! behind it starts again with version 1 and a new `create_revision`.
//!
//! ```text
//! put a, put a, put b, delete [a, z), put a      at revisions 2, 3, 4, 5, 6
//!
//! a    2 3 5 | 6        two generations, the second alive
//! b    4 5              one, ended
//! ```
//!
//! Almost every key has one version: that place is kept in the entry itself. An entry's key is a
//! handle to the block of its first version, so that the bytes exist once; compaction, which may
//! let that version go, has to put the key of a newer one in its place.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::ops::Bound;

use super::history::Moved;
use super::{Interval, Record, Revision};

/// The changes of one key, oldest first.
#[derive(Clone, Debug)]
pub(super) enum Versions {
    /// One put. (Not a `Revision`: its padding would cost eight bytes a key.)
    One {
        /// See [`Revision`].
        main: i64,
        /// See [`Revision`].
        sub: u32,
    },
    /// Several changes, puts and tombstones.
    Many(Box<Several>),
}

/// The list of a key with more than one change.
#[derive(Clone, Debug)]
pub(super) struct Several {
    /// Ascending, without repetition.
    revisions: Vec<Revision>,
}

impl Versions {
    /// A new key's only put.
    pub(super) fn one(revision: Revision) -> Self {
        Self::One { main: revision.main, sub: revision.sub }
    }

    /// The newest change.
    pub(super) fn newest(&self) -> Revision {
        match self {
            Self::One { main, sub } => Revision { main: *main, sub: *sub },
            Self::Many(several) => *several.revisions.last().expect("a key has a change"),
        }
    }

    /// The newest change at or before a place.
    pub(super) fn newest_at(&self, at: Revision) -> Option<Revision> {
        if self.newest() <= at {
            return Some(self.newest());
        }
        match self {
            Self::One { .. } => None,
            Self::Many(several) => {
                let behind = several.revisions.partition_point(|revision| *revision <= at);
                behind.checked_sub(1).map(|last| several.revisions[last])
            }
        }
    }

    /// The change just before the one at a place.
    pub(super) fn before(&self, place: Revision) -> Option<Revision> {
        match self {
            Self::One { .. } => None,
            Self::Many(several) => {
                let behind = several.revisions.partition_point(|revision| *revision < place);
                behind.checked_sub(1).map(|last| several.revisions[last])
            }
        }
    }

    /// Adds a change behind the newest.
    pub(super) fn push(&mut self, revision: Revision) {
        assert!(self.newest() < revision, "changes of a key are added in order");
        match self {
            Self::One { .. } => {
                let revisions = alloc::vec![self.newest(), revision];
                *self = Self::Many(Box::new(Several { revisions }));
            }
            Self::Many(several) => several.revisions.push(revision),
        }
    }

    /// Renames places, keeping their order.
    pub(super) fn move_places(&mut self, moved: &Moved) {
        let rename = |place: Revision| moved.get(&place).copied().unwrap_or(place);
        match self {
            Self::One { .. } => *self = Self::one(rename(self.newest())),
            Self::Many(several) => {
                several.revisions.iter_mut().for_each(|place| *place = rename(*place));
            }
        }
    }

    /// Whether the one change is a put, as it always is.
    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::One { .. })
    }

    /// All changes.
    pub(super) fn iter(&self) -> impl Iterator<Item = Revision> + '_ {
        let (one, many) = match self {
            Self::One { .. } => (Some(self.newest()), &[][..]),
            Self::Many(several) => (None, several.revisions.as_slice()),
        };
        one.into_iter().chain(many.iter().copied())
    }
}

/// A key: the first version's block, compared by its key.
#[derive(Clone, Debug)]
struct Key(Record);

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

/// All keys that have a change in the history.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    keys: BTreeMap<Key, Versions>,
}

impl KeyIndex {
    /// The changes of a key.
    pub(super) fn versions(&self, key: &[u8]) -> Option<&Versions> {
        self.keys.get(key)
    }

    /// The changes of a key.
    pub(super) fn versions_mut(&mut self, key: &[u8]) -> Option<&mut Versions> {
        self.keys.get_mut(key)
    }

    /// Adds a key, named by a version of it.
    pub(super) fn insert(&mut self, version: Record, versions: Versions) {
        let before = self.keys.insert(Key(version), versions);
        assert!(before.is_none(), "only a new key is inserted");
    }

    /// Keys that have a change.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of an interval behind `last`, each as a version that has the key.
    pub(super) fn range<'a>(
        &'a self,
        interval: &'a Interval,
        last: Option<&'a Record>,
    ) -> impl Iterator<Item = (&'a Record, &'a Versions)> {
        let keys = bounds(interval, last).map(|bounds| self.keys.range::<[u8], _>(bounds));
        keys.into_iter().flatten().map(|(key, versions)| (&key.0, versions))
    }

    /// The keys of an interval behind `last`, with their changes to be added to.
    pub(super) fn range_mut<'a>(
        &'a mut self,
        interval: &'a Interval,
        last: Option<&'a Record>,
    ) -> impl Iterator<Item = (&'a Record, &'a mut Versions)> {
        let keys = bounds(interval, last).map(|bounds| self.keys.range_mut::<[u8], _>(bounds));
        keys.into_iter().flatten().map(|(key, versions)| (&key.0, versions))
    }

    /// Every key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Record, &Versions)> {
        self.keys.iter().map(|(key, versions)| (&key.0, versions))
    }

    /// Takes over keys in ascending order, at once.
    pub(super) fn build(keys: Vec<(Record, Versions)>) -> Self {
        let keys = keys.into_iter().map(|(version, versions)| (Key(version), versions)).collect();
        Self { keys }
    }
}

/// Whether a key lies in an interval.
pub(super) fn contains(interval: &Interval, key: &[u8]) -> bool {
    match interval {
        Interval::Key(only) => only == key,
        Interval::Between(start, end) => start <= key && key < end,
        Interval::From(start) => start <= key,
    }
}

/// An interval's bounds as a map wants them; none for an empty interval.
fn bounds<'a>(
    interval: &'a Interval,
    last: Option<&'a Record>,
) -> Option<(Bound<&'a [u8]>, Bound<&'a [u8]>)> {
    let (start, end): (&[u8], _) = match interval {
        Interval::Key(key) => (key, Bound::Included(key.as_ref())),
        Interval::Between(start, end) if start < end => (start, Bound::Excluded(end.as_ref())),
        Interval::Between(..) => return None,
        Interval::From(start) => (start, Bound::Unbounded),
    };
    let start = last.map_or(Bound::Included(start), |last| Bound::Excluded(last.key()));
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(main: i64, sub: u32) -> Revision {
        Revision { main, sub }
    }

    #[test]
    fn an_entry_is_four_words() {
        assert_eq!(size_of::<Versions>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Key>(), 2 * size_of::<usize>());
    }

    #[test]
    fn the_newest_change_at_a_place_is_found() {
        let mut versions = Versions::one(at(2, 0));
        assert_eq!(versions.newest_at(at(1, 9)), None);
        assert_eq!(versions.before(at(2, 0)), None);
        versions.push(at(3, 1));
        versions.push(at(5, 0));
        let rows = [
            (at(1, 9), None, None),
            (at(2, 0), Some(at(2, 0)), None),
            (at(3, 0), Some(at(2, 0)), Some(at(2, 0))),
            (at(3, 1), Some(at(3, 1)), Some(at(2, 0))),
            (at(4, 0), Some(at(3, 1)), Some(at(3, 1))),
            (at(9, 0), Some(at(5, 0)), Some(at(5, 0))),
        ];
        for (place, newest, before) in rows {
            assert_eq!(versions.newest_at(place), newest, "{place:?}");
            assert_eq!(versions.before(place), before, "{place:?}");
        }
        assert_eq!(versions.iter().count(), 3);
    }
}
