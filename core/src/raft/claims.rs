//! Claims: messages that promise something about this member's disk, held until it is true.
//!
//! What a claim needs is told by the message itself: its sender's term must be durable; a granted
//! vote needs the vote, which shares one record with the term; a request for votes also needs the
//! log that it boasts of. A claim whose term has passed is dropped: nobody waits for it.
//!
//! At most one claim of a kind is held for each peer, the newest: they replace each other like
//! messages that were lost.

use alloc::collections::BTreeMap;
use core::mem;

use super::writes::Writes;
use super::{HardState, Index, Message, Output, Term};
use crate::identity::MemberId;

/// Peers that may have claims held for them; a peer above that may ask again.
const CLAIMS_MAX: usize = 1024;

/// What must be durable before a claim may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// This term and, for a granted vote, exactly this vote.
    pub(super) hard_state: HardState,
    /// The log up to here.
    pub(super) index: Index,
}

impl Needs {
    fn are_met(&self, writes: &Writes) -> bool {
        let voted = self.hard_state.vote.is_none() || writes.holds(self.hard_state);
        voted && writes.holds_term(self.hard_state.term) && writes.durable_index() >= self.index
    }
}

#[derive(Debug)]
struct Claim {
    needs: Needs,
    message: Message,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Claims {
    held: BTreeMap<(MemberId, u8), Claim>,
}

impl Claims {
    /// Sends a claim when what it needs is durable: at once, or later.
    pub(super) fn make(
        &mut self,
        to: MemberId,
        message: Message,
        needs: Needs,
        writes: &Writes,
        out: &mut Output,
    ) {
        if needs.are_met(writes) {
            out.messages.push((to, message));
        } else if self.held.len() < CLAIMS_MAX {
            self.held.insert((to, message.kind()), Claim { needs, message });
        }
    }

    /// The disk has answered: sends what has come true.
    pub(super) fn release(&mut self, writes: &Writes, out: &mut Output) {
        if self.held.is_empty() {
            return;
        }
        for ((to, kind), claim) in mem::take(&mut self.held) {
            if claim.needs.are_met(writes) {
                out.messages.push((to, claim.message));
            } else {
                self.held.insert((to, kind), claim);
            }
        }
    }

    /// The term has moved on, or the log was cut: drops what is no longer meant.
    pub(super) fn moved_on(&mut self, term: Term) {
        self.held.retain(|_, claim| {
            let is_boast = matches!(claim.message, Message::RequestVote { .. });
            claim.needs.hard_state.term == term && !is_boast
        });
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, term: Term, writes: &Writes) {
        assert!(self.held.len() <= CLAIMS_MAX, "claims are bounded");
        for claim in self.held.values() {
            assert!(claim.needs.hard_state.term == term, "claims of older terms were dropped");
            assert!(!claim.needs.are_met(writes), "what is durable is told");
        }
    }
}
