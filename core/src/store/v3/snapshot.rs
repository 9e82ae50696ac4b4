//! The store written down while it changes, and read back.
//!
//! Both go key by key, in order, each key with all its changes up to the pinned revision. Later
//! writes only add changes behind the pin, so nothing has to be kept for the snapshot's sake; a
//! tombstone that a pending removal has yet to make is written as if it were there.
//!
//! ```text
//! key      count of changes, then for each: main, sub, flag; a put's block (see `Record`) behind
//! ```
//!
//! A tombstone carries nothing: it ends the version before it. An operation that changed nothing is
//! not written; the operations behind it in the transaction move up when the store is read back.

use alloc::vec::Vec;

use bytes::Bytes;

use super::content::Content;
use super::history::{History, Placed, Slot};
use super::key_index::{KeyIndex, Versions};
use super::removal::Removals;
use super::statistics::Statistics;
use super::{Interval, Record, Revision, Store};
use crate::codec::{DecodeError, Reader, Write};

/// A walk over everything that the store held at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pin: Revision,
    compact_revision: i64,
    all: Interval,
    last: Option<Record>,
    live_hash: u64,
    keys: u64,
}

impl Snapshot {
    /// Of the store as it is now. No write may be blocked.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        assert!(!store.is_blocked(), "a snapshot is taken between writes");
        Self {
            pin: Revision::end_of(store.revision()),
            compact_revision: store.compact_revision(),
            all: Interval::From(Bytes::from_static(&[0])),
            last: None,
            live_hash: 0,
            keys: 0,
        }
    }

    /// The pinned revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.pin.main
    }

    /// Reads below it failed.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// How many keys were written.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// The hash of what was written: when that is everything, [`Store::hash`] of that moment.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.live_hash
            .wrapping_add(super::content::hash_of_revisions(self.pin.main, self.compact_revision))
    }

    /// Writes at most `keys_max` more keys, until `out` has `bytes_max` bytes; true when that was
    /// everything.
    pub fn advance(
        &mut self,
        store: &Store,
        keys_max: usize,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        assert!(keys_max > 0, "a slice makes progress");
        let content = &store.content;
        let mut seen = None;
        let keys = content.index.range(&self.all, self.last.as_ref());
        let mut is_complete = true;
        for (visited, (key, versions)) in keys.enumerate() {
            if visited >= keys_max || out.len() >= bytes_max {
                is_complete = false;
                break;
            }
            let (count, live_hash) = put_key(content, key, versions, self.pin, out);
            self.keys += u64::from(count > 0);
            self.live_hash = self.live_hash.wrapping_add(live_hash);
            seen = Some(key);
        }
        if let Some(seen) = seen.cloned() {
            self.last = Some(seen);
        }
        is_complete
    }
}

/// Writes a key's changes up to the pin: how many, and the hash of the one that is alive.
fn put_key(
    content: &Content,
    key: &Record,
    versions: &Versions,
    pin: Revision,
    out: &mut Vec<u8>,
) -> (usize, u64) {
    let Some(newest) = versions.newest_at(pin) else { return (0, 0) };
    let is_put = !content.history.is_removal(newest);
    let removal = content.removals.ending(key.key(), newest, pin).filter(|_| is_put);
    let places = || versions.iter().take_while(|place| *place <= pin).chain(removal);
    let count = places().count();
    out.put_count(count);
    for place in places() {
        out.put_varint(place.main.cast_unsigned());
        out.put_varint(u64::from(place.sub));
        let put = match content.history.slot(place) {
            Slot::Put(record) => Some(record),
            Slot::Removal(_) => None,
        };
        out.put_flag(put.is_some());
        if let Some(record) = put {
            out.put_block(record.block());
        }
    }
    let is_alive = is_put && removal.is_none();
    (count, if is_alive { content.history.record(newest).hash() } else { 0 })
}

/// Makes a store of what [`Snapshot`] wrote.
#[derive(Debug)]
pub struct Loader {
    revision: i64,
    compact_revision: i64,
    index: KeyIndex,
    last: Option<Record>,
    placed: Placed,
    live_hash: u64,
}

