//! One command at work on a store: what each write does, in etcd's order of checks.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::request::{Action, Condition, Error, ErrorKind, Event, NodeView, Write};
use super::tree::{Content, DirectoryId, Node, Walk};
use super::{Path, Store};
use crate::time::WallTime;

/// 2000-01-01. A set or create takes an expiration before it for none, as in etcd; a TTL whose
/// nanoseconds overflow leads there.
const EXPIRATION_MIN: WallTime = WallTime(946_684_800_000_000_000);

/// A store and the leader's stamp of the command.
///
/// # Invariants
/// - A refusal comes before the first change.
/// - Each change takes one index and makes one event.
pub(super) struct Change<'a> {
    store: &'a mut Store,
    stamp: WallTime,
}

impl<'a> Change<'a> {
    pub(super) fn new(store: &'a mut Store, stamp: WallTime) -> Self {
        Self { store, stamp }
    }

    /// Carries out a write.
    pub(super) fn apply(&mut self, write: &Write) -> Result<Rc<Event>, Error> {
        match write {
            Write::Set { path, value, directory, ttl, refresh } => {
                let time = self.expiration(*ttl).filter(|time| *time >= EXPIRATION_MIN);
                self.set(path, (!directory).then_some(value), time, *refresh)
            }
            Write::Create { path, value, directory, ttl, in_order } => {
                let time = self.expiration(*ttl).filter(|time| *time >= EXPIRATION_MIN);
                let name = format!("{:020}", self.store.index + 1);
                let child = in_order.then(|| path.child(name.as_bytes()));
                let path = child.as_ref().unwrap_or(path);
                self.create(path, (!directory).then_some(value), time)
            }
            Write::Update { path, value, ttl, refresh } => {
                self.update(path, value, self.expiration(*ttl), *refresh)
            }
            Write::CompareAndSwap { path, value, ttl, refresh, condition } => {
                let time = self.expiration(*ttl);
                self.swap(path, (value, time), *refresh, condition)
            }
            Write::Delete { path, directory, recursive } => {
                self.delete(path, *directory || *recursive, *recursive)
            }
            Write::CompareAndDelete { path, condition } => self.delete_if(path, condition),
        }
    }

    fn set(
        &mut self,
        path: &Path,
        value: Option<&Bytes>,
        time: Option<WallTime>,
        refresh: bool,
    ) -> Result<Rc<Event>, Error> {
        let index = self.store.index + 1;
        let (place, previous) = match self.store.tree.walk(path) {
            Walk::Root => return Err(self.store.read_only()),
            Walk::Blocked(end) => return Err(self.store.blocked(path, end)),
            Walk::Missing(_, end) if refresh => return Err(self.store.missing(path, end)),
            Walk::Missing(directory, end) => ((directory, end), None),
            Walk::Found(_, node) if node.is_directory() => return Err(self.store.not_file(path)),
            Walk::Found(parent, node) => ((parent, 0), Some(node.view(path.detached()))),
        };
        let kept = previous.as_ref().filter(|_| refresh).and_then(|node| node.value.clone());
        let value = value.map(|value| kept.unwrap_or_else(|| copy(value)));
        match (&previous, &value) {
            (None, _) => self.store.tree.create(path, place, value.clone(), time, index),
            (Some(_), None) => self.store.tree.replace_by_directory(path, place.0, time, index),
            (Some(_), Some(value)) => {
                self.store.tree.replace(path, place.0, file(value, time, index, index));
            }
        }
        let path = previous.as_ref().map_or_else(|| path.detached(), |node| node.path.clone());
        let view = NodeView::changed(path, value, time, index, index);
        let mut event = Event::new(Action::Set, view, index, Some(self.stamp));
        event.created = previous.is_none();
        event.previous = previous.map(Box::new);
        event.refresh = refresh;
        Ok(self.commit(event))
    }

