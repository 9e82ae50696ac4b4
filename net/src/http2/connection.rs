//! One connection.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use quorra_core::time::{Duration, Instant, Now};

use super::PREFACE;
use super::frame::{self, END_HEADERS, END_STREAM, ErrorCode, Kind, PAYLOAD_BYTES_MAX};
use super::head::{Head, HeadReader};
use super::hpack;
use super::incoming::{Incoming, Told};
use super::keepalive::{Due, Keepalive};
use super::sender::{self, Outgoing, Progress, Sender};
use crate::grpc::{Code, Status};
use crate::http::{Body, Event, Limits, Method, Protocol, Response, StreamId};

/// Streams at once; announced, and refused beyond.
const STREAMS_MAX: usize = 16_384;
/// The window of each stream: a message of any usual size needs no update.
const STREAM_WINDOW: u32 = 4 << 20;
/// How far the connection's window is opened, and kept open.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Bytes of all bodies that are not complete; calls are refused beyond.
const BODIES_BYTES_MAX: usize = 64 << 20;
/// Frames that carry nothing (RFC 9113, 10.5) in one second, before the peer is told to be calm.
const EMPTY_FRAMES_MAX: u32 = 20_000;
/// Answers' bytes that wait for the peer's windows before no further request is begun.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// What ends a connection.
#[derive(Debug)]
struct Fault(ErrorCode, &'static str);

/// A header block that is not complete (RFC 9113, 4.3).
#[derive(Debug)]
struct Block {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// One request and its answer.
#[derive(Debug)]
struct Stream {
    incoming: Incoming,
    /// Begun to be answered.
    outgoing: Option<Outgoing>,
    /// What the peer takes on this stream.
    window: i64,
    /// Received, and not given back as window yet.
    received: u32,
    /// It stands in the queue of those that can send.
    ready: bool,
    /// The request was handed out: what happens to the stream must be told.
    told: bool,
    /// Only the head is answered (HEAD).
    head_only: bool,
    rpc: bool,
}

/// The server's side of an HTTP/2 connection.
///
/// # Invariants
/// - A stream is in the table from its head until both sides have ended it.
/// - A stream is in `ready` at most once, exactly if its flag says so.
/// - `bodies_bytes` is the sum of what all streams' incoming sides hold.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    secure: bool,
    /// Bytes of an incomplete frame (or of the preface).
    pending: BytesMut,
    greeted: bool,
    decoder: hpack::Decoder,
    block: Option<Block>,
    streams: BTreeMap<u32, Stream>,
    last_stream: u32,
    events: VecDeque<Event>,
    sender: Sender,
    ready: VecDeque<u32>,
    waiting_bytes: usize,
    bodies_bytes: usize,
    received: u32,
    keepalive: Keepalive,
    /// Frames that carried nothing, since when.
    empty_frames: (Instant, u32),
    going: bool,
    done: bool,
}

impl Connection {
    /// A connection that begins now. Its first bytes are the preface.
    #[must_use]
    pub fn new(limits: Limits, secure: bool, now: Now) -> Self {
        let mut sender = Sender::default();
        let fields_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        frame::put_settings(&mut sender.output, STREAMS_MAX as u32, STREAM_WINDOW, fields_bytes);
        let more = CONNECTION_WINDOW - frame::WINDOW_DEFAULT as u32;
        frame::put_window_update(&mut sender.output, 0, more);
        Self {
            limits,
            secure,
            pending: BytesMut::new(),
            greeted: false,
            decoder: hpack::Decoder::default(),
            block: None,
            streams: BTreeMap::new(),
            last_stream: 0,
            events: VecDeque::new(),
            sender,
            ready: VecDeque::new(),
            waiting_bytes: 0,
            bodies_bytes: 0,
            received: 0,
            keepalive: Keepalive::new(now.monotonic),
            empty_frames: (now.monotonic, 0),
            going: false,
            done: false,
        }
    }

    /// Reads as many frames as there are; says how many bytes they were.
    fn read(&mut self, now: Instant, input: &[u8]) -> Result<usize, Fault> {
        let mut rest = input;
        if !self.greeted {
            let seen = rest.len().min(PREFACE.len());
            if rest[..seen] != PREFACE[..seen] {
                return Err(Fault(ErrorCode::Protocol, "no HTTP/2 preface"));
            }
            if seen < PREFACE.len() {
                return Ok(0);
            }
            self.greeted = true;
            rest = &rest[seen..];
        }
        while let Some(head) = frame::Head::parse(rest) {
            if head.bytes > PAYLOAD_BYTES_MAX {
                return Err(Fault(ErrorCode::FrameSize, "frame is too large"));
            }
            let Some(payload) = rest.get(frame::HEAD_BYTES..frame::HEAD_BYTES + head.bytes) else {
                break;
            };
            self.on_frame(now, head, payload)?;
            rest = &rest[frame::HEAD_BYTES + head.bytes..];
        }
        Ok(input.len() - rest.len())
    }

    fn on_frame(&mut self, now: Instant, head: frame::Head, payload: &[u8]) -> Result<(), Fault> {
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
        match head.kind {
            Kind::Data => self.on_data(now, head, payload),
            Kind::Headers => self.on_headers(now, head, payload),
            Kind::Continuation => self.on_continuation(now, head, payload),
            Kind::Reset => self.on_reset(now, head, payload),
            Kind::Settings => self.on_settings(now, head, payload),
            Kind::Ping => self.on_ping(now, head, payload),
            Kind::WindowUpdate => self.on_window_update(now, head, payload),
            Kind::PushPromise => Err(Fault(ErrorCode::Protocol, "clients push nothing")),
            Kind::GoAway => Ok(()),
            Kind::Priority | Kind::Unknown => self.count_empty(now),
        }
    }

    /// Counts a frame that makes work and carries nothing.
    fn count_empty(&mut self, now: Instant) -> Result<(), Fault> {
        let (since, count) = &mut self.empty_frames;
        if now.since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > EMPTY_FRAMES_MAX {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "too many empty frames"));
        }
        Ok(())
    }

    fn on_headers(&mut self, now: Instant, head: frame::Head, payload: &[u8]) -> Result<(), Fault> {
        const PRIORITY_BYTES: usize = 5;
        let padding = Fault(ErrorCode::Protocol, "padding is longer than its frame");
        let mut block = frame::without_padding(&head, payload).ok_or(padding)?;
        if head.has(frame::PRIORITY) {
            let short = Fault(ErrorCode::FrameSize, "priority is cut off");
            block = block.get(PRIORITY_BYTES..).ok_or(short)?;
        }
        let end_stream = head.has(END_STREAM);
        if head.has(END_HEADERS) {
            return self.on_block(now, head.stream, end_stream, block);
        }
        self.block = Some(Block { stream: head.stream, end_stream, bytes: block.to_vec() });
        Ok(())
    }

    fn on_continuation(
        &mut self,
        now: Instant,
        head: frame::Head,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let mut block = self.block.take().expect("checked before dispatch");
        if block.stream != head.stream {
            return Err(Fault(ErrorCode::Protocol, "header block is interrupted"));
        }
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > self.limits.head_bytes {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "header block is too large"));
        }
        if head.has(END_HEADERS) {
            return self.on_block(now, block.stream, block.end_stream, &block.bytes);
        }
        self.block = Some(block);
        self.count_empty(now)
    }

    /// A complete header block: a new request, or a client's trailers.
    fn on_block(
        &mut self,
        now: Instant,
        id: u32,
        end_stream: bool,
        block: &[u8],
    ) -> Result<(), Fault> {
        let mut reader = HeadReader::new(self.limits.head_bytes);
        let decoded = self.decoder.decode(block, |name, value| reader.field(name, value));
        if decoded.is_err() {
            return Err(Fault(ErrorCode::Compression, "header block is malformed"));
        }
        if id <= self.last_stream {
            return self.on_trailers(now, id, end_stream);
        }
        if id.is_multiple_of(2) {
            return Err(Fault(ErrorCode::Protocol, "clients' streams are odd"));
        }
        self.last_stream = id;
        if self.going || self.streams.len() >= STREAMS_MAX {
            self.sender.reset(id, ErrorCode::RefusedStream);
            return self.count_empty(now);
        }
        self.open(id, reader.finish(self.secure), end_stream);
        Ok(())
    }

    fn on_trailers(&mut self, now: Instant, id: u32, end_stream: bool) -> Result<(), Fault> {
        if !end_stream && self.streams.contains_key(&id) {
            return Err(Fault(ErrorCode::Protocol, "trailers do not end their stream"));
        }
        self.on_end(id);
        self.count_empty(now)
    }

    /// A new stream.
    fn open(&mut self, id: u32, head: Head, end_stream: bool) {
        let mut stream = Stream {
            incoming: if end_stream { Incoming::Ended } else { Incoming::Ignored },
            outgoing: None,
            window: self.sender.window_initial,
            received: 0,
            ready: false,
            told: false,
            head_only: false,
            rpc: true,
        };
        let refusal = match head {
            Head::Request(request) => {
                let bytes_max = self.limits.body_bytes(&request.path);
                stream.head_only = request.method == Method::Head;
                stream.rpc = request.rpc;
                stream.incoming = Incoming::new(request, bytes_max);
                self.streams.insert(id, stream);
                if end_stream {
                    self.on_end(id);
                }
                return;
            }
            Head::Malformed => {
                self.sender.reset(id, ErrorCode::Protocol);
                return;
            }
            Head::Compressed(encoding) => Status::new(
                Code::Unimplemented,
                format!(
                    "grpc: Decompressor is not installed for grpc-encoding {:?}",
                    String::from_utf8_lossy(&encoding)
                ),
            )
            .response(),
            Head::TooLong => Response::new(431, Bytes::new()),
        };
        self.streams.insert(id, stream);
        self.answer(id, refusal);
    }

    fn on_data(&mut self, now: Instant, head: frame::Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "data on an idle stream"));
        }
        self.take_window(head.bytes)?;
        let padding = Fault(ErrorCode::Protocol, "padding is longer than its frame");
        let bytes = frame::without_padding(&head, payload).ok_or(padding)?;
        let end = head.has(END_STREAM);
        let Some(stream) = self.streams.get_mut(&head.stream) else {
            return self.count_empty(now);
        };
        if matches!(stream.incoming, Incoming::Ended) {
            self.reset(head.stream, ErrorCode::StreamClosed);
            return Ok(());
        }
        if bytes.is_empty() && !end {
            self.count_empty(now)?;
        }
        self.on_body(head.stream, head.bytes as u32, bytes, end);
        Ok(())
    }

    /// Counts received data and opens the connection's window again: always, so that bodies
    /// which wait for each other cannot use it up.
    fn take_window(&mut self, bytes: usize) -> Result<(), Fault> {
        self.received += bytes as u32;
        if self.received > CONNECTION_WINDOW {
            return Err(Fault(ErrorCode::FlowControl, "window is exceeded"));
        }
        if self.received >= CONNECTION_WINDOW / 2 {
            frame::put_window_update(&mut self.sender.output, 0, self.received);
            self.received = 0;
        }
        Ok(())
    }

    /// Data for a stream whose client side is open.
    fn on_body(&mut self, id: u32, frame_bytes: u32, bytes: &[u8], end: bool) {
        let stream = self.streams.get_mut(&id).expect("the caller has seen it");
        stream.received += frame_bytes;
        if stream.received > STREAM_WINDOW {
            return self.reset(id, ErrorCode::FlowControl);
        }
        if stream.received >= STREAM_WINDOW / 2 && !end {
            frame::put_window_update(&mut self.sender.output, id, stream.received);
            stream.received = 0;
        }
        self.bodies_bytes -= stream.incoming.bytes();
        let events = &mut self.events;
        let read = stream.incoming.data(bytes, self.limits.message_bytes, |told| {
            events.push_back(event(id, told));
        });
        self.bodies_bytes += stream.incoming.bytes();
        match read {
            Err(refusal) => self.refuse(id, end, &Status::from(refusal)),
            Ok(()) if self.bodies_bytes > BODIES_BYTES_MAX => {
                let status = Status::new(Code::ResourceExhausted, "etcdserver: too many requests");
                self.refuse(id, end, &status);
            }
            Ok(()) if end => self.on_end(id),
            Ok(()) => {}
        }
    }

    /// The client has ended its side of a stream.
    fn on_end(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.bodies_bytes -= stream.incoming.bytes();
        let events = &mut self.events;
        let ended = stream.incoming.end(|told| events.push_back(event(id, told)));
        if let Err(refusal) = ended {
            self.refuse(id, true, &Status::from(refusal));
        }
    }

    /// Answers a stream in place of the API, which hears that it is over if it knows of it.
    fn refuse(&mut self, id: u32, ended: bool, status: &Status) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.bodies_bytes -= stream.incoming.bytes();
        stream.incoming = if ended { Incoming::Ended } else { Incoming::Ignored };
        if std::mem::take(&mut stream.told) {
            self.events.push_back(Event::Cancelled(StreamId(id)));
        }
        match stream.outgoing {
            None if stream.rpc => self.answer(id, status.response()),
            None => self.answer(id, Response::new(503, Bytes::new())),
            Some(_) => self.end_with(id, status.trailers()),
        }
    }

    fn on_reset(&mut self, now: Instant, head: frame::Head, payload: &[u8]) -> Result<(), Fault> {
        if payload.len() != 4 {
            return Err(Fault(ErrorCode::FrameSize, "reset has four bytes"));
        }
        if head.stream > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "reset of an idle stream"));
        }
        self.forget(head.stream);
        self.count_empty(now)
    }

    /// Ends a stream by an error of the peer's.
    fn reset(&mut self, id: u32, error: ErrorCode) {
        self.sender.reset(id, error);
        self.forget(id);
    }

    /// Drops a stream that will not be answered.
    fn forget(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.bodies_bytes -= stream.incoming.bytes();
        self.waiting_bytes -= stream.outgoing.map_or(0, |outgoing| outgoing.bytes());
        if stream.told {
            self.events.push_back(Event::Cancelled(StreamId(id)));
        }
    }

    fn on_settings(
        &mut self,
        now: Instant,
        head: frame::Head,
        payload: &[u8],
    ) -> Result<(), Fault> {
        const TABLE_SIZE: u16 = 0x1;
        const WINDOW_INITIAL: u16 = 0x4;
        if head.has(frame::ACK) {
            return self.count_empty(now);
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Fault(ErrorCode::FrameSize, "settings have six bytes each"));
        }
        for setting in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            match name {
                TABLE_SIZE => self.sender.give_up_table(),
                WINDOW_INITIAL => self.on_window_initial(i64::from(value))?,
                // Frames are never longer than any peer must accept, and nothing is pushed.
                _ => {}
            }
        }
        frame::put_settings_ack(&mut self.sender.output);
        self.count_empty(now)
    }

    /// Every stream's window moves with the initial one (RFC 9113, 6.9.2).
    fn on_window_initial(&mut self, window: i64) -> Result<(), Fault> {
        let overflow = || Fault(ErrorCode::FlowControl, "window is too large");
        if window > frame::WINDOW_MAX {
            return Err(overflow());
        }
        let change = window - self.sender.window_initial;
        self.sender.window_initial = window;
        for (id, stream) in &mut self.streams {
            stream.window += change;
            if stream.window > frame::WINDOW_MAX {
                return Err(overflow());
            }
            if stream.window > 0 && stream.outgoing.is_some() && !stream.ready {
                stream.ready = true;
                self.ready.push_back(*id);
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, now: Instant, head: frame::Head, payload: &[u8]) -> Result<(), Fault> {
        let payload = <[u8; 8]>::try_from(payload)
            .map_err(|_| Fault(ErrorCode::FrameSize, "ping has eight bytes"))?;
        if head.has(frame::ACK) {
            return self.count_empty(now);
        }
        frame::put_ping(&mut self.sender.output, frame::ACK, payload);
        if self.keepalive.on_ping(now, !self.streams.is_empty()) {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "too_many_pings"));
        }
        self.count_empty(now)
    }

    fn on_window_update(
        &mut self,
        now: Instant,
        head: frame::Head,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let bytes = <[u8; 4]>::try_from(payload)
            .map_err(|_| Fault(ErrorCode::FrameSize, "window update has four bytes"))?;
        let more = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
        self.count_empty(now)?;
        if head.stream == 0 {
            self.sender.window += more;
            if more == 0 || self.sender.window > frame::WINDOW_MAX {
                return Err(Fault(ErrorCode::FlowControl, "window update is out of range"));
            }
            return Ok(());
        }
        if head.stream > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "window update on an idle stream"));
        }
        let Some(stream) = self.streams.get_mut(&head.stream) else { return Ok(()) };
        stream.window += more;
        if more == 0 || stream.window > frame::WINDOW_MAX {
            self.reset(head.stream, ErrorCode::FlowControl);
            return Ok(());
        }
        self.make_ready(head.stream);
        Ok(())
    }

    /// Puts a stream that has something to send into the queue.
    fn make_ready(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.outgoing.is_some() && !stream.ready {
            stream.ready = true;
            self.ready.push_back(id);
        }
    }

    /// Sends the head of an answer, and as much of its body as goes at once.
    fn answer(&mut self, id: u32, response: Response) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        debug_assert!(stream.outgoing.is_none(), "a stream is answered once");
        self.keepalive.on_sent();
        let Response { status, headers, body, trailers } = response;
        let length = match &body {
            Body::Full(bytes) if !stream.rpc => Some(bytes.len()),
            _ => None,
        };
        let empty = matches!(&body, Body::Full(bytes) if bytes.is_empty());
        let ends = stream.head_only || (empty && trailers.is_empty());
        self.sender.head(id, status, &headers, length, ends);
        if ends {
            return self.finish(id);
        }
        let outgoing = match body {
            Body::Full(bytes) if self.sender.has_room(bytes.len(), stream.window) => {
                self.sender.whole(id, &bytes, &trailers);
                return self.finish(id);
            }
            Body::Full(bytes) => Outgoing::full(bytes, trailers),
            Body::Lazy(body) => Outgoing::lazy(body, trailers),
            Body::Stream => Outgoing::stream(),
        };
        self.waiting_bytes += outgoing.bytes();
        stream.outgoing = Some(outgoing);
        self.advance(id);
    }

    /// Lets a stream send, if there is room, and keeps its place in the queue.
    fn advance(&mut self, id: u32) {
        let room = self.sender.output.len() < sender::OUTPUT_BYTES_TARGET;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(outgoing) = &mut stream.outgoing else { return };
        if !room || stream.ready {
            return self.make_ready(id);
        }
        self.waiting_bytes -= outgoing.bytes();
        let progress = outgoing.advance(id, &mut stream.window, &mut self.sender);
        self.waiting_bytes += outgoing.bytes();
        match progress {
            Progress::More => self.make_ready(id),
            Progress::Finished => self.finish(id),
            Progress::Idle | Progress::Blocked => {}
        }
    }

    /// The answer is complete.
    fn finish(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.bodies_bytes -= stream.incoming.bytes();
        if !matches!(stream.incoming, Incoming::Ended) {
            // The rest of the request is not wanted (RFC 9113, 8.1).
            self.sender.reset(id, ErrorCode::NoError);
        }
    }

    /// Ends a streamed answer.
    fn end_with(&mut self, id: u32, trailers: Vec<(&'static str, Bytes)>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(outgoing) = &mut stream.outgoing else { return };
        outgoing.end(trailers);
        self.keepalive.on_sent();
        self.advance(id);
    }

    /// Ends the connection by an error of the peer's.
    fn fail(&mut self, Fault(error, text): Fault) {
        frame::put_go_away(&mut self.sender.output, self.last_stream, error, text.as_bytes());
        self.stop();
    }

    fn stop(&mut self) {
        self.done = true;
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        ids.into_iter().for_each(|id| self.forget(id));
        self.ready.clear();
        self.pending = BytesMut::new();
    }

    /// Whether an event is still of interest: streams may have gone since it was noted.
    fn is_current(&self, event: &Event) -> bool {
        let stream = |id| self.streams.get(id);
        match event {
            Event::Request(StreamId(id), _) => stream(id).is_some_and(|it| it.outgoing.is_none()),
            Event::Message(StreamId(id), _) | Event::End(StreamId(id)) => {
                stream(id).is_some_and(|it| it.told)
            }
            Event::Cancelled(_) => true,
        }
    }
}

