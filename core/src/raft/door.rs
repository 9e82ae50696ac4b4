//! What comes into Raft and what goes out of it, beside messages.

use alloc::vec::Vec;

use super::{Configuration, Entry, Index, Message, ReadContext, SnapshotChunk, SnapshotId, Term};
use crate::identity::MemberId;
use crate::time::Duration;

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
    /// What is known to be committed. A restart that finds the batch must find this with it: the
    /// rule that nobody campaigns before a committed change is applied rests on it.
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
    /// Leadership cannot go to that member: it is unknown or a learner, or nobody is left.
    BadTransferee,
}

/// A confirmed read: once `index` is applied, the state is as new as the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// As given to [`Raft::read_index`](super::Raft::read_index).
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
    /// by [`Raft::entries_read`](super::Raft::entries_read).
    pub disk_reads: Vec<(MemberId, Index, usize)>,
    /// Followers that are behind the log's base and need a snapshot. Answered by chunks on
    /// the bulk lane and [`Raft::snapshot_sent`](super::Raft::snapshot_sent).
    pub snapshots: Vec<MemberId>,
    /// Chunks of a snapshot from the present leader, checked for term and sender only.
    pub chunks: Vec<(MemberId, SnapshotChunk)>,
    /// Answers of followers to chunks: what was received, or `None` when no more of it is wanted,
    /// because it is installed or refused.
    pub chunk_answers: Vec<(MemberId, SnapshotId, Option<u64>)>,
    /// For the operator.
    pub notices: Vec<Notice>,
}
