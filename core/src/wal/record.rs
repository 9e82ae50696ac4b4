//! The bytes of a segment: one header, then records, then zeros.
//!
//! ```text
//! segment header  64  magic 8, version 4, zero 4, cluster 8, member 8, incarnation 8,
//!                     sequence 8, zero 12, checksum 4
//! record         112  magic 4, checksum 4, length 4, previous checksum 4, table checksum 4,
//!                     entries 4, segment 8, offset 8, sequence 8, durable before 8, term 8,
//!                     vote 8, base term 8, base index 8, previous index 8, commit index 8, flags 8
//!   table       17 n  length 4, checksum 4, term 8, kind 1: one row for each entry
//!   payloads          one behind the other
//!   padding           zeros up to a multiple of eight
//! ```
//!
//! A record's checksum covers its header, which holds the table's checksum; the table holds the
//! entries' checksums, which cover the payloads. So each payload byte is summed once, by the
//! checksum that the entry's maker gave it, and nothing is left uncovered. An entry's index is not
//! stored: it follows from the record's `previous index`, and the entry's checksum confirms it.

#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::Identity;
use crate::identity::{ClusterId, Incarnation, MemberId};
use crate::raft::{CASTAGNOLI, Entry, EntryKind, HardState, Index, Position, Term};

/// Where the first record begins.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// A record with no entries.
pub(super) const RECORD_HEADER_BYTES: usize = 112;
/// Records begin at multiples of this, so that a search for them can take large steps.
pub(super) const ALIGNMENT: usize = 8;

/// No honest index or record number exceeds this, so they can be counted on without overflow.
pub(super) const NUMBER_MAX: u64 = u64::MAX / 2;

const SEGMENT_MAGIC: [u8; 8] = *b"QuorraWL";
const RECORD_MAGIC: [u8; 4] = *b"QREC";
const VERSION: u32 = 1;
const ROW_BYTES: usize = 17;
const FLAG_RESET: u64 = 1;

/// What a segment begins with. Its layout is the same in every version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) identity: Identity,
    pub(super) sequence: u64,
}

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadSegment {
    Corrupt(&'static str),
    LaterVersion,
}

/// What a record tells beside its entries. Every record tells everything, so that any one of them
/// is enough to begin with once the older segments are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Of the whole record with its padding.
    pub(super) length: u32,
    /// The checksum of the record before this one: the chain.
    pub(super) previous_checksum: u32,
    pub(super) table_checksum: u32,
    pub(super) entries: u32,
    /// The segment that it was written to.
    pub(super) segment: u64,
    /// Where in the segment.
    pub(super) offset: u64,
    /// Counts records, from 1, across segments.
    pub(super) sequence: u64,
    /// Records up to and including this one were synced when this one was written.
    pub(super) durable_before: u64,
    pub(super) hard_state: HardState,
    /// What the log was last reset to.
    pub(super) base: Position,
    /// The index before the first entry; without entries that of the last entry before.
    pub(super) previous_index: Index,
    pub(super) commit_index: Index,
    /// Everything before `base` is void from here on.
    pub(super) reset: bool,
}

/// A length as the format's 64 bits.
pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Takes integers off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn index(&mut self) -> Option<Index> {
        self.u64().map(Index)
    }

    fn term(&mut self) -> Option<Term> {
        self.u64().map(Term)
    }
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES);
        out.put_slice(&SEGMENT_MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(0);
        out.put_u64_le(self.identity.cluster.0);
        out.put_u64_le(self.identity.member.0);
        out.put_u64_le(self.identity.incarnation.0);
        out.put_u64_le(self.sequence);
        out.put_bytes(0, 12);
        let checksum = CASTAGNOLI.checksum(&out);
        out.put_u32_le(checksum);
        assert!(out.len() == SEGMENT_HEADER_BYTES, "the layout above adds up");
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadSegment> {
        let short = BadSegment::Corrupt("the segment ends inside its header");
        let (header, _) = bytes.split_first_chunk::<SEGMENT_HEADER_BYTES>().ok_or(short)?;
        let (covered, checksum) = header.split_last_chunk::<4>().ok_or(short)?;
        let mut fields = Fields(covered);
        if fields.array() != Some(SEGMENT_MAGIC) {
            return Err(BadSegment::Corrupt("the segment does not begin with the log's magic"));
        }
        if CASTAGNOLI.checksum(covered) != u32::from_le_bytes(*checksum) {
            return Err(BadSegment::Corrupt("the checksum of the segment's header does not match"));
        }
        let version = fields.u32().ok_or(short)?;
        if version > VERSION {
            return Err(BadSegment::LaterVersion);
        }
        if version != VERSION {
            return Err(BadSegment::Corrupt("the segment's version was never in use"));
        }
        let _zero = fields.u32().ok_or(short)?;
        let identity = Identity {
            cluster: ClusterId(fields.u64().ok_or(short)?),
            member: MemberId(fields.u64().ok_or(short)?),
            incarnation: Incarnation(fields.u64().ok_or(short)?),
        };
        Ok(Self { identity, sequence: fields.u64().ok_or(short)? })
    }
}

