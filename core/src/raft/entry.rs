//! Log entries: what is replicated, and the checksum that travels with it.

use core::fmt;

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Table};
use serde::{Deserialize, Serialize};

/// A leader's term of office (Raft paper, 5.1). Zero is before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// A position in the log. The first entry has index 1; zero is before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Index(pub u64);

impl Term {
    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// The index after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Nothing: a new leader's first entry, which lets it commit (Raft paper, 5.4.2, 8).
    Empty,
    /// A command for the state machine; opaque to Raft.
    Command,
    /// A change of the configuration; opaque to Raft but for its kind, which makes changes go one
    /// at a time.
    Configuration,
}

impl EntryKind {
    /// The byte that stands for this kind on disk and on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Command => 1,
            Self::Configuration => 2,
        }
    }

    /// The kind that a byte stands for.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        [Self::Empty, Self::Command, Self::Configuration].into_iter().find(|k| k.code() == code)
    }
}

/// One entry of the replicated log.
///
/// # Invariants
/// - `checksum` covers term, index, kind and payload; it is computed once, by the leader that
///   makes the entry, and is carried unchanged through network, log and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
    /// What `payload` is.
    pub kind: EntryKind,
    /// Opaque bytes.
    pub payload: Bytes,
    /// See the invariants.
    pub checksum: u32,
}

impl Entry {
    /// Makes an entry and computes its checksum.
    #[must_use]
    pub fn new(term: Term, index: Index, kind: EntryKind, payload: Bytes) -> Self {
        let checksum = checksum(term, index, kind, &payload);
        Self { term, index, kind, payload, checksum }
    }

    /// Whether the entry is what its maker made.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.checksum == checksum(self.term, self.index, self.kind, &self.payload)
    }
}

/// CRC-32C, as iSCSI and etcd use it.
pub(crate) const CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

fn checksum(term: Term, index: Index, kind: EntryKind, payload: &[u8]) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    digest.update(&term.0.to_le_bytes());
    digest.update(&index.0.to_le_bytes());
    digest.update(&[kind.code()]);
    digest.update(payload);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_entry_is_not_intact() {
        let entry = Entry::new(Term(2), Index(7), EntryKind::Command, Bytes::from_static(b"x"));
        assert!(entry.is_intact());
        assert!(!Entry { term: Term(3), ..entry.clone() }.is_intact());
        assert!(!Entry { index: Index(8), ..entry.clone() }.is_intact());
        assert!(!Entry { kind: EntryKind::Empty, ..entry.clone() }.is_intact());
        assert!(!Entry { payload: Bytes::from_static(b"y"), ..entry }.is_intact());
    }
}
