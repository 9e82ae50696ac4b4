//! A listing that can pause between nodes.

use alloc::collections::btree_map;
use alloc::vec::Vec;
use core::ops::Bound;

use super::super::request::NodeView;
use super::Tree;
use super::node::{Content, DirectoryId, Key, Node, split};

/// A listing that has paused.
///
/// # Invariants
/// - It goes on over the very nodes that it began with: nothing may be changed while it pauses.
#[derive(Debug)]
pub(in crate::store) struct Listing {
    recursive: bool,
    levels: Vec<Level>,
}

/// How far a listing has come.
#[derive(Debug)]
pub(in crate::store::v2) enum Listed {
    /// The directory with all that was asked for.
    Whole(NodeView),
    /// There is more.
    Paused(Listing),
}

/// A directory that is being listed, and the place to go on at; none behind its last entry.
#[derive(Debug)]
struct Level {
    view: NodeView,
    next: Option<Key>,
}

/// Nodes and their places.
pub(super) type Places<'a> = btree_map::Range<'a, Key, Node>;

/// The same while the listing goes on.
type Open<'a> = (NodeView, Option<Places<'a>>);

impl Tree {
    /// Fills in the visible entries of a directory, and of all those below if `recursive`; at most
    /// `budget` nodes are looked at.
    pub(in crate::store::v2) fn list(
        &self,
        top: NodeView,
        directory: DirectoryId,
        recursive: bool,
        budget: usize,
    ) -> Listed {
        self.go_on(recursive, Vec::from([(top, Some(self.places_of(directory)))]), budget)
    }

    /// Looks at more nodes for a listing that has paused.
    pub(in crate::store::v2) fn list_more(&self, listing: Listing, budget: usize) -> Listed {
        let Listing { recursive, levels } = listing;
        let open = |level: Level| (level.view, level.next.map(|next| self.places_from(&next)));
        self.go_on(recursive, levels.into_iter().map(open).collect(), budget)
    }

    fn go_on<'a>(&'a self, recursive: bool, mut levels: Vec<Open<'a>>, budget: usize) -> Listed {
        for _ in 0..budget {
            let (view, entries) = levels.last_mut().expect("the top level is left by returning");
            let Some((key, node)) = entries.as_mut().and_then(Places::next) else {
                let (done, _) = levels.pop().expect("a level was just looked at");
                match levels.last_mut() {
                    Some((parent, _)) => parent.nodes.push(done),
                    None => return Listed::Whole(done),
                }
                continue;
            };
            let name = split(key).1;
            if name.starts_with(b"_") {
                continue;
            }
            let child = node.view(view.path.child(name));
            match node.content {
                Content::Directory(id) if recursive => {
                    levels.push((child, Some(self.places_of(id))));
                }
                _ => view.nodes.push(child),
            }
        }
        let pause = |(view, entries): Open<'_>| {
            let next = entries.and_then(|mut entries| entries.next());
            Level { view, next: next.map(|(key, _)| key.clone()) }
        };
        Listed::Paused(Listing { recursive, levels: levels.into_iter().map(pause).collect() })
    }

    /// The entries of a directory, in the order of their names.
    pub(super) fn places_of(&self, directory: DirectoryId) -> Places<'_> {
        self.places_from(&directory.0.to_be_bytes())
    }

    /// Those from a place on.
    fn places_from(&self, place: &[u8]) -> Places<'_> {
        let end = split(place).0.next().0.to_be_bytes();
        self.nodes.range::<[u8], _>((Bound::Included(place), Bound::Excluded(&end[..])))
    }
}