    fn create(
        &mut self,
        path: &Path,
        value: Option<&Bytes>,
        time: Option<WallTime>,
    ) -> Result<Rc<Event>, Error> {
        let index = self.store.index + 1;
        let place = match self.store.tree.walk(path) {
            Walk::Root => return Err(self.store.read_only()),
            Walk::Blocked(end) => return Err(self.store.blocked(path, end)),
            Walk::Found(..) => {
                return Err(self.store.error(ErrorKind::NodeExists, path.as_bytes()));
            }
            Walk::Missing(directory, end) => (directory, end),
        };
        let value = value.map(copy);
        self.store.tree.create(path, place, value.clone(), time, index);
        let view = NodeView::changed(path.detached(), value, time, index, index);
        let mut event = Event::new(Action::Create, view, index, Some(self.stamp));
        event.created = true;
        Ok(self.commit(event))
    }

    fn update(
        &mut self,
        path: &Path,
        value: &Bytes,
        time: Option<WallTime>,
        refresh: bool,
    ) -> Result<Rc<Event>, Error> {
        let index = self.store.index + 1;
        let (parent, node) = match self.store.tree.walk(path) {
            Walk::Root => return Err(self.store.read_only()),
            walk => self.found(path, walk)?,
        };
        if node.is_directory() && !value.is_empty() {
            return Err(self.store.not_file(path));
        }
        let previous = node.view(path.detached());
        let kept = previous.value.clone().filter(|_| refresh);
        let value = node.value().map(|_| kept.unwrap_or_else(|| copy(value)));
        let replacement = match (&value, node) {
            (Some(value), _) => file(value, time, index, node.created_index),
            // The event tells the new index, but the directory keeps its old one, as in etcd.
            (None, directory) => Node { expiration: time, ..directory.clone() },
        };
        self.store.tree.replace(path, parent, replacement);
        let created = previous.created_index;
        let view = NodeView::changed(previous.path.clone(), value, time, index, created);
        let mut event = Event::new(Action::Update, view, index, Some(self.stamp));
        event.previous = Some(Box::new(previous));
        event.refresh = refresh;
        Ok(self.commit(event))
    }

    fn swap(
        &mut self,
        path: &Path,
        (value, time): (&Bytes, Option<WallTime>),
        refresh: bool,
        condition: &Condition,
    ) -> Result<Rc<Event>, Error> {
        let index = self.store.index + 1;
        let (parent, node) = match self.store.tree.walk(path) {
            Walk::Root => return Err(self.store.read_only()),
            walk => self.found(path, walk)?,
        };
        self.compare(path, node, condition)?;
        let previous = node.view(path.detached());
        let kept = previous.value.clone().filter(|_| refresh);
        let value = kept.unwrap_or_else(|| copy(value));
        let created = previous.created_index;
        self.store.tree.replace(path, parent, file(&value, time, index, created));
        let view = NodeView::changed(previous.path.clone(), Some(value), time, index, created);
        let mut event = Event::new(Action::CompareAndSwap, view, index, Some(self.stamp));
        event.previous = Some(Box::new(previous));
        event.refresh = refresh;
        Ok(self.commit(event))
    }

    fn delete(
        &mut self,
        path: &Path,
        directory: bool,
        recursive: bool,
    ) -> Result<Rc<Event>, Error> {
        let (parent, node) = match self.store.tree.walk(path) {
            Walk::Root => return Err(self.store.read_only()),
            walk => self.found(path, walk)?,
        };
        if let Content::Directory(id) = node.content {
            if !directory {
                return Err(self.store.not_file(path));
            }
            if !recursive && !self.store.tree.is_empty(id) {
                return Err(self.store.error(ErrorKind::DirectoryNotEmpty, path.as_bytes()));
            }
        }
        let previous = node.view(path.detached());
        Ok(self.remove(Action::Delete, parent, previous))
    }

