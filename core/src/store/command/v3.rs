//! The layout of v3 writes.

use alloc::vec::Vec;

use super::tag;
use crate::codec::{DecodeError, Reader, Write};
use crate::limits::TXN_DEPTH_MAX;
use crate::store::v3::{
    self, Compare, CompareResult, CompareTarget, DeleteRange, Interval, LeaseId, Op, Put, Range,
    SortOrder, SortTarget, Txn,
};

/// Marks a range among a transaction's operations; the others have the tags of commands.
const RANGE: u8 = 0;

const IGNORE_VALUE: u8 = 1;
const IGNORE_LEASE: u8 = 2;
const PREVIOUS: u8 = 4;

const RESULTS: [CompareResult; 4] =
    [CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual];
const ORDERS: [SortOrder; 3] = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
const TARGETS: [SortTarget; 5] =
    [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];

pub(super) fn put_write(out: &mut impl Write, write: &v3::Write) {
    match write {
        v3::Write::Put(put) => {
            out.put_byte(tag::V3_PUT);
            put_put(out, put);
        }
        v3::Write::DeleteRange(delete) => {
            out.put_byte(tag::V3_DELETE_RANGE);
            put_delete_range(out, delete);
        }
        v3::Write::Txn(txn) => {
            out.put_byte(tag::V3_TXN);
            put_txn(out, txn);
        }
    }
}

fn put_put(out: &mut impl Write, put: &Put) {
    let ignored = [(put.value.is_none(), IGNORE_VALUE), (put.lease.is_none(), IGNORE_LEASE)];
    let flags = ignored.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum::<u8>();
    out.put_byte(flags | if put.previous { PREVIOUS } else { 0 });
    out.put_block(&put.key);
    if let Some(value) = &put.value {
        out.put_block(value);
    }
    if let Some(lease) = put.lease {
        put_signed(out, lease.map_or(0, |lease| lease.0));
    }
}

pub(super) fn read_put(reader: &mut Reader) -> Result<Put, DecodeError> {
    let flags = reader.u8()?;
    if flags > IGNORE_VALUE | IGNORE_LEASE | PREVIOUS {
        return Err(reader.error("a put has unknown flags"));
    }
    let key = read_key(reader)?;
    let value = if flags & IGNORE_VALUE == 0 { Some(reader.block()?) } else { None };
    let lease = if flags & IGNORE_LEASE == 0 { Some(read_lease(reader)?) } else { None };
    Ok(Put { key, value, lease, previous: flags & PREVIOUS != 0 })
}

fn read_lease(reader: &mut Reader) -> Result<Option<LeaseId>, DecodeError> {
    let id = read_signed(reader)?;
    Ok((id != 0).then_some(LeaseId(id)))
}

fn put_delete_range(out: &mut impl Write, delete: &DeleteRange) {
    put_interval(out, &delete.interval);
    out.put_flag(delete.previous);
}

pub(super) fn read_delete_range(reader: &mut Reader) -> Result<DeleteRange, DecodeError> {
    Ok(DeleteRange { interval: read_interval(reader)?, previous: reader.flag()? })
}

fn put_txn(out: &mut impl Write, txn: &Txn) {
    out.put_count(txn.compares.len());
    txn.compares.iter().for_each(|compare| put_compare(out, compare));
    for list in [&txn.success, &txn.failure] {
        out.put_count(list.len());
        list.iter().for_each(|op| put_op(out, op));
    }
}

/// Reads a transaction that lies within `depth` others.
pub(super) fn read_txn(reader: &mut Reader, depth: usize) -> Result<Txn, DecodeError> {
    if depth >= TXN_DEPTH_MAX {
        return Err(reader.error("transactions nest too deep"));
    }
    let compares = read_list(reader, read_compare)?;
    let success = read_list(reader, |reader| read_op(reader, depth))?;
    let failure = read_list(reader, |reader| read_op(reader, depth))?;
    Ok(Txn { compares, success, failure })
}

fn read_list<T>(
    reader: &mut Reader,
    mut read: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count()?;
    (0..count).map(|_| read(reader)).collect()
}

fn put_op(out: &mut impl Write, op: &Op) {
    match op {
        Op::Range(range) => {
            out.put_byte(RANGE);
            put_range(out, range);
        }
        Op::Put(put) => {
            out.put_byte(tag::V3_PUT);
            put_put(out, put);
        }
        Op::DeleteRange(delete) => {
            out.put_byte(tag::V3_DELETE_RANGE);
            put_delete_range(out, delete);
        }
        Op::Txn(txn) => {
            out.put_byte(tag::V3_TXN);
            put_txn(out, txn);
        }
    }
}

