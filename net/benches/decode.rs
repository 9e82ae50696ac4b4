//! How fast bytes become commands and messages: `cargo bench -p quorra-net --bench decode`.
//!
//! Everything carries puts of 32 + 256 bytes. `KEYS=10000` changes how many are decoded.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench measures time, and is told from outside how long to do so"
)]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use quorra_core::identity::{Incarnation, MemberId};
use quorra_core::raft::{self, Entry, EntryKind, Index, Term};
use quorra_core::replica::Message;
use quorra_core::store::command::{Body, Command, Identity};
use quorra_core::store::v3::{Put, Write};
use quorra_core::time::WallTime;
use quorra_net::{json, peer, proto};

const KEY: &[u8] = b"bench/00000000000000000000000001";
const VALUE: &[u8] = &[b'v'; 256];
/// Entries in one append.
const ENTRIES: u64 = 64;

fn main() {
    let count = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000);
    let request = proto::PutRequest { key: KEY.into(), value: VALUE.into(), ..Default::default() };
    let message = Bytes::from(request.encode_to_vec());
    time("put as protobuf", count, 1, || {
        proto::PutRequest::decode(message.clone()).expect("a whole message").key.len()
    });
    let text = br#"{"key":"YmVuY2gvMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=","value":""#;
    let text = [&text[..], "dnZ2".repeat(85).as_bytes(), b"dg==\"}"].concat();
    time("put as JSON", count, 1, || {
        let request: proto::PutRequest = json::read(&text).expect("a whole document");
        assert!(request.value.len() == VALUE.len(), "the value is that of the other formats");
        request.key.len()
    });
    let command = command(1);
    time("command of an entry", count, 1, || {
        Command::decode(command.clone()).expect("a whole command").user.len()
    });
    let frame = append();
    time("append of 64 entries from a peer, each", count, ENTRIES, || {
        let mut input = BytesMut::from(&frame[..]);
        let frame = peer::next_frame(&mut input, |_| true).expect("a good frame");
        match peer::decode(frame.expect("a whole frame")) {
            Ok(Some(Message::Raft(raft::Message::Append { entries, .. }))) => entries.len(),
            other => panic!("not what was sent: {other:?}"),
        }
    });
}

fn command(counter: u64) -> Bytes {
    let identity = Identity { member: MemberId(1), incarnation: Incarnation(1), counter };
    let put = Put {
        key: Bytes::from_static(KEY),
        value: Some(Bytes::from_static(VALUE)),
        lease: Some(None),
        previous: false,
    };
    let body = Body::V3(Write::Put(put));
    Command { identity, stamp: WallTime(1), user: Bytes::new(), body }.encode()
}

fn append() -> BytesMut {
    let entry = |index| Entry::new(Term(1), Index(index), EntryKind::Command, command(index));
    let append = raft::Message::Append {
        term: Term(1),
        prev_index: Index(0),
        prev_term: Term(0),
        commit_index: Index(0),
        entries: (1..=ENTRIES).map(entry).collect(),
    };
    let mut out = BytesMut::new();
    peer::encode(Message::Raft(append), &mut out);
    out
}

/// Decodes `count` puts, `each` of them at once.
fn time(what: &str, count: u64, each: u64, mut decode: impl FnMut() -> usize) {
    let rounds = count.div_ceil(each);
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(decode());
    }
    let took = start.elapsed().as_secs_f64() * 1e9 / (rounds * each) as f64;
    println!("{what:<44} {took:>9.0} ns each");
}
