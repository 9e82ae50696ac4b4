//! Raft's safety properties (Raft paper, figure 3), judged from outside after every step, and the
//! rule that nothing is claimed before it is durable, judged for every message.

use std::collections::BTreeMap;

use quorra_core::identity::MemberId;
use quorra_core::raft::{EntryKind, Index, Message, Position, Raft, ReadContext, RoleName, Term};

use crate::cluster::Disk;

/// What is true of the whole cluster once and for all.
#[derive(Default)]
pub(crate) struct Witness {
    leaders: BTreeMap<Term, MemberId>,
    committed: BTreeMap<Index, (Term, u32)>,
    /// An entry's index and term fix its content and the term of the entry before.
    entries: BTreeMap<(Index, Term), (u32, Option<Term>)>,
    seen: BTreeMap<MemberId, (Term, Index)>,
    votes: BTreeMap<(MemberId, Term), MemberId>,
    reads: BTreeMap<(MemberId, ReadContext), Index>,
}

impl Witness {
    /// A member restarts from its disk. A term that was not durable may be forgotten, for nobody
    /// heard of it; what was known to be committed is only advice.
    pub(crate) fn restarted(&mut self, member: MemberId, disk: &Disk) {
        self.seen.insert(member, (disk.hard_state.term, Index(0)));
    }

    /// Judges a member after it was given something.
    pub(crate) fn judge(&mut self, member: MemberId, raft: &Raft, base: Position) {
        raft.check();
        let (term, commit_index) =
            self.seen.insert(member, (raft.term(), raft.commit_index())).unwrap_or_default();
        assert!(raft.term() >= term, "{member}: its term went back");
        assert!(raft.commit_index() >= commit_index, "{member}: its commit index went back");
        assert!(raft.applicable_index() <= raft.commit_index(), "{member}: applies too much");
        self.judge_log(member, raft, base);
        self.judge_commit(member, raft, base);
        if raft.role() == RoleName::Leader {
            let leader = *self.leaders.entry(raft.term()).or_insert(member);
            assert_eq!(leader, member, "two members lead term {}", raft.term());
            self.judge_leader(member, raft, base);
        }
    }

    fn judge_log(&mut self, member: MemberId, raft: &Raft, base: Position) {
        let mut previous = None;
        for index in base.index.0..=raft.last().index.0 {
            let Some(entry) = raft.entry(Index(index)) else {
                previous = (index == base.index.0).then_some(base.term);
                continue;
            };
            let place = (entry.index, entry.term);
            let (checksum, before) =
                self.entries.entry(place).or_insert((entry.checksum, previous));
            assert_eq!(*checksum, entry.checksum, "{member}: {place:?} differs between logs");
            if let (Some(before), Some(previous)) = (*before, previous) {
                assert_eq!(before, previous, "{member}: logs differ before {place:?}");
            }
            previous = Some(entry.term);
        }
    }

    fn judge_commit(&mut self, member: MemberId, raft: &Raft, base: Position) {
        for index in base.index.0 + 1..=raft.commit_index().0 {
            if let Some(entry) = raft.entry(Index(index)) {
                let content = (entry.term, entry.checksum);
                let known = self.committed.entry(entry.index).or_insert(content);
                assert_eq!(*known, content, "{member}: another entry is committed at {index}");
            }
        }
    }

    fn judge_leader(&self, member: MemberId, raft: &Raft, base: Position) {
        for (&index, (term, _)) in self.committed.range(base.index.next()..) {
            assert!(index <= raft.last().index, "{member} leads without committed {index}");
            if let Some(entry) = raft.entry(index) {
                assert_eq!(entry.term, *term, "{member} leads with another entry at {index}");
            }
        }
    }

    /// A read is asked for: it must see everything that is committed anywhere by now.
    pub(crate) fn asked(&mut self, member: MemberId, context: ReadContext) {
        let newest = self.committed.last_key_value().map_or(Index(0), |(index, _)| *index);
        self.reads.insert((member, context), newest);
    }

    /// Judges a read that was confirmed.
    pub(crate) fn judge_read(&self, member: MemberId, context: ReadContext, index: Index) {
        let newest = self.reads.get(&(member, context)).expect("only what was asked is answered");
        assert!(index >= *newest, "{member}: a read at {index} misses what is committed");
    }

    /// Judges a message against what its sender's disk holds at that moment.
    pub(crate) fn judge_message(
        &mut self,
        from: MemberId,
        to: MemberId,
        message: &Message,
        disk: &Disk,
    ) {
        let carried = match message {
            Message::RequestVote { pre: true, term, .. }
            | Message::Vote { pre: true, granted: true, term } => Term(term.0 - 1),
            message => message.term(),
        };
        let granted_ahead = matches!(message, Message::Vote { pre: true, granted: true, .. });
        assert!(granted_ahead || disk.hard_state.term >= carried, "{from}: {message:?} too early");
        match message {
            Message::Vote { pre: false, granted: true, .. } => {
                assert_eq!(disk.hard_state.vote, Some(to), "{from}: a vote that is not durable");
                let voted = *self.votes.entry((from, message.term())).or_insert(to);
                assert_eq!(voted, to, "{from} votes twice in {}", message.term());
            }
            Message::RequestVote { pre, last_index, last_term, .. } => {
                assert!(*pre || disk.hard_state.vote == Some(from), "{from}: its own vote");
                let last = Position { term: *last_term, index: *last_index };
                assert_eq!(disk.last(), last, "{from}: boasts of a log that is not durable");
            }
            Message::Appended { match_index, .. } => {
                assert!(disk.last().index >= *match_index, "{from}: acknowledges too early");
            }
            Message::Append { entries, .. } => {
                let mut changes = entries.iter().filter(|e| e.kind == EntryKind::Configuration);
                assert!(changes.all(|entry| !entry.payload.is_empty()), "{from}: a change is one");
            }
            _ => {}
        }
    }
}
