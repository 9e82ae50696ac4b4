//! Commands of this member's clients, from their proposal to their outcome.
//!
//! A command is proposed or forwarded once. It is recognised by its identity when it is applied
//! here; until then its place is kept, in the order of the counters, which is also the order of the
//! deadlines. What happened to a command whose time is up is unknown, and its client is told so.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Failure, RequestId};
use crate::identity::{Incarnation, MemberId};
use crate::raft::EntryKind;
use crate::store::command::Identity;
use crate::time::Instant;

/// # Invariants
/// - The slot at position `i` belongs to the counter `first + i`.
/// - Deadlines never decrease from the front to the back.
/// - `parked` counters are waiting, in ascending order.
/// - `bytes` is the size of all commands that are waited for: each may be parked, or in a message
///   to the leader.
pub(super) struct Writes {
    member: MemberId,
    incarnation: Incarnation,
    first: u64,
    slots: VecDeque<Option<Waiting>>,
    parked: VecDeque<(u64, EntryKind, Bytes)>,
    count: usize,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Waiting {
    bytes: usize,
    /// None when the member itself asks.
    request: Option<RequestId>,
    since: Instant,
    deadline: Instant,
}

/// A command whose time is up.
pub(super) struct Expired {
    pub(super) request: Option<RequestId>,
    pub(super) since: Instant,
}

impl Writes {
    pub(super) fn new(member: MemberId, incarnation: Incarnation) -> Self {
        Self {
            member,
            incarnation,
            first: 1,
            slots: VecDeque::new(),
            parked: VecDeque::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// The size of all commands that are waited for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The size of a command, once it is encoded under its identity.
    pub(super) fn weigh(&mut self, counter: u64, bytes: usize) {
        if let Some(Some(waiting)) = self.slot(counter) {
            waiting.bytes = bytes;
            self.bytes += bytes;
        }
    }

    fn forget(&mut self, waiting: Waiting) {
        self.count -= 1;
        self.bytes -= waiting.bytes;
        self.trim();
    }

    /// How many wait for their outcome.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// A place for a new command.
    pub(super) fn open(
        &mut self,
        request: Option<RequestId>,
        since: Instant,
        deadline: Instant,
    ) -> Identity {
        let counter = self.first + self.slots.len() as u64;
        self.slots.push_back(Some(Waiting { bytes: 0, request, since, deadline }));
        self.count += 1;
        Identity { member: self.member, incarnation: self.incarnation, counter }
    }

    /// Keeps a command until there is a leader to take it.
    pub(super) fn park(&mut self, counter: u64, kind: EntryKind, payload: Bytes) {
        assert!(self.parked.back().is_none_or(|(last, ..)| *last < counter), "parked in order");
        self.parked.push_back((counter, kind, payload));
    }

    /// Takes what was parked and is still waited for.
    pub(super) fn unpark(&mut self) -> Vec<(u64, EntryKind, Bytes)> {
        let parked = core::mem::take(&mut self.parked);
        parked.into_iter().filter(|(counter, ..)| self.slot(*counter).is_some()).collect()
    }

    /// Whether something waits for a leader.
    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    fn slot(&mut self, counter: u64) -> Option<&mut Option<Waiting>> {
        let position = usize::try_from(counter.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(position).filter(|slot| slot.is_some())
    }

    /// Ends the wait for a command: it was applied, or refused. None if it is not ours or nobody
    /// waits any more.
    pub(super) fn close(&mut self, identity: Identity) -> Option<Option<RequestId>> {
        if identity.member != self.member || identity.incarnation != self.incarnation {
            return None;
        }
        let waiting = self.slot(identity.counter)?.take()?;
        self.forget(waiting);
        Some(waiting.request)
    }

    /// Ends the wait for a command of this start that was refused.
    pub(super) fn refuse(&mut self, counter: u64) -> Option<Option<RequestId>> {
        let identity = Identity { member: self.member, incarnation: self.incarnation, counter };
        self.close(identity)
    }

    /// The next command whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let waiting = (*self.slots.front()?)?;
        if waiting.deadline > now {
            return None;
        }
        self.slots.pop_front();
        self.first += 1;
        self.forget(waiting);
        Some(Expired { request: waiting.request, since: waiting.since })
    }

    /// When the next command's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.slots.front().copied().flatten().map(|waiting| waiting.deadline)
    }

    /// Keeps the front occupied, so that its deadline is the first one.
    fn trim(&mut self) {
        while matches!(self.slots.front(), Some(None)) {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// The present start of this member.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Ends every wait, for a member that goes.
    pub(super) fn drain(&mut self) -> Vec<RequestId> {
        self.first += self.slots.len() as u64;
        self.count = 0;
        self.bytes = 0;
        self.parked.clear();
        self.slots.drain(..).flatten().filter_map(|waiting| waiting.request).collect()
    }

    /// What a client is told when its time is up.
    pub(super) fn failure(
        expired_since: Instant,
        leader_known: bool,
        leader_connected: bool,
        leader_changed_at: Option<Instant>,
    ) -> Failure {
        match (leader_known, leader_connected) {
            (true, _) if leader_changed_at.is_some_and(|changed| changed > expired_since) => {
                Failure::TimeoutLeaderLost
            }
            (true, false) => Failure::TimeoutDisconnected,
            _ => Failure::Timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn open(writes: &mut Writes, request: u64, deadline: u64) -> Identity {
        writes.open(Some(RequestId(request)), at(0), at(deadline))
    }

    #[test]
    fn a_command_is_recognised_once_and_only_by_its_own_start() {
        let mut writes = Writes::new(MemberId(1), Incarnation(2));
        let first = open(&mut writes, 10, 5);
        let second = open(&mut writes, 11, 6);
        assert_eq!(writes.close(Identity { incarnation: Incarnation(1), ..first }), None);
        assert_eq!(writes.close(Identity { member: MemberId(9), ..first }), None);
        assert_eq!(writes.close(second), Some(Some(RequestId(11))));
        assert_eq!(writes.close(second), None);
        assert_eq!(writes.deadline(), Some(at(5)));
        assert_eq!(writes.close(first), Some(Some(RequestId(10))));
        assert_eq!((writes.len(), writes.deadline()), (0, None));
    }

    #[test]
    fn what_expires_is_no_longer_recognised() {
        let mut writes = Writes::new(MemberId(1), Incarnation(2));
        let first = open(&mut writes, 10, 5);
        let second = open(&mut writes, 11, 6);
        assert!(writes.expire(at(4)).is_none());
        assert_eq!(writes.expire(at(5)).and_then(|e| e.request), Some(RequestId(10)));
        assert!(writes.expire(at(5)).is_none());
        assert_eq!(writes.close(first), None);
        writes.weigh(second.counter, 7);
        assert_eq!(writes.bytes(), 7);
        writes.park(second.counter, EntryKind::Command, Bytes::new());
        assert_eq!(writes.expire(at(9)).and_then(|e| e.request), Some(RequestId(11)));
        assert!(writes.unpark().is_empty(), "nobody waits for it");
        assert_eq!(writes.bytes(), 0);
    }
}
