//! The v2 store: a tree of files and directories under one index.
//!
//! Every successful change takes the next index and makes one [`Event`]: the answer to its
//! writer, a slot of the history, and what watchers hear. Refusals and reads take none. Members
//! that apply the same commands with the same stamps have the same nodes, indices and events;
//! time enters only by the leader's stamp of a command, never by a clock here.
//!
//! | part | is |
//! | --- | --- |
//! | [`Path`] | a cleaned key |
//! | [`Write`], [`Get`], [`Watch`] | what can be asked, see `request` |
//! | `change` | what each write does |
//! | `tree` | the nodes, in one ordered map |
//! | `history` | the last thousand events, for watches that begin in the past |
//! | `watchers` | who is told of an event as it happens |
//! | `checkpoint` | the store written down while it changes, and read back |
//! | [`Statistics`] | counters of this member, outside the replicated state |
//!
//! Semantics are etcd 3.4's, quirks included; where one looks wrong, the comment beside it names
//! it. **Bounded work**: a removed directory leaves the state at once and memory in slices
//! ([`Store::work`]); expiry is done in slices ([`Store::expire`]), and so are listings: while one
//! pauses, nothing may be changed.
//!
//! What etcd keeps in hidden trees beside the keys is no part of the tree here, but takes the same
//! indices: users and roles ([`auth`]) are a struct of the store; membership and the cluster's
//! version live elsewhere, and [`Store::touch`] is called for them.

pub mod auth;
mod change;
mod checkpoint;
mod fingerprint;
mod history;
mod path;
mod request;
mod statistics;
mod tree;
mod watchers;

use alloc::rc::Rc;

use bytes::Bytes;

pub use checkpoint::Loader;
pub use path::Path;
pub use request::{Action, Condition, Error, ErrorKind, Event, Get, NodeView, Watch, Write};
pub use statistics::{Statistics, Tally};
pub(super) use tree::Listing;
pub use watchers::{Heard, WatchId};

use crate::codec;
use crate::time::WallTime;
use auth::{Access, Auth, Claim};
use change::Change;
use checkpoint::Cursor;
use history::History;
use tree::{Content, DirectoryId, Listed, Tree, Walk};
use watchers::Watchers;

/// What a read has come to.
#[derive(Debug)]
pub(super) enum Read {
    /// The answer.
    Whole(Rc<Event>),
    /// A directory that is larger than a slice. Nothing may be changed before its listing is
    /// whole, or was dropped.
    Paused(Listing),
}

/// The nodes, their history, and those who watch them.
///
/// # Invariants
/// - The index only grows, by one for each slot of the history.
/// - Nodes, history and index depend on the applied commands alone: not on reads, watchers, the
///   size of slices, or checkpoints.
#[derive(Debug)]
pub struct Store {
    index: u64,
    tree: Tree,
    history: History,
    auth: Auth,
    watchers: Watchers,
    statistics: Statistics,
    cursor: Option<Cursor>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store at index 0.
    #[must_use]
    pub fn new() -> Self {
        Self::loaded(0, Tree::new(), History::default(), Auth::default())
    }

    fn loaded(index: u64, tree: Tree, history: History, auth: Auth) -> Self {
        let watchers = Watchers::default();
        let statistics = Statistics::default();
        Self { index, tree, history, auth, watchers, statistics, cursor: None }
    }

