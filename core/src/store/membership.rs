//! The members: who they are, where they are reached, and how their set may change.
//!
//! Membership lives in this one place. Changes take effect when their entry is applied, one at a
//! time (`raft` sees to that); ids that were removed never come back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{ClusterId, MemberId};

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Derived from its first URLs; never reused.
    pub id: MemberId,
    /// Empty until the member has started.
    pub name: String,
    /// Where other members reach it. Sorted.
    pub peer_urls: Vec<String>,
    /// Where clients reach it. Empty until the member has started.
    pub client_urls: Vec<String>,
    /// Receives the log, but counts in no quorum.
    pub is_learner: bool,
}

/// A change of the membership, as an operator asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new member, or a new learner.
    Add(Member),
    /// Never to come back.
    Remove(MemberId),
    /// New peer URLs.
    Update(MemberId, Vec<String>),
    /// A learner becomes a voter.
    Promote(MemberId),
}

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The id is, or was, in use.
    IdExists,
    /// Another member has one of the peer URLs.
    PeerUrlExists,
    /// No such member.
    NotFound,
    /// The member was removed before.
    Removed,
    /// Only learners can be promoted.
    NotLearner,
    /// The learner's log is too far behind.
    LearnerNotReady,
    /// As many learners as allowed are there.
    TooManyLearners,
    /// Too few started members would remain (`--strict-reconfig-check`).
    NotEnoughStarted,
    /// Some member has not been connected for long enough (`--strict-reconfig-check`).
    Unhealthy,
}

/// The replicated membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Fixed when the cluster was formed.
    pub cluster: ClusterId,
    /// By id.
    pub members: BTreeMap<MemberId, Member>,
    /// Ids that can never come back.
    pub removed: BTreeSet<MemberId>,
}
