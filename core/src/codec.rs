//! Bounded reading and plain writing of our own byte layouts.
//!
//! Integers are little-endian, lengths are LEB128 varints, and a [`Reader`] checks every length
//! against what is left *before* anything is allocated. Every error names the rule that was broken
//! and the offset where.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::as_conversions)]

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// Why bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The rule that was broken.
    pub rule: &'static str,
    /// Where, in bytes from the start of the decoded block.
    pub offset: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.rule, self.offset)
    }
}

impl core::error::Error for DecodeError {}

/// Takes values off the front of a block without copying payloads.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The whole block: what was read is not cut off, because each cut costs more than a number.
    block: Bytes,
    offset: usize,
}

impl Reader {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { block: bytes, offset: 0 }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.block.len().saturating_sub(self.offset)
    }

    /// An error at the present offset.
    #[must_use]
    pub fn error(&self, rule: &'static str) -> DecodeError {
        DecodeError { rule, offset: self.offset }
    }

    /// The next `length` bytes, sharing the block's memory.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return Err(self.error("the block ends inside a value"));
        }
        let start = self.offset;
        self.offset = start.saturating_add(length);
        Ok(self.block.slice(start..self.offset))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.block.get(self.offset..).unwrap_or_default();
        let Some((array, _)) = rest.split_first_chunk::<N>() else {
            return Err(self.error("the block ends inside a value"));
        };
        self.offset = self.offset.saturating_add(N);
        Ok(*array)
    }

    /// One byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, little-endian, two's complement.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A flag: one byte that is 0 or 1.
    ///
    /// # Errors
    /// When none is left, or it is anything else.
    pub fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error("a flag is neither 0 nor 1")),
        }
    }

    /// An unsigned LEB128 number of at most ten bytes.
    ///
    /// # Errors
    /// When the block ends inside it or it exceeds 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                return Err(self.error("a varint exceeds 64 bits"));
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a varint exceeds ten bytes"))
    }

    /// A varint that counts things of at least one byte each, so it cannot exceed what is left.
    ///
    /// # Errors
    /// When it does, or the varint is malformed.
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => Err(self.error("a count exceeds the block")),
        }
    }

    /// A varint length and as many bytes.
    ///
    /// # Errors
    /// When the block ends inside them.
    pub fn block(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.count()?;
        self.bytes(length)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            _ => Err(self.error("bytes behind the last value")),
        }
    }
}

/// How many bytes a varint takes.
#[must_use]
pub fn varint_bytes(value: u64) -> usize {
    // Seven bits a byte; zero takes one.
    let bits = (value | 1).ilog2() + 1;
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}

/// Appends values to a block; the counterpart of [`Reader`], method by method.
pub trait Write {
    /// Appends raw bytes.
    fn put_bytes(&mut self, bytes: &[u8]);

    /// Appends one byte.
    fn put_byte(&mut self, value: u8) {
        self.put_bytes(&[value]);
    }

    /// Appends four bytes, little-endian.
    fn put_u32(&mut self, value: u32) {
        self.put_bytes(&value.to_le_bytes());
    }

    /// Appends eight bytes, little-endian.
    fn put_u64(&mut self, value: u64) {
        self.put_bytes(&value.to_le_bytes());
    }

    /// Appends eight bytes, little-endian, two's complement.
    fn put_i64(&mut self, value: i64) {
        self.put_bytes(&value.to_le_bytes());
    }

    /// Appends a flag.
    fn put_flag(&mut self, value: bool) {
        self.put_byte(u8::from(value));
    }

    /// Appends an unsigned LEB128 number.
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_byte(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.put_byte(u8::try_from(value).unwrap_or(0));
    }

    /// Appends a length or count as a varint.
    fn put_count(&mut self, count: usize) {
        self.put_varint(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Appends a varint length and the bytes.
    fn put_block(&mut self, bytes: &[u8]) {
        self.put_count(bytes.len());
        self.put_bytes(bytes);
    }
}

impl Write for Vec<u8> {
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Write for bytes::BytesMut {
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: u32, c: u64, d: i64, e: bool, f: u64, g: Vec<u8>) {
            let mut out = Vec::new();
            out.put_byte(a);
            out.put_u32(b);
            out.put_u64(c);
            out.put_i64(d);
            out.put_flag(e);
            out.put_varint(f);
            out.put_block(&g);
            let mut reader = Reader::new(out.into());
            prop_assert_eq!(reader.u8(), Ok(a));
            prop_assert_eq!(reader.u32(), Ok(b));
            prop_assert_eq!(reader.u64(), Ok(c));
            prop_assert_eq!(reader.i64(), Ok(d));
            prop_assert_eq!(reader.flag(), Ok(e));
            prop_assert_eq!(reader.varint(), Ok(f));
            prop_assert_eq!(reader.block(), Ok(Bytes::from(g)));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(bytes.into());
            while reader.remaining() > 0 {
                if reader.block().is_err() && reader.varint().is_err() && reader.u8().is_err() {
                    break;
                }
            }
        }
    }
}
