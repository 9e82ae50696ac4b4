//! The store, written down while it goes on changing, and read back.
//!
//! A checkpoint is the store as it was when [`Store::begin_checkpoint`] was called, handed out in
//! items as fast as the disk takes them. Nothing is copied for it at once: a node that changes
//! before the cursor has passed it leaves its old state behind (a *preimage*), and the cursor
//! takes that instead.
//!
//! [`Store::begin_checkpoint`]: super::Store::begin_checkpoint

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Bound;

use bytes::Bytes;

use super::auth::{Auth, record};
use super::history::History;
use super::request::{Action, Event, NodeView};
use super::tree::{self, Builder, Content, DirectoryId, Key, Node};
use super::{Path, Store};
use crate::codec::{DecodeError, Reader, Write};
use crate::time::WallTime;

const ITEM_HEADER: u8 = 1;
const ITEM_SLOT: u8 = 2;
const ITEM_NODE: u8 = 3;
/// A user, a role, or whether they count. Checkpoints from before there were any have none.
const ITEM_AUTH: u8 = 4;

/// No honest index or number of a directory comes near this, so counting on cannot overflow.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// A view of a tree's nodes as they were at one moment.
///
/// # Invariants
/// - Preimages are of places that the cursor has not reached.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// Everything before this place was handed out.
    cursor: Key,
    /// What was at a place that changed since; none if nothing was.
    preimages: BTreeMap<Key, Option<Node>>,
}

impl Image {
    /// A place is about to change, or just did: keeps what was there.
    pub(super) fn keep(&mut self, key: &[u8], node: Option<&Node>) {
        if key >= &self.cursor[..] && !self.preimages.contains_key(key) {
            self.preimages.insert(key.into(), node.cloned());
        }
    }

    /// Visits up to `limit` places in order and hands out what was there. How many places: none
    /// when nothing is left.
    pub(super) fn advance(
        &mut self,
        nodes: &BTreeMap<Key, Node>,
        limit: usize,
        mut each: impl FnMut(&[u8], &Node),
    ) -> usize {
        let from = (Bound::Included(&self.cursor[..]), Bound::Unbounded);
        let mut live = nodes.range::<[u8], _>(from).peekable();
        let mut last_live: Option<&Key> = None;
        let mut last_kept: Option<Key> = None;
        let mut visited = 0;
        while visited < limit {
            let kept = self.preimages.first_key_value().map(|(key, _)| key);
            let next = live.peek().map(|(key, _)| *key);
            if let Some(key) = kept.filter(|kept| next.is_none_or(|next| *kept <= next)) {
                if next == Some(key) {
                    live.next();
                }
                let (key, node) = self.preimages.pop_first().expect("the first was just seen");
                if let Some(node) = &node {
                    each(&key, node);
                }
                last_kept = Some(key);
            } else if let Some((key, node)) = live.next() {
                each(key, node);
                last_live = Some(key);
            } else {
                break;
            }
            visited += 1;
        }
        let last = last_kept.as_ref().max(last_live);
        if let Some(last) = last {
            let mut cursor = Vec::with_capacity(last.len() + 1);
            cursor.extend_from_slice(last);
            cursor.push(0);
            self.cursor = cursor.into_boxed_slice();
        }
        visited
    }
}

/// What is written down beside the nodes.
#[derive(Debug)]
pub(super) struct Cursor {
    index: u64,
    last_directory: DirectoryId,
    records: VecDeque<Vec<u8>>,
    slots: VecDeque<(u64, Option<Rc<Event>>)>,
    begun: bool,
}

impl Cursor {
    pub(super) fn new(
        index: u64,
        last_directory: DirectoryId,
        auth: &Auth,
        history: &History,
    ) -> Self {
        let (oldest, slots) = history.slots();
        let slots = (oldest..).zip(slots.map(|slot| slot.cloned())).collect();
        let records = record::all(auth).collect();
        Self { index, last_directory, records, slots, begun: false }
    }

