//! The write-ahead log: how term, vote and entries lie on disk, and how they are found again.
//! (To become an essay: two checksums, `durable_before`, torn tail or corruption.)

use alloc::vec::Vec;

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::disk::{DiskOp, DiskRead, File};
use crate::identity::{ClusterId, Incarnation, MemberId};
use crate::raft::{Entry, Index, LogBatch, Position};

/// What every segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster that the log belongs to.
    pub cluster: ClusterId,
    /// The member that wrote it.
    pub member: MemberId,
    /// For which start of the member a segment was begun.
    pub incarnation: Incarnation,
}

/// The log's writer: turns batches into bytes at places, and knows where entries lie.
///
/// Space is prepared ahead by the bulk lane (zeros, new segments), so that an append changes no
/// file metadata and cannot run out of space.
pub struct Wal {}

impl Wal {
    /// The log of a member that starts for the first time. `prepare` comes first.
    #[must_use]
    pub fn create(_identity: Identity, _segment_bytes: u64) -> Self {
        todo!()
    }

    /// How many bytes of prepared, durable space are left for appends.
    #[must_use]
    pub fn room(&self) -> u64 {
        todo!()
    }

    /// The space that a batch takes, at most.
    #[must_use]
    pub fn space_of(&self, _batch: &LogBatch) -> u64 {
        todo!()
    }

    /// Operations of the bulk lane that bring `room` to `wanted` (or the usual zeros ahead),
    /// unless enough are under way. Call [`Self::prepared`] when their ticket is durable, or
    /// [`Self::prepare_failed`] when the disk was full.
    pub fn prepare(&mut self, _wanted: u64) -> Vec<DiskOp> {
        todo!()
    }

    /// The operations of the oldest outstanding [`Self::prepare`] are durable.
    pub fn prepared(&mut self) {
        todo!()
    }

    /// The disk was full; the next [`Self::prepare`] asks again.
    pub fn prepare_failed(&mut self) {
        todo!()
    }

    /// Encodes a batch that fits [`Self::room`]: operations of the log lane, in order.
    pub fn append(&mut self, _batch: &LogBatch) -> Vec<DiskOp> {
        todo!()
    }

    /// Every append so far, up to and including the `n`th since creation, is durable. Goes into
    /// the next batch header as `durable_before`.
    pub fn durable(&mut self, _appends: u64) {
        todo!()
    }

    /// An empty batch that tells on disk that everything before it was synced; none if the last
    /// batch already says so.
    pub fn close_gap(&mut self, _commit_index: Index) -> Option<LogBatch> {
        todo!()
    }

    /// Where the entry at `from` lies, and about `bytes` behind it. None if it is below the first
    /// segment or above what is written.
    #[must_use]
    pub fn locate(&self, _from: Index, _bytes: u64) -> Option<DiskRead> {
        todo!()
    }

    /// The entries from `from` on that a read of [`Self::locate`] holds whole, overwritten ones
    /// left out.
    ///
    /// # Errors
    /// When a checksum does not match.
    pub fn decode(
        &self,
        _read: DiskRead,
        _bytes: Bytes,
        _from: Index,
    ) -> Result<Vec<Entry>, DecodeError> {
        todo!()
    }

    /// A durable checkpoint at `base` is named in the log: operations (bulk lane) that remove the
    /// segments which hold nothing but entries at or below `keep_from` and older hard states.
    pub fn cut(&mut self, _keep_from: Index) -> Vec<DiskOp> {
        todo!()
    }

    /// Bytes of log behind the checkpoint at `base`.
    #[must_use]
    pub fn bytes_since(&self, _base: Position) -> u64 {
        todo!()
    }

    /// Bytes that the log takes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        todo!()
    }
}

/// A file found in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which; never a temporary one.
    pub file: File,
    /// Its size.
    pub length: u64,
}
