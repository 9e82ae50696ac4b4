//! What the core asks of the disk, and what the disk answers.
//!
//! There are two lanes, each with its own tickets: *log* (log records, term and vote) and *bulk*
//! (checkpoints, received snapshots, zeros ahead of the log's writer). A driver performs each
//! lane's operations in order and answers [`Durable`](crate::replica::Input::Durable) with the
//! newest ticket whose every operation is on stable storage; that answer covers all earlier tickets
//! of the lane. The lanes are not ordered with each other: where order matters the core waits.
//!
//! Every byte and every file boundary is decided here in the core, so that the simulator's disk
//! and the fuzzer meet the real format.

use core::fmt;

use bytes::Bytes;

/// One of the two queues of disk work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Appends to the log. What claims wait for.
    Log,
    /// Large, paced writes that no client waits for.
    Bulk,
}

/// Numbers the batches handed to one lane. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Names a file in the data directory. A driver maps it to a path: `wal/%016x.wal` for segments,
/// `snap/%016x.snap` for checkpoints, each with `.tmp` behind it until it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// The log segment with this sequence number.
    Segment(u64),
    /// The checkpoint that covers the log up to and including this index.
    Checkpoint(u64),
}

impl fmt::Display for File {
    /// The published file's path within the data directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(sequence) => write!(f, "wal/{sequence:016x}.wal"),
            Self::Checkpoint(index) => write!(f, "snap/{index:016x}.snap"),
        }
    }
}

/// One operation of a lane's batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Creates the file, empty, under its temporary name; replaces an abandoned one.
    Create(File),
    /// Writes all of `bytes` at `offset`, extending the file where needed. The file is the
    /// published one if it exists, else the temporary one.
    Write {
        /// Where to.
        file: File,
        /// In bytes from the start of the file.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// Writes `length` zero bytes at `offset`, so that later writes change no metadata.
    Zero {
        /// Where to.
        file: File,
        /// In bytes from the start of the file.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Syncs the temporary file, renames it to its name, and syncs the directory.
    Publish(File),
    /// Removes the file, published or temporary, and syncs the directory. Absent is fine.
    Remove(File),
}

/// A read of a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRead {
    /// From where.
    pub file: File,
    /// In bytes from the start of the file.
    pub offset: u64,
    /// The most bytes wanted; fewer come back only at the end of the file.
    pub length: u64,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFailure {
    /// No space is left, and nothing that was promised is lost. Also the answer to operations
    /// that were queued behind the creation of their file, when that failed so.
    Full,
    /// Anything else. What reached the disk is unknown: the member must stop.
    Io,
}