    fn delete_if(&mut self, path: &Path, condition: &Condition) -> Result<Rc<Event>, Error> {
        let (parent, node) = match self.store.tree.walk(path) {
            // The only write that etcd does not check for the root; it fails as on any directory.
            Walk::Root => return Err(self.store.error(ErrorKind::NotFile, b"")),
            walk => self.found(path, walk)?,
        };
        self.compare(path, node, condition)?;
        let previous = node.view(path.detached());
        Ok(self.remove(Action::CompareAndDelete, parent, previous))
    }

    /// Removes a node with all below it, and tells those who watched any of it.
    pub(super) fn remove(
        &mut self,
        action: Action,
        parent: DirectoryId,
        previous: NodeView,
    ) -> Rc<Event> {
        let path = previous.path.clone();
        let below = if previous.directory {
            self.store.watchers.existing_below(&path, &self.store.tree)
        } else {
            Vec::new()
        };
        self.store.tree.remove(&path, parent);
        let index = self.store.index + 1;
        let created = previous.created_index;
        let view = NodeView::bare(path.clone(), previous.directory, index, created);
        let mut event = Event::new(action, view, index, Some(self.stamp));
        event.previous = Some(Box::new(previous));
        let event = Rc::new(event);
        for watched in &below {
            self.store.watchers.notify_removed(watched, &event);
        }
        // Watchers of exactly this key hear of it here and again below, as in etcd.
        self.store.watchers.notify_removed(path.as_bytes(), &event);
        self.publish(&event);
        event
    }

    fn commit(&mut self, event: Event) -> Rc<Event> {
        let event = Rc::new(event);
        self.publish(&event);
        event
    }

    fn publish(&mut self, event: &Rc<Event>) {
        self.store.index += 1;
        assert_eq!(event.index, self.store.index, "each change takes the next index");
        self.store.history.push(self.store.index, Some(Rc::clone(event)));
        if !event.refresh {
            self.store.watchers.notify(event);
        }
    }

    fn found<'t>(&self, path: &Path, walk: Walk<'t>) -> Result<(DirectoryId, &'t Node), Error> {
        match walk {
            Walk::Root => Err(self.store.read_only()),
            Walk::Found(parent, node) => Ok((parent, node)),
            Walk::Missing(_, end) => Err(self.store.missing(path, end)),
            Walk::Blocked(end) => Err(self.store.blocked(path, end)),
        }
    }

    fn compare(&self, path: &Path, node: &Node, condition: &Condition) -> Result<(), Error> {
        let Content::File(value) = &node.content else { return Err(self.store.not_file(path)) };
        let wrong_value = condition.value.as_ref().filter(|expected| *expected != value);
        let wrong_index = condition.index.filter(|expected| *expected != node.modified_index);
        let mut cause = Vec::new();
        if let Some(expected) = wrong_value {
            cause.extend_from_slice(&[b"[", &expected[..], b" != ", &value[..], b"]"].concat());
        }
        if let Some(expected) = wrong_index {
            let separator = if wrong_value.is_some() { " " } else { "" };
            let pair = format!("{separator}[{expected} != {}]", node.modified_index);
            cause.extend_from_slice(pair.as_bytes());
        }
        if cause.is_empty() {
            return Ok(());
        }
        Err(self.store.error(ErrorKind::CompareFailed, &cause))
    }

    /// The time at which a TTL ends. As in Go, nanoseconds wrap around; the result 0 means none.
    fn expiration(&self, ttl: Option<u64>) -> Option<WallTime> {
        let seconds = i64::from_le_bytes(ttl?.to_le_bytes());
        let time = self.stamp.0.wrapping_add(seconds.wrapping_mul(1_000_000_000));
        (time != 0).then_some(WallTime(time))
    }
}

fn file(value: &Bytes, expiration: Option<WallTime>, modified: u64, created: u64) -> Node {
    let content = Content::File(value.clone());
    Node { content, expiration, modified_index: modified, created_index: created }
}

/// A value that shares no memory with a log entry's buffer.
fn copy(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}