impl Loader {
    /// For a snapshot pinned at `revision`.
    ///
    /// # Errors
    /// When no store can have these revisions.
    pub fn new(revision: i64, compact_revision: i64) -> Result<Self, DecodeError> {
        if revision < 1 || compact_revision < -1 || compact_revision > revision {
            return Err(DecodeError { rule: "revisions that no v3 store has", offset: 0 });
        }
        let placed = Placed::default();
        let index = KeyIndex::default();
        Ok(Self { revision, compact_revision, index, last: None, placed, live_hash: 0 })
    }

    /// Takes keys up to the end of the block.
    ///
    /// # Errors
    /// When a snapshot cannot have written them.
    pub fn load(&mut self, items: &mut Reader) -> Result<(), DecodeError> {
        while items.remaining() > 0 {
            self.load_key(items)?;
        }
        Ok(())
    }

    fn load_key(&mut self, items: &mut Reader) -> Result<(), DecodeError> {
        let count = items.count()?;
        let mut key: Option<(Record, Versions)> = None;
        let mut before: Option<Record> = None;
        for _ in 0..count {
            let place = self.read_place(items)?;
            if key.as_ref().is_some_and(|(_, versions)| versions.newest() >= place) {
                return Err(items.error("the changes of a key are not in order"));
            }
            if items.flag()? {
                let record = Record::of_block(&items.block()?)?;
                check_version(&record, place, before.as_ref()).map_err(|rule| items.error(rule))?;
                self.placed.put(place, record.clone());
                match &mut key {
                    None => key = Some((record.clone(), Versions::one(place))),
                    Some((known, versions)) if known.key() == record.key() => versions.put(place),
                    Some(_) => return Err(items.error("versions of two keys under one")),
                }
                before = Some(record);
            } else {
                let (Some(ended), Some((_, versions))) = (before.take(), &mut key) else {
                    return Err(items.error("a tombstone that ends nothing"));
                };
                versions.end(place);
                self.placed.remove(place, ended);
            }
        }
        let (key, versions) = key.ok_or_else(|| items.error("a key without changes"))?;
        if self.last.as_ref().is_some_and(|last| last.key() >= key.key()) {
            return Err(items.error("keys are not in order"));
        }
        if let Some(alive) = before {
            self.live_hash = self.live_hash.wrapping_add(alive.hash());
        }
        self.last = Some(key.clone());
        self.index.push(key, versions);
        Ok(())
    }

    fn read_place(&self, items: &mut Reader) -> Result<Revision, DecodeError> {
        let main = items.varint()?.cast_signed();
        match u32::try_from(items.varint()?) {
            Ok(sub) if (2..=self.revision).contains(&main) => Ok(Revision { main, sub }),
            _ => Err(items.error("a change outside of the snapshot's revisions")),
        }
    }

    /// How many keys were read.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.index.len() as u64
    }

    /// The store.
    ///
    /// # Errors
    /// When two changes claim one place, or a revision has none.
    pub fn finish(self, slice_keys: usize) -> Result<Store, DecodeError> {
        let (history, moved) = History::of(self.placed, self.revision)?;
        let mut index = self.index;
        if !moved.is_empty() {
            let every = Interval::From(Bytes::from_static(&[0]));
            let keys = index.range_mut(&every, None);
            keys.for_each(|(_, mut changes)| changes.move_places(&moved));
        }
        let content = Content {
            index,
            history,
            removals: Removals::default(),
            live_hash: self.live_hash,
            compact_revision: self.compact_revision,
            statistics: Statistics::default(),
        };
        Ok(Store::with_content(content, slice_keys))
    }
}

fn check_version(
    record: &Record,
    place: Revision,
    before: Option<&Record>,
) -> Result<(), &'static str> {
    if record.mod_revision() != place.main {
        return Err("a version that is not of its revision");
    }
    match before {
        Some(before) if record.create_revision() != before.create_revision() => {
            Err("a generation was created twice")
        }
        Some(before) if before.version().checked_add(1) != Some(record.version()) => {
            Err("the versions of a key have a gap")
        }
        _ => Ok(()),
    }
}