impl RecordHeader {
    fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut header = [0; RECORD_HEADER_BYTES];
        let (_, mut out) = header.split_at_mut(ALIGNMENT);
        let numbers = [self.length, self.previous_checksum, self.table_checksum, self.entries];
        numbers.into_iter().for_each(|number| out.put_u32_le(number));
        let vote = self.hard_state.vote.unwrap_or_default();
        let numbers = [
            self.segment,
            self.offset,
            self.sequence,
            self.durable_before,
            self.hard_state.term.0,
            vote.0,
            self.base.term.0,
            self.base.index.0,
            self.previous_index.0,
            self.commit_index.0,
            if self.reset { FLAG_RESET } else { 0 },
        ];
        numbers.into_iter().for_each(|number| out.put_u64_le(number));
        assert!(out.is_empty(), "the layout above adds up");
        let front = header_front(checksum_of(&header));
        header.split_at_mut(ALIGNMENT).0.copy_from_slice(&front);
        header
    }

    /// Reads a header; an error is the broken rule. Whether it belongs where it was found is for
    /// the caller to say.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u32), &'static str> {
        let short = "the file ends inside a record's header";
        let (header, _) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>().ok_or(short)?;
        if !header.starts_with(&RECORD_MAGIC) {
            return Err("no record begins here");
        }
        let checksum = checksum_of(header);
        if !header.starts_with(&header_front(checksum)) {
            return Err("the checksum of a record's header does not match");
        }
        let (_, fields) = header.split_first_chunk::<ALIGNMENT>().ok_or(short)?;
        Self::decode_fields(Fields(fields)).map(|decoded| (decoded, checksum)).ok_or(short)
    }

    fn decode_fields(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            length: fields.u32()?,
            previous_checksum: fields.u32()?,
            table_checksum: fields.u32()?,
            entries: fields.u32()?,
            segment: fields.u64()?,
            offset: fields.u64()?,
            sequence: fields.u64()?,
            durable_before: fields.u64()?,
            hard_state: HardState {
                term: fields.term()?,
                vote: fields.u64().map(|id| (id != 0).then_some(MemberId(id)))?,
            },
            base: Position { term: fields.term()?, index: fields.index()? },
            previous_index: fields.index()?,
            commit_index: fields.index()?,
            reset: fields.u64()? & FLAG_RESET != 0,
        })
    }
}

fn checksum_of(header: &[u8; RECORD_HEADER_BYTES]) -> u32 {
    header.split_first_chunk::<ALIGNMENT>().map_or(0, |(_, rest)| CASTAGNOLI.checksum(rest))
}

fn header_front(checksum: u32) -> [u8; ALIGNMENT] {
    let [a, b, c, d] = RECORD_MAGIC;
    let [e, f, g, h] = checksum.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The bytes that a record with these entries takes.
pub(super) fn record_bytes(entries: &[Entry]) -> usize {
    let content = entries.iter().map(entry_bytes).fold(0, usize::saturating_add);
    RECORD_HEADER_BYTES.saturating_add(content).next_multiple_of(ALIGNMENT)
}

/// What an entry adds to a record.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    entry.payload.len().saturating_add(ROW_BYTES)
}

/// Appends a record; `header`'s length, count and table checksum are filled in here. Returns the
/// record's checksum.
pub(super) fn encode(out: &mut BytesMut, mut header: RecordHeader, entries: &[Entry]) -> u32 {
    assert!(header.hard_state.vote != Some(MemberId(0)), "member 0 is nobody");
    let length = record_bytes(entries);
    let mut table = Vec::with_capacity(entries.len().saturating_mul(ROW_BYTES));
    for entry in entries {
        table.put_u32_le(narrow(entry.payload.len()));
        table.put_u32_le(entry.checksum);
        table.put_u64_le(entry.term.0);
        table.put_u8(entry.kind.code());
    }
    header.length = narrow(length);
    header.entries = narrow(entries.len());
    header.table_checksum = CASTAGNOLI.checksum(&table);
    let encoded = header.encode();
    let end = out.len().saturating_add(length);
    out.put_slice(&encoded);
    out.put_slice(&table);
    entries.iter().for_each(|entry| out.put_slice(&entry.payload));
    assert!(out.len() <= end, "a record is as long as its header says");
    out.resize(end, 0);
    checksum_of(&encoded)
}

