//! One member's consensus state: the door of this module.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::candidate::{Campaign, Candidate};
use super::follower::Follower;
use super::leader::Leader;
use super::role::{Next, Role};
use super::state::State;
use super::{
    Configuration, Entry, EntryKind, HardState, Index, LogBatch, Message, Notice, Options, Output,
    Position, ReadContext, Refused, Restored, RoleName, SnapshotId, Term, ballot,
};
use crate::disk::Ticket;
use crate::identity::MemberId;
use crate::random::Random;
use crate::time::Instant;

/// One member's consensus state. See the [module](super).
///
/// # Invariants
/// - Those of its parts, see [`Self::check`].
/// - A leader's or candidate's vote is its own.
#[derive(Debug)]
pub struct Raft {
    state: State,
    role: Role,
}

impl Raft {
    /// A member as recovery found it, a follower of nobody. A single voter campaigns at its first
    /// tick, without waiting for its timeout.
    #[must_use]
    pub fn new(options: Options, restored: Restored, now: Instant, random: Random) -> Self {
        assert!(options.inflight_messages_max > 0, "a follower gets at least one message");
        assert!(options.inflight_bytes_max > 0, "of at least one byte");
        let mut state = State::new(options, restored, now, random);
        let deadline = state.election_deadline(now);
        let mut follower = Follower::new(None, now, deadline);
        if state.configuration.is_sole_voter(state.id()) {
            follower.hurry();
        }
        Self { state, role: Role::Follower(follower) }
    }

    /// A peer said this.
    pub fn step(&mut self, now: Instant, from: MemberId, message: Message, out: &mut Output) {
        assert!(
            !self.state.writes.awaits_ticket(),
            "a batch's ticket is told before anything else"
        );
        self.state.now = now;
        let flaw = if from == self.state.id() { Some("it has our id") } else { message.flaw() };
        if let Some(reason) = flaw {
            out.notices.push(Notice::Misbehaved { peer: from, reason });
            return;
        }
        if !self.admit(now, from, &message, out) {
            return;
        }
        match self.dispatch(now, from, message, out) {
            Ok(next) => self.transition(now, next, out),
            Err(reason) => out.notices.push(Notice::Misbehaved { peer: from, reason }),
        }
    }

    /// The rule that all roles share (Raft paper, 5.1): a newer term is adopted, an older one
    /// answered with the present one. Whether the message is to be handled.
    fn admit(&mut self, now: Instant, from: MemberId, message: &Message, out: &mut Output) -> bool {
        let present = self.state.term();
        match message {
            _ if message.term() < present => {
                self.answer_older(from, message, out);
                return false;
            }
            _ if message.term() == present => {}
            Message::RequestVote { pre, transfer: false, .. }
                if self.role.hears_leader(&self.state, now) =>
            {
                if *pre {
                    ballot::refuse(&mut self.state, from, true, out);
                }
                return false;
            }
            Message::RequestVote { pre: true, .. }
            | Message::Vote { pre: true, granted: true, .. } => return true,
            _ => {
                let leader = message.is_from_leader().then_some(from);
                self.follow(now, message.term(), leader, out);
            }
        }
        !message.is_from_leader() || self.heed(now, from, out)
    }

    /// Its sender lags, or was deposed and does not know: it must learn the present term, or it
    /// may never find back (etcd-io/etcd#8501).
    fn answer_older(&mut self, from: MemberId, message: &Message, out: &mut Output) {
        match message {
            Message::RequestVote { pre, .. } => {
                ballot::refuse(&mut self.state, from, *pre, out);
            }
            Message::ReadIndex { .. } => ballot::refuse(&mut self.state, from, false, out),
            message if message.is_from_leader() => {
                ballot::refuse(&mut self.state, from, false, out);
            }
            _ => {}
        }
    }

