//! From bytes to frames: everything about a frame that can be judged without knowing its stream.

use quorra_core::time::{Duration, Instant};

use super::PREFACE;
use super::frame::{self, END_HEADERS, END_STREAM, ErrorCode, Kind, PAYLOAD_BYTES_MAX};
use super::head::HeadReader;
use super::hpack;

/// Frames that carry nothing (RFC 9113, 10.5) in one second, before the peer is told to be calm.
const EMPTY_FRAMES_MAX: usize = 100_000;

/// So many bytes of fields are as much work as an empty frame.
const FIELDS_BYTES_PER_FRAME: usize = 4_096;

/// What ends a connection: the code, and a text for whoever looks into it.
#[derive(Debug)]
pub(super) struct Fault(pub(super) ErrorCode, pub(super) &'static str);

/// A frame, or the frames of one header block.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// A request begins, or ends with trailers.
    Headers { stream: u32, fields: HeadReader, end: bool },
    /// Part of a body; `frame_bytes` counts against windows and includes padding.
    Data { stream: u32, bytes: &'a [u8], frame_bytes: u32, end: bool },
    /// The peer is no longer interested.
    Reset { stream: u32 },
    /// To be acknowledged.
    Settings(Settings),
    /// To be answered.
    Ping([u8; 8]),
    /// More room on a stream, or on the connection (stream 0).
    WindowUpdate { stream: u32, bytes: i64 },
    /// Nothing that matters here, or not all of it yet.
    Other,
}

/// Those of the peer's settings that matter here. Frames are never longer than any peer must
/// accept, and nothing is pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// How large a table of fields the peer keeps is another size now.
    pub(super) table_changes: bool,
    /// The window with which streams begin.
    pub(super) window_initial: Option<i64>,
}

/// A header block that is not complete (RFC 9113, 4.3).
#[derive(Debug)]
struct Block {
    stream: u32,
    end: bool,
    bytes: Vec<u8>,
}

/// Reads frames, and counts those that carry nothing.
#[derive(Debug)]
pub(super) struct Reader {
    fields_bytes_max: usize,
    greeted: bool,
    decoder: hpack::Decoder,
    block: Option<Block>,
    /// Frames that carried nothing, since when.
    empty_frames: (Instant, usize),
}

impl Reader {
    /// Before the first byte; a block of fields may have so many bytes.
    pub(super) fn new(fields_bytes_max: usize, now: Instant) -> Self {
        Self {
            fields_bytes_max,
            greeted: false,
            decoder: hpack::Decoder::default(),
            block: None,
            empty_frames: (now, 0),
        }
    }

