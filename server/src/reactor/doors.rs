//! Everybody who comes in: over listeners for plain text, and from the handshakes.

use std::io;

use mio::Token;
use quorra_core::time::{Duration, Instant};
use quorra_net::host::Security;

use super::handshakes::{Handshakes, Newcomer};
use super::listeners::{ACCEPTED_MAX, Listening};
use super::waiter::Waiter;

/// How long accepting rests when descriptors or memory run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Listeners have this token and those below it; connections count up from zero.
const FIRST_LISTENER: usize = usize::MAX - 2;

/// All listeners of a reactor.
#[derive(Debug)]
pub(super) struct Doors {
    /// Those without TLS.
    listeners: Vec<Listening>,
    handshakes: Handshakes,
    /// No accepting before this time.
    accept_after: Instant,
}

impl Doors {
    /// Begins to listen; each kind of listener has so many handshakes under way at most.
    pub(super) fn open(
        listeners: Vec<Listening>,
        handshakes_max: usize,
        waiter: &Waiter,
    ) -> io::Result<Self> {
        let (secure, mut listeners): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listening| listening.secure().is_some());
        for (position, listener) in listeners.iter_mut().enumerate() {
            listener.register(waiter.poll.registry(), Token(FIRST_LISTENER - position))?;
        }
        let handshakes = Handshakes::start(secure, handshakes_max, &waiter.waker)?;
        Ok(Self { listeners, handshakes, accept_after: Instant::default() })
    }

    /// The system says that somebody waits; false if the token is none of a listener's.
    pub(super) fn on_event(&mut self, token: Token) -> bool {
        let position = FIRST_LISTENER.checked_sub(token.0);
        let listener = position.and_then(|position| self.listeners.get_mut(position));
        listener.map(Listening::on_event).is_some()
    }

    /// When those who wait are accepted, if anybody does.
    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.listeners.iter().any(Listening::is_ready).then_some(self.accept_after)
    }

    /// Those who have come in; so many at most over listeners for plain text.
    pub(super) fn newcomers(&mut self, now: Instant, most: usize) -> Vec<Newcomer> {
        let mut newcomers: Vec<_> = std::iter::from_fn(|| self.handshakes.next()).collect();
        if now < self.accept_after {
            return newcomers;
        }
        let mut left = most;
        for listening in &mut self.listeners {
            let listener = listening.kind();
            let (accepted, error) = listening.accept(left.min(ACCEPTED_MAX));
            left -= accepted.len();
            newcomers.extend(accepted.into_iter().map(|(socket, remote)| Newcomer {
                socket,
                filter: None,
                listener,
                remote,
                security: Security::Plain,
                early: Vec::new(),
            }));
            if let Some(error) = error {
                log::warn!(error:% = error; "cannot accept connections for the moment");
                self.accept_after = now + ACCEPT_PAUSE;
            }
        }
        newcomers
    }
}
