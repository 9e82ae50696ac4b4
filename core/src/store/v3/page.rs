//! A run of neighbouring keys, searched with hardly a look at the keys themselves.
//!
//! Keys lie in blocks of their own all over the memory, so looking at one costs far more than
//! comparing it. A page therefore keeps, beside each entry, the eight bytes that follow what all
//! its keys have in common, and a binary search reads only those:
//!
//! ```text
//! common   /registry/pods/          skip = 15
//! heads    "default/"  "default/"  "kube-sys"  "monitori"
//! ```
//!
//! Keys themselves are compared only among entries with the same head.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use super::Record;
use super::key_index::{Changes, Versions};

/// Entries in a full page.
pub(super) const PAGE_ENTRIES: usize = if cfg!(test) { 4 } else { 64 };

/// One key.
#[derive(Debug)]
pub(super) struct Entry {
    /// The bytes behind the common ones, as a number that sorts as they do.
    head: u64,
    /// Any version of the key: it has the key's bytes.
    pub(super) version: Record,
    /// Its changes.
    pub(super) versions: Versions,
}

/// The keys between two places.
///
/// # Invariants
/// - Keys ascend, and so do heads.
/// - The first `skip` bytes of all keys are the same.
/// - `alive` of the keys have no tombstone behind their last put.
#[derive(Debug, Default)]
pub(super) struct Page {
    skip: usize,
    entries: Vec<Entry>,
    alive: usize,
}

impl Page {
    /// A page of one entry.
    pub(super) fn of(version: Record, versions: Versions) -> Self {
        let skip = version.key().len();
        let mut entries = Vec::with_capacity(PAGE_ENTRIES);
        let alive = usize::from(!versions.is_ended());
        entries.push(Entry { head: head(version.key(), skip), version, versions });
        Self { skip, entries, alive }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Some of the keys, with their changes to be added to.
    pub(super) fn changes(
        &mut self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (&Record, Changes<'_>)> {
        let alive = Cell::from_mut(&mut self.alive);
        self.entries[range]
            .iter_mut()
            .map(|Entry { version, versions, .. }| (&*version, Changes::new(versions, alive)))
    }

    /// How many keys have no tombstone behind their last put.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// How many of some of the keys have none.
    pub(super) fn alive_among(&self, range: Range<usize>) -> usize {
        self.entries[range].iter().filter(|entry| !entry.versions.is_ended()).count()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= PAGE_ENTRIES
    }

    fn common(&self) -> &[u8] {
        self.entries.first().map_or(&[], |first| &first.version.key()[..self.skip])
    }

    /// Where a key is, or where it would be.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let common = self.common();
        let front = &key[..key.len().min(common.len())];
        if front != common {
            return Err(if front < common { 0 } else { self.entries.len() });
        }
        let wanted = head(key, self.skip);
        let first = self.entries.partition_point(|entry| entry.head < wanted);
        let same = self.entries[first..].partition_point(|entry| entry.head == wanted);
        let place = self.entries[first..first + same]
            .binary_search_by(|entry| entry.version.key().cmp(key));
        place.map(|place| first + place).map_err(|place| first + place)
    }

    /// Adds a key at the place where [`Self::search`] missed it.
    pub(super) fn insert(&mut self, at: usize, version: Record, versions: Versions) {
        assert!(!self.is_full(), "a full page is split first");
        let key = version.key();
        let shared = self.common().iter().zip(key).take_while(|(a, b)| a == b).count();
        let head = head(key, shared);
        self.alive += usize::from(!versions.is_ended());
        self.entries.insert(at, Entry { head, version, versions });
        if shared < self.skip {
            self.set_skip(shared);
        }
    }

    /// Adds a key behind the others, to a page that is being filled in order.
    pub(super) fn push(&mut self, version: Record, versions: Versions) {
        self.insert(self.entries.len(), version, versions);
    }

    /// Cuts the upper half off.
    pub(super) fn split(&mut self) -> Self {
        let half = self.entries.len() / 2;
        let mut entries = Vec::with_capacity(PAGE_ENTRIES);
        entries.extend(self.entries.drain(half..));
        let mut upper = Self { skip: self.skip, entries, alive: 0 };
        upper.alive = upper.alive_among(0..upper.entries.len());
        self.alive -= upper.alive;
        self.lengthen_skip();
        upper.lengthen_skip();
        upper
    }

    /// Keys that ascend have in common what the first and the last have in common.
    fn lengthen_skip(&mut self) {
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else { return };
        let pairs = first.version.key().iter().zip(last.version.key());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        self.set_skip(shared);
    }

    fn set_skip(&mut self, skip: usize) {
        self.skip = skip;
        for entry in &mut self.entries {
            entry.head = head(entry.version.key(), skip);
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        for pair in self.entries.windows(2) {
            assert!(pair[0].version.key() < pair[1].version.key(), "keys ascend");
            assert!(pair[0].head <= pair[1].head, "heads ascend");
        }
        for entry in &self.entries {
            assert!(entry.version.key().starts_with(self.common()), "the common bytes are common");
            assert!(entry.head == head(entry.version.key(), self.skip), "heads follow them");
        }
        assert!(self.alive == self.alive_among(0..self.entries.len()), "the living are counted");
    }
}

/// The eight bytes of a key behind `skip`. Where it ends before them there are zeros, so a key can
/// have the head of a longer one, but never a greater head.
fn head(key: &[u8], skip: usize) -> u64 {
    let rest = &key[skip.min(key.len())..];
    if let Some((bytes, _)) = rest.split_first_chunk::<8>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}
