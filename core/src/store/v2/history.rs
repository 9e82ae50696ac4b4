//! The window of past events that a watch can begin in.
//!
//! One slot for each of the last indices (etcd: a thousand), so that an index addresses its slot
//! directly. A refresh has a slot, but no watcher hears it; an index that was taken without a
//! visible node (a change of membership, say) has an empty one.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;

use super::request::{Action, Error, ErrorKind, Event, Watch};
use crate::limits::V2_HISTORY_EVENTS;

/// The last events.
///
/// # Invariants
/// - Slots are of consecutive indices, the first of them `oldest`.
/// - There are at most `capacity`.
#[derive(Clone, Debug)]
pub(super) struct History {
    capacity: usize,
    oldest: u64,
    slots: VecDeque<Option<Rc<Event>>>,
}

impl Default for History {
    fn default() -> Self {
        Self { capacity: V2_HISTORY_EVENTS, oldest: 0, slots: VecDeque::new() }
    }
}

impl History {
    /// Keeps that many slots from now on.
    pub(super) fn keep(&mut self, capacity: usize) {
        assert!(capacity > 0, "the present event is kept");
        self.capacity = capacity;
        while self.slots.len() > capacity {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if self.slots.pop_front().is_some() {
            self.oldest += 1;
        }
    }

    /// Adds what took the next index.
    pub(super) fn push(&mut self, index: u64, event: Option<Rc<Event>>) {
        if self.slots.is_empty() {
            self.oldest = index;
        }
        assert_eq!(index, self.end(), "every index has one slot");
        if self.slots.len() == self.capacity {
            self.forget();
        }
        self.slots.push_back(event);
        assert!(self.slots.len() <= self.capacity, "the window is bounded");
    }

    /// The first event at or behind `since` that the watch is for; none if there is none yet.
    ///
    /// Hidden keys are not left out here, and the removal of a directory matches by plain string
    /// prefix: a watch on `/dirty` finds the removal of `/dir`. Both as in etcd.
    ///
    /// # Errors
    /// When the window begins behind `since`. The error's index is `index`, the present one.
    pub(super) fn find(
        &self,
        watch: &Watch,
        since: u64,
        index: u64,
    ) -> Result<Option<&Rc<Event>>, Error> {
        if since < self.oldest {
            let cause = format!("the requested history has been cleared [{}/{since}]", self.oldest);
            return Err(Error { kind: ErrorKind::EventIndexCleared, cause: cause.into(), index });
        }
        let skipped = usize::try_from(since - self.oldest).unwrap_or(usize::MAX);
        let later = self.slots.iter().skip(skipped).flatten();
        Ok(later.into_iter().find(|event| !event.refresh && concerns(event, watch)))
    }

    /// The index of the first slot, and the slots.
    pub(super) fn slots(&self) -> (u64, impl Iterator<Item = Option<&Rc<Event>>>) {
        (self.oldest, self.slots.iter().map(Option::as_ref))
    }

    /// The index behind the last slot.
    fn end(&self) -> u64 {
        self.oldest + self.slots.len() as u64
    }
}

fn concerns(event: &Event, watch: &Watch) -> bool {
    let key = event.node.path.as_bytes();
    let watched = watch.path.as_bytes();
    if key == watched {
        return true;
    }
    if watch.recursive && (watch.path.is_root() || is_below(key, watched)) {
        return true;
    }
    let removal = matches!(event.action, Action::Delete | Action::Expire);
    removal && event.node.directory && watched.starts_with(key)
}

/// Whether `key` lies below the directory `above`, which is not the root.
pub(super) fn is_below(key: &[u8], above: &[u8]) -> bool {
    key.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}
