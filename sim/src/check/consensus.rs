//! The rules of consensus, watched from outside while the world runs.
//!
//! Ghost state: who led which term, who voted for whom, what was ever seen at an index in a term,
//! which entry was applied at an index, and the state's hash there. Each thing that a member says
//! or shows is compared with what any member said or showed before.

use std::collections::BTreeMap;

use quorra_core::identity::MemberId;
use quorra_core::raft::{Entry, Index, Message, Term};
use quorra_core::store::membership::Membership as Shown;

use super::membership::Membership;
use super::{Verdict, Violation, require};

/// What a running member shows of itself.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The present term.
    pub term: Term,
    /// Whether it leads in that term.
    pub leads: bool,
    /// What it knows to be committed.
    pub commit_index: Index,
    /// What it has applied.
    pub applied_index: Index,
    /// Its last entry.
    pub last_index: Index,
    /// What its log begins behind.
    pub base_index: Index,
    /// The hash of its state, and the index that the hash belongs to; none while an entry is
    /// half applied.
    pub state_hash: Option<(Index, u64)>,
}

/// What one member has claimed and shown so far.
#[derive(Debug, Default)]
struct Seen {
    claimed_term: Term,
    shown_revision: i64,
    shown_v2_index: u64,
    running: Option<View>,
    /// Its log behind what it has applied.
    unapplied: BTreeMap<Index, Entry>,
}

/// The ghost state of a cluster.
#[derive(Debug, Default)]
pub struct Consensus {
    leaders: BTreeMap<Term, MemberId>,
    votes: BTreeMap<(MemberId, Term), MemberId>,
    entries: BTreeMap<(Index, Term), (u32, Option<Term>)>,
    applied: BTreeMap<Index, Entry>,
    /// The term in which each entry was first applied: it was committed by then.
    known_in: BTreeMap<Index, Term>,
    /// When each entry was first seen applied, by true time.
    applied_at: BTreeMap<Index, u64>,
    hashes: BTreeMap<Index, u64>,
    members: BTreeMap<MemberId, Seen>,
    highest_term: Term,
    membership: Membership,
}

impl Consensus {
    /// A member sent this.
    ///
    /// # Errors
    /// When it must not have.
    pub fn sent(&mut self, from: MemberId, to: MemberId, message: &Message) -> Verdict {
        let (term, claims) = match message {
            Message::RequestVote { term, pre: false, .. } => {
                self.votes_once(from, *term, from)?;
                (*term, true)
            }
            Message::Vote { term, pre: false, granted: true } => {
                self.votes_once(from, *term, to)?;
                (*term, true)
            }
            Message::Append { term, prev_index, prev_term, entries, .. } => {
                self.leads(from, *term)?;
                self.append(*prev_index, *prev_term, entries)?;
                (*term, true)
            }
            Message::Heartbeat { term, .. } => {
                self.leads(from, *term)?;
                (*term, true)
            }
            Message::Appended { term, .. } => (*term, true),
            _ => (Term(0), false),
        };
        let seen = self.members.entry(from).or_default();
        if claims {
            require(term >= seen.claimed_term, || {
                format!("member {from} speaks in term {term} after {}", seen.claimed_term)
            })?;
            seen.claimed_term = term;
        }
        Ok(())
    }

    /// Raft paper, 5.2: one vote in a term.
    fn votes_once(&mut self, voter: MemberId, term: Term, candidate: MemberId) -> Verdict {
        let first = *self.votes.entry((voter, term)).or_insert(candidate);
        require(first == candidate, || {
            format!("member {voter} votes for {candidate} after {first} in term {term}")
        })
    }

    /// Raft paper, 5.2: one leader in a term.
    fn leads(&mut self, member: MemberId, term: Term) -> Verdict {
        let first = *self.leaders.entry(term).or_insert(member);
        require(first == member, || format!("members {first} and {member} lead in term {term}"))
    }

