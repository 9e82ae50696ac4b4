//! What the links want from their host.

use quorra_core::identity::MemberId;
use quorra_core::raft::Position;
use quorra_core::replica::Message;

use crate::host::{ConnectionId, Level};

/// What the links want done.
#[derive(Debug)]
pub enum Order {
    /// Open a connection to this URL.
    Connect(ConnectionId, String),
    /// Close it; unless at once, its output is written first.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Whether what is left of the output is dropped.
        at_once: bool,
    },
    /// A peer is there, in both directions.
    Up {
        /// Who.
        peer: MemberId,
        /// The highest entry that this member ever acknowledged to it.
        acknowledged: Position,
    },
    /// It is gone.
    Down(MemberId),
    /// It says this.
    Message(MemberId, Message),
    /// A member of this cluster says that this member was removed.
    Removed,
    /// A member of this cluster has heard a later start of this member.
    Superseded,
    /// A line for the log.
    Log(Level, String),
}
