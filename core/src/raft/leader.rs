//! The member that takes proposals and replicates them (Raft paper, 5.3, 5.4).
//!
//! Orders go out at once, while this member's own disk still works; but it counts itself only for
//! what its disk has confirmed. It stays the leader as long as a majority answers within one
//! election timeout, and its own disk does as well.

mod handover;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::log::entry_bytes;
use super::progress::Progress;
use super::quorum;
use super::read_index::{Ask, Reads};
use super::replication::{entries_read, heartbeat, inquire, replicate};
use super::role::Next;
use super::state::State;
use super::{
    Entry, EntryKind, Index, Message, Output, Position, ReadContext, ReadReady, Refused, Term,
};
use crate::identity::MemberId;
use crate::time::Instant;
use handover::{Handover, Leaving};

/// Counts entries of earlier terms too, which is wrong: to show that the simulator finds it.
const PLANTED_PRIOR_TERM_COMMIT: bool = cfg!(feature = "planted-prior-term-commit");

/// Changes members before an entry of its own term is applied, which is wrong: for the same reason.
const PLANTED_EARLY_CHANGE: bool = cfg!(feature = "planted-early-change");
/// Commits past a change by the old majority, which is wrong: for the same reason.
const PLANTED_COMMIT_PAST_CHANGE: bool = cfg!(feature = "planted-commit-past-change");

/// See the module.
///
/// # Invariants
/// - `progress` has every other member of the configuration in force, and nobody else.
/// - Everything from `first_index` on was made in this term; it is never overwritten or removed.
#[derive(Debug)]
pub(super) struct Leader {
    progress: BTreeMap<MemberId, Progress>,
    first_index: Index,
    heartbeat_at: Instant,
    round: u64,
    reads: Reads,
    handover: Option<Handover>,
    leaving: Option<Leaving>,
    uncommitted_bytes: usize,
}

impl Leader {
    /// Takes office: the first entry is an empty one, which lets everything before it commit
    /// (Raft paper, 5.4.2).
    pub(super) fn start(state: &mut State, now: Instant) -> Self {
        assert!(state.writes.holds(state.hard_state), "its own vote is durable");
        assert!(state.hard_state.vote == Some(state.id()), "a leader voted for itself");
        let last = state.log.last().index;
        let others = state.configuration.others(state.id());
        let progress = others.map(|member| (member, Progress::new(last, now))).collect();
        let mut leader = Self {
            progress,
            first_index: last.next(),
            heartbeat_at: now + state.options.heartbeat_interval,
            round: 0,
            reads: Reads::default(),
            handover: None,
            leaving: None,
            uncommitted_bytes: state.log.entries_behind(state.commit_index).map(entry_bytes).sum(),
        };
        leader.append(state, EntryKind::Empty, Bytes::new());
        leader
    }

    pub(super) fn deadline(&self) -> Instant {
        self.handover.map_or(self.heartbeat_at, |handover| handover.deadline.min(self.heartbeat_at))
    }

    /// How far a follower's log matches.
    pub(super) fn match_index(&self, member: MemberId) -> Option<Index> {
        self.progress.get(&member).map(|progress| progress.match_index)
    }

    /// Whether a follower was heard within one election timeout.
    pub(super) fn is_active(&self, state: &State, now: Instant, member: MemberId) -> bool {
        self.progress
            .get(&member)
            .is_some_and(|progress| now.since(progress.heard_at) < state.options.election_timeout)
    }

    /// What only a leader hears. `Err` tells what no correct peer says.
    pub(super) fn step(
        &mut self,
        state: &mut State,
        now: Instant,
        from: MemberId,
        message: Message,
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        if let Some(progress) = self.progress.get_mut(&from) {
            progress.heard_at = now;
        }
        match message {
            Message::Appended { match_index, .. } => {
                self.on_appended(state, from, match_index, out)?;
            }
            Message::Rejected { prev_index, hint_index, hint_term, .. } => {
                let hint = Position { term: hint_term, index: hint_index };
                self.on_rejected(state, from, prev_index, hint);
            }
            Message::HeartbeatAnswer { round, .. } => {
                return self.on_heartbeat_answer(state, from, round, out);
            }
            Message::ReadIndex { contexts, .. } => {
                self.on_read_index(state, from, contexts, out);
            }
            Message::ChunkAnswer { snapshot, received, installed, .. } => {
                out.chunk_answers.push((from, snapshot, received.filter(|_| !installed)));
                if installed {
                    self.on_appended(state, from, snapshot.index, out)?;
                }
            }
            _ => {}
        }
        Ok(Next::Stay)
    }

