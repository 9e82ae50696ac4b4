//! What is counted for each other member.

use quorra_core::raft::{self, Index};
use quorra_core::time::{Duration, Instant};

use super::histogram::{Histogram, doubling};

/// 100 us to 3.3 s (etcd).
static ROUND_TRIPS: [u64; 16] = doubling(100_000);

/// One other member, since this member's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// How long its acknowledgements of this leader's appends took.
    pub latency: Latency,
    /// Appends that it acknowledged.
    pub successes: u64,
    /// Appends that it refused, and losses of its connection.
    pub failures: u64,
    /// Messages that were dropped because there was no connection.
    pub send_failures: u64,
    /// Losses of its connection.
    pub disconnections: u64,
    /// Bytes that went to it.
    pub sent_bytes: u64,
    /// Bytes that came from it.
    pub received_bytes: u64,
    /// Whether it is connected.
    pub is_up: bool,
    /// The same latencies by their size.
    pub round_trips: Histogram,
    /// The append whose acknowledgement is waited for: its last entry, and when it went.
    measured: Option<(Index, Instant)>,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            latency: Latency::default(),
            successes: 0,
            failures: 0,
            send_failures: 0,
            disconnections: 0,
            sent_bytes: 0,
            received_bytes: 0,
            is_up: false,
            round_trips: Histogram::new(&ROUND_TRIPS),
            measured: None,
        }
    }
}

impl Peer {
    /// A message goes to it.
    pub(in crate::host) fn sent(&mut self, now: Instant, message: &raft::Message) {
        if !self.is_up {
            self.send_failures += 1;
        } else if let raft::Message::Append { entries, .. } = message
            && let Some(last) = entries.last()
            && self.measured.is_none()
        {
            // One at a time: the disk's share is in it, and pipelining does not blur it.
            self.measured = Some((last.index, now));
        }
    }

    /// A message came from it.
    pub(in crate::host) fn received(&mut self, now: Instant, message: &raft::Message) {
        match message {
            raft::Message::Appended { match_index, .. } => {
                self.successes += 1;
                if let Some((index, since)) = self.measured
                    && index <= *match_index
                {
                    self.measured = None;
                    let took = now.since(since);
                    self.latency.count(took);
                    self.round_trips.count(took);
                }
            }
            raft::Message::Rejected { .. } => self.failures += 1,
            _ => {}
        }
    }

    /// It is connected, or not any more.
    pub(in crate::host) fn set_up(&mut self, is_up: bool) {
        if self.is_up && !is_up {
            self.failures += 1;
            self.disconnections += 1;
        }
        self.is_up = is_up;
        self.measured = None;
    }
}

/// Latencies in milliseconds, as etcd's `/v2/stats/leader` shows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The last one.
    pub current: f64,
    /// The least; 2^63 before the first (etcd).
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
    count: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Eq for Latency {}

impl Default for Latency {
    fn default() -> Self {
        let minimum = 9_223_372_036_854_775_807.0;
        Self { current: 0.0, minimum, maximum: 0.0, count: 0.0, sum: 0.0, sum_of_squares: 0.0 }
    }
}

impl Latency {
    fn count(&mut self, took: Duration) {
        let millis = took.as_secs_f64() * 1000.0;
        self.current = millis;
        self.minimum = self.minimum.min(millis);
        self.maximum = self.maximum.max(millis);
        self.count += 1.0;
        self.sum += millis;
        self.sum_of_squares += millis * millis;
    }

    /// The mean.
    #[must_use]
    pub fn average(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    /// How far the latencies lie apart.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        if self.count > 0.0 {
            (self.sum_of_squares / self.count - self.average().powi(2)).max(0.0).sqrt()
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use quorra_core::raft::Term;

    use super::*;

    fn append(last: u64) -> raft::Message {
        let entry =
            raft::Entry::new(Term(1), Index(last), raft::EntryKind::Command, bytes::Bytes::new());
        raft::Message::Append {
            term: Term(1),
            prev_index: Index(last - 1),
            prev_term: Term(1),
            commit_index: Index(0),
            entries: vec![entry],
        }
    }

    #[test]
    fn a_round_trip_ends_with_the_acknowledgement_of_what_was_sent() {
        let at = |millis: u64| Instant(0) + Duration::from_millis(millis);
        let acknowledged =
            |index| raft::Message::Appended { term: Term(1), match_index: Index(index) };
        let mut peer = Peer::default();
        peer.sent(at(0), &append(1));
        assert_eq!(peer.send_failures, 1, "there is no connection");
        peer.set_up(true);
        peer.sent(at(10), &append(2));
        peer.sent(at(12), &append(3));
        peer.received(at(13), &acknowledged(1));
        peer.received(at(14), &acknowledged(3));
        peer.sent(at(20), &append(4));
        peer.received(at(26), &acknowledged(4));
        assert_eq!((peer.successes, peer.round_trips.total()), (3, 2));
        let latency = peer.latency;
        assert_eq!((latency.current, latency.minimum, latency.maximum), (6.0, 4.0, 6.0));
        assert_eq!((latency.average(), latency.standard_deviation()), (5.0, 1.0));
        peer.sent(at(30), &append(5));
        peer.set_up(false);
        peer.received(at(40), &acknowledged(5));
        assert_eq!((peer.failures, peer.round_trips.total()), (1, 2), "what was lost has no time");
    }
}