    /// Writes the header once, then users and roles, then the slots of the history, as far as
    /// `limit` allows; how many items.
    pub(super) fn next_items(&mut self, limit: usize, out: &mut impl Write) -> usize {
        let mut count = 0;
        if !self.begun && limit > 0 {
            self.begun = true;
            out.put_byte(ITEM_HEADER);
            out.put_u64(self.index);
            out.put_u64(self.last_directory.0);
            count += 1;
        }
        while count < limit {
            let Some(record) = self.records.pop_front() else { break };
            out.put_byte(ITEM_AUTH);
            out.put_bytes(&record);
            count += 1;
        }
        while count < limit {
            let Some((index, event)) = self.slots.pop_front() else { break };
            out.put_byte(ITEM_SLOT);
            out.put_u64(index);
            out.put_flag(event.is_some());
            if let Some(event) = event {
                put_event(&event, out);
            }
            count += 1;
        }
        count
    }
}

/// Writes the node at a place.
pub(super) fn put_node(key: &[u8], node: &Node, out: &mut impl Write) {
    out.put_byte(ITEM_NODE);
    out.put_block(key);
    put_time(node.expiration, out);
    out.put_varint(node.modified_index);
    out.put_varint(node.created_index);
    match &node.content {
        Content::File(value) => {
            out.put_flag(false);
            out.put_block(value);
        }
        Content::Directory(id) => {
            out.put_flag(true);
            out.put_varint(id.0);
        }
    }
}

/// Reads a store back from the items of a checkpoint, in their order.
#[derive(Debug, Default)]
pub struct Loader {
    index: u64,
    auth: Auth,
    history: History,
    last_slot: Option<u64>,
    tree: Option<Builder>,
}

impl Loader {
    /// A loader that wants the first item.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes items up to the end of the block. Values are copied out of it.
    ///
    /// # Errors
    /// When a block is not what [`Store::next_items`] wrote.
    pub fn load(&mut self, items: &mut Reader) -> Result<(), DecodeError> {
        while items.remaining() > 0 {
            match (items.u8()?, &mut self.tree) {
                (ITEM_HEADER, None) => {
                    self.index = number(items)?;
                    self.tree = Some(Builder::new(DirectoryId(number(items)?)));
                }
                (ITEM_AUTH, Some(_)) => record::load(&mut self.auth, items)?,
                (ITEM_SLOT, Some(_)) => self.load_slot(items)?,
                (ITEM_NODE, Some(tree)) => {
                    let (key, node) = node(items)?;
                    tree.add(key, node).map_err(|rule| items.error(rule))?;
                }
                _ => return Err(items.error("no such item at this place of a v2 checkpoint")),
            }
        }
        Ok(())
    }

    fn load_slot(&mut self, items: &mut Reader) -> Result<(), DecodeError> {
        let index = items.u64()?;
        if self.last_slot.is_some_and(|last| last.checked_add(1) != Some(index)) {
            return Err(items.error("the slots of a v2 history are not consecutive"));
        }
        if index > self.index {
            return Err(items.error("a v2 history goes beyond its store"));
        }
        self.last_slot = Some(index);
        let event = if items.flag()? { Some(Rc::new(event(items)?)) } else { None };
        self.history.push(index, event);
        Ok(())
    }

    /// The store.
    ///
    /// # Errors
    /// When items are missing.
    pub fn finish(self) -> Result<Store, DecodeError> {
        let error = |rule| DecodeError { rule, offset: 0 };
        let tree = self.tree.ok_or_else(|| error("a v2 checkpoint has no header"))?;
        if self.last_slot.unwrap_or(0) != self.index {
            return Err(error("a v2 history ends before its store"));
        }
        record::finish(&self.auth)?;
        Ok(Store::loaded(self.index, tree.finish(), self.history, self.auth))
    }
}

/// What the store goes on counting from.
fn number(items: &mut Reader) -> Result<u64, DecodeError> {
    match items.u64()? {
        number if number <= NUMBER_MAX => Ok(number),
        _ => Err(items.error("no v2 store has counted so far")),
    }
}

