//! What can be asked of the v2 store, and what it answers.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Path;
use crate::time::WallTime;

/// What a conditional write compares with. At least one of the two is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The value that the node must have (`prevValue`); not empty.
    pub value: Option<Bytes>,
    /// The `modifiedIndex` that the node must have (`prevIndex`); not zero.
    pub index: Option<u64>,
}

/// A change of the v2 store that goes through the log. A TTL is in seconds from the leader's stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces.
    Set {
        /// The key.
        path: Path,
        /// Empty for a directory.
        value: Bytes,
        /// Makes a directory.
        directory: bool,
        /// Seconds to live.
        ttl: Option<u64>,
        /// Keeps the value and notifies nobody.
        refresh: bool,
    },
    /// Creates; an existing node is an error.
    Create {
        /// The key, or the directory that in-order keys are made in.
        path: Path,
        /// Empty for a directory.
        value: Bytes,
        /// Makes a directory.
        directory: bool,
        /// Seconds to live.
        ttl: Option<u64>,
        /// Appends the new index, 20 digits, to the path (`POST`).
        in_order: bool,
    },
    /// Changes an existing node.
    Update {
        /// The key.
        path: Path,
        /// The new value; empties the file when empty.
        value: Bytes,
        /// Seconds to live.
        ttl: Option<u64>,
        /// Keeps the value and notifies nobody.
        refresh: bool,
    },
    /// Changes a file if the condition holds.
    CompareAndSwap {
        /// The key.
        path: Path,
        /// The new value.
        value: Bytes,
        /// Seconds to live.
        ttl: Option<u64>,
        /// Keeps the value and notifies nobody.
        refresh: bool,
        /// What must hold.
        condition: Condition,
    },
    /// Removes.
    Delete {
        /// The key.
        path: Path,
        /// Allows an empty directory.
        directory: bool,
        /// Allows a directory with all below it.
        recursive: bool,
    },
    /// Removes a file if the condition holds.
    CompareAndDelete {
        /// The key.
        path: Path,
        /// What must hold.
        condition: Condition,
    },
}

impl Write {
    /// The key, or the directory that an in-order key is made in.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Create { path, .. }
            | Self::Update { path, .. }
            | Self::CompareAndSwap { path, .. }
            | Self::Delete { path, .. }
            | Self::CompareAndDelete { path, .. } => path,
        }
    }

    /// What its event is called.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Set { .. } => Action::Set,
            Self::Create { .. } => Action::Create,
            Self::Update { .. } => Action::Update,
            Self::CompareAndSwap { .. } => Action::CompareAndSwap,
            Self::Delete { .. } => Action::Delete,
            Self::CompareAndDelete { .. } => Action::CompareAndDelete,
        }
    }
}

/// A read of a node, and of what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The key.
    pub path: Path,
    /// All levels below a directory, not just the first.
    pub recursive: bool,
    /// Children in the order of their keys.
    pub sorted: bool,
}

/// A wait for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The key; it need not exist.
    pub path: Path,
    /// Also hears what happens below it.
    pub recursive: bool,
    /// Stays after the first event.
    pub stream: bool,
    /// Starts from this index; none starts from now.
    pub wait_index: Option<u64>,
}

/// What happened to a node; printed as an answer's `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A read.
    Get,
    /// A set.
    Set,
    /// A creation.
    Create,
    /// An update.
    Update,
    /// A conditional change.
    CompareAndSwap,
    /// A removal.
    Delete,
    /// A conditional removal.
    CompareAndDelete,
    /// A removal because its time was up.
    Expire,
}

/// A node as it is answered. The TTL in seconds is the printer's business: it depends on when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The full key.
    pub path: Path,
    /// None for directories and removed nodes.
    pub value: Option<Bytes>,
    /// Whether it is a directory.
    pub directory: bool,
    /// When its time is up.
    pub expiration: Option<WallTime>,
    /// Visible children, where they are listed.
    pub nodes: Vec<Self>,
    /// The index that last changed it.
    pub modified_index: u64,
    /// The index that created it.
    pub created_index: u64,
}

impl NodeView {
    /// A node without value and expiration: the root, or one that was removed.
    pub(super) fn bare(path: Path, directory: bool, modified: u64, created: u64) -> Self {
        Self {
            path,
            value: None,
            directory,
            expiration: None,
            nodes: Vec::new(),
            modified_index: modified,
            created_index: created,
        }
    }

    /// A node after a change: a directory if there is no value.
    pub(super) fn changed(
        path: Path,
        value: Option<Bytes>,
        expiration: Option<WallTime>,
        modified: u64,
        created: u64,
    ) -> Self {
        let directory = value.is_none();
        Self { value, expiration, ..Self::bare(path, directory, modified, created) }
    }
}

/// A change, as its writer is answered and as watchers hear it; or the answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The node after it.
    pub node: NodeView,
    /// The node before it, where there was one and the action shows it.
    pub previous: Option<Box<NodeView>>,
    /// The store's index just after it.
    pub index: u64,
    /// When: the leader's stamp of a change; none for a read, which is of the time when it is
    /// printed. A TTL is printed as what is left from here to the expiration.
    pub at: Option<WallTime>,
    /// The node did not exist before a `set`: answered as 201.
    pub created: bool,
    /// Kept in the history and shown to the writer, but to no watcher.
    pub refresh: bool,
}

impl Event {
    pub(super) fn new(action: Action, node: NodeView, index: u64, at: Option<WallTime>) -> Self {
        Self { action, node, previous: None, index, at, created: false, refresh: false }
    }
}

/// A refusal, with etcd's number (`etcd-v2` error table) and cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which.
    pub kind: ErrorKind,
    /// Printed behind the message; empty is left out. Raw bytes, as paths and values are.
    pub cause: Bytes,
    /// The store's index when it was found.
    pub index: u64,
}

/// The refusals that the store itself makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// 100
    KeyNotFound,
    /// 101
    CompareFailed,
    /// 102
    NotFile,
    /// 104
    NotDirectory,
    /// 105
    NodeExists,
    /// 107
    RootReadOnly,
    /// 108
    DirectoryNotEmpty,
    /// 110
    Unauthorized,
    /// 401
    EventIndexCleared,
}
