//! How a member goes: no more is taken in, what was begun is answered, and then the replica hands
//! leadership over.
//!
//! The order matters. A leader that hands over takes no more writes, so those that are under way
//! finish first; they have a moment for that, because some wait for a cluster that does not answer.

use quorra_core::replica::{self, StopReason};
use quorra_core::time::{Duration, Instant, Now};

use super::{Action, ConnectionId, Host};

/// How long requests that are under way may take.
const FINISH_TIME: Duration = Duration::from_millis(400);
/// How often it is looked whether they have finished.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How far a member is that was asked to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was not asked.
    NotYet,
    /// Requests that were begun are answered.
    Finishing {
        /// By then.
        until: Instant,
        /// When it is looked whether they are.
        look: Instant,
    },
    /// The replica has heard of it.
    HandingOver,
}

impl Ending {
    /// When a flush is wanted.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Finishing { until, look } => Some(until.min(look)),
            Self::NotYet | Self::HandingOver => None,
        }
    }
}

impl Host {
    /// The operating system asks the member to go.
    pub(super) fn on_stop(&mut self, now: Now) {
        if self.ending != Ending::NotYet {
            return;
        }
        let until = now.monotonic + FINISH_TIME;
        self.ending = Ending::Finishing { until, look: now.monotonic };
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in connections {
            if let Some(protocol) = self.connections.get_mut(&id).and_then(|it| it.protocol()) {
                protocol.shut_down();
                self.settle(now, id);
            }
        }
    }

    /// Tells the replica once nothing is under way, or for too long.
    pub(super) fn end_if_idle(&mut self, now: Now) {
        let Ending::Finishing { until, .. } = self.ending else { return };
        if now.monotonic < until && self.is_busy() {
            self.ending = Ending::Finishing { until, look: now.monotonic + LOOK_INTERVAL };
            return;
        }
        self.ending = Ending::HandingOver;
        self.step(now, replica::Input::Stop);
    }

    /// Whether somebody waits for an answer that will come. A watcher's may not.
    fn is_busy(&mut self) -> bool {
        self.connections.values_mut().any(|connection| {
            let waits = connection.calls.values().any(|it| it.request.is_some() && !it.watching);
            waits || !connection.output().is_empty()
        })
    }

    /// The member is at its end. What was answered is written before.
    pub(super) fn stop(&mut self, reason: StopReason) {
        self.stopped = true;
        self.name_writable();
        self.actions.push_back(Action::Stop(reason));
    }
}
