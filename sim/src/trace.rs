//! What happened, as one number and, where wanted, as lines.
//!
//! Every step of a world is recorded. The hash covers all of them, so that equal hashes mean equal
//! runs; the lines are kept for the reader of `--trace` only.

use std::fmt;
use std::hash::Hasher;

/// A step of a world that is worth a line. Its fields are hashed as they stand.
pub trait Step: std::hash::Hash + fmt::Display {}

impl<T: std::hash::Hash + fmt::Display> Step for T {}

/// The record of one run.
#[derive(Debug)]
pub struct Trace {
    hash: Fnv,
    steps: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Nothing has happened. Lines are kept if `told`.
    #[must_use]
    pub fn new(told: bool) -> Self {
        Self { hash: Fnv::default(), steps: 0, lines: told.then(Vec::new) }
    }

    /// This happened at that virtual time, in nanoseconds.
    pub fn record(&mut self, time: u64, step: &impl Step) {
        self.hash.write_u64(time);
        step.hash(&mut self.hash);
        self.steps += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(format!(
                "{:>5}.{:06} {step}",
                time / 1_000_000_000,
                time / 1_000 % 1_000_000
            ));
        }
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// How much was recorded.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The lines, if they were kept.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// FNV-1a over bytes: slow to mix, but the same on every machine and in every build.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_time_count() {
        let hash = |steps: &[(u64, &str)]| {
            let mut trace = Trace::new(false);
            steps.iter().for_each(|(time, step)| trace.record(*time, step));
            trace.hash()
        };
        assert_eq!(hash(&[(1, "a"), (2, "b")]), hash(&[(1, "a"), (2, "b")]));
        assert_ne!(hash(&[(1, "a"), (2, "b")]), hash(&[(2, "b"), (1, "a")]));
        assert_ne!(hash(&[(1, "a")]), hash(&[(2, "a")]));
    }
}
