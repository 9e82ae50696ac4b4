//! What was told the operator about peers that cannot be reached: the same is told again only after
//! a while, because attempts go on for as long as it takes.

use std::collections::BTreeMap;

use quorra_core::time::{Duration, Instant};

/// How long the same reason is not told again.
const SILENCE: Duration = Duration::from_secs(30);
/// Members are few; names of members that have gone need not stay.
const TARGETS_MAX: usize = 64;

/// The last reason for each target, and when it was told.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeMap<String, (String, Instant)>);

impl Complaints {
    /// Whether this reason should be told now.
    pub(super) fn is_news(&mut self, target: &str, reason: &str, now: Instant) -> bool {
        let told = self.0.get(target);
        if told.is_some_and(|(last, at)| last == reason && now < *at + SILENCE) {
            return false;
        }
        if self.0.len() >= TARGETS_MAX {
            self.0.clear();
        }
        self.0.insert(target.to_string(), (reason.to_string(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_until_it_changes_or_time_has_passed() {
        let mut complaints = Complaints::default();
        let at = |seconds| Instant::default() + Duration::from_secs(seconds);
        assert!(complaints.is_news("a", "refused", at(0)));
        assert!(!complaints.is_news("a", "refused", at(29)));
        assert!(complaints.is_news("b", "refused", at(29)));
        assert!(complaints.is_news("a", "refused", at(30)));
        assert!(complaints.is_news("a", "expired", at(31)));
    }
}
