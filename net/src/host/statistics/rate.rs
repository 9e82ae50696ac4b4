//! How fast messages come or go, as etcd's `/v2/stats/self` tells it.

use std::collections::VecDeque;

use quorra_core::time::{Duration, Instant};

/// The messages that a rate is taken from at most (etcd).
const MESSAGES_MAX: usize = 200;
/// After a silence of this the rate is zero (etcd).
const SILENCE: Duration = Duration::from_secs(1);

/// The last messages of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// When, and how many bytes.
    last: VecDeque<(Instant, u64)>,
    bytes: u64,
}

impl Rate {
    /// A message of so many bytes.
    pub(in crate::host) fn count(&mut self, now: Instant, bytes: u64) {
        if self.last.len() == MESSAGES_MAX
            && let Some((_, oldest)) = self.last.pop_front()
        {
            self.bytes -= oldest;
        }
        self.last.push_back((now, bytes));
        self.bytes += bytes;
    }

    /// Messages and bytes per second; none when nothing was said of late.
    #[must_use]
    pub fn per_second(&self, now: Instant) -> Option<(f64, f64)> {
        let (first, last) = (self.last.front()?.0, self.last.back()?.0);
        let span = last.since(first).as_secs_f64();
        if now.since(last) > SILENCE || span <= 0.0 {
            return None;
        }
        Some((self.last.len() as f64 / span, self.bytes as f64 / span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_messages_and_ends_with_silence() {
        let at = |millis: u64| Instant(0) + Duration::from_millis(millis);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(0)), None);
        rate.count(at(0), 10);
        assert_eq!(rate.per_second(at(0)), None, "one message has no rate");
        for millis in 1..=500 {
            rate.count(at(millis), 10);
        }
        assert_eq!(rate.last.len(), MESSAGES_MAX);
        let (messages, bytes) = rate.per_second(at(500)).expect("a rate");
        assert!((messages - 200.0 / 0.199).abs() < 1e-6, "{messages}");
        assert!((bytes - 2000.0 / 0.199).abs() < 1e-6, "{bytes}");
        assert!(rate.per_second(at(1500)).is_some());
        assert_eq!(rate.per_second(at(1501)), None);
    }
}