    /// How many changes there have been (`X-Etcd-Index`).
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// A digest of the nodes, the index, users and roles: equal on members that applied the same
    /// commands.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let nodes = self.tree.totals().hash;
        nodes.wrapping_add(fingerprint::of_index(self.index)).wrapping_add(self.auth.hash())
    }

    /// Roughly what the nodes, users and roles take in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tree.totals().bytes + self.auth.bytes() as u64
    }

    /// The same of all that is below a directory, hidden entries included; none if there is no
    /// such directory.
    #[must_use]
    pub fn bytes_below(&self, directory: &Path) -> Option<u64> {
        match self.tree.find(directory)?.content {
            Content::Directory(id) => Some(self.tree.totals_below(id).bytes),
            Content::File(_) => None,
        }
    }

    /// Takes an index for a change that has no visible node. Returns it.
    pub fn touch(&mut self) -> u64 {
        self.index += 1;
        self.history.push(self.index, None);
        self.index
    }

    /// The same for a change that etcd keeps in nodes of its own, which count as written like this.
    pub fn touch_as(&mut self, action: Action) -> u64 {
        self.statistics.count_own(action);
        self.touch()
    }

    /// Reads a node and its visible entries, and counts it. At most `budget` nodes are looked at.
    ///
    /// # Errors
    /// [`ErrorKind::KeyNotFound`], [`ErrorKind::NotDirectory`].
    pub(super) fn get(&mut self, get: &Get, budget: usize) -> Result<Read, Error> {
        let read = self.read(get, budget);
        self.statistics.count_get(read.is_ok());
        read
    }

    /// The same without counting.
    pub(super) fn read(&self, get: &Get, budget: usize) -> Result<Read, Error> {
        let top = match self.tree.walk(&get.path) {
            Walk::Root => {
                let view = NodeView::bare(Path::root(), true, 0, 0);
                Ok((view, Some(DirectoryId::ROOT)))
            }
            Walk::Found(_, node) => match node.content {
                Content::Directory(id) => Ok((node.view(get.path.clone()), Some(id))),
                Content::File(_) => Ok((node.view(get.path.clone()), None)),
            },
            Walk::Missing(_, end) => Err(self.missing(&get.path, end)),
            Walk::Blocked(end) => Err(self.blocked(&get.path, end)),
        };
        let (view, directory) = top?;
        Ok(match directory {
            Some(id) => self.listed(self.tree.list(view, id, get.recursive, budget)),
            None => self.listed(Listed::Whole(view)),
        })
    }

    /// Goes on with a listing.
    pub(super) fn read_more(&self, listing: Listing, budget: usize) -> Read {
        self.listed(self.tree.list_more(listing, budget))
    }

    fn listed(&self, listed: Listed) -> Read {
        match listed {
            Listed::Whole(node) => {
                Read::Whole(Rc::new(Event::new(Action::Get, node, self.index, None)))
            }
            Listed::Paused(listing) => Read::Paused(listing),
        }
    }

    /// Carries out a write that the leader stamped with this time.
    ///
    /// # Errors
    /// What etcd refuses; nothing has changed then but the statistics.
    pub fn apply(&mut self, write: &Write, stamp: WallTime) -> Result<Rc<Event>, Error> {
        let outcome = Change::new(self, stamp).apply(write);
        let refusal = outcome.as_ref().err().map(|error| error.kind);
        self.statistics.count_write(write, refusal);
        outcome
    }

    /// Removes nodes whose time is up at `cutoff`, the earliest first, each with an index and an
    /// event of its own. Visits at most `budget` of them; whether it is done. No other command
    /// may be applied in between.
    pub fn expire(&mut self, cutoff: WallTime, budget: usize) -> bool {
        let mut budget = budget;
        while let Some(path) = self.tree.next_expired(cutoff, &mut budget) {
            let Walk::Found(parent, node) = self.tree.walk(&path) else {
                unreachable!("a deadline leads to its node");
            };
            let previous = node.view(path);
            self.statistics.expirations += 1;
            Change::new(self, cutoff).remove(Action::Expire, parent, previous);
        }
        self.tree.next_deadline().is_none_or(|time| time > cutoff)
    }

    /// Keeps that many past events for watches; see `limits`. The same on every member, or they
    /// answer differently.
    pub fn keep_events(&mut self, events: usize) {
        self.history.keep(events);
    }

    /// When the next node's time is up. The leader proposes an expiry while there is one; it may
    /// be that of a node that went with its directory.
    #[must_use]
    pub fn next_deadline(&self) -> Option<WallTime> {
        self.tree.next_deadline()
    }

    /// Frees up to `budget` nodes of removed directories. Whether some are left. No answer
    /// depends on when this is called.
    pub fn work(&mut self, budget: usize) -> bool {
        self.tree.sweep(budget);
        self.has_work()
    }

    /// Whether [`Self::work`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.tree.has_detached()
    }

    /// Drops up to `budget` nodes of a store that nobody needs any more. Whether none is left.
    pub(super) fn dismantle(&mut self, budget: usize) -> bool {
        self.tree.dismantle(budget)
    }

    fn error(&self, kind: ErrorKind, cause: &[u8]) -> Error {
        Error { kind, cause: Bytes::copy_from_slice(cause), index: self.index }
    }

    fn read_only(&self) -> Error {
        self.error(ErrorKind::RootReadOnly, b"/")
    }

    fn not_file(&self, path: &Path) -> Error {
        self.error(ErrorKind::NotFile, path.as_bytes())
    }

    fn missing(&self, path: &Path, end: usize) -> Error {
        self.error(ErrorKind::KeyNotFound, &path.as_bytes()[..end])
    }

    fn blocked(&self, path: &Path, end: usize) -> Error {
        self.error(ErrorKind::NotDirectory, &path.as_bytes()[..end])
    }
}

