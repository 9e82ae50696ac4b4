//! How often something took how long.

use std::cell::Cell;

use quorra_core::time::Duration;

/// Durations, counted by upper bounds.
///
/// Counting touches two cells of memory and searches a dozen bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Ascending, in nanoseconds.
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    counts: Vec<Cell<u64>>,
    total_nanos: Cell<u64>,
}

impl Histogram {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = vec![Cell::new(0); bounds.len() + 1];
        Self { bounds, counts, total_nanos: Cell::new(0) }
    }

    /// For writes to a disk: 1 ms to 8.2 s (etcd).
    #[must_use]
    pub fn of_disk() -> Self {
        static BOUNDS: [u64; 14] = doubling(1_000_000);
        Self::new(&BOUNDS)
    }

    /// It took that long.
    pub fn count(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| *bound < nanos);
        let count = &self.counts[place];
        count.set(count.get() + 1);
        self.total_nanos.set(self.total_nanos.get().saturating_add(nanos));
    }

    /// Each bound in seconds, with how often it was kept.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut below = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            below += count.get();
            (Duration::from_nanos(*bound).as_secs_f64(), below)
        })
    }

    /// How often in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(Cell::get).sum()
    }

    /// All together, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.total_nanos.get()).as_secs_f64()
    }
}

/// As many bounds, each twice the one before.
#[must_use]
pub(super) const fn doubling<const COUNT: usize>(first_nanos: u64) -> [u64; COUNT] {
    let mut bounds = [first_nanos; COUNT];
    let mut place = 1;
    while place < COUNT {
        bounds[place] = bounds[place - 1] * 2;
        place += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: [u64; 3] = doubling(1_000_000);

    #[test]
    fn a_duration_counts_for_every_bound_that_it_keeps() {
        let histogram = Histogram::new(&BOUNDS);
        for nanos in [1, 1_000_000, 1_000_001, 4_000_000, 4_000_001] {
            histogram.count(Duration::from_nanos(nanos));
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets, [(0.001, 2), (0.002, 3), (0.004, 4)]);
        assert_eq!(histogram.total(), 5);
        assert!((histogram.seconds() - 0.010_000_003).abs() < 1e-12);
    }
}
