//! Clients that send what costs them little and the server much.

use quorra_core::time::Duration;

use super::*;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn greeted() -> Connection {
    let mut server = connection();
    server.receive(NOW, PREFACE);
    server.output().clear();
    server
}

/// The streams of the output's frames of that kind.
fn streams(server: &mut Connection, kind: u8) -> Vec<u32> {
    let frames = frames(server.output());
    server.output().clear();
    frames.into_iter().filter(|frame| frame.0 == kind).map(|frame| frame.2).collect()
}

const RESET: u8 = 3;

#[test]
fn empty_frames_are_bounded() {
    let mut server = connection();
    server.receive(NOW, PREFACE);
    let mut settings = 0;
    while !server.is_done() {
        server.receive(NOW, b"\0\0\0\x04\0\0\0\0\0");
        settings += 1;
        assert!(settings < 200_000, "a flood is noticed");
        server.output().clear();
    }
}

/// A head of two hundred bytes, each of which stands for a field of four thousand that the table
/// remembers from the first stream.
fn bomb(stream: u32) -> Vec<u8> {
    const FIELD: u8 = 0x80 | 62;
    let mut block = vec![0x83, 0x86, 0x84];
    if stream == 1 {
        block.extend_from_slice(b"\x40\x01a\x7f\xa1\x1e");
        block.extend_from_slice(&[b'x'; 4_000]);
    }
    block.extend_from_slice(&[FIELD; 200]);
    frame(1, 0x4, stream, &block)
}

#[test]
fn compressed_fields_count_as_what_they_are() {
    const HEADS: u32 = 200;
    let mut server = greeted();
    for n in 0..HEADS {
        let mut now = NOW;
        now.monotonic = now.monotonic + Duration::from_millis(10) * n;
        server.receive(now, &bomb(2 * n + 1));
    }
    let refused = streams(&mut server, RESET).len();
    let held = (HEADS as usize - refused) * 200 * 4_000;
    assert!((32 << 20..66 << 20).contains(&held), "{held}");
    // Who gives them up may begin others.
    (0..HEADS).for_each(|n| server.receive(NOW, &frame(RESET, 0, 2 * n + 1, &[0, 0, 0, 8])));
    server.receive(NOW, &get(2 * HEADS + 1));
    assert!(matches!(server.next_event(NOW), Some(Event::Request(..))));
    assert!(streams(&mut server, RESET).is_empty());
}

#[test]
fn compressed_fields_in_quick_succession_end_the_connection() {
    let mut server = greeted();
    let heads = (0..10_000).take_while(|n| {
        server.receive(NOW, &bomb(2 * n + 1));
        server.receive(NOW, &frame(RESET, 0, 2 * n + 1, &[0, 0, 0, 8]));
        !server.is_done()
    });
    let heads = heads.count();
    assert!((100..1_000).contains(&heads), "{heads}");
}

#[test]
fn requests_that_are_reset_wait_in_bounded_number() {
    let mut server = greeted();
    // As long as these are not read, nothing further is begun.
    (0..65).for_each(|n| server.receive(NOW, &get(2 * n + 1)));
    while let Some(Event::Request(id, _)) = server.next_event(NOW) {
        let body = Body::Lazy(Box::new(Counting(10_000_000)));
        server.respond(NOW, id, Response { body, ..Response::new(200, Bytes::new()) });
    }
    server.output().clear();
    let mut refused = 0;
    for n in 65..200_000 {
        let mut now = NOW;
        now.monotonic = now.monotonic + Duration::from_micros(20) * n;
        server.receive(now, &get(2 * n + 1));
        server.receive(now, &frame(RESET, 0, 2 * n + 1, &[0, 0, 0, 8]));
        refused += streams(&mut server, RESET).len();
        assert!(!server.is_done());
    }
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn empty_messages_count_as_events() {
    let mut server = greeted();
    let head = b"\x83\x86\x84\x0f\x10\x10application/grpc";
    server.receive(NOW, &frame(1, 0x4, 1, head));
    let messages = frame(0, 0, 1, &[0; 16_380]);
    let mut sent = 0;
    while !frames(server.output()).iter().any(|frame| frame.0 == 1) {
        server.output().clear();
        server.receive(NOW, &messages);
        sent += 16_380;
        assert!(sent < 64 << 20, "five bytes make an event of hundreds");
    }
    assert!(server.next_event(NOW).is_none(), "nobody had heard of the call");
}

/// Each of them moves the window of every stream.
#[test]
fn settings_cost_what_they_move() {
    let mut server = greeted();
    (0..10_000).for_each(|n| server.receive(NOW, &get(2 * n + 1)));
    let settings = |window: u8| frame(4, 0, 0, &[0, 4, 0, 1, 0, window]);
    let taken = (0..100).take_while(|n| {
        server.receive(NOW, &settings(*n));
        !server.is_done()
    });
    assert_eq!(taken.count(), 9);
    assert_eq!(streams(&mut server, 7), [0]);
}
