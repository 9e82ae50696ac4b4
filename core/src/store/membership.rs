//! The members: who they are, where they are reached, and how their set may change.
//!
//! Membership lives in this one place. Changes take effect when their entry is applied, one at a
//! time (`raft` sees to that); ids that were removed never come back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::hash;
use crate::identity::{ClusterId, MemberId};
use crate::raft::Configuration;

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

/// Learners that a cluster may have at a time (etcd: `--max-learners`).
const LEARNERS_MAX: usize = 1;

impl Membership {
    /// Carries out a change, or refuses it and changes nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn change(&mut self, change: Change) -> Result<(), Refusal> {
        match change {
            Change::Add(member) => self.add(member),
            Change::Remove(id) => self.remove(id),
            Change::Update(id, peer_urls) => self.update(id, peer_urls),
            Change::Promote(id) => self.promote(id),
        }
    }

    fn add(&mut self, member: Member) -> Result<(), Refusal> {
        if self.members.contains_key(&member.id) || self.removed.contains(&member.id) {
            return Err(Refusal::IdExists);
        }
        if self.has_peer_url(None, &member.peer_urls) {
            return Err(Refusal::PeerUrlExists);
        }
        let learners = self.members.values().filter(|member| member.is_learner).count();
        if member.is_learner && learners >= LEARNERS_MAX {
            return Err(Refusal::TooManyLearners);
        }
        self.members.insert(member.id, member);
        Ok(())
    }

    fn remove(&mut self, id: MemberId) -> Result<(), Refusal> {
        self.known(id)?;
        let voters = self.members.values().filter(|member| !member.is_learner).count();
        if voters == 1 && !self.members[&id].is_learner {
            return Err(Refusal::NotEnoughStarted);
        }
        self.members.remove(&id);
        self.removed.insert(id);
        Ok(())
    }

    fn update(&mut self, id: MemberId, mut peer_urls: Vec<String>) -> Result<(), Refusal> {
        self.known(id)?;
        if self.has_peer_url(Some(id), &peer_urls) {
            return Err(Refusal::PeerUrlExists);
        }
        peer_urls.sort();
        self.members.get_mut(&id).ok_or(Refusal::NotFound)?.peer_urls = peer_urls;
        Ok(())
    }

    fn promote(&mut self, id: MemberId) -> Result<(), Refusal> {
        self.known(id)?;
        let member = self.members.get_mut(&id).ok_or(Refusal::NotFound)?;
        if !member.is_learner {
            return Err(Refusal::NotLearner);
        }
        member.is_learner = false;
        Ok(())
    }

    fn known(&self, id: MemberId) -> Result<(), Refusal> {
        match self.members.contains_key(&id) {
            true => Ok(()),
            false if self.removed.contains(&id) => Err(Refusal::Removed),
            false => Err(Refusal::NotFound),
        }
    }

    fn has_peer_url(&self, except: Option<MemberId>, urls: &[String]) -> bool {
        let others = self.members.values().filter(|member| Some(member.id) != except);
        others.flat_map(|member| &member.peer_urls).any(|url| urls.contains(url))
    }

    /// Who votes and who learns.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        let ids = |learners: bool| {
            let members = self.members.values().filter(move |m| m.is_learner == learners);
            members.map(|member| member.id).collect()
        };
        Configuration { voters: ids(false), learners: ids(true) }
    }

    /// The hash of the members, equal on every member of the cluster at the same log index.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let encoded = bincode::serde::encode_to_vec(self, bincode::config::standard())
            .expect("numbers, texts and ordered maps can be encoded");
        hash::of_block(&encoded)
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        let back = self.members.keys().find(|id| self.removed.contains(id));
        assert!(back.is_none(), "a removed id never comes back");
        let mut keys = self.members.iter();
        assert!(keys.all(|(id, member)| *id == member.id), "members lie under their own id");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn member(id: u64, url: &str, is_learner: bool) -> Member {
        Member {
            id: MemberId(id),
            name: String::new(),
            peer_urls: vec![url.to_string()],
            client_urls: Vec::new(),
            is_learner,
        }
    }

    fn two() -> Membership {
        let mut membership = Membership::default();
        membership.change(Change::Add(member(1, "http://a:1", false))).expect("it is the first");
        membership.change(Change::Add(member(2, "http://b:1", false))).expect("it is another");
        membership
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let rows = [
            (Change::Add(member(1, "http://c:1", false)), Refusal::IdExists),
            (Change::Add(member(3, "http://b:1", false)), Refusal::PeerUrlExists),
            (Change::Remove(MemberId(9)), Refusal::NotFound),
            (Change::Update(MemberId(1), vec!["http://b:1".to_string()]), Refusal::PeerUrlExists),
            (Change::Update(MemberId(9), Vec::new()), Refusal::NotFound),
            (Change::Promote(MemberId(1)), Refusal::NotLearner),
        ];
        for (change, refusal) in rows {
            let mut membership = two();
            assert_eq!(membership.change(change), Err(refusal));
            assert_eq!(membership, two());
        }
    }

    #[test]
    fn a_removed_id_never_comes_back_and_the_last_voter_stays() {
        let mut membership = two();
        assert_eq!(membership.change(Change::Remove(MemberId(2))), Ok(()));
        assert_eq!(membership.change(Change::Remove(MemberId(2))), Err(Refusal::Removed));
        let again = Change::Add(member(2, "http://b:2", false));
        assert_eq!(membership.change(again), Err(Refusal::IdExists));
        assert_eq!(membership.change(Change::Remove(MemberId(1))), Err(Refusal::NotEnoughStarted));
        membership.check();
    }

    #[test]
    fn one_learner_at_a_time_becomes_a_voter() {
        let mut membership = two();
        assert_eq!(membership.change(Change::Add(member(3, "http://c:1", true))), Ok(()));
        let second = Change::Add(member(4, "http://d:1", true));
        assert_eq!(membership.change(second), Err(Refusal::TooManyLearners));
        assert_eq!(membership.configuration().learners.len(), 1);
        assert_eq!(membership.change(Change::Promote(MemberId(3))), Ok(()));
        assert_eq!(membership.configuration().voters.len(), 3);
    }
}