    /// Takes a proposal.
    pub(super) fn propose(
        &mut self,
        state: &mut State,
        kind: EntryKind,
        payload: Bytes,
    ) -> Result<Position, Refused> {
        if self.handover.is_some() || self.leaving.is_some() {
            return Err(Refused::Transferring);
        }
        let is_first_applied = state.applied_index >= self.first_index || PLANTED_EARLY_CHANGE;
        if kind == EntryKind::Configuration
            && !(is_first_applied && state.log.first_change().is_none())
        {
            // An entry of this term must come first: else a change that an earlier leader began
            // could be replaced by one that does not share a majority with it (thesis, 4.1, as
            // corrected on raft-dev in July 2015).
            return Err(Refused::ChangePending);
        }
        let is_too_much =
            self.uncommitted_bytes + payload.len() > state.options.uncommitted_bytes_max;
        if is_too_much && self.uncommitted_bytes > 0 && kind == EntryKind::Command {
            return Err(Refused::Overloaded);
        }
        Ok(self.append(state, kind, payload))
    }

    fn append(&mut self, state: &mut State, kind: EntryKind, payload: Bytes) -> Position {
        let (term, index) = (state.term(), state.log.last().index.next());
        assert!(index >= self.first_index, "a leader only appends");
        let entry = Entry::new(term, index, kind, payload);
        self.uncommitted_bytes += entry_bytes(&entry);
        state.log.push(entry);
        Position { term, index }
    }

    pub(super) fn tick(&mut self, state: &State, now: Instant, out: &mut Output) -> Next {
        if self.handover.is_some_and(|handover| handover.deadline <= now) {
            self.handover = None;
        }
        if self.leaving.is_some_and(|leaving| leaving.deadline <= now) {
            return self.leave(state, out);
        }
        if state.options.check_quorum && !self.hears_quorum(state, now) {
            return Next::Resign("no majority answers");
        }
        let patience = state.options.election_timeout;
        if !self.progress.is_empty() && state.writes.is_stalled(now, patience) {
            self.order_best_to_campaign(state, now, out);
            return Next::Resign("its disk does not answer");
        }
        if now >= self.heartbeat_at {
            self.heartbeat_at = now + state.options.heartbeat_interval;
            self.beat(state, out);
        }
        Next::Stay
    }

    fn beat(&mut self, state: &State, out: &mut Output) {
        self.round += 1;
        for (&member, progress) in &mut self.progress {
            if progress.beat() {
                inquire(state, member, progress, out);
            }
            heartbeat(state, member, progress, self.round, out);
        }
    }

    /// Whether a majority of voters was heard within one election timeout (thesis, 6.2).
    fn hears_quorum(&self, state: &State, now: Instant) -> bool {
        let voters = state.configuration.voters.iter();
        let heard = voters.map(|voter| match self.progress.get(voter) {
            Some(progress) => progress.heard_at,
            None => now,
        });
        quorum::reached(heard)
            .is_none_or(|heard_at| now.since(heard_at) < state.options.election_timeout)
    }

