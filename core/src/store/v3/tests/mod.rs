//! The store against a naive model, etcd's rules one by one, and the promises about long work.

mod model;
mod rules;
mod slices;

use super::*;
use alloc::vec;
use bytes::Bytes;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> Put {
    Put { key: bytes(key), value: Some(bytes(value)), lease: Some(None), previous: false }
}

fn everything() -> Interval {
    Interval::From(Bytes::from_static(&[0]))
}

fn range(interval: Interval) -> Range {
    Range {
        interval,
        limit: 0,
        revision: 0,
        order: SortOrder::None,
        target: SortTarget::Key,
        keys_only: false,
        count_only: false,
        mod_revisions: (0, 0),
        create_revisions: (0, 0),
    }
}

fn delete(interval: Interval) -> DeleteRange {
    DeleteRange { interval, previous: false }
}

fn then(success: Vec<Op>) -> Txn {
    Txn { success, ..Txn::default() }
}

/// A store that is given requests which fit a slice.
fn store_of(pairs: &[(&str, &str)]) -> Store {
    let mut store = Store::new(1_000_000);
    for (key, value) in pairs {
        apply(&mut store, Write::Put(put(key, value))).expect("a put succeeds");
    }
    store
}

fn apply(store: &mut Store, write: Write) -> Finished {
    let outcome = store.apply(write, WorkId(0)).expect("the slice suffices");
    store.check();
    outcome
}

fn read(store: &mut Store, range: &Range) -> Result<RangeAnswer, Error> {
    match store.range(range, WorkId(0)).expect("the slice suffices")? {
        Answer::Range(answer) => Ok(answer),
        other => panic!("a range is answered by a range: {other:?}"),
    }
}

/// An answer's records as text: `key=value`, or the keys alone.
fn texts(answer: &RangeAnswer) -> Vec<alloc::string::String> {
    let text = |bytes: &[u8]| alloc::string::String::from_utf8_lossy(bytes).into_owned();
    let records = answer.records.iter();
    records.map(|record| text(record.key()) + "=" + &text(record.value())).collect()
}
