//! HTTP/1.1, the server's side: bytes in, requests out; answers in, bytes out. The client's side
//! is in [`client`].
//!
//! The one idea: a connection serves one request at a time. Pipelined requests wait, as bytes, in a
//! bounded input until the one before is answered, so answers are in order by construction.
//!
//! Bytes whose meaning is in doubt are refused and the connection closes: see `head`.

mod body;
pub mod client;
mod date;
mod head;
mod write;

use bytes::{Buf, Bytes, BytesMut};
use quorra_core::time::{Duration, Instant, Now};

use self::body::Progress;
use self::date::Date;
use self::head::{Head, Refusal};
use self::write::{Delimiter, HeadLine};
use crate::http::{Body, Event, LazyBody, Limits, Method, Protocol, Request, Response, StreamId};

/// Input that may wait behind a request that is being answered.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// A lazy body is filled in pieces of about this size, while less than one waits in the output.
const PIECE_BYTES: usize = 64 << 10;
/// How long a head may take from its first byte to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the sender of a body may pause.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a body may take in all.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a refused client's input is still taken (and dropped): closing with unread input would
/// reset the connection and might destroy the answer on its way.
const LINGER: Duration = Duration::from_millis(500);

/// The server's side of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    secure: bool,
    input: BytesMut,
    /// How much of the input was searched for the end of a head.
    scanned: usize,
    output: BytesMut,
    state: State,
    streams: u32,
    /// By when the client must have gone on.
    deadline: Option<Instant>,
    /// No request follows the present one.
    closing: bool,
    date: Date,
}

#[derive(Debug)]
enum State {
    /// Between requests, or inside a head.
    Head,
    /// Inside a body.
    Body(Box<Incoming>),
    /// A request was handed out, and its answer is due or under way.
    Answer(Answer),
    /// Refused: input is dropped until the deadline.
    Linger,
    /// Over.
    Done,
}

#[derive(Debug)]
struct Incoming {
    head: Head,
    body: body::Body,
    started: Instant,
}

#[derive(Debug)]
struct Answer {
    /// HEAD: no body is sent.
    head_only: bool,
    /// HTTP/1.0
    old: bool,
    keep_alive: bool,
    /// The request's body was not read to its end.
    unread: bool,
    content: Content,
}

/// What is sent of an answer.
#[derive(Debug)]
enum Content {
    /// It has not begun.
    Due,
    /// A lazy body; with its chunks if it has.
    Lazy(Box<dyn LazyBody>, Delimiter),
    /// Comes by [`Protocol::data`].
    Stream(Delimiter),
}

impl Connection {
    /// A connection that has just been opened, or sniffed.
    #[must_use]
    pub fn new(limits: Limits, secure: bool) -> Self {
        Self {
            limits,
            secure,
            input: BytesMut::new(),
            scanned: 0,
            output: BytesMut::new(),
            state: State::Head,
            streams: 0,
            deadline: None,
            closing: false,
            date: Date::default(),
        }
    }

    fn refuse(&mut self, now: Now, refusal: Refusal) {
        write::put_refusal(&mut self.output, refusal);
        self.linger(now);
    }

    fn linger(&mut self, now: Now) {
        self.input = BytesMut::new();
        self.state = State::Linger;
        self.deadline = Some(now.monotonic + LINGER);
    }

    fn next_head(&mut self, now: Now) -> Result<Option<Event>, Refusal> {
        // What lies beyond the limit is not looked at: it is too large before it is anything else.
        let within = &self.input[..self.input.len().min(self.limits.head_bytes)];
        let Some(end) = head::find_end(within, &mut self.scanned)? else {
            if self.input.len() >= self.limits.head_bytes {
                return Err(Refusal::HEAD_TOO_LARGE);
            }
            if self.input.is_empty() {
                self.deadline = None;
            } else if self.deadline.is_none() {
                self.deadline = Some(now.monotonic + HEAD_TIMEOUT);
            }
            return Ok(None);
        };
        let head = head::parse(&self.input[..end])?;
        self.input.advance(end);
        let limit = self.limits.body_bytes(&head.path);
        let body = body::Body::new(head.framing, limit);
        self.next_body(now, Incoming { head, body, started: now.monotonic }, true)
    }

