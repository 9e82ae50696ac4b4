//! The server against clients: h2's, polled by hand over a pipe in memory, and bytes of our own.

mod floods;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use quorra_core::time::{Instant, Now, WallTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, PREFACE};
use crate::grpc;
use crate::http::{Body, Event, LazyBody, Limits, Protocol, Request, Response, StreamId};

const NOW: Now = Now { monotonic: Instant(1_000_000_000), wall: WallTime(0) };

fn connection() -> Connection {
    Connection::new(Limits::new(1_572_864), false, NOW)
}

/// Both directions of a connection in memory.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<(BytesMut, BytesMut)>>);

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let to_client = &mut self.0.borrow_mut().1;
        if to_client.is_empty() {
            return Poll::Pending;
        }
        let bytes = buffer.remaining().min(to_client.len());
        buffer.put_slice(&to_client.split_to(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().0.put_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client and a server, and how an answer is found.
struct Pair<F> {
    pipe: Pipe,
    server: Connection,
    client: h2::client::Connection<Pipe>,
    requests: h2::client::SendRequest<Bytes>,
    serve: F,
    cancelled: usize,
}

impl<F: FnMut(&Request) -> Response> Pair<F> {
    fn new(serve: F) -> Self {
        let pipe = Pipe::default();
        let mut handshake = Box::pin(h2::client::handshake(pipe.clone()));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok((requests, client))) = handshake.as_mut().poll(&mut context) else {
            panic!("a handshake over memory is at once");
        };
        Self { pipe, server: connection(), client, requests, serve, cancelled: 0 }
    }

    /// Carries bytes in both directions until nothing moves.
    fn turn(&mut self) {
        loop {
            let polled = Pin::new(&mut self.client).poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(ended) = polled {
                panic!("the client ends the connection: {ended:?}");
            }
            let input = std::mem::take(&mut self.pipe.0.borrow_mut().0);
            if !input.is_empty() {
                self.server.receive(NOW, &input);
            }
            while let Some(event) = self.server.next_event(NOW) {
                match event {
                    Event::Request(stream, request) => {
                        let response = (self.serve)(&request);
                        self.server.respond(NOW, stream, response);
                    }
                    Event::Cancelled(_) => self.cancelled += 1,
                    Event::Message(..) | Event::End(_) => {}
                }
            }
            let mut moved = !input.is_empty();
            loop {
                self.server.pump();
                let output = std::mem::take(self.server.output());
                if output.is_empty() {
                    break;
                }
                moved = true;
                self.pipe.0.borrow_mut().1.put_slice(&output);
            }
            if !moved {
                return;
            }
        }
    }

    /// Sends a request and its body; gives the answer, its body and its trailers.
    fn call(&mut self, path: &str, rpc: bool, body: &[u8]) -> Answer {
        let mut request = http::Request::post(format!("http://member:2379{path}"));
        if rpc {
            request = request.header("content-type", "application/grpc").header("te", "trailers");
        }
        let request = request.body(()).expect("a valid request");
        let (mut response, mut stream) =
            self.requests.send_request(request, body.is_empty()).expect("room for a stream");
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true).expect("an open stream");
        }
        let mut answer = Answer::default();
        let mut reading = None;
        for _ in 0..100_000 {
            self.turn();
            let mut context = Context::from_waker(Waker::noop());
            if reading.is_none() {
                match Pin::new(&mut response).poll(&mut context) {
                    Poll::Ready(Ok(response)) => {
                        answer.status = response.status().as_u16();
                        answer.fields = response.headers().clone();
                        reading = Some(response.into_body());
                    }
                    Poll::Ready(Err(error)) => panic!("{error}"),
                    Poll::Pending => continue,
                }
            }
            let body = reading.as_mut().expect("just set");
            while let Poll::Ready(Some(Ok(data))) = body.poll_data(&mut context) {
                answer.body.put_slice(&data);
                body.flow_control().release_capacity(data.len()).expect("just received");
            }
            if let Poll::Ready(Ok(trailers)) = body.poll_trailers(&mut context) {
                answer.trailers = trailers.unwrap_or_default();
                return answer;
            }
        }
        panic!("no answer");
    }
}

#[derive(Default, Debug)]
struct Answer {
    status: u16,
    fields: http::HeaderMap,
    body: BytesMut,
    trailers: http::HeaderMap,
}

impl Answer {
    fn trailer(&self, name: &str) -> Option<&[u8]> {
        self.trailers.get(name).map(http::HeaderValue::as_bytes)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name).map(http::HeaderValue::as_bytes)
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    grpc::put_prefix(&mut out, message.len());
    out.put_slice(message);
    out.freeze()
}

#[test]
fn a_call_comes_and_goes() {
    let mut pair = Pair::new(|request: &Request| {
        assert!(request.rpc);
        assert_eq!(request.path, "/some.Service/Method");
        assert_eq!(request.headers.first("host"), Some(&b"member:2379"[..]));
        grpc::respond(Body::Full(framed(&[&request.body[..], b"!"].concat())))
    });
    for text in ["first", "second", ""] {
        let answer = pair.call("/some.Service/Method", true, &framed(text.as_bytes()));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, framed(format!("{text}!").as_bytes()));
        assert_eq!(answer.trailer("grpc-status"), Some(&b"0"[..]));
    }
}

