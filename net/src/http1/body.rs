//! A request's body: taken off the input as it arrives, chunked or not.
//!
//! The invariant: what is kept never exceeds the limit given, whatever lengths the peer announces.
//! A body without a limit is handed on as it comes ([`Body::take_bytes`]).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::as_conversions))]

use bytes::{Buf, BytesMut};

use super::head::{Framing, Refusal};

/// The longest line that announces a chunk, extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 1_024;
/// All trailer fields together; they are not used.
const TRAILER_BYTES_MAX: usize = 8_192;

/// What has come of a body so far.
#[derive(Debug)]
pub(super) struct Body {
    bytes: BytesMut,
    state: State,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are missing, and then it is over.
    Length(u64),
    /// A chunk's announcement comes next.
    ChunkSize,
    /// So many bytes of a chunk are missing.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// Trailer lines, so many bytes of them until now.
    Trailer(usize),
    Complete,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    Partial,
    /// All of it is there.
    Complete,
    /// It is longer than allowed; the rest is not read.
    Oversized,
}

impl Body {
    pub(super) fn new(framing: Framing, limit: usize) -> Self {
        Self { limit: Some(limit), ..Self::unbounded(framing) }
    }

    /// One whose bytes are taken as they come.
    pub(super) fn unbounded(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Complete,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
        };
        Self { bytes: BytesMut::new(), state, limit: None }
    }

    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// What has come since the last call.
    pub(super) fn take_bytes(&mut self) -> BytesMut {
        self.bytes.split()
    }

    /// Takes what belongs to the body off the front of `input`.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> Result<Progress, Refusal> {
        loop {
            let before = (self.state, input.len());
            match self.state {
                State::Complete => return Ok(Progress::Complete),
                State::Length(missing) => {
                    if self.exceeds(missing) {
                        return Ok(Progress::Oversized);
                    }
                    let missing = self.take(input, missing);
                    self.state =
                        if missing == 0 { State::Complete } else { State::Length(missing) };
                }
                State::ChunkSize => self.chunk_size(input)?,
                State::Chunk(missing) => {
                    if self.exceeds(missing) {
                        return Ok(Progress::Oversized);
                    }
                    let missing = self.take(input, missing);
                    self.state = if missing == 0 { State::ChunkEnd } else { State::Chunk(missing) };
                }
                State::ChunkEnd => self.chunk_end(input)?,
                State::Trailer(length) => self.trailer(input, length)?,
            }
            if before == (self.state, input.len()) {
                return Ok(Progress::Partial);
            }
        }
    }

    fn exceeds(&self, missing: u64) -> bool {
        self.limit.is_some_and(|limit| {
            let room = limit.saturating_sub(self.bytes.len());
            missing > u64::try_from(room).unwrap_or(u64::MAX)
        })
    }

    /// Takes up to `missing` bytes; returns how many are missing then.
    fn take(&mut self, input: &mut BytesMut, missing: u64) -> u64 {
        let wanted = usize::try_from(missing).unwrap_or(usize::MAX).min(input.len());
        if let Some(taken) = input.get(..wanted) {
            self.bytes.extend_from_slice(taken);
            input.advance(wanted);
        }
        missing.saturating_sub(u64::try_from(wanted).unwrap_or(u64::MAX))
    }

    fn chunk_size(&mut self, input: &mut BytesMut) -> Result<(), Refusal> {
        let Some(line) = line(input, CHUNK_LINE_BYTES_MAX)? else { return Ok(()) };
        let digits = line
            .as_ref()
            .split(|byte: &u8| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii_end();
        let valid = matches!(digits.len(), 1..=16) && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| valid);
        let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
        self.state = match size.ok_or(Refusal::bad("malformed chunked encoding"))? {
            0 => State::Trailer(0),
            size => State::Chunk(size),
        };
        Ok(())
    }

    fn chunk_end(&mut self, input: &mut BytesMut) -> Result<(), Refusal> {
        if let Some(line) = line(input, 2)? {
            if !line.is_empty() {
                return Err(Refusal::bad("malformed chunked encoding"));
            }
            self.state = State::ChunkSize;
        }
        Ok(())
    }

    fn trailer(&mut self, input: &mut BytesMut, before: usize) -> Result<(), Refusal> {
        let room = TRAILER_BYTES_MAX.saturating_sub(before);
        if let Some(line) = line(input, room.max(2))? {
            let length = before.saturating_add(line.len()).saturating_add(2);
            self.state = if line.is_empty() { State::Complete } else { State::Trailer(length) };
        }
        Ok(())
    }
}

