//! Raft: how a majority agrees on one log. (To become the essay that a newcomer reads first.)

mod entry;
mod message;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

pub(crate) use entry::CASTAGNOLI;
pub use entry::{Entry, EntryKind, Index, Term};
pub use message::{Message, ReadContext, SnapshotChunk, SnapshotId};

use crate::disk::Ticket;
use crate::identity::MemberId;
use crate::random::Random;
use crate::time::{Duration, Instant};

/// The members that elect and commit, and those that only listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Counted in quorums.
    pub voters: BTreeSet<MemberId>,
    /// Receive the log, count nowhere.
    pub learners: BTreeSet<MemberId>,
}

/// What never changes while a member runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// This member.
    pub id: MemberId,
    /// The base of the randomised election timeout.
    pub election_timeout: Duration,
    /// How often a leader proves itself.
    pub heartbeat_interval: Duration,
    /// Ask before disturbing (thesis, 9.6).
    pub pre_vote: bool,
    /// A leader that hears no quorum for one election timeout steps down (thesis, 6.2).
    pub check_quorum: bool,
    /// Append messages in flight to one follower.
    pub inflight_messages_max: usize,
    /// Append bytes in flight to one follower.
    pub inflight_bytes_max: usize,
    /// How much of one append message is filled with more than one entry.
    pub append_bytes_target: usize,
    /// The in-memory tail of the log.
    pub tail_bytes_max: usize,
    /// Proposals are refused above this.
    pub uncommitted_bytes_max: usize,
}

/// What recovery found on disk.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The newest durable term and vote.
    pub hard_state: HardState,
    /// The log begins behind this entry: the checkpoint's, or (0, 0).
    pub base: Position,
    /// The entries behind the base that fit the tail; gap-free up to the last one.
    pub tail: Vec<Entry>,
    /// The last entry; equals the base for an empty log.
    pub last: Position,
    /// What was known to be committed. At least the base.
    pub commit_index: Index,
    /// In force at `base.index`, replayed up to the applied index.
    pub configuration: Configuration,
    /// Where apply stands.
    pub applied_index: Index,
}

/// Term and vote: one record, never half of it (Raft paper, figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term this member has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<MemberId>,
}

/// An entry's place: what "more up to date" compares, term first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The entry's term.
    pub term: Term,
    /// The entry's index.
    pub index: Index,
}

/// What one submission writes to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// Term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// The log was reset to this base (a snapshot was installed); everything older is void.
    pub reset: Option<Position>,
    /// In order; the first may overwrite what was written at its index and behind it before.
    pub entries: Vec<Entry>,
    /// What is known to be committed: advice for the next start.
    pub commit_index: Index,
}

/// The role in etcd's words, as `/v2/stats/self` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows, or waits.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What an operator may want to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The role changed.
    Role {
        /// In this term.
        term: Term,
        /// To this.
        role: RoleName,
    },
    /// A leader is known, or none is.
    Leader {
        /// In this term.
        term: Term,
        /// Who.
        leader: Option<MemberId>,
    },
    /// This leader steps down for the reason given.
    SteppedDown {
        /// In this term.
        term: Term,
        /// In a few words.
        reason: &'static str,
    },
    /// A peer sent what no correct peer sends; it was dropped.
    Misbehaved {
        /// Who.
        peer: MemberId,
        /// In a few words.
        reason: &'static str,
    },
}

/// Why a proposal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Only a leader takes proposals.
    NotLeader,
    /// A transfer of leadership is under way.
    Transferring,
    /// Too many bytes wait to be committed.
    Overloaded,
    /// An earlier change of the configuration is not applied, or nothing of this term is.
    ChangePending,
}

/// A confirmed read: once `index` is applied, the state is as new as the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// As given to [`Raft::read_index`].
    pub context: ReadContext,
    /// What must be applied first; none if the leadership changed and the read must fail.
    pub index: Option<Index>,
}

/// What Raft wants from its replica. All of it may be carried out at once.
#[derive(Debug, Default)]
pub struct Output {
    /// To be sent, in order.
    pub messages: Vec<(MemberId, Message)>,
    /// Reads whose round ended.
    pub reads: Vec<ReadReady>,
    /// Followers that need entries from disk: from this index, about this many bytes. Answered
    /// by [`Raft::entries_read`].
    pub disk_reads: Vec<(MemberId, Index, usize)>,
    /// Followers that are behind the log's base and need a snapshot. Answered by chunks on
    /// the bulk lane and [`Raft::snapshot_sent`].
    pub snapshots: Vec<MemberId>,
    /// Chunks of a snapshot from the present leader, checked for term and sender only.
    pub chunks: Vec<(MemberId, SnapshotChunk)>,
    /// Answers of followers to chunks: what was received, or `None` when it is refused.
    pub chunk_answers: Vec<(MemberId, SnapshotId, Option<u64>)>,
    /// For the operator.
    pub notices: Vec<Notice>,
}

