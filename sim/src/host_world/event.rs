//! What can be going to happen in a world.

use quorra_core::disk::{DiskRead, Lane};
use quorra_core::replica::ReadId;

use super::wires::Happening;
use crate::faults::Fault;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A member's turn, if it still lives in that incarnation.
    Turn(usize, u64),
    /// A disk lane is done with what it took up.
    LaneDone(usize, u64, Lane),
    /// A disk read is done.
    ReadDone(usize, u64, ReadId, DiskRead),
    /// Something on a connection.
    Wire(Happening),
    /// A client goes on, if it was not disturbed since.
    Client(usize, u64),
    /// A fault strikes.
    Strike(Fault),
    /// The network is whole again.
    Heal,
    /// A member's disk is well again.
    DiskWell(usize),
    /// A member starts, unless it runs.
    Start(usize),
}
