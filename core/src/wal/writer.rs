//! The log's writer.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::Identity;
use super::places::{Places, Written};
use super::record::{self, RECORD_HEADER_BYTES, RecordHeader, wide};
use super::segments::Segments;
use crate::codec::DecodeError;
use crate::disk::{DiskOp, DiskRead, File};
use crate::raft::{Entry, HardState, Index, LogBatch, Position};

/// A batch is cut into records of about this size, so that a reader gets at any entry without
/// reading a long way. One entry may exceed it.
const RECORD_BYTES_TARGET: usize = 256 << 10;

/// The log's writer: turns batches into bytes at places, and knows where entries lie.
///
/// Space is prepared ahead by the bulk lane (zeros, new segments), so that an append changes no
/// file metadata and cannot run out of space.
///
/// ```
/// use quorra_core::identity::{ClusterId, Incarnation, MemberId};
/// use quorra_core::raft::LogBatch;
/// use quorra_core::wal::{Identity, Wal};
///
/// let (cluster, member, incarnation) = (ClusterId(1), MemberId(2), Incarnation(1));
/// let mut wal = Wal::create(Identity { cluster, member, incarnation }, 64 << 20);
/// let for_the_bulk_lane = wal.prepare(0);
/// assert!(!for_the_bulk_lane.is_empty() && wal.room() == 0);
/// wal.prepared(); // The bulk lane said that this is durable.
/// let for_the_log_lane = wal.append(&LogBatch::default());
/// assert_eq!(for_the_log_lane.len(), 1);
/// wal.durable(1); // The log lane said that the first append is.
/// ```
///
/// # Invariants
/// - An append lies within prepared, durable space of one segment.
/// - Records are numbered and chained without gaps; every record tells term, vote, base and what
///   was durable when it was written.
/// - Nothing is removed that holds an entry above `keep_from`, or the only durable record.
#[derive(Clone, Debug)]
pub struct Wal {
    pub(super) segments: Segments,
    pub(super) places: Places,
    pub(super) newest: Newest,
    /// Appends since this writer was made.
    appends: u64,
    /// The number of each append that is not durable yet, and of its last record.
    in_flight: VecDeque<(u64, u64)>,
}

/// What the newest record says, and what the next one will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest {
    /// The newest record's number; zero before the first.
    pub(super) sequence: u64,
    pub(super) checksum: u32,
    /// The newest record that is known to be durable.
    pub(super) durable: u64,
    /// The newest record that made older entries void. Until it is durable, they count.
    pub(super) voiding: u64,
    pub(super) hard_state: HardState,
    pub(super) base: Position,
    pub(super) last_index: Index,
    /// The next record must say that the log was reset to `base`.
    pub(super) reset: bool,
    /// The newest record says that everything before it is durable, and holds nothing itself.
    pub(super) closed: bool,
    pub(super) commit_index: Index,
}

impl Wal {
    /// The log of a member that starts for the first time. `prepare` comes first.
    #[must_use]
    pub fn create(identity: Identity, segment_bytes: u64) -> Self {
        let segments = Segments::new(identity, segment_bytes, VecDeque::new(), Vec::new());
        Self::resume(segments, Places::default(), Newest::default())
    }

    /// A writer that goes on behind what recovery found.
    pub(super) fn resume(segments: Segments, places: Places, newest: Newest) -> Self {
        Self { segments, places, newest, appends: 0, in_flight: VecDeque::new() }
    }

