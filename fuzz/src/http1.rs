//! An HTTP/1.1 connection.

use bytes::{BufMut, Bytes, BytesMut};
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::http::{Body, Event, LazyBody, Limits, Method, Protocol, Response, StreamId};
use quorra_net::http1::Connection;

use crate::pieces;

/// Small enough to be met.
const LIMITS: Limits = Limits {
    head_bytes: 300,
    form_bytes: 40,
    message_bytes: 60,
    output_bytes: 2_000,
    ..Limits::new(60)
};
const NOW: Now = Now { monotonic: Instant(1 << 40), wall: WallTime(0) };

/// Any split of the input gives the same output, and a connection that is given up ends.
pub fn run(bytes: &[u8]) {
    let whole = without_interim(&outputs(&[bytes]));
    let cut = without_interim(&outputs(&pieces::split(bytes)));
    assert!(whole == cut, "any split of the input gives the same output");
}

/// Whether a client is told to go on depends on whether it has done so already.
pub(crate) fn without_interim(output: &[u8]) -> Vec<u8> {
    const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (mut kept, mut rest) = (Vec::with_capacity(output.len()), output);
    while let [first, behind @ ..] = rest {
        rest = match rest.strip_prefix(INTERIM) {
            Some(after) => after,
            None => {
                kept.push(*first);
                behind
            }
        };
    }
    kept
}

fn outputs(pieces: &[&[u8]]) -> BytesMut {
    let mut connection = Connection::new(LIMITS, false);
    let mut out = BytesMut::new();
    for piece in pieces {
        connection.receive(NOW, piece);
        serve(&mut connection, &mut out);
    }
    let done = connection.is_done();
    connection.half_closed();
    serve(&mut connection, &mut out);
    let later = Now { monotonic: NOW.monotonic + Duration::from_secs(3_600), ..NOW };
    connection.expire(later);
    connection.expire(Now { monotonic: later.monotonic + Duration::from_secs(1), ..NOW });
    assert!(connection.is_done(), "a connection that is given up ends");
    out.put_u8(u8::from(done));
    out
}

/// Answers every request with what it was, in one of three ways.
fn serve(connection: &mut Connection, out: &mut BytesMut) {
    while let Some(event) = connection.next_event(NOW) {
        let Event::Request(stream, request) = event else { panic!("HTTP/1.1 has only requests") };
        let limit = LIMITS.body_bytes(&request.path);
        assert!(request.body.len() <= limit, "a body is within its limit");
        let mut echo = format!("{:?} {:?} ", request.method, request.path).into_bytes();
        request.headers.iter().for_each(|(name, value)| echo.extend([name, value].concat()));
        echo.extend_from_slice(&request.body);
        let content = Bytes::from(echo);
        let body = match &request.method {
            Method::Put => Body::Stream,
            Method::Post => Body::Lazy(Box::new(Slow(content.clone(), request.path.len() > 2))),
            _ => Body::Full(content.clone()),
        };
        let head = Response::new(if request.oversized { 413 } else { 200 }, Bytes::new());
        let streamed = matches!(body, Body::Stream);
        connection.respond(NOW, stream, Response { body, ..head });
        if streamed {
            stream_out(connection, stream, &content);
        }
        connection.pump();
        out.extend_from_slice(&connection.output().split());
    }
    out.extend_from_slice(&connection.output().split());
}

fn stream_out(connection: &mut Connection, stream: StreamId, content: &Bytes) {
    connection.data(stream, content.clone());
    connection.end(stream, Vec::new());
}

/// Ten bytes at a time; it may know how many there are.
#[derive(Debug)]
struct Slow(Bytes, bool);

impl LazyBody for Slow {
    fn remaining(&self) -> Option<u64> {
        self.1.then(|| self.0.len().try_into().expect("sizes fit 64 bits"))
    }

    fn fill(&mut self, out: &mut BytesMut, _wanted: usize) -> bool {
        out.put(self.0.split_to(self.0.len().min(10)));
        !self.0.is_empty()
    }
}
