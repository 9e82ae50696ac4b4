//! The replica's door: everything that can come in, and everything that can go out.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{Reply, Request};
use crate::disk::{DiskFailure, DiskOp, DiskRead, Lane, Ticket};
use crate::identity::{Incarnation, MemberId};
use crate::raft;
use crate::store::v2::auth::PasswordHash;

/// Names a client's request, from its arrival to its reply. Chosen by the driver, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a disk read. Chosen by the replica, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Names a job. Chosen by the replica, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A password as a client gave it. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Bytes);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Work that needs what the core must not have: chance, or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// As many random bytes, fit for secrets.
    Secret(usize),
    /// Hash this with bcrypt, at the cost that the operator chose.
    HashPassword(Password),
    /// Find out whether this password has that hash.
    VerifyPassword {
        /// What is stored.
        hash: PasswordHash,
        /// What was given.
        password: Password,
    },
}

impl Job {
    /// What a driver answers that has neither chance nor time to lose: simulators, fuzzers and
    /// tests. Its hashes hide nothing, and its secrets are known.
    #[must_use]
    pub fn simulated(self) -> JobResult {
        let hash = |password: &Password| PasswordHash(format!("hash of {:?}", password.0));
        match self {
            Self::Secret(length) => JobResult::Secret(vec![7; length].into()),
            Self::HashPassword(password) => JobResult::Hashed(hash(&password)),
            Self::VerifyPassword { hash: stored, password } => {
                JobResult::Verified(hash(&password) == stored)
            }
        }
    }
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// See [`Job::Secret`].
    Secret(Bytes),
    /// See [`Job::HashPassword`].
    Hashed(PasswordHash),
    /// See [`Job::VerifyPassword`].
    Verified(bool),
}

/// What members say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Consensus.
    Raft(raft::Message),
    /// A follower's client wants this command in the log. Sent once, to the leader. The payload
    /// begins with the identity by which the sender recognises its command at apply.
    Forward(Bytes),
    /// The leader refused a forwarded command before it reached the log.
    Refuse {
        /// The counter of the command's identity.
        counter: u64,
        /// For which start of the sender.
        incarnation: Incarnation,
        /// Why.
        failure: super::Failure,
    },
}

/// What can happen to a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, or nothing else has.
    Tick,
    /// A peer said this.
    Peer(MemberId, Message),
    /// The connection to a peer is up: both directions, after its handshake.
    Connected {
        /// Who.
        peer: MemberId,
        /// The highest entry that this member ever acknowledged to that peer, as the peer
        /// remembers it (`Replica::acknowledged_by` is what the other side tells).
        acknowledged: raft::Position,
    },
    /// The connection to a peer is gone; what was in flight may be lost.
    Disconnected(MemberId),
    /// A client asks for this.
    Request(RequestId, Request),
    /// The client is gone; nothing of the request but its effect on the store may remain.
    Cancel(RequestId),
    /// Everything up to and including this ticket of this lane is on stable storage.
    Durable(Lane, Ticket),
    /// The operations of this ticket failed.
    Failed(Lane, Ticket, DiskFailure),
    /// A disk read came back.
    Read(ReadId, Result<Bytes, DiskFailure>),
    /// A job is finished.
    Job(JobId, JobResult),
    /// The driver's turn has no more inputs: submit one log batch, start one read-index round,
    /// apply what is committed. A driver sends it at the end of every turn that had an input.
    Flush,
    /// The operating system asks this member to go: hand leadership over, then
    /// [`Effect::Stop`] with [`StopReason::Asked`].
    Stop,
}

/// What a replica wants done. Every effect may be carried out at once.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Perform these in order on this lane, then answer [`Input::Durable`].
    Disk(Lane, Ticket, Vec<DiskOp>),
    /// Read this, then answer [`Input::Read`]. Not ordered with anything.
    Read(ReadId, DiskRead),
    /// Send this to that peer, or drop it if there is no connection.
    Send(MemberId, Message),
    /// Answer a client. A watch is answered more than once.
    Reply(RequestId, Reply),
    /// Perform this, then answer [`Input::Job`].
    Job(JobId, Job),
    /// The membership has changed: open and close connections accordingly.
    Members,
    /// Tell the operator.
    Notice(raft::Notice),
    /// The member must end, for this reason. Nothing follows.
    Stop(StopReason),
}

/// Why a member ends itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It was asked to, and has handed leadership over as far as it could.
    Asked,
    /// It was removed from the cluster.
    Removed,
    /// Another process has started as this member since: of two with one identity, which could
    /// vote twice, the earlier one goes.
    Superseded,
    /// A write or sync failed: what the disk holds is unknown, so nothing may be claimed.
    Disk(Lane, DiskFailure),
    /// An entry that the cluster committed cannot be understood by this build.
    UnknownCommand(raft::Index),
}

/// The effects of one or more inputs, in the order in which they came about.
#[derive(Debug, Default)]
pub struct Effects {
    queue: VecDeque<Effect>,
}

impl Effects {
    /// Nothing to do yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an effect behind the others.
    pub fn push(&mut self, effect: Effect) {
        self.queue.push_back(effect);
    }

    /// Takes the first effect.
    pub fn pop(&mut self) -> Option<Effect> {
        self.queue.pop_front()
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
