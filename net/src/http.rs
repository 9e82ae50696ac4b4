//! One request and one response for all of HTTP: 1.1 and 2, JSON and gRPC; and what a protocol
//! does on a connection, bytes in and bytes out.
//!
//! The invariant: a [`Protocol`] holds no more than its bounds, whatever its peer sends or fails to
//! read. It says [`Protocol::is_full`], and its connection is read no further until it is not.

use bytes::{Bytes, BytesMut};
use quorra_core::limits;
use quorra_core::time::{Duration, Instant, Now};

/// A request method; HTTP's are case-sensitive (RFC 9110, 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// PUT
    Put,
    /// POST
    Post,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// Any other token.
    Other(Bytes),
}

impl Method {
    /// The method that a token names.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"PUT" => Self::Put,
            b"POST" => Self::Post,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            other => Self::Other(Bytes::copy_from_slice(other)),
        }
    }

    /// Its token.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Put => b"PUT",
            Self::Post => b"POST",
            Self::Delete => b"DELETE",
            Self::Options => b"OPTIONS",
            Self::Patch => b"PATCH",
            Self::Other(token) => token,
        }
    }
}

/// Header fields in the order of their arrival. Names compare without case.
///
/// All names and values lie in one block, so that a request's fields cost two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    text: Vec<u8>,
    /// For each field where its name ends and where its value ends; it starts where the one
    /// before it ends.
    ends: Vec<(u32, u32)>,
}

impl Headers {
    /// No fields yet, with room for `bytes` of text in `fields` fields.
    #[must_use]
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), ends: Vec::with_capacity(fields) }
    }

    /// Appends a field. False, and nothing appended, if the text would pass 4 GiB.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        let name_end = self.text.len().saturating_add(name.len());
        let value_end = name_end.saturating_add(value.len());
        let (Ok(name_end), Ok(value_end)) = (u32::try_from(name_end), u32::try_from(value_end))
        else {
            return false;
        };
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.ends.push((name_end, value_end));
        true
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The values of all fields of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// What they hold in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, value_end)| {
            let (name_end, value_end) = (*name_end as usize, *value_end as usize);
            let field = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            field
        })
    }
}

/// A whole request. For a gRPC call `body` is the first message, without its prefix.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// The path as it came: percent-encoded, without the query.
    pub path: Bytes,
    /// Behind the question mark, as it came.
    pub query: Option<Bytes>,
    /// The fields; for HTTP/2 without pseudo-headers, `:authority` as `host`.
    pub headers: Headers,
    /// The decoded body.
    pub body: Bytes,
    /// The body was longer than [`Limits::body_bytes`] and is not given; an HTTP/1.1 connection
    /// closes after the answer.
    pub oversized: bool,
    /// Whether it came over TLS.
    pub secure: bool,
    /// A gRPC call: more messages may follow, each to [`crate::api::Exchange::on_message`].
    pub rpc: bool,
}

/// What is answered before any byte of a body, and the body.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Without content-length, transfer-encoding, date and connection: those are the connection's.
    pub headers: Vec<(&'static str, Bytes)>,
    /// Further fields of the same kind that another server gave: a proxy passes them on.
    pub forwarded: Option<Box<Headers>>,
    /// See there.
    pub body: Body,
    /// Behind the body; HTTP/2 only. gRPC's status travels here.
    pub trailers: Vec<(&'static str, Bytes)>,
}

impl Response {
    /// An answer with a whole body and no fields yet.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            forwarded: None,
            body: Body::Full(body.into()),
            trailers: Vec::new(),
        }
    }

    /// The same with a field added.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The bytes of a response.
#[derive(Debug)]
pub enum Body {
    /// All of them.
    Full(Bytes),
    /// They are made as the connection drains.
    Lazy(Box<dyn LazyBody>),
    /// They come later, piece by piece: [`Protocol::data`], then [`Protocol::end`].
    Stream,
    /// The same, and there will be exactly so many.
    Sized(u64),
}

/// A large body that is encoded while it is sent.
pub trait LazyBody: std::fmt::Debug {
    /// The exact number of bytes still to come, where it is known beforehand.
    fn remaining(&self) -> Option<u64>;
    /// Appends about `wanted` bytes. False when nothing is left behind them.
    fn fill(&mut self, out: &mut BytesMut, wanted: usize) -> bool;
}

/// What an HTTP connection allows its peer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A request's head; also all fields of a chunked body's trailer (Go: 1 MiB).
    pub head_bytes: usize,
    /// A request's body below `/v2/` (etcd's form limit).
    pub form_bytes: usize,
    /// Any gRPC message: `--max-request-bytes` and etcd's overhead. Any other body may have half
    /// as much again: it is JSON.
    pub message_bytes: usize,
    /// Output that waits before the connection is read no further.
    pub output_bytes: usize,
    /// HTTP/2's streams at once; announced, and refused beyond.
    pub streams_max: u32,
    /// HTTP/2's pings.
    pub pings: Pings,
}

