//! The members that elect and commit, and those that only listen.
//!
//! A configuration takes effect when its entry is *applied* (as in etcd; the thesis, 4.1, lets it
//! take effect when appended), and changes one member at a time, so that the majorities of
//! neighbouring configurations always share a member. What makes this safe stands in
//! [`raft`](super).

use alloc::collections::BTreeSet;

use crate::identity::MemberId;

/// The members that elect and commit, and those that only listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Counted in quorums.
    pub voters: BTreeSet<MemberId>,
    /// Receive the log, count nowhere.
    pub learners: BTreeSet<MemberId>,
}

impl Configuration {
    /// Whether a member's vote and log count.
    #[must_use]
    pub fn is_voter(&self, member: MemberId) -> bool {
        self.voters.contains(&member)
    }

    /// Whether a member belongs to the cluster at all.
    #[must_use]
    pub fn contains(&self, member: MemberId) -> bool {
        self.is_voter(member) || self.learners.contains(&member)
    }

    /// Whether this member is a majority of its own.
    #[must_use]
    pub fn is_sole_voter(&self, member: MemberId) -> bool {
        self.voters.len() == 1 && self.is_voter(member)
    }

    /// All members but this one.
    pub fn others(&self, member: MemberId) -> impl Iterator<Item = MemberId> {
        self.voters.union(&self.learners).copied().filter(move |&other| other != member)
    }

    /// Panics if a member is both a voter and a learner.
    pub(super) fn check(&self) {
        assert!(self.voters.is_disjoint(&self.learners), "a member is a voter or a learner");
    }
}