#[test]
fn plain_requests_come_whole() {
    let mut pair = Pair::new(|request: &Request| {
        assert!(!request.rpc);
        assert_eq!((&request.path[..], request.query.as_deref()), (&b"/a"[..], Some(&b"b"[..])));
        Response::new(201, request.body.clone()).with("X-Etcd-Index", &b"7"[..])
    });
    let body = vec![b'x'; 300_000];
    let answer = pair.call("/a?b", false, &body);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.field("x-etcd-index"), Some(&b"7"[..]));
    assert_eq!(answer.field("content-length"), Some(&b"300000"[..]));
    assert_eq!(answer.body, body);
}

#[test]
fn long_messages_are_refused_before_they_have_come() {
    let mut pair = Pair::new(|_: &Request| panic!("nothing to serve"));
    let answer = pair.call("/a.B/C", true, &framed(&vec![0; 2_200_000]));
    assert_eq!(answer.field("grpc-status"), Some(&b"8"[..]));
    assert_eq!(
        answer.field("grpc-message"),
        Some(&b"grpc: received message larger than max (2200000 vs. 2097152)"[..])
    );
    let mut cut = framed(b"message").to_vec();
    cut.pop();
    for (body, text) in [(&cut[..], "unexpected EOF"), (&[], "EOF")] {
        let answer = pair.call("/a.B/C", true, body);
        assert_eq!(answer.field("grpc-status"), Some(&b"2"[..]));
        assert_eq!(answer.field("grpc-message"), Some(text.as_bytes()));
    }
}

/// A body that counts.
#[derive(Debug)]
struct Counting(u32);

impl LazyBody for Counting {
    fn remaining(&self) -> Option<u64> {
        Some(u64::from(self.0) * 4)
    }

    fn fill(&mut self, out: &mut BytesMut, wanted: usize) -> bool {
        for _ in 0..self.0.min(wanted as u32 / 4) {
            self.0 -= 1;
            out.put_u32(self.0);
        }
        self.0 > 0
    }
}

#[test]
fn lazy_bodies_follow_the_windows() {
    let mut pair = Pair::new(|_: &Request| grpc::respond(Body::Lazy(Box::new(Counting(500_000)))));
    let mut answer = pair.call("/a.B/C", true, &framed(b""));
    assert_eq!(answer.body.len(), 2_000_000);
    assert!((0..500_000u32).rev().all(|number| answer.body.get_u32() == number));
    assert_eq!(answer.trailer("grpc-status"), Some(&b"0"[..]));
}

#[test]
fn a_reader_that_stops_holds_up_nothing_but_itself() {
    let mut server = connection();
    server.receive(NOW, PREFACE);
    for stream in [1u32, 3] {
        server.receive(NOW, &get(stream));
    }
    let mut ids = Vec::new();
    while let Some(Event::Request(id, _)) = server.next_event(NOW) {
        ids.push(id);
    }
    assert_eq!(ids, [StreamId(1), StreamId(3)]);
    let before = server.output().len();
    for id in ids {
        let body = Body::Lazy(Box::new(Counting(10_000_000)));
        server.respond(NOW, id, Response { body, ..Response::new(200, Bytes::new()) });
    }
    server.pump();
    // The connection's window of 65,535 bytes is all that goes out.
    let sent = server.output().len() - before;
    assert!((65_535..66_000).contains(&sent), "{sent}");
    assert!(!server.is_done() && !server.is_full());
}

