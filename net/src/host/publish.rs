//! A member tells the cluster its name and client URLs each time it starts, until it is heard.
//!
//! Two lines of the log say that it was, and what the cluster speaks. They are etcd's to the word:
//! scripts and etcd's own tests wait for them.

use quorra_core::replica::Request;
use quorra_core::time::{Duration, Instant};

use super::{Host, Level, Options};

/// The pause after an attempt that failed.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Where the publishing stands.
#[derive(Debug)]
pub(super) enum Publish {
    /// The next attempt is due then, once there is a leader.
    Waiting(Instant),
    /// The replica was asked.
    Asked,
    /// The cluster knows.
    Done,
}

impl Publish {
    /// When the next attempt is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting(until) => Some(*until),
            Self::Asked | Self::Done => None,
        }
    }

    /// Whether to ask now. Without a leader it is tried again later.
    pub(super) fn is_due(&mut self, now: Instant, has_leader: bool) -> bool {
        match self {
            Self::Waiting(until) if *until <= now && !has_leader => {
                *until = now + RETRY_INTERVAL;
                false
            }
            Self::Waiting(until) => *until <= now,
            Self::Asked | Self::Done => false,
        }
    }

    /// A leader is known from now on.
    pub(super) fn leader_found(&mut self, now: Instant) {
        if let Self::Waiting(until) = self {
            *until = now;
        }
    }

    /// The reply came. True if the cluster knows now.
    pub(super) fn replied(&mut self, now: Instant, succeeded: bool) -> bool {
        *self = if succeeded { Self::Done } else { Self::Waiting(now + RETRY_INTERVAL) };
        succeeded
    }
}

impl Host {
    /// The reply to the publishing came. True if the cluster knows now.
    pub(super) fn on_published(&mut self, now: Instant, succeeded: bool) -> bool {
        let published = self.publish.replied(now, succeeded);
        if published {
            self.log(Level::Info, "published local member to cluster through raft".to_owned());
        }
        published
    }

    /// Tells the operator when the cluster has decided on a version.
    pub(super) fn tell_version(&mut self) {
        let decided = self.replica.cluster_version();
        if let Some(version) = decided.filter(|version| *version != self.told_version) {
            self.told_version = version.to_owned();
            let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
            self.log(Level::Info, format!("enabled capabilities for version {minor}"));
        }
    }
}

/// What is published.
pub(super) fn request(options: &Options) -> Request {
    Request::Publish { name: options.name.clone(), client_urls: options.client_urls.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_is_tried_again_until_it_is_done() {
        let mut publish = Publish::Waiting(Instant(0));
        assert!(!publish.is_due(Instant(5), false), "there is no leader to hear it");
        publish.leader_found(Instant(6));
        assert!(publish.is_due(Instant(6), true));
        publish = Publish::Asked;
        assert!(!publish.is_due(Instant(9), true));
        assert!(!publish.replied(Instant(9), false));
        assert_eq!(publish.deadline(), Some(Instant(9) + RETRY_INTERVAL));
        assert!(publish.replied(Instant(10), true));
        assert_eq!(publish.deadline(), None);
    }
}
