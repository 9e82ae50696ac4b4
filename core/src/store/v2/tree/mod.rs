//! The nodes: one ordered map for all directories.
//!
//! Every directory has a number, given when it is made and never again. A node's place in the map
//! is its directory's number, big-endian, and its name. So the entries of a directory lie side by
//! side in the order of their names, a walk takes one search for each component, and nothing is
//! recursive.
//!
//! **A directory goes at once, whatever it holds.** Removing it takes its number out of use: what
//! is below can no longer be reached by any walk, and is removed from memory later, in slices
//! ([`Tree::sweep`]). A directory made anew at the same path has another number.
//!
//! Each directory keeps [`Totals`] of all that is below it, so that the state's hash and size lose
//! a whole subtree with one subtraction. A change adds its difference on the way up.
//!
//! ```text
//! /a/b = "x"      (0, "a") -> directory 1      1: parent 0, name "a"
//!                 (1, "b") -> file "x"
//! ```

mod builder;
mod listing;
mod node;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use super::Path;
use super::checkpoint::Image;
use crate::time::WallTime;
pub(super) use builder::Builder;
pub(super) use listing::Listed;
pub(in crate::store) use listing::Listing;
pub(super) use node::{Content, DirectoryId, Key, Node, Totals, key, split};

#[derive(Clone, Debug)]
struct Directory {
    parent: DirectoryId,
    name: Box<[u8]>,
    below: Totals,
}

/// Where a walk along a path ends.
#[derive(Debug)]
pub(super) enum Walk<'a> {
    /// The path is the root's.
    Root,
    /// At the node, an entry of this directory.
    Found(DirectoryId, &'a Node),
    /// In this directory, before the first component that is missing; `path[..end]` names it.
    Missing(DirectoryId, usize),
    /// At a file that is no directory, though the path goes on; `path[..end]` names it.
    Blocked(usize),
}

