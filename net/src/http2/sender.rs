//! What the server sends: frames in the output, as far as the peer's windows allow.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{self, END_HEADERS, END_STREAM, ErrorCode, PAYLOAD_BYTES_MAX, WINDOW_DEFAULT};
use super::hpack;
use crate::http::{Headers, LazyBody};

/// Output above which answers wait in their streams.
pub(super) const OUTPUT_BYTES_TARGET: usize = 256 << 10;
/// How much of a lazy body is encoded at a time.
const LAZY_BYTES: usize = 64 << 10;

/// The connection's output and its window.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) output: BytesMut,
    /// What the peer takes on all streams together (RFC 9113, 5.2).
    pub(super) window: i64,
    /// The window with which the peer's streams begin.
    pub(super) window_initial: i64,
    /// The next block must say that no table is used (RFC 7541, 4.2).
    table_given_up: bool,
    /// For the fields of one frame; kept for its memory.
    block: BytesMut,
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            output: BytesMut::new(),
            window: WINDOW_DEFAULT,
            window_initial: WINDOW_DEFAULT,
            table_given_up: false,
            block: BytesMut::new(),
        }
    }
}

impl Sender {
    /// The peer has changed how large a table it keeps. None is used; if it was made smaller, the
    /// peer waits to be told so.
    pub(super) fn give_up_table(&mut self) {
        self.table_given_up = true;
    }

    /// Whether a body of so many bytes goes out as one frame, at once.
    pub(super) fn has_room(&self, bytes: usize, window: i64) -> bool {
        bytes <= PAYLOAD_BYTES_MAX
            && bytes as i64 <= window.min(self.window)
            && self.output.len() < OUTPUT_BYTES_TARGET
    }

