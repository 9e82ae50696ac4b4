//! Pings: how often a client may send them, and when the server sends its own.
//!
//! The rules are grpc-go's as etcd configures it (reference section 1): the first ping is free; one
//! that comes too early after the last is a strike, and so is each on an idle connection; the third
//! strike ends the connection. Whatever the server sends on a stream forgives all strikes.

use quorra_core::time::{Duration, Instant};

use crate::http::Pings;

/// How often a connection without streams may ping.
const IDLE_PING_INTERVAL_MIN: Duration = Duration::from_secs(2 * 3600);
/// Strikes that are forgiven.
const STRIKES_MAX: u32 = 2;
/// Who pinged when.
#[derive(Debug)]
pub(super) struct Keepalive {
    pings: Pings,
    /// When the peer last sent anything.
    heard: Instant,
    /// Since when our own ping has no answer.
    pinged: Option<Instant>,
    /// When the peer's last ping came.
    peer_pinged: Option<Instant>,
    strikes: u32,
}

/// What the passing of a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// Ping the peer.
    Ping,
    /// The peer is gone.
    Gone,
}

impl Keepalive {
    /// A connection that begins now.
    pub(super) fn new(pings: Pings, now: Instant) -> Self {
        Self { pings, heard: now, pinged: None, peer_pinged: None, strikes: 0 }
    }

    /// The peer sent something.
    pub(super) fn on_input(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// The server sent headers or data.
    pub(super) fn on_sent(&mut self) {
        self.strikes = 0;
        self.peer_pinged = None;
    }

    /// The peer pinged; true if it does so too often.
    pub(super) fn on_ping(&mut self, now: Instant, has_streams: bool) -> bool {
        let interval = if has_streams { self.pings.interval_min } else { IDLE_PING_INTERVAL_MIN };
        if self.peer_pinged.is_some_and(|last| now.since(last) < interval) {
            self.strikes += 1;
        }
        self.peer_pinged = Some(now);
        self.strikes > STRIKES_MAX
    }

    /// When [`Self::expire`] is wanted.
    pub(super) fn deadline(&self) -> Instant {
        match self.pinged {
            Some(pinged) => pinged + self.pings.answer_time_max,
            None => self.heard + self.pings.silence_max,
        }
    }

    /// Time has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Due {
        if now < self.deadline() {
            return Due::Nothing;
        }
        if self.pinged.is_some() {
            return Due::Gone;
        }
        self.pinged = Some(now);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    /// As observed on a real etcd: four pings are answered, the fourth is also the last.
    #[test]
    fn rapid_pings_end_at_the_fourth() {
        let mut keepalive = Keepalive::new(Pings::DEFAULT, at(0));
        let ended: Vec<bool> = (0..4).map(|n| keepalive.on_ping(at(n * 10), false)).collect();
        assert_eq!(ended, [false, false, false, true]);
    }

    #[test]
    fn five_seconds_apart_is_fine_with_a_stream_only() {
        let mut keepalive = Keepalive::new(Pings::DEFAULT, at(0));
        assert!((0..100).all(|n| !keepalive.on_ping(at(n * 5_000), true)));
        let mut idle = Keepalive::new(Pings::DEFAULT, at(0));
        assert!((0..4).any(|n| idle.on_ping(at(n * 5_000), false)));
    }

    #[test]
    fn what_is_sent_forgives_strikes() {
        let mut keepalive = Keepalive::new(Pings::DEFAULT, at(0));
        for n in 0..100 {
            assert!(!keepalive.on_ping(at(n), true));
            assert!(!keepalive.on_ping(at(n), true));
            keepalive.on_sent();
        }
    }

    #[test]
    fn silence_is_answered_by_a_ping_and_then_by_the_end() {
        let mut keepalive = Keepalive::new(Pings::DEFAULT, at(0));
        assert_eq!(keepalive.expire(at(1_000)), Due::Nothing);
        let asked = keepalive.deadline();
        assert_eq!(keepalive.expire(asked), Due::Ping);
        assert_eq!(keepalive.expire(keepalive.deadline()), Due::Gone);
        keepalive.on_input(asked);
        assert_eq!(keepalive.expire(asked), Due::Nothing);
    }
}
