//! A tree made at once from all its nodes.

use alloc::vec::Vec;

use super::super::Path;
use super::node::{Content, DirectoryId, Key, Node, Totals, split};
use super::{Directory, Tree};

/// Builds a tree from its nodes, given in the order of an image: places that grow, so that a
/// directory comes before what is in it.
#[derive(Debug)]
pub(in crate::store::v2) struct Builder {
    nodes: Vec<(Key, Node)>,
    tree: Tree,
    /// The directory of the last node, and its path: entries of one come one after another.
    current: (DirectoryId, Path),
}

impl Builder {
    /// A tree whose directories have numbers up to `last`.
    pub(in crate::store::v2) fn new(last: DirectoryId) -> Self {
        let mut tree = Tree::new();
        tree.last = last;
        Self { nodes: Vec::new(), tree, current: (DirectoryId::ROOT, Path::root()) }
    }

    /// Adds a node. One whose directory is not there could not be reached when the image began,
    /// and is left out.
    ///
    /// # Errors
    /// When the node cannot be one of an image's at this place.
    pub(in crate::store::v2) fn add(&mut self, key: Key, node: Node) -> Result<(), &'static str> {
        if self.nodes.last().is_some_and(|(last, _)| *last >= key) {
            return Err("nodes are not in order");
        }
        let (parent, name) = split(&key);
        if name.is_empty() || name.contains(&b'/') {
            return Err("a name is not one component");
        }
        if self.current.0 != parent {
            match self.tree.path(parent) {
                Some(path) => self.current = (parent, path),
                None => return Ok(()),
            }
        }
        let path = self.current.1.child(name);
        if let Content::Directory(id) = node.content {
            if id <= parent || id > self.tree.last || self.tree.directories.contains_key(&id) {
                return Err("a directory's number is out of order");
            }
            let record = Directory { parent, name: name.into(), below: Totals::default() };
            self.tree.directories.insert(id, record);
        }
        if let Some(time) = node.expiration {
            self.tree.deadlines.insert((time, key.clone()));
        }
        let is = node.totals(path.as_bytes(), name);
        self.tree.change_totals(parent, Totals::default(), is);
        self.nodes.push((key, node));
        Ok(())
    }

    /// The tree of all nodes that were added.
    pub(in crate::store::v2) fn finish(mut self) -> Tree {
        self.tree.nodes = self.nodes.into_iter().collect();
        self.tree
    }
}