/// All nodes of a store.
///
/// # Invariants
/// - Every directory that can be reached has a record, whose totals are the sums over all nodes
///   below it.
/// - Every node with an expiration that can be reached is in `deadlines`.
/// - What cannot be reached is below a directory in `detached`.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Key, Node>,
    directories: BTreeMap<DirectoryId, Directory>,
    deadlines: BTreeSet<(WallTime, Key)>,
    detached: VecDeque<DirectoryId>,
    last: DirectoryId,
    image: Option<Image>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root =
            Directory { parent: DirectoryId::ROOT, name: Box::default(), below: Totals::default() };
        Self {
            nodes: BTreeMap::new(),
            directories: BTreeMap::from([(DirectoryId::ROOT, root)]),
            deadlines: BTreeSet::new(),
            detached: VecDeque::new(),
            last: DirectoryId::ROOT,
            image: None,
        }
    }

    /// Sums over all nodes.
    pub(super) fn totals(&self) -> Totals {
        self.directory(DirectoryId::ROOT).below
    }

    /// Sums over all nodes below a directory.
    pub(super) fn totals_below(&self, directory: DirectoryId) -> Totals {
        self.directory(directory).below
    }

    /// The highest number that was given to a directory.
    pub(super) fn last_directory(&self) -> DirectoryId {
        self.last
    }

    /// Follows a path as far as it goes.
    pub(super) fn walk(&self, path: &Path) -> Walk<'_> {
        let mut directory = DirectoryId::ROOT;
        let mut key = Vec::with_capacity(8 + path.as_bytes().len());
        let mut end = 0;
        let mut found: Option<&Node> = None;
        for name in path.components() {
            if let Some(node) = found {
                match node {
                    Node { content: Content::Directory(id), .. } => directory = *id,
                    Node { content: Content::File(_), .. } => return Walk::Blocked(end),
                }
            }
            end += 1 + name.len();
            key.clear();
            key.extend_from_slice(&directory.0.to_be_bytes());
            key.extend_from_slice(name);
            match self.nodes.get(&key[..]) {
                Some(node) => found = Some(node),
                None => return Walk::Missing(directory, end),
            }
        }
        found.map_or(Walk::Root, |node| Walk::Found(directory, node))
    }

    /// The node at a path, if there is one; none for the root.
    pub(super) fn find(&self, path: &Path) -> Option<&Node> {
        match self.walk(path) {
            Walk::Found(_, node) => Some(node),
            _ => None,
        }
    }

    /// Whether a directory holds nothing, hidden entries included.
    pub(super) fn is_empty(&self, directory: DirectoryId) -> bool {
        self.entries(directory).next().is_none()
    }

    /// The entries of a directory, in the order of their names.
    pub(super) fn entries(&self, directory: DirectoryId) -> impl Iterator<Item = (&[u8], &Node)> {
        self.places_of(directory).map(|(key, node)| (split(key).1, node))
    }

    /// Makes a node where a walk found none, and the directories missing above it.
    ///
    /// `reached` and `end` are where the walk ended. A node that is a directory is given its
    /// number here.
    pub(super) fn create(
        &mut self,
        path: &Path,
        (reached, end): (DirectoryId, usize),
        value: Option<Bytes>,
        expiration: Option<WallTime>,
        index: u64,
    ) {
        let bytes = path.as_bytes();
        let mut value = value;
        let mut made = Vec::new();
        let mut parent = reached;
        let mut end = end;
        loop {
            let is_last = end == bytes.len();
            let file = if is_last { value.take() } else { None };
            let node = Node {
                content: file.map_or_else(|| Content::Directory(self.last.next()), Content::File),
                expiration: expiration.filter(|_| is_last),
                modified_index: index,
                created_index: index,
            };
            let here = &bytes[..end];
            let name = name_of(here);
            made.push((parent, node.totals(here, name)));
            if let Content::Directory(id) = node.content {
                self.open_directory(id, parent, name);
                self.insert(key(parent, name), node);
                parent = id;
            } else {
                self.insert(key(parent, name), node);
            }
            if is_last {
                break;
            }
            let rest = bytes[end + 1..].iter().position(|byte| *byte == b'/');
            end = rest.map_or(bytes.len(), |length| end + 1 + length);
        }
        self.add_branch(&made);
    }

    /// Adds the totals of a new branch: each directory on it but the first is new as well.
    fn add_branch(&mut self, made: &[(DirectoryId, Totals)]) {
        let mut sum = Totals::default();
        for (parent, totals) in made.iter().skip(1).rev() {
            sum = sum.plus(*totals);
            self.directory_mut(*parent).below = sum;
        }
        let (first, totals) = made.first().expect("a branch has at least one node");
        self.change_totals(*first, Totals::default(), sum.plus(*totals));
    }

    /// Puts another node in the place of one that is there. A directory keeps its number, unless
    /// it replaces a file.
    pub(super) fn replace(&mut self, path: &Path, parent: DirectoryId, node: Node) {
        let key = key(parent, path.name());
        let is = node.totals(path.as_bytes(), path.name());
        let expiration = node.expiration;
        let slot = self.nodes.get_mut(&key[..]).expect("only a node that is there is replaced");
        assert!(
            !slot.is_directory() || slot.content == node.content,
            "nothing takes the place of a directory"
        );
        let old = core::mem::replace(slot, node);
        if let Some(image) = &mut self.image {
            image.keep(&key, Some(&old));
        }
        let was = old.totals(path.as_bytes(), path.name());
        self.change_deadline(key, old.expiration, expiration);
        self.change_totals(parent, was, is);
    }

    /// Turns the file at a path into an empty directory.
    pub(super) fn replace_by_directory(
        &mut self,
        path: &Path,
        parent: DirectoryId,
        expiration: Option<WallTime>,
        index: u64,
    ) {
        let id = self.last.next();
        let content = Content::Directory(id);
        let node = Node { content, expiration, modified_index: index, created_index: index };
        self.open_directory(id, parent, path.name());
        self.replace(path, parent, node);
    }

    /// Removes a node, and with a directory all that is below it.
    pub(super) fn remove(&mut self, path: &Path, parent: DirectoryId) {
        let node = self.remove_node(&key(parent, path.name()));
        let mut was = node.totals(path.as_bytes(), path.name());
        if let Content::Directory(id) = node.content {
            was = was.plus(self.directory(id).below);
            self.directories.remove(&id);
            if !self.is_empty(id) {
                self.detached.push_back(id);
            }
        }
        self.change_totals(parent, was, Totals::default());
    }

    /// Whether some nodes cannot be reached any more.
    pub(super) fn has_detached(&self) -> bool {
        !self.detached.is_empty()
    }

    /// Removes up to `budget` nodes that cannot be reached any more.
    pub(super) fn sweep(&mut self, budget: usize) {
        for _ in 0..budget {
            let Some(directory) = self.detached.front().copied() else { return };
            let Some(name) = self.entries(directory).next().map(|(name, _)| name.to_vec()) else {
                self.detached.pop_front();
                continue;
            };
            let node = self.remove_node(&key(directory, &name));
            if let Content::Directory(id) = node.content {
                self.directories.remove(&id);
                self.detached.push_back(id);
            }
        }
    }

    /// Drops up to `budget` nodes, whatever they are. Whether none is left.
    pub(super) fn dismantle(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            let had_node = self.nodes.pop_first().is_some();
            let had_directory = self.directories.pop_first().is_some();
            let had_deadline = self.deadlines.pop_first().is_some();
            if !(had_node || had_directory || had_deadline) {
                return true;
            }
        }
        false
    }

    /// Holds the present nodes for [`Self::next_imaged`], whatever is changed meanwhile.
    pub(super) fn begin_image(&mut self) {
        assert!(self.image.is_none(), "one image at a time");
        self.image = Some(Image::default());
    }

    /// Hands out the next nodes of the image, at most `limit`, and how many they were. Those of
    /// a directory that could not be reached when the image began may be among them.
    pub(super) fn next_imaged(&mut self, limit: usize, each: impl FnMut(&[u8], &Node)) -> usize {
        let image = self.image.as_mut().expect("the image was begun");
        image.advance(&self.nodes, limit, each)
    }

    /// Lets go of the image.
    pub(super) fn end_image(&mut self) {
        self.image = None;
    }

    /// The earliest expiration.
    pub(super) fn next_deadline(&self) -> Option<WallTime> {
        self.deadlines.first().map(|(time, _)| *time)
    }

    /// The path of the node that expires first, if that is not behind `cutoff`. Deadlines of
    /// nodes that went with a directory are dropped on the way, at most `budget` of them.
    pub(super) fn next_expired(&mut self, cutoff: WallTime, budget: &mut usize) -> Option<Path> {
        while *budget > 0 {
            let (time, key) = self.deadlines.first()?;
            if *time > cutoff {
                return None;
            }
            *budget -= 1;
            let (directory, name) = split(key);
            if let Some(path) = self.path(directory) {
                return Some(path.child(name));
            }
            self.deadlines.pop_first();
        }
        None
    }

    /// The path of a directory; none if it cannot be reached any more.
    fn path(&self, directory: DirectoryId) -> Option<Path> {
        let mut names = Vec::new();
        let mut id = directory;
        while id != DirectoryId::ROOT {
            let record = self.directories.get(&id)?;
            names.push(&record.name);
            id = record.parent;
        }
        let length = names.iter().map(|name| name.len() + 1).sum();
        let mut path = Vec::with_capacity(length);
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Some(Path::clean(&path))
    }

    /// Panics if an invariant is broken. Visits every node.
    pub(super) fn check(&self) {
        let mut below: BTreeMap<DirectoryId, Totals> = BTreeMap::new();
        for (key, node) in self.nodes.iter().rev() {
            let (directory, name) = split(key);
            let Some(path) = self.path(directory) else { continue };
            let mut totals = node.totals(path.child(name).as_bytes(), name);
            if let Content::Directory(id) = node.content {
                let record = self.directory(id);
                assert_eq!(record.parent, directory, "a directory knows its parent");
                totals = totals.plus(below.remove(&id).unwrap_or_default());
                assert!(id <= self.last, "numbers are given in order");
            }
            if let Some(time) = node.expiration {
                let deadline = (time, key.clone());
                assert!(self.deadlines.contains(&deadline), "every expiration has a deadline");
            }
            let sum = below.entry(directory).or_default();
            *sum = sum.plus(totals);
        }
        let root = below.remove(&DirectoryId::ROOT).unwrap_or_default();
        assert_eq!(root, self.totals(), "the root's totals are the sums over all nodes");
        assert!(below.is_empty(), "all that can be reached is below the root");
    }

    fn open_directory(&mut self, id: DirectoryId, parent: DirectoryId, name: &[u8]) {
        assert!(id > parent && id > self.last, "numbers grow downwards and are never reused");
        self.last = id;
        let record = Directory { parent, name: name.into(), below: Totals::default() };
        self.directories.insert(id, record);
    }

    fn insert(&mut self, key: Vec<u8>, node: Node) {
        if let Some(image) = &mut self.image {
            image.keep(&key, None);
        }
        if let Some(time) = node.expiration {
            self.deadlines.insert((time, key.as_slice().into()));
        }
        let old = self.nodes.insert(key.into_boxed_slice(), node);
        assert!(old.is_none(), "a node is inserted where none is");
    }

    fn remove_node(&mut self, key: &[u8]) -> Node {
        let (key, node) = self.nodes.remove_entry(key).expect("a node is removed where one is");
        if let Some(image) = &mut self.image {
            image.keep(&key, Some(&node));
        }
        if let Some(time) = node.expiration {
            self.deadlines.remove(&(time, key));
        }
        node
    }

    fn change_deadline(&mut self, key: Vec<u8>, was: Option<WallTime>, is: Option<WallTime>) {
        if was == is {
            return;
        }
        let key = key.into_boxed_slice();
        if let Some(time) = is {
            self.deadlines.insert((time, key.clone()));
        }
        if let Some(time) = was {
            self.deadlines.remove(&(time, key));
        }
    }

    fn change_totals(&mut self, directory: DirectoryId, was: Totals, is: Totals) {
        let mut id = directory;
        loop {
            let record = self.directory_mut(id);
            record.below = record.below.plus(is).minus(was);
            if id == DirectoryId::ROOT {
                return;
            }
            id = record.parent;
        }
    }

    fn directory(&self, id: DirectoryId) -> &Directory {
        self.directories.get(&id).expect("a directory that can be reached has a record")
    }

    fn directory_mut(&mut self, id: DirectoryId) -> &mut Directory {
        self.directories.get_mut(&id).expect("a directory that can be reached has a record")
    }
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
