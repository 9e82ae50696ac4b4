//! Entries are read back from disk, whatever was overwritten around them.

use bytes::Bytes;
use quorra_core::raft::Index;

use crate::model::{Writer, batch};

#[test]
fn a_read_leaves_out_what_was_overwritten() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 10, 100));
    writer.append_synced(&batch(2, 6, 8, 100));
    let read = writer.wal.locate(Index(4), 1 << 20).expect("it was written");
    let found = writer.wal.decode(read, writer.disk.read(read), Index(4)).expect("it is intact");
    let places: Vec<(u64, u64)> = found.iter().map(|e| (e.index.0, e.term.0)).collect();
    assert_eq!(places, [(4, 1), (5, 1), (6, 2), (7, 2), (8, 2)]);
    assert_eq!(writer.wal.locate(Index(9), 1), None);
}

#[test]
fn a_read_of_something_else_is_an_error() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 3, 100));
    let read = writer.wal.locate(Index(1), 1).expect("it was written");
    let mut bytes = writer.disk.read(read).to_vec();
    bytes[300] ^= 1;
    let error = writer.wal.decode(read, Bytes::from(bytes), Index(1)).map(|_| ());
    let rule = error.expect_err("a bit was flipped").rule;
    assert_eq!(rule, "the checksum of an entry does not match");
}

#[test]
fn a_read_that_runs_into_a_write_under_way_gives_what_precedes_it() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 3, 100));
    writer.append(&batch(1, 4, 6, 100));
    let read = writer.wal.locate(Index(1), 1 << 20).expect("it was written");
    let found = writer.wal.decode(read, writer.disk.read(read), Index(1)).expect("it is intact");
    assert_eq!(found, batch(1, 1, 3, 100).entries);
}
