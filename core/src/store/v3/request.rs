//! What can be asked of the v3 store, and what it answers; already checked, so that nonsense
//! cannot be said.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Record, Records};

/// A set of keys: the meaning of etcd's `key` and `range_end`. Keys are never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Exactly this key.
    Key(Bytes),
    /// From the first key up to, and without, the second. Empty when they are not ascending.
    Between(Bytes, Bytes),
    /// This key and all above it.
    From(Bytes),
}

/// A lease's id; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// In which order a range answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// As the keys come; with a target other than the key, ascending *after* the limit.
    #[default]
    None,
    /// Smallest first; the limit acts after sorting.
    Ascend,
    /// Largest first; the limit acts after sorting.
    Descend,
}

/// By what a range is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key's bytes.
    #[default]
    Key,
    /// How often the key was put since it was created.
    Version,
    /// The revision that created it.
    Create,
    /// The revision that last changed it.
    Mod,
    /// The value's bytes.
    Value,
}

/// A read of an interval at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub interval: Interval,
    /// The most records to answer; zero is no limit.
    pub limit: u64,
    /// At which revision; zero is the present.
    pub revision: i64,
    /// See there.
    pub order: SortOrder,
    /// See there.
    pub target: SortTarget,
    /// Leave the values out of the answer.
    pub keys_only: bool,
    /// Answer nothing but the number of keys.
    pub count_only: bool,
    /// Inclusive bounds on `mod_revision`; zero is none.
    pub mod_revisions: (i64, i64),
    /// Inclusive bounds on `create_revision`; zero is none.
    pub create_revisions: (i64, i64),
}

/// A write of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Not empty.
    pub key: Bytes,
    /// The new value; none keeps the old one (`ignore_value`).
    pub value: Option<Bytes>,
    /// The lease to attach; `Some(None)` attaches none, `None` keeps the old one (`ignore_lease`).
    pub lease: Option<Option<LeaseId>>,
    /// Answer the pair before the write.
    pub previous: bool,
}

impl Put {
    /// Whether the key must be there already, because something of it is kept.
    pub(super) fn needs_key(&self) -> bool {
        self.value.is_none() || self.lease.is_none()
    }
}

/// A removal of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRange {
    /// Which keys.
    pub interval: Interval,
    /// Answer the pairs before the removal.
    pub previous: bool,
}

/// What a comparison looks at, and the value it compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The number of puts since creation; 0 for an absent key.
    Version(i64),
    /// The creating revision; 0 for an absent key.
    Create(i64),
    /// The last changing revision; 0 for an absent key.
    Mod(i64),
    /// The value. An absent key fails every such comparison.
    Value(Bytes),
    /// The attached lease; 0 for none.
    Lease(i64),
}

/// How the stored value relates to the given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    /// stored = given
    Equal,
    /// stored > given
    Greater,
    /// stored < given
    Less,
    /// stored != given
    NotEqual,
}

/// A condition of a transaction; it must hold for every key of the interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Which keys.
    pub interval: Interval,
    /// What is compared.
    pub target: CompareTarget,
    /// How.
    pub result: CompareResult,
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A read.
    Range(Range),
    /// A write.
    Put(Put),
    /// A removal.
    DeleteRange(DeleteRange),
    /// A transaction within the transaction.
    Txn(Txn),
}

/// Conditions and two lists of operations, one of which is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `success`.
    pub compares: Vec<Compare>,
    /// Carried out when they do.
    pub success: Vec<Op>,
    /// Carried out when they do not.
    pub failure: Vec<Op>,
}

/// A change of the v3 store that goes through the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// See there.
    Put(Put),
    /// See there.
    DeleteRange(DeleteRange),
    /// See there.
    Txn(Txn),
}

/// The answer to a [`Range`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeAnswer {
    /// The store's revision when it was read (not the revision asked for).
    pub revision: i64,
    /// The records; empty with `count_only`. Cheap handles that keep their record alive.
    pub records: Records,
    /// Whether the values are to be left out.
    pub keys_only: bool,
    /// More keys lie behind the limit.
    pub more: bool,
    /// How many keys the interval has, whatever the limit and the filters.
    pub count: u64,
}

/// The answer to one operation. `revision` is the store's after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a range.
    Range(RangeAnswer),
    /// To a put.
    Put {
        /// See above.
        revision: i64,
        /// The pair before, if asked for and there was one.
        previous: Option<Record>,
    },
    /// To a removal.
    DeleteRange {
        /// See above.
        revision: i64,
        /// How many keys were removed.
        deleted: u64,
        /// The pairs before, in key order, if asked for.
        previous: Records,
    },
    /// To a transaction.
    Txn {
        /// See above.
        revision: i64,
        /// Whether the conditions held.
        succeeded: bool,
        /// One answer for each operation of the list that was carried out.
        answers: Vec<Self>,
    },
}

/// Why a request changed nothing. Part of the replicated outcome: every member finds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// `ignore_value` or `ignore_lease` on an absent key.
    KeyNotFound,
    /// The lease to attach does not exist.
    LeaseNotFound,
    /// The revision asked for is below the compact revision.
    Compacted,
    /// The revision asked for has not happened yet.
    FutureRevision,
}