fn read_op(reader: &mut Reader, depth: usize) -> Result<Op, DecodeError> {
    Ok(match reader.u8()? {
        RANGE => Op::Range(read_range(reader)?),
        tag::V3_PUT => Op::Put(read_put(reader)?),
        tag::V3_DELETE_RANGE => Op::DeleteRange(read_delete_range(reader)?),
        tag::V3_TXN => Op::Txn(read_txn(reader, depth + 1)?),
        _ => return Err(reader.error("a transaction holds an unknown operation")),
    })
}

fn put_range(out: &mut impl Write, range: &Range) {
    put_interval(out, &range.interval);
    out.put_varint(range.limit);
    out.put_byte(code(&ORDERS, range.order));
    out.put_byte(code(&TARGETS, range.target));
    out.put_flag(range.keys_only);
    out.put_flag(range.count_only);
    put_signed(out, range.revision);
    for (min, max) in [range.mod_revisions, range.create_revisions] {
        put_signed(out, min);
        put_signed(out, max);
    }
}

fn read_range(reader: &mut Reader) -> Result<Range, DecodeError> {
    Ok(Range {
        interval: read_interval(reader)?,
        limit: reader.varint()?,
        order: read_code(reader, &ORDERS)?,
        target: read_code(reader, &TARGETS)?,
        keys_only: reader.flag()?,
        count_only: reader.flag()?,
        revision: read_signed(reader)?,
        mod_revisions: (read_signed(reader)?, read_signed(reader)?),
        create_revisions: (read_signed(reader)?, read_signed(reader)?),
    })
}

fn put_compare(out: &mut impl Write, compare: &Compare) {
    put_interval(out, &compare.interval);
    out.put_byte(code(&RESULTS, compare.result));
    let (kind, number) = match &compare.target {
        CompareTarget::Version(number) => (0, *number),
        CompareTarget::Create(number) => (1, *number),
        CompareTarget::Mod(number) => (2, *number),
        CompareTarget::Value(value) => {
            out.put_byte(3);
            return out.put_block(value);
        }
        CompareTarget::Lease(number) => (4, *number),
    };
    out.put_byte(kind);
    put_signed(out, number);
}

fn read_compare(reader: &mut Reader) -> Result<Compare, DecodeError> {
    let interval = read_interval(reader)?;
    let result = read_code(reader, &RESULTS)?;
    let target = match reader.u8()? {
        0 => CompareTarget::Version(read_signed(reader)?),
        1 => CompareTarget::Create(read_signed(reader)?),
        2 => CompareTarget::Mod(read_signed(reader)?),
        3 => CompareTarget::Value(reader.block()?),
        4 => CompareTarget::Lease(read_signed(reader)?),
        _ => return Err(reader.error("a comparison has an unknown target")),
    };
    Ok(Compare { interval, target, result })
}

fn put_interval(out: &mut impl Write, interval: &Interval) {
    match interval {
        Interval::Key(key) => {
            out.put_byte(0);
            out.put_block(key);
        }
        Interval::Between(start, end) => {
            out.put_byte(1);
            out.put_block(start);
            out.put_block(end);
        }
        Interval::From(start) => {
            out.put_byte(2);
            out.put_block(start);
        }
    }
}

fn read_interval(reader: &mut Reader) -> Result<Interval, DecodeError> {
    Ok(match reader.u8()? {
        0 => Interval::Key(read_key(reader)?),
        1 => Interval::Between(read_key(reader)?, reader.block()?),
        2 => Interval::From(read_key(reader)?),
        _ => return Err(reader.error("an interval of an unknown kind")),
    })
}

fn read_key(reader: &mut Reader) -> Result<bytes::Bytes, DecodeError> {
    let key = reader.block()?;
    if key.is_empty() { Err(reader.error("a key is empty")) } else { Ok(key) }
}

/// A signed number, zigzag and varint: small ones of either sign are short.
fn put_signed(out: &mut impl Write, number: i64) {
    out.put_varint((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

fn read_signed(reader: &mut Reader) -> Result<i64, DecodeError> {
    let zigzag = reader.varint()?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

/// Where a value stands in the table of its kind.
fn code<T: PartialEq + Copy>(table: &[T], value: T) -> u8 {
    let place = table.iter().position(|entry| *entry == value).expect("the table has every value");
    u8::try_from(place).expect("the tables are short")
}

fn read_code<T: Copy>(reader: &mut Reader, table: &[T]) -> Result<T, DecodeError> {
    let place = usize::from(reader.u8()?);
    table.get(place).copied().ok_or_else(|| reader.error("a value outside of its table"))
}
