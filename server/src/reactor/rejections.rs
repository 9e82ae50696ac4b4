//! How much is told of those who were rejected: strangers come as often as they like, and must not
//! fill the log.

use std::time::{Duration, Instant};

/// Lines in a second; the rest are counted.
const LINES_MAX: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// The lines of this second.
#[derive(Debug)]
pub(super) struct Rejections {
    since: Instant,
    told: u32,
    untold: u32,
}

impl Rejections {
    /// None yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, told: 0, untold: 0 }
    }

    /// Tells of one more, as far as there is room.
    pub(super) fn tell(&mut self, now: Instant, remote: &str, reason: &str) {
        let (tells, untold) = self.count(now);
        if untold > 0 {
            log::warn!(connections = untold; "rejected more connections than were told");
        }
        if tells {
            log::warn!("remote-addr" = remote, error = reason; "rejected connection");
        }
    }

    /// Whether one more is told, and how many were not before a second that just began.
    fn count(&mut self, now: Instant) -> (bool, u32) {
        let mut untold = 0;
        if now.duration_since(self.since) >= SECOND {
            untold = self.untold;
            *self = Self::new(now);
        }
        if self.told < LINES_MAX {
            self.told += 1;
            return (true, untold);
        }
        self.untold += 1;
        (false, untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_a_second_is_counted() {
        let start = Instant::now();
        let mut rejections = Rejections::new(start);
        let told = (0..LINES_MAX + 7).filter(|_| rejections.count(start).0).count();
        assert_eq!(told, LINES_MAX as usize);
        assert_eq!(rejections.count(start + SECOND), (true, 7));
        assert_eq!(rejections.count(start + SECOND * 2), (true, 0), "they are told once");
    }
}
