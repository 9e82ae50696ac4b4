//! An HTTP/2 connection.

use bytes::{Bytes, BytesMut};
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::grpc;
use quorra_net::http::{Body, Event, Limits, Protocol, Request, Response, StreamId};
use quorra_net::http2::{Connection, PREFACE};

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
/// Length, type, flags and stream (RFC 9113, 4.1).
const FRAME_HEADER_BYTES: usize = 9;

/// Any split of the input gives the same output where answers come behind all of it, and answers
/// between the pieces break nothing.
pub fn run(bytes: &[u8]) {
    let input = [PREFACE, bytes].concat();
    let whole = outputs(&[&input], false);
    assert!(whole == outputs(&pieces::split(&input), false), "any split gives the same output");
    frames(&whole);
    frames(&outputs(&pieces::split(&input), true));
}

fn outputs(pieces: &[&[u8]], at_once: bool) -> BytesMut {
    let mut connection = Connection::new(LIMITS, false, NOW);
    let mut out = BytesMut::new();
    for piece in pieces {
        connection.receive(NOW, piece);
        if at_once {
            serve(&mut connection, &mut out);
        }
    }
    serve(&mut connection, &mut out);
    connection.half_closed();
    serve(&mut connection, &mut out);
    connection.expire(Now { monotonic: NOW.monotonic + Duration::from_secs(36_000), ..NOW });
    out.extend_from_slice(&connection.output().split());
    out
}

/// Answers every request, as the client reads.
fn serve(connection: &mut Connection, out: &mut BytesMut) {
    loop {
        while let Some(event) = connection.next_event(NOW) {
            if let Event::Request(stream, request) = event {
                answer(connection, stream, request);
            }
        }
        connection.pump();
        let written = connection.output().split();
        if written.is_empty() {
            return;
        }
        out.extend_from_slice(&written);
    }
}

/// In one of three ways.
fn answer(connection: &mut Connection, stream: StreamId, request: Request) {
    let echo = request.body.clone();
    match request.path.len() % 3 {
        0 => connection.respond(NOW, stream, grpc::respond(Body::Full(echo))),
        1 => {
            let head = Response::new(200, Bytes::new());
            connection.respond(NOW, stream, Response { body: Body::Stream, ..head });
            connection.data(stream, echo);
            connection.end(stream, vec![("grpc-status", Bytes::from_static(b"0"))]);
        }
        _ => connection.respond(NOW, stream, Response::new(404, request.path)),
    }
}

/// What goes out is whole frames.
fn frames(mut output: &[u8]) {
    while let Some((head, rest)) = output.split_first_chunk::<FRAME_HEADER_BYTES>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        assert!(length <= rest.len(), "a frame goes out whole");
        output = &rest[length..];
    }
    assert!(output.is_empty(), "only frames go out");
}
