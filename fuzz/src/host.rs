//! A whole member: the bytes of one connection, to its client listener and to its peer listener.

use quorra_net::host::{ConnectionId, Listener};

use crate::http1;
use crate::member::Member;
use crate::pieces;

/// The connection under test, and that of a client who comes afterwards.
const TESTED: ConnectionId = ConnectionId(0);
const LATER: ConnectionId = ConnectionId(2);
const HTTP2: &[u8] = b"PRI * HTTP/2";

/// A member serves the next client whatever this one sent, restarts from its disk, and answers the
/// same however the bytes were split. Calls of one HTTP/2 connection run side by side: there the
/// split decides who comes first.
pub fn run(bytes: &[u8]) {
    let whole = session(Listener::Client, &[bytes]);
    let cut = session(Listener::Client, &pieces::split(bytes));
    if !bytes.starts_with(HTTP2) {
        assert!(whole == cut, "any split of the bytes gives the same answers and the same state");
    }
    session(Listener::Peer, &pieces::split(bytes));
}

/// What came back, and the state's hash a little later.
fn session(listener: Listener, pieces: &[&[u8]]) -> (Vec<u8>, Option<u64>) {
    let mut member = Member::started();
    member.open(TESTED, listener);
    pieces.iter().for_each(|piece| member.send(TESTED, piece));
    member.half_close(TESTED);
    // What has a time to live of nothing goes at the next turn, however many there were.
    (0..20).for_each(|_| member.wait());
    let hash = member.state_hash().map(|(_, hash)| hash);
    let answers = member.take(TESTED);
    member.cut(TESTED);
    check_service(&mut member);
    member.check_recovery();
    (without_numbers(&answers), hash)
}

/// What `/metrics` and `/debug/vars` count depends on how much has come in so far.
fn without_numbers(answers: &[u8]) -> Vec<u8> {
    let mut text = http1::without_interim(answers);
    text.retain(|byte| !byte.is_ascii_digit());
    text
}

/// Both APIs still answer.
fn check_service(member: &mut Member) {
    member.open(LATER, Listener::Client);
    let put = b"PUT /v2/keys/later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    member.send(LATER, put);
    let answer = member.take(LATER);
    assert!(answer.starts_with(b"HTTP/1.1 "), "the next client of the v2 API is answered");
    let range =
        b"POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nContent-Length: 14\r\n\r\n{\"key\":\"YQ==\"}";
    member.send(LATER, range);
    let answer = member.take(LATER);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "the next client of the v3 API is answered");
}
