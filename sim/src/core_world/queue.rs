//! What is going to happen, in the order of virtual time; at one time, in the order of its making.

use std::collections::BTreeMap;

use quorra_core::disk::{DiskRead, Lane};
use quorra_core::identity::MemberId;
use quorra_core::replica::{Message, ReadId};

use crate::faults::Fault;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A member's turn, if it still lives in that incarnation.
    Turn(usize, u64),
    /// A message arrives.
    Deliver { sender: (usize, MemberId), to: usize, incarnation: u64, message: Message },
    /// A disk lane is done with what it took up.
    LaneDone(usize, u64, Lane),
    /// A disk read is done.
    ReadDone(usize, u64, ReadId, DiskRead),
    /// A client goes on.
    Client(usize),
    /// A fault strikes.
    Strike(Fault),
    /// The network is whole again.
    Heal,
    /// A member's disk is well again.
    DiskWell(usize),
    /// A member starts, unless it runs.
    Start(usize),
    /// A member is asked again to take a write.
    Probe(usize),
    /// Connections come up and go down.
    Dial,
}

/// The agenda of a world.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
}

impl Queue {
    pub(super) fn push(&mut self, time: u64, event: Event) {
        self.made += 1;
        self.events.insert((time, self.made), event);
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }
}
