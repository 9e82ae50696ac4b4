//! What members say to each other: frames, handshakes, messages.

use std::fmt::Write;

use bytes::BytesMut;
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{Index, Position, Term};
use quorra_core::store::membership::{Member, Membership};
use quorra_core::time::{Duration, Instant};
use quorra_net::host::ConnectionId;
use quorra_net::peer::{self, Links, Order};

use crate::pieces;

const ME: MemberId = MemberId(1);
const OTHER: MemberId = MemberId(2);
const NOW: Instant = Instant(1 << 40);
/// Accepted by the listener.
const ACCEPTED: ConnectionId = ConnectionId(2);

/// The bytes as they are, and once more with checksums that hold. A message comes back as it
/// was when it is encoded again; a connection hears the same however its bytes were split, be
/// it one that was accepted or one that was opened.
pub fn run(bytes: &[u8]) {
    let sealed = peer::reseal(bytes);
    for bytes in [bytes, &sealed] {
        messages(bytes);
        for incoming in [true, false] {
            let whole = heard(&[bytes], incoming);
            assert_eq!(whole, heard(&pieces::split(bytes), incoming), "any split says the same");
        }
    }
}

fn messages(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(frame)) = peer::next_frame(&mut input, |_| true) {
        let Ok(Some(message)) = peer::decode(frame) else { continue };
        let mut again = BytesMut::new();
        peer::encode(message.clone(), &mut again);
        let frame = peer::next_frame(&mut again, |_| true).expect("its checksum holds");
        let decoded = peer::decode(frame.expect("it is whole"));
        assert_eq!(decoded, Ok(Some(message)), "what is encoded is decoded");
        assert!(again.is_empty(), "a message is one frame");
    }
}

/// Everything that a member's links want and say.
fn heard(pieces: &[&[u8]], incoming: bool) -> String {
    let mut links = Links::new(ME, Incarnation(1), 7);
    links.set_members(NOW, &membership());
    let mut said = String::new();
    let opened = orders(&mut links, &mut said).expect("a link is opened to the other member");
    let connection = if incoming { ACCEPTED } else { opened };
    let mark = |_| Position { term: Term(1), index: Index(1) };
    match incoming {
        true => links.accept(NOW, connection),
        false => links.connected(NOW, connection, &mark),
    }
    pieces.iter().for_each(|piece| links.receive(NOW, connection, piece, &mark));
    orders(&mut links, &mut said);
    let output = links.output(connection).to_vec();
    links.written(NOW, connection, output.len());
    links.closed(NOW, connection);
    links.tick(NOW + Duration::from_secs(100));
    orders(&mut links, &mut said);
    said.push_str(&output.escape_ascii().to_string());
    said
}

/// Tells the orders, and names the first connection that is wanted.
fn orders(links: &mut Links, said: &mut String) -> Option<ConnectionId> {
    let mut first = None;
    while let Some(order) = links.next_order() {
        if let Order::Connect(connection, _) = &order {
            first.get_or_insert(*connection);
        }
        writeln!(said, "{order:?}").expect("a text takes everything");
    }
    first
}

fn membership() -> Membership {
    let mut membership = Membership { cluster: ClusterId(7), ..Membership::default() };
    for id in [ME, OTHER] {
        let member = Member {
            id,
            name: String::new(),
            peer_urls: vec![format!("http://{id}")],
            client_urls: Vec::new(),
            is_learner: false,
        };
        membership.members.insert(id, member);
    }
    membership
}
