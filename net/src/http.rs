//! One request and one response for all of HTTP: 1.1 and 2, JSON and gRPC.

use bytes::{Bytes, BytesMut};

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

/// Header fields in the order of their arrival. Names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Bytes, Bytes)>);

impl Headers {
    /// The first field of that name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Bytes> {
        self.0
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
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
    /// Whether it came over TLS.
    pub secure: bool,
}

/// What is answered before any byte of a body, and the body.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Without content-length, transfer-encoding, date and connection: those are the connection's.
    pub headers: Vec<(&'static str, Bytes)>,
    /// See there.
    pub body: Body,
    /// Behind the body; HTTP/2 only. gRPC's status travels here.
    pub trailers: Vec<(&'static str, Bytes)>,
}

/// The bytes of a response.
#[derive(Debug)]
pub enum Body {
    /// All of them.
    Full(Bytes),
    /// They are made as the connection drains.
    Lazy(Box<dyn LazyBody>),
    /// They come later, piece by piece: `Outcome::Data`, then `Outcome::End`.
    Stream,
}

/// A large body that is encoded while it is sent.
pub trait LazyBody: std::fmt::Debug {
    /// The exact number of bytes still to come, where it is known beforehand.
    fn remaining(&self) -> Option<u64>;
    /// Appends about `wanted` bytes. False when nothing is left behind them.
    fn fill(&mut self, out: &mut BytesMut, wanted: usize) -> bool;
}
