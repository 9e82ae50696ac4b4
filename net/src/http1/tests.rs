//! Whole connections: bytes in, answers out.

use proptest::prelude::*;

use super::*;
use quorra_core::time::WallTime;

fn at(seconds: u64) -> Now {
    Now { monotonic: Instant(seconds * 1_000_000_000), wall: WallTime(0) }
}

fn connection() -> Connection {
    Connection::new(Limits::new(1_000), false)
}

/// Answers every request with its method, path and body, like an echo.
fn serve(connection: &mut Connection, now: Now) {
    while let Some(event) = connection.next_event(now) {
        let Event::Request(stream, request) = event else { panic!("HTTP/1.1 has only requests") };
        let text = format!("{:?} {:?} ", request.method, request.path);
        let mut body = text.into_bytes();
        body.extend_from_slice(&request.body);
        let status = if request.oversized { 413 } else { 200 };
        connection.respond(now, stream, Response::new(status, body));
    }
}

fn outputs(input: &[u8], cuts: &[usize]) -> String {
    let mut connection = connection();
    let mut rest = input;
    for cut in cuts {
        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
        rest = behind;
        connection.receive(at(0), piece);
        serve(&mut connection, at(0));
    }
    connection.receive(at(0), rest);
    serve(&mut connection, at(0));
    String::from_utf8(connection.output().to_vec()).expect("the echo is text")
}

const PIPELINED: &str = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n\
    PUT /v2/keys/x HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nvalue=1\
    \r\nPOST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: u\r\n\r\n\
    HEAD /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let expected = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 10\r\n\r\n\
        Get b\"/a\" \
        HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 25\r\n\r\n\
        Put b\"/v2/keys/x\" value=1\
        HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 16\r\n\r\n\
        Post b\"/c\" abcde\
        HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\
        Content-Length: 11\r\n\r\n";
    assert_eq!(outputs(PIPELINED.as_bytes(), &[]), expected);
}

proptest! {
    #[test]
    fn any_split_of_the_input_gives_the_same_output(
        cuts in proptest::collection::vec(0_usize..40, 0..40),
    ) {
        prop_assert_eq!(
            outputs(PIPELINED.as_bytes(), &cuts),
            outputs(PIPELINED.as_bytes(), &[])
        );
    }

    #[test]
    fn no_bytes_panic_or_pile_up(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        cuts in proptest::collection::vec(0_usize..100, 0..20),
    ) {
        let text = [b"POST /v2/keys HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]];
        let mut connection = connection();
        let mut rest = &text.concat()[..];
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            connection.receive(at(0), piece);
            serve(&mut connection, at(0));
        }
        prop_assert!(connection.input.len() <= text.concat().len());
    }
}

#[test]
fn a_refused_client_can_read_why_before_the_connection_closes() {
    let mut connection = connection();
    connection.receive(at(0), b"GET / HTTP/1.1\nHost: h\n\n");
    assert!(connection.next_event(at(0)).is_none());
    let answer = connection.output().split();
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{answer:?}");
    connection.receive(at(0), &[b'x'; 100_000]);
    assert!(connection.next_event(at(0)).is_none() && !connection.is_done());
    assert!(connection.input.is_empty(), "what follows is dropped");
    connection.expire(at(1));
    assert!(connection.is_done());
}

#[test]
fn an_endless_head_is_refused_at_its_bound() {
    let mut connection = connection();
    connection.receive(at(0), b"GET / HTTP/1.1\r\n");
    for _ in 0..(1 << 20) / 1_000 {
        connection.receive(at(0), format!("X: {}\r\n", "y".repeat(1_000)).as_bytes());
        assert!(connection.next_event(at(0)).is_none());
    }
    assert!(connection.output().starts_with(b"HTTP/1.1 431 "));
}

/// A head that was too long, and broken behind its limit, was answered by how it was split: 400
/// where all of it came at once, and 431 else.
#[test]
fn what_lies_beyond_a_heads_bound_is_not_looked_at() {
    let head = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'y'; 1 << 20], b"\n\n"].concat();
    for piece in [head.len(), 10_000] {
        let mut connection = connection();
        for bytes in head.chunks(piece) {
            connection.receive(at(0), bytes);
            assert!(connection.next_event(at(0)).is_none());
        }
        assert!(connection.output().starts_with(b"HTTP/1.1 431 "));
    }
}

