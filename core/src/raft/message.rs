//! What members say to each other to agree. Orders may overtake the disk, claims wait for it.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Entry, Index, Position, Term};

/// Names one linearizable read, from request to confirmation. Unique for each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReadContext(pub u64);

/// Names a snapshot: the last entry that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// That entry's index.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
}

impl SnapshotId {
    /// The last entry that it covers, as a place in the log.
    #[must_use]
    pub fn position(self) -> Position {
        Position { term: self.term, index: self.index }
    }
}

/// A part of a snapshot; the receiver puts the parts together by offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// In bytes from its start.
    pub offset: u64,
    /// The size of the whole snapshot.
    pub total: u64,
    /// CRC-32C of `bytes`.
    pub checksum: u32,
    /// The part.
    pub bytes: Bytes,
}

/// A message between two members. `term` is the sender's; other fields say what they mean only for
/// their own kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A candidate asks for a vote (Raft paper, 5.2; pre-vote: thesis, 9.6). A claim.
    RequestVote {
        /// Of the election: for a pre-vote, the term that the candidate would campaign in.
        term: Term,
        /// Only asks; changes nothing at the receiver.
        pre: bool,
        /// Ordered by the old leader: a live leader does not make the receiver refuse.
        transfer: bool,
        /// The candidate's last entry.
        last_index: Index,
        /// And its term.
        last_term: Term,
    },
    /// The answer. Granting a real vote is a claim. Refused, it also answers whatever came with
    /// an older term, so that its sender learns the present one.
    Vote {
        /// For a granted pre-vote the term asked about, else the sender's.
        term: Term,
        /// Answers a pre-vote.
        pre: bool,
        /// Whether it is given.
        granted: bool,
    },
    /// The leader's entries (Raft paper, 5.3). An order.
    Append {
        /// The leader's.
        term: Term,
        /// The entry before `entries`.
        prev_index: Index,
        /// And its term.
        prev_term: Term,
        /// What the leader has committed.
        commit_index: Index,
        /// In order, without gaps. May be empty: then it asks where the follower is.
        entries: Vec<Entry>,
    },
    /// The follower's log matches and is durable up to here. A claim.
    Appended {
        /// Of the append that is answered.
        term: Term,
        /// The last matching, durable index.
        match_index: Index,
    },
    /// The follower's log lacks the entry before, or has another there.
    Rejected {
        /// Of the append that is answered.
        term: Term,
        /// The `prev_index` that did not match.
        prev_index: Index,
        /// The last index at which the logs may agree.
        hint_index: Index,
        /// The follower's term there.
        hint_term: Term,
    },
    /// The leader lives. An order; also the round of a read-index.
    Heartbeat {
        /// The leader's.
        term: Term,
        /// What is committed, but not beyond the follower's known match.
        commit_index: Index,
        /// Counts the leader's rounds in this term.
        round: u64,
    },
    /// The answer: the follower still follows in this round. Proves nothing about its log.
    HeartbeatAnswer {
        /// Of the heartbeat that is answered.
        term: Term,
        /// See there.
        round: u64,
    },
    /// A follower asks for a read index.
    ReadIndex {
        /// The follower's.
        term: Term,
        /// Comes back with the answer.
        contexts: Vec<ReadContext>,
    },
    /// The leader has confirmed that it leads.
    ReadIndexAnswer {
        /// The leader's.
        term: Term,
        /// As asked.
        contexts: Vec<ReadContext>,
        /// What must be applied first; none if the leader cannot tell and the read must fail.
        index: Option<Index>,
    },
    /// A part of a snapshot. An order.
    Chunk {
        /// The leader's.
        term: Term,
        /// The part.
        chunk: SnapshotChunk,
    },
    /// How much of a snapshot has arrived. When it is all and `installed`, a claim on both lanes.
    ChunkAnswer {
        /// Of the chunk that is answered.
        term: Term,
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Bytes received without a gap; none when the snapshot is refused.
        received: Option<u64>,
        /// It is installed: the follower's log begins behind it.
        installed: bool,
    },
    /// Campaign now, without waiting (thesis, 3.10). An order.
    TimeoutNow {
        /// The leader's.
        term: Term,
    },
}

/// No honest term or index comes near this; below it, sums cannot overflow.
const NUMBER_MAX: u64 = 1 << 62;

impl Message {
    /// The sender's term; in a pre-vote the term asked about.
    #[must_use]
    pub fn term(&self) -> Term {
        match *self {
            Self::RequestVote { term, .. }
            | Self::Vote { term, .. }
            | Self::Append { term, .. }
            | Self::Appended { term, .. }
            | Self::Rejected { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::HeartbeatAnswer { term, .. }
            | Self::ReadIndex { term, .. }
            | Self::ReadIndexAnswer { term, .. }
            | Self::Chunk { term, .. }
            | Self::ChunkAnswer { term, .. }
            | Self::TimeoutNow { term } => term,
        }
    }

    /// Whether only the leader of its term sends such a message.
    pub(super) fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Heartbeat { .. }
                | Self::Chunk { .. }
                | Self::TimeoutNow { .. }
        )
    }

    /// Tells apart what may wait for the disk at the same time.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::RequestVote { .. } => 0,
            Self::Vote { pre: false, .. } => 1,
            Self::Vote { pre: true, .. } => 2,
            Self::Append { .. } => 3,
            Self::Appended { .. } => 4,
            Self::Rejected { .. } => 5,
            Self::Heartbeat { .. } => 6,
            Self::HeartbeatAnswer { .. } => 7,
            Self::ReadIndex { .. } => 8,
            Self::ReadIndexAnswer { .. } => 9,
            Self::Chunk { .. } => 10,
            Self::ChunkAnswer { .. } => 11,
            Self::TimeoutNow { .. } => 12,
        }
    }

    /// What is wrong with the message, whoever sent it and whenever.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        if self.term().0 > NUMBER_MAX || self.term() == Term(0) {
            return Some("its term is absurd");
        }
        match self {
            Self::RequestVote { term, last_term, last_index, .. } => (last_term >= term
                || last_index.0 > NUMBER_MAX)
                .then_some("its last entry is not older than its campaign"),
            Self::Append { term, prev_index, prev_term, entries, .. } => {
                let prev = Position { term: *prev_term, index: *prev_index };
                flaw_of_entries(*term, prev, entries)
            }
            Self::Rejected { prev_index, hint_index, .. } => {
                (hint_index >= prev_index).then_some("its hint is not below what it rejects")
            }
            Self::Chunk { term, chunk } => (chunk.snapshot.term > *term
                || chunk.snapshot.index.0 > NUMBER_MAX
                || chunk.offset > chunk.total)
                .then_some("its snapshot cannot be"),
            _ => None,
        }
    }
}

fn flaw_of_entries(term: Term, prev: Position, entries: &[Entry]) -> Option<&'static str> {
    if prev.term > term || prev.index.0 > NUMBER_MAX {
        return Some("the entry before is newer than the leader");
    }
    let mut previous = prev;
    for entry in entries {
        if entry.index != previous.index.next() {
            return Some("its entries have gaps");
        }
        if entry.term < previous.term || entry.term > term {
            return Some("the terms of its entries are out of order");
        }
        if !entry.is_intact() {
            return Some("an entry's checksum does not match");
        }
        previous = Position { term: entry.term, index: entry.index };
    }
    None
}