    fn next_body(
        &mut self,
        now: Now,
        mut incoming: Incoming,
        first: bool,
    ) -> Result<Option<Event>, Refusal> {
        let had = self.input.len();
        match incoming.body.advance(&mut self.input)? {
            Progress::Complete => Ok(Some(self.hand_out(incoming, false))),
            Progress::Oversized => Ok(Some(self.hand_out(incoming, true))),
            Progress::Partial => {
                if first && incoming.head.expects_continue && had == 0 {
                    self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                if first || self.input.len() < had {
                    let pause_end = now.monotonic + BODY_PAUSE_MAX;
                    self.deadline = Some(pause_end.min(incoming.started + BODY_TIMEOUT));
                }
                self.state = State::Body(Box::new(incoming));
                Ok(None)
            }
        }
    }

    fn hand_out(&mut self, incoming: Incoming, oversized: bool) -> Event {
        let Incoming { head, body, .. } = incoming;
        self.deadline = None;
        self.streams = self.streams.wrapping_add(1);
        self.state = State::Answer(Answer {
            head_only: head.method == Method::Head,
            old: head.old,
            keep_alive: head.keep_alive && !oversized && !self.closing,
            unread: oversized,
            content: Content::Due,
        });
        let body = if oversized { Bytes::new() } else { body.into_bytes().freeze() };
        let request = Request {
            method: head.method,
            path: head.path,
            query: head.query,
            headers: head.headers,
            body,
            oversized,
            secure: self.secure,
            rpc: false,
        };
        Event::Request(StreamId(self.streams), request)
    }

    fn answer(&mut self, stream: StreamId) -> &mut Answer {
        assert_eq!(stream.0, self.streams, "only the present request is answered");
        match &mut self.state {
            State::Answer(answer) => answer,
            state => panic!("an answer to no request, in state {state:?}"),
        }
    }

    /// The answer is complete: what comes next depends on how it was delimited.
    fn finish(&mut self, now: Option<Now>) {
        let State::Answer(answer) = &self.state else { return };
        let unread = answer.unread;
        self.state = if answer.keep_alive && !self.closing { State::Head } else { State::Done };
        if let (true, Some(now)) = (unread, now) {
            self.linger(now);
        }
    }
}

impl Answer {
    fn delimiter(&mut self, status: u16, body: &Body) -> Delimiter {
        let known = match body {
            Body::Full(bytes) => u64::try_from(bytes.len()).ok(),
            Body::Lazy(lazy) => lazy.remaining(),
            Body::Stream => None,
            Body::Sized(length) => Some(*length),
        };
        match known {
            _ if matches!(status, 100..200 | 204 | 304) => Delimiter::None,
            Some(length) => Delimiter::Length(length),
            None if !self.old => Delimiter::Chunked,
            None => {
                self.keep_alive = false;
                Delimiter::Close
            }
        }
    }

    fn connection(&self) -> Option<&'static str> {
        match (self.old, self.keep_alive) {
            (false, false) => Some("close"),
            (true, true) => Some("keep-alive"),
            _ => None,
        }
    }
}

impl Protocol for Connection {
    fn receive(&mut self, _now: Now, bytes: &[u8]) {
        if !matches!(self.state, State::Linger | State::Done) {
            self.input.extend_from_slice(bytes);
        }
    }

    fn next_event(&mut self, now: Now) -> Option<Event> {
        if self.output.len() >= self.limits.output_bytes {
            return None;
        }
        let found = match std::mem::replace(&mut self.state, State::Head) {
            State::Head => self.next_head(now),
            State::Body(incoming) => self.next_body(now, *incoming, false),
            state => {
                self.state = state;
                Ok(None)
            }
        };
        found.unwrap_or_else(|refusal| {
            self.refuse(now, refusal);
            None
        })
    }

