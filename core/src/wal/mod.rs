//! The write-ahead log: how term, vote and entries lie on disk, and how they are found again.
//!
//! The log is a row of *segments* (files), each a header and a row of *records*, then zeros. One
//! submission of Raft is a *batch*: one or more records, written with one write. Every record
//! tells the whole of what is not an entry (term, vote, base, commit index), so recovery needs
//! nothing but the records that are still there, and cutting the log is removing old files.
//!
//! **Two checksums.** An entry's own covers its payload, is made once by the leader that proposed
//! it, and is carried unchanged through network and log. A record's covers its header, its place
//! (segment, offset, number), the checksum of the record before it, and the entries' checksums.
//! So a record that was written elsewhere, or in another life of the log, is never taken for the
//! next one, and payloads are summed only once.
//!
//! **Torn tail or corruption?** A crash may leave any part of what was not synced, in any order.
//! Bit rot may take what was. Both look like a record that cannot be read; only the first may be
//! dropped. Therefore each record says what was synced when it was written: `durable_before`.
//!
//! ```text
//! record            7   8   9   10
//! durable before    6   6   8   8
//! ```
//!
//! If record 9 cannot be read, record 10 promises nothing about it: both are the unsynced tail,
//! nobody was told of them, they are dropped. If record 8 cannot be read, records 9 and 10 say
//! that it was synced: this is corruption of something acknowledged, and recovery ends with file,
//! offset and reason, changing nothing. The newest record is vouched for by nobody until the next
//! one, so a log that falls idle *closes the gap* with an empty one; what then remains, the peers
//! know (`reliability.md`, section 3).
//!
//! **A start begins a segment.** Recovery never writes behind a dropped tail: what is left of it
//! could be taken for newer records by a later recovery. The writer goes on in a new segment,
//! whose first record continues number and chain behind the last good record. Leftover records
//! stay harmless where they are: what they promise was good when the tail was dropped.
//!
//! **What recovery reads must be durable**: a process may die while the page cache lives on, so a
//! driver syncs the files that it lists ([`Found`]) before recovery reads them.
//!
//! Deliberately absent: reads and writes themselves (drivers do them), the content of entries,
//! and repair from peers.

mod cursor;
mod error;
mod hostile;
mod places;
mod record;
mod recovery;
mod replay;
mod segments;
mod writer;

pub use error::RecoveryError;
pub use hostile::{recover_from_bytes, reseal};
pub use recovery::{Recovered, Recovery, Step, Tail};
pub use writer::Wal;

use crate::disk::File;
use crate::identity::{ClusterId, Incarnation, MemberId};

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

/// A file found in the data directory. Its driver has synced it, so that nothing which recovery
/// reads can be lost afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which; never a temporary one.
    pub file: File,
    /// Its size.
    pub length: u64,
}
