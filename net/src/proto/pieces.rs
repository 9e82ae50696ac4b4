//! Answers that hold many records, encoded at once or as the connection drains.

use std::collections::VecDeque;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use quorra_core::store::v3::{Record, Records};

use crate::http::{Body, LazyBody};

/// From how many bytes on an answer is encoded as the connection drains.
pub const LAZY_BYTES_MIN: usize = 64 << 10;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the list's field.
    pub field: u8,
    /// Whether the value is left out.
    pub keys_only: bool,
    /// Whether it is the first of its list.
    pub first: bool,
}

/// Appends one record of a list.
pub type WriteRecord = fn(&mut BytesMut, &Record, Place);

/// Part of an answer.
enum Piece {
    Text(Bytes),
    Records(<Records as IntoIterator>::IntoIter, Place),
}

/// The rest of a large answer: text, and records that are not encoded yet.
///
/// Records are handles, so they stay as they were while the store moves on.
pub struct Pieces {
    pieces: VecDeque<Piece>,
    write_record: WriteRecord,
    /// Known beforehand if the format says how long it is.
    remaining: Option<u64>,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} left)", self.pieces.len())
    }
}

impl LazyBody for Pieces {
    fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    fn fill(&mut self, out: &mut BytesMut, wanted: usize) -> bool {
        let start = out.len();
        let enough = start + wanted;
        while out.len() < enough
            && let Some(piece) = self.pieces.front_mut()
        {
            let more = match piece {
                Piece::Text(text) => {
                    out.put_slice(text);
                    false
                }
                Piece::Records(records, place) => match records.next() {
                    Some(record) => {
                        (self.write_record)(out, &record, *place);
                        place.first = false;
                        true
                    }
                    None => false,
                },
            };
            if !more {
                self.pieces.pop_front();
            }
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining -= (out.len() - start) as u64;
        }
        !self.pieces.is_empty()
    }
}

/// Takes an answer's parts in order, and encodes records now or later.
pub struct PieceWriter {
    /// What was written since the last records that come later.
    pub out: BytesMut,
    pieces: VecDeque<Piece>,
    lazy: bool,
    write_record: WriteRecord,
}

impl fmt::Debug for PieceWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceWriter({} bytes)", self.out.len())
    }
}

impl PieceWriter {
    /// A writer of an answer that has about so many bytes.
    #[must_use]
    pub fn new(bytes: usize, write_record: WriteRecord) -> Self {
        let lazy = bytes >= LAZY_BYTES_MIN;
        let out = BytesMut::with_capacity(if lazy { 0 } else { bytes });
        Self { out, pieces: VecDeque::new(), lazy, write_record }
    }

    /// A list of records, without what stands around it.
    pub fn records(&mut self, field: u8, records: Records, keys_only: bool) {
        let mut place = Place { field, keys_only, first: true };
        if self.lazy {
            self.pieces.push_back(Piece::Text(self.out.split().freeze()));
            self.pieces.push_back(Piece::Records(records.into_iter(), place));
            return;
        }
        for record in records.iter() {
            (self.write_record)(&mut self.out, record, place);
            place.first = false;
        }
    }

    /// The answer; its exact length, if the format is one that knows.
    #[must_use]
    pub fn finish(mut self, bytes: Option<usize>) -> Body {
        if self.pieces.is_empty() {
            return Body::Full(self.out.freeze());
        }
        self.pieces.push_back(Piece::Text(self.out.freeze()));
        let remaining = bytes.map(|bytes| bytes as u64);
        Body::Lazy(Box::new(Pieces {
            pieces: self.pieces,
            write_record: self.write_record,
            remaining,
        }))
    }
}
