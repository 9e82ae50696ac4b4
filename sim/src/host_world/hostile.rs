//! Guests that mean no good: garbage, halves of requests, one byte at a time, and silence.
//!
//! Nothing is asked of the answers but that members live on and serve the others.

use bytes::{BufMut, Bytes, BytesMut};
use quorra_net::host::Listener;

use super::wires::{Read, WireId, Written};
use super::{Guest, HostWorld};
use crate::chance::Chance;

/// One of them: what it still has to say, and how fast.
#[derive(Debug, Default)]
pub(super) struct Hostile {
    line: Option<(WireId, Bytes)>,
    slow: bool,
    /// It reads what it is answered.
    listens: bool,
}

const BEGINNINGS: [&[u8]; 7] = [
    b"GET /v2/keys/?recursive=true HTTP/1.1\r\nHost: m\r\n\r\n",
    b"PUT /v2/keys/dir1/x HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\nvalue=",
    b"GET /v2/keys/?wait=true&stream=true&recursive=true HTTP/1.1\r\nHost: m\r\n\r\n",
    b"POST /v3/kv/range HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\x7f\xff\xff\xff",
    b"",
];

/// Something that begins like a protocol and goes on like anything.
fn script(chance: &mut Chance) -> Bytes {
    let mut bytes = BytesMut::from(BEGINNINGS[chance.index(BEGINNINGS.len())]);
    let repeats = chance.pick(&[0, 0, 1, 30]);
    let beginning = bytes.clone();
    (0..repeats).for_each(|_| bytes.extend_from_slice(&beginning));
    if chance.per_mille(500) {
        let cut = chance.index(bytes.len() + 1);
        bytes.truncate(cut);
    }
    for _ in 0..chance.pick(&[0, 1, 10, 300]) {
        match chance.between(0, 3) {
            // Frames of HTTP/2 and of peers are lengths first.
            0 => bytes.put_slice(&[0, 0, 8, chance.between(0, 12) as u8, 5, 0, 0, 0, 1]),
            1 => bytes.put_u64(chance.bits()),
            2 => bytes.put_slice(b"X-Field: value\r\n"),
            _ => bytes.put_u8(chance.bits() as u8),
        }
    }
    bytes.freeze()
}

impl HostWorld {
    fn hostile(&mut self, guest: usize) -> &mut Hostile {
        match &mut self.guests[guest] {
            Guest::Hostile(hostile) => hostile,
            _ => unreachable!("guests keep their kind"),
        }
    }

    pub(super) fn on_hostile(&mut self, guest: usize) {
        if !self.troubled {
            return;
        }
        if self.hostile(guest).line.is_none() {
            let seat = self.chance.index(self.members.len());
            let peer = self.chance.per_mille(300);
            let listener = if peer { Listener::Peer } else { Listener::Client };
            let wire = self.call_up(guest, seat, listener);
            let script = script(&mut self.chance);
            let (slow, listens) = (self.chance.per_mille(300), self.chance.per_mille(500));
            *self.hostile(guest) = Hostile { line: Some((wire, script)), slow, listens };
        } else if self.chance.per_mille(100) {
            self.drop_hostile(guest);
        }
        self.spoil(guest);
        let next = self.now + self.chance.between(1_000_000, 300_000_000);
        self.wait(guest, next);
    }

    pub(super) fn on_hostile_wire(&mut self, guest: usize, wire: WireId) {
        if self.hostile(guest).line.as_ref().is_some_and(|(known, _)| *known == wire) {
            let slow = self.hostile(guest).slow;
            if !slow {
                self.spoil(guest);
            }
        }
    }

    /// Says some of it.
    fn spoil(&mut self, guest: usize) {
        let Guest::Hostile(hostile) = &mut self.guests[guest] else { return };
        let Some((wire, script)) = &mut hostile.line else { return };
        let most = if hostile.slow { 1 } else { script.len() };
        let piece = script.slice(..most.min(script.len()));
        let mut broken = false;
        match self.wires.write(*wire, 0, &piece) {
            Written::Taken(count) => drop(script.split_to(count)),
            Written::Blocked => {}
            Written::Broken => broken = true,
        }
        if hostile.listens {
            let read = self.wires.read(*wire, 0, 64 << 10);
            broken |= matches!(read, Read::End | Read::Broken);
        }
        if broken {
            self.drop_hostile(guest);
        }
    }

    /// It goes, without a word or with one.
    pub(super) fn drop_hostile(&mut self, guest: usize) {
        let Some((wire, _)) = self.hostile(guest).line.take() else { return };
        match self.chance.between(0, 2) {
            0 => self.wires.vanish(wire, 0),
            1 => self.wires.reset(wire, 0),
            _ => self.wires.close(wire, 0),
        }
    }
}
