//! What can be going to happen in a world.

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
