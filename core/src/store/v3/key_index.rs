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
//! Almost every key has one version: that place is kept in the entry itself. Entries lie in pages
//! of a few dozen neighbours. An entry's key is a handle to the block of its first version, so that
//! the bytes exist once; compaction, which may let that version go, has to put a newer one in its
//! place.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::{Bound, Deref, Range};

use super::history::Moved;
use super::page::{PAGE_ENTRIES, Page};
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
    /// The newest is a tombstone.
    is_ended: bool,
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

    /// Adds a put behind the newest change.
    pub(super) fn put(&mut self, place: Revision) {
        self.push(place, false);
    }

    /// Adds a tombstone behind the newest put.
    pub(super) fn end(&mut self, place: Revision) {
        assert!(!self.is_ended(), "a tombstone ends a version");
        self.push(place, true);
    }

    fn push(&mut self, revision: Revision, is_ended: bool) {
        assert!(self.newest() < revision, "changes of a key are added in order");
        match self {
            Self::One { .. } => {
                let revisions = alloc::vec![self.newest(), revision];
                *self = Self::Many(Box::new(Several { revisions, is_ended }));
            }
            Self::Many(several) => {
                several.revisions.push(revision);
                several.is_ended = is_ended;
            }
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

    /// Whether the newest change is a tombstone.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Many(several) if several.is_ended)
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

/// The changes of one key, to be added to: its page counts the keys that are alive.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    versions: &'a mut Versions,
    alive: &'a Cell<usize>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(versions: &'a mut Versions, alive: &'a Cell<usize>) -> Self {
        Self { versions, alive }
    }

    /// See [`Versions::put`].
    pub(super) fn put(&mut self, place: Revision) {
        self.alive.set(self.alive.get() + usize::from(self.versions.is_ended()));
        self.versions.put(place);
    }

    /// See [`Versions::end`].
    pub(super) fn end(&mut self, place: Revision) {
        self.versions.end(place);
        self.alive.set(self.alive.get() - 1);
    }

    /// See [`Versions::move_places`].
    pub(super) fn move_places(&mut self, moved: &Moved) {
        self.versions.move_places(moved);
    }
}

impl Deref for Changes<'_> {
    type Target = Versions;

    fn deref(&self) -> &Versions {
        self.versions
    }
}

/// All keys that have a change in the history.
///
/// # Invariants
/// - A page lies in the map under a key that is not above its first, and above the last of the page
///   before. (So the first page takes keys below all others, and its place need not change.)
/// - No page is empty.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    pages: BTreeMap<Box<[u8]>, Page>,
    len: usize,
}

impl KeyIndex {
    fn page(&self, key: &[u8]) -> Option<&Page> {
        self.pages
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .map(second)
    }

    /// The changes of a key.
    pub(super) fn versions(&self, key: &[u8]) -> Option<&Versions> {
        let page = self.page(key)?;
        page.search(key).ok().map(|at| &page.entries()[at].versions)
    }

