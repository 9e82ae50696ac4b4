//! `--force-new-cluster`: a member that has lost the others for good begins again alone.
//!
//! What is committed stays, and so do the ids of the member and of its cluster. What is not
//! committed goes, and the others are removed by entries that count as committed from the start:
//! the member alone decides, which is safe only if none of the others ever comes back with a
//! majority. Those that come back singly are told that they were removed.

use alloc::vec::Vec;

use bytes::Bytes;

use super::recovery::RecoveryError;
use crate::identity::MemberId;
use crate::raft::{Entry, EntryKind, HardState, Index, LogBatch, Term};
use crate::store::command::{Body, Command, Identity};
use crate::store::membership::{Change, Membership};
use crate::time::WallTime;

/// What takes the place of everything behind the last applied entry.
pub(super) fn batch(
    membership: &Membership,
    member: MemberId,
    term: Term,
    applied: Index,
) -> Result<LogBatch, RecoveryError> {
    let own = membership.members.get(&member).ok_or(RecoveryError::NotAMember(member))?;
    let promotion = own.is_learner.then_some(Change::Promote(member));
    let others = membership.members.keys().filter(|other| **other != member);
    let changes = promotion.into_iter().chain(others.map(|other| Change::Remove(*other)));
    let mut entries: Vec<Entry> = Vec::new();
    for change in changes {
        let index = Index(applied.0 + 1 + entries.len() as u64);
        let (identity, user) = (Identity::default(), Bytes::new());
        let command =
            Command { identity, stamp: WallTime(0), user, body: Body::Membership(change) };
        entries.push(Entry::new(term, index, EntryKind::Configuration, command.encode()));
    }
    if entries.is_empty() {
        entries.push(Entry::new(term, applied.next(), EntryKind::Empty, Bytes::new()));
    }
    let commit_index = Index(applied.0 + entries.len() as u64);
    let hard_state = Some(HardState { term, vote: None });
    Ok(LogBatch { hard_state, reset: None, entries, commit_index })
}
