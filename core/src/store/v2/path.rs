//! Keys: cleaned slash-separated paths of arbitrary bytes.

use alloc::vec::Vec;

use bytes::Bytes;

/// A cleaned key: `/`, or components each led by a slash, none of them empty. Any bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Bytes);

impl Path {
    /// The directory that holds all others.
    #[must_use]
    pub fn root() -> Self {
        Self(Bytes::from_static(b"/"))
    }

    /// Cleans a raw key: empty, `.` and `..` components disappear, as in Go's `path.Clean`.
    #[must_use]
    pub fn clean(raw: &[u8]) -> Self {
        if is_clean(raw) {
            return Self(Bytes::copy_from_slice(raw));
        }
        let mut components: Vec<&[u8]> = Vec::new();
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => drop(components.pop()),
                name => components.push(name),
            }
        }
        if components.is_empty() {
            return Self::root();
        }
        let mut cleaned = Vec::with_capacity(raw.len() + 1);
        for component in &components {
            cleaned.push(b'/');
            cleaned.extend_from_slice(component);
        }
        Self(cleaned.into())
    }

    /// The key of an entry of this directory.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        assert!(!name.is_empty() && !name.contains(&b'/'), "a name is one component");
        let stem = if self.is_root() { &[] } else { self.as_bytes() };
        let mut child = Vec::with_capacity(stem.len() + 1 + name.len());
        child.extend_from_slice(stem);
        child.push(b'/');
        child.extend_from_slice(name);
        Self(child.into())
    }

    /// A copy that shares no memory with a request's or a log entry's buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The bytes, `/` first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the directory that holds all others.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// How many components it has.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        self.0.get(start..).unwrap_or_default()
    }

    /// The key itself and every directory above it, outermost first: `/`, `/a`, `/a/b`.
    pub fn lineage(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.as_bytes();
        let whole = (!self.is_root()).then_some(bytes);
        let inner = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        let above = inner.map(|(slash, _)| bytes.split_at(slash).0);
        core::iter::once(&b"/"[..]).chain(above).chain(whole)
    }
}

/// Whether cleaning changes nothing: the usual case, which costs one look.
fn is_clean(raw: &[u8]) -> bool {
    let Some(names) = raw.strip_prefix(b"/") else { return false };
    names.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cleaning_follows_go() {
        let rows: [(&[u8], &[u8]); 9] = [
            (b"", b"/"),
            (b"/", b"/"),
            (b"a", b"/a"),
            (b"/a/", b"/a"),
            (b"//a///b", b"/a/b"),
            (b"/a/./b/.", b"/a/b"),
            (b"/a/../b", b"/b"),
            (b"/../../a", b"/a"),
            (b"/a/..", b"/"),
        ];
        for (raw, cleaned) in rows {
            assert_eq!(Path::clean(raw).as_bytes(), cleaned);
        }
    }

    #[test]
    fn a_lineage_begins_at_the_root_and_ends_with_the_key() {
        let path = Path::clean(b"/a/bc/d");
        let lineage: Vec<_> = path.lineage().collect();
        assert_eq!(lineage, [&b"/"[..], b"/a", b"/a/bc", b"/a/bc/d"]);
        assert_eq!(Path::root().lineage().count(), 1);
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(raw: Vec<u8>) {
            let path = Path::clean(&raw);
            prop_assert_eq!(&Path::clean(path.as_bytes()), &path);
            prop_assert_eq!(path.depth() == 0, path.is_root());
            let rebuilt = path.components().fold(Path::root(), |path, name| path.child(name));
            prop_assert_eq!(&rebuilt, &path);
            prop_assert_eq!(path.components().last().unwrap_or_default(), path.name());
        }
    }
}