/// One member's consensus state.
pub struct Raft {}

impl Raft {
    /// A member as recovery found it, a follower of nobody. A single voter campaigns at its first
    /// tick, without waiting for its timeout.
    #[must_use]
    pub fn new(_options: Options, _restored: Restored, _now: Instant, _random: Random) -> Self {
        todo!()
    }

    /// A peer said this.
    pub fn step(&mut self, _now: Instant, _from: MemberId, _message: Message, _out: &mut Output) {
        todo!()
    }

    /// Time has passed.
    pub fn tick(&mut self, _now: Instant, _out: &mut Output) {
        todo!()
    }

    /// The next time [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        todo!()
    }

    /// Leader only: appends to its own log; replication starts with the next [`Self::flush`].
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn propose(&mut self, _kind: EntryKind, _payload: Bytes) -> Result<Position, Refused> {
        todo!()
    }

    /// Asks for a linearizable read; the outcome comes by [`Output::reads`]. All reads asked for
    /// between two flushes share one round. On a follower the leader is asked.
    pub fn read_index(&mut self, _context: ReadContext) {
        todo!()
    }

    /// The turn has ended: sends what was proposed, starts the read-index round, and hands over
    /// what the log must write, if anything. The caller submits it and reports
    /// [`Self::submitted`] before anything else.
    pub fn flush(&mut self, _now: Instant, _out: &mut Output) -> Option<LogBatch> {
        todo!()
    }

    /// The batch that [`Self::flush`] handed over travels under this ticket of the log lane.
    pub fn submitted(&mut self, _ticket: Ticket) {
        todo!()
    }

    /// Everything up to this ticket is durable: releases claims, may commit.
    pub fn durable(&mut self, _now: Instant, _ticket: Ticket, _out: &mut Output) {
        todo!()
    }

    /// How far apply may go: min(committed, locally durable).
    #[must_use]
    pub fn applicable_index(&self) -> Index {
        todo!()
    }

    /// The entry at an index of the in-memory tail.
    #[must_use]
    pub fn entry(&self, _index: Index) -> Option<&Entry> {
        todo!()
    }

    /// Everything up to here is applied; a configuration entry comes with its result.
    pub fn applied(&mut self, _index: Index, _configuration: Option<Configuration>) {
        todo!()
    }

    /// Entries that [`Output::disk_reads`] asked for; empty when they could not be read.
    pub fn entries_read(&mut self, _to: MemberId, _entries: Vec<Entry>, _out: &mut Output) {
        todo!()
    }

    /// A durable checkpoint covers the log up to here: entries below may leave, the base moves.
    pub fn compacted(&mut self, _base: Position) {
        todo!()
    }

    /// The snapshot for this follower was received by it (`Some`), or given up.
    pub fn snapshot_sent(&mut self, _to: MemberId, _installed: Option<Position>) {
        todo!()
    }

    /// Follower: a snapshot is complete and durable on the bulk lane. Discards the conflicting
    /// log and takes the snapshot's configuration; the next flush writes the reset, and the
    /// acknowledgement to the leader waits for it. False if it is no longer wanted.
    pub fn install(&mut self, _at: Position, _configuration: Configuration) -> bool {
        todo!()
    }

    /// Leader: hands over to this voter, or to the best one.
    ///
    /// # Errors
    /// When the target is unknown, a learner, or this member does not lead.
    pub fn transfer(
        &mut self,
        _now: Instant,
        _target: Option<MemberId>,
        _out: &mut Output,
    ) -> Result<(), Refused> {
        todo!()
    }

    /// A connection came up or went down.
    pub fn reachable(&mut self, _now: Instant, _peer: MemberId, _up: bool, _out: &mut Output) {
        todo!()
    }

    /// Whether the disk holds less than this member once acknowledged: until the leader's log
    /// has passed the mark, it neither votes nor campaigns (`reliability.md` section 3).
    pub fn acknowledged_before(&mut self, _mark: Position) {
        todo!()
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> Term {
        todo!()
    }

    /// Who leads, if known.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        todo!()
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> RoleName {
        todo!()
    }

    /// What is known to be committed.
    #[must_use]
    pub fn commit_index(&self) -> Index {
        todo!()
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> Position {
        todo!()
    }

    /// Leader: how far a member's log matches, for promotion and statistics.
    #[must_use]
    pub fn match_index(&self, _member: MemberId) -> Option<Index> {
        todo!()
    }

    /// Leader: whether a member was heard within one election timeout.
    #[must_use]
    pub fn is_active(&self, _now: Instant, _member: MemberId) -> bool {
        todo!()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        todo!()
    }
}
