//! From a data directory to a running replica.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::Replica;
use crate::disk::{DiskRead, File};
use crate::identity::{ClusterId, Incarnation, MemberId};
use crate::raft;
use crate::store::membership::Member;
use crate::time::Now;
use crate::wal::Found;

/// What a member's flags decide, as far as the replica is concerned.
#[derive(Clone, Debug)]
pub struct Options {
    /// Consensus; `id` is taken from the data directory or from [`Bootstrap`].
    pub raft: raft::Options,
    /// Which start of the data directory this is; kept beside it by the driver.
    pub incarnation: Incarnation,
    /// Fixes every random choice of this start.
    pub seed: u64,
    /// The size of a log segment, see `limits`.
    pub segment_bytes: u64,
    /// A checkpoint starts when the log since the last one exceeds this, or the state's size.
    pub checkpoint_log_bytes: u64,
    /// `--snapshot-count`: entries kept behind a checkpoint for lagging followers.
    pub entries_kept: u64,
    /// Keys that one slice of long work visits.
    pub slice_keys: usize,
    /// `--max-request-bytes`
    pub request_bytes_max: usize,
    /// `--quota-backend-bytes`; none is no quota.
    pub quota_bytes: Option<u64>,
    /// `--strict-reconfig-check`
    pub strict_reconfig_check: bool,
    /// What this build announces as its version, `3.5.33`.
    pub version: String,
}

/// The first configuration of a new cluster; every member of it is given the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Derived from the members.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// All of them; names and client URLs are published later.
    pub members: Vec<Member>,
}

/// What a recovery wants next.
pub enum RecoveryStep {
    /// This part of a file.
    Read(DiskRead),
    /// Nothing more.
    Ready(Box<Replica>),
    /// The directory cannot be used; nothing was changed.
    Failed(RecoveryError),
}

/// Why a data directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// There is no log, and no [`Bootstrap`] was given.
    Empty,
    /// A file does not hold what it must, and it is not a torn tail.
    Corrupt {
        /// Which.
        file: File,
        /// In bytes from its start.
        offset: u64,
        /// In a few words.
        reason: &'static str,
    },
    /// The file was written by a later version of Quorra.
    Version(File),
    /// The file could not be read.
    Unreadable(File),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the data directory holds no log"),
            Self::Corrupt { file, offset, reason } => {
                write!(f, "{file:?} is corrupt at offset {offset}: {reason}")
            }
            Self::Version(file) => write!(f, "{file:?} was written by a later version"),
            Self::Unreadable(file) => write!(f, "{file:?} cannot be read"),
        }
    }
}

impl core::error::Error for RecoveryError {}

/// A resumable start: asks for reads until the replica stands.
pub struct Recovery {}

impl Recovery {
    /// Begins with the listing of the data directory. `bootstrap` counts only when there is no
    /// log: a member that has one ignores its initial flags.
    #[must_use]
    pub fn start(
        _options: Options,
        _found: Vec<Found>,
        _bootstrap: Option<Bootstrap>,
        _now: Now,
    ) -> Self {
        todo!()
    }

    /// Goes on with the bytes that the last step asked for; none at first, and when they could
    /// not be read.
    pub fn next(&mut self, _bytes: Option<Bytes>) -> RecoveryStep {
        todo!()
    }
}
