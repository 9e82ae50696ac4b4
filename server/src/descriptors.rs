//! How many files and sockets this process may hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept back for the log, checkpoints, listeners and peers (etcd).
const RESERVED: u64 = 150;

/// Raises the limit as far as the system allows, as Go programs do, and returns it.
#[must_use]
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            log::warn!(error:% = error; "cannot raise the limit of open files");
            limit.current
        }
    };
    // None is no limit at all.
    current.unwrap_or(u64::MAX)
}

/// The connections that fit below a limit of descriptors.
#[must_use]
pub fn connections_max(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(RESERVED).max(limit / 2)).unwrap_or(usize::MAX)
}

/// The TLS handshakes that each kind of listener may have under way below a limit of descriptors.
#[must_use]
pub fn handshakes_max(limit: u64) -> usize {
    usize::try_from(limit / 16).unwrap_or(usize::MAX).clamp(4, 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_room_for_files() {
        assert_eq!(connections_max(1024), 874);
        assert_eq!(connections_max(64), 32);
        assert!(raise_limit() > 0);
    }
}
