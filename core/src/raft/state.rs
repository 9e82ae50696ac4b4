//! What a member keeps in every role (Raft paper, figure 2: "state on all servers").

use alloc::vec::Vec;

use super::claims::{Claims, Needs};
use super::log::Log;
use super::writes::Writes;
use super::{
    Configuration, HardState, Index, Message, Options, Output, Position, ReadContext, Restored,
    SnapshotId, Term,
};
use crate::identity::MemberId;
use crate::random::Random;
use crate::time::{Duration, Instant};

/// See the module.
///
/// # Invariants
/// - `applied_index <= commit_index <=` the log's last index. Neither goes back, nor does the term.
/// - What leaves in a message is durable where the message promises it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) hard_state: HardState,
    pub(super) log: Log,
    pub(super) writes: Writes,
    pub(super) claims: Claims,
    pub(super) commit_index: Index,
    pub(super) applied_index: Index,
    pub(super) configuration: Configuration,
    /// Up to here the log is that of the present term's leader. Nothing beyond it is acknowledged
    /// or, on the leader's word, committed.
    pub(super) verified: Index,
    /// What this member once acknowledged and may have lost since.
    pub(super) mark: Option<Position>,
    /// The newest entry that was replaced since the start: nothing up to it was lost by the disk.
    pub(super) replaced: Position,
    /// The newest time that was told.
    pub(super) now: Instant,
    /// Reads asked for since the last flush.
    pub(super) reads: Vec<ReadContext>,
}

impl State {
    pub(super) fn new(options: Options, restored: Restored, now: Instant, random: Random) -> Self {
        let Restored { hard_state, base, tail, last, commit_index, configuration, applied_index } =
            restored;
        assert!(commit_index >= base.index, "a checkpoint covers only what is committed");
        assert!(commit_index <= last.index, "what is committed is in the log");
        assert!(applied_index <= commit_index, "only what is committed is applied");
        configuration.check();
        Self {
            options,
            random,
            hard_state,
            log: Log::new(base, tail, last, applied_index),
            writes: Writes::new(hard_state, last.index, commit_index),
            claims: Claims::default(),
            commit_index,
            applied_index,
            configuration,
            verified: commit_index,
            mark: None,
            replaced: Position::default(),
            now,
            reads: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> MemberId {
        self.options.id
    }

    pub(super) fn term(&self) -> Term {
        self.hard_state.term
    }

    /// A new term begins: its leader, whoever that will be, has shown nothing of its log yet. But
    /// what is committed is in it (leader completeness).
    pub(super) fn enter_term(&mut self, term: Term, vote: Option<MemberId>) {
        assert!(term > self.hard_state.term, "terms never go back");
        self.hard_state = HardState { term, vote };
        self.verified = self.commit_index;
    }

    /// A fresh election timeout: more than the base, at most twice of it, so that members that
    /// lose their leader together seldom campaign together (Raft paper, 5.2).
    pub(super) fn election_timeout(&mut self) -> Duration {
        let base = self.options.election_timeout;
        let nanoseconds = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX).max(1);
        base + Duration::from_nanos(1 + self.random.below(nanoseconds))
    }

    /// Whether this member may ask for votes at all.
    ///
    /// Not while a committed change of the configuration waits to be applied: it would count the
    /// wrong majority (etcd-io/etcd#7280). Not while its log may lack what it acknowledged.
    pub(super) fn may_campaign(&self) -> bool {
        let waits = self.log.first_change().is_some_and(|change| change <= self.commit_index);
        self.configuration.is_voter(self.id()) && self.mark.is_none() && !waits
    }

    /// An order: sent at once. It carries a term, which must be durable even so.
    pub(super) fn order(&self, to: MemberId, message: Message, out: &mut Output) {
        assert!(self.writes.holds_term(self.term()), "a leader's term is durable");
        assert!(message.term() == self.term(), "an order is given in the present term");
        out.messages.push((to, message));
    }

    /// A claim of nothing but the present term.
    pub(super) fn claim_term(&mut self, to: MemberId, message: Message, out: &mut Output) {
        let hard_state = HardState { term: self.term(), vote: None };
        self.claim(to, message, Needs { hard_state, index: Index(0) }, out);
    }

    /// Tells a leader how much of a snapshot is here; `None` refuses it, or what is left of it.
    pub(super) fn answer_chunk(
        &mut self,
        to: MemberId,
        snapshot: SnapshotId,
        received: Option<u64>,
        out: &mut Output,
    ) {
        let answer =
            Message::ChunkAnswer { term: self.term(), snapshot, received, installed: false };
        self.claim_term(to, answer, out);
    }

    /// A claim.
    pub(super) fn claim(&mut self, to: MemberId, message: Message, needs: Needs, out: &mut Output) {
        assert!(needs.hard_state.term == self.term(), "a claim is made in the present term");
        self.claims.make(to, message, needs, &self.writes, out);
    }

    /// Everything up to here is committed; what was known before stays known.
    pub(super) fn commit(&mut self, index: Index) {
        assert!(index <= self.log.last().index, "what is committed is in the log");
        self.commit_index = self.commit_index.max(index);
    }

    /// How far apply may go: what is committed *and* durable here, so that a restart never shows
    /// an older state.
    pub(super) fn applicable_index(&self) -> Index {
        self.commit_index.min(self.writes.durable_index()).max(self.applied_index)
    }

    /// Whether no more entries are taken until apply has caught up. What is *not* committed never
    /// counts: it may need more entries to become so, and its leader bounds it.
    pub(super) fn is_full(&mut self) -> bool {
        self.evict();
        let bytes_max = self.options.tail_bytes_max + self.options.uncommitted_bytes_max;
        self.applied_index < self.commit_index && self.log.tail_bytes() > bytes_max
    }

    /// Lets applied entries leave memory once the tail is too large.
    pub(super) fn evict(&mut self) {
        let keep_behind = self.applied_index.min(self.writes.durable_index());
        self.log.evict(self.options.tail_bytes_max, keep_behind);
    }

    /// The repair mark is passed when the log holds, durably and as its leader has it, an entry
    /// at least as up to date. Everything committed up to the mark is then below that entry.
    pub(super) fn repaired(&mut self) {
        let index = self.verified.min(self.writes.durable_index());
        if let Some(term) = self.log.term(index)
            && self.mark.is_some_and(|mark| Position { term, index } >= mark)
        {
            self.mark = None;
        }
    }

    /// Whether anything at all may be sent that carries the present term.
    pub(super) fn term_is_durable(&self) -> bool {
        self.writes.holds_term(self.term())
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        assert!(self.applied_index <= self.commit_index, "only what is committed is applied");
        assert!(self.commit_index <= self.log.last().index, "what is committed is in the log");
        assert!(self.log.last().term <= self.term(), "no entry is newer than the term");
        self.configuration.check();
        self.log.check();
        self.writes.check(self.log.last().index);
        self.claims.check(self.term(), &self.writes);
    }

    /// The randomised time at which an unheard leader is given up.
    pub(super) fn election_deadline(&mut self, now: Instant) -> Instant {
        now + self.election_timeout()
    }
}