fn event(id: u32, told: Told) -> Event {
    let id = StreamId(id);
    match told {
        Told::Request(request) => Event::Request(id, request),
        Told::Message(message) => Event::Message(id, message),
        Told::End => Event::End(id),
    }
}

impl Protocol for Connection {
    fn receive(&mut self, now: Now, bytes: &[u8]) {
        if self.done {
            return;
        }
        self.keepalive.on_input(now.monotonic);
        let read = if self.pending.is_empty() {
            self.read(now.monotonic, bytes).map(|read| {
                self.pending.extend_from_slice(&bytes[read..]);
            })
        } else {
            self.pending.extend_from_slice(bytes);
            let mut pending = std::mem::take(&mut self.pending);
            self.read(now.monotonic, &pending).map(|read| {
                pending.advance(read);
                self.pending = pending;
            })
        };
        match read {
            Ok(()) => self.pump(),
            Err(fault) => self.fail(fault),
        }
    }

    fn next_event(&mut self, _now: Now) -> Option<Event> {
        loop {
            let front = self.events.front()?;
            let begins = matches!(front, Event::Request(..));
            let current = self.is_current(front);
            if begins && current && self.waiting_bytes > WAITING_BYTES_MAX {
                return None;
            }
            let event = self.events.pop_front()?;
            if !current {
                continue;
            }
            if let Event::Request(StreamId(id), _) = &event {
                let stream = self.streams.get_mut(id).expect("a current request has a stream");
                stream.told = true;
            }
            return Some(event);
        }
    }

