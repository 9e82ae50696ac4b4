//! The rules of changing members, watched from outside.
//!
//! The ghost state is the membership as the ledger of applied entries makes it, at each index. A
//! member's log shows whether its leader kept the rules that make changes one by one safe (see
//! `quorra_core::raft`); its state shows whether it names the members that the ledger names.

use std::collections::{BTreeMap, BTreeSet};

use quorra_core::identity::MemberId;
use quorra_core::raft::{Entry, EntryKind, Index, Term};
use quorra_core::store::command::{Body, Command};
use quorra_core::store::membership::Membership as Shown;

use super::consensus::View;
use super::{Verdict, require};
use crate::model::members::Model;

/// Members, and whether each only learns.
type Roster = BTreeSet<(MemberId, bool)>;

/// The ghost state of the membership.
#[derive(Debug, Default)]
pub struct Membership {
    model: Model,
    /// The ledger is followed up to here.
    followed: Index,
    /// The members from each index on.
    rosters: BTreeMap<Index, Roster>,
    /// The first index that any entry of a term was ever seen at.
    begins: BTreeMap<Term, Index>,
}

impl Membership {
    /// An entry was seen.
    pub fn saw(&mut self, entry: &Entry) {
        let first = self.begins.entry(entry.term).or_insert(entry.index);
        *first = entry.index.min(*first);
    }

    /// The ledger has grown.
    pub fn follow(&mut self, ledger: &BTreeMap<Index, Entry>) {
        while let Some(entry) = ledger.get(&self.followed.next()) {
            self.followed = entry.index;
            if entry.kind != EntryKind::Configuration {
                continue;
            }
            if let Ok(Command { body: Body::Membership(change), .. }) =
                Command::decode(entry.payload.clone())
                && self.model.apply(&change) > 0
            {
                self.rosters.insert(entry.index, self.model.roster());
            }
        }
    }

    /// The members at an index, as far as the ledger is known.
    fn at(&self, index: Index) -> Option<&Roster> {
        if index > self.followed {
            return None;
        }
        self.rosters.range(..=index).next_back().map(|(_, roster)| roster)
    }

    /// A member shows the members after the entry at `applied`.
    ///
    /// # Errors
    /// When they are not the ledger's, or an id came back.
    pub fn shows(&self, member: MemberId, applied: Index, shown: &Shown) -> Verdict {
        let Some(expected) = self.at(applied) else { return Ok(()) };
        let named = shown.members.values().map(|named| (named.id, named.is_learner));
        let found: Roster = named.collect();
        require(found == *expected, || {
            format!("member {member} names {found:?} at {applied}, the ledger {expected:?}")
        })?;
        let back = shown.members.keys().find(|id| shown.removed.contains(id));
        require(back.is_none(), || format!("member {member} names {back:?}, who was removed"))
    }

    /// Whether the ledger, as far as it is known, removes a member.
    #[must_use]
    pub fn removes(&self, member: MemberId) -> bool {
        self.model.was_removed(member)
    }

    /// A member has won an election.
    ///
    /// # Errors
    /// When what it has applied says that it has no vote.
    pub fn elected(&self, member: MemberId, applied: Index) -> Verdict {
        let votes = self.at(applied).is_none_or(|roster| roster.contains(&(member, false)));
        require(votes, || format!("member {member} leads, and is no voter at {applied}"))
    }

