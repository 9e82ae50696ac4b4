//! Space: prepared ahead in small steps, never exceeded, given back when a cut allows it.

use quorra_core::disk::{DiskOp, File};
use quorra_core::raft::{Index, LogBatch};
use quorra_core::wal::Wal;

use crate::model::{IDENTITY, SEGMENT_BYTES, Writer, batch, position};

#[test]
fn zeros_come_in_steps_and_count_once_they_are_durable() {
    let mut wal = Wal::create(IDENTITY, 64 << 20);
    assert_eq!(wal.room(), 0);
    let operations = wal.prepare(0);
    assert!(matches!(
        operations[..],
        [
            DiskOp::Create(File::Segment(1)),
            DiskOp::Write { offset: 0, .. },
            DiskOp::Zero { offset: 64, length: 4_194_304, .. },
            DiskOp::Publish(File::Segment(1)),
        ]
    ));
    assert_eq!((wal.room(), wal.prepare(0)), (0, Vec::new()));
    wal.prepared();
    assert_eq!((wal.room(), wal.prepare(0)), (4 << 20, Vec::new()));
    wal.append(&batch(1, 1, 1, 100));
    let zeros = wal.prepare(0);
    assert!(matches!(zeros[..], [DiskOp::Zero { offset: 4_194_368, length: 4_194_304, .. }]));
    wal.prepare_failed();
    assert_eq!(wal.prepare(0), zeros, "a full disk is asked again");
}

#[test]
fn a_batch_larger_than_a_segment_gets_a_segment_of_its_own() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 1, 100));
    let large = batch(1, 2, 9, 100_000);
    assert!(writer.wal.space_of(&large) > SEGMENT_BYTES);
    writer.append_synced(&large);
    writer.append_synced(&batch(1, 10, 10, 100));
    let read = writer.wal.locate(Index(9), 1).expect("it was written");
    assert_eq!(read.file, File::Segment(2));
    let (_, recovered) = writer.disk.recover(position(0, 0)).expect("it is whole");
    assert_eq!(
        recovered.uncommitted,
        [batch(1, 1, 1, 100), large, batch(1, 10, 10, 100)]
            .into_iter()
            .flat_map(|batch| batch.entries)
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_torn_large_batch_leaves_its_first_records() {
    let mut writer = Writer::new();
    writer.append_synced(&batch(1, 1, 1, 100));
    let large = batch(1, 2, 13, 1 << 20);
    writer.append(&large);
    let mut torn = writer.disk.clone();
    torn.sync();
    let whole = torn.recover(position(0, 0)).expect("it is whole").1;
    assert_eq!(whole.uncommitted[1..], large.entries);
    let read = writer.wal.locate(Index(7), 1).expect("it was written");
    let content = torn.files.get_mut(&read.file).expect("it is there");
    let middle = usize::try_from(read.offset + read.length / 2).expect("it is small");
    content[middle] ^= 1;
    let recovered = torn.recover(position(0, 0)).expect("nothing of it was synced").1;
    assert_eq!(recovered.last, position(1, 6));
    assert_eq!(
        recovered.dropped.map(|tail| (tail.file, tail.offset)),
        Some((read.file, read.offset))
    );
}

#[test]
fn a_cut_waits_for_a_durable_record_in_a_later_segment() {
    let mut writer = Writer::new();
    let mut index = 0;
    while writer.disk.files.len() < 2
        || writer.wal.locate(Index(index), 1).is_none_or(|read| read.file == File::Segment(1))
    {
        index += 1;
        if writer.wal.locate(Index(index - 1), 1).is_none_or(|read| read.file == File::Segment(1)) {
            writer.append(&batch(1, index, index, 5_000));
        }
    }
    assert_eq!(writer.wal.cut(Index(index)), []);
    writer.sync();
    assert_eq!(writer.wal.cut(Index(1)), [], "entries above are still wanted");
    assert_eq!(writer.wal.cut(Index(index)), [DiskOp::Remove(File::Segment(1))]);
    assert_eq!(writer.wal.locate(Index(1), 1), None);
}

#[test]
fn the_gap_is_closed_once_and_only_behind_durable_records() {
    let mut writer = Writer::new();
    assert_eq!(writer.wal.close_gap(Index(0)), None, "an empty log has no gap");
    writer.append(&batch(1, 1, 1, 10));
    assert_eq!(writer.wal.close_gap(Index(0)), None, "nothing is durable yet");
    writer.sync();
    let gap = writer.wal.close_gap(Index(1)).expect("nothing says that the record is durable");
    assert_eq!(gap, LogBatch { commit_index: Index(1), ..LogBatch::default() });
    writer.append_synced(&gap);
    assert_eq!(writer.wal.close_gap(Index(1)), None);
    assert_eq!(writer.disk.recover(position(0, 0)).map(|(c, _)| c.len()), Ok(1));
}

#[test]
fn every_start_goes_on_in_a_new_segment_and_takes_the_place_of_an_empty_one() {
    let mut writer = Writer::new();
    for _ in 0..3 {
        let (_, recovered) = writer.disk.recover(position(0, 0)).expect("it is whole");
        writer = Writer::resume(writer.disk, recovered.wal);
    }
    assert_eq!(writer.disk.files.len(), 1, "an empty log does not grow by starts");
    writer.append_synced(&batch(1, 1, 1, 10));
    let (_, recovered) = writer.disk.recover(position(0, 0)).expect("it is whole");
    writer = Writer::resume(writer.disk, recovered.wal);
    writer.append_synced(&batch(1, 2, 2, 10));
    assert_eq!(writer.wal.locate(Index(2), 1).map(|read| read.file), Some(File::Segment(2)));
}
