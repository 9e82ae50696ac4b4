//! A member's own clocks: they run at their own speed, and the wall clock jumps.

use quorra_core::time::{Instant, Now, WallTime};

/// Where wall clocks stand when a world begins: 2023-11-14.
const EPOCH: i64 = 1_700_000_000_000_000_000;

/// What a member takes for the time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// In thousandths of true time.
    speed: u64,
    /// How far a wall clock is off, in nanoseconds.
    pub(crate) wall_offset: i64,
}

impl Clock {
    pub(crate) fn new(speed: u64) -> Self {
        Self { speed, wall_offset: 0 }
    }

    /// What the member reads at a true time, in nanoseconds.
    pub(crate) fn read(&self, time: u64) -> Now {
        let local = time * self.speed / 1_000;
        let wall = EPOCH + i64::try_from(local).expect("virtual time is short") + self.wall_offset;
        Now { monotonic: Instant(local), wall: WallTime(wall) }
    }

    /// When the member's clock will have reached a point.
    pub(crate) fn time_of(&self, point: Instant) -> u64 {
        point.0.min(u64::MAX / 2_000).saturating_mul(1_000).div_ceil(self.speed)
    }
}

/// How far wall clocks were off.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    low: i64,
    high: i64,
}

impl Skew {
    /// Between two calls, the clock ran at its own speed.
    pub(crate) fn note(&mut self, clock: &Clock, time: u64) {
        let true_wall = EPOCH + i64::try_from(time).expect("virtual time is short");
        let error = clock.read(time).wall.0 - true_wall;
        (self.low, self.high) = (self.low.min(error), self.high.max(error));
    }

    /// How far two of them were apart at most, at the same or at different times.
    pub(crate) fn spread(&self) -> u64 {
        self.high.abs_diff(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_when_its_time_comes() {
        for speed in [800, 1_000, 1_001, 1_250] {
            let clock = Clock::new(speed);
            for point in [0, 1, 7, 1_000_000_007] {
                let time = clock.time_of(Instant(point));
                assert!(clock.read(time).monotonic >= Instant(point));
            }
        }
    }
}
