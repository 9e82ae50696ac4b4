//! The consensus-replicated state machine behind one door: inputs in, effects out.
//!
//! [`Replica`] ties together Raft, the log, and the stores. Its driver (in production a mio loop
//! around `quorra-net`'s `Host`, in the simulator a virtual world) tells it what happened and
//! carries out what it asks for. It never waits, never fails, and its work for one input is
//! bounded: long work is a resumable machine that is worked off in slices.
//!
//! **Orders go at once, claims wait.** Every effect may be carried out immediately. What promises
//! something about this member's disk stays inside until the disk has answered, so that no driver
//! can get the order wrong.

mod door;
mod recovery;
mod request;

pub use door::{
    Effect, Effects, Input, Job, JobId, JobResult, Message, ReadId, RequestId, StopReason,
};
pub use recovery::{Bootstrap, Options, Recovery, RecoveryError, RecoveryStep};
pub use request::{Failure, Header, Reply, Request, Response, Status};

use crate::store::membership::Membership;
use crate::time::{Instant, Now};

/// One member's consensus, log and state. Made by [`Recovery`].
pub struct Replica {}

impl Replica {
    /// Something happened: adds what is to be done about it.
    pub fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {
        todo!()
    }

    /// When [`Input::Tick`] is wanted next; in the past while work is left.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        todo!()
    }

    /// This member's own view of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        todo!()
    }

    /// What every answer tells beside its content, as of now.
    #[must_use]
    pub fn header(&self) -> Header {
        todo!()
    }

    /// The members, as applied here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        todo!()
    }

    /// The applied state, read only: for statistics and the simulator's checkers.
    #[must_use]
    pub fn state(&self) -> &crate::store::State {
        todo!()
    }

    /// The replicated cluster version (`3.5.0`), once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        todo!()
    }

    /// The highest entry that this peer ever acknowledged to this member; told in handshakes, so
    /// that a member whose disk went back in time learns of it.
    #[must_use]
    pub fn acknowledged_by(&self, _peer: crate::identity::MemberId) -> crate::raft::Position {
        todo!()
    }

    /// The applied index and the hash of the state there.
    #[must_use]
    pub fn state_hash(&self) -> (crate::raft::Index, u64) {
        todo!()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        todo!()
    }
}
