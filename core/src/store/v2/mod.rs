//! The v2 store: a tree of files and directories under one index.

mod request;

use alloc::vec::Vec;
use bytes::Bytes;

pub use request::{Action, Condition, Error, ErrorKind, Event, Get, NodeView, Watch, Write};

/// A cleaned key: `/`, or components each led by a slash, none of them empty. Any bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Bytes);

impl Path {
    /// Cleans a raw key: empty, `.` and `..` components disappear, as in Go's `path.Clean`.
    #[must_use]
    pub fn clean(raw: &[u8]) -> Self {
        let mut components: Vec<&[u8]> = Vec::new();
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => drop(components.pop()),
                name => components.push(name),
            }
        }
        let mut cleaned = Vec::with_capacity(raw.len() + 1);
        for component in &components {
            cleaned.push(b'/');
            cleaned.extend_from_slice(component);
        }
        if cleaned.is_empty() {
            cleaned.push(b'/');
        }
        Self(cleaned.into())
    }

    /// The bytes, `/` first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The tree, its history and its watchers.
pub struct Store {}
