//! Connections: two directions of bytes each, as two operating systems and a network make them.
//!
//! A direction takes what fits its window, cuts it anywhere, and delivers the parcels in their
//! order, late. Over a cut link parcels wait and are sent again, until their sender gives up. An
//! end can be closed (its process has let go: who still sends there hears a reset) or dark (its
//! machine says nothing at all): then the other end is half-open, and only time tells.
//!
//! # Invariants
//! - What is read is a prefix of what was written, in order.
//! - A direction never holds more than its window.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use quorra_net::host::Listener;

use crate::chance::Chance;
use crate::network::Network;

/// Names a connection in the world. Never reused.
pub(super) type WireId = u64;

/// How long a sender sends again before it gives a connection up.
const PATIENCE: u64 = 8_000_000_000;
/// What a full-sized segment carries.
const SEGMENT_BYTES: usize = 1_460;

/// Who has an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The member in a seat, in one of its incarnations.
    Member(usize, u64),
    /// A client.
    Client(usize),
}

/// What happens on a connection; the world hands it back when its time has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The dialer's first packet arrives at a listener.
    Knock(WireId, Listener),
    /// The dialer learns that it was let in.
    Open(WireId),
    /// The first parcel of what this side wrote is due.
    Arrive(WireId, usize),
    /// What this side wrote was read: there is room again.
    Room(WireId, usize),
    /// This side hears that the connection is broken.
    Reset(WireId, usize),
}

/// What an owner should look at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wake {
    /// Its dialed connection is open.
    Open(WireId, Owner),
    /// Its connection can be read, written, or is broken.
    Ready(WireId, Owner),
    /// Someone asks for a connection.
    Knock(WireId, Listener, usize),
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(Bytes),
    Nothing,
    End,
    Broken,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Taken(usize),
    Blocked,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Closed,
    Dark,
}

#[derive(Clone, Copy, Debug)]
struct End {
    place: usize,
    owner: Owner,
    standing: Standing,
    broken: bool,
}

#[derive(Debug)]
enum Parcel {
    Bytes(Bytes),
    End,
}

/// One direction, named by the side that writes.
#[derive(Debug, Default)]
struct Direction {
    flight: VecDeque<(u64, Parcel)>,
    flying: usize,
    arrived: BytesMut,
    window: usize,
    newest: u64,
    due: bool,
    finished: bool,
    ended: bool,
    blocked: bool,
    stalled: Option<u64>,
}

#[derive(Debug)]
struct Wire {
    ends: [End; 2],
    directions: [Direction; 2],
    open: bool,
}

/// All connections of a world.
#[derive(Debug)]
pub(super) struct Wires {
    /// Which links carry, and how fast.
    pub(super) network: Network,
    /// Places without power.
    off: BTreeSet<usize>,
    wires: BTreeMap<WireId, Wire>,
    made: WireId,
    windows: Vec<usize>,
    now: u64,
    agenda: Vec<(u64, Happening)>,
    wakes: Vec<Wake>,
    chance: Chance,
}

impl Wires {
    /// No connections; each direction of a new one draws one of these windows.
    pub(super) fn new(network: Network, windows: Vec<usize>, chance: Chance) -> Self {
        Self {
            network,
            off: BTreeSet::new(),
            wires: BTreeMap::new(),
            made: 0,
            windows,
            now: 0,
            agenda: Vec::new(),
            wakes: Vec::new(),
            chance,
        }
    }

    /// Virtual time goes on.
    pub(super) fn advance(&mut self, now: u64) {
        self.now = now;
    }

    /// What is to be handed back later.
    pub(super) fn take_agenda(&mut self) -> Vec<(u64, Happening)> {
        std::mem::take(&mut self.agenda)
    }

