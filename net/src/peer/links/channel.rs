//! One connection between members: what waits on it, and when it is given up.

use bytes::BytesMut;
use quorra_core::identity::MemberId;
use quorra_core::time::{Duration, Instant};

use super::super::handshake::Lane;
use super::backlog::Backlog;

/// A connection that has nothing to say pings this often.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// A connection on which nothing is heard, or nothing taken, for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A connection's bytes on their way, and its clocks.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) role: Role,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    /// What entries the output carries.
    pub(super) backlog: Backlog,
    /// When something came in last.
    pub(super) heard: Instant,
    /// When something was queued last.
    pub(super) spoke: Instant,
    /// When output was taken last, or began to wait.
    pub(super) taken: Instant,
    /// Outgoing, and welcome: pings keep it alive.
    pub(super) open: bool,
}

/// What a connection is for, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Accepted; the magic and the version come next.
    Stranger,
    /// Accepted; the hello comes next.
    Caller,
    Incoming(MemberId, Lane),
    Outgoing(MemberId, Lane),
    /// Refused or broken; it closes.
    Ending,
}

/// What time asks of a connection.
pub(super) enum Due {
    Ping,
    GiveUp(&'static str),
}

impl Connection {
    pub(super) fn new(role: Role, now: Instant) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        let backlog = Backlog::default();
        Self { role, input, output, backlog, heard: now, spoke: now, taken: now, open: false }
    }

    /// Only a listener expects to hear, and only who has something to say can stall.
    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        if !self.output.is_empty() && self.taken + SILENCE_MAX <= now {
            return Some(Due::GiveUp("nothing was taken"));
        }
        match self.role {
            Role::Outgoing(..) => (self.open && self.output.is_empty())
                .then_some(Due::Ping)
                .filter(|_| self.spoke + PING_INTERVAL <= now),
            _ => (self.heard + SILENCE_MAX <= now).then_some(Due::GiveUp("nothing was heard")),
        }
    }

    /// When [`Self::due`] may have something next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stall = (!self.output.is_empty()).then(|| self.taken + SILENCE_MAX);
        let other = match self.role {
            Role::Outgoing(..) => {
                (self.open && self.output.is_empty()).then(|| self.spoke + PING_INTERVAL)
            }
            _ => Some(self.heard + SILENCE_MAX),
        };
        stall.into_iter().chain(other).min()
    }
}