    /// What a member's log holds behind what it has applied.
    ///
    /// # Errors
    /// When a leader changed members too early, or too many at once.
    pub fn log(&self, member: MemberId, view: View, unapplied: &BTreeMap<Index, Entry>) -> Verdict {
        let changes = || unapplied.values().filter(|e| e.kind == EntryKind::Configuration);
        let open = changes().filter(|change| change.index > view.commit_index).count();
        require(open <= 1, || format!("member {member} holds {open} changes that may not come"))?;
        if !view.leads {
            return Ok(());
        }
        for change in changes() {
            require(change.index >= view.commit_index, || {
                let passed = change.index;
                format!(
                    "leader {member} commits {}, past the change at {passed}",
                    view.commit_index
                )
            })?;
            let begins = self.begins.get(&change.term).copied().unwrap_or(change.index);
            let is_own = change.term == view.term;
            require(!is_own || begins <= view.applied_index, || {
                format!("leader {member} changes members before entry {begins} of its term")
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quorra_core::store::command::Identity;
    use quorra_core::store::membership::{Change, Member};
    use quorra_core::time::WallTime;

    fn member(id: u64, is_learner: bool) -> Member {
        Member {
            id: MemberId(id),
            name: String::new(),
            peer_urls: vec![format!("http://{id}")],
            client_urls: Vec::new(),
            is_learner,
        }
    }

    fn change(term: u64, index: u64, change: Change) -> Entry {
        let (identity, user) = (Identity::default(), Bytes::new());
        let body = Body::Membership(change);
        let command = Command { identity, stamp: WallTime(0), user, body };
        Entry::new(Term(term), Index(index), EntryKind::Configuration, command.encode())
    }

    fn ghost() -> Membership {
        let mut ghost = Membership::default();
        let entries = [
            change(1, 1, Change::Add(member(1, false))),
            change(1, 2, Change::Add(member(2, false))),
            change(1, 3, Change::Add(member(3, true))),
            change(2, 5, Change::Remove(MemberId(2))),
        ];
        let empty = Entry::new(Term(2), Index(4), EntryKind::Empty, Bytes::new());
        let all = entries.into_iter().chain([empty]).map(|entry| (entry.index, entry));
        let ledger: BTreeMap<Index, Entry> = all.collect();
        ledger.values().for_each(|entry| ghost.saw(entry));
        ghost.follow(&ledger);
        ghost
    }

    fn view(term: u64, commit: u64, applied: u64) -> View {
        View {
            term: Term(term),
            leads: true,
            commit_index: Index(commit),
            applied_index: Index(applied),
            last_index: Index(9),
            base_index: Index(0),
            state_hash: None,
        }
    }

    fn broken(verdict: Verdict, rule: &str) {
        let violation = verdict.expect_err("the rule is broken").0;
        assert!(violation.contains(rule), "{violation}");
    }

    #[test]
    fn only_voters_are_elected_and_never_again_once_removed() {
        assert_eq!(ghost().elected(MemberId(2), Index(4)), Ok(()));
        broken(ghost().elected(MemberId(2), Index(5)), "2 leads, and is no voter at 5");
        broken(ghost().elected(MemberId(3), Index(5)), "3 leads, and is no voter at 5");
    }

    #[test]
    fn another_membership_than_the_ledgers_is_caught() {
        let mut shown = Shown::default();
        for id in [1, 3] {
            shown.members.insert(MemberId(id), member(id, id == 3));
        }
        shown.removed.insert(MemberId(2));
        assert_eq!(ghost().shows(MemberId(1), Index(5), &shown), Ok(()));
        broken(ghost().shows(MemberId(1), Index(4), &shown), "the ledger");
        shown.removed.insert(MemberId(3));
        broken(ghost().shows(MemberId(1), Index(5), &shown), "who was removed");
    }

    #[test]
    fn changes_that_come_too_early_or_together_are_caught() {
        let log = |entries: Vec<Entry>, view: View| {
            let unapplied = entries.into_iter().map(|entry| (entry.index, entry)).collect();
            ghost().log(MemberId(1), view, &unapplied)
        };
        let promote = |index| change(2, index, Change::Promote(MemberId(3)));
        assert_eq!(log(vec![promote(6)], view(2, 5, 5)), Ok(()));
        assert_eq!(log(vec![promote(6), promote(7)], view(2, 6, 5)), Ok(()));
        broken(log(vec![promote(6), promote(7)], view(2, 5, 5)), "holds 2 changes");
        broken(log(vec![promote(6)], view(2, 7, 5)), "past the change at 6");
        broken(log(vec![promote(6)], view(2, 3, 3)), "before entry 4 of its term");
    }
}
