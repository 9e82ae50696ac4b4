//! The attempts to reach a peer on one lane: made, failed, made again a little later.

use quorra_core::time::{Duration, Instant};

use super::super::handshake::Refusal;
use crate::host::ConnectionId;

/// The pause before the second attempt; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);

/// What leads to a peer on one lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) state: State,
    /// Attempts since the last success; also chooses the URL.
    pub(super) failures: u32,
    pub(super) refusal: Option<Refusal>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The next one begins then.
    Waiting(Instant),
    /// The driver was asked for a connection; given up then.
    Opening(ConnectionId, Instant),
    /// The hello is out; given up then.
    Greeting(ConnectionId, Instant),
    /// Welcome: messages may be sent.
    Open(ConnectionId),
}

impl Outgoing {
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Waiting(_) => None,
            State::Opening(connection, _)
            | State::Greeting(connection, _)
            | State::Open(connection) => Some(connection),
        }
    }

    /// Waits twice as long as the last time, up to a bound, and up to a half more by chance.
    pub(super) fn fail(&mut self, now: Instant, thousandths: u64) {
        let doubled = RETRY_MIN * 2_u32.saturating_pow(self.failures.min(10));
        let pause = doubled.min(RETRY_MAX);
        let jitter = pause * u32::try_from(thousandths).unwrap_or(0) / 2_000;
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting(now + pause + jitter);
    }
}
