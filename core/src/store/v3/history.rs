//! Every change that is still kept, in the order of revisions.
//!
//! The history is cut into chunks of [`CHUNK_REVISIONS`] main revisions, so a revision names its
//! chunk by division, and compaction can later free or rewrite one chunk at a time. In a chunk,
//! `starts` says where the slots of each main revision begin:
//!
//! ```text
//! main     2        3                         4
//! slots    put a    put b  removal [a, c)     put a
//! starts   0        1                         3
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use super::{Blocks, Record, Revision};
use crate::codec::DecodeError;

/// Main revisions in one chunk.
const CHUNK_REVISIONS: i64 = 4096;

/// What one operation of a transaction changed.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// A key was put.
    Put(Record),
    /// Keys were removed.
    Removal(Box<Removed>),
}

/// The tombstones of one removal.
#[derive(Clone, Debug, Default)]
pub(super) struct Removed {
    /// For each tombstone the version that it ended, in key order. A tombstone has no block of
    /// its own: the ended version knows the key. Empty until the removal is complete.
    pub(super) ended: Blocks<Record>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// For each main revision of the chunk the place of its first slot.
    starts: Vec<u32>,
    slots: Blocks<Slot>,
}

/// The changes of the store.
///
/// # Invariants
/// - Main revisions are dense from the first kept one up to `revision`; those that hold nothing
///   have no slots.
/// - The slots of a main revision are its writing operations, in order.
#[derive(Debug)]
pub(super) struct History {
    chunks: VecDeque<Chunk>,
    /// The number of the first chunk.
    first: i64,
    revision: i64,
    bytes: u64,
}

/// What a version costs beside its block: the index's entry, the slot, the allocator.
const VERSION_OVERHEAD_BYTES: usize = 96;
/// What a tombstone costs.
const TOMBSTONE_BYTES: usize = 32;

impl History {
    /// Nothing has happened up to and including `revision`.
    pub(super) fn starting_at(revision: i64) -> Self {
        assert!(revision >= 0, "revisions are not negative");
        let first = revision / CHUNK_REVISIONS;
        let places = usize::try_from(revision % CHUNK_REVISIONS).expect("below a chunk's length");
        let chunk = Chunk { starts: alloc::vec![0; places + 1], slots: Blocks::default() };
        Self { chunks: VecDeque::from([chunk]), first, revision, bytes: 0 }
    }

    /// The newest main revision.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// An estimate of the memory that versions and tombstones take, equal on every member.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens the next main revision.
    pub(super) fn begin(&mut self) {
        self.revision += 1;
        let number = self.revision / CHUNK_REVISIONS - self.first;
        if usize::try_from(number) == Ok(self.chunks.len()) {
            if let Some(full) = self.chunks.back_mut() {
                full.slots.shrink_to_fit();
                full.starts.shrink_to_fit();
            }
            self.chunks.push_back(Chunk::default());
        }
        let chunk = self.open_chunk();
        let start = u32::try_from(chunk.slots.len()).expect("a chunk holds less than 2^32 slots");
        chunk.starts.push(start);
    }

    /// Adds the next operation's change to the newest main revision.
    pub(super) fn push(&mut self, slot: Slot) -> Revision {
        self.bytes += slot_bytes(&slot);
        let main = self.revision;
        let chunk = self.open_chunk();
        let start = *chunk.starts.last().expect("a main revision is open");
        let end = u32::try_from(chunk.slots.len()).expect("a chunk holds less than 2^32 slots");
        chunk.slots.push(slot);
        Revision { main, sub: end - start }
    }

    /// The place of the newest change, if the newest main revision has one.
    pub(super) fn newest(&self) -> Revision {
        match self.slots_of(self.revision).len() {
            0 => Revision::end_of(self.revision),
            slots => Revision {
                main: self.revision,
                sub: u32::try_from(slots - 1).expect("a chunk holds less than 2^32 slots"),
            },
        }
    }

    /// Completes a removal that was pushed empty.
    pub(super) fn complete(&mut self, revision: Revision, ended: Blocks<Record>) {
        let slot = Slot::Removal(Box::new(Removed { ended }));
        self.bytes += slot_bytes(&slot);
        let place = self.place(revision);
        let slots = &mut self.chunk_mut(revision.main).slots;
        assert!(
            matches!(&slots[place], Slot::Removal(removed) if removed.ended.is_empty()),
            "a removal is completed once"
        );
        slots[place] = slot;
    }

    /// Drops up to `changes` changes, the newest first. Whether none is left.
    pub(super) fn dismantle(&mut self, changes: usize) -> bool {
        for _ in 0..changes {
            let Some(chunk) = self.chunks.back_mut() else { return true };
            let was_part = match chunk.slots.last_mut() {
                Some(Slot::Removal(removed)) => removed.ended.pop(),
                Some(Slot::Put(_)) | None => false,
            };
            if !was_part && !chunk.slots.pop() {
                self.chunks.pop_back();
            }
        }
        false
    }

    /// The change at a place that is known to exist.
    pub(super) fn slot(&self, revision: Revision) -> &Slot {
        &self.chunk(revision.main).slots[self.place(revision)]
    }

    /// The version that was put at a place.
    pub(super) fn record(&self, revision: Revision) -> &Record {
        match self.slot(revision) {
            Slot::Put(record) => record,
            Slot::Removal(_) => panic!("only a put has a record: {revision:?}"),
        }
    }