#[test]
fn slow_senders_have_deadlines_and_idle_connections_have_none() {
    let mut connection = connection();
    assert!(connection.next_event(at(0)).is_none());
    assert_eq!(connection.deadline(), None);
    connection.receive(at(5), b"PUT / HTTP/1.1\r\n");
    assert!(connection.next_event(at(5)).is_none());
    connection.receive(at(20), b"Host: h\r\n");
    assert!(connection.next_event(at(20)).is_none());
    assert_eq!(connection.deadline(), Some(at(35).monotonic), "from the head's first byte");
    connection.receive(at(21), b"Content-Length: 2\r\n\r\na");
    assert!(connection.next_event(at(21)).is_none());
    assert_eq!(connection.deadline(), Some(at(51).monotonic), "from the body's last byte");
    connection.expire(at(51));
    assert!(connection.output().starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let mut connection = connection();
    connection.receive(
        at(0),
        b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    serve(&mut connection, at(0));
    assert_eq!(connection.output().split(), "HTTP/1.1 100 Continue\r\n\r\n");
    connection.receive(at(0), b"ab");
    serve(&mut connection, at(0));
    assert!(connection.output().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn an_oversized_body_is_answered_without_being_read() {
    let mut connection = connection();
    connection.receive(
        at(0),
        b"PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
    );
    serve(&mut connection, at(0));
    let answer = String::from_utf8(connection.output().to_vec()).expect("text");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    connection.expire(at(1));
    assert!(connection.is_done());
}

#[test]
fn a_stream_goes_out_piece_by_piece_and_its_head_at_once() {
    let mut connection = connection();
    connection.receive(at(0), b"GET /w HTTP/1.1\r\nHost: h\r\n\r\n");
    let Some(Event::Request(stream, _)) = connection.next_event(at(0)) else { panic!("complete") };
    let response = Response { body: Body::Stream, ..Response::new(200, Bytes::new()) };
    connection.respond(at(0), stream, response);
    assert!(connection.output().split().ends_with(b"Transfer-Encoding: chunked\r\n\r\n"));
    connection.data(stream, Bytes::from_static(b"0123456789abcdef"));
    assert_eq!(connection.output().split(), "10\r\n0123456789abcdef\r\n");
    connection.end(stream, Vec::new());
    assert_eq!(connection.output().split(), "0\r\n\r\n");
    assert!(!connection.is_done(), "the connection can be used again");
}

#[test]
fn versions_and_options_decide_whether_a_connection_stays() {
    let rows = [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
    ];
    for (text, stays) in rows {
        let mut connection = connection();
        connection.receive(at(0), text.as_bytes());
        serve(&mut connection, at(0));
        assert_eq!(connection.is_done(), !stays, "{text:?}");
    }
}

/// Ten pieces of 50,000 bytes each.
#[derive(Debug)]
struct Pieces(u64, bool);

impl LazyBody for Pieces {
    fn remaining(&self) -> Option<u64> {
        self.1.then_some(self.0 * 50_000)
    }

    fn fill(&mut self, out: &mut BytesMut, _wanted: usize) -> bool {
        out.extend_from_slice(&[b'x'; 50_000]);
        self.0 -= 1;
        self.0 > 0
    }
}

#[test]
fn a_lazy_body_is_made_as_the_output_drains() {
    for sized in [true, false] {
        let mut connection = connection();
        connection.receive(at(0), b"GET /l HTTP/1.1\r\nHost: h\r\n\r\n");
        let Some(Event::Request(stream, _)) = connection.next_event(at(0)) else {
            panic!("complete")
        };
        let body = Body::Lazy(Box::new(Pieces(10, sized)));
        let response = Response { body, ..Response::new(200, Bytes::new()) };
        connection.respond(at(0), stream, response);
        let mut total = 0;
        while !connection.output().is_empty() {
            assert!(connection.output().len() < 2 * PIECE_BYTES);
            total += connection.output().split().iter().filter(|byte| **byte == b'x').count();
            connection.pump();
        }
        assert_eq!(total, 500_000);
        assert!(matches!(connection.state, State::Head));
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let mut connection = connection();
    connection.receive(at(0), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let Some(Event::Request(stream, _)) = connection.next_event(at(0)) else { panic!("complete") };
    connection.half_closed();
    assert!(!connection.is_done());
    connection.respond(at(0), stream, Response::new(200, &b"ok"[..]));
    assert!(connection.is_done() && connection.output().ends_with(b"ok"));
}