    /// This term's leader speaks: follow it. False if that cannot be.
    fn heed(&mut self, now: Instant, from: MemberId, out: &mut Output) -> bool {
        if let Role::Candidate(_) = self.role {
            self.follow(now, self.state.term(), Some(from), out);
        }
        let known = self.leader();
        let is_heeded = match &mut self.role {
            Role::Follower(follower) => follower.heed(&mut self.state, now, from),
            Role::Candidate(_) | Role::Leader(_) => false,
        };
        if !is_heeded {
            let reason = "it claims to lead a term that another member leads";
            out.notices.push(Notice::Misbehaved { peer: from, reason });
        } else if known.is_none() {
            let (term, leader) = (self.state.term(), Some(from));
            out.notices.push(Notice::Leader { term, leader });
        }
        is_heeded
    }

    fn dispatch(
        &mut self,
        now: Instant,
        from: MemberId,
        message: Message,
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        if let Message::RequestVote { term, pre, last_index, last_term, .. } = message {
            let last = Position { term: last_term, index: last_index };
            self.on_request_vote(now, from, ballot::Request { term, pre, last }, out);
            return Ok(Next::Stay);
        }
        self.role.step(&mut self.state, now, from, message, out)
    }

    fn on_request_vote(
        &mut self,
        now: Instant,
        from: MemberId,
        request: ballot::Request,
        out: &mut Output,
    ) {
        let leader = self.leader();
        let voted = ballot::answer(&mut self.state, from, request, leader, out);
        if let Role::Follower(follower) = &mut self.role
            && voted
        {
            follower.voted(&mut self.state, now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, out: &mut Output) {
        self.state.now = now;
        let next = self.role.tick(&self.state, now, out);
        self.transition(now, next, out);
    }

    /// The next time [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.role.deadline()
    }

    /// The one place where roles change.
    fn transition(&mut self, now: Instant, mut next: Next, out: &mut Output) {
        while next != Next::Stay {
            next = match next {
                Next::Stay => Next::Stay,
                Next::Follow => {
                    self.follow(now, self.state.term(), None, out);
                    Next::Stay
                }
                Next::Campaign(campaign) => self.campaign(now, campaign, out),
                Next::Lead => {
                    self.lead(now, out);
                    Next::Stay
                }
                Next::Resign(reason) => {
                    out.notices.push(Notice::SteppedDown { term: self.state.term(), reason });
                    self.follow(now, self.state.term(), None, out);
                    Next::Stay
                }
            };
        }
    }

    /// Becomes a follower. Whoever waits for a leader goes on waiting, or is about to campaign:
    /// only a granted vote or a valid message of a leader starts the election timeout anew.
    fn follow(&mut self, now: Instant, term: Term, leader: Option<MemberId>, out: &mut Output) {
        assert!(term >= self.state.term(), "terms never go back");
        let old_term = self.state.term();
        let waiting = match &self.role {
            Role::Candidate(_) if term == old_term => None,
            role if term > old_term => role.patience(),
            role => role.patience().filter(|&deadline| now < deadline),
        };
        let deadline = waiting.unwrap_or_else(|| self.state.election_deadline(now));
        if term > old_term {
            self.state.enter_term(term, None);
        }
        // What is committed is in every leader's log (leader completeness).
        self.state.verified = self.state.verified.max(self.state.commit_index);
        let follower = Follower::new(leader, now, deadline);
        self.enter(Role::Follower(follower), old_term, out);
    }

    fn campaign(&mut self, now: Instant, campaign: Campaign, out: &mut Output) -> Next {
        if !self.state.may_campaign() {
            return Next::Follow;
        }
        let old_term = self.state.term();
        if campaign != Campaign::Pre {
            let vote = Some(self.state.id());
            self.state.enter_term(old_term.next(), vote);
        }
        // What is held for the old role goes before the new one makes claims of its own.
        self.state.claims.moved_on(self.state.term());
        let candidate = Candidate::start(&mut self.state, now, campaign, out);
        let next = candidate.outcome(&self.state);
        self.enter(Role::Candidate(candidate), old_term, out);
        next
    }

    fn lead(&mut self, now: Instant, out: &mut Output) {
        assert!(
            matches!(&self.role, Role::Candidate(winner) if !winner.is_pre()),
            "it was elected"
        );
        self.state.claims.moved_on(self.state.term());
        let leader = Leader::start(&mut self.state, now);
        self.enter(Role::Leader(Box::new(leader)), self.state.term(), out);
    }

    /// Puts the new role in place, ends the old one, and tells the operator.
    fn enter(&mut self, role: Role, old_term: Term, out: &mut Output) {
        let (old_name, old_leader) = (self.role(), self.leader());
        let term = self.state.term();
        if matches!(role, Role::Follower(_)) {
            self.state.claims.moved_on(term);
        }
        mem::replace(&mut self.role, role).close(&self.state, old_term, out);
        if self.role() != old_name {
            out.notices.push(Notice::Role { term, role: self.role() });
        }
        if self.leader() != old_leader {
            out.notices.push(Notice::Leader { term, leader: self.leader() });
        }
    }

    /// Leader only: appends to its own log; replication starts with the next [`Self::flush`].
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn propose(&mut self, kind: EntryKind, payload: Bytes) -> Result<Position, Refused> {
        match &mut self.role {
            Role::Leader(leader) => leader.propose(&mut self.state, kind, payload),
            Role::Follower(_) | Role::Candidate(_) => Err(Refused::NotLeader),
        }
    }

    /// Asks for a linearizable read; the outcome comes by [`Output::reads`]. All reads asked for
    /// between two flushes share one round. On a follower the leader is asked.
    pub fn read_index(&mut self, context: ReadContext) {
        self.state.reads.push(context);
    }

    /// The turn has ended: sends what was proposed, starts the read-index round, and hands over
    /// what the log must write, if anything. The caller submits it and reports
    /// [`Self::submitted`] before anything else.
    pub fn flush(&mut self, now: Instant, out: &mut Output) -> Option<LogBatch> {
        self.state.now = now;
        let next = self.role.flush(&mut self.state, now, out);
        self.transition(now, next, out);
        let State { writes, hard_state, log, commit_index, .. } = &mut self.state;
        writes.batch(now, *hard_state, log, *commit_index)
    }

    /// The batch that [`Self::flush`] handed over travels under this ticket of the log lane.
    pub fn submitted(&mut self, ticket: Ticket) {
        self.state.writes.submitted(ticket);
    }

    /// Everything up to this ticket is durable: releases claims, may commit.
    pub fn durable(&mut self, now: Instant, ticket: Ticket, out: &mut Output) {
        self.state.now = now;
        self.state.writes.durable(now, ticket);
        self.state.claims.release(&self.state.writes, out);
        let next = self.role.on_durable(&mut self.state, out);
        self.transition(now, next, out);
    }

    /// How far apply may go: min(committed, locally durable).
    #[must_use]
    pub fn applicable_index(&self) -> Index {
        self.state.applicable_index()
    }

    /// The entry at an index of the in-memory tail; it holds everything that is not applied.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.state.log.entry(index)
    }

