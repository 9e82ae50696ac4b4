//! The state machine at work: committed entries in, outcomes out, long work in slices.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::writes::Writes;
use super::{Failure, Request, RequestId, Response};
use crate::limits;
use crate::raft::{Index, Position, Raft};
use crate::store::v2::auth::Claim;
use crate::store::{Outcome, State, WorkId};

/// What a client is to be told.
pub(super) type Settled = (RequestId, Result<Response, Failure>);

/// # Invariants
/// - `applied` never goes back, and never passes what is committed and durable here.
/// - Every unfinished work that somebody waits for is in `works`.
pub(super) struct Machine {
    state: State,
    applied: Position,
    /// What this member may have shown before its restart is not behind this entry, or it is in
    /// the log of any leader of a later term.
    recovered: Position,
    caught_up: bool,
    works: BTreeMap<WorkId, RequestId>,
    /// States that snapshots have taken the place of, while they are taken apart.
    replaced: Vec<State>,
}

impl Machine {
    /// `recovered` is the last entry that was found on disk, and the newest term.
    pub(super) fn new(state: State, applied: Position, recovered: Position) -> Self {
        let caught_up = applied.index >= recovered.index;
        let (works, replaced) = (BTreeMap::new(), Vec::new());
        Self { state, applied, recovered, caught_up, works, replaced }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    pub(super) fn applied(&self) -> Position {
        self.applied
    }

    /// Requests whose answer is being worked out.
    pub(super) fn works(&self) -> usize {
        self.works.len()
    }

    /// How far a read sees: an entry that is still being worked off does not show yet.
    pub(super) fn readable_index(&self) -> Index {
        let applied = self.applied.index;
        if self.state.is_blocked() { applied.previous() } else { applied }
    }

    /// Whether the state is at least as new as anything this member showed before its restart.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up && !self.state.is_blocked()
    }

    /// The same, whether or not the newest entry is still being worked off.
    pub(super) fn has_applied_enough(&self) -> bool {
        self.caught_up
    }

    /// Whether there is something to apply or to work off.
    pub(super) fn has_work(&self, raft: &Raft) -> bool {
        self.state.has_work()
            || !self.replaced.is_empty()
            || self.applied.index < raft.applicable_index()
    }

    /// Applies what may be applied, up to the turn's budget, and works off one slice. True when the
    /// membership changed.
    ///
    /// # Errors
    /// The index of an entry that this build does not understand.
    pub(super) fn apply(
        &mut self,
        raft: &mut Raft,
        writes: &mut Writes,
        settled: &mut Vec<Settled>,
    ) -> Result<bool, Index> {
        // What a leader cut off was never committed, so it was never shown.
        self.recovered.index = self.recovered.index.min(raft.last().index);
        self.caught_up |= self.applied.index >= self.recovered.index;
        let mut membership_changed = false;
        let mut bytes = 0;
        for _ in 0..limits::APPLY_ENTRIES_PER_TURN {
            let next = self.applied.index.next();
            let stop = next > raft.applicable_index()
                || bytes >= limits::APPLY_BYTES_PER_TURN
                || self.state.is_blocked()
                || self.state.is_listing();
            if stop {
                break;
            }
            let entry = raft.entry(next).expect("what is not applied stays in memory").clone();
            let applied = self.state.apply(&entry).map_err(|_| next)?;
            bytes += entry.payload.len();
            self.applied = Position { term: entry.term, index: next };
            let in_later_term = entry.term > self.recovered.term;
            self.caught_up |= next >= self.recovered.index || in_later_term;
            membership_changed |= applied.configuration.is_some();
            raft.applied(next, applied.configuration);
            let request = applied.identity.and_then(|identity| writes.close(identity)).flatten();
            self.settle(request, applied.outcome, settled);
        }
        self.work(settled);
        Ok(membership_changed)
    }

    fn settle(&mut self, request: Option<RequestId>, outcome: Outcome, settled: &mut Vec<Settled>) {
        match (request, outcome) {
            (Some(request), Outcome::Later(work)) => {
                self.works.insert(work, request);
            }
            (None, Outcome::Later(work)) => self.state.cancel(work),
            (Some(request), outcome) => settled.push((request, response(outcome))),
            (None, _) => {}
        }
    }

    /// Works off one slice.
    fn work(&mut self, settled: &mut Vec<Settled>) {
        self.replaced.pop_if(State::dismantle);
        if !self.state.has_work() && !self.state.has_lent() {
            return;
        }
        for (work, outcome) in self.state.work() {
            if let Some(request) = self.works.remove(&work) {
                settled.push((request, response(outcome)));
            }
        }
    }

    /// Reads the store; none when the answer is still being worked out.
    pub(super) fn read(
        &mut self,
        id: RequestId,
        request: &Request,
        claim: Option<&Claim>,
    ) -> Option<Result<Response, Failure>> {
        let outcome = match request {
            Request::V2Get { get, .. } => self.state.v2_get(get, claim),
            Request::V3Range { range, .. } => self.state.range(range),
            Request::V3ReadTxn { txn, .. } => self.state.read_txn(txn),
            other => unreachable!("{other:?} is not a read of a store"),
        };
        match outcome {
            Outcome::Later(work) => {
                self.works.insert(work, id);
                None
            }
            outcome => Some(response(outcome)),
        }
    }

    /// The client is gone: nobody waits for its work any more.
    pub(super) fn cancel(&mut self, request: RequestId) {
        let state = &mut self.state;
        for (work, _) in self.works.extract_if(.., |_, other| *other == request) {
            state.cancel(work);
        }
    }

    /// A snapshot takes the state's place. Whoever waited for work of the old one will not get it.
    pub(super) fn replace(&mut self, state: State, at: Position) -> Vec<RequestId> {
        assert!(at.index > self.applied.index, "a snapshot only moves the state forward");
        self.replaced.push(core::mem::replace(&mut self.state, state));
        self.applied = at;
        self.caught_up |= at.index >= self.recovered.index || at.term > self.recovered.term;
        core::mem::take(&mut self.works).into_values().collect()
    }
}

fn response(outcome: Outcome) -> Result<Response, Failure> {
    match outcome {
        Outcome::V2(outcome) => Ok(Response::V2(outcome)),
        Outcome::V2Auth(outcome) => Ok(Response::V2Auth(outcome)),
        Outcome::V3(outcome) => Ok(Response::V3(outcome)),
        Outcome::Members(Ok(members)) => Ok(Response::Members(members)),
        Outcome::Members(Err(refusal)) => Err(Failure::Membership(refusal)),
        Outcome::Done => Ok(Response::Done),
        Outcome::Later(_) => unreachable!("unfinished work has no outcome yet"),
    }
}
