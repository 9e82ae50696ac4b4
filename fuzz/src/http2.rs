//! An HTTP/2 connection.

use bytes::{Bytes, BytesMut};
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::grpc;
use quorra_net::http::{Body, Event, Limits, Protocol, Response};
use quorra_net::http2::{Connection, PREFACE};

use crate::pieces;

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
    let mut connection = Connection::new(Limits::new(1_000), false, NOW);
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

fn serve(connection: &mut Connection, out: &mut BytesMut) {
    while let Some(event) = connection.next_event(NOW) {
        let Event::Request(stream, request) = event else { continue };
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
    connection.pump();
    out.extend_from_slice(&connection.output().split());
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
