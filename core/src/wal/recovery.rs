//! Reads a log back: a machine that asks for parts of files and hands out what they hold.
//!
//! Each segment is read in large pieces, record by record, until one is not the next of the
//! chain. From there the rest of the segment is only searched for records that promise something
//! (`durable_before`); the next segment may go on with the chain, because an earlier recovery
//! dropped a tail there. When all segments are read, either some record promised what could not
//! be read, which is corruption, or what could not be read was the unsynced tail.
//!
//! Nothing is changed by recovering: done twice it finds the same.

#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::cursor::{Cursor, Phase};
use super::places::{Places, Written};
use super::record::{
    self, BadSegment, NUMBER_MAX, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES,
    SegmentHeader, wide,
};
use super::replay::{End, Replay};
use super::segments::{self, Segment, Segments};
use super::writer::Newest;
use super::{Found, Identity, RecoveryError, Wal};
use crate::disk::{DiskRead, File};
use crate::identity::Incarnation;
use crate::raft::{Entry, HardState, Index, Position};

const SEGMENT_HEADER: u64 = 64;
const RECORD_HEADER: u64 = 112;
const _: () = assert!(SEGMENT_HEADER_BYTES == 64 && RECORD_HEADER_BYTES == 112);

/// What a recovery wants, or found.
#[derive(Debug)]
pub enum Step {
    /// This part of a file is wanted: give it to the next [`Recovery::next`].
    Read(DiskRead),
    /// The next entries behind the checkpoint, without a gap, all of them committed. Nothing is
    /// wanted for the next step.
    Committed(Vec<Entry>),
    /// The log is read.
    Done(Box<Recovered>),
}

/// A log that was read back.
#[derive(Debug)]
pub struct Recovered {
    /// Goes on behind what was found. `prepare` comes first.
    pub wal: Wal,
    /// The newest term and vote.
    pub hard_state: HardState,
    /// The last entry; the checkpoint's, if the log does not reach behind it.
    pub last: Position,
    /// Known to be committed. At least the checkpoint's index.
    pub commit_index: Index,
    /// The entries behind `commit_index`: durable, perhaps committed.
    pub uncommitted: Vec<Entry>,
    /// Records that were written but not synced before the crash, if any.
    pub dropped: Option<Tail>,
}

/// Where a log ends before its bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// In which segment.
    pub file: File,
    /// The first byte that does not count.
    pub offset: u64,
    /// Why the record there is not one.
    pub reason: &'static str,
}

/// Why and where the row of records stopped.
#[derive(Clone, Copy, Debug)]
struct Stop {
    segment: u64,
    offset: u64,
    reason: &'static str,
}

/// What reading a bit further came to.
enum Progress {
    /// Go on here.
    At(Cursor),
    /// Go on here with these bytes.
    Wants(Cursor, DiskRead),
    /// The segment is read.
    Ended,
}

/// A resumable reading of the log. After [`Step::Done`] or an error it is used up.
#[derive(Debug)]
pub struct Recovery {
    waiting: VecDeque<(u64, u64)>,
    listed: Vec<u64>,
    cursor: Option<Cursor>,
    replay: Replay,
    incarnation: Incarnation,
    segment_bytes: u64,
    identity: Option<Identity>,
    held: VecDeque<Segment>,
    places: Places,
    newest: Newest,
    stop: Option<Stop>,
    promised: u64,
    /// Whether anything but zeros lies behind `stop`.
    leftover: bool,
}