    /// The changes of a key, to be added to.
    pub(super) fn changes(&mut self, key: &[u8]) -> Option<Changes<'_>> {
        let below = (Bound::Unbounded, Bound::Included(key));
        let (_, page) = self.pages.range_mut::<[u8], _>(below).next_back()?;
        let at = page.search(key).ok()?;
        page.changes(at..at + 1).next().map(second)
    }

    /// Adds a key, named by a version of it.
    pub(super) fn insert(&mut self, version: Record, versions: Versions) {
        self.len += 1;
        let below = (Bound::Unbounded, Bound::Included(version.key()));
        let Some((_, page)) = self.pages.range_mut::<[u8], _>(below).next_back() else {
            assert!(self.pages.is_empty(), "the first page lies under the lowest key there is");
            self.pages.insert(Box::default(), Page::of(version, versions));
            return;
        };
        let at = page.search(version.key()).expect_err("only a new key is inserted");
        if !page.is_full() {
            return page.insert(at, version, versions);
        }
        let is_behind = at == page.entries().len();
        let last = self.pages.last_key_value().expect("a page was found");
        if is_behind && last.0.as_ref() <= version.key() {
            // Keys that come in ascending order leave full pages behind.
            let place = version.key().into();
            self.pages.insert(place, Page::of(version, versions));
            return;
        }
        let (_, page) = self.pages.range_mut::<[u8], _>(below).next_back().expect("it was found");
        let mut upper = page.split();
        let middle: Box<[u8]> = upper.entries()[0].version.key().into();
        let half = if version.key() < &middle[..] { page } else { &mut upper };
        let at = half.search(version.key()).expect_err("only a new key is inserted");
        half.insert(at, version, versions);
        self.pages.insert(middle, upper);
    }

    /// Keys that have a change.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The keys of an interval behind `last`, each as a version that has the key.
    pub(super) fn range<'a>(
        &'a self,
        interval: &'a Interval,
        last: Option<&'a Record>,
    ) -> impl Iterator<Item = (&'a Record, &'a Versions)> {
        let bounds = bounds(interval, last);
        let first = bounds.map(|(start, _)| self.first_page(start));
        let pages = first.map(|first| self.pages.range::<[u8], _>((first, Bound::Unbounded)));
        let entries = pages.into_iter().flatten().map_while(move |(_, page)| {
            let (start, end) = bounds?;
            let entries = &page.entries()[within(page, start, end)?];
            Some(entries)
        });
        entries.flatten().map(|entry| (&entry.version, &entry.versions))
    }

    /// The keys of an interval behind `last`, with their changes to be added to.
    pub(super) fn range_mut<'a>(
        &'a mut self,
        interval: &'a Interval,
        last: Option<&'a Record>,
    ) -> impl Iterator<Item = (&'a Record, Changes<'a>)> {
        let bounds = bounds(interval, last);
        let first: Option<Bound<Box<[u8]>>> =
            bounds.map(|(start, _)| self.first_page(start).map(Into::into));
        let pages = first.map(|first| self.pages.range_mut((first, Bound::Unbounded)));
        let changes = pages.into_iter().flatten().map_while(move |(_, page)| {
            let (start, end) = bounds?;
            let within = within(page, start, end)?;
            Some(page.changes(within))
        });
        changes.flatten()
    }

    /// How many keys of an interval have no tombstone behind their last put, and how many pages
    /// had to be asked; none if those would be more than `pages_max`.
    pub(super) fn count(&self, interval: &Interval, pages_max: usize) -> Option<(usize, usize)> {
        let Some((start, end)) = bounds(interval, None) else { return Some((0, 0)) };
        let last = match end {
            Bound::Included(key) | Bound::Excluded(key) => self.first_page(Bound::Included(key)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let mut pages = self.pages.range::<[u8], _>((self.first_page(start), last)).map(second);
        let edges = [pages.next(), pages.next_back()].into_iter().flatten();
        let mut count = edges
            .filter_map(|page| Some(page.alive_among(within(page, start, end)?)))
            .sum::<usize>();
        let mut asked = 2;
        for page in pages {
            asked += 1;
            if asked > pages_max {
                return None;
            }
            count += page.alive();
        }
        Some((count, asked))
    }

    /// Where the page lies that a range from `start` on begins in.
    fn first_page(&self, start: Bound<&[u8]>) -> Bound<&[u8]> {
        let (Bound::Included(key) | Bound::Excluded(key)) = start else { return Bound::Unbounded };
        let mut below = self.pages.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        below.next_back().map_or(Bound::Unbounded, |(place, _)| Bound::Included(place))
    }

    /// Every key, with its changes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Record, &Versions)> {
        let entries = self.pages.values().flat_map(Page::entries);
        entries.map(|entry| (&entry.version, &entry.versions))
    }

    /// Adds a key above all others.
    pub(super) fn push(&mut self, version: Record, versions: Versions) {
        let mut last = self.pages.last_entry();
        match &mut last {
            Some(last) if !last.get().is_full() => {
                last.get_mut().push(version, versions);
                self.len += 1;
            }
            _ => self.insert(version, versions),
        }
    }

    /// Drops pages with about `keys` keys. Whether none is left.
    pub(super) fn dismantle(&mut self, keys: usize) -> bool {
        let mut pages = 0..keys.div_ceil(PAGE_ENTRIES);
        pages.all(|_| self.pages.pop_first().is_some());
        self.pages.is_empty()
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        let mut last: Option<&Record> = None;
        for (place, page) in &self.pages {
            page.check();
            let first = page.entries().first().expect("no page is empty");
            assert!(place.as_ref() <= first.version.key(), "a page lies below its first key");
            assert!(last.is_none_or(|last| last.key() < &place[..]), "pages do not overlap");
            last = page.entries().last().map(|entry| &entry.version);
        }
        assert!(self.iter().count() == self.len, "every key is counted");
    }
}

fn second<A, B>((_, second): (A, B)) -> B {
    second
}

/// Which entries of a page lie between two bounds; none if it begins behind the second.
fn within(page: &Page, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Option<Range<usize>> {
    let above = |key: &[u8]| page.search(key).map_or_else(|at| at, |at| at + 1);
    let from = |key: &[u8]| page.search(key).unwrap_or_else(|at| at);
    let first = match start {
        Bound::Included(key) => from(key),
        Bound::Excluded(key) => above(key),
        Bound::Unbounded => 0,
    };
    let behind = match end {
        Bound::Included(key) => above(key),
        Bound::Excluded(key) => from(key),
        Bound::Unbounded => page.entries().len(),
    };
    (behind > 0).then(|| first.min(behind)..behind)
}

/// Whether a key lies in an interval.
pub(super) fn contains(interval: &Interval, key: &[u8]) -> bool {
    match interval {
        Interval::Key(only) => only == key,
        Interval::Between(start, end) => start <= key && key < end,
        Interval::From(start) => start <= key,
    }
}

/// Where a range begins and ends.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// An interval's bounds as a map wants them; none for an empty interval.
fn bounds<'a>(interval: &'a Interval, last: Option<&'a Record>) -> Option<Bounds<'a>> {
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
mod tests;
