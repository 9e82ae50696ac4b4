//! The rules of `etcd-v2.md`, row by row, and the store against a model that does everything the
//! simple way.

mod model;
mod rules;
mod watching;

use alloc::string::String;
use alloc::vec::Vec;
use std::format;

use super::*;
use crate::codec::Reader;

const SECOND: i64 = 1_000_000_000;
const NOON: WallTime = WallTime(1_700_000_000 * SECOND);

fn path(text: &str) -> Path {
    Path::clean(text.as_bytes())
}

fn at(seconds: i64) -> WallTime {
    WallTime(NOON.0 + seconds * SECOND)
}

/// Whether a test's key is written as a directory's.
fn is_directory(key: &str) -> bool {
    key.len() > 1 && key.ends_with('/')
}

/// `key=value`, or `key/` for a directory.
fn set(key: &str, ttl: Option<u64>) -> Write {
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    let value = Bytes::copy_from_slice(value.as_bytes());
    Write::Set { path: path(key), value, directory: is_directory(key), ttl, refresh: false }
}

fn refresh(key: &str, ttl: u64) -> Write {
    Write::Set {
        path: path(key),
        value: Bytes::new(),
        directory: false,
        ttl: Some(ttl),
        refresh: true,
    }
}

fn create(key: &str, in_order: bool) -> Write {
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    let value = Bytes::copy_from_slice(value.as_bytes());
    Write::Create { path: path(key), value, directory: is_directory(key), ttl: None, in_order }
}

fn update(key: &str, ttl: Option<u64>) -> Write {
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    let value = Bytes::copy_from_slice(value.as_bytes());
    Write::Update { path: path(key), value, ttl, refresh: false }
}

fn condition(value: &str, index: u64) -> Condition {
    let value = (!value.is_empty()).then(|| Bytes::copy_from_slice(value.as_bytes()));
    Condition { value, index: (index > 0).then_some(index) }
}

fn swap(key: &str, value: &str, index: u64) -> Write {
    let (key, new) = key.split_once('=').unwrap_or((key, ""));
    Write::CompareAndSwap {
        path: path(key),
        value: Bytes::copy_from_slice(new.as_bytes()),
        ttl: None,
        refresh: false,
        condition: condition(value, index),
    }
}

fn delete(key: &str, directory: bool, recursive: bool) -> Write {
    Write::Delete { path: path(key), directory, recursive }
}

fn delete_if(key: &str, value: &str, index: u64) -> Write {
    Write::CompareAndDelete { path: path(key), condition: condition(value, index) }
}

fn get(key: &str, recursive: bool) -> Get {
    Get { path: path(key), recursive, sorted: true }
}

/// Reads a node, node by node; in one go it is the same.
fn read(store: &mut Store, key: &str, recursive: bool) -> Result<Rc<Event>, Error> {
    let get = get(key, recursive);
    let in_one_go = store.read(&get, usize::MAX);
    let mut read = store.get(&get, 1)?;
    loop {
        match (read, &in_one_go) {
            (Read::Paused(listing), _) => read = store.read_more(listing, 1),
            (Read::Whole(event), Ok(Read::Whole(same))) => {
                assert_eq!(&event, same);
                return Ok(event);
            }
            (read, in_one_go) => panic!("{read:?} is not {in_one_go:?}"),
        }
    }
}

/// A store after these writes, all of which must succeed.
fn store_of(writes: &[Write]) -> Store {
    let mut store = Store::new();
    for write in writes {
        store.apply(write, NOON).expect("a test's preparation succeeds");
    }
    store
}

/// One line for a node: `key=value #modified/created !seconds`, with its entries behind it.
fn show(node: &NodeView) -> String {
    let mut text = String::from_utf8_lossy(node.path.as_bytes()).into_owned();
    if let Some(value) = &node.value {
        text.push_str(&format!("={}", String::from_utf8_lossy(value)));
    }
    if node.directory {
        text.push('/');
    }
    text.push_str(&format!(" #{}/{}", node.modified_index, node.created_index));
    if let Some(time) = node.expiration {
        text.push_str(&format!(" !{}", (time.0 - NOON.0) / SECOND));
    }
    if !node.nodes.is_empty() {
        let nodes: Vec<_> = node.nodes.iter().map(show).collect();
        text.push_str(&format!(" [{}]", nodes.join(", ")));
    }
    text
}

/// One line for an outcome: `Action node <- previous`, or `Kind cause @index`.
fn tell(outcome: &Result<Rc<Event>, Error>) -> String {
    match outcome {
        Ok(event) => {
            let previous = event.previous.as_ref().map(|node| format!(" <- {}", show(node)));
            format!("{:?} {}{}", event.action, show(&event.node), previous.unwrap_or_default())
        }
        Err(error) => {
            let cause = String::from_utf8_lossy(&error.cause);
            format!("{:?} {cause} @{}", error.kind, error.index)
        }
    }
}

/// The store as a checkpoint with slices of this size would bring it back.
fn reloaded(store: &mut Store, slice: usize) -> Store {
    store.begin_checkpoint();
    let mut items = Vec::new();
    while store.next_items(slice, &mut items) > 0 {}
    store.end_checkpoint();
    load(items)
}

fn load(items: Vec<u8>) -> Store {
    let mut loader = Loader::new();
    loader.load(&mut Reader::new(items.into())).expect("what was written is read");
    let store = loader.finish().expect("a whole checkpoint makes a store");
    store.check();
    store
}

#[test]
fn a_checkpoint_that_nothing_could_be_added_to_is_refused() {
    for (index, directory) in [(u64::MAX, 0), (0, u64::MAX)] {
        let mut items = Vec::from([1]);
        codec::Write::put_u64(&mut items, index);
        codec::Write::put_u64(&mut items, directory);
        let error = Loader::new().load(&mut Reader::new(items.into()));
        assert_eq!(error.map_err(|error| error.rule), Err("no v2 store has counted so far"));
    }
}