/// The entries of the record that `bytes` begins with and whose header was read from it. Shares
/// the memory of `bytes`; an error is the broken rule.
pub(super) fn decode_entries(
    header: &RecordHeader,
    bytes: &Bytes,
) -> Result<Vec<Entry>, &'static str> {
    let overrun = "a record's entries do not fit its length";
    let length = usize::try_from(header.length).map_err(|_| overrun)?;
    let count = usize::try_from(header.entries).map_err(|_| overrun)?;
    let table_end = count
        .checked_mul(ROW_BYTES)
        .and_then(|table| table.checked_add(RECORD_HEADER_BYTES))
        .filter(|end| *end <= length && length <= bytes.len())
        .ok_or(overrun)?;
    let table = bytes.get(RECORD_HEADER_BYTES..table_end).ok_or(overrun)?;
    if CASTAGNOLI.checksum(table) != header.table_checksum {
        return Err("the checksum of a record's table does not match");
    }
    let mut entries = Vec::with_capacity(count);
    let mut rest = bytes.slice(table_end..length);
    let mut index = header.previous_index;
    for row in table.chunks_exact(ROW_BYTES) {
        index = index.0.checked_add(1).map(Index).ok_or("an index exceeds 64 bits")?;
        entries.push(decode_entry(Fields(row), index, &mut rest)?);
    }
    if rest.len() >= ALIGNMENT || rest.iter().any(|byte| *byte != 0) {
        return Err("a record's padding is not zeros");
    }
    Ok(entries)
}

fn decode_entry(
    mut row: Fields<'_>,
    index: Index,
    payloads: &mut Bytes,
) -> Result<Entry, &'static str> {
    let short = "a record's table ends inside a row";
    let length = usize::try_from(row.u32().ok_or(short)?).unwrap_or(usize::MAX);
    if length > payloads.len() {
        return Err("a payload exceeds its record");
    }
    let checksum = row.u32().ok_or(short)?;
    let term = row.term().ok_or(short)?;
    let [code] = row.array().ok_or(short)?;
    let kind = EntryKind::of_code(code).ok_or("the kind of an entry is unknown")?;
    let entry = Entry { term, index, kind, payload: payloads.split_to(length), checksum };
    if entry.is_intact() { Ok(entry) } else { Err("the checksum of an entry does not match") }
}

/// Makes the checksums of a segment's records right again, and with them their places, numbers
/// and chain, so that damage gets past them: what a fuzzer needs to meet the rules behind.
pub(super) fn reseal(bytes: &[u8], segment: u64, mut chain: (u64, u32)) -> (Vec<u8>, (u64, u32)) {
    let (header, mut rest) = bytes.split_at(bytes.len().min(SEGMENT_HEADER_BYTES));
    let mut out = header.to_vec();
    while let Some((front, content)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() {
        let (_, fields) = front.split_at(ALIGNMENT);
        let Some(mut header) = RecordHeader::decode_fields(Fields(fields)) else { break };
        let length = usize::try_from(header.length).unwrap_or(0);
        let Some(body) = content.get(..length.saturating_sub(RECORD_HEADER_BYTES)) else { break };
        let count = usize::try_from(header.entries).unwrap_or(0);
        let table = body.get(..count.saturating_mul(ROW_BYTES)).unwrap_or_default();
        header.table_checksum = CASTAGNOLI.checksum(table);
        (header.segment, header.offset) = (segment, wide(out.len()));
        (header.sequence, header.previous_checksum) = (chain.0.saturating_add(1), chain.1);
        header.durable_before = header.durable_before.min(chain.0);
        let sealed = header.encode();
        chain = (header.sequence, checksum_of(&sealed));
        out.extend_from_slice(&sealed);
        out.extend_from_slice(body);
        rest = content.get(body.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    (out, chain)
}

/// What a search for records came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// The largest `durable_before` of the headers that were found.
    pub(super) promised: u64,
    /// How far the search came; what is left begins with less than a header.
    pub(super) bytes: usize,
    /// Whether anything but zeros was met.
    pub(super) any: bool,
}

/// Searches `bytes`, which begin at `offset` of `segment`, for headers of records.
///
/// A header counts only where it was written; what looks like one inside the payload of a record
/// whose header is whole is not looked at, so that a client has no easy way to plant one.
pub(super) fn search(bytes: &[u8], segment: u64, offset: u64) -> Searched {
    let mut searched = Searched::default();
    while let Some(rest) = bytes.get(searched.bytes..).filter(|r| r.len() >= RECORD_HEADER_BYTES) {
        let words =
            rest.chunks_exact(ALIGNMENT).take_while(|word| !word.starts_with(&RECORD_MAGIC));
        let skipped = words.inspect(|word| searched.any |= *word != [0; ALIGNMENT]).count();
        if skipped > 0 {
            searched.bytes = searched.bytes.saturating_add(skipped.saturating_mul(ALIGNMENT));
            continue;
        }
        searched.any = true;
        let here = offset.saturating_add(wide(searched.bytes));
        let step = match RecordHeader::decode(rest) {
            Ok((header, _)) if header.segment == segment && header.offset == here => {
                searched.promised = searched.promised.max(header.durable_before);
                usize::try_from(header.length).unwrap_or(0).max(RECORD_HEADER_BYTES)
            }
            _ => ALIGNMENT,
        };
        searched.bytes = searched.bytes.saturating_add(step.next_multiple_of(ALIGNMENT));
    }
    searched
}