    /// What this writer's segments begin with.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.segments.identity()
    }

    /// The size of the largest append that prepared, durable space has room for, in bytes.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.segments.room()
    }

    /// The space that a batch takes, in bytes.
    #[must_use]
    pub fn space_of(&self, batch: &LogBatch) -> u64 {
        pieces(&batch.entries).map(|entries| wide(record::record_bytes(entries))).sum()
    }

    /// Operations of the bulk lane that bring `room` to `wanted` (or the usual zeros ahead),
    /// unless enough are under way. Call [`Self::prepared`] when their ticket is durable, or
    /// [`Self::prepare_failed`] when the disk was full.
    pub fn prepare(&mut self, wanted: u64) -> Vec<DiskOp> {
        self.segments.prepare(wanted)
    }

    /// The operations of the outstanding [`Self::prepare`] are durable.
    pub fn prepared(&mut self) {
        self.segments.prepared();
    }

    /// The disk was full; the next [`Self::prepare`] asks again.
    pub fn prepare_failed(&mut self) {
        self.segments.prepare_failed();
    }

    /// Encodes a batch that fits [`Self::room`]: operations of the log lane, in order.
    pub fn append(&mut self, batch: &LogBatch) -> Vec<DiskOp> {
        let space = self.space_of(batch);
        self.begin(batch);
        let (segment, offset) = self.segments.take(space, self.newest.sequence + 1);
        let mut bytes = BytesMut::with_capacity(usize::try_from(space).unwrap_or(0));
        for entries in pieces(&batch.entries) {
            let at = offset + wide(bytes.len());
            self.append_record(&mut bytes, segment, at, entries);
        }
        assert!(wide(bytes.len()) == space, "a batch takes the space that was foretold");
        self.appends += 1;
        self.in_flight.push_back((self.appends, self.newest.sequence));
        vec![DiskOp::Write { file: File::Segment(segment), offset, bytes: bytes.freeze() }]
    }

    /// Takes over what a batch says beside its entries.
    fn begin(&mut self, batch: &LogBatch) {
        let newest = &mut self.newest;
        newest.closed = batch.entries.is_empty()
            && batch.hard_state.is_none()
            && batch.reset.is_none()
            && !newest.reset
            && newest.durable == newest.sequence;
        if let Some(hard_state) = batch.hard_state {
            assert!(hard_state.term >= newest.hard_state.term, "terms never go back");
            newest.hard_state = hard_state;
        }
        if let Some(base) = batch.reset {
            newest.base = base;
            newest.last_index = base.index;
            newest.reset = true;
            newest.voiding = newest.sequence + 1;
            self.places.clear(base.index);
            self.segments.clear();
        }
        newest.commit_index = newest.commit_index.max(batch.commit_index);
    }

    fn append_record(&mut self, out: &mut BytesMut, segment: u64, offset: u64, entries: &[Entry]) {
        let newest = &mut self.newest;
        let indexes = entries.first().map(|e| e.index).zip(entries.last().map(|e| e.index));
        let previous_index = indexes.map_or(newest.last_index, |(first, _)| first.previous());
        assert!(previous_index <= newest.last_index, "the log has no gaps");
        let covered = indexes.map_or(0, |(first, last)| last.0 + 1 - first.0);
        assert!(covered == wide(entries.len()), "a batch's entries follow each other");
        assert!(previous_index >= newest.base.index, "entries lie behind the base");
        newest.sequence += 1;
        let header = RecordHeader {
            previous_checksum: newest.checksum,
            segment,
            offset,
            sequence: newest.sequence,
            durable_before: newest.durable,
            hard_state: newest.hard_state,
            base: newest.base,
            previous_index,
            commit_index: newest.commit_index,
            reset: newest.reset,
            ..RecordHeader::default()
        };
        newest.checksum = record::encode(out, header, entries);
        newest.reset = false;
        if let Some((first, last)) = indexes {
            if first <= newest.last_index {
                newest.voiding = newest.sequence;
            }
            newest.last_index = last;
            self.segments.note(first, last);
        }
        let length = wide(record::record_bytes(entries));
        self.places.note(Written { segment, offset, length, indexes });
    }

    /// Every append so far, up to and including the `n`th since this writer was made, is durable.
    /// Goes into the next record's header as `durable_before`.
    pub fn durable(&mut self, appends: u64) {
        assert!(appends <= self.appends, "only what was appended can be durable");
        while let Some((_, record)) = self.in_flight.pop_front_if(|(append, _)| *append <= appends)
        {
            self.newest.durable = record;
        }
    }

    /// An empty batch that tells on disk that everything before it was synced, and how far the
    /// log is committed; none if the newest record already says so, or is not durable yet.
    #[must_use]
    pub fn close_gap(&self, commit_index: Index) -> Option<LogBatch> {
        let newest = &self.newest;
        let told = newest.closed && newest.commit_index >= commit_index;
        let due = newest.sequence > 0 && newest.durable == newest.sequence && !told;
        due.then(|| LogBatch { commit_index, ..LogBatch::default() })
    }

    /// Where the entry at `from` lies, and about `bytes` behind it. None if it is below the first
    /// segment or above what is written.
    #[must_use]
    pub fn locate(&self, from: Index, bytes: u64) -> Option<DiskRead> {
        let mark = self.places.find(from)?;
        let end = self.segments.used(mark.segment)?;
        assert!(mark.offset + mark.length <= end, "a mark leads into the written part");
        let length = mark.length.max(bytes).min(end - mark.offset);
        Some(DiskRead { file: File::Segment(mark.segment), offset: mark.offset, length })
    }

    /// The entries from `from` on, without a gap, that a read of [`Self::locate`] holds whole,
    /// overwritten ones left out. They share the memory of `bytes`. The read may have run into
    /// space whose write is still under way: what cannot be read ends the row.
    ///
    /// # Errors
    /// When what was read is not what was written there, and no entry precedes it.
    pub fn decode(
        &self,
        read: DiskRead,
        bytes: Bytes,
        from: Index,
    ) -> Result<Vec<Entry>, DecodeError> {
        let File::Segment(segment) = read.file else {
            return Err(DecodeError { rule: "entries lie in segments", offset: 0 });
        };
        let (mut at, mut found) = (0, Vec::new());
        while bytes.len() - at >= RECORD_HEADER_BYTES {
            let offset = read.offset + wide(at);
            let step = self.decode_record((segment, offset), bytes.slice(at..), from, &mut found);
            match step {
                Ok(Some(length)) => at += length,
                Err(rule) if found.is_empty() => return Err(DecodeError { rule, offset: at }),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(found)
    }

    /// Adds the entries of the record at the start of `bytes` that continue `found`. Returns the
    /// record's length, or none if it is not there as a whole.
    fn decode_record(
        &self,
        place: (u64, u64),
        bytes: Bytes,
        from: Index,
        found: &mut Vec<Entry>,
    ) -> Result<Option<usize>, &'static str> {
        let (header, _) = RecordHeader::decode(&bytes)?;
        if (header.segment, header.offset) != place {
            return Err("a record lies where it was not written");
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > bytes.len() {
            return Ok(None);
        }
        let valid_below = self.places.valid_below(place.0, place.1).unwrap_or_default();
        let entries = record::decode_entries(&header, &bytes)?;
        for entry in entries.into_iter().take_while(|entry| entry.index < valid_below) {
            let wanted = found.last().map_or(from, |last| last.index.next());
            if entry.index == wanted {
                found.push(entry);
            }
        }
        Ok(Some(length.max(RECORD_HEADER_BYTES)))
    }

    /// A durable checkpoint covers everything up to `keep_from` at least: operations (bulk lane)
    /// that remove the segments which hold nothing but entries at or below `keep_from`, oldest
    /// first.
    pub fn cut(&mut self, keep_from: Index) -> Vec<DiskOp> {
        let mut operations = Vec::new();
        if self.newest.voiding > self.newest.durable {
            return operations;
        }
        while let Some(segment) = self.segments.cut_one(keep_from, self.newest.durable) {
            self.places.forget(segment);
            operations.push(DiskOp::Remove(File::Segment(segment)));
        }
        operations
    }

    /// About how many bytes of log lie behind the checkpoint at `base`.
    #[must_use]
    pub fn bytes_since(&self, base: Position) -> u64 {
        self.places.bytes_behind(base.index)
    }

    /// Bytes that the log takes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.segments.disk_bytes()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.segments.check();
        self.places.check();
        let newest = &self.newest;
        assert!(newest.durable <= newest.sequence, "only what was written is durable");
        assert!(newest.base.index <= newest.last_index, "the log lies behind its base");
        let oldest = self.in_flight.front().map_or(newest.sequence + 1, |(_, record)| *record);
        assert!(newest.durable < oldest, "what is in flight is not durable");
    }
}

/// The entries of each record of a batch, in order; one record even if there are none.
fn pieces(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let (mut rest, mut first) = (entries, true);
    core::iter::from_fn(move || {
        if rest.is_empty() && !first {
            return None;
        }
        first = false;
        let mut bytes = 0;
        let fits = rest.iter().take_while(|entry| {
            bytes += record::entry_bytes(entry);
            bytes <= RECORD_BYTES_TARGET
        });
        let count = fits.count().max(1).min(rest.len());
        let (piece, behind) = rest.split_at(count);
        rest = behind;
        Some(piece)
    })
}
