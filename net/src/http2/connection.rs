//! One connection.

mod answers;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use quorra_core::time::{Instant, Now};

use super::frame::{self, ErrorCode};
use super::head::{Head, HeadReader};
use super::incoming::{Incoming, event, event_bytes};
use super::keepalive::{Due, Keepalive};
use super::reader::{Fault, Frame, Reader, Settings};
use super::sender::{self, Outgoing, Sender};
use super::stream::{Exceeded, ReceiveWindow, Stream};
use crate::grpc::{Code, Status};
use crate::http::{Event, Limits, Protocol, Response, StreamId};

/// How far the connection's window is opened, and kept open.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Bytes of all requests that are not complete or not handed out; others are refused beyond.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Answers' bytes that wait for the peer's windows before no further request is begun.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Lazy answers at once before no further request is begun: each keeps its records alive.
const LARGE_ANSWERS_MAX: usize = 64;

/// The server's side of an HTTP/2 connection.
///
/// # Invariants
/// - A stream is in the table from its head until both sides have ended it.
/// - A stream is in `ready` at most once, exactly if its flag says so.
/// - `held_bytes` is the sum of what all streams' incoming sides and all events hold.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    secure: bool,
    /// Bytes of an incomplete frame (or of the preface).
    pending: BytesMut,
    reader: Reader,
    streams: BTreeMap<u32, Stream>,
    last_stream: u32,
    events: VecDeque<Event>,
    sender: Sender,
    ready: VecDeque<u32>,
    waiting_bytes: usize,
    large_answers: usize,
    held_bytes: usize,
    receiving: ReceiveWindow,
    keepalive: Keepalive,
    going: bool,
    done: bool,
}

impl Connection {
    /// A connection that begins now. Its first bytes are the preface.
    #[must_use]
    pub fn new(limits: Limits, secure: bool, now: Now) -> Self {
        let mut sender = Sender::default();
        let fields_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        frame::put_settings(&mut sender.output, limits.streams_max, Stream::WINDOW, fields_bytes);
        let more = CONNECTION_WINDOW - frame::WINDOW_DEFAULT as u32;
        frame::put_window_update(&mut sender.output, 0, more);
        Self {
            limits,
            secure,
            pending: BytesMut::new(),
            reader: Reader::new(limits.head_bytes, now.monotonic),
            streams: BTreeMap::new(),
            last_stream: 0,
            events: VecDeque::new(),
            sender,
            ready: VecDeque::new(),
            waiting_bytes: 0,
            large_answers: 0,
            held_bytes: 0,
            receiving: ReceiveWindow::new(CONNECTION_WINDOW),
            keepalive: Keepalive::new(limits.pings, now.monotonic),
            going: false,
            done: false,
        }
    }

    /// Reads as many frames as there are; says how many bytes they were.
    fn read(&mut self, now: Instant, input: &[u8]) -> Result<usize, Fault> {
        let mut rest = input;
        while let Some(frame) = self.reader.next(now, &mut rest)? {
            match frame {
                Frame::Headers { stream, fields, end } => self.on_headers(stream, fields, end)?,
                Frame::Data { stream, bytes, frame_bytes, end } => {
                    self.on_data(stream, bytes, frame_bytes, end)?;
                }
                Frame::Reset { stream } => self.on_reset(stream)?,
                Frame::Settings(settings) => self.on_settings(now, settings)?,
                Frame::Ping(payload) => self.on_ping(now, payload)?,
                Frame::WindowUpdate { stream: 0, bytes } => self.on_window_update(bytes)?,
                Frame::WindowUpdate { stream, bytes } => self.on_stream_window(stream, bytes)?,
                Frame::Other => {}
            }
        }
        Ok(input.len() - rest.len())
    }