    /// Who should look at what.
    pub(super) fn take_wakes(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.wakes)
    }

    /// A place loses its power, or has it again: what it had forgotten it answers with resets.
    pub(super) fn power(&mut self, place: usize, on: bool) {
        if on {
            self.off.remove(&place);
        } else {
            self.off.insert(place);
        }
        for wire in self.wires.values_mut() {
            for end in wire.ends.iter_mut().filter(|end| end.place == place) {
                end.standing = match (on, end.standing) {
                    (false, _) => Standing::Dark,
                    (true, Standing::Dark) => Standing::Closed,
                    (true, standing) => standing,
                };
            }
        }
    }

    /// Begins a connection; its dialer has side 0.
    pub(super) fn dial(
        &mut self,
        from: (usize, Owner),
        to: (usize, Owner),
        listener: Listener,
    ) -> WireId {
        self.made += 1;
        let id = self.made;
        let end = |(place, owner)| End { place, owner, standing: Standing::Open, broken: false };
        let mut direction = || Direction {
            window: self.windows[self.chance.index(self.windows.len())],
            ..Direction::default()
        };
        let directions = [direction(), direction()];
        let ends = [end(from), End { standing: Standing::Closed, ..end(to) }];
        self.wires.insert(id, Wire { ends, directions, open: false });
        let knock = self.now + self.network.latency(from.0, to.0);
        self.agenda.push((knock, Happening::Knock(id, listener)));
        id
    }

    fn carries(&self, from: usize, to: usize) -> bool {
        self.network.carries(from, to) && !self.off.contains(&from) && !self.off.contains(&to)
    }

    fn later(&mut self, wire: WireId, toward: usize, happening: Happening) {
        let Some(found) = self.wires.get(&wire) else { return };
        let (from, to) = (found.ends[1 - toward].place, found.ends[toward].place);
        let time = self.now + self.network.latency(from, to);
        self.agenda.push((time, happening));
    }

    /// Something's time has come.
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Knock(wire, listener) => self.on_knock(wire, listener),
            Happening::Open(id) => {
                let Some(wire) = self.wires.get_mut(&id) else { return };
                wire.open = true;
                self.wakes.push(Wake::Open(id, wire.ends[0].owner));
            }
            Happening::Arrive(wire, side) => self.on_arrival(wire, side),
            Happening::Room(id, side) => self.wake(id, side),
            Happening::Reset(id, side) => self.break_end(id, side),
        }
    }

    fn on_knock(&mut self, id: WireId, listener: Listener) {
        let Some(wire) = self.wires.get(&id) else { return };
        let [from, to] = [wire.ends[0].place, wire.ends[1].place];
        if self.carries(from, to) && self.carries(to, from) {
            self.wakes.push(Wake::Knock(id, listener, to));
        } else {
            let give_up = self.now + self.chance.between(500_000_000, 3_000_000_000);
            self.agenda.push((give_up, Happening::Reset(id, 0)));
        }
    }

    /// A listener takes a connection in, or turns it away.
    pub(super) fn answer_knock(&mut self, id: WireId, taken_by: Option<Owner>) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if let Some(owner) = taken_by {
            wire.ends[1].owner = owner;
            wire.ends[1].standing = Standing::Open;
            self.later(id, 0, Happening::Open(id));
        } else {
            self.later(id, 0, Happening::Reset(id, 0));
        }
    }

    fn wake(&mut self, id: WireId, side: usize) {
        if let Some(wire) = self.wires.get(&id)
            && wire.ends[side].standing == Standing::Open
        {
            self.wakes.push(Wake::Ready(id, wire.ends[side].owner));
        }
    }

    fn break_end(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.ends[side].broken = true;
        wire.directions[side].flight.clear();
        self.wake(id, side);
    }

    fn on_arrival(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.directions[side].due = false;
        let [from, to] = [wire.ends[side], wire.ends[1 - side]];
        if wire.directions[side].flight.is_empty() {
            return;
        }
        let wire_is_cut = !self.carries(from.place, to.place) || to.standing == Standing::Dark;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let direction = &mut wire.directions[side];
        if wire_is_cut {
            let since = *direction.stalled.get_or_insert(self.now);
            if since + PATIENCE < self.now {
                return self.break_end(id, side);
            }
            direction.due = true;
            let again = self.now + self.chance.between(20_000_000, 200_000_000);
            return self.agenda.push((again, Happening::Arrive(id, side)));
        }
        direction.stalled = None;
        if to.standing == Standing::Closed || to.broken {
            direction.flight.clear();
            return self.later(id, side, Happening::Reset(id, side));
        }
        match direction.flight.pop_front() {
            Some((_, Parcel::Bytes(bytes))) => {
                direction.flying -= bytes.len();
                direction.arrived.extend_from_slice(&bytes);
            }
            Some((_, Parcel::End)) => direction.ended = true,
            None => {}
        }
        self.expect(id, side);
        self.wake(id, 1 - side);
    }

    /// Sees to it that the next parcel arrives.
    fn expect(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let direction = &mut wire.directions[side];
        if let (false, Some((time, _))) = (direction.due, direction.flight.front()) {
            direction.due = true;
            self.agenda.push(((*time).max(self.now + 1), Happening::Arrive(id, side)));
        }
    }

    fn send(&mut self, id: WireId, side: usize, parcel: Parcel) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (from, to) = (wire.ends[side].place, wire.ends[1 - side].place);
        let direction = &mut wire.directions[side];
        let time = (self.now + self.network.latency(from, to)).max(direction.newest);
        direction.newest = time;
        direction.flight.push_back((time, parcel));
    }

    /// Takes as many of the bytes as there is room for; now and then fewer.
    pub(super) fn write(&mut self, id: WireId, side: usize, bytes: &[u8]) -> Written {
        let Some(wire) = self.wires.get_mut(&id) else { return Written::Broken };
        if wire.ends[side].broken {
            return Written::Broken;
        }
        let direction = &mut wire.directions[side];
        let held = direction.flying + direction.arrived.len();
        assert!(held <= direction.window, "a direction holds no more than its window");
        let mut room = (direction.window - held).min(bytes.len());
        if room == 0 || !wire.open && side == 0 {
            direction.blocked = true;
            return Written::Blocked;
        }
        if self.chance.per_mille(50) {
            room = 1 + self.chance.index(room);
        }
        direction.blocked |= room < bytes.len();
        direction.flying += room;
        let mut rest = Bytes::copy_from_slice(&bytes[..room]);
        while !rest.is_empty() {
            let cut = match self.chance.between(0, 9) {
                0 => 1 + self.chance.index(rest.len()),
                1..4 => SEGMENT_BYTES,
                _ => 20 * SEGMENT_BYTES,
            };
            let piece = rest.split_to(cut.min(rest.len()));
            self.send(id, side, Parcel::Bytes(piece));
        }
        self.expect(id, side);
        Written::Taken(room)
    }

    /// Whether this side has heard that the connection is broken.
    pub(super) fn is_broken(&self, id: WireId, side: usize) -> bool {
        self.wires.get(&id).is_none_or(|wire| wire.ends[side].broken)
    }

    /// Whether reading gets anywhere.
    pub(super) fn is_readable(&self, id: WireId, side: usize) -> bool {
        self.wires.get(&id).is_none_or(|wire| {
            let direction = &wire.directions[1 - side];
            wire.ends[side].broken || direction.ended || !direction.arrived.is_empty()
        })
    }

    /// Reads up to so many bytes.
    pub(super) fn read(&mut self, id: WireId, side: usize, most: usize) -> Read {
        let Some(wire) = self.wires.get_mut(&id) else { return Read::Broken };
        if wire.ends[side].broken {
            return Read::Broken;
        }
        let direction = &mut wire.directions[1 - side];
        if direction.arrived.is_empty() {
            return if direction.ended { Read::End } else { Read::Nothing };
        }
        let count = direction.arrived.len().min(most);
        let bytes = direction.arrived.split_to(count).freeze();
        if std::mem::take(&mut direction.blocked) {
            self.later(id, 1 - side, Happening::Room(id, 1 - side));
        }
        Read::Bytes(bytes)
    }

    /// This side will write no more.
    pub(super) fn finish(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if !std::mem::replace(&mut wire.directions[side].finished, true) {
            self.send(id, side, Parcel::End);
            self.expect(id, side);
        }
    }

    /// Its process lets go of this end: with a reset if something was left unread.
    pub(super) fn close(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get(&id) else { return };
        if wire.open && wire.directions[1 - side].arrived.is_empty() {
            self.finish(id, side);
            self.let_go(id, side, Standing::Closed);
        } else {
            self.reset(id, side);
        }
    }

    /// Its process lets go of this end with a reset, which a cut link loses.
    pub(super) fn reset(&mut self, id: WireId, side: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.directions[side].flight.clear();
        let (from, to) = (wire.ends[side].place, wire.ends[1 - side].place);
        if self.carries(from, to) {
            self.later(id, 1 - side, Happening::Reset(id, 1 - side));
        }
        self.let_go(id, side, Standing::Closed);
    }

    /// This end is never heard of again.
    pub(super) fn vanish(&mut self, id: WireId, side: usize) {
        self.let_go(id, side, Standing::Dark);
    }

    fn let_go(&mut self, id: WireId, side: usize, standing: Standing) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.ends[side].standing = standing;
        if wire.ends[1 - side].standing != Standing::Open && (wire.open || side == 1) {
            self.wires.remove(&id);
        }
    }

    /// Something in the middle breaks it: both ends hear of it.
    pub(super) fn cut(&mut self, id: WireId) {
        for side in [0, 1] {
            self.later(id, side, Happening::Reset(id, side));
        }
    }

    /// All open ends of an owner, with their sides.
    pub(super) fn of(&self, owner: Owner) -> Vec<(WireId, usize)> {
        let ends = self.wires.iter().flat_map(|(id, wire)| {
            let sides = wire.ends.iter().enumerate();
            sides.map(|(side, end)| (*id, side, end.owner, end.standing))
        });
        ends.filter(|(_, _, of, standing)| *of == owner && *standing == Standing::Open)
            .map(|(id, side, ..)| (id, side))
            .collect()
    }

    /// Half-open connections are found out at last, as a system's keepalive does: those whose
    /// other end says nothing any more, or has gone without its word getting through.
    pub(super) fn probe_all(&mut self) {
        let half_open: Vec<(WireId, usize)> = self
            .wires
            .iter()
            .filter_map(|(id, wire)| {
                let gone = |side: &usize| match wire.ends[*side].standing {
                    Standing::Open => false,
                    Standing::Closed => !wire.directions[*side].finished && wire.open,
                    Standing::Dark => true,
                };
                [0, 1].iter().find(|side| gone(side)).map(|side| (*id, 1 - side))
            })
            .collect();
        half_open.into_iter().for_each(|(id, side)| self.break_end(id, side));
    }
}

#[cfg(test)]
mod tests;
