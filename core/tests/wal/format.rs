//! The bytes of version 1, as they lie on disks from now on.

use quorra_core::disk::File;
use quorra_core::raft::{Index, LogBatch};

use crate::model::{Writer, entry, hard_state, position};

/// Sixteen bytes a line, in hexadecimal.
fn dump(bytes: &[u8]) -> Vec<String> {
    let hex = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.chunks(16).map(hex).collect()
}

#[test]
fn the_bytes_of_a_segment_are_those_of_version_1() {
    let mut writer = Writer::new();
    writer.append_synced(&LogBatch {
        hard_state: Some(hard_state(3, 9)),
        reset: Some(position(2, 40)),
        entries: vec![entry(3, 41, 5)],
        commit_index: Index(40),
    });
    let content = writer.disk.files.get(&File::Segment(1)).expect("it is published");
    let expected = [
        "51756f727261574c0100000000000000", // magic, version
        "07000000000000000100000000000000", // cluster, member
        "01000000000000000100000000000000", // incarnation, sequence
        "0000000000000000000000006937838e", // checksum
        "51524543284feed08800000000000000", // magic, checksum, length, previous checksum
        "6051dfb8010000000100000000000000", // table checksum, entries, segment
        "40000000000000000100000000000000", // offset, sequence
        "00000000000000000300000000000000", // durable before, term
        "09000000000000000200000000000000", // vote, base term
        "28000000000000002800000000000000", // base index, previous index
        "28000000000000000100000000000000", // commit index, reset
        "05000000285727660300000000000000", // length, checksum, term of the entry
        "0186868686860000",                 // its kind, payload, padding
    ];
    assert_eq!(dump(&content[..64 + 136]), expected);
    assert!(content[64 + 136..].iter().all(|byte| *byte == 0));
}
