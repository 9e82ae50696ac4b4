//! Who gets this member's vote (Raft paper, 5.2 and 5.4.1; thesis, 4.2.3 and 9.6).

use super::claims::Needs;
use super::state::State;
use super::{HardState, Index, Message, Output, Position, Term};
use crate::identity::MemberId;

/// A request for a vote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The election's term.
    pub(super) term: Term,
    /// Only asks.
    pub(super) pre: bool,
    /// The candidate's last entry.
    pub(super) last: Position,
}

/// Answers a request of the present term or, for a pre-vote, of any. True if a vote was given.
///
/// Learners answer too: the candidate may know of their promotion before they do
/// (etcd-io/etcd#10998).
pub(super) fn answer(
    state: &mut State,
    from: MemberId,
    request: Request,
    leader: Option<MemberId>,
    out: &mut Output,
) -> bool {
    assert!(request.pre || request.term == state.term(), "the term was checked before");
    let granted = is_granted(state, from, request, leader);
    let Request { term, pre, .. } = request;
    if pre {
        // What is granted names the term asked about, what is refused the present one.
        let term = if granted { term } else { state.term() };
        state.claim_term(from, Message::Vote { term, pre, granted }, out);
        return false;
    }
    if granted {
        state.hard_state.vote = Some(from);
        let needs = Needs { hard_state: state.hard_state, index: Index(0) };
        state.claim(from, Message::Vote { term, pre, granted }, needs, out);
    } else {
        state.claim_term(from, Message::Vote { term, pre, granted }, out);
    }
    granted
}

/// Refuses whatever came with an older term, in the present one.
pub(super) fn refuse(state: &mut State, from: MemberId, pre: bool, out: &mut Output) {
    let refusal = Message::Vote { term: state.term(), pre, granted: false };
    state.claim_term(from, refusal, out);
}

fn is_granted(state: &State, from: MemberId, request: Request, leader: Option<MemberId>) -> bool {
    let HardState { term, vote } = state.hard_state;
    let is_free = if request.pre {
        request.term > term
    } else {
        vote == Some(from) || (vote.is_none() && leader.is_none())
    };
    // A member that may have lost what it acknowledged cannot judge how new a log must be.
    is_free && state.mark.is_none() && request.last >= state.log.last()
}
