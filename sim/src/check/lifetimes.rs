//! v2 nodes live as long as they were promised.
//!
//! A node may not go before its time to live has passed since the request that gave it, by true
//! time and beyond what wall clocks were ever apart: the leader that stamped the write and the one
//! that stamped the expiry each read their own. That it does go, and in the same order everywhere,
//! is shown elsewhere: by what a settled leader still holds, and by the states' hashes.

use std::collections::BTreeMap;

use quorra_core::raft::Index;
use quorra_core::store::v2::{Event, Store, Write};
use quorra_core::time::WallTime;

use super::{Verdict, require};

/// What true time has to do with the log.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// When some member first showed each entry applied, in nanoseconds.
    pub applied_at: &'a BTreeMap<Index, u64>,
    /// How far wall clocks were ever apart from true time and from each other, in nanoseconds.
    pub clock_spread: u64,
}

/// A settled leader expires what is overdue by its clock soon: it looks twice a second.
const SOON: i64 = 2_000_000_000;

/// What a settled leader should have expired already; empty if nothing.
#[must_use]
pub fn overdue(store: &Store, wall: WallTime) -> String {
    match store.next_deadline() {
        Some(deadline) if deadline.0 + SOON < wall.0 => {
            format!("a node whose time was up at {deadline} is still there at {wall}")
        }
        _ => String::new(),
    }
}

/// When each node was given its time, and how much.
#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    given: BTreeMap<u64, (u64, u64)>,
}

impl Lifetimes {
    /// The change of that index was asked for at `started`.
    pub(super) fn given(&mut self, index: u64, started: u64, write: &Write) {
        let (Write::Set { ttl, .. }
        | Write::Create { ttl, .. }
        | Write::Update { ttl, .. }
        | Write::CompareAndSwap { ttl, .. }) = write
        else {
            return;
        };
        if let Some(seconds) = *ttl {
            self.given.insert(index, (started, seconds * 1_000_000_000));
        }
    }

    /// The entry at `at` ended a node.
    ///
    /// # Errors
    /// When that was too early.
    pub(super) fn ended(&self, times: Times<'_>, at: Index, event: &Event) -> Verdict {
        let given = event.previous.as_ref().and_then(|node| self.given.get(&node.modified_index));
        let (Some((started, lifetime)), Some(applied)) = (given, times.applied_at.get(&at)) else {
            return Ok(());
        };
        require(applied + times.clock_spread >= started + lifetime, || {
            let (lived, spread) = (applied - started, times.clock_spread);
            let path = String::from_utf8_lossy(event.node.path.as_bytes());
            format!("{path} lived {lived} of {lifetime} ns, and clocks were {spread} apart")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quorra_core::store::v2::{Action, NodeView, Path};

    #[test]
    fn a_node_that_goes_early_is_caught_and_clocks_that_differ_are_no_excuse_for_more() {
        let path = Path::clean(b"/a");
        let value = Bytes::new();
        let write = Write::Set {
            path: path.clone(),
            value,
            directory: false,
            ttl: Some(3),
            refresh: false,
        };
        let node = NodeView {
            path,
            value: None,
            directory: false,
            expiration: None,
            nodes: Vec::new(),
            modified_index: 7,
            created_index: 7,
        };
        let (previous, at) = (Some(Box::new(node.clone())), None);
        let (action, created, refresh) = (Action::Expire, false, false);
        let event = Event { action, node, previous, index: 8, at, created, refresh };
        let mut lifetimes = Lifetimes::default();
        lifetimes.given(7, 1_000_000_000, &write);
        for (applied, clock_spread, fine) in [
            (4_000_000_000, 0, true),
            (3_999_999_999, 0, false),
            (3_500_000_000, 500_000_000, true),
            (3_400_000_000, 500_000_000, false),
        ] {
            let applied_at = [(Index(9), applied)].into();
            let times = Times { applied_at: &applied_at, clock_spread };
            assert_eq!(lifetimes.ended(times, Index(9), &event).is_ok(), fine, "{applied}");
        }
    }
}
