//! A member that asks for votes (Raft paper, 5.2), or whether it would get them (thesis, 9.6).
//!
//! A pre-candidate changes nothing, neither here nor at those it asks: a member that was cut off
//! cannot disturb a working cluster when it returns. A candidate's own vote counts like anyone's:
//! only when it is durable.

use alloc::collections::BTreeMap;

use super::claims::Needs;
use super::quorum::{Tally, tally};
use super::role::Next;
use super::state::State;
use super::{HardState, Message, Output, ReadReady};
use crate::identity::MemberId;
use crate::time::Instant;

/// What kind of election it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Campaign {
    /// Asks only.
    Pre,
    /// For a new term.
    Real,
    /// The same, ordered by the leader.
    Transfer,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Candidate {
    campaign: Campaign,
    votes: BTreeMap<MemberId, bool>,
    deadline: Instant,
}

impl Candidate {
    /// Asks everyone. The caller has set term and vote for a real election.
    pub(super) fn start(
        state: &mut State,
        now: Instant,
        campaign: Campaign,
        out: &mut Output,
    ) -> Self {
        assert!(state.may_campaign(), "only a voter that knows its configuration campaigns");
        let deadline = state.election_deadline(now);
        let mut candidate = Self { campaign, votes: BTreeMap::new(), deadline };
        let is_pre = campaign == Campaign::Pre;
        let last = state.log.last();
        let vote = if is_pre {
            candidate.votes.insert(state.id(), true);
            None
        } else {
            assert!(state.hard_state.vote == Some(state.id()), "a candidate votes for itself");
            state.hard_state.vote
        };
        let needs = Needs { hard_state: HardState { term: state.term(), vote }, index: last.index };
        let request = Message::RequestVote {
            term: if is_pre { state.term().next() } else { state.term() },
            pre: is_pre,
            transfer: campaign == Campaign::Transfer,
            last_index: last.index,
            last_term: last.term,
        };
        let (id, mut voters) = (state.id(), state.configuration.voters.clone());
        voters.remove(&id);
        for voter in voters {
            state.claim(voter, request.clone(), needs, out);
        }
        candidate
    }

    pub(super) fn is_pre(&self) -> bool {
        self.campaign == Campaign::Pre
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn tick(&self, state: &State, now: Instant) -> Next {
        match now < self.deadline {
            true => Next::Stay,
            false => Next::campaign(state),
        }
    }

    /// Only votes concern a candidate; those of another kind of election are stale, and so is the
    /// grant of a pre-vote for a term that has begun since.
    pub(super) fn step(&mut self, state: &State, from: MemberId, message: &Message) -> Next {
        match *message {
            Message::Vote { term, pre: true, granted: true } if term <= state.term() => Next::Stay,
            Message::Vote { pre, granted, .. } if pre == self.is_pre() => {
                self.votes.entry(from).or_insert(granted);
                self.outcome(state)
            }
            _ => Next::Stay,
        }
    }

    /// The disk has answered: perhaps this member's own vote counts now.
    pub(super) fn on_durable(&mut self, state: &State) -> Next {
        if !self.is_pre() && state.writes.holds(state.hard_state) {
            self.votes.insert(state.id(), true);
        }
        self.outcome(state)
    }

    /// No reads without a leader.
    pub(super) fn flush(state: &mut State, out: &mut Output) {
        let lost = core::mem::take(&mut state.reads).into_iter();
        out.reads.extend(lost.map(|context| ReadReady { context, index: None }));
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, state: &State) {
        let votes_for_itself = state.hard_state.vote == Some(state.id());
        assert!(self.is_pre() || votes_for_itself, "a candidate votes for itself");
        let own_counts = !self.is_pre() && self.votes.contains_key(&state.id());
        assert!(!own_counts || state.writes.holds(state.hard_state), "its vote counts if durable");
    }

    /// How the election stands.
    pub(super) fn outcome(&self, state: &State) -> Next {
        match tally(&state.configuration.voters, &self.votes) {
            Tally::Open => Next::Stay,
            Tally::Lost => Next::Follow,
            Tally::Won if self.is_pre() => Next::Campaign(Campaign::Real),
            Tally::Won if state.writes.holds(state.hard_state) => Next::Lead,
            Tally::Won => Next::Stay,
        }
    }
}
