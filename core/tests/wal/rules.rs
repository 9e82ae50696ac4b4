//! What makes a log unusable, rule by rule, and what does not.

use bytes::Bytes;
use quorra_core::disk::File;
use quorra_core::identity::{ClusterId, Incarnation};
use quorra_core::raft::{Index, LogBatch, Position};
use quorra_core::wal::{Found, Identity, Recovery, RecoveryError, Wal};

use crate::model::{Disk, IDENTITY, SEGMENT_BYTES, Writer, batch, hard_state, position};

/// Several segments, everything durable and committed.
fn long_log() -> Writer {
    let mut writer = Writer::new();
    for index in 1..=60 {
        let commit_index = Index(index - 1);
        writer.append_synced(&LogBatch { commit_index, ..batch(1, index, index, 4_000) });
    }
    writer
}

fn reason(disk: &Disk, checkpoint: Position) -> String {
    disk.recover(checkpoint).map(|_| ()).expect_err("this must not be accepted").to_string()
}

fn content(disk: &mut Disk, segment: u64) -> &mut Vec<u8> {
    disk.files.get_mut(&File::Segment(segment)).expect("the segment is there")
}

#[test]
fn a_listing_must_have_every_segment_once() {
    let found = |sequence| Found { file: File::Segment(sequence), length: 64 };
    let rows: [(&[u64], &str); 4] = [
        (
            &[],
            "the log is gone, and with it the member's vote: remove the member from the \
               cluster and add it again with an empty data directory",
        ),
        (
            &[1, 3],
            "wal/0000000000000003.wal is corrupt at offset 0: the segment before it is missing",
        ),
        (&[4, 4], "wal/0000000000000004.wal is corrupt at offset 0: the segment is listed twice"),
        (
            &[u64::MAX],
            "wal/ffffffffffffffff.wal is corrupt at offset 0: no log has that many segments",
        ),
    ];
    for (sequences, expected) in rows {
        let found: Vec<Found> = sequences.iter().copied().map(found).collect();
        let outcome =
            Recovery::new(&found, Position::default(), Incarnation(2), SEGMENT_BYTES).map(|_| ());
        assert_eq!(outcome.map_err(|error| error.to_string()), Err(expected.to_string()));
    }
}

#[test]
fn a_read_that_fails_or_falls_short_is_an_error() {
    for answer in [None, Some(Bytes::from_static(b"short"))] {
        let found = [Found { file: File::Segment(1), length: 64 }];
        let mut recovery =
            Recovery::new(&found, Position::default(), Incarnation(2), SEGMENT_BYTES)
                .expect("the listing is whole");
        recovery.next(None).expect("it asks for the header");
        let outcome = recovery.next(answer).map(|_| ());
        assert_eq!(outcome, Err(RecoveryError::Unreadable(File::Segment(1))));
    }
}

#[test]
fn a_segment_header_must_be_the_right_one() {
    let mut other = Writer::resume(
        Disk::default(),
        Wal::create(Identity { cluster: ClusterId(8), ..IDENTITY }, SEGMENT_BYTES),
    );
    other.append_synced(&batch(1, 1, 1, 10));
    let foreign = content(&mut other.disk, 1)[..64].to_vec();
    let own = content(&mut long_log().disk, 1)[..64].to_vec();
    let second = "wal/0000000000000002.wal is corrupt at offset 0: the segment ";
    let rows = [
        (2, Vec::new(), "ends inside its header"),
        (2, vec![0; 64], "does not begin with the log's magic"),
        (2, own, "bears another segment's name"),
    ];
    for (segment, bytes, expected) in rows {
        let mut disk = long_log().disk;
        *content(&mut disk, segment) = bytes;
        assert_eq!(reason(&disk, Position::default()), format!("{second}{expected}"));
    }
    let mut disk = long_log().disk;
    content(&mut disk, 1)[..64].copy_from_slice(&foreign);
    let expected = format!("{second}belongs to another cluster or member");
    assert_eq!(reason(&disk, Position::default()), expected);
}

#[test]
fn a_log_of_a_later_version_is_left_alone() {
    let mut disk = long_log().disk;
    let header = content(&mut disk, 1);
    header[8] = 2;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&header[..60]);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    let expected = "wal/0000000000000001.wal was written by a later version of Quorra";
    assert_eq!(reason(&disk, Position::default()), expected);
}

#[test]
fn a_checkpoint_must_reach_the_beginning_of_a_cut_log() {
    let mut writer = long_log();
    writer.cut(40);
    let first = writer.wal.locate(Index(41), 1).expect("it was kept");
    assert_ne!(first.file, File::Segment(1), "the cut removed something");
    let expected = "the log begins behind what the newest checkpoint covers";
    assert!(reason(&writer.disk, position(1, 10)).ends_with(expected));
    let (committed, recovered) = writer.disk.recover(position(1, 40)).expect("it does");
    assert_eq!(committed.first().map(|entry| entry.index), Some(Index(41)));
    assert_eq!((recovered.last, recovered.commit_index), (position(1, 60), Index(59)));
}

#[test]
fn the_first_record_of_a_cut_log_was_durable() {
    let mut writer = long_log();
    writer.cut(40);
    writer.cut(58);
    let File::Segment(last) = *writer.disk.files.keys().last().expect("one is left") else {
        panic!("there are only segments")
    };
    writer.disk.files.retain(|file, _| *file == File::Segment(last));
    content(&mut writer.disk, last)[64..].fill(0);
    let expected = format!("wal/{last:016x}.wal is corrupt at offset 64: no record begins here");
    assert_eq!(reason(&writer.disk, position(1, 60)), expected);
}