    /// Appends a body and what ends it; there is room.
    pub(super) fn whole(&mut self, stream: u32, body: &[u8], trailers: &[(&'static str, Bytes)]) {
        if !body.is_empty() {
            self.data(stream, body, trailers.is_empty());
        }
        if !trailers.is_empty() {
            self.trailers(stream, trailers);
        }
    }

    /// Appends the head of an answer.
    pub(super) fn head(
        &mut self,
        stream: u32,
        status: u16,
        fields: &[(&'static str, Bytes)],
        forwarded: Option<&Headers>,
        content_bytes: Option<u64>,
        end: bool,
    ) {
        self.begin_block();
        hpack::encode_status(status, &mut self.block);
        for (name, value) in fields {
            hpack::encode_field(name, value, &mut self.block);
        }
        for (name, value) in forwarded.into_iter().flat_map(Headers::iter) {
            hpack::encode_field(name, value, &mut self.block);
        }
        if let Some(bytes) = content_bytes {
            hpack::encode_field("content-length", bytes.to_string().as_bytes(), &mut self.block);
        }
        self.put_block(stream, end);
    }

    /// Appends trailers; they end the stream.
    pub(super) fn trailers(&mut self, stream: u32, fields: &[(&'static str, Bytes)]) {
        self.begin_block();
        for (name, value) in fields {
            hpack::encode_field(name, value, &mut self.block);
        }
        self.put_block(stream, true);
    }

    fn begin_block(&mut self) {
        const TABLE_OF_NO_BYTES: u8 = 0x20;
        self.block.clear();
        if std::mem::take(&mut self.table_given_up) {
            self.block.put_u8(TABLE_OF_NO_BYTES);
        }
    }

    /// Appends the block, in as many frames as it takes (RFC 9113, 4.3).
    fn put_block(&mut self, stream: u32, end: bool) {
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        let end = if end { END_STREAM } else { 0 };
        let (mut kind, mut flags) = (HEADERS, end);
        let mut rest = &self.block[..];
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
            let last = if behind.is_empty() { END_HEADERS } else { 0 };
            frame::put_head(&mut self.output, piece.len(), kind, flags | last, stream);
            self.output.put_slice(piece);
            if behind.is_empty() {
                return;
            }
            (kind, flags, rest) = (CONTINUATION, 0, behind);
        }
    }

    /// Appends data; the caller has seen that the windows allow it.
    fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        const DATA: u8 = 0;
        assert!(bytes.len() <= PAYLOAD_BYTES_MAX, "one frame");
        assert!(self.window >= bytes.len() as i64, "the connection's window allows it");
        frame::put_head(
            &mut self.output,
            bytes.len(),
            DATA,
            if end { END_STREAM } else { 0 },
            stream,
        );
        self.output.put_slice(bytes);
        self.window -= bytes.len() as i64;
    }

    /// Appends a reset.
    pub(super) fn reset(&mut self, stream: u32, error: ErrorCode) {
        frame::put_reset(&mut self.output, stream, error);
    }
}

/// Where more of a body comes from.
#[derive(Debug)]
enum Source {
    /// There is no more than what is queued.
    Ended,
    /// It is encoded when there is room.
    Lazy(Box<dyn LazyBody>),
    /// It will be given piece by piece.
    Stream,
}

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All that there is was sent; more will be given.
    Idle,
    /// There is more, and it may be sent.
    More,
    /// There is more, but the stream's window is used up.
    Blocked,
    /// The stream is over.
    Finished,
}

/// The body of an answer on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Pieces that were given.
    queue: VecDeque<Bytes>,
    /// What a lazy body has encoded.
    encoded: BytesMut,
    /// All of both.
    bytes: usize,
    source: Source,
    trailers: Vec<(&'static str, Bytes)>,
    /// It began as a lazy body.
    is_large: bool,
    /// A frame has ended the stream.
    ended: bool,
}

impl Outgoing {
    fn from(source: Source, trailers: Vec<(&'static str, Bytes)>) -> Self {
        Self {
            queue: VecDeque::new(),
            encoded: BytesMut::new(),
            bytes: 0,
            is_large: matches!(source, Source::Lazy(_)),
            source,
            trailers,
            ended: false,
        }
    }

    /// A whole body.
    pub(super) fn full(body: Bytes, trailers: Vec<(&'static str, Bytes)>) -> Self {
        let mut outgoing = Self::from(Source::Ended, trailers);
        outgoing.push(body);
        outgoing
    }

    /// A lazy body.
    pub(super) fn lazy(body: Box<dyn LazyBody>, trailers: Vec<(&'static str, Bytes)>) -> Self {
        Self::from(Source::Lazy(body), trailers)
    }

    /// A body that is given later.
    pub(super) fn stream() -> Self {
        Self::from(Source::Stream, Vec::new())
    }

    /// More of a streamed body.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if !piece.is_empty() {
            self.queue.push_back(piece);
        }
    }

    /// The streamed body is over.
    pub(super) fn end(&mut self, trailers: Vec<(&'static str, Bytes)>) {
        self.source = Source::Ended;
        self.trailers = trailers;
    }

    /// Whether it holds more than it tells, in records that are not encoded yet.
    pub(super) fn is_large(&self) -> bool {
        self.is_large
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sends at most one frame of data, and the end if it is reached.
    pub(super) fn advance(
        &mut self,
        stream: u32,
        window: &mut i64,
        sender: &mut Sender,
    ) -> Progress {
        self.encode();
        if self.bytes == 0 {
            return self.finish(stream, sender);
        }
        let room = (*window).min(sender.window).clamp(0, PAYLOAD_BYTES_MAX as i64) as usize;
        if room == 0 {
            return if *window <= 0 { Progress::Blocked } else { Progress::More };
        }
        let sent = self.send(stream, room, sender);
        *window -= sent as i64;
        self.bytes -= sent;
        if self.bytes > 0 || matches!(self.source, Source::Lazy(_)) {
            return if *window <= 0 { Progress::Blocked } else { Progress::More };
        }
        self.finish(stream, sender)
    }

    /// Makes a lazy body go on once what it has encoded is gone.
    fn encode(&mut self) {
        let Source::Lazy(body) = &mut self.source else { return };
        if self.bytes > 0 {
            return;
        }
        let more = body.fill(&mut self.encoded, LAZY_BYTES);
        self.bytes = self.encoded.len();
        if !more {
            self.source = Source::Ended;
        }
    }

    /// Sends up to `room` bytes as one frame.
    fn send(&mut self, stream: u32, room: usize, sender: &mut Sender) -> usize {
        let piece = self.take(room);
        // The last piece ends the stream, unless trailers do.
        let last = self.bytes == piece.len() && matches!(self.source, Source::Ended);
        self.ended = last && self.trailers.is_empty();
        sender.data(stream, &piece, self.ended);
        piece.len()
    }

    /// Takes up to `room` of the bytes that wait.
    fn take(&mut self, room: usize) -> Bytes {
        if !self.encoded.is_empty() {
            return self.encoded.split_to(room.min(self.encoded.len())).freeze();
        }
        let front = self.queue.front_mut().expect("bytes are encoded or queued");
        let piece = front.split_to(room.min(front.len()));
        if front.is_empty() {
            self.queue.pop_front();
        }
        piece
    }

    /// Nothing waits: sends what ends the stream, if it is over.
    fn finish(&self, stream: u32, sender: &mut Sender) -> Progress {
        match self.source {
            Source::Stream => return Progress::Idle,
            Source::Lazy(_) => return Progress::More,
            Source::Ended if self.ended => {}
            Source::Ended if self.trailers.is_empty() => sender.data(stream, &[], true),
            Source::Ended => sender.trailers(stream, &self.trailers),
        }
        Progress::Finished
    }
}