    /// Everything up to here is applied; a configuration entry comes with its result.
    pub fn applied(&mut self, index: Index, configuration: Option<Configuration>) {
        assert!(index >= self.state.applied_index, "applied never goes back");
        assert!(index <= self.state.applicable_index(), "only what may be is applied");
        self.state.applied_index = index;
        self.state.log.applied(index);
        self.state.evict();
        if let Some(configuration) = configuration {
            configuration.check();
            self.state.configuration = configuration;
            self.role.on_configuration(&mut self.state);
        }
    }

    /// Entries that [`Output::disk_reads`] asked for; empty when they could not be read.
    pub fn entries_read(&mut self, to: MemberId, entries: Vec<Entry>, out: &mut Output) {
        if let Role::Leader(leader) = &mut self.role {
            leader.entries_read(&self.state, to, entries, out);
        }
    }

    /// A durable checkpoint covers the log up to here: entries below may leave, the base moves.
    pub fn compacted(&mut self, base: Position) {
        assert!(base.index <= self.state.applied_index, "a checkpoint covers what is applied");
        if base.index > self.state.log.base().index {
            self.state.log.compact(base);
        }
    }

    /// The snapshot for this follower was received by it (`Some`), or given up.
    pub fn snapshot_sent(&mut self, to: MemberId, installed: Option<Position>) {
        if let Role::Leader(leader) = &mut self.role {
            leader.snapshot_sent(&mut self.state, to, installed);
        }
    }