/// Users and roles.
impl Store {
    /// Who may do what.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Changes users, roles, or whether they count.
    ///
    /// # Errors
    /// What etcd refuses; it may have taken indices all the same.
    pub fn change_auth(&mut self, change: &auth::Change) -> Result<auth::Answer, auth::Refusal> {
        let (touches, outcome) = self.auth.apply(change);
        (0..touches).for_each(|_| {
            self.touch();
        });
        outcome
    }

    /// Checks that the caller may do this with a key.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`].
    pub fn authorize(
        &self,
        claim: Option<&Claim>,
        path: &Path,
        access: Access,
    ) -> Result<(), Error> {
        if self.auth.permits(claim, path, access) {
            return Ok(());
        }
        Err(self.error(ErrorKind::Unauthorized, b"Insufficient credentials"))
    }
}

/// Watching.
impl Store {
    /// Opens a watch. What it has to say is announced by [`Self::ready`].
    ///
    /// # Errors
    /// [`ErrorKind::EventIndexCleared`] when the history begins behind the index asked for.
    pub fn watch(&mut self, id: WatchId, watch: &Watch) -> Result<(), Error> {
        let since = watch.wait_index.filter(|index| *index > 0).unwrap_or(self.index + 1);
        match self.history.find(watch, since, self.index)? {
            Some(event) => self.watchers.answer(id, watch, Rc::clone(event)),
            None => self.watchers.register(id, watch, since),
        }
        Ok(())
    }

    /// The next watch that has something to say. Pull with [`Self::next_heard`] until it has
    /// nothing, or [`Self::defer`] it.
    pub fn ready(&mut self) -> Option<WatchId> {
        self.watchers.ready()
    }

    /// What a watch has to say next; none if nothing now. Behind [`Heard::End`] it is forgotten.
    pub fn next_heard(&mut self, id: WatchId) -> Option<Heard> {
        self.watchers.next(id)
    }

    /// Announces a watch again that was not pulled empty.
    pub fn defer(&mut self, id: WatchId) {
        self.watchers.defer(id);
    }

    /// Forgets a watch: its client is gone. Unknown ones are ignored.
    pub fn cancel(&mut self, id: WatchId) {
        self.watchers.cancel(id);
    }
}

/// Checkpoints, statistics and checks.
impl Store {
    /// Begins a checkpoint of the store as it is now. One at a time.
    pub fn begin_checkpoint(&mut self) {
        assert!(self.cursor.is_none(), "one checkpoint at a time");
        let last_directory = self.tree.last_directory();
        self.cursor = Some(Cursor::new(self.index, last_directory, &self.auth, &self.history));
        self.tree.begin_image();
    }

    /// Appends the next items of the checkpoint, at most `limit`. How many were visited: zero
    /// when it is complete.
    pub fn next_items(&mut self, limit: usize, out: &mut impl codec::Write) -> usize {
        let cursor = self.cursor.as_mut().expect("the checkpoint was begun");
        checkpoint::next_items(cursor, &mut self.tree, limit, out)
    }

    /// Ends the checkpoint, complete or not.
    pub fn end_checkpoint(&mut self) {
        self.cursor = None;
        self.tree.end_image();
    }

    /// The counters of this member, by etcd's rules.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics { watchers: self.watchers.registered(), ..self.statistics.clone() }
    }

    /// Counts the read of the auth switch that etcd makes for every keys request that it has
    /// found valid; it fails until auth was touched for the first time.
    pub fn count_auth_read(&mut self) {
        self.statistics.count_get(self.auth.is_prepared());
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        self.tree.check();
        self.auth.check();
        self.watchers.check();
    }
}

#[cfg(test)]
mod tests;
