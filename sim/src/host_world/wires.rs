//! Connections between nodes: two byte streams each, which can stall, break and split anywhere.
//!
//! What is written arrives later, in pieces of any size; a cut link stalls it (as retransmission
//! does) until the link is whole again or the connection is reset. A stream holds only so many
//! unread bytes: a writer that meets a full one has to wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::chance::Chance;

/// Unread bytes that one direction of a connection holds.
const WINDOW_BYTES: usize = 64 << 10;
/// The most that one read takes, as the production driver does.
const READ_BYTES_MAX: usize = 64 << 10;

/// The node that has let go of its end.
const NOBODY: usize = usize::MAX;

/// Names a connection in the world.
pub(super) type WireId = u64;

/// One direction.
#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    newest: u64,
}

/// A connection between two nodes; the first opened it.
#[derive(Debug)]
struct Wire {
    nodes: [usize; 2],
    streams: [Stream; 2],
    closed: bool,
}

/// What a node finds when it looks at its connections.
#[derive(Debug)]
pub(super) enum Found {
    Bytes(WireId, Vec<u8>),
    Closed(WireId),
}

/// All connections of a world.
#[derive(Debug)]
pub(super) struct Wires {
    wires: BTreeMap<WireId, Wire>,
    cut: BTreeSet<(usize, usize)>,
    made: u64,
    /// The longest way, in nanoseconds.
    delay_max: u64,
    /// Reads in 1,000 that return a few bytes only.
    splits: u64,
    chance: Chance,
}

impl Wires {
    pub(super) fn new(delay_max: u64, splits: u64, chance: Chance) -> Self {
        let (wires, cut) = (BTreeMap::new(), BTreeSet::new());
        Self { wires, cut, made: 0, delay_max, splits, chance }
    }

    /// Opens a connection, unless the way is cut.
    pub(super) fn open(&mut self, from: usize, to: usize) -> Option<WireId> {
        if self.cut.contains(&(from, to)) || self.cut.contains(&(to, from)) {
            return None;
        }
        self.made += 1;
        let streams = [Stream::default(), Stream::default()];
        self.wires.insert(self.made, Wire { nodes: [from, to], streams, closed: false });
        Some(self.made)
    }

    /// Writes as much as the other side's window takes; how much that was.
    pub(super) fn write(&mut self, now: u64, wire: WireId, from: usize, bytes: &[u8]) -> usize {
        let delay = self.chance.between(1, self.delay_max);
        let Some(wire) = self.wires.get_mut(&wire).filter(|wire| !wire.closed) else {
            return bytes.len();
        };
        let stream = &mut wire.streams[usize::from(wire.nodes[0] != from)];
        let taken = bytes.len().min(WINDOW_BYTES - stream.bytes.min(WINDOW_BYTES));
        if taken > 0 {
            stream.newest = (now + delay).max(stream.newest);
            stream.pieces.push_back((stream.newest, bytes[..taken].to_vec()));
            stream.bytes += taken;
        }
        taken
    }

    /// What a node can read now: one piece of each of its connections.
    pub(super) fn look(&mut self, now: u64, node: usize, paused: &BTreeSet<WireId>) -> Vec<Found> {
        let mut found = Vec::new();
        for (id, wire) in &mut self.wires {
            let Some(side) = wire.nodes.iter().position(|end| *end == node) else { continue };
            let other = wire.nodes[1 - side];
            if wire.closed {
                wire.nodes[side] = NOBODY;
                found.push(Found::Closed(*id));
                continue;
            }
            if self.cut.contains(&(other, node)) || paused.contains(id) {
                continue;
            }
            let stream = &mut wire.streams[1 - side];
            let Some((_, piece)) = stream.pieces.front_mut().filter(|(at, _)| *at <= now) else {
                continue;
            };
            let few = self.chance.per_mille(self.splits);
            let most = if few { self.chance.index(20) + 1 } else { READ_BYTES_MAX };
            let rest = piece.split_off(most.min(piece.len()));
            let bytes = std::mem::replace(piece, rest);
            if piece.is_empty() {
                stream.pieces.pop_front();
            }
            stream.bytes -= bytes.len();
            found.push(Found::Bytes(*id, bytes));
        }
        self.wires.retain(|_, wire| wire.nodes != [NOBODY; 2]);
        found
    }

    /// Which node is at the other end.
    pub(super) fn other_end(&self, wire: WireId, node: usize) -> Option<usize> {
        let nodes = self.wires.get(&wire)?.nodes;
        nodes.into_iter().find(|end| *end != node)
    }

    /// Ends a connection; the other side finds it closed, and what was under way is lost.
    pub(super) fn close(&mut self, wire: WireId, by: usize) {
        if let Some(wire) = self.wires.get_mut(&wire) {
            wire.closed = true;
            let side = usize::from(wire.nodes[0] != by);
            wire.nodes[side] = NOBODY;
        }
    }

    /// A node is gone: all its connections are reset.
    pub(super) fn drop_node(&mut self, node: usize) {
        let of_node = |wire: &Wire| wire.nodes.contains(&node);
        let ids: Vec<WireId> =
            self.wires.iter().filter(|(_, wire)| of_node(wire)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.close(id, node));
        self.wires.retain(|_, wire| wire.nodes != [NOBODY; 2]);
    }

    /// Resets a node's connections; both ends find them closed.
    pub(super) fn reset(&mut self, node: usize) {
        for wire in self.wires.values_mut().filter(|wire| wire.nodes.contains(&node)) {
            wire.closed = true;
        }
    }

    /// Cuts the ways between two groups of nodes: one way, or both.
    pub(super) fn part(&mut self, left: &[usize], right: &[usize], both: bool) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            self.cut.insert((a, b));
            if both {
                self.cut.insert((b, a));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wires: &mut Wires, now: u64) -> Vec<u8> {
        let found = wires.look(now, 1, &BTreeSet::new());
        found
            .into_iter()
            .flat_map(|found| match found {
                Found::Bytes(_, bytes) => bytes,
                Found::Closed(_) => b"closed".to_vec(),
            })
            .collect()
    }

    #[test]
    fn bytes_come_in_order_however_they_are_split() {
        let mut wires = Wires::new(50, 900, Chance::new(1));
        let wire = wires.open(0, 1).expect("nothing is cut");
        let sent: Vec<u8> = (0..=255).collect();
        sent.chunks(7).for_each(|part| {
            assert_eq!(wires.write(0, wire, 0, part), part.len());
        });
        let got: Vec<u8> = (0..1_000).flat_map(|now| read(&mut wires, now)).collect();
        assert_eq!(got, sent);
    }

    #[test]
    fn a_full_window_and_a_cut_way_hold_bytes_back() {
        let mut wires = Wires::new(1, 0, Chance::new(1));
        let wire = wires.open(0, 1).expect("nothing is cut");
        let large = vec![7; WINDOW_BYTES + 1];
        assert_eq!(wires.write(0, wire, 0, &large), WINDOW_BYTES);
        assert_eq!(wires.write(0, wire, 0, &large), 0);
        wires.part(&[0], &[1], false);
        assert!(read(&mut wires, 9).is_empty() && wires.open(1, 0).is_none());
        wires.heal();
        assert_eq!(read(&mut wires, 9).len(), WINDOW_BYTES);
        wires.close(wire, 0);
        assert_eq!(read(&mut wires, 9), b"closed");
    }
}
