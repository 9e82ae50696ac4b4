//! The layout of v2 writes.

use crate::codec::{DecodeError, Reader, Write};
use crate::store::v2::{self, Condition, Path};

mod kind {
    pub(super) const SET: u8 = 0;
    pub(super) const CREATE: u8 = 1;
    pub(super) const UPDATE: u8 = 2;
    pub(super) const COMPARE_AND_SWAP: u8 = 3;
    pub(super) const DELETE: u8 = 4;
    pub(super) const COMPARE_AND_DELETE: u8 = 5;
}

pub(super) fn put_write(out: &mut impl Write, write: &v2::Write) {
    match write {
        v2::Write::Set { path, value, directory, ttl, refresh } => {
            put_head(out, kind::SET, path);
            out.put_block(value);
            put_optional(out, *ttl);
            out.put_flag(*directory);
            out.put_flag(*refresh);
        }
        v2::Write::Create { path, value, directory, ttl, in_order } => {
            put_head(out, kind::CREATE, path);
            out.put_block(value);
            put_optional(out, *ttl);
            out.put_flag(*directory);
            out.put_flag(*in_order);
        }
        v2::Write::Update { path, value, ttl, refresh } => {
            put_head(out, kind::UPDATE, path);
            out.put_block(value);
            put_optional(out, *ttl);
            out.put_flag(*refresh);
        }
        v2::Write::CompareAndSwap { path, value, ttl, refresh, condition } => {
            put_head(out, kind::COMPARE_AND_SWAP, path);
            out.put_block(value);
            put_optional(out, *ttl);
            out.put_flag(*refresh);
            put_condition(out, condition);
        }
        v2::Write::Delete { path, directory, recursive } => {
            put_head(out, kind::DELETE, path);
            out.put_flag(*directory);
            out.put_flag(*recursive);
        }
        v2::Write::CompareAndDelete { path, condition } => {
            put_head(out, kind::COMPARE_AND_DELETE, path);
            put_condition(out, condition);
        }
    }
}

pub(super) fn read_write(reader: &mut Reader) -> Result<v2::Write, DecodeError> {
    let kind = reader.u8()?;
    let path = read_path(reader)?;
    Ok(match kind {
        kind::SET => {
            let (value, ttl) = (reader.block()?, read_optional(reader)?);
            let (directory, refresh) = (reader.flag()?, reader.flag()?);
            v2::Write::Set { path, value, directory, ttl, refresh }
        }
        kind::CREATE => {
            let (value, ttl) = (reader.block()?, read_optional(reader)?);
            let (directory, in_order) = (reader.flag()?, reader.flag()?);
            v2::Write::Create { path, value, directory, ttl, in_order }
        }
        kind::UPDATE => {
            let (value, ttl) = (reader.block()?, read_optional(reader)?);
            v2::Write::Update { path, value, ttl, refresh: reader.flag()? }
        }
        kind::COMPARE_AND_SWAP => {
            let (value, ttl) = (reader.block()?, read_optional(reader)?);
            let (refresh, condition) = (reader.flag()?, read_condition(reader)?);
            v2::Write::CompareAndSwap { path, value, ttl, refresh, condition }
        }
        kind::DELETE => {
            let (directory, recursive) = (reader.flag()?, reader.flag()?);
            v2::Write::Delete { path, directory, recursive }
        }
        kind::COMPARE_AND_DELETE => {
            v2::Write::CompareAndDelete { path, condition: read_condition(reader)? }
        }
        _ => return Err(reader.error("a v2 write of an unknown kind")),
    })
}

fn put_head(out: &mut impl Write, kind: u8, path: &Path) {
    out.put_byte(kind);
    out.put_block(path.as_bytes());
}

fn read_path(reader: &mut Reader) -> Result<Path, DecodeError> {
    let raw = reader.block()?;
    let path = Path::clean(&raw);
    if path.as_bytes() == raw.as_ref() {
        Ok(path)
    } else {
        Err(reader.error("a v2 path is not clean"))
    }
}

fn put_condition(out: &mut impl Write, condition: &Condition) {
    out.put_flag(condition.value.is_some());
    if let Some(value) = &condition.value {
        out.put_block(value);
    }
    put_optional(out, condition.index);
}

fn read_condition(reader: &mut Reader) -> Result<Condition, DecodeError> {
    let value = if reader.flag()? { Some(reader.block()?) } else { None };
    let index = read_optional(reader)?;
    if value.is_none() && index.is_none() {
        return Err(reader.error("a condition that compares nothing"));
    }
    Ok(Condition { value, index })
}

fn put_optional(out: &mut impl Write, number: Option<u64>) {
    out.put_flag(number.is_some());
    if let Some(number) = number {
        out.put_varint(number);
    }
}

fn read_optional(reader: &mut Reader) -> Result<Option<u64>, DecodeError> {
    Ok(if reader.flag()? { Some(reader.varint()?) } else { None })
}
