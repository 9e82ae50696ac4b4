//! A member of a core world: its disk, its clock and, while it runs, its replica.

use bytes::Bytes;
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft;
use quorra_core::replica::{
    Bootstrap, Input, Options, Recovery, RecoveryError, RecoveryStep, Replica,
};
use quorra_core::store::membership::Member as Identity;
use quorra_core::time::Now;

use super::clock::Clock;
use crate::check::consensus::View;
use crate::disk::Disk;
use crate::faults::Knobs;

/// What waits for a member's next turn, by the order in which a driver takes it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) peers: Vec<Input>,
    pub(super) disk: Vec<Input>,
    pub(super) clients: Vec<Input>,
}

/// A running member.
pub(super) struct Process {
    pub(super) replica: Box<Replica>,
    pub(super) inbox: Inbox,
    /// When its next turn is due.
    pub(super) turn: Option<u64>,
    /// It stands still until then.
    pub(super) paused: u64,
    /// It dies in its next turn, after so many effects.
    pub(super) dies_after: Option<usize>,
}

/// Whether a member is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not added yet.
    Spare,
    /// A member of the cluster.
    Member,
    /// It left for good.
    Removed,
}

/// A seat of the world.
pub(super) struct Member {
    pub(super) identity: Identity,
    pub(super) standing: Standing,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    /// Counts its starts.
    pub(super) incarnation: u64,
    pub(super) process: Option<Process>,
    /// It is not to be started for now.
    pub(super) held_down: bool,
}

impl Member {
    pub(super) fn id(&self) -> MemberId {
        self.identity.id
    }

    /// The replica, if it runs.
    pub(super) fn replica(&self) -> Option<&Replica> {
        self.process.as_ref().map(|process| &*process.replica)
    }
}

/// The options of one start.
pub(super) fn options(knobs: &Knobs, id: MemberId, incarnation: u64, seed: u64) -> Options {
    Options {
        raft: raft::Options {
            id,
            election_timeout: knobs.election_timeout,
            heartbeat_interval: knobs.heartbeat_interval,
            pre_vote: knobs.pre_vote,
            check_quorum: true,
            inflight_messages_max: knobs.inflight_messages_max,
            inflight_bytes_max: knobs.inflight_bytes_max,
            append_bytes_target: knobs.append_bytes_target,
            tail_bytes_max: knobs.tail_bytes_max,
            uncommitted_bytes_max: knobs.uncommitted_bytes_max,
        },
        incarnation: Incarnation(incarnation),
        seed,
        segment_bytes: knobs.segment_bytes,
        checkpoint_log_bytes: knobs.checkpoint_log_bytes,
        entries_kept: knobs.entries_kept,
        slice_keys: knobs.slice_keys,
        request_bytes_max: 64 << 10,
        quota_bytes: None,
        strict_reconfig_check: false,
        version: "3.5.33".into(),
    }
}

/// What a member is started with when its disk is empty.
pub(super) fn bootstrap(cluster: ClusterId, member: MemberId, members: Vec<Identity>) -> Bootstrap {
    Bootstrap { cluster, member, members }
}

/// Recovers a replica from a disk.
///
/// # Errors
/// When the disk holds what no crash can leave behind.
pub(super) fn recover(
    disk: &mut Disk,
    options: Options,
    bootstrap: Option<Bootstrap>,
    now: Now,
) -> Result<Box<Replica>, RecoveryError> {
    let found = disk.open();
    let mut recovery = Recovery::start(options, found, bootstrap, now);
    let mut bytes: Option<Bytes> = None;
    loop {
        match recovery.next(bytes.take()) {
            RecoveryStep::Read(read) => bytes = disk.read(read).ok(),
            RecoveryStep::Ready(replica) => return Ok(replica),
            RecoveryStep::Failed(error) => return Err(error),
        }
    }
}

/// What a replica shows to the checkers.
pub(super) fn view(replica: &Replica) -> View {
    let status = replica.status();
    View {
        term: status.term,
        leads: status.role == raft::RoleName::Leader,
        commit_index: status.commit_index,
        applied_index: status.applied_index,
        last_index: replica.raft().last().index,
        state_hash: replica.state_hash(),
    }
}
