//! The log's files: what is in them, and the space prepared in them for what comes.
//!
//! ```text
//! |header|records ......|zeros......|      |header|zeros......|
//! 0      64             used        length 0      64          length
//!         the current segment              the next one, when the current is nearly full
//! ```
//!
//! Space is prepared by the bulk lane and counts once it is durable. Zeros run a bounded way ahead
//! of the writer, so that preparing never floods the disk; a segment grows up to its size that
//! way. A batch that exceeds a segment gets a segment of its own that is as large as it must be.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::Identity;
use super::record::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::disk::{DiskOp, File};
use crate::limits::ZEROS_AHEAD_BYTES;
use crate::raft::Index;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

/// A segment that holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    /// Where the next record goes, or where the last one ends.
    pub(super) used: u64,
    /// Written and durable, zeros included.
    pub(super) length: u64,
    /// The highest index of an entry in it that was not overwritten; zero if there is none.
    pub(super) highest: Index,
    /// The sequence of its first record.
    pub(super) first_record: u64,
}

/// What the bulk lane was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preparation {
    Extend { segment: u64, length: u64 },
    Create { length: u64 },
}

/// All segments, oldest first.
///
/// # Invariants
/// - Sequences have no gaps, and only the last segment is appended to.
/// - Every segment holds at least one record; the one prepared as the next holds none.
/// - At most one preparation is under way.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    identity: Identity,
    segment_bytes: u64,
    ahead: u64,
    held: VecDeque<Segment>,
    /// Whether the last held segment takes appends; after a recovery none does.
    open: bool,
    /// The sequence that the next segment gets.
    next_sequence: u64,
    /// The prepared length of the next segment.
    next: Option<u64>,
    under_way: Option<Preparation>,
    /// Files of an earlier life behind the log's end, ascending; removed newest first, so that
    /// a crash between two removals leaves no gap.
    abandoned: Vec<u64>,
}

