//! What a role permits: patterns of keys.
//!
//! A pattern that ends in `*` covers every key that begins with what stands before it, any other
//! one just the key that it is. Both are compared with the key as it was given, a slash at its
//! end included: `/a/*` does not cover `/a`.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::Refusal;
use crate::store::v2::Path;

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// GET and HEAD; watching, too.
    Read,
    /// Everything else.
    Write,
}

/// Patterns of the keys that may be read and written. A list that was never given is told from an
/// empty one, as in etcd's JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// May be read.
    pub read: Option<Vec<String>>,
    /// May be written.
    pub write: Option<Vec<String>>,
}

/// A key as the client gave it.
#[derive(Clone, Copy)]
pub(super) struct RawKey<'a> {
    /// Without a slash at its end: the root has none at all.
    stem: &'a [u8],
    slash: bool,
}

impl<'a> RawKey<'a> {
    pub(super) fn new(path: &'a Path, slash: bool) -> Self {
        let stem = if path.is_root() { &[] } else { path.as_bytes() };
        Self { stem, slash }
    }

    fn begins_with(self, prefix: &[u8]) -> bool {
        match prefix.strip_prefix(self.stem) {
            Some(rest) => rest.is_empty() || (self.slash && rest == b"/"),
            None => self.stem.starts_with(prefix),
        }
    }

    fn is(self, whole: &[u8]) -> bool {
        let rest: &[u8] = if self.slash { b"/" } else { b"" };
        whole.strip_prefix(self.stem) == Some(rest)
    }
}

impl Permissions {
    /// What the roles `root` and, when it is first made, `guest` permit.
    #[must_use]
    pub fn everything() -> Self {
        let all = || Some(Vec::from([String::from("/*")]));
        Self { read: all(), write: all() }
    }

    /// Whether nothing is permitted, or asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.iter().chain(&self.write).all(Vec::is_empty)
    }

    /// Whether a key is covered; a `recursive` request is by prefixes only.
    pub(super) fn permit(&self, access: Access, key: RawKey<'_>, recursive: bool) -> bool {
        let list = match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        };
        list.iter().flatten().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => key.begins_with(prefix.as_bytes()),
            None => !recursive && !pattern.is_empty() && key.is(pattern.as_bytes()),
        })
    }

    /// These permissions with others added.
    ///
    /// # Errors
    /// When one of them is there already.
    pub(super) fn granted(&self, more: &Self) -> Result<Self, Refusal> {
        let add = |list: &Option<Vec<String>>, more: &Option<Vec<String>>, access| {
            let mut set: BTreeSet<String> = list.iter().flatten().cloned().collect();
            for pattern in more.iter().flatten() {
                if !set.insert(pattern.clone()) {
                    return Err(Refusal::DuplicatePermission(access, pattern.clone()));
                }
            }
            Ok(Some(set.into_iter().collect()))
        };
        let read = add(&self.read, &more.read, Access::Read)?;
        Ok(Self { read, write: add(&self.write, &more.write, Access::Write)? })
    }

    /// These permissions without others; what is not there is not missed.
    pub(super) fn revoked(&self, others: &Self) -> Self {
        let remove = |list: &Option<Vec<String>>, others: &Option<Vec<String>>| {
            let mut set: BTreeSet<&String> = list.iter().flatten().collect();
            others.iter().flatten().for_each(|pattern| {
                set.remove(pattern);
            });
            Some(set.into_iter().cloned().collect())
        };
        Self { read: remove(&self.read, &others.read), write: remove(&self.write, &others.write) }
    }
}