    /// A new request, or a client's trailers.
    fn on_headers(&mut self, id: u32, fields: HeadReader, end: bool) -> Result<(), Fault> {
        if id <= self.last_stream {
            if !end && self.streams.contains_key(&id) {
                return Err(Fault(ErrorCode::Protocol, "trailers do not end their stream"));
            }
            self.on_end(id);
            return Ok(());
        }
        if id.is_multiple_of(2) {
            return Err(Fault(ErrorCode::Protocol, "clients' streams are odd"));
        }
        self.last_stream = id;
        let full = self.streams.len() >= self.limits.streams_max as usize
            || self.held_bytes > HELD_BYTES_MAX;
        if self.going || full {
            self.sender.reset(id, ErrorCode::RefusedStream);
        } else {
            self.open(id, fields.finish(self.secure), end);
        }
        Ok(())
    }

    /// A new stream.
    fn open(&mut self, id: u32, head: Head, end: bool) {
        let window = self.sender.window_initial;
        match head {
            Head::Request(request) => {
                let bytes_max = self.limits.body_bytes(&request.path);
                let stream = Stream::new(request, bytes_max, window);
                self.held_bytes += stream.incoming.bytes();
                self.streams.insert(id, stream);
                if end {
                    self.on_end(id);
                }
            }
            Head::Malformed => self.sender.reset(id, ErrorCode::Protocol),
            Head::Refused(refusal) => {
                self.streams.insert(id, Stream::refused(!end, window));
                self.answer(id, refusal);
            }
        }
    }

