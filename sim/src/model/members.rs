//! The membership, as far as it decides whether a change takes effect.

use std::collections::BTreeSet;

use quorra_core::identity::MemberId;
use quorra_core::store::membership::{Change, Member};

/// Who is a member, who was, and who only learns.
#[derive(Clone, Debug, Default)]
pub struct Model {
    members: BTreeSet<MemberId>,
    learners: BTreeSet<MemberId>,
    urls: Vec<(MemberId, Vec<String>)>,
    removed: BTreeSet<MemberId>,
}

impl Model {
    /// The first configuration.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let mut model = Self::default();
        members.iter().for_each(|member| model.add(member));
        model
    }

    fn add(&mut self, member: &Member) {
        self.members.insert(member.id);
        self.urls.push((member.id, member.peer_urls.clone()));
        if member.is_learner {
            self.learners.insert(member.id);
        }
    }

    /// Whether this is a member.
    #[must_use]
    pub fn contains(&self, member: MemberId) -> bool {
        self.members.contains(&member)
    }

    /// All of them, and whether each only learns.
    #[must_use]
    pub fn roster(&self) -> BTreeSet<(MemberId, bool)> {
        self.members.iter().map(|id| (*id, self.learners.contains(id))).collect()
    }

    /// Whether this was a member, and can never be one again.
    #[must_use]
    pub fn was_removed(&self, member: MemberId) -> bool {
        self.removed.contains(&member)
    }

    fn is_taken(&self, urls: &[String], by_other_than: MemberId) -> bool {
        self.urls.iter().any(|(member, taken)| {
            *member != by_other_than && taken.iter().any(|url| urls.contains(url))
        })
    }

    /// Carries out a change. Tells how many v2 indices it takes: none if it is refused, two for a
    /// removal (the member and its attributes, as in etcd).
    pub fn apply(&mut self, change: &Change) -> usize {
        let removal = matches!(change, Change::Remove(_));
        usize::from(self.takes_effect(change)) * if removal { 2 } else { 1 }
    }

    fn takes_effect(&mut self, change: &Change) -> bool {
        match change {
            Change::Add(member) => {
                let used = self.contains(member.id) || self.removed.contains(&member.id);
                let refused = used
                    || self.is_taken(&member.peer_urls, member.id)
                    || member.is_learner && !self.learners.is_empty();
                if !refused {
                    self.add(member);
                }
                !refused
            }
            Change::Remove(member) => {
                let voters = self.members.len() - self.learners.len();
                if !self.learners.remove(member) && voters == 1 {
                    return false;
                }
                self.urls.retain(|(id, _)| id != member);
                self.members.remove(member) && self.removed.insert(*member)
            }
            Change::Update(member, urls) => {
                let allowed = self.contains(*member) && !self.is_taken(urls, *member);
                if allowed {
                    self.urls.retain(|(id, _)| id != member);
                    self.urls.push((*member, urls.clone()));
                }
                allowed
            }
            Change::Promote(member) => self.learners.remove(member),
        }
    }
}
