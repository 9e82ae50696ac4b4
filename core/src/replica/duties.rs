//! What a leader proposes of its own accord: the cluster's version, and the time for v2's TTLs.

use alloc::string::String;

use crate::store::State;
use crate::store::command::Body;
use crate::time::{Duration, Now};

/// How often the leader looks for v2 nodes whose time is up (etcd: 500 ms).
const SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// How long a proposed version may take before it is proposed again.
const VERSION_RETRY: Duration = Duration::from_secs(5);

/// When each duty is due again.
#[derive(Default)]
pub(super) struct Duties {
    sync_due: crate::time::Instant,
    version_due: crate::time::Instant,
}

impl Duties {
    /// The next command that a leader owes its cluster, if one is due.
    pub(super) fn due(&mut self, now: Now, state: &State, version: &str) -> Option<Body> {
        if state.cluster_version() != Some(&*cluster_version_of(version))
            && now.monotonic >= self.version_due
        {
            self.version_due = now.monotonic + VERSION_RETRY;
            return Some(Body::ClusterVersion(cluster_version_of(version)));
        }
        let overdue = state.v2().next_deadline().is_some_and(|at| at <= now.wall);
        if overdue && now.monotonic >= self.sync_due {
            self.sync_due = now.monotonic + SYNC_INTERVAL;
            return Some(Body::V2Sync);
        }
        None
    }

    /// How often [`Self::due`] wants to be asked.
    pub(super) fn interval() -> Duration {
        SYNC_INTERVAL
    }
}

/// Major and minor of a member's version; the patch level of a cluster's is always 0 (etcd).
fn cluster_version_of(version: &str) -> String {
    let mut parts = version.splitn(3, '.');
    let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    alloc::format!("{major}.{minor}.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_version_has_no_patch_level() {
        assert_eq!(cluster_version_of("3.5.33"), "3.5.0");
        assert_eq!(cluster_version_of("4"), "4.0.0");
    }
}