    fn has_event(&self) -> bool {
        let reads = matches!(self.state, State::Head | State::Body(_));
        reads && !self.input.is_empty() && self.output.len() < self.limits.output_bytes
    }

    fn respond(&mut self, now: Now, stream: StreamId, response: Response) {
        let closing = self.closing;
        let answer = self.answer(stream);
        answer.keep_alive &= !closing;
        let delimiter = answer.delimiter(response.status, &response.body);
        let (connection, head_only) = (answer.connection(), answer.head_only);
        let date = self.date.at(now.wall);
        let (headers, forwarded) = (&response.headers, response.forwarded.as_deref());
        HeadLine { status: response.status, headers, forwarded, delimiter, date, connection }
            .write(&mut self.output);
        if head_only || delimiter == Delimiter::None {
            return self.finish(Some(now));
        }
        match response.body {
            Body::Full(bytes) => {
                self.output.extend_from_slice(&bytes);
                self.finish(Some(now));
            }
            Body::Lazy(lazy) => {
                self.answer(stream).content = Content::Lazy(lazy, delimiter);
                self.pump();
            }
            Body::Stream | Body::Sized(_) => {
                self.answer(stream).content = Content::Stream(delimiter);
            }
        }
    }

    fn data(&mut self, stream: StreamId, bytes: Bytes) {
        if stream.0 != self.streams {
            return;
        }
        let State::Answer(answer) = &self.state else { return };
        match answer.content {
            Content::Stream(Delimiter::Chunked) => write::put_chunk(&mut self.output, &bytes),
            Content::Stream(_) => self.output.extend_from_slice(&bytes),
            Content::Due | Content::Lazy(..) => {}
        }
    }

    fn end(&mut self, stream: StreamId, _trailers: Vec<(&'static str, Bytes)>) {
        if stream.0 != self.streams {
            return;
        }
        let State::Answer(answer) = &self.state else { return };
        if matches!(answer.content, Content::Stream(Delimiter::Chunked)) {
            write::put_last_chunk(&mut self.output);
        }
        self.finish(None);
    }

    fn abort(&mut self, stream: StreamId) {
        if stream.0 == self.streams && matches!(self.state, State::Answer(_)) {
            self.state = State::Done;
        }
    }

    fn pump(&mut self) {
        let State::Answer(Answer { content: Content::Lazy(lazy, delimiter), .. }) = &mut self.state
        else {
            return;
        };
        let mut more = true;
        while more && self.output.len() < PIECE_BYTES {
            more = match delimiter {
                Delimiter::Chunked => {
                    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                    let more = lazy.fill(&mut piece, PIECE_BYTES);
                    write::put_chunk(&mut self.output, &piece);
                    more
                }
                _ => lazy.fill(&mut self.output, PIECE_BYTES),
            };
        }
        if !more {
            if *delimiter == Delimiter::Chunked {
                write::put_last_chunk(&mut self.output);
            }
            self.finish(None);
        }
    }

    fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    fn backlog(&self, _stream: StreamId) -> usize {
        self.output.len()
    }

    fn is_full(&self) -> bool {
        let waits = matches!(self.state, State::Answer(_)) && self.input.len() >= INPUT_BYTES_MAX;
        waits || self.output.len() >= self.limits.output_bytes
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn expire(&mut self, now: Now) {
        if self.deadline.is_none_or(|deadline| deadline > now.monotonic) {
            return;
        }
        match self.state {
            State::Linger => {
                self.deadline = None;
                self.state = State::Done;
            }
            State::Head | State::Body(_) => self.refuse(now, Refusal::TIMEOUT),
            State::Answer(_) | State::Done => self.deadline = None,
        }
    }

    fn half_closed(&mut self) {
        self.closing = true;
        let complete = matches!(self.state, State::Answer(_));
        if !complete {
            self.deadline = None;
            self.state = State::Done;
        }
    }

    fn shut_down(&mut self) {
        self.closing = true;
        if matches!(self.state, State::Head) && self.input.is_empty() {
            self.state = State::Done;
        }
    }
}

#[cfg(test)]
mod tests;