/// Takes a line of at most `longest` bytes, its CRLF included, off the input and returns it
/// without; none while it has not ended.
fn line(input: &mut BytesMut, longest: usize) -> Result<Option<BytesMut>, Refusal> {
    let Some(newline) = input.iter().take(longest).position(|byte| *byte == b'\n') else {
        let too_long = input.len() >= longest;
        return if too_long { Err(Refusal::bad("malformed chunked encoding")) } else { Ok(None) };
    };
    let mut line = input.split_to(newline.saturating_add(1));
    if !line.ends_with(b"\r\n") {
        return Err(Refusal::bad("line feed without carriage return"));
    }
    line.truncate(newline.saturating_sub(1));
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: Framing, limit: usize, text: &str) -> Result<(Progress, String), Refusal> {
        let mut body = Body::new(framing, limit);
        let progress = body.advance(&mut BytesMut::from(text))?;
        Ok((progress, String::from_utf8_lossy(&body.into_bytes()).into_owned()))
    }

    #[test]
    fn chunks_are_put_together_or_refused() {
        use Progress::{Complete, Oversized, Partial};
        let bad = Err(400);
        let rows = [
            ("0\r\n\r\n", Ok((Complete, ""))),
            ("3\r\nabc\r\n0\r\n\r\n", Ok((Complete, "abc"))),
            (
                "3;x=y\r\nabc\r\nA\r\n0123456789\r\n00\r\nT: 1\r\n\r\n",
                Ok((Complete, "abc0123456789")),
            ),
            ("3 \r\nabc\r\n0\r\n\r\n", Ok((Complete, "abc"))),
            ("3\r\nab", Ok((Partial, "ab"))),
            ("3\r\nabc", Ok((Partial, "abc"))),
            ("11\r\n", Ok((Oversized, ""))),
            ("ffffffffffffffff\r\n", Ok((Oversized, ""))),
            ("10000000000000000\r\n", bad),
            ("3\nabc\r\n", bad),
            ("3\r\nabcd\r\n", bad),
            ("3\r\nabc\n0\r\n\r\n", bad),
            ("\r\n", bad),
            ("-1\r\n", bad),
            ("0x3\r\nabc\r\n", bad),
            (" 3\r\nabc\r\n", bad),
        ];
        for (text, expected) in rows {
            let found = read(Framing::Chunked, 16, text).map_err(|refusal| refusal.status);
            assert_eq!(found, expected.map(|(p, text)| (p, text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let extension = format!("3;{}", "x".repeat(CHUNK_LINE_BYTES_MAX));
        assert!(read(Framing::Chunked, 16, &extension).is_err());
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(TRAILER_BYTES_MAX));
        assert!(read(Framing::Chunked, 16, &trailers).is_err());
    }

    #[test]
    fn a_length_beyond_the_limit_is_seen_before_the_bytes() {
        assert_eq!(read(Framing::Length(17), 16, ""), Ok((Progress::Oversized, String::new())));
        assert_eq!(read(Framing::Length(2), 16, "ab"), Ok((Progress::Complete, "ab".into())));
        assert_eq!(read(Framing::Length(0), 0, "ab"), Ok((Progress::Complete, String::new())));
    }
}
