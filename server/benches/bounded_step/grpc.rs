//! One gRPC call on a connection of its own, whose answer is counted and thrown away.
//!
//! The client allows the server as much as HTTP/2 can say, so it never has to open a window: how
//! fast it reads from its socket is all that holds the server back.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const WINDOW_MAX: u32 = (1 << 31) - 1;
const WINDOW_DEFAULT: u32 = (1 << 16) - 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// How fast an answer is read.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// At most so much.
    pub(crate) bytes_per_second: u64,
}

impl Pace {
    /// As fast as it comes.
    pub(crate) const FAST: Self = Self { bytes_per_second: u64::MAX };

    fn keep(self, start: Instant, bytes: usize) {
        let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
}

/// Calls a method of `etcdserverpb.KV`; how many bytes its answer has.
pub(crate) fn call(address: &str, method: &str, message: &[u8], pace: Pace) -> usize {
    let mut stream = TcpStream::connect(address).expect("the member listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes a timeout");
    stream.write_all(&request(address, method, message)).expect("the member reads");
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let start = Instant::now();
    let mut bytes = 0;
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).expect("the call is answered");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).expect("a frame is whole");
        let (kind, flags) = (head[3], head[4]);
        match kind {
            DATA => bytes += length,
            PING if flags & ACK == 0 => {
                let pong = frame(PING, ACK, 0, &payload);
                reader.get_mut().write_all(&pong).expect("the member reads");
            }
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return bytes;
        }
        pace.keep(start, bytes);
    }
}

fn request(address: &str, method: &str, message: &[u8]) -> Vec<u8> {
    let path = format!("/etcdserverpb.KV/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", address),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal field with a literal name, not indexed.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("fields are short"));
            block.extend(text.as_bytes());
        }
    }
    let length = u32::try_from(message.len()).expect("requests are small");
    let mut body = vec![0];
    body.extend(length.to_be_bytes());
    body.extend(message);
    let mut initial_window = vec![0, 4];
    initial_window.extend(WINDOW_MAX.to_be_bytes());
    let more = (WINDOW_MAX - WINDOW_DEFAULT).to_be_bytes();
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &initial_window),
        frame(WINDOW_UPDATE, 0, 0, &more),
        frame(HEADERS, END_HEADERS, 1, &block),
        frame(DATA, END_STREAM, 1, &body),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}