impl Recovery {
    /// Begins with the listing of the data directory and the newest checkpoint that is whole
    /// (`(0, 0)` if there is none). New segments are begun for `incarnation`.
    ///
    /// # Errors
    /// When a segment is missing or there is none.
    pub fn new(
        found: &[Found],
        checkpoint: Position,
        incarnation: Incarnation,
        segment_bytes: u64,
    ) -> Result<Self, RecoveryError> {
        let mut waiting: Vec<(u64, u64)> = found.iter().filter_map(segment_of).collect();
        waiting.sort_unstable();
        for (before, after) in waiting.iter().zip(waiting.iter().skip(1)) {
            let reason = match after.0.checked_sub(before.0) {
                Some(1) => continue,
                Some(0) | None => "the segment is listed twice",
                Some(_) => "the segment before it is missing",
            };
            return Err(corrupt(after.0, 0, reason));
        }
        let Some((newest, _)) = waiting.last() else { return Err(RecoveryError::NoLog) };
        if *newest > NUMBER_MAX {
            return Err(corrupt(*newest, 0, "no log has that many segments"));
        }
        Ok(Self {
            listed: waiting.iter().map(|(sequence, _)| *sequence).collect(),
            waiting: waiting.into(),
            cursor: None,
            replay: Replay::new(checkpoint),
            incarnation,
            segment_bytes,
            identity: None,
            held: VecDeque::new(),
            places: Places::default(),
            newest: Newest::default(),
            stop: None,
            promised: 0,
            leftover: false,
        })
    }

