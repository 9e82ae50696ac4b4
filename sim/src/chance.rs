//! Chance with the questions that a world asks of it.

use std::time::Duration;

use quorra_core::random::Random;

/// A seeded source of choices. Each concern of a world forks its own, so that one more draw in one
/// place does not change everything else.
#[derive(Clone, Debug)]
pub struct Chance(Random);

impl Chance {
    /// All its choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// An independent source for one concern.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.0.bits())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range of choices is not empty");
        low + self.0.below(high - low + 1)
    }

    /// A position in a list of `length` items.
    pub fn index(&mut self, length: usize) -> usize {
        let drawn = self.0.below(u64::try_from(length).expect("a length fits 64 bits"));
        usize::try_from(drawn).expect("a position is below a length")
    }

    /// True `count` times in 1,000.
    pub fn per_mille(&mut self, count: u64) -> bool {
        self.0.below(1_000) < count
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// A time in `low..=high`.
    pub fn time(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_nanos(self.between(nanos(low), nanos(high)))
    }

    /// A random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

/// A duration as the simulator counts it.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("virtual time fits 64 bits")
}