    /// Takes the next frame off the input; none if it is not complete.
    pub(super) fn next<'a>(
        &mut self,
        now: Instant,
        input: &mut &'a [u8],
    ) -> Result<Option<Frame<'a>>, Fault> {
        if !self.greeted && !self.greeting(input)? {
            return Ok(None);
        }
        let Some(head) = frame::Head::parse(input) else { return Ok(None) };
        if head.bytes > PAYLOAD_BYTES_MAX {
            return Err(Fault(ErrorCode::FrameSize, "frame is too large"));
        }
        let end = frame::HEAD_BYTES + head.bytes;
        let Some(payload) = input.get(frame::HEAD_BYTES..end) else { return Ok(None) };
        *input = &input[end..];
        self.frame(now, head, payload).map(Some)
    }

    /// Takes the preface off the input, once it is all there (RFC 9113, 3.4).
    fn greeting(&mut self, input: &mut &[u8]) -> Result<bool, Fault> {
        let seen = input.len().min(PREFACE.len());
        if input[..seen] != PREFACE[..seen] {
            return Err(Fault(ErrorCode::Protocol, "no HTTP/2 preface"));
        }
        self.greeted = seen == PREFACE.len();
        if self.greeted {
            *input = &input[seen..];
        }
        Ok(self.greeted)
    }

    fn frame<'a>(
        &mut self,
        now: Instant,
        head: frame::Head,
        payload: &'a [u8],
    ) -> Result<Frame<'a>, Fault> {
        // Nothing may stand between the frames of a header block (RFC 9113, 4.3).
        if self.block.is_some() != (head.kind == Kind::Continuation) {
            return Err(Fault(ErrorCode::Protocol, "header block is interrupted"));
        }
        let on_stream = matches!(
            head.kind,
            Kind::Data | Kind::Headers | Kind::Priority | Kind::Reset | Kind::Continuation
        );
        let on_connection = matches!(head.kind, Kind::Settings | Kind::Ping | Kind::GoAway);
        if (on_stream && head.stream == 0) || (on_connection && head.stream != 0) {
            return Err(Fault(ErrorCode::Protocol, "frame on the wrong stream"));
        }
        let frame = match head.kind {
            Kind::Data => data(&head, payload)?,
            Kind::Headers => self.headers(&head, payload)?,
            Kind::Continuation => self.continuation(&head, payload)?,
            Kind::Reset if payload.len() == 4 => Frame::Reset { stream: head.stream },
            Kind::Reset => return Err(Fault(ErrorCode::FrameSize, "reset has four bytes")),
            Kind::Settings => settings(&head, payload)?,
            Kind::Ping => ping(&head, payload)?,
            Kind::WindowUpdate => window_update(&head, payload)?,
            Kind::PushPromise => return Err(Fault(ErrorCode::Protocol, "clients push nothing")),
            Kind::GoAway | Kind::Priority | Kind::Unknown => Frame::Other,
        };
        match &frame {
            // A few bytes may stand for as many fields as are allowed.
            Frame::Headers { fields, .. } => {
                self.count_empty(now, fields.bytes() / FIELDS_BYTES_PER_FRAME)?;
            }
            Frame::Data { bytes, end, .. } if *end || !bytes.is_empty() => {}
            _ => self.count_empty(now, 1)?,
        }
        Ok(frame)
    }

    /// Counts a frame that makes work and carries nothing: the work of so many.
    pub(super) fn count_empty(&mut self, now: Instant, frames: usize) -> Result<(), Fault> {
        let (since, count) = &mut self.empty_frames;
        if now.since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += frames;
        if *count > EMPTY_FRAMES_MAX {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "too many empty frames"));
        }
        Ok(())
    }

    fn headers<'a>(&mut self, head: &frame::Head, payload: &[u8]) -> Result<Frame<'a>, Fault> {
        const PRIORITY_BYTES: usize = 5;
        let mut block = unpadded(head, payload)?;
        if head.has(frame::PRIORITY) {
            let short = Fault(ErrorCode::FrameSize, "priority is cut off");
            block = block.get(PRIORITY_BYTES..).ok_or(short)?;
        }
        let end = head.has(END_STREAM);
        if head.has(END_HEADERS) {
            return self.block(head.stream, end, block);
        }
        self.block = Some(Block { stream: head.stream, end, bytes: block.to_vec() });
        Ok(Frame::Other)
    }

    fn continuation<'a>(&mut self, head: &frame::Head, payload: &[u8]) -> Result<Frame<'a>, Fault> {
        let mut block = self.block.take().expect("checked before dispatch");
        if block.stream != head.stream {
            return Err(Fault(ErrorCode::Protocol, "header block is interrupted"));
        }
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > self.fields_bytes_max {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "header block is too large"));
        }
        if head.has(END_HEADERS) {
            return self.block(block.stream, block.end, &block.bytes);
        }
        self.block = Some(block);
        Ok(Frame::Other)
    }

    /// Every block is decoded, wanted or not: the table must stay in step.
    fn block<'a>(&mut self, stream: u32, end: bool, block: &[u8]) -> Result<Frame<'a>, Fault> {
        let mut fields = HeadReader::new(self.fields_bytes_max);
        let decoded = self.decoder.decode(block, |name, value| fields.field(name, value));
        match decoded {
            Ok(()) => Ok(Frame::Headers { stream, fields, end }),
            Err(malformed) => Err(Fault(ErrorCode::Compression, malformed.text())),
        }
    }
}

fn unpadded<'a>(head: &frame::Head, payload: &'a [u8]) -> Result<&'a [u8], Fault> {
    let padding = Fault(ErrorCode::Protocol, "padding is longer than its frame");
    frame::without_padding(head, payload).ok_or(padding)
}

fn data<'a>(head: &frame::Head, payload: &'a [u8]) -> Result<Frame<'a>, Fault> {
    Ok(Frame::Data {
        stream: head.stream,
        bytes: unpadded(head, payload)?,
        frame_bytes: head.bytes as u32,
        end: head.has(END_STREAM),
    })
}

fn settings<'a>(head: &frame::Head, payload: &[u8]) -> Result<Frame<'a>, Fault> {
    const TABLE_SIZE: u16 = 0x1;
    const WINDOW_INITIAL: u16 = 0x4;
    if head.has(frame::ACK) {
        return Ok(Frame::Other);
    }
    if !payload.len().is_multiple_of(6) {
        return Err(Fault(ErrorCode::FrameSize, "settings have six bytes each"));
    }
    let mut settings = Settings::default();
    for setting in payload.chunks_exact(6) {
        let name = u16::from_be_bytes([setting[0], setting[1]]);
        let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
        match name {
            TABLE_SIZE => settings.table_changes = true,
            WINDOW_INITIAL => settings.window_initial = Some(i64::from(value)),
            _ => {}
        }
    }
    if settings.window_initial.is_some_and(|window| window > frame::WINDOW_MAX) {
        return Err(Fault(ErrorCode::FlowControl, "window is too large"));
    }
    Ok(Frame::Settings(settings))
}

fn ping<'a>(head: &frame::Head, payload: &[u8]) -> Result<Frame<'a>, Fault> {
    let payload = <[u8; 8]>::try_from(payload)
        .map_err(|_| Fault(ErrorCode::FrameSize, "ping has eight bytes"))?;
    Ok(if head.has(frame::ACK) { Frame::Other } else { Frame::Ping(payload) })
}

fn window_update<'a>(head: &frame::Head, payload: &[u8]) -> Result<Frame<'a>, Fault> {
    let bytes = <[u8; 4]>::try_from(payload)
        .map_err(|_| Fault(ErrorCode::FrameSize, "window update has four bytes"))?;
    let bytes = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
    Ok(Frame::WindowUpdate { stream: head.stream, bytes })
}