    fn on_appended(
        &mut self,
        state: &mut State,
        from: MemberId,
        match_index: Index,
        out: &mut Output,
    ) -> Result<(), &'static str> {
        let Some(progress) = self.progress.get_mut(&from) else { return Ok(()) };
        if match_index > state.log.last().index {
            return Err("it acknowledges what was never sent");
        }
        if progress.acknowledged(match_index, state.log.base().index) {
            self.advance_commit(state);
        }
        self.order_target_to_campaign(state, out);
        Ok(())
    }

    fn on_rejected(&mut self, state: &State, from: MemberId, prev_index: Index, hint: Position) {
        if let Some(progress) = self.progress.get_mut(&from) {
            let agreement = state.log.agreement(hint.index, hint.term, Index(0));
            progress.rejected(prev_index, agreement);
        }
    }

    fn on_heartbeat_answer(
        &mut self,
        state: &State,
        from: MemberId,
        round: u64,
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        let Some(progress) = self.progress.get_mut(&from) else { return Ok(Next::Stay) };
        if round > self.round {
            return Err("it answers a heartbeat that was never sent");
        }
        if round > progress.round {
            progress.round = round;
            self.confirm_reads(state, out);
        }
        match self.leaving {
            Some(leaving) if self.quorum_round(state) >= leaving.round => {
                Ok(self.leave(state, out))
            }
            _ => Ok(Next::Stay),
        }
    }

    /// The newest round that a majority has answered; the leader itself follows in every round.
    fn quorum_round(&self, state: &State) -> u64 {
        let voters = state.configuration.voters.iter();
        let rounds =
            voters.map(|voter| self.progress.get(voter).map_or(self.round, |voter| voter.round));
        quorum::reached(rounds).unwrap_or(self.round)
    }

    fn confirm_reads(&mut self, state: &State, out: &mut Output) {
        for (Ask { from, contexts }, index) in self.reads.confirm(self.quorum_round(state)) {
            answer_reads(state, from, contexts, Some(index), out);
        }
    }

    /// A follower asks for a read index.
    fn on_read_index(
        &mut self,
        state: &State,
        from: MemberId,
        contexts: Vec<ReadContext>,
        out: &mut Output,
    ) {
        if let Err(Ask { contexts, .. }) = self.reads.ask(Ask { from: Some(from), contexts }) {
            answer_reads(state, Some(from), contexts, None, out);
        }
    }

    /// See [`Raft::snapshot_sent`](super::Raft::snapshot_sent).
    pub(super) fn snapshot_sent(
        &mut self,
        state: &mut State,
        to: MemberId,
        installed: Option<Position>,
    ) {
        let Some(progress) = self.progress.get_mut(&to) else { return };
        match installed {
            Some(at) if at.index <= state.log.last().index => {
                progress.acknowledged(at.index, state.log.base().index);
                self.advance_commit(state);
            }
            _ => {}
        }
        if let Some(progress) = self.progress.get_mut(&to).filter(|to| to.is_installing()) {
            progress.pause();
        }
    }

    pub(super) fn entries_read(
        &mut self,
        state: &State,
        to: MemberId,
        entries: Vec<Entry>,
        out: &mut Output,
    ) {
        if let Some(progress) = self.progress.get_mut(&to) {
            entries_read(state, to, progress, entries, out);
        }
    }

    pub(super) fn on_reachable(&mut self, peer: MemberId, up: bool) {
        match self.progress.get_mut(&peer) {
            Some(progress) if up => progress.came_back(),
            Some(progress) => progress.lost(),
            None => {}
        }
    }

    /// Commits what a majority of voters holds durably. Only entries of this term are counted:
    /// older ones may be held by a majority and still be replaced (Raft paper, figure 8). Behind
    /// a change of the configuration another majority counts: commit waits there until the change
    /// is applied.
    pub(super) fn advance_commit(&mut self, state: &mut State) {
        let voters = state.configuration.voters.iter();
        let held = voters.map(|voter| match self.progress.get(voter) {
            Some(progress) => progress.match_index,
            None => state.writes.durable_index(),
        });
        let Some(reached) = quorum::reached(held) else { return };
        let reached = reached.min(state.log.last().index);
        let of_this_term = reached >= self.first_index || PLANTED_PRIOR_TERM_COMMIT;
        if !of_this_term || reached <= state.commit_index {
            return;
        }
        let counted = state.log.term(reached) == Some(state.term()) || PLANTED_PRIOR_TERM_COMMIT;
        assert!(counted, "only this term's are counted");
        let change = state.log.first_change().filter(|_| !PLANTED_COMMIT_PAST_CHANGE);
        let capped = change.map_or(reached, |change| change.min(reached));
        let before = state.commit_index;
        state.commit(capped);
        let committed = state.log.entries_behind(before).take_while(|entry| entry.index <= capped);
        let bytes: usize = committed.map(entry_bytes).sum();
        assert!(bytes <= self.uncommitted_bytes, "what is uncommitted was counted");
        self.uncommitted_bytes -= bytes;
    }

    /// A configuration is in force: replicate to those in it, count with it.
    pub(super) fn reconfigure(&mut self, state: &mut State) {
        let configuration = &state.configuration;
        self.progress.retain(|&member, _| configuration.contains(member));
        let last = state.log.last().index;
        for member in configuration.others(state.id()) {
            self.progress.entry(member).or_insert_with(|| Progress::new(last, state.now));
        }
        if self.handover.is_some_and(|handover| !configuration.is_voter(handover.target)) {
            self.handover = None;
        }
        self.advance_commit(state);
    }

    /// The turn has ended.
    pub(super) fn flush(&mut self, state: &mut State, now: Instant, out: &mut Output) -> Next {
        if !state.configuration.is_voter(state.id()) && self.leaving.is_none() {
            self.round += 1;
            let deadline = now + state.options.election_timeout;
            self.leaving = Some(Leaving { round: self.round, deadline });
            self.broadcast(state, out);
        }
        self.flush_reads(state, out);
        for (&member, progress) in &mut self.progress {
            replicate(state, member, progress, self.round, out);
        }
        if self.leaving.is_some() && self.progress.is_empty() {
            return self.leave(state, out);
        }
        Next::Stay
    }

    fn broadcast(&mut self, state: &State, out: &mut Output) {
        for (&member, progress) in &mut self.progress {
            heartbeat(state, member, progress, self.round, out);
        }
    }

    fn flush_reads(&mut self, state: &mut State, out: &mut Output) {
        let contexts = mem::take(&mut state.reads);
        if !contexts.is_empty()
            && let Err(Ask { contexts, .. }) = self.reads.ask(Ask { from: None, contexts })
        {
            answer_reads(state, None, contexts, None, out);
        }
        if state.commit_index < self.first_index || !self.reads.want_round() {
            return;
        }
        self.round += 1;
        self.reads.start(self.round, state.commit_index);
        self.broadcast(state, out);
        self.confirm_reads(state, out);
    }

    /// Leadership has ended: its reads fail. Followers hear of it when the term is still the same;
    /// else they notice by themselves.
    pub(super) fn close(self, state: &State, term: Term, out: &mut Output) {
        for Ask { from, contexts } in self.reads.abandon() {
            match from {
                Some(_) if term != state.term() => {}
                _ => answer_reads(state, from, contexts, None, out),
            }
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, state: &State) {
        assert!(state.hard_state.vote == Some(state.id()), "a leader voted for itself");
        assert!(self.first_index <= state.log.last().index, "it began with an entry");
        let mut members = state.configuration.others(state.id());
        assert!(members.all(|member| self.progress.contains_key(&member)), "all are tracked");
        let is_known = |member: &MemberId| state.configuration.contains(*member);
        assert!(self.progress.keys().all(is_known), "strangers are not tracked");
        let last = state.log.last().index;
        self.progress.values().for_each(|progress| progress.check(&state.options, last));
        let bytes: usize = state.log.entries_behind(state.commit_index).map(entry_bytes).sum();
        assert!(bytes == self.uncommitted_bytes, "uncommitted bytes are counted");
        self.reads.check(self.round);
    }
}

fn answer_reads(
    state: &State,
    from: Option<MemberId>,
    contexts: Vec<ReadContext>,
    index: Option<Index>,
    out: &mut Output,
) {
    match from {
        None => out.reads.extend(contexts.into_iter().map(|context| ReadReady { context, index })),
        Some(member) => {
            let term = state.term();
            out.messages.push((member, Message::ReadIndexAnswer { term, contexts, index }));
        }
    }
}
