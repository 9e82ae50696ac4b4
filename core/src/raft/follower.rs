//! A member that takes a leader's entries (Raft paper, 5.3), or waits for a leader.

use alloc::vec::Vec;
use core::mem;

use super::candidate::Campaign;
use super::read_index::Forwarded;
use super::role::Next;
use super::state::State;
use super::{
    Configuration, Entry, Index, Message, Output, Position, ReadReady, SnapshotChunk, SnapshotId,
    Term,
};
use crate::identity::MemberId;
use crate::time::Instant;

/// See the module.
///
/// # Invariants
/// - `told` is not above `State::verified`: acknowledgements name what is durable *and* the
///   leader's.
#[derive(Debug)]
pub(super) struct Follower {
    leader: Option<MemberId>,
    heard_at: Instant,
    deadline: Instant,
    told: Index,
    owes_answer: bool,
    receiving: Option<(SnapshotId, u64)>,
    forwarded: Forwarded,
}

impl Follower {
    pub(super) fn new(leader: Option<MemberId>, now: Instant, deadline: Instant) -> Self {
        Self {
            leader,
            heard_at: now,
            deadline,
            told: Index(0),
            owes_answer: false,
            receiving: None,
            forwarded: Forwarded::default(),
        }
    }

    pub(super) fn leader(&self) -> Option<MemberId> {
        self.leader
    }

    /// The end of the election timeout.
    pub(super) fn election_deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn deadline(&self) -> Instant {
        self.forwarded.deadline().map_or(self.deadline, |expiry| expiry.min(self.deadline))
    }

    /// Whether a leader was heard within the base timeout: then nobody gets a vote (thesis,
    /// 4.2.3), lest a member that only fails to hear the leader depose it.
    pub(super) fn hears_leader(&self, state: &State, now: Instant) -> bool {
        self.leader.is_some() && now.since(self.heard_at) < state.options.election_timeout
    }

    /// A valid message of this term's leader came. False if another one leads this term.
    pub(super) fn heed(&mut self, state: &mut State, now: Instant, from: MemberId) -> bool {
        if *self.leader.get_or_insert(from) != from {
            return false;
        }
        self.heard_at = now;
        self.deadline = state.election_deadline(now);
        true
    }

    /// A vote was granted: its candidate gets its time.
    pub(super) fn voted(&mut self, state: &mut State, now: Instant) {
        self.deadline = state.election_deadline(now);
    }

    /// Nothing is to be waited for: the next tick campaigns.
    pub(super) fn hurry(&mut self) {
        self.deadline = Instant(0);
    }

    pub(super) fn tick(&mut self, state: &State, now: Instant, out: &mut Output) -> Next {
        self.forwarded.expire(now, out);
        if now < self.deadline { Next::Stay } else { Next::campaign(state) }
    }

    /// What only a follower hears. `Err` tells what no correct peer says.
    pub(super) fn step(
        &mut self,
        state: &mut State,
        from: MemberId,
        message: Message,
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        match message {
            Message::Append { prev_index, prev_term, commit_index, entries, .. } => {
                let prev = Position { term: prev_term, index: prev_index };
                self.on_append(state, prev, commit_index, entries, out)?;
            }
            Message::Heartbeat { commit_index, round, .. } => {
                Self::on_heartbeat(state, from, commit_index, round, out);
            }
            Message::Chunk { chunk, .. } => self.on_chunk(state, from, chunk, out),
            Message::TimeoutNow { .. } => return Ok(Self::on_timeout_now(state)),
            Message::ReadIndexAnswer { contexts, index, .. } if self.leader == Some(from) => {
                self.forwarded.answer(contexts, index, out);
            }
            // A read that was asked of this member when it led, or by mistake.
            Message::ReadIndex { contexts, .. } => {
                let (term, index) = (state.term(), None);
                state.claim_term(from, Message::ReadIndexAnswer { term, contexts, index }, out);
            }
            _ => {}
        }
        Ok(Next::Stay)
    }

