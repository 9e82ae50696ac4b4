//! A disk with a memory of what was synced, and a member that writes to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorra_core::disk::{DiskOp, DiskRead, File};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{Entry, EntryKind, HardState, Index, LogBatch, Position, Term};
use quorra_core::random::Random;
use quorra_core::wal::{Identity, Recovered, RecoveryError, Wal, recover_from_bytes};

/// The segments of these tests.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;

pub(crate) const IDENTITY: Identity =
    Identity { cluster: ClusterId(7), member: MemberId(1), incarnation: Incarnation(1) };

/// Published files, as a restart would find them, and writes that are not synced.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<File, Vec<u8>>,
    temporary: BTreeMap<File, Vec<u8>>,
    unsynced: Vec<(File, usize, Bytes)>,
}

impl Disk {
    /// The bulk lane: durable at once.
    pub(crate) fn perform(&mut self, operations: Vec<DiskOp>) {
        for operation in operations {
            match operation {
                DiskOp::Create(file) => drop(self.temporary.insert(file, Vec::new())),
                DiskOp::Write { file, offset, bytes } => self.write(file, at(offset), &bytes),
                DiskOp::Zero { file, offset, length } => {
                    self.write(file, at(offset), &vec![0; at(length)]);
                }
                DiskOp::Publish(file) => {
                    let content = self.temporary.remove(&file).expect("it was created");
                    self.files.insert(file, content);
                }
                DiskOp::Remove(file) => drop(self.files.remove(&file)),
            }
        }
    }

    fn write(&mut self, file: File, offset: usize, bytes: &[u8]) {
        let content = match self.files.get_mut(&file) {
            Some(content) => content,
            None => self.temporary.get_mut(&file).expect("only what exists is written"),
        };
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// The log lane: written, not synced.
    pub(crate) fn submit(&mut self, operations: Vec<DiskOp>) {
        for operation in operations {
            let DiskOp::Write { file, offset, bytes } = operation else {
                panic!("the log lane only writes")
            };
            let length = self.files.get(&file).expect("the segment is published").len();
            assert!(at(offset) + bytes.len() <= length, "an append must not extend the file");
            self.unsynced.push((file, at(offset), bytes));
        }
    }

    pub(crate) fn sync(&mut self) {
        for (file, offset, bytes) in std::mem::take(&mut self.unsynced) {
            self.write(file, offset, &bytes);
        }
    }

    /// Any part of what is not synced arrives, in pieces of up to `piece` bytes.
    pub(crate) fn power_cut(&mut self, random: &mut Random, piece: u64) {
        for (file, offset, bytes) in std::mem::take(&mut self.unsynced) {
            let (mut from, survival) = (0, random.below(5));
            while from < bytes.len() {
                let to = (from + 1 + at(random.below(piece))).min(bytes.len());
                if random.below(4) < survival {
                    self.write(file, offset + from, &bytes[from..to]);
                }
                from = to;
            }
        }
    }

    pub(crate) fn read(&self, read: DiskRead) -> Bytes {
        let content = self.files.get(&read.file).expect("only published files are read");
        let end = content.len().min(at(read.offset + read.length));
        Bytes::copy_from_slice(&content[at(read.offset)..end])
    }

    pub(crate) fn recover(
        &self,
        checkpoint: Position,
    ) -> Result<(Vec<Entry>, Recovered), RecoveryError> {
        let first = self.files.keys().next().copied();
        let first = first.map_or(1, |(File::Segment(n) | File::Checkpoint(n))| n);
        let contents: Vec<Bytes> =
            self.files.values().map(|content| Bytes::copy_from_slice(content)).collect();
        recover_from_bytes(first, &contents, checkpoint, SEGMENT_BYTES)
    }
}

fn at(place: u64) -> usize {
    usize::try_from(place).expect("tests are small")
}

pub(crate) fn entry(term: u64, index: u64, payload: usize) -> Entry {
    let fill = u8::try_from((term.wrapping_mul(31).wrapping_add(index)) % 251).expect("below 256");
    let payload = Bytes::from(vec![fill; payload]);
    Entry::new(Term(term), Index(index), EntryKind::Command, payload)
}

pub(crate) fn position(term: u64, index: u64) -> Position {
    Position { term: Term(term), index: Index(index) }
}

pub(crate) fn hard_state(term: u64, vote: u64) -> HardState {
    HardState { term: Term(term), vote: (vote != 0).then_some(MemberId(vote)) }
}

/// A batch of entries `from..=to`.
pub(crate) fn batch(term: u64, from: u64, to: u64, payload: usize) -> LogBatch {
    LogBatch {
        hard_state: Some(hard_state(term, 0)),
        entries: (from..=to).map(|index| entry(term, index, payload)).collect(),
        ..LogBatch::default()
    }
}

/// A log writer whose space is always prepared.
pub(crate) struct Writer {
    pub(crate) disk: Disk,
    pub(crate) wal: Wal,
    pub(crate) appends: u64,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::resume(Disk::default(), Wal::create(IDENTITY, SEGMENT_BYTES))
    }

    pub(crate) fn resume(disk: Disk, wal: Wal) -> Self {
        let mut writer = Self { disk, wal, appends: 0 };
        writer.prepare(0);
        writer
    }

    pub(crate) fn prepare(&mut self, wanted: u64) {
        loop {
            let operations = self.wal.prepare(wanted);
            if operations.is_empty() {
                break;
            }
            self.disk.perform(operations);
            self.wal.prepared();
        }
        assert!(self.wal.room() >= wanted, "preparing ends with enough room");
    }

    pub(crate) fn append(&mut self, batch: &LogBatch) {
        self.prepare(self.wal.space_of(batch));
        let operations = self.wal.append(batch);
        self.disk.submit(operations);
        self.appends += 1;
    }

    pub(crate) fn sync(&mut self) {
        self.disk.sync();
        self.wal.durable(self.appends);
    }

    pub(crate) fn append_synced(&mut self, batch: &LogBatch) {
        self.append(batch);
        self.sync();
    }

    pub(crate) fn cut(&mut self, keep_from: u64) {
        let operations = self.wal.cut(Index(keep_from));
        self.disk.perform(operations);
    }
}
