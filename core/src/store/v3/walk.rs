//! A resumable walk over the live versions of an interval.

use super::content::Content;
use super::{Interval, Record, Revision};

/// How far a walk has come.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    interval: Interval,
    last: Option<Record>,
}

/// Why a walk returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The interval is behind it.
    Finished,
    /// The visitor has seen enough.
    Stopped,
    /// The slice is used up.
    Paused,
}

impl Walk {
    pub(super) fn new(interval: Interval) -> Self {
        Self { interval, last: None }
    }

    /// Visits at most `keys` more keys, and with each key that is alive at `at` the place of its
    /// version, until the visitor answers false.
    pub(super) fn advance(
        &mut self,
        content: &Content,
        at: Revision,
        keys: &mut usize,
        mut visit: impl FnMut(Revision) -> bool,
    ) -> Progress {
        let mut seen = None;
        let mut progress = Progress::Finished;
        for (key, versions) in content.index.range(&self.interval, self.last.as_ref()) {
            if *keys == 0 {
                progress = Progress::Paused;
                break;
            }
            *keys -= 1;
            seen = Some(key);
            let alive = content.alive(key.key(), versions, at);
            if alive.is_some_and(|place| !visit(place)) {
                progress = Progress::Stopped;
                break;
            }
        }
        if let Some(seen) = seen.cloned() {
            self.last = Some(seen);
        }
        progress
    }
}