    /// Whether keys were removed at a place.
    pub(super) fn is_removal(&self, revision: Revision) -> bool {
        matches!(self.slot(revision), Slot::Removal(_))
    }

    /// The operations of a main revision.
    pub(super) fn slots_of(&self, main: i64) -> impl ExactSizeIterator<Item = &Slot> {
        let is_kept = (self.first_revision()..=self.revision).contains(&main);
        let places = if is_kept { self.places_of(main) } else { 0..0 };
        places.map(move |place| &self.chunk(main).slots[place])
    }

    fn places_of(&self, main: i64) -> Range<usize> {
        let (chunk, at) = (self.chunk(main), offset(main));
        let end = chunk.starts.get(at + 1).map_or(chunk.slots.len(), |end| *end as usize);
        chunk.starts[at] as usize..end
    }

    /// The first main revision that may hold anything.
    pub(super) fn first_revision(&self) -> i64 {
        self.first * CHUNK_REVISIONS
    }

    fn place(&self, revision: Revision) -> usize {
        self.chunk(revision.main).starts[offset(revision.main)] as usize + revision.sub as usize
    }

    fn chunk(&self, main: i64) -> &Chunk {
        &self.chunks[self.number(main)]
    }

    fn chunk_mut(&mut self, main: i64) -> &mut Chunk {
        let number = self.number(main);
        &mut self.chunks[number]
    }

    fn number(&self, main: i64) -> usize {
        usize::try_from(main / CHUNK_REVISIONS - self.first).expect("the revision is kept")
    }

    fn open_chunk(&mut self) -> &mut Chunk {
        self.chunks.back_mut().expect("a history has a chunk")
    }
}

/// Changes in any order of places, to make a history of.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// By the number of the chunk.
    chunks: BTreeMap<i64, Vec<(Revision, Slot)>>,
    /// Tombstones in key order.
    removals: BTreeMap<Revision, Blocks<Record>>,
}

impl Placed {
    pub(super) fn put(&mut self, place: Revision, record: Record) {
        let chunk = self.chunks.entry(place.main / CHUNK_REVISIONS).or_default();
        chunk.push((place, Slot::Put(record)));
    }

    /// A tombstone for a version. Of one place they come in key order.
    pub(super) fn remove(&mut self, place: Revision, ended: Record) {
        self.removals.entry(place).or_default().push(ended);
    }
}

/// Places that got another `sub`, because what was before them in their revision is gone.
pub(super) type Moved = BTreeMap<Revision, Revision>;

impl History {
    /// The changes up to `revision`. Each revision has some.
    ///
    /// # Errors
    /// When two of them claim one place, or a revision has none.
    pub(super) fn of(placed: Placed, revision: i64) -> Result<(Self, Moved), DecodeError> {
        let error = |rule| DecodeError { rule, offset: 0 };
        let Placed { mut chunks, removals } = placed;
        for (place, ended) in removals {
            let chunk = chunks.entry(place.main / CHUNK_REVISIONS).or_default();
            chunk.push((place, Slot::Removal(Box::new(Removed { ended }))));
        }
        let mut history = Self::starting_at(1);
        let mut moved = Moved::new();
        let mut last = None;
        for mut changes in chunks.into_values() {
            changes.sort_unstable_by_key(|(place, _)| *place);
            for (place, slot) in changes {
                if last.replace(place) == Some(place) {
                    return Err(error("two changes at one place of a v3 history"));
                }
                if history.revision < place.main {
                    history.begin();
                }
                if history.revision != place.main {
                    return Err(error("a revision of a v3 history has no change"));
                }
                let new = history.push(slot);
                if new != place {
                    moved.insert(place, new);
                }
            }
        }
        if history.revision == revision {
            Ok((history, moved))
        } else {
            Err(error("a v3 history ends before its store"))
        }
    }
}

fn offset(main: i64) -> usize {
    usize::try_from(main % CHUNK_REVISIONS).expect("below a chunk's length")
}

fn slot_bytes(slot: &Slot) -> u64 {
    let bytes = match slot {
        Slot::Put(record) => record.block().len() + VERSION_OVERHEAD_BYTES,
        Slot::Removal(removed) => removed.ended.len() * TOMBSTONE_BYTES,
    };
    u64::try_from(bytes).expect("sizes fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_two_words() {
        assert_eq!(size_of::<Slot>(), 2 * size_of::<usize>());
    }

    #[test]
    fn places_are_found_across_chunks() {
        let mut history = History::starting_at(CHUNK_REVISIONS - 3);
        let mut places = Vec::new();
        for main in CHUNK_REVISIONS - 2..3 * CHUNK_REVISIONS {
            history.begin();
            for sub in 0..main % 3 {
                let record = Record::new(main, main, sub, 0, b"k", b"v");
                places.push((history.push(Slot::Put(record)), sub));
            }
        }
        assert_eq!(history.revision(), 3 * CHUNK_REVISIONS - 1);
        for (place, sub) in places {
            let record = history.record(place);
            assert_eq!((record.mod_revision(), record.version()), (place.main, sub));
            assert_eq!(i64::from(place.sub), sub);
            assert_eq!(history.slots_of(place.main).len() as i64, place.main % 3);
        }
        assert_eq!(history.slots_of(1).len(), 0);
    }
}