/// When an HTTP/2 connection may ping and is pinged, as etcd configures gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pings {
    /// A client with streams pings no more often (`--grpc-keepalive-min-time`).
    pub interval_min: Duration,
    /// A client that is silent for so long is pinged (`--grpc-keepalive-interval`).
    pub silence_max: Duration,
    /// It is gone if it does not answer by then (`--grpc-keepalive-timeout`).
    pub answer_time_max: Duration,
}

impl Pings {
    /// etcd's defaults.
    pub const DEFAULT: Self = Self {
        interval_min: Duration::from_secs(5),
        silence_max: Duration::from_secs(2 * 3600),
        answer_time_max: Duration::from_secs(20),
    };
}

impl Limits {
    /// The limits of a member with this `--max-request-bytes`.
    #[must_use]
    pub const fn new(request_bytes_max: usize) -> Self {
        Self {
            head_bytes: 1 << 20,
            form_bytes: limits::V2_BODY_BYTES_MAX,
            message_bytes: request_bytes_max.saturating_add(limits::REQUEST_OVERHEAD_BYTES),
            output_bytes: 1 << 20,
            streams_max: limits::STREAMS_MAX,
            pings: Pings::DEFAULT,
        }
    }

    /// How long the body of a request to this path may be.
    #[must_use]
    pub fn body_bytes(&self, path: &[u8]) -> usize {
        if path.starts_with(b"/v2/") {
            self.form_bytes
        } else {
            // Base64 has four bytes for three.
            self.message_bytes.saturating_mul(3) / 2
        }
    }
}

/// Names a request on its connection: HTTP/2's stream id; HTTP/1.1 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What came in on a connection.
#[derive(Debug)]
pub enum Event {
    /// A request: whole, or a gRPC call with its first message.
    Request(StreamId, Request),
    /// A further message of a gRPC call, without its prefix.
    Message(StreamId, Bytes),
    /// A gRPC call's client has sent its last message. Not told of other requests.
    End(StreamId),
    /// The client wants no answer any more: nothing may be said to this stream from now on.
    Cancelled(StreamId),
}

/// An HTTP connection's server side as a state machine: bytes in, events out; answers in, bytes
/// out. Anything wrong with the peer's bytes is answered by the protocol itself.
///
/// A driver calls [`Self::receive`], then [`Self::next_event`] until there is none, answers some,
/// and writes [`Self::output`]; after a write (and after answering) it calls [`Self::pump`].
pub trait Protocol {
    /// Bytes came in. Keeps what is not an event yet.
    fn receive(&mut self, now: Now, bytes: &[u8]);

    /// The next thing that came in, if it is complete and may be begun: HTTP/1.1 gives one request
    /// at a time and goes on when it is answered.
    fn next_event(&mut self, now: Now) -> Option<Event>;

    /// Whether [`Self::next_event`] may give something before more bytes come.
    fn has_event(&self) -> bool;

    /// Answers a stream: once, and not after [`Event::Cancelled`].
    fn respond(&mut self, now: Now, stream: StreamId, response: Response);

    /// More of a [`Body::Stream`]; goes out at once.
    fn data(&mut self, stream: StreamId, bytes: Bytes);

    /// A [`Body::Stream`] is over; a [`Body::Sized`] one has had its bytes.
    fn end(&mut self, stream: StreamId, trailers: Vec<(&'static str, Bytes)>);

    /// A [`Body::Stream`] cannot be completed: its reader must not take it for whole.
    fn abort(&mut self, stream: StreamId);

    /// Makes more output where there is room: lazy bodies, data that waited for a window.
    fn pump(&mut self);

    /// What waits to be written; the driver takes written bytes off its front.
    fn output(&mut self) -> &mut BytesMut;

    /// Bytes that wait for this stream, output included: how far its reader is behind.
    fn backlog(&self, stream: StreamId) -> usize;

    /// Too much waits: read no further until it does not.
    fn is_full(&self) -> bool;

    /// Nothing more will be read or answered: close once the output is written.
    fn is_done(&self) -> bool;

    /// By when the peer must have gone on (a head begun but not ended, an unanswered ping); the
    /// connection calls [`Self::expire`] then.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed: answers or pings, and may be done.
    fn expire(&mut self, now: Now);

    /// The peer will send no more; it may still read what it asked for.
    fn half_closed(&mut self) {
        self.shut_down();
    }

    /// No more requests are taken; those begun are answered.
    fn shut_down(&mut self);
}
