//! Where a change stands in the store's history.

/// The place of one operation's changes: the transaction's revision, then the operation in it.
///
/// `sub` counts the *operations* of the transaction that write, not the changes: all tombstones of
/// one removal share it. So a place is known the moment an entry is applied, even if the removal
/// of a million keys behind it is still being worked off. etcd's dense sub revisions follow from
/// it: count the changes before, in operation order and then in key order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// One for each transaction that changes something; what clients call the revision.
    pub main: i64,
    /// The place among the transaction's writing operations.
    pub sub: u32,
}

impl Revision {
    /// Behind every change of a transaction.
    #[must_use]
    pub fn end_of(main: i64) -> Self {
        Self { main, sub: u32::MAX }
    }
}