    fn on_data(&mut self, id: u32, bytes: &[u8], frame_bytes: u32, end: bool) -> Result<(), Fault> {
        if id > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "data on an idle stream"));
        }
        self.take_window(frame_bytes)?;
        match self.streams.get(&id).map(|stream| &stream.incoming) {
            None => {}
            Some(Incoming::Ended) => self.reset(id, ErrorCode::StreamClosed),
            Some(_) => self.on_body(id, frame_bytes, bytes, end),
        }
        Ok(())
    }

    /// Counts received data and opens the connection's window again: always, so that bodies
    /// which wait for each other cannot use it up.
    fn take_window(&mut self, bytes: u32) -> Result<(), Fault> {
        let exceeded = |Exceeded| Fault(ErrorCode::FlowControl, "window is exceeded");
        if let Some(more) = self.receiving.take(bytes).map_err(exceeded)? {
            frame::put_window_update(&mut self.sender.output, 0, more);
        }
        Ok(())
    }

    /// Data for a stream whose client side is open.
    fn on_body(&mut self, id: u32, frame_bytes: u32, bytes: &[u8], end: bool) {
        let stream = self.streams.get_mut(&id).expect("the caller has seen it");
        match stream.receiving.take(frame_bytes) {
            Err(Exceeded) => return self.reset(id, ErrorCode::FlowControl),
            Ok(Some(more)) if !end => {
                frame::put_window_update(&mut self.sender.output, id, more);
            }
            Ok(_) => {}
        }
        self.held_bytes -= stream.incoming.bytes();
        let (before, events) = (self.events.len(), &mut self.events);
        let read = stream.incoming.data(bytes, self.limits.message_bytes, |told| {
            events.push_back(event(id, told));
        });
        self.held_bytes += stream.incoming.bytes();
        self.held_bytes += self.events.range(before..).map(event_bytes).sum::<usize>();
        match read {
            Err(refusal) => self.refuse(id, end, &Status::from(refusal)),
            Ok(()) if self.held_bytes > HELD_BYTES_MAX => {
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
        self.held_bytes -= stream.incoming.bytes();
        let (before, events) = (self.events.len(), &mut self.events);
        let ended = stream.incoming.end(|told| events.push_back(event(id, told)));
        self.held_bytes += self.events.range(before..).map(event_bytes).sum::<usize>();
        if let Err(refusal) = ended {
            self.refuse(id, true, &Status::from(refusal));
        }
    }

    /// Answers a stream in place of the API, which hears that it is over if it knows of it.
    fn refuse(&mut self, id: u32, ended: bool, status: &Status) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.held_bytes -= stream.incoming.bytes();
        stream.incoming = if ended { Incoming::Ended } else { Incoming::Ignored };
        let told = std::mem::take(&mut stream.told);
        let (begun, rpc) = (stream.outgoing.is_some(), stream.rpc);
        if told {
            self.tell_cancelled(id);
        }
        match (begun, rpc) {
            (true, _) => self.end_with(id, status.trailers()),
            (false, true) => self.answer(id, status.response()),
            (false, false) => self.answer(id, Response::new(503, Bytes::new())),
        }
    }

    fn on_reset(&mut self, id: u32) -> Result<(), Fault> {
        if id > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "reset of an idle stream"));
        }
        self.forget(id);
        Ok(())
    }

    /// Ends a stream by an error of the peer's.
    fn reset(&mut self, id: u32, error: ErrorCode) {
        self.sender.reset(id, error);
        self.forget(id);
    }

    /// Drops a stream that will not be answered.
    fn forget(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.held_bytes -= stream.incoming.bytes();
        if let Some(outgoing) = &stream.outgoing {
            self.waiting_bytes -= outgoing.bytes();
            self.large_answers -= usize::from(outgoing.is_large());
        }
        if stream.told {
            self.tell_cancelled(id);
        }
    }

    fn tell_cancelled(&mut self, id: u32) {
        let event = Event::Cancelled(StreamId(id));
        self.held_bytes += event_bytes(&event);
        self.events.push_back(event);
    }

    fn on_settings(&mut self, now: Instant, settings: Settings) -> Result<(), Fault> {
        if settings.table_changes {
            self.sender.give_up_table();
        }
        if let Some(window) = settings.window_initial {
            // The work is that of a frame for each stream.
            self.reader.count_empty(now, self.streams.len())?;
            self.on_window_initial(window)?;
        }
        frame::put_settings_ack(&mut self.sender.output);
        Ok(())
    }

    /// Every stream's window moves with the initial one (RFC 9113, 6.9.2).
    fn on_window_initial(&mut self, window: i64) -> Result<(), Fault> {
        let change = window - self.sender.window_initial;
        self.sender.window_initial = window;
        for (id, stream) in &mut self.streams {
            stream.window += change;
            if stream.window > frame::WINDOW_MAX {
                return Err(Fault(ErrorCode::FlowControl, "window is too large"));
            }
            if stream.window > 0 && stream.outgoing.is_some() && !stream.ready {
                stream.ready = true;
                self.ready.push_back(*id);
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, now: Instant, payload: [u8; 8]) -> Result<(), Fault> {
        frame::put_ping(&mut self.sender.output, frame::ACK, payload);
        if self.keepalive.on_ping(now, !self.streams.is_empty()) {
            return Err(Fault(ErrorCode::EnhanceYourCalm, "too_many_pings"));
        }
        Ok(())
    }

    fn on_window_update(&mut self, more: i64) -> Result<(), Fault> {
        self.sender.window += more;
        match more {
            0 => Err(Fault(ErrorCode::Protocol, "window update of nothing")),
            _ if self.sender.window > frame::WINDOW_MAX => {
                Err(Fault(ErrorCode::FlowControl, "window is too large"))
            }
            _ => Ok(()),
        }
    }

    fn on_stream_window(&mut self, id: u32, more: i64) -> Result<(), Fault> {
        if id > self.last_stream {
            return Err(Fault(ErrorCode::Protocol, "window update on an idle stream"));
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        stream.window += more;
        match more {
            0 => self.reset(id, ErrorCode::Protocol),
            _ if stream.window > frame::WINDOW_MAX => self.reset(id, ErrorCode::FlowControl),
            _ => self.make_ready(id),
        }
        Ok(())
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

    /// Whether another request may be begun: not while too many answers are not read.
    fn may_begin(&self) -> bool {
        self.waiting_bytes <= WAITING_BYTES_MAX && self.large_answers < LARGE_ANSWERS_MAX
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
            if begins && current && !self.may_begin() {
                return None;
            }
            let event = self.events.pop_front()?;
            self.held_bytes -= event_bytes(&event);
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
        !self.events.is_empty() && self.may_begin()
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

    fn abort(&mut self, StreamId(id): StreamId) {
        self.reset(id, ErrorCode::Internal);
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
