//! Handing leadership over (thesis, 3.10).
//!
//! The leader stops taking proposals, waits until the target holds its whole log, and orders it to
//! campaign at once; the others grant such a campaign their votes although their leader lives. It
//! is over after one election timeout in any case, and proposals are taken again.

use super::Leader;
use crate::identity::MemberId;
use crate::raft::role::Next;
use crate::raft::state::State;
use crate::raft::{Message, Output, Refused};
use crate::time::Instant;

/// A handover under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// To whom.
    pub(super) target: MemberId,
    /// When it has failed.
    pub(super) deadline: Instant,
    /// Whether the target was ordered to campaign.
    pub(super) is_ordered: bool,
}

/// A leader that was removed from the configuration and stays only until the others know.
///
/// Without it, the survivor of a two-member cluster could hold the change without ever learning
/// that it is committed, and wait for the removed member's vote for good (etcd-io/etcd#10563).
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// A majority's answer to this heartbeat round means that they know.
    pub(super) round: u64,
    /// When it leaves in any case.
    pub(super) deadline: Instant,
}

impl Leader {
    /// See [`Raft::transfer`](crate::raft::Raft::transfer).
    pub(in crate::raft) fn transfer(
        &mut self,
        state: &State,
        now: Instant,
        target: Option<MemberId>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        if target == Some(state.id()) {
            return Ok(());
        }
        let target = target.or_else(|| self.best(state, now)).ok_or(Refused::BadTransferee)?;
        if !state.configuration.is_voter(target) {
            return Err(Refused::BadTransferee);
        }
        if self.handover.is_some_and(|handover| handover.target == target) {
            return Ok(());
        }
        let deadline = now + state.options.election_timeout;
        self.handover = Some(Handover { target, deadline, is_ordered: false });
        self.order_target_to_campaign(state, out);
        Ok(())
    }

    /// The voter that was heard of late and holds most.
    fn best(&self, state: &State, now: Instant) -> Option<MemberId> {
        let voters = self.progress.iter().filter(|&(&member, _)| {
            state.configuration.is_voter(member) && self.is_active(state, now, member)
        });
        voters.max_by_key(|(_, progress)| progress.match_index).map(|(&member, _)| member)
    }

    pub(super) fn order_target_to_campaign(&mut self, state: &State, out: &mut Output) {
        let last = state.log.last().index;
        if let Some(handover) = &mut self.handover
            && !handover.is_ordered
            && self.progress.get(&handover.target).is_some_and(|to| to.match_index == last)
        {
            handover.is_ordered = true;
            state.order(handover.target, Message::TimeoutNow { term: state.term() }, out);
        }
    }

    pub(super) fn order_best_to_campaign(&self, state: &State, now: Instant, out: &mut Output) {
        if let Some(best) = self.best(state, now) {
            state.order(best, Message::TimeoutNow { term: state.term() }, out);
        }
    }

    pub(super) fn leave(&self, state: &State, out: &mut Output) -> Next {
        let voters = self.progress.iter().filter(|(to, _)| state.configuration.is_voter(**to));
        if let Some((&best, _)) = voters.max_by_key(|(_, progress)| progress.match_index) {
            state.order(best, Message::TimeoutNow { term: state.term() }, out);
        }
        Next::Resign("it was removed from the configuration")
    }
}