impl Segments {
    pub(super) fn new(
        identity: Identity,
        segment_bytes: u64,
        held: VecDeque<Segment>,
        abandoned: Vec<u64>,
    ) -> Self {
        assert!(segment_bytes > 8 * HEADER, "a segment holds more than its header");
        let ahead = ZEROS_AHEAD_BYTES.min(segment_bytes / 4);
        let next_sequence = held.back().map_or(1, |segment| segment.sequence + 1);
        let under_way = None;
        Self {
            identity,
            segment_bytes,
            ahead,
            held,
            open: false,
            next_sequence,
            next: None,
            under_way,
            abandoned,
        }
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    fn current(&self) -> Option<&Segment> {
        self.held.back().filter(|_| self.open)
    }

    fn room_current(&self) -> u64 {
        self.current().map_or(0, |segment| segment.length - segment.used)
    }

    fn room_next(&self) -> u64 {
        self.next.map_or(0, |length| length - HEADER)
    }

    /// The largest append that fits now.
    pub(super) fn room(&self) -> u64 {
        self.room_current().max(self.room_next())
    }

    /// Operations that prepare more space, unless some are under way or there is enough.
    pub(super) fn prepare(&mut self, wanted: u64) -> Vec<DiskOp> {
        let enough = self.room() >= wanted && self.room_current() + self.room_next() >= self.ahead;
        if self.under_way.is_some() || enough {
            return Vec::new();
        }
        let preparation = self.plan(wanted);
        self.under_way = Some(preparation);
        self.operations(preparation)
    }

    fn plan(&self, wanted: u64) -> Preparation {
        let grown = |length: u64| (length + self.ahead).min(self.segment_bytes);
        if let Some(length) = self.next {
            let length = grown(length).max(HEADER + wanted).max(length);
            return Preparation::Extend { segment: self.next_sequence, length };
        }
        match self.current() {
            Some(current)
                if current.length < self.segment_bytes
                    && current.used + wanted <= self.segment_bytes =>
            {
                let length = grown(current.length).max(current.used + wanted);
                Preparation::Extend { segment: current.sequence, length }
            }
            _ => Preparation::Create { length: HEADER + self.ahead.max(wanted) },
        }
    }

    fn operations(&self, preparation: Preparation) -> Vec<DiskOp> {
        match preparation {
            Preparation::Extend { segment, length } => {
                let present = match self.current() {
                    Some(current) if current.sequence == segment => current.length,
                    _ => self.next.unwrap_or(HEADER),
                };
                assert!(length > present, "an extension makes a segment longer");
                let file = File::Segment(segment);
                vec![DiskOp::Zero { file, offset: present, length: length - present }]
            }
            Preparation::Create { length } => self.creation(length),
        }
    }

    fn creation(&self, length: u64) -> Vec<DiskOp> {
        let file = File::Segment(self.next_sequence);
        let header = SegmentHeader { identity: self.identity, sequence: self.next_sequence };
        let abandoned = self.abandoned.iter().rev();
        let mut operations: Vec<DiskOp> =
            abandoned.map(|sequence| DiskOp::Remove(File::Segment(*sequence))).collect();
        operations.extend([
            DiskOp::Create(file),
            DiskOp::Write { file, offset: 0, bytes: header.encode() },
            DiskOp::Zero { file, offset: HEADER, length: length - HEADER },
            DiskOp::Publish(file),
        ]);
        operations
    }

    pub(super) fn prepared(&mut self) {
        match self.under_way.take() {
            Some(Preparation::Create { length }) => {
                assert!(self.next.is_none(), "one segment is prepared at a time");
                self.next = Some(length);
                self.abandoned.clear();
            }
            Some(Preparation::Extend { segment, length }) if segment == self.next_sequence => {
                self.next = Some(length);
            }
            Some(Preparation::Extend { segment, length }) => {
                let extended = self.held.iter_mut().rev().find(|held| held.sequence == segment);
                if let Some(extended) = extended {
                    extended.length = length;
                }
            }
            None => panic!("only what was asked for can be prepared"),
        }
    }

    pub(super) fn prepare_failed(&mut self) {
        assert!(self.under_way.is_some(), "only what was asked for can fail");
        self.under_way = None;
    }

    /// Takes `space` bytes for records that begin with number `first_record`: in the current
    /// segment if they fit, else in the next one.
    pub(super) fn take(&mut self, space: u64, first_record: u64) -> (u64, u64) {
        assert!(space <= self.room(), "an append stays within durable, prepared space");
        if self.room_current() < space {
            self.switch(first_record);
        }
        let current = self.held.back_mut().expect("there is room only in a segment");
        let offset = current.used;
        current.used += space;
        assert!(current.used <= current.length, "an append stays within its segment");
        (current.sequence, offset)
    }

    fn switch(&mut self, first_record: u64) {
        let length = self.next.take().expect("the next segment is prepared before it is needed");
        let sequence = self.next_sequence;
        let highest = Index(0);
        self.held.push_back(Segment { sequence, used: HEADER, length, highest, first_record });
        self.open = true;
        self.next_sequence += 1;
    }

    /// Entries up to `last` were written to the last segment, from `first` on.
    pub(super) fn note(&mut self, first: Index, last: Index) {
        note(&mut self.held, first, last);
    }

    /// Nothing written so far counts any more.
    pub(super) fn clear(&mut self) {
        self.held.iter_mut().for_each(|segment| segment.highest = Index(0));
    }

    /// Removes the oldest segment if nothing above `keep_from` lies in it and a later segment
    /// holds a durable record, which tells term, vote and base anew.
    pub(super) fn cut_one(&mut self, keep_from: Index, durable: u64) -> Option<u64> {
        let (oldest, follower) = (self.held.front()?, self.held.get(1)?);
        let removable = oldest.highest <= keep_from && follower.first_record <= durable;
        assert!(oldest.first_record < follower.first_record, "every segment holds a record");
        removable.then(|| self.held.pop_front().map_or(0, |segment| segment.sequence))
    }

    /// What `segment` holds of records ends here.
    pub(super) fn used(&self, segment: u64) -> Option<u64> {
        self.held.iter().rev().find(|held| held.sequence == segment).map(|held| held.used)
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        for (before, after) in self.held.iter().zip(self.held.iter().skip(1)) {
            assert!(before.sequence + 1 == after.sequence, "sequences have no gaps");
            assert!(before.first_record < after.first_record, "every segment holds a record");
        }
        for segment in &self.held {
            assert!(HEADER < segment.used, "every segment holds a record");
            assert!(segment.used <= segment.length, "records lie within prepared space");
        }
        let newest = self.held.back().map_or(0, |segment| segment.sequence);
        assert!(newest < self.next_sequence, "a new segment is the newest");
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.held.iter().map(|segment| segment.length).sum::<u64>() + self.next.unwrap_or(0)
    }
}

/// Entries from `first` to `last` were written to the last of `held`; what was at `first` and
/// behind it counts no more.
pub(super) fn note(held: &mut VecDeque<Segment>, first: Index, last: Index) {
    for segment in held.iter_mut() {
        segment.highest = segment.highest.min(first.previous());
    }
    if let Some(newest) = held.back_mut() {
        newest.highest = last;
    }
}