    /// Goes on with the bytes that the last step asked for; none at first, behind
    /// [`Step::Committed`], and when they could not be read.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn next(&mut self, bytes: Option<Bytes>) -> Result<Step, RecoveryError> {
        if let Some(cursor) = &mut self.cursor
            && !cursor.give(bytes)
        {
            return Err(RecoveryError::Unreadable(File::Segment(cursor.segment)));
        }
        loop {
            let Some(cursor) = self.cursor.take() else {
                match self.waiting.pop_front() {
                    Some((segment, length)) => self.cursor = Some(Cursor::new(segment, length)),
                    None => return self.finish(),
                }
                continue;
            };
            match self.advance(cursor)? {
                Progress::At(cursor) => self.cursor = Some(cursor),
                Progress::Ended => {}
                Progress::Wants(cursor, read) => return self.pause(cursor, read),
            }
        }
    }

    /// Before a read, what is known to be committed leaves.
    fn pause(&mut self, mut cursor: Cursor, read: DiskRead) -> Result<Step, RecoveryError> {
        let committed = self.release(cursor.segment, cursor.offset)?;
        if committed.is_empty() {
            cursor.ask(read);
            self.cursor = Some(cursor);
            return Ok(Step::Read(read));
        }
        self.cursor = Some(cursor);
        Ok(Step::Committed(committed))
    }

    fn release(&mut self, segment: u64, offset: u64) -> Result<Vec<Entry>, RecoveryError> {
        self.replay.release().map_err(|reason| corrupt(segment, offset, reason))
    }

    fn advance(&mut self, cursor: Cursor) -> Result<Progress, RecoveryError> {
        match cursor.phase {
            Phase::Header => self.read_header(cursor),
            Phase::Records => self.read_record(cursor),
            Phase::Search => Ok(self.search(cursor)),
        }
    }

    fn read_header(&mut self, mut cursor: Cursor) -> Result<Progress, RecoveryError> {
        let segment = cursor.segment;
        let bytes = match cursor.window(SEGMENT_HEADER.min(cursor.length)) {
            Ok(bytes) => bytes,
            Err(read) => return Ok(Progress::Wants(cursor, read)),
        };
        let header = SegmentHeader::decode(&bytes).map_err(|bad| match bad {
            BadSegment::Corrupt(reason) => corrupt(segment, 0, reason),
            BadSegment::LaterVersion => RecoveryError::Version(File::Segment(segment)),
        })?;
        if header.sequence != segment {
            return Err(corrupt(segment, 0, "the segment bears another segment's name"));
        }
        let known = self.identity.get_or_insert(header.identity);
        if (known.cluster, known.member) != (header.identity.cluster, header.identity.member) {
            return Err(corrupt(segment, 0, "the segment belongs to another cluster or member"));
        }
        cursor.advance(SEGMENT_HEADER);
        cursor.phase = Phase::Records;
        Ok(Progress::At(cursor))
    }

    fn read_record(&mut self, cursor: Cursor) -> Result<Progress, RecoveryError> {
        if cursor.left() < RECORD_HEADER {
            return Ok(self.stop(cursor, "the file ends"));
        }
        let bytes = match cursor.window(RECORD_HEADER) {
            Ok(bytes) => bytes,
            Err(read) => return Ok(Progress::Wants(cursor, read)),
        };
        let (header, checksum) = match self.next_header(&cursor, &bytes) {
            Ok(next) => next,
            Err(reason) => return Ok(self.stop(cursor, reason)),
        };
        let bytes = match cursor.window(u64::from(header.length)) {
            Ok(bytes) => bytes,
            Err(read) => return Ok(Progress::Wants(cursor, read)),
        };
        match record::decode_entries(&header, &bytes) {
            Ok(entries) => self.accept(cursor, &header, checksum, entries),
            Err(reason) => Ok(self.stop(cursor, reason)),
        }
    }

    /// The header at the cursor, if it is the next of the chain and its record fits the file.
    fn next_header(
        &self,
        cursor: &Cursor,
        bytes: &[u8],
    ) -> Result<(RecordHeader, u32), &'static str> {
        let (header, checksum) = RecordHeader::decode(bytes)?;
        if (header.segment, header.offset) != (cursor.segment, cursor.offset) {
            return Err("a record lies where it was not written");
        }
        let length = u64::from(header.length);
        let aligned = length.is_multiple_of(wide(record::ALIGNMENT));
        if length < RECORD_HEADER || length > cursor.left() || !aligned {
            return Err("the length of a record does not fit its segment");
        }
        if header.durable_before >= header.sequence || header.sequence > NUMBER_MAX {
            return Err("a record promises itself");
        }
        let newest = &self.newest;
        let follows = newest.sequence.checked_add(1) == Some(header.sequence)
            && newest.checksum == header.previous_checksum;
        let begins = newest.sequence == 0 && self.is_cut() && self.is_first(cursor);
        if follows || begins { Ok((header, checksum)) } else { Err("the chain of records breaks") }
    }

    fn accept(
        &mut self,
        mut cursor: Cursor,
        header: &RecordHeader,
        checksum: u32,
        entries: Vec<Entry>,
    ) -> Result<Progress, RecoveryError> {
        let indexes = entries.first().map(|e| e.index).zip(entries.last().map(|e| e.index));
        let written = Written {
            segment: cursor.segment,
            offset: cursor.offset,
            length: u64::from(header.length),
            indexes,
        };
        self.replay
            .accept(header, entries)
            .map_err(|reason| corrupt(written.segment, written.offset, reason))?;
        cursor.advance(written.length);
        self.note(header, written, cursor.length);
        self.newest = Newest {
            sequence: header.sequence,
            checksum,
            durable: header.sequence,
            commit_index: header.commit_index,
            ..Newest::default()
        };
        self.stop = None;
        self.leftover = false;
        Ok(Progress::At(cursor))
    }

    /// Keeps account of files and places as the writer does.
    fn note(&mut self, header: &RecordHeader, written: Written, length: u64) {
        if header.reset {
            self.places.clear(header.base.index);
            self.held.iter_mut().for_each(|segment| segment.highest = Index(0));
        }
        if self.held.back().is_none_or(|segment| segment.sequence != written.segment) {
            self.held.push_back(Segment {
                sequence: written.segment,
                used: SEGMENT_HEADER,
                length,
                highest: Index(0),
                first_record: header.sequence,
            });
        }
        if let Some(segment) = self.held.back_mut() {
            segment.used = written.offset.saturating_add(written.length);
        }
        if let Some((first, last)) = written.indexes {
            segments::note(&mut self.held, first, last);
        }
        self.places.note(written);
    }

    /// No record to go on with: the rest of the segment is searched for promises.
    fn stop(&mut self, mut cursor: Cursor, reason: &'static str) -> Progress {
        let (segment, offset) = (cursor.segment, cursor.offset);
        self.stop.get_or_insert(Stop { segment, offset, reason });
        cursor.phase = Phase::Search;
        Progress::At(cursor)
    }

    fn search(&mut self, mut cursor: Cursor) -> Progress {
        if cursor.left() < RECORD_HEADER {
            return Progress::Ended;
        }
        let bytes = match cursor.window(RECORD_HEADER) {
            Ok(bytes) => bytes,
            Err(read) => return Progress::Wants(cursor, read),
        };
        let found = record::search(&bytes, cursor.segment, cursor.offset);
        self.promised = self.promised.max(found.promised);
        self.leftover |= found.any;
        cursor.advance(wide(found.bytes));
        Progress::At(cursor)
    }

    /// All segments are read.
    fn finish(&mut self) -> Result<Step, RecoveryError> {
        let (segment, offset) = self.stop.map_or((0, 0), |stop| (stop.segment, stop.offset));
        self.check_promises()?;
        let committed = self.release(segment, offset)?;
        if !committed.is_empty() {
            return Ok(Step::Committed(committed));
        }
        let replay = mem::replace(&mut self.replay, Replay::new(Position::default()));
        let end = replay.end().map_err(|reason| corrupt(segment, offset, reason))?;
        let found = self.identity.ok_or(RecoveryError::NoLog)?;
        let identity = Identity { incarnation: self.incarnation, ..found };
        Ok(Step::Done(Box::new(self.recovered(end, identity))))
    }

    /// Whether the log's first segments were removed.
    fn is_cut(&self) -> bool {
        self.listed.first().is_some_and(|first| *first > 1)
    }

    /// Whether this is where the oldest record must be.
    fn is_first(&self, cursor: &Cursor) -> bool {
        self.listed.first() == Some(&cursor.segment) && cursor.offset == SEGMENT_HEADER
    }

    /// Whether anything that was synced cannot be read.
    fn check_promises(&self) -> Result<(), RecoveryError> {
        let Some(stop) = self.stop else { return Ok(()) };
        if self.promised > self.newest.sequence {
            return Err(corrupt(stop.segment, stop.offset, stop.reason));
        }
        // A segment is only cut off when a later one holds a durable record.
        if self.is_cut() && self.newest.sequence == 0 {
            return Err(corrupt(stop.segment, stop.offset, stop.reason));
        }
        Ok(())
    }

    fn recovered(&mut self, end: End, identity: Identity) -> Recovered {
        let last_held = self.held.back().map_or(0, |segment| segment.sequence);
        let abandoned = self.listed.iter().copied().filter(|listed| *listed > last_held).collect();
        if end.void {
            self.places.clear(end.last.index);
            self.held.iter_mut().for_each(|segment| segment.highest = Index(0));
        }
        let newest = Newest {
            hard_state: end.hard_state,
            base: end.base,
            last_index: end.last.index,
            reset: end.void,
            // What the reset makes void is kept until the reset is durable.
            voiding: if end.void { self.newest.sequence.saturating_add(1) } else { 0 },
            ..self.newest
        };
        let segments =
            Segments::new(identity, self.segment_bytes, mem::take(&mut self.held), abandoned);
        let dropped = self.stop.filter(|_| self.leftover).map(|stop| Tail {
            file: File::Segment(stop.segment),
            offset: stop.offset,
            reason: stop.reason,
        });
        Recovered {
            wal: Wal::resume(segments, mem::take(&mut self.places), newest),
            hard_state: end.hard_state,
            last: end.last,
            commit_index: end.commit_index,
            uncommitted: end.uncommitted,
            dropped,
        }
    }
}

fn segment_of(found: &Found) -> Option<(u64, u64)> {
    match found.file {
        File::Segment(sequence) => Some((sequence, found.length)),
        File::Checkpoint(_) => None,
    }
}

fn corrupt(segment: u64, offset: u64, reason: &'static str) -> RecoveryError {
    RecoveryError::Corrupt { file: File::Segment(segment), offset, reason }
}
