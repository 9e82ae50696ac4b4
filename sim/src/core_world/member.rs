//! A member of a core world: its disk, its clock and, while it runs, its replica.

use bytes::Bytes;
use quorra_core::disk::{DiskOp, DiskRead};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{self, Index};
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
pub(crate) struct Inbox {
    pub(crate) peers: Vec<Input>,
    pub(crate) disk: Vec<Input>,
    pub(crate) clients: Vec<Input>,
}

/// A running member.
pub(crate) struct Process {
    pub(crate) replica: Box<Replica>,
    pub(crate) inbox: Inbox,
    /// When its next turn is due.
    pub(crate) turn: Option<u64>,
    /// It stands still until then.
    pub(crate) paused: u64,
    /// The newest index whose state was compared.
    pub(crate) compared: Option<Index>,
    /// Its present turn changed term and vote, and no entry.
    pub(crate) votes: bool,
    /// It dies in its next turn, after so many effects.
    pub(crate) dies_after: Option<usize>,
}

/// Whether a member is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not added yet.
    Spare,
    /// A member of the cluster.
    Member,
    /// Its disk is lost; it is not to come back.
    Wiped,
    /// It left for good.
    Removed,
}

/// A seat of the world.
pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) standing: Standing,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    /// Counts its starts.
    pub(crate) incarnation: u64,
    pub(crate) process: Option<Process>,
    /// The newest log write, if it holds nothing but a vote.
    pub(crate) newest_vote: Option<DiskRead>,
    /// It is not to be started for now.
    pub(crate) held_down: bool,
    /// It belongs to the first configuration.
    pub(crate) founder: bool,
    /// It takes the place of one that lost its disk, and is not started yet.
    pub(crate) replaces: bool,
}

impl Member {
    pub(crate) fn id(&self) -> MemberId {
        self.identity.id
    }

    /// A log batch was submitted; `votes` if the turn changed term and vote, and no entry.
    pub(crate) fn note_vote(&mut self, ops: &[DiskOp], votes: bool) {
        self.newest_vote = match ops {
            [DiskOp::Write { file, offset, bytes }] if votes => {
                let length = bytes.len() as u64;
                Some(DiskRead { file: *file, offset: *offset, length })
            }
            _ => None,
        };
    }

    /// The replica, if it runs.
    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.process.as_ref().map(|process| &*process.replica)
    }
}

/// The options of one start.
pub(crate) fn options(knobs: &Knobs, id: MemberId, incarnation: u64, seed: u64) -> Options {
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
        snapshot_part_bytes: knobs.snapshot_part_bytes,
        v2_history_events: knobs.v2_history_events,
        slice_keys: knobs.slice_keys,
        request_bytes_max: 64 << 10,
        quota_bytes: None,
        strict_reconfig_check: false,
        version: "3.5.33".into(),
    }
}

/// What a member is started with when its disk is empty.
pub(crate) fn bootstrap(cluster: ClusterId, member: MemberId, members: Vec<Identity>) -> Bootstrap {
    Bootstrap { cluster, member, members }
}

/// Recovers a replica from a disk.
///
/// # Errors
/// When the disk holds what no crash can leave behind.
pub(crate) fn recover(
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

/// What a replica shows to the checkers. The state's hash is left out where nothing was applied
/// since `known`.
pub(crate) fn view(replica: &Replica, known: Option<Index>) -> View {
    let status = replica.status();
    let changed = known != Some(status.applied_index);
    View {
        term: status.term,
        leads: status.role == raft::RoleName::Leader,
        commit_index: status.commit_index,
        applied_index: status.applied_index,
        last_index: replica.raft().last().index,
        base_index: replica.raft().base().index,
        state_hash: if changed { replica.state_hash() } else { None },
    }
}
