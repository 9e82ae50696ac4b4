//! Frames of HTTP/2: their heads, and those that the server writes (RFC 9113, sections 4 and 6).

use bytes::{BufMut, BytesMut};

/// The bytes in front of every frame's payload.
pub(super) const HEAD_BYTES: usize = 9;
/// The largest payload that is accepted: the protocol's smallest allowed maximum.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The window that every connection and stream begins with (RFC 9113, 6.9.2).
pub(super) const WINDOW_DEFAULT: i64 = 65_535;
/// The largest window (RFC 9113, 6.9.1).
pub(super) const WINDOW_MAX: i64 = (1 << 31) - 1;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// What a frame is (RFC 9113, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Ignored (RFC 9113, 4.1).
    Unknown,
}

impl Kind {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// Error codes (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum ErrorCode {
    NoError = 0x0,
    Protocol = 0x1,
    Internal = 0x2,
    FlowControl = 0x3,
    StreamClosed = 0x5,
    FrameSize = 0x6,
    RefusedStream = 0x7,
    Compression = 0x9,
    EnhanceYourCalm = 0xb,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The payload's.
    pub(super) bytes: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// The head in front of these bytes, if they hold one.
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, s, t, u, v] = *input.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            bytes: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s & 0x7f, t, u, v]),
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A payload without its padding; none if it is longer than the payload (RFC 9113, 6.1).
pub(super) fn without_padding<'a>(head: &Head, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !head.has(PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}

/// Appends the head of a frame.
pub(super) fn put_head(out: &mut BytesMut, bytes: usize, kind: u8, flags: u8, stream: u32) {
    assert!(bytes <= PAYLOAD_BYTES_MAX, "no frame is longer than any peer must accept");
    let [_, a, b, c] = (bytes as u32).to_be_bytes();
    let [s, t, u, v] = stream.to_be_bytes();
    out.put_slice(&[a, b, c, kind, flags, s, t, u, v]);
}

/// Appends the settings of this server.
pub(super) fn put_settings(out: &mut BytesMut, streams_max: u32, window: u32, fields_bytes: u32) {
    const ROWS: usize = 4;
    put_head(out, ROWS * 6, 4, 0, 0);
    let rows: [(u16, u32); ROWS] =
        [(0x3, streams_max), (0x4, window), (0x5, PAYLOAD_BYTES_MAX as u32), (0x6, fields_bytes)];
    for (name, value) in rows {
        out.put_u16(name);
        out.put_u32(value);
    }
}

/// Appends the acknowledgement of the peer's settings.
pub(super) fn put_settings_ack(out: &mut BytesMut) {
    put_head(out, 0, 4, ACK, 0);
}

/// Appends a ping, or the answer to one.
pub(super) fn put_ping(out: &mut BytesMut, flags: u8, payload: [u8; 8]) {
    put_head(out, 8, 6, flags, 0);
    out.put_slice(&payload);
}

/// Appends the end of a stream by an error.
pub(super) fn put_reset(out: &mut BytesMut, stream: u32, error: ErrorCode) {
    put_head(out, 4, 3, 0, stream);
    out.put_u32(error as u32);
}

/// Appends more room for a stream, or for the connection (stream 0).
pub(super) fn put_window_update(out: &mut BytesMut, stream: u32, bytes: u32) {
    put_head(out, 4, 8, 0, stream);
    out.put_u32(bytes);
}

/// Appends the end of the connection: streams above `last` were not looked at.
pub(super) fn put_go_away(out: &mut BytesMut, last: u32, error: ErrorCode, debug: &[u8]) {
    put_head(out, 8 + debug.len(), 7, 0, 0);
    out.put_u32(last);
    out.put_u32(error as u32);
    out.put_slice(debug);
}