    /// Entries of the leader. `Err` tells what no correct leader does.
    fn on_append(
        &mut self,
        state: &mut State,
        prev: Position,
        leader_commit: Index,
        mut entries: Vec<Entry>,
        out: &mut Output,
    ) -> Result<(), &'static str> {
        let leader = self.leader.ok_or("an append without a leader")?;
        let mut last = entries.last().map_or(prev.index, |entry| entry.index);
        let conflict = state.log.first_conflict(prev, &entries);
        if conflict.is_some_and(|conflict| conflict <= state.verified) {
            return Err("its log contradicts what it sent, or what is committed");
        }
        if prev.index > state.commit_index && state.log.term(prev.index) != Some(prev.term) {
            self.reject(state, leader, prev, out);
            return Ok(());
        }
        // What is committed here is what the leader has there: only what is behind it counts.
        entries.retain(|entry| entry.index > state.commit_index);
        if !entries.is_empty() && conflict.is_none() && state.is_full() {
            // Apply or the disk is behind: as if the entries were lost. The leader tries again.
            // What is committed up to `prev` still counts: without it apply might never catch up.
            entries.clear();
            last = prev.index;
        }
        let before = state.log.last();
        if let Some(kept) = state.log.merge(entries, state.commit_index) {
            assert!(kept >= state.verified, "what the leader sent before is not replaced");
            state.replaced = state.replaced.max(before);
            state.writes.truncated(kept);
        }
        state.verified = state.verified.max(last.max(state.commit_index));
        state.commit(leader_commit.min(last));
        self.owes_answer = true;
        self.answer(state, false, out);
        state.repaired();
        Ok(())
    }

    /// Tells where the logs may agree, skipping what cannot match.
    fn reject(&self, state: &mut State, leader: MemberId, prev: Position, out: &mut Output) {
        let agreement = state.log.agreement(prev.index, prev.term, state.commit_index);
        let hint_index = agreement.min(prev.index.previous());
        let rejected = Message::Rejected {
            term: state.term(),
            prev_index: prev.index,
            hint_index,
            hint_term: state.log.term(hint_index).unwrap_or_default(),
        };
        state.claim_term(leader, rejected, out);
    }

    /// Acknowledges what is verified and durable. While the disk works, `partly` decides whether
    /// a part is worth a message: when the disk has answered it is, else its answer is awaited.
    fn answer(&mut self, state: &State, partly: bool, out: &mut Output) {
        let Some(leader) = self.leader.filter(|_| self.owes_answer && state.term_is_durable())
        else {
            return;
        };
        let match_index = state.verified.min(state.writes.durable_index());
        if match_index < state.verified && (!partly || match_index <= self.told) {
            return;
        }
        self.told = match_index;
        self.owes_answer = match_index < state.verified;
        out.messages.push((leader, Message::Appended { term: state.term(), match_index }));
    }

    /// The disk has answered.
    pub(super) fn on_durable(&mut self, state: &mut State, out: &mut Output) {
        self.answer(state, true, out);
        state.repaired();
        if let (Some(leader), Some((snapshot, total))) = (self.leader, self.receiving)
            && state.log.base() == snapshot.position()
            && state.writes.durable_index() >= snapshot.index
        {
            self.receiving = None;
            let answer = Message::ChunkAnswer {
                term: state.term(),
                snapshot,
                received: Some(total),
                installed: true,
            };
            state.claim_term(leader, answer, out);
        }
    }

    fn on_heartbeat(
        state: &mut State,
        from: MemberId,
        commit_index: Index,
        round: u64,
        out: &mut Output,
    ) {
        state.commit(commit_index.min(state.verified));
        let answer = Message::HeartbeatAnswer { term: state.term(), round };
        state.claim_term(from, answer, out);
    }

    /// A snapshot that brings nothing new is refused, and answered with what is there already.
    fn on_chunk(
        &mut self,
        state: &mut State,
        from: MemberId,
        chunk: SnapshotChunk,
        out: &mut Output,
    ) {
        if chunk.snapshot.index <= state.commit_index {
            self.owes_answer = true;
            self.answer(state, true, out);
            state.answer_chunk(from, chunk.snapshot, None, out);
            return;
        }
        self.receiving = Some((chunk.snapshot, chunk.total));
        out.chunks.push((from, chunk));
    }

    /// The leader orders this member to campaign.
    fn on_timeout_now(state: &State) -> Next {
        if state.may_campaign() { Next::Campaign(Campaign::Transfer) } else { Next::Stay }
    }

    /// The connection to the leader is gone, and with it what it was asked.
    pub(super) fn on_unreachable(&mut self, peer: MemberId, out: &mut Output) {
        if self.leader == Some(peer) {
            self.forwarded.fail(out);
        }
    }

    /// See [`Raft::install`](super::Raft::install).
    pub(super) fn install(
        &mut self,
        state: &mut State,
        at: Position,
        configuration: Configuration,
    ) -> bool {
        self.owes_answer = true;
        if at.index <= state.commit_index {
            return false;
        }
        state.verified = at.index;
        self.told = Index(0);
        if state.log.term(at.index) == Some(at.term) {
            // The log has it all: it is committed, and nothing needs to be replaced.
            state.commit(at.index);
            return false;
        }
        configuration.check();
        state.log.reset(at);
        state.writes.reset(at);
        state.commit(at.index);
        state.applied_index = at.index;
        state.configuration = configuration;
        true
    }

    /// Asks the leader about reads; they fail at once if there is none.
    pub(super) fn flush(&mut self, state: &mut State, now: Instant, out: &mut Output) {
        self.answer(state, false, out);
        if state.reads.is_empty() {
            return;
        }
        let room = self.forwarded.room();
        let Some(leader) = self.leader.filter(|_| state.reads.len() <= room) else {
            let lost = mem::take(&mut state.reads).into_iter();
            out.reads.extend(lost.map(|context| ReadReady { context, index: None }));
            return;
        };
        if state.term_is_durable() {
            let contexts = mem::take(&mut state.reads);
            self.forwarded.add(&contexts, now, state.options.election_timeout);
            out.messages.push((leader, Message::ReadIndex { term: state.term(), contexts }));
        }
    }

    /// Another role or another term begins.
    pub(super) fn close(mut self, out: &mut Output) {
        self.forwarded.fail(out);
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, state: &State) {
        assert!(self.told <= state.verified, "only what is verified is acknowledged");
        assert!(state.verified <= state.log.last().index, "what is verified is in the log");
        assert!(state.verified >= state.commit_index, "what is committed is verified");
        assert!(state.term() > Term(0) || self.leader.is_none(), "nobody leads before term 1");
    }
}
