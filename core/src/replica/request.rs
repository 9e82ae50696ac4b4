//! What clients can ask of a replica, already parsed, and what it answers.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Password;
use crate::identity::{ClusterId, MemberId};
use crate::raft::{Index, Term};
use crate::store::membership::Member;
use crate::store::{v2, v3};

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A v2 change.
    V2Write(v2::Write),
    /// A v2 read; with `quorum` it is linearizable, else answered from the local store.
    V2Get {
        /// What is read.
        get: v2::Get,
        /// Whether it waits for a read-index round.
        quorum: bool,
    },
    /// The same on behalf of a caller, while v2's rules count. A write, a read or a watch of the v2
    /// store, a change of users and roles, or of the membership.
    OnBehalf {
        /// Who asks. That it is this user was checked.
        claim: v2::auth::Claim,
        /// What is asked.
        request: Box<Self>,
    },
    /// Changes v2's users and roles.
    V2Auth {
        /// What changes, without the hash of a new password.
        change: v2::auth::Change,
        /// The new password.
        password: Option<Password>,
    },
    /// Whether this is the password of a v2 user: answered by [`Response::Authenticated`].
    Authenticate {
        /// The user's name.
        user: Bytes,
        /// What was given.
        password: Password,
    },
    /// Answers as soon as this member's state is no older than what it showed before its start.
    CaughtUp,
    /// A v2 watch: answered by [`Response::V2Watching`], then by [`Response::V2Event`]s, until it
    /// is cancelled or [`Response::V2WatchEnd`] came.
    V2Watch(v2::Watch),
    /// A v3 read.
    V3Range {
        /// What is read.
        range: v3::Range,
        /// Whether the local store may answer without a read-index round.
        serializable: bool,
    },
    /// A transaction that only reads.
    V3ReadTxn {
        /// What is read; no operation of either list changes anything.
        txn: v3::Txn,
        /// Whether the local store may answer without a read-index round.
        serializable: bool,
    },
    /// A v3 change.
    V3Write(v3::Write),
    /// Publishes this member's name and client URLs.
    Publish {
        /// `--name`
        name: String,
        /// `--advertise-client-urls`
        client_urls: Vec<String>,
    },
    /// The members.
    Members {
        /// Whether it waits for a read-index round.
        linearizable: bool,
    },
    /// Answers when the leader has confirmed that it leads: `/health`.
    Barrier,
    /// Adds, removes, changes or promotes a member.
    ChangeMembership(crate::store::membership::Change),
    /// Hands leadership to that member.
    TransferLeadership(MemberId),
    /// As many random bytes, fit for secrets; asked of the driver.
    Secret(usize),
}

/// What every answer tells beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The present term.
    pub term: Term,
    /// The committed index known here.
    pub commit_index: Index,
    /// The v3 store's revision, after the request.
    pub revision: i64,
    /// The v2 store's index, after the request.
    pub v2_index: u64,
}

/// A replica's answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// See there.
    pub header: Header,
    /// The content.
    pub outcome: Result<Response, Failure>,
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub enum Response {
    /// To a v2 write or read. The error is the store's, and is replicated like a success.
    V2(Result<Rc<v2::Event>, v2::Error>),
    /// A v2 watch is registered; `Header::v2_index` is the index at registration.
    V2Watching,
    /// A v2 watch hears this. Long polls end with it.
    V2Event(Rc<v2::Event>),
    /// Nothing will follow: the watcher was too slow, or had its one event from the history. The
    /// connection of a stream stays open, silent (as in etcd).
    V2WatchEnd,
    /// To a change of v2 users and roles; a refusal for want of permission to any request of an
    /// administrator.
    V2Auth(Result<v2::auth::Answer, v2::auth::Refusal>),
    /// Whether the password was right.
    Authenticated(bool),
    /// To a v3 request. The error is the store's, and is replicated like a success.
    V3(Result<v3::Answer, v3::Error>),
    /// To [`Request::Members`], sorted by id, and to a change of membership.
    Members(Vec<Member>),
    /// To [`Request::Secret`].
    Secret(Bytes),
    /// To what has nothing to say.
    Done,
}

/// Why a request was not carried out, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Nothing came of it in time (5 s and two election timeouts). It may still happen.
    Timeout,
    /// The same, and the leader was lost meanwhile.
    TimeoutLeaderLost,
    /// The same, and the quorum was not connected.
    TimeoutDisconnected,
    /// The leadership that a linearizable read relied on has changed.
    LeaderChanged,
    /// No leader is known.
    NoLeader,
    /// This member does not lead, and only a leader can do it.
    NotLeader,
    /// The encoded command exceeds `--max-request-bytes`.
    TooLarge,
    /// Too much waits already.
    TooManyRequests,
    /// The quota is used up, or the log's disk is full.
    NoSpace,
    /// The member is going.
    Stopped,
    /// The target of a transfer is unknown or a learner.
    BadTransferee,
    /// A change of membership is refused.
    Membership(crate::store::membership::Refusal),
    /// A learner serves only serializable reads.
    Learner,
}

/// A member's own view of itself: `Maintenance/Status`, `/v2/stats/self`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The cluster.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Who leads, if known.
    pub leader: Option<MemberId>,
    /// The role in etcd's words.
    pub role: crate::raft::RoleName,
    /// The present term.
    pub term: Term,
    /// The committed index.
    pub commit_index: Index,
    /// The applied index.
    pub applied_index: Index,
    /// The logical size of the state, in bytes.
    pub state_bytes: u64,
    /// The size of the log and the checkpoint on disk, in bytes.
    pub disk_bytes: u64,
    /// Whether this member is a learner.
    pub is_learner: bool,
}