#[test]
fn a_reader_that_stops_is_given_no_more_large_answers() {
    let mut server = connection();
    server.receive(NOW, PREFACE);
    (0..200).for_each(|n| server.receive(NOW, &get(2 * n + 1)));
    let mut begun = Vec::new();
    while let Some(event) = server.next_event(NOW) {
        let Event::Request(id, _) = event else { panic!("nothing else came") };
        let body = Body::Lazy(Box::new(Counting(10_000_000)));
        server.respond(NOW, id, Response { body, ..Response::new(200, Bytes::new()) });
        begun.push(id);
    }
    assert_eq!(begun.len(), 64);
    // One that is not wanted any more makes room for another.
    server.receive(NOW, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08");
    assert!(server.has_event());
    assert!(matches!(server.next_event(NOW), Some(Event::Request(..))));
}

/// A GET of `/`, by static table entries only.
fn get(stream: u32) -> Vec<u8> {
    let mut frame = vec![0, 0, 3, 1, 0x5];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(&[0x82, 0x84, 0x86]);
    frame
}

/// The frames of an output: kind, flags, stream and payload.
fn frames(mut output: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while !output.is_empty() {
        let bytes = output.get_uint(3) as usize;
        let (kind, flags, stream) = (output.get_u8(), output.get_u8(), output.get_u32());
        frames.push((kind, flags, stream, output[..bytes].to_vec()));
        output.advance(bytes);
    }
    frames
}

#[test]
fn the_server_greets() {
    let mut server = connection();
    let greeting = frames(server.output());
    assert_eq!(greeting.iter().map(|frame| frame.0).collect::<Vec<_>>(), [4, 8]);
    assert_eq!(server.deadline(), Some(NOW.monotonic + std::time::Duration::from_secs(7200)));
}

#[test]
fn rapid_pings_are_told_to_calm_down() {
    let mut server = connection();
    server.receive(NOW, PREFACE);
    server.output().clear();
    for _ in 0..5 {
        server.receive(NOW, b"\0\0\x08\x06\0\0\0\0\0pingping");
    }
    let mut expected = vec![(6, 1, 0, b"pingping".to_vec()); 4];
    expected.push((7, 0, 0, b"\0\0\0\0\0\0\0\x0btoo_many_pings".to_vec()));
    assert_eq!(frames(server.output()), expected);
    assert!(server.is_done());
}

#[test]
fn a_reset_is_told_once_and_only_if_the_request_was() {
    let reset =
        |stream: u32| [&b"\0\0\x04\x03\0"[..], &stream.to_be_bytes(), &[0, 0, 0, 8]].concat();
    let mut server = connection();
    server.receive(NOW, PREFACE);
    server.receive(NOW, &[get(1), reset(1), get(3)].concat());
    let Some(Event::Request(StreamId(3), _)) = server.next_event(NOW) else {
        // The first was reset before anyone heard of it: nothing is to be said about it.
        panic!("the second request is told");
    };
    server.receive(NOW, &reset(3));
    assert!(matches!(server.next_event(NOW), Some(Event::Cancelled(StreamId(3)))));
    assert!(server.next_event(NOW).is_none());
    server.respond(NOW, StreamId(3), Response::new(200, Bytes::new()));
    assert!(!server.is_done());
}

#[test]
fn faults_end_the_connection_with_their_code() {
    let rows: [(&[u8], u32); 10] = [
        (b"\0\x40\x01\0\0\0\0\0\x01", 0x6),
        (b"\0\0\0\x09\0\0\0\0\x01", 0x1),
        (b"\0\0\0\0\0\0\0\0\0", 0x1),
        (b"\0\0\0\0\0\0\0\0\x01", 0x1),
        (b"\0\0\x01\x01\x04\0\0\0\x01\x80", 0x9),
        (b"\0\0\x01\x01\x04\0\0\0\x02\x82", 0x1),
        (b"\0\0\x05\x04\0\0\0\0\0\0\0\0\0\0", 0x6),
        (b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0", 0x1),
        (b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\xff\xff", 0x3),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x04\xff\xff\xff\xff", 0x3),
    ];
    for (input, code) in rows {
        let mut server = connection();
        server.receive(NOW, PREFACE);
        server.output().clear();
        server.receive(NOW, input);
        let last = frames(server.output()).pop().expect("it says why");
        assert_eq!((last.0, &last.3[4..8]), (7, &code.to_be_bytes()[..]), "{input:?}");
        assert!(server.is_done());
    }
    let mut server = connection();
    server.receive(NOW, b"GET / HTTP/1.1\r\n");
    assert!(server.is_done());
}

proptest! {
    /// Where the bytes are cut makes no difference.
    #[test]
    fn any_split_gives_the_same_output(cuts in prop::collection::vec(1usize..30, 0..40)) {
        let mut input = PREFACE.to_vec();
        input.extend_from_slice(b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x01\0\0");
        for stream in [1, 3, 5] {
            input.extend_from_slice(&get(stream));
            input.extend_from_slice(b"\0\0\x08\x06\x01\0\0\0\0pingping");
        }
        let serve = |server: &mut Connection| {
            while let Some(event) = server.next_event(NOW) {
                if let Event::Request(stream, request) = event {
                    server.respond(NOW, stream, Response::new(200, request.path));
                }
            }
        };
        let mut whole = connection();
        whole.receive(NOW, &input);
        serve(&mut whole);
        let mut cut = connection();
        let mut rest = &input[..];
        for bytes in cuts {
            let (head, tail) = rest.split_at(bytes.min(rest.len()));
            cut.receive(NOW, head);
            rest = tail;
        }
        cut.receive(NOW, rest);
        serve(&mut cut);
        prop_assert_eq!(frames(whole.output()), frames(cut.output()));
    }

    /// Whatever comes, the server neither panics nor keeps what it should not.
    #[test]
    fn no_input_is_a_panic(
        frames in prop::collection::vec(
            (0u8..12, any::<u8>(), 0u32..8, prop::collection::vec(any::<u8>(), 0..40)), 0..40,
        ),
    ) {
        let mut server = connection();
        server.receive(NOW, PREFACE);
        for (kind, flags, stream, payload) in frames {
            let mut frame = vec![0, 0, payload.len() as u8, kind, flags];
            frame.extend_from_slice(&stream.to_be_bytes());
            frame.extend_from_slice(&payload);
            server.receive(NOW, &frame);
            server.receive(NOW, &get(stream | 1));
            while let Some(event) = server.next_event(NOW) {
                if let Event::Request(stream, _) = event {
                    server.respond(NOW, stream, grpc::respond(Body::Full(framed(b"answer"))));
                }
            }
        }
        server.pump();
    }
}
