//! Frames: length, checksum, kind, content.
//!
//! ```text
//! 0       4           8      9
//! | length | CRC-32C   | kind | content ...   length counts kind and content, so does the checksum
//! ```

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::as_conversions))]

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISCSI, Crc, Table};
use quorra_core::codec::{DecodeError, Write};
use quorra_core::limits;

use super::handshake::{MAGIC, PREFACE_BYTES};

const CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Length and checksum.
pub const FRAME_HEADER_BYTES: usize = 8;
/// A handshake, with the URLs of its sender, or an answer to one.
const GREETING_BYTES_MAX: usize = 64 << 10;
/// A control message; the longest lists the contexts of read-index requests.
const CONTROL_BYTES_MAX: usize = 1 << 20;
/// An append: small entries have headers longer than themselves.
const APPEND_BYTES_MAX: usize = limits::APPEND_BYTES_MAX + 8 * limits::APPEND_BYTES_TARGET;
/// A snapshot chunk.
const CHUNK_BYTES_MAX: usize = limits::CHECKPOINT_CHUNK_BYTES + (1 << 10);
/// A forwarded command.
const FORWARD_BYTES_MAX: usize = limits::ENTRY_BYTES_MAX;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a connection.
    Hello,
    /// Accepts it.
    Welcome,
    /// Does not.
    Refused,
    /// Nothing: the sender lives.
    Ping,
    /// A small message, in serde's terms.
    Control,
    /// Entries.
    Append,
    /// A part of a snapshot.
    Chunk,
    /// A client's command.
    Forward,
}

const KINDS: [(Kind, u8, usize); 8] = [
    (Kind::Hello, 1, GREETING_BYTES_MAX),
    (Kind::Welcome, 2, GREETING_BYTES_MAX),
    (Kind::Refused, 3, GREETING_BYTES_MAX),
    (Kind::Ping, 4, 0),
    (Kind::Control, 5, CONTROL_BYTES_MAX),
    (Kind::Append, 6, APPEND_BYTES_MAX),
    (Kind::Chunk, 7, CHUNK_BYTES_MAX),
    (Kind::Forward, 8, FORWARD_BYTES_MAX),
];

impl Kind {
    fn code(self) -> u8 {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, code, _)| *code)
    }

    fn of_code(code: u8) -> Option<(Self, usize)> {
        KINDS.iter().find(|(_, known, _)| *known == code).map(|(kind, _, most)| (*kind, *most))
    }
}

/// A frame whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: Kind,
    /// Shares the memory of the connection's input.
    pub content: Bytes,
}

/// Appends a frame whose content `write` appends.
pub(super) fn put(out: &mut BytesMut, kind: Kind, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(&[0; FRAME_HEADER_BYTES]);
    out.put_byte(kind.code());
    write(out);
    let Some((header, body)) =
        out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<FRAME_HEADER_BYTES>())
    else {
        return;
    };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let checksum = CASTAGNOLI.checksum(body);
    let word = u64::from(length) | u64::from(checksum) << 32;
    *header = word.to_le_bytes();
}

/// Takes the first frame off `input`, if it is all there. `allowed` says which kinds may come.
///
/// # Errors
/// When the kind is unknown or not allowed, the length exceeds the kind's bound, or the checksum
/// does not hold. The connection must be closed then.
pub fn next(
    input: &mut BytesMut,
    allowed: impl Fn(Kind) -> bool,
) -> Result<Option<Frame>, DecodeError> {
    let error = |rule, offset| Err(DecodeError { rule, offset });
    let Some((header, rest)) = input.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let word = u64::from_le_bytes(*header);
    let length = usize::try_from(word & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    let Some(code) = rest.first() else { return Ok(None) };
    let Some((kind, most)) = Kind::of_code(*code).filter(|(kind, _)| allowed(*kind)) else {
        return error("the kind of a frame is not allowed here", FRAME_HEADER_BYTES);
    };
    if length == 0 || length > most.saturating_add(1) {
        return error("the length of a frame is out of bounds", 0);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    if u64::from(CASTAGNOLI.checksum(body)) != word >> 32 {
        return error("the checksum of a frame does not hold", 4);
    }
    let frame = input.split_to(FRAME_HEADER_BYTES.saturating_add(length)).freeze();
    Ok(Some(Frame { kind, content: frame.slice(FRAME_HEADER_BYTES.saturating_add(1)..) }))
}

/// Makes the checksums of frames right again after damage, those behind a preface as well, so
/// that hostile content gets past them; for the fuzzer.
#[must_use]
pub fn reseal(bytes: &[u8]) -> Vec<u8> {
    let preface = if bytes.starts_with(&MAGIC) { PREFACE_BYTES.min(bytes.len()) } else { 0 };
    let (preface, mut rest) = bytes.split_at(preface);
    let mut out = preface.to_vec();
    while let Some((header, behind)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() {
        let word = u64::from_le_bytes(*header) & u64::from(u32::MAX);
        let length = usize::try_from(word).unwrap_or(usize::MAX);
        let Some((body, after)) = behind.split_at_checked(length) else { break };
        out.put_u64(word | u64::from(CASTAGNOLI.checksum(body)) << 32);
        out.put_bytes(body);
        rest = after;
    }
    out.put_bytes(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: Kind, content: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put(&mut out, kind, |out| out.put_bytes(content));
        out
    }

    #[test]
    fn a_frame_comes_back_once_it_is_complete() {
        let whole = framed(Kind::Forward, b"abc");
        for length in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..length]);
            assert_eq!(next(&mut part, |_| true), Ok(None));
        }
        let mut input = whole;
        let frame = next(&mut input, |_| true).expect("valid").expect("complete");
        assert_eq!((frame.kind, &frame.content[..]), (Kind::Forward, &b"abc"[..]));
        assert!(input.is_empty());
    }

    #[test]
    fn a_changed_bit_anywhere_is_noticed() {
        let whole = framed(Kind::Control, b"abcdef");
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = next(&mut changed, |_| true);
            assert!(!matches!(found, Ok(Some(_))), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn lengths_and_kinds_are_checked_before_the_content_is_there() {
        let mut long = framed(Kind::Ping, b"");
        long[0] = 2;
        assert!(next(&mut long, |_| true).is_err());
        let mut early = framed(Kind::Append, b"");
        assert!(next(&mut early, |kind| kind == Kind::Hello).is_err());
        let mut unknown = framed(Kind::Ping, b"");
        unknown[8] = 99;
        assert!(next(&mut unknown, |_| true).is_err());
    }
}
