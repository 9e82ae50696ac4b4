//! The two clocks, read once for each turn of the reactor.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorra_core::time::{Instant, Now, WallTime};

/// Counts monotonic time from its own creation.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// Both times.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: wall() }
    }

    /// The monotonic time alone.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long it is until then; zero for the past.
    #[must_use]
    pub fn until(&self, then: Instant) -> Duration {
        then.since(self.monotonic())
    }
}

/// The wall time; a machine set before 1970 counts as being there.
fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
