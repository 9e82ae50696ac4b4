//! A place in a segment that is being read, and the piece of the file around it.

#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

use bytes::Bytes;

use super::record::wide;
use crate::disk::{DiskRead, File};

/// How much is read at once, in bytes; entries share its memory.
const READ_BYTES: u64 = 4 << 20;

/// What is read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Header,
    Records,
    /// Only what the rest promises is of interest.
    Search,
}

/// A place in a segment.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) length: u64,
    pub(super) offset: u64,
    pub(super) phase: Phase,
    piece: Bytes,
    piece_offset: u64,
    /// How many bytes were asked for and have not come.
    asked: Option<u64>,
}

impl Cursor {
    /// At the start of a segment that is `length` bytes long.
    pub(super) fn new(segment: u64, length: u64) -> Self {
        let phase = Phase::Header;
        Self {
            segment,
            length,
            offset: 0,
            phase,
            piece: Bytes::new(),
            piece_offset: 0,
            asked: None,
        }
    }

    /// The bytes of the read that was asked for, if one was. False if they are not what was.
    pub(super) fn give(&mut self, bytes: Option<Bytes>) -> bool {
        match (self.asked.take(), bytes) {
            (None, None) => true,
            (Some(asked), Some(bytes)) if wide(bytes.len()) == asked => {
                self.piece = bytes;
                true
            }
            _ => false,
        }
    }

    /// How many bytes of the file lie at and behind the place.
    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    /// What is in memory from the place on, if it is at least `least` bytes; else the read that
    /// makes it so. The file must have that many left.
    pub(super) fn window(&self, least: u64) -> Result<Bytes, DiskRead> {
        let skipped =
            self.offset.checked_sub(self.piece_offset).and_then(|n| usize::try_from(n).ok());
        match skipped.filter(|skipped| *skipped <= self.piece.len()) {
            Some(skipped) if wide(self.piece.len().saturating_sub(skipped)) >= least => {
                Ok(self.piece.slice(skipped..))
            }
            _ => Err(DiskRead {
                file: File::Segment(self.segment),
                offset: self.offset,
                length: least.max(READ_BYTES).min(self.left()),
            }),
        }
    }

    /// That read is going to be made.
    pub(super) fn ask(&mut self, read: DiskRead) {
        self.piece = Bytes::new();
        self.piece_offset = read.offset;
        self.asked = Some(read.length);
    }

    /// The place moves on.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
    }
}
