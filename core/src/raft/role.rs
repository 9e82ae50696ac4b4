//! The three roles (Raft paper, 5.1), and what they have in common: each handles its inputs and
//! says what is to happen next. Nobody but [`Raft`](super::Raft) changes the role.

use alloc::boxed::Box;

use super::candidate::{Campaign, Candidate};
use super::follower::Follower;
use super::leader::Leader;
use super::state::State;
use super::{Index, Message, Output, RoleName, Term};
use crate::identity::MemberId;
use crate::time::Instant;

/// What a handler wants to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// Wait for a leader, in the same term.
    Follow,
    /// Ask for votes.
    Campaign(Campaign),
    /// The election is won.
    Lead,
    /// Give leadership up, for this reason.
    Resign(&'static str),
}

impl Next {
    /// The election timeout is over.
    pub(super) fn campaign(state: &State) -> Self {
        match state.options.pre_vote {
            _ if !state.may_campaign() => Self::Follow,
            true => Self::Campaign(Campaign::Pre),
            false => Self::Campaign(Campaign::Real),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) enum Role {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

impl Role {
    pub(super) fn name(&self) -> RoleName {
        match self {
            Self::Follower(_) => RoleName::Follower,
            Self::Candidate(candidate) if candidate.is_pre() => RoleName::PreCandidate,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
        }
    }

    /// Who leads, if known.
    pub(super) fn leader(&self, id: MemberId) -> Option<MemberId> {
        match self {
            Self::Follower(follower) => follower.leader(),
            Self::Candidate(_) => None,
            Self::Leader(_) => Some(id),
        }
    }

    /// Whether a leader lives as far as this member can tell, so that nobody gets its vote.
    pub(super) fn hears_leader(&self, state: &State, now: Instant) -> bool {
        match self {
            _ if !state.options.check_quorum => false,
            Self::Follower(follower) => follower.hears_leader(state, now),
            Self::Candidate(_) => false,
            Self::Leader(_) => true,
        }
    }

    /// When whoever waits for a leader gives up waiting; a leader does not wait.
    pub(super) fn patience(&self) -> Option<Instant> {
        match self {
            Self::Follower(follower) => Some(follower.election_deadline()),
            Self::Candidate(candidate) => Some(candidate.deadline()),
            Self::Leader(_) => None,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Follower(follower) => follower.deadline(),
            Self::Candidate(candidate) => candidate.deadline(),
            Self::Leader(leader) => leader.deadline(),
        }
    }

    /// A message of the present term; `Err` tells what no correct peer sends.
    pub(super) fn step(
        &mut self,
        state: &mut State,
        now: Instant,
        from: MemberId,
        message: Message,
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        match self {
            Self::Follower(follower) => follower.step(state, from, message, out),
            Self::Candidate(candidate) => Ok(candidate.step(state, from, &message)),
            Self::Leader(leader) => leader.step(state, now, from, message, out),
        }
    }

    pub(super) fn tick(&mut self, state: &State, now: Instant, out: &mut Output) -> Next {
        match self {
            Self::Follower(follower) => follower.tick(state, now, out),
            Self::Candidate(candidate) => candidate.tick(state, now),
            Self::Leader(leader) => leader.tick(state, now, out),
        }
    }

    /// The turn has ended.
    pub(super) fn flush(&mut self, state: &mut State, now: Instant, out: &mut Output) -> Next {
        match self {
            Self::Follower(follower) => {
                follower.flush(state, now, out);
                Next::Stay
            }
            Self::Candidate(_) => {
                Candidate::flush(state, out);
                Next::Stay
            }
            Self::Leader(leader) => leader.flush(state, now, out),
        }
    }

    /// The disk has answered.
    pub(super) fn on_durable(&mut self, state: &mut State, out: &mut Output) -> Next {
        match self {
            Self::Follower(follower) => {
                follower.on_durable(state, out);
                Next::Stay
            }
            Self::Candidate(candidate) => candidate.on_durable(state),
            Self::Leader(leader) => {
                leader.advance_commit(state);
                Next::Stay
            }
        }
    }

    /// A configuration is in force.
    pub(super) fn on_configuration(&mut self, state: &mut State) {
        match self {
            Self::Leader(leader) => leader.reconfigure(state),
            Self::Follower(follower) if state.configuration.is_sole_voter(state.id()) => {
                follower.hurry();
            }
            Self::Follower(_) | Self::Candidate(_) => {}
        }
    }

    /// Another role, or the same in another term, has taken over; `term` was this one's.
    pub(super) fn close(self, state: &State, term: Term, out: &mut Output) {
        match self {
            Self::Follower(follower) => follower.close(out),
            Self::Candidate(_) => {}
            Self::Leader(leader) => leader.close(state, term, out),
        }
    }

    /// How far a member's log matches, if this one leads.
    pub(super) fn match_index(&self, state: &State, member: MemberId) -> Option<Index> {
        match self {
            Self::Leader(_) if member == state.id() => Some(state.writes.durable_index()),
            Self::Leader(leader) => leader.match_index(member),
            Self::Follower(_) | Self::Candidate(_) => None,
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, state: &State) {
        match self {
            Self::Follower(follower) => follower.check(state),
            Self::Candidate(candidate) => candidate.check(state),
            Self::Leader(leader) => leader.check(state),
        }
    }
}
