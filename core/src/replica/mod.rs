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
mod request;

pub use door::{
    Effect, Effects, Input, Job, JobId, JobResult, Message, ReadId, RequestId, StopReason,
};
pub use request::{Failure, Header, Reply, Request, Response, Status, WatchId};
