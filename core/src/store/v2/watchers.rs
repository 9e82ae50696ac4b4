//! Who hears of a change while it happens.
//!
//! A watcher is registered at a path, whether or not a node is there. Events are put into its
//! queue when they are applied, as one shared pointer each, and pulled from there while its
//! connection has room. The rules are etcd's, in the order of etcd's list walk; they cannot be
//! said as a position in a history, which is why there are queues.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::history::is_below;
use super::request::{Event, Watch};
use super::{Path, Tree};
use crate::limits::V2_WATCHER_EVENTS;

/// Names a watch. Chosen by the caller, growing, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// What a watch has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This happened. More may follow.
    Event(Rc<Event>),
    /// Nothing will follow: a long poll had its event, or the one event of a stream came from the
    /// history, or the watcher was too slow. The watch is forgotten.
    End,
}

#[derive(Debug)]
struct Watcher {
    path: Box<[u8]>,
    recursive: bool,
    stream: bool,
    /// Events before this index are not for it.
    since: u64,
    queue: VecDeque<Rc<Event>>,
    /// Hears what happens; else only its queue is left.
    registered: bool,
    /// Is in the list of those that have something to say.
    listed: bool,
}

/// All watchers of a store.
///
/// # Invariants
/// - A watcher is registered exactly if `places` has it under its path.
/// - A watcher with a queue, or without a registration, is in `ready` once.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    watchers: BTreeMap<WatchId, Watcher>,
    places: BTreeMap<Box<[u8]>, BTreeSet<WatchId>>,
    ready: VecDeque<WatchId>,
    registered: u64,
}

impl Watchers {
    /// Adds a watch for what happens from `since` on.
    pub(super) fn register(&mut self, id: WatchId, watch: &Watch, since: u64) {
        let path: Box<[u8]> = watch.path.as_bytes().into();
        self.places.entry(path.clone()).or_default().insert(id);
        self.registered += 1;
        self.add(id, path, watch, since, None);
    }

    /// Adds a watch that was answered from the history: it hears nothing else.
    pub(super) fn answer(&mut self, id: WatchId, watch: &Watch, event: Rc<Event>) {
        self.add(id, watch.path.as_bytes().into(), watch, 0, Some(event));
        self.list(id);
    }

    fn add(
        &mut self,
        id: WatchId,
        path: Box<[u8]>,
        watch: &Watch,
        since: u64,
        answer: Option<Rc<Event>>,
    ) {
        let (recursive, stream) = (watch.recursive, watch.stream);
        let registered = answer.is_none();
        let queue = answer.into_iter().collect();
        let watcher = Watcher { path, recursive, stream, since, queue, registered, listed: false };
        let old = self.watchers.insert(id, watcher);
        assert!(old.is_none(), "watch ids are never reused");
    }

    /// How many are registered.
    pub(super) fn registered(&self) -> u64 {
        self.registered
    }

    /// A watch that has something to say; it is not named again until that was pulled.
    pub(super) fn ready(&mut self) -> Option<WatchId> {
        let id = self.ready.pop_front()?;
        let watcher = self.watchers.get_mut(&id).expect("what is ready is known");
        watcher.listed = false;
        Some(id)
    }

    /// Puts a watch back among the ready ones: its connection had no room for all of it.
    pub(super) fn defer(&mut self, id: WatchId) {
        if self.watchers.get(&id).is_some_and(|watcher| !watcher.is_silent()) {
            self.list(id);
        }
    }

    /// The next thing that a watch has to say; none if it has to wait.
    pub(super) fn next(&mut self, id: WatchId) -> Option<Heard> {
        let watcher = self.watchers.get_mut(&id)?;
        if let Some(event) = watcher.queue.pop_front() {
            return Some(Heard::Event(event));
        }
        if watcher.registered {
            return None;
        }
        self.cancel(id);
        Some(Heard::End)
    }

    /// Forgets a watch.
    pub(super) fn cancel(&mut self, id: WatchId) {
        let Some(watcher) = self.watchers.remove(&id) else { return };
        if watcher.listed {
            self.ready.retain(|listed| *listed != id);
        }
        if watcher.registered {
            self.registered -= 1;
            let place = self.places.get_mut(&watcher.path).expect("a registered watch has a place");
            place.remove(&id);
            if place.is_empty() {
                self.places.remove(&watcher.path);
            }
        }
    }