    fn has_event(&self) -> bool {
        !self.events.is_empty() && self.waiting_bytes <= WAITING_BYTES_MAX
    }

    fn respond(&mut self, _now: Now, StreamId(id): StreamId, response: Response) {
        self.answer(id, response);
    }

    fn data(&mut self, StreamId(id): StreamId, bytes: Bytes) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(outgoing) = &mut stream.outgoing else { return };
        self.waiting_bytes += bytes.len();
        outgoing.push(bytes);
        self.keepalive.on_sent();
        self.advance(id);
    }

    fn end(&mut self, StreamId(id): StreamId, trailers: Vec<(&'static str, Bytes)>) {
        self.end_with(id, trailers);
    }

    fn pump(&mut self) {
        while self.sender.window > 0 && self.sender.output.len() < sender::OUTPUT_BYTES_TARGET {
            let Some(id) = self.ready.pop_front() else { return };
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.ready = false;
                self.advance(id);
            }
        }
    }

    fn output(&mut self) -> &mut BytesMut {
        &mut self.sender.output
    }

    fn backlog(&self, StreamId(id): StreamId) -> usize {
        let outgoing = self.streams.get(&id).and_then(|stream| stream.outgoing.as_ref());
        self.sender.output.len() + outgoing.map_or(0, Outgoing::bytes)
    }

    fn is_full(&self) -> bool {
        self.sender.output.len() >= self.limits.output_bytes
    }

    fn is_done(&self) -> bool {
        self.done || (self.going && self.streams.is_empty())
    }

    fn deadline(&self) -> Option<Instant> {
        (!self.done).then(|| self.keepalive.deadline())
    }

    fn expire(&mut self, now: Now) {
        match self.keepalive.expire(now.monotonic) {
            Due::Nothing => {}
            Due::Ping => frame::put_ping(&mut self.sender.output, 0, *b"quorra\0\0"),
            Due::Gone => self.stop(),
        }
    }

    fn shut_down(&mut self) {
        if !self.going && !self.done {
            self.going = true;
            let last = self.last_stream;
            frame::put_go_away(&mut self.sender.output, last, ErrorCode::NoError, &[]);
        }
    }
}