    /// Follower: chunks of a snapshot have arrived, without a gap, up to `received` bytes; `None`
    /// refuses the snapshot. Tells the leader. [`Self::install`] tells when it is installed.
    pub fn chunk_received(
        &mut self,
        to: MemberId,
        snapshot: SnapshotId,
        received: Option<u64>,
        out: &mut Output,
    ) {
        if matches!(self.role, Role::Follower(_)) {
            self.state.answer_chunk(to, snapshot, received, out);
        }
    }

    /// Follower: a snapshot is complete and durable on the bulk lane. Discards the conflicting
    /// log and takes the snapshot's configuration; the next flush writes the reset, and the
    /// acknowledgement to the leader waits for it. False if it is no longer wanted.
    pub fn install(&mut self, at: Position, configuration: Configuration) -> bool {
        match &mut self.role {
            Role::Follower(follower) => follower.install(&mut self.state, at, configuration),
            Role::Candidate(_) | Role::Leader(_) => false,
        }
    }

    /// Leader: hands over to this voter, or to the best one.
    ///
    /// # Errors
    /// When the target is unknown, a learner, or this member does not lead.
    pub fn transfer(
        &mut self,
        now: Instant,
        target: Option<MemberId>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        match &mut self.role {
            Role::Leader(leader) => leader.transfer(&self.state, now, target, out),
            Role::Follower(_) | Role::Candidate(_) => Err(Refused::NotLeader),
        }
    }

    /// A connection came up or went down.
    pub fn reachable(&mut self, now: Instant, peer: MemberId, up: bool, out: &mut Output) {
        self.state.now = now;
        match &mut self.role {
            Role::Leader(leader) => leader.on_reachable(peer, up),
            Role::Follower(follower) if !up => follower.on_unreachable(peer, out),
            Role::Follower(_) | Role::Candidate(_) => {}
        }
    }

    /// The disk may hold less than this member once acknowledged: until its log has passed the
    /// mark by its leader's word, it neither votes nor campaigns (`reliability.md` section 3). What
    /// a leader has replaced since the start is not lost.
    pub fn acknowledged_before(&mut self, mark: Position) {
        if mark > self.state.log.last().max(self.state.replaced) {
            self.state.mark = self.state.mark.max(Some(mark));
        }
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.state.term()
    }

    /// Term and vote, durable or not.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.state.hard_state
    }

    /// Who leads, if known.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        self.role.leader(self.state.id())
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    /// What is known to be committed.
    #[must_use]
    pub fn commit_index(&self) -> Index {
        self.state.commit_index
    }

    /// The entry that the log begins behind: covered by a checkpoint, or (0, 0).
    #[must_use]
    pub fn base(&self) -> Position {
        self.state.log.base()
    }

    /// The entry that the in-memory tail begins behind, if its term is known.
    #[must_use]
    pub fn tail_base(&self) -> Option<Position> {
        let index = self.state.log.before();
        self.state.log.term(index).map(|term| Position { term, index })
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> Position {
        self.state.log.last()
    }

    /// Leader: how far a member's log matches, for promotion and statistics.
    #[must_use]
    pub fn match_index(&self, member: MemberId) -> Option<Index> {
        self.role.match_index(&self.state, member)
    }

    /// Leader: whether a member was heard within one election timeout.
    #[must_use]
    pub fn is_active(&self, now: Instant, member: MemberId) -> bool {
        match &self.role {
            Role::Leader(leader) => {
                member == self.state.id() || leader.is_active(&self.state, now, member)
            }
            Role::Follower(_) | Role::Candidate(_) => false,
        }
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.state.check();
        self.role.check(&self.state);
    }
}