    /// Raft paper, 5.3: an index and a term name one entry, and everything before it.
    fn append(&mut self, prev_index: Index, prev_term: Term, entries: &[Entry]) -> Verdict {
        let (mut index, mut term) = (prev_index, prev_term);
        for entry in entries {
            require(entry.index == index.next() && entry.term >= term, || {
                format!("entry {} of term {} follows {index} of {term}", entry.index, entry.term)
            })?;
            self.matches(entry, Some(term))?;
            (index, term) = (entry.index, entry.term);
        }
        Ok(())
    }

    fn matches(&mut self, entry: &Entry, before: Option<Term>) -> Verdict {
        self.membership.saw(entry);
        let new = (entry.checksum, before);
        let first = self.entries.entry((entry.index, entry.term)).or_insert(new);
        let same = first.0 == entry.checksum
            && (first.1.is_none() || before.is_none() || first.1 == before);
        first.1 = first.1.or(before);
        require(same, || format!("two entries at index {} in term {}", entry.index, entry.term))
    }

    /// A member shows this after a turn, at that true time. `entry` reads its log where that is in
    /// memory.
    ///
    /// # Errors
    /// When it must not.
    pub fn shows<'a>(
        &mut self,
        now: u64,
        member: MemberId,
        view: View,
        entry: impl Fn(Index) -> Option<&'a Entry>,
    ) -> Verdict {
        let before = self.members.entry(member).or_default().running.replace(view);
        let first = before.map_or(Index(1), |before| before.applied_index.next());
        if let Some(before) = before {
            require(view.term >= before.term, || format!("member {member}'s term goes back"))?;
            require(view.commit_index >= before.commit_index, || {
                format!("member {member}'s commit index goes back to {}", view.commit_index)
            })?;
            require(view.applied_index >= before.applied_index, || {
                format!("member {member}'s applied index goes back to {}", view.applied_index)
            })?;
        }
        require(view.applied_index <= view.commit_index, || {
            format!("member {member} has applied {} uncommitted", view.applied_index)
        })?;
        self.highest_term = self.highest_term.max(view.term);
        if view.leads {
            self.leads(member, view.term)?;
            if before.is_none_or(|before| !before.leads || before.term != view.term) {
                self.is_complete(member, view.term, &entry)?;
                self.membership.elected(member, view.applied_index)?;
            }
        }
        let remembered = &mut self.members.entry(member).or_default().unapplied;
        let mut unapplied = std::mem::take(remembered);
        // A snapshot replaces the log: what was remembered of the old one was never applied.
        let installed = before.is_some_and(|before| view.base_index > before.applied_index);
        let shorter = unapplied.last_key_value().is_some_and(|(last, _)| *last > view.last_index);
        let kept = !installed && !shorter;
        let known = |index: &Index| entry(*index).is_some() || unapplied.contains_key(index);
        let gapless = (first.0..=view.applied_index.0).map(Index).all(|index| known(&index));
        for index in (first.0..=view.applied_index.0).map(Index) {
            let remembered = unapplied.get(&index).filter(|_| kept && gapless);
            if let Some(entry) = entry(index).or(remembered) {
                self.applies(member, view.term, entry)?;
                self.applied_at.entry(index).or_insert(now);
            }
        }
        unapplied.clear();
        for index in (view.applied_index.next().0..=view.last_index.0).map(Index) {
            unapplied.extend(entry(index).map(|entry| (index, entry.clone())));
        }
        self.membership.log(member, view, &unapplied)?;
        self.members.entry(member).or_default().unapplied = unapplied;
        self.membership.follow(&self.applied);
        view.state_hash.map_or(Ok(()), |state_hash| self.agrees(member, state_hash))
    }

    /// Raft paper, 5.4.3: a new leader's log holds everything committed.
    fn is_complete<'a>(
        &self,
        member: MemberId,
        term: Term,
        entry: &impl Fn(Index) -> Option<&'a Entry>,
    ) -> Verdict {
        for (index, applied) in self.applied.iter().rev().take(20) {
            if self.known_in.get(index).is_some_and(|known| *known >= term) {
                continue;
            }
            if let Some(own) = entry(*index) {
                require((own.term, own.checksum) == (applied.term, applied.checksum), || {
                    format!("new leader {member} lacks the committed entry at {index}")
                })?;
            }
        }
        Ok(())
    }

    /// Raft paper, 5.4.3: no two members apply different entries at an index.
    fn applies(&mut self, member: MemberId, term: Term, entry: &Entry) -> Verdict {
        self.matches(entry, None)?;
        self.known_in.entry(entry.index).or_insert(term);
        let first = self.applied.entry(entry.index).or_insert_with(|| entry.clone());
        require((first.term, first.checksum) == (entry.term, entry.checksum), || {
            format!("member {member} applies another entry at index {}", entry.index)
        })
    }

    fn agrees(&mut self, member: MemberId, (index, hash): (Index, u64)) -> Verdict {
        let first = *self.hashes.entry(index).or_insert(hash);
        require(first == hash, || format!("member {member}'s state differs at index {index}"))
    }

    /// A member shows who the members are, after the entry at `applied`.
    ///
    /// # Errors
    /// When the ledger says otherwise.
    pub fn names(&self, member: MemberId, applied: Index, shown: &Shown) -> Verdict {
        self.membership.shows(member, applied, shown)
    }

    /// A member ended because it was removed.
    ///
    /// # Errors
    /// When the ledger, which must be whole, says otherwise.
    pub fn left(&self, member: MemberId) -> Verdict {
        let removed = self.membership.removes(member);
        require(removed, || format!("member {member} left, and was never removed"))
    }

    /// A member told a client that the stores are this far.
    ///
    /// # Errors
    /// When it had shown more before, restarts included.
    pub fn tells(&mut self, member: MemberId, revision: i64, v2_index: u64) -> Verdict {
        let seen = self.members.entry(member).or_default();
        let newer = revision >= seen.shown_revision && v2_index >= seen.shown_v2_index;
        let older = (seen.shown_revision, seen.shown_v2_index);
        require(newer, || {
            format!(
                "member {member} shows revision {revision}, v2 index {v2_index} after {older:?}"
            )
        })?;
        (seen.shown_revision, seen.shown_v2_index) = (revision, v2_index);
        Ok(())
    }

    /// A member ended: what it only had in memory may come back older.
    pub fn ended(&mut self, member: MemberId) {
        let seen = self.members.entry(member).or_default();
        seen.running = None;
        seen.unapplied.clear();
    }

    /// The highest term that anyone was in.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        self.highest_term
    }

    /// Every applied entry, by index, as far as any member could show it.
    #[must_use]
    pub fn ledger(&self) -> &BTreeMap<Index, Entry> {
        &self.applied
    }

    /// When each entry was first seen applied, by true time in nanoseconds.
    #[must_use]
    pub fn applied_at(&self) -> &BTreeMap<Index, u64> {
        &self.applied_at
    }

    /// The ledger, if it has no gap from the first entry on.
    ///
    /// # Errors
    /// When an applied entry was never seen.
    pub fn whole_ledger(&self) -> Result<Vec<&Entry>, Violation> {
        for (position, index) in (1..).zip(self.applied.keys()) {
            require(index.0 == position, || format!("nobody ever showed entry {position}"))?;
        }
        Ok(self.applied.values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quorra_core::raft::EntryKind;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn entry(term: u64, index: u64, payload: &'static str) -> Entry {
        let payload = Bytes::from_static(payload.as_bytes());
        Entry::new(Term(term), Index(index), EntryKind::Command, payload)
    }

    fn vote(term: u64) -> Message {
        Message::Vote { term: Term(term), pre: false, granted: true }
    }

    fn append(term: u64, prev: (u64, u64), entries: Vec<Entry>) -> Message {
        let (prev_term, prev_index) = (Term(prev.0), Index(prev.1));
        Message::Append { term: Term(term), prev_index, prev_term, commit_index: Index(0), entries }
    }

    fn view(term: u64, commit: u64, applied: u64, hash: u64) -> View {
        View {
            term: Term(term),
            leads: false,
            commit_index: Index(commit),
            applied_index: Index(applied),
            last_index: Index(commit),
            base_index: Index(0),
            state_hash: Some((Index(applied), hash)),
        }
    }

    fn broken(verdict: Verdict, rule: &str) {
        let violation = verdict.expect_err("the rule is broken").0;
        assert!(violation.contains(rule), "{violation}");
    }

    #[test]
    fn a_second_vote_is_caught() {
        let mut consensus = Consensus::default();
        assert_eq!(consensus.sent(A, B, &vote(2)), Ok(()));
        assert_eq!(consensus.sent(A, B, &vote(2)), Ok(()));
        broken(consensus.sent(A, MemberId(3), &vote(2)), "votes for 3 after 2");
    }

    #[test]
    fn a_second_leader_is_caught() {
        let mut consensus = Consensus::default();
        assert_eq!(consensus.sent(A, B, &append(2, (0, 0), vec![])), Ok(()));
        broken(consensus.sent(B, A, &append(2, (0, 0), vec![])), "lead in term 2");
    }

    #[test]
    fn a_term_that_goes_back_is_caught_across_restarts() {
        let mut consensus = Consensus::default();
        assert_eq!(consensus.sent(A, B, &vote(3)), Ok(()));
        consensus.ended(A);
        broken(consensus.sent(A, B, &vote(2)), "speaks in term 2 after 3");
    }

    #[test]
    fn logs_that_do_not_match_are_caught() {
        let mut consensus = Consensus::default();
        assert_eq!(consensus.sent(A, B, &append(2, (1, 4), vec![entry(2, 5, "x")])), Ok(()));
        let other = consensus.sent(A, B, &append(2, (1, 4), vec![entry(2, 5, "y")]));
        broken(other, "two entries at index 5 in term 2");
        let other_before = consensus.sent(A, B, &append(2, (2, 4), vec![entry(2, 5, "x")]));
        broken(other_before, "two entries at index 5 in term 2");
    }

    #[test]
    fn another_applied_entry_and_another_state_are_caught() {
        let mut consensus = Consensus::default();
        let (one, two) = (entry(1, 1, "x"), entry(2, 1, "y"));
        let show = |consensus: &mut Consensus, member, entry: &Entry, hash| {
            consensus.shows(0, member, view(2, 0, 0, 0), |_| None)?;
            consensus.shows(0, member, view(2, 1, 1, hash), |_| Some(entry))
        };
        assert_eq!(show(&mut consensus, A, &one, 7), Ok(()));
        broken(show(&mut consensus, B, &two, 7), "applies another entry");
        broken(show(&mut consensus, MemberId(3), &one, 8), "state differs at index 1");
    }

    #[test]
    fn what_goes_back_is_caught() {
        for (later, rule) in [
            (view(1, 5, 5, 0), "term goes back"),
            (view(2, 4, 4, 0), "commit index goes back"),
            (view(2, 5, 4, 0), "applied index goes back"),
            (view(2, 5, 6, 0), "applied 6 uncommitted"),
        ] {
            let mut consensus = Consensus::default();
            assert_eq!(consensus.shows(0, A, view(2, 5, 5, 0), |_| None), Ok(()));
            broken(consensus.shows(0, A, later, |_| None), rule);
        }
    }

    #[test]
    fn an_older_revision_is_caught_across_restarts() {
        let mut consensus = Consensus::default();
        assert_eq!(consensus.tells(A, 5, 3), Ok(()));
        consensus.ended(A);
        broken(consensus.tells(A, 4, 3), "shows revision 4");
    }

    #[test]
    fn a_new_leader_without_a_committed_entry_is_caught() {
        let mut consensus = Consensus::default();
        let committed = entry(1, 1, "x");
        assert_eq!(consensus.shows(0, A, view(1, 0, 0, 0), |_| None), Ok(()));
        assert_eq!(consensus.shows(0, A, view(1, 1, 1, 1), |_| Some(&committed)), Ok(()));
        let other = entry(2, 1, "y");
        let leader = View { leads: true, ..view(3, 0, 0, 0) };
        broken(consensus.shows(0, B, leader, |_| Some(&other)), "lacks the committed entry at 1");
    }
}
