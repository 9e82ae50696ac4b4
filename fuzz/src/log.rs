//! Recovery of a log from whatever its segments hold.

use bytes::Bytes;
use quorra_core::raft::{Index, LogBatch, Position, Term};
use quorra_core::wal::{self, Recovered};

use crate::pieces;

const SEGMENT_BYTES: u64 = 4 << 10;
/// The sequence of the first segment.
const FIRST: u64 = 1;

/// Each block is a segment. As it is, and with records whose checksums hold, a log is refused or
/// read: committed entries in a row behind the checkpoint, and a writer that can go on.
pub fn run(bytes: &[u8]) {
    let segments = pieces::blocks(bytes);
    let sealed = wal::reseal(FIRST, &segments);
    for segments in [segments, sealed] {
        for index in [0, 1, 3] {
            check(&segments, Position { term: Term(index.min(1)), index: Index(index) });
        }
    }
}

fn check(segments: &[Bytes], checkpoint: Position) {
    let Ok((committed, recovered)) =
        wal::recover_from_bytes(FIRST, segments, checkpoint, SEGMENT_BYTES)
    else {
        return;
    };
    let Recovered { commit_index, last, uncommitted, .. } = &recovered;
    let mut previous = checkpoint;
    for entry in committed.iter().chain(uncommitted) {
        assert!(entry.is_intact(), "the checksum of an entry that is read holds");
        assert_eq!(entry.index, Index(previous.index.0 + 1), "entries are in a row");
        assert!(entry.term >= previous.term, "terms do not go back");
        previous = Position { term: entry.term, index: entry.index };
    }
    let behind = u64::try_from(committed.len()).expect("sizes fit 64 bits");
    assert_eq!(checkpoint.index.0 + behind, commit_index.0, "what is committed is told");
    assert_eq!(previous, *last, "the last entry is told");
    go_on(recovered);
}

/// The writer that recovery gives takes a batch.
fn go_on(recovered: Recovered) {
    let Recovered { mut wal, commit_index, .. } = recovered;
    let batch = LogBatch { commit_index, ..LogBatch::default() };
    while wal.room() < wal.space_of(&batch) {
        assert!(!wal.prepare(wal.space_of(&batch)).is_empty(), "space can be prepared");
        wal.prepared();
    }
    assert!(!wal.append(&batch).is_empty(), "a batch is written");
    wal.durable(1);
    wal.check();
}
