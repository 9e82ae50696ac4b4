//! A node, its place, and the sums that directories keep over theirs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::request::NodeView;
use super::super::{Path, fingerprint};
use crate::time::WallTime;

/// What a node costs in memory beside its name and value, roughly.
const NODE_BYTES: u64 = 150;

/// Names a directory within its tree. Grows; a parent's is smaller than its children's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::v2) struct DirectoryId(pub(in crate::store::v2) u64);

impl DirectoryId {
    pub(in crate::store::v2) const ROOT: Self = Self(0);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A node's place: its directory's number, big-endian, and its name.
pub(in crate::store::v2) type Key = Box<[u8]>;

/// The place of a node.
pub(in crate::store::v2) fn key(directory: DirectoryId, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + name.len());
    key.extend_from_slice(&directory.0.to_be_bytes());
    key.extend_from_slice(name);
    key
}

/// The directory and the name of a place.
pub(in crate::store::v2) fn split(key: &[u8]) -> (DirectoryId, &[u8]) {
    let (directory, name) = key.split_first_chunk::<8>().expect("a place begins with a number");
    (DirectoryId(u64::from_be_bytes(*directory)), name)
}

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::v2) struct Node {
    pub(in crate::store::v2) content: Content,
    pub(in crate::store::v2) expiration: Option<WallTime>,
    pub(in crate::store::v2) modified_index: u64,
    pub(in crate::store::v2) created_index: u64,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::v2) enum Content {
    File(Bytes),
    Directory(DirectoryId),
}

impl Node {
    pub(in crate::store::v2) fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory(_))
    }

    /// The value of a file.
    pub(in crate::store::v2) fn value(&self) -> Option<&Bytes> {
        match &self.content {
            Content::File(value) => Some(value),
            Content::Directory(_) => None,
        }
    }

    /// The node as it is answered, without entries.
    pub(in crate::store::v2) fn view(&self, path: Path) -> NodeView {
        NodeView {
            path,
            value: self.value().cloned(),
            directory: self.is_directory(),
            expiration: self.expiration,
            nodes: Vec::new(),
            modified_index: self.modified_index,
            created_index: self.created_index,
        }
    }

    pub(super) fn totals(&self, path: &[u8], name: &[u8]) -> Totals {
        let value = self.value().map_or(0, Bytes::len);
        let bytes = NODE_BYTES + (name.len() + value) as u64;
        Totals { hash: fingerprint::of_node(path, self), bytes, nodes: 1 }
    }
}

/// Sums over nodes. The hash's order does not matter, and what is added can be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store::v2) struct Totals {
    pub(in crate::store::v2) hash: u64,
    pub(in crate::store::v2) bytes: u64,
    pub(in crate::store::v2) nodes: u64,
}

impl Totals {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            hash: self.hash.wrapping_add(other.hash),
            bytes: self.bytes + other.bytes,
            nodes: self.nodes + other.nodes,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        assert!(self.nodes >= other.nodes, "nothing is taken away that was not added");
        Self {
            hash: self.hash.wrapping_sub(other.hash),
            bytes: self.bytes - other.bytes,
            nodes: self.nodes - other.nodes,
        }
    }
}
