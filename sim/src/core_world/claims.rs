//! Claims against the platter: what a member promises must be what its disk holds.
//!
//! At a sample of the promises that leave a member, its disk is copied as a power cut at that
//! moment would leave it at worst, and a member is recovered from the copy. It must know the vote,
//! hold the entry, or stand on the snapshot that was promised (`reliability.md`, 1).

use quorra_core::identity::MemberId;
use quorra_core::raft::{HardState, Index, Message, Term};
use quorra_core::replica::Replica;

use super::CoreWorld;
use super::member;
use crate::check::{Verdict, Violation, require};

/// What a message promises about its sender's disk.
enum Claim {
    Vote(HardState),
    Entry(Term, Index),
    Snapshot(Index),
}

impl Claim {
    fn of(from: MemberId, to: MemberId, message: &Message) -> Option<Self> {
        let vote = |term: &Term, vote| Self::Vote(HardState { term: *term, vote: Some(vote) });
        match message {
            Message::RequestVote { term, pre: false, .. } => Some(vote(term, from)),
            Message::Vote { term, pre: false, granted: true } => Some(vote(term, to)),
            Message::Appended { term, match_index } => Some(Self::Entry(*term, *match_index)),
            Message::ChunkAnswer { snapshot, installed: true, .. } => {
                Some(Self::Snapshot(snapshot.index))
            }
            _ => None,
        }
    }

    fn holds(&self, recovered: &Replica) -> bool {
        let raft = recovered.raft();
        match self {
            Self::Vote(claimed) => {
                raft.hard_state() == *claimed || raft.hard_state().term > claimed.term
            }
            Self::Entry(term, index) => raft.term() >= *term && raft.last().index >= *index,
            Self::Snapshot(index) => raft.commit_index() >= *index,
        }
    }
}

impl CoreWorld {
    /// Checks a promise, one in so many.
    pub(super) fn check_claim(&mut self, seat: usize, to: MemberId, message: &Message) -> Verdict {
        let from = self.members[seat].id();
        let Some(claim) = Claim::of(from, to, message) else { return Ok(()) };
        let votes = matches!(claim, Claim::Vote(_));
        if !self.chance.per_mille(self.swarm.claims_checked * if votes { 5 } else { 1 }) {
            return Ok(());
        }
        let recovered = self.recover_copy(seat)?;
        let hard_state = recovered.raft().hard_state();
        let last = recovered.raft().last();
        require(claim.holds(&recovered), || {
            format!("m{seat} promises {message:?}, its disk holds {hard_state:?} up to {last:?}")
        })
    }

    /// Recovers a member from a copy of its platter.
    pub(super) fn recover_copy(&self, seat: usize) -> Result<Box<Replica>, Violation> {
        let member = &self.members[seat];
        let mut copy = member.disk.platter();
        let options = member::options(&self.swarm.knobs, member.id(), member.incarnation + 1, 0);
        let first = self.first_members(seat);
        let bootstrap = member::bootstrap(self.cluster, member.id(), first);
        let now = member.clock.read(self.now);
        member::recover(&mut copy, options, Some(bootstrap), now).map_err(|error| {
            Violation(format!("a copy of m{seat}'s disk cannot be recovered: {error}"))
        })
    }
}