    /// The watched paths below `path` that have a node in the tree. For etcd tells watchers of
    /// nodes that go with their directory, but not those of nodes that never were.
    pub(super) fn existing_below(&self, path: &Path, tree: &Tree) -> Vec<Box<[u8]>> {
        let start = Bound::Excluded(path.as_bytes());
        let behind = self.places.range::<[u8], _>((start, Bound::Unbounded));
        // Names that go on behind the path's last component lie between it and its entries.
        behind
            .map(|(watched, _)| watched)
            .take_while(|watched| watched.starts_with(path.as_bytes()))
            .filter(|watched| is_below(watched, path.as_bytes()))
            .filter(|watched| tree.find(&Path::clean(watched)).is_some())
            .cloned()
            .collect()
    }

    /// Tells the watchers at a removed node's own path, hidden or not, recursive or not. The
    /// event is that of the node whose removal was asked for: this one, or a directory above it.
    pub(super) fn notify_removed(&mut self, removed: &[u8], event: &Rc<Event>) {
        self.notify_place(removed, event, true);
    }

    /// Tells the watchers at the event's key, and recursive ones above it from where every name
    /// on the way down is visible.
    pub(super) fn notify(&mut self, event: &Rc<Event>) {
        if self.places.is_empty() {
            return;
        }
        let key = &event.node.path;
        for place in key.lineage() {
            let exact = place == key.as_bytes();
            if exact || !is_hidden(place, key.as_bytes()) {
                self.notify_place(place, event, exact);
            }
        }
    }

    /// Offers an event to the watchers at one path: to all of them if it `concerns` the path
    /// itself, else to the recursive ones.
    fn notify_place(&mut self, place: &[u8], event: &Rc<Event>, concerns: bool) {
        let Some(ids) = self.places.get_mut(place) else { return };
        let (watchers, ready) = (&mut self.watchers, &mut self.ready);
        let before = ids.len();
        ids.retain(|id| {
            let watcher = watchers.get_mut(id).expect("who has a place is known");
            if !(watcher.recursive || concerns) || event.index < watcher.since {
                return true;
            }
            watcher.hear(event);
            if !watcher.listed {
                watcher.listed = true;
                ready.push_back(*id);
            }
            watcher.registered
        });
        self.registered -= (before - ids.len()) as u64;
        if ids.is_empty() {
            self.places.remove(place);
        }
    }

    fn list(&mut self, id: WatchId) {
        let watcher = self.watchers.get_mut(&id).expect("only a known watch is listed");
        if !watcher.listed {
            watcher.listed = true;
            self.ready.push_back(id);
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        let placed: usize = self.places.values().map(BTreeSet::len).sum();
        assert_eq!(placed as u64, self.registered, "the count is of those with a place");
        for (id, watcher) in &self.watchers {
            let place = self.places.get(&watcher.path);
            let has_place = place.is_some_and(|ids| ids.contains(id));
            assert_eq!(has_place, watcher.registered, "registered is who has a place");
            assert!(watcher.queue.len() <= V2_WATCHER_EVENTS, "queues are bounded");
            let listed = self.ready.iter().filter(|ready| *ready == id).count();
            assert_eq!(listed, usize::from(watcher.listed), "ready names each watch once");
        }
    }
}

impl Watcher {
    /// Takes an event. A long poll is done with it; a stream whose queue is full loses it, and
    /// with it its registration.
    fn hear(&mut self, event: &Rc<Event>) {
        if self.queue.len() == V2_WATCHER_EVENTS {
            self.registered = false;
            return;
        }
        self.queue.push_back(Rc::clone(event));
        self.registered = self.stream;
    }

    fn is_silent(&self) -> bool {
        self.registered && self.queue.is_empty()
    }
}

/// Whether a name on the way from `place` down to `key` begins with an underscore.
fn is_hidden(place: &[u8], key: &[u8]) -> bool {
    assert!(key.starts_with(place), "the place is on the way to the key");
    let below = key.get(place.len()..).unwrap_or_default();
    let from_root = place == b"/" && below.first() == Some(&b'_');
    from_root || below.windows(2).any(|pair| pair == b"/_")
}