fn node(items: &mut Reader) -> Result<(Key, Node), DecodeError> {
    let key: Box<[u8]> = Box::from(&items.block()?[..]);
    if key.len() < 8 {
        return Err(items.error("the place of a v2 node has no directory"));
    }
    let expiration = time(items)?;
    let modified_index = items.varint()?;
    let created_index = items.varint()?;
    let content = if items.flag()? {
        Content::Directory(DirectoryId(items.varint()?))
    } else {
        Content::File(copy(items)?)
    };
    Ok((key, Node { content, expiration, modified_index, created_index }))
}

fn put_event(event: &Event, out: &mut impl Write) {
    out.put_byte(action_number(event.action));
    out.put_varint(event.index);
    put_time(event.at, out);
    out.put_flag(event.created);
    out.put_flag(event.refresh);
    put_view(&event.node, out);
    out.put_flag(event.previous.is_some());
    if let Some(previous) = &event.previous {
        put_view(previous, out);
    }
}

fn event(items: &mut Reader) -> Result<Event, DecodeError> {
    let number = items.u8()?;
    let action = action(number).ok_or_else(|| items.error("no such v2 action"))?;
    let index = items.varint()?;
    let at = time(items)?;
    let created = items.flag()?;
    let refresh = items.flag()?;
    let node = view(items)?;
    let previous = if items.flag()? { Some(Box::new(view(items)?)) } else { None };
    Ok(Event { action, node, previous, index, at, created, refresh })
}

/// Writes a view as events have them: without entries.
fn put_view(view: &NodeView, out: &mut impl Write) {
    assert!(view.nodes.is_empty(), "events show no entries");
    out.put_block(view.path.as_bytes());
    out.put_flag(view.value.is_some());
    if let Some(value) = &view.value {
        out.put_block(value);
    }
    out.put_flag(view.directory);
    put_time(view.expiration, out);
    out.put_varint(view.modified_index);
    out.put_varint(view.created_index);
}

fn view(items: &mut Reader) -> Result<NodeView, DecodeError> {
    Ok(NodeView {
        path: Path::clean(&items.block()?),
        value: if items.flag()? { Some(copy(items)?) } else { None },
        directory: items.flag()?,
        expiration: time(items)?,
        nodes: Vec::new(),
        modified_index: items.varint()?,
        created_index: items.varint()?,
    })
}

fn put_time(time: Option<WallTime>, out: &mut impl Write) {
    out.put_flag(time.is_some());
    if let Some(time) = time {
        out.put_i64(time.0);
    }
}

fn time(items: &mut Reader) -> Result<Option<WallTime>, DecodeError> {
    Ok(if items.flag()? { Some(WallTime(items.i64()?)) } else { None })
}

fn copy(items: &mut Reader) -> Result<Bytes, DecodeError> {
    Ok(Bytes::copy_from_slice(&items.block()?))
}

fn action_number(action: Action) -> u8 {
    match action {
        Action::Get => 0,
        Action::Set => 1,
        Action::Create => 2,
        Action::Update => 3,
        Action::CompareAndSwap => 4,
        Action::Delete => 5,
        Action::CompareAndDelete => 6,
        Action::Expire => 7,
    }
}

fn action(number: u8) -> Option<Action> {
    Some(match number {
        1 => Action::Set,
        2 => Action::Create,
        3 => Action::Update,
        4 => Action::CompareAndSwap,
        5 => Action::Delete,
        6 => Action::CompareAndDelete,
        7 => Action::Expire,
        _ => return None,
    })
}

/// Writes the next items of a checkpoint: first the header and the history, then the nodes.
pub(super) fn next_items(
    cursor: &mut Cursor,
    tree: &mut tree::Tree,
    limit: usize,
    out: &mut impl Write,
) -> usize {
    let count = cursor.next_items(limit, out);
    count + tree.next_imaged(limit - count, |key, node| put_node(key, node, out))
}