#[test]
fn a_lost_batch_before_an_unsynced_one_is_a_tail_and_before_a_promise_is_not() {
    for promised in [false, true] {
        let mut writer = Writer::new();
        writer.append_synced(&batch(1, 1, 1, 100));
        writer.append(&batch(1, 2, 2, 100));
        if promised {
            writer.sync();
        }
        writer.append(&batch(1, 3, 3, 100));
        writer.disk.sync();
        let second = 64 + usize::try_from(writer.wal.space_of(&batch(1, 1, 1, 100))).unwrap_or(0);
        content(&mut writer.disk, 1)[second..second + 8].fill(0);
        let outcome = writer.disk.recover(Position::default());
        if promised {
            let error = outcome.map(|_| ()).expect_err("the second batch was synced");
            let (file, offset) = (File::Segment(1), second as u64);
            let reason = "no record begins here";
            assert_eq!(error, RecoveryError::Corrupt { file, offset, reason });
        } else {
            let (_, recovered) = outcome.expect("the second batch was not synced");
            assert_eq!(recovered.last, position(1, 1));
            assert_eq!(recovered.dropped.map(|tail| tail.offset), Some(second as u64));
        }
    }
}

#[test]
fn only_what_was_said_to_be_durable_is_promised() {
    let mut writer = Writer::new();
    for index in 1..=2 {
        writer.append(&batch(1, index, index, 100));
    }
    writer.wal.durable(1);
    writer.append(&batch(1, 3, 3, 100));
    writer.disk.sync();
    let second = 64 + usize::try_from(writer.wal.space_of(&batch(1, 1, 1, 100))).unwrap_or(0);
    content(&mut writer.disk, 1)[second] ^= 1;
    let (_, recovered) = writer.disk.recover(Position::default()).expect("it is a tail");
    assert_eq!(recovered.last, position(1, 1));
}

#[test]
fn a_record_of_another_life_is_not_the_next_one() {
    let life = |term| {
        let mut writer = Writer::new();
        writer.append_synced(&batch(term, 1, 1, 100));
        writer.append_synced(&batch(2, 2, 2, 100));
        writer.disk
    };
    let (mut disk, mut other) = (life(1), life(2));
    let second = 64 + (112 + 17 + 100_usize).next_multiple_of(8);
    content(&mut disk, 1)[second..].copy_from_slice(&content(&mut other, 1)[second..]);
    let (_, recovered) = disk.recover(Position::default()).expect("it looks like a tail");
    assert_eq!(recovered.last, position(1, 1));
    let reason = recovered.dropped.map(|tail| tail.reason);
    assert_eq!(reason, Some("the chain of records breaks"));
}

#[test]
fn a_checkpoint_that_the_log_does_not_reach_voids_it() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 9, 10));
    for checkpoint in [position(2, 20), position(2, 9)] {
        let (committed, recovered) = writer.disk.recover(checkpoint).expect("nothing is wrong");
        assert!(committed.is_empty() && recovered.uncommitted.is_empty());
        assert_eq!((recovered.last, recovered.commit_index), (checkpoint, checkpoint.index));
        let mut next = Writer::resume(writer.disk.clone(), recovered.wal);
        let index = checkpoint.index.0 + 1;
        next.append_synced(&batch(2, index, index, 10));
        let (_, recovered) = next.disk.recover(checkpoint).expect("the reset was written");
        assert_eq!(recovered.last, position(2, index));
        assert_eq!(recovered.uncommitted.len(), 1);
    }
}

#[test]
fn a_voided_log_is_kept_until_the_reset_is_durable() {
    let mut writer = Writer::new();
    for index in 1..=60 {
        writer.append_synced(&batch(1, index, index, 4_000));
    }
    let checkpoint = position(2, 20);
    let (_, recovered) = writer.disk.recover(checkpoint).expect("nothing is wrong");
    let mut next = Writer::resume(writer.disk, recovered.wal);
    next.append(&batch(2, 21, 21, 10));
    next.cut(20);
    assert!(next.disk.files.contains_key(&File::Segment(1)));
    next.sync();
    next.cut(20);
    assert!(!next.disk.files.contains_key(&File::Segment(1)));
    let (_, recovered) = next.disk.recover(checkpoint).expect("the reset is there");
    assert_eq!(recovered.last, position(2, 21));
}

#[test]
fn what_cannot_be_is_named() {
    let step = |term, from, to, commit: u64| LogBatch {
        commit_index: Index(commit),
        ..batch(term, from, to, 10)
    };
    let vote =
        |term, vote| LogBatch { hard_state: Some(hard_state(term, vote)), ..LogBatch::default() };
    let rows = [
        (
            vec![step(1, 1, 5, 4), step(2, 3, 3, 4)],
            position(0, 0),
            "a record overwrites a committed entry",
        ),
        (vec![step(1, 1, 5, 5)], position(2, 3), "the committed log contradicts the checkpoint"),
        (vec![vote(3, 1), vote(3, 2)], position(0, 0), "the vote changes within a term"),
        (
            vec![step(1, 1, 5, 0), LogBatch { reset: Some(position(1, 8)), ..step(1, 9, 9, 8) }],
            position(1, 5),
            "the log was reset to a checkpoint that is not there",
        ),
    ];
    for (batches, checkpoint, expected) in rows {
        let mut writer = Writer::new();
        batches.iter().for_each(|batch| writer.append_synced(batch));
        let reason = reason(&writer.disk, checkpoint);
        assert!(reason.ends_with(expected), "{reason} instead of {expected}");
    }
}
