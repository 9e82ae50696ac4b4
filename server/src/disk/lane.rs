//! The two loops that perform operations.

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskOp, File, Lane};

use super::files::{Files, ZEROS, failure_of};
use super::{Answer, Answers, Took, Work};

/// Bytes that may be written before they are synced, in the bulk lane.
const BULK_SYNC_BYTES: u64 = 1 << 20;
/// How fast the bulk lane writes at most.
const BULK_BYTES_PER_SECOND: u64 = 256 << 20;
/// Bytes of queued batches that share one sync of the log lane.
const GATHERED_BYTES_MAX: usize = 16 << 20;

/// Performs the log's batches until there are no more or one fails.
pub(super) fn run_log(files: Files, queue: &Receiver<Work>, answers: &Answers, took: &Took) {
    let mut lane = LogLane { files, run: Run::default() };
    while let Ok(first) = queue.recv() {
        let begun = Instant::now();
        let mut ticket = first.ticket;
        let mut gathered = lane.perform(first.operations);
        while let Ok(bytes) = gathered {
            let next = if bytes < GATHERED_BYTES_MAX { queue.try_recv().ok() } else { None };
            let Some(next) = next else { break };
            ticket = next.ticket;
            gathered = lane.perform(next.operations).map(|more| bytes + more);
        }
        let written = gathered.and_then(|_| lane.flush()).map_err(|error| failure_of(&error));
        // After a failed sync nothing is known, whatever the reason.
        let synced = written.and_then(|()| lane.files.sync().map_err(|_| DiskFailure::Io));
        match synced {
            Ok(()) => {
                took.count(begun.elapsed());
                answers.give(Answer::Durable(Lane::Log, ticket));
            }
            Err(failure) => return answers.give(Answer::Failed(Lane::Log, ticket, failure)),
        }
    }
}

/// Writes that follow each other in one file, on their way to being one.
#[derive(Default)]
struct Run {
    start: Option<(File, u64)>,
    parts: Vec<Bytes>,
    length: u64,
}

struct LogLane {
    files: Files,
    run: Run,
}

impl LogLane {
    /// Returns how many bytes were taken.
    fn perform(&mut self, operations: Vec<DiskOp>) -> io::Result<usize> {
        let mut taken = 0;
        for operation in operations {
            match operation {
                DiskOp::Write { file, offset, bytes } => {
                    taken += bytes.len();
                    self.write(file, offset, bytes)?;
                }
                other => {
                    self.flush()?;
                    perform(&mut self.files, other)?;
                }
            }
        }
        Ok(taken)
    }

    fn write(&mut self, file: File, offset: u64, bytes: Bytes) -> io::Result<()> {
        let end = self.run.start.map(|(file, start)| (file, start + self.run.length));
        if end != Some((file, offset)) {
            self.flush()?;
            self.run.start = Some((file, offset));
        }
        self.run.length += bytes.len() as u64;
        self.run.parts.push(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some((file, offset)) = self.run.start.take() else { return Ok(()) };
        self.run.length = 0;
        match &self.run.parts[..] {
            [one] => self.files.write(file, offset, one)?,
            parts => self.files.write(file, offset, &parts.concat())?,
        }
        self.run.parts.clear();
        Ok(())
    }
}

fn perform(files: &mut Files, operation: DiskOp) -> io::Result<()> {
    match operation {
        DiskOp::Create(file) => files.create(file),
        DiskOp::Write { file, offset, bytes } => files.write(file, offset, &bytes),
        DiskOp::Zero { .. } => unreachable!("zeros are written piece by piece"),
        DiskOp::Publish(file) => files.publish(file),
        DiskOp::Remove(file) => files.remove(file),
    }
}

/// Performs the bulk lane's batches. A full disk fails a batch; anything else ends the lane.
pub(super) fn run_bulk(files: Files, queue: &Receiver<Work>, answers: &Answers, took: Took) {
    let wanting = BTreeSet::new();
    let mut lane = BulkLane { files, took, wanting, unsynced: 0, paced: Instant::now() };
    let mut is_full = false;
    for work in queue {
        let performed = lane.perform_all(work.operations);
        let was_full = mem::replace(&mut is_full, performed == Err(DiskFailure::Full));
        match (was_full, is_full) {
            (false, true) => log::warn!("the disk is full: writes are refused until it has space"),
            (true, false) => log::info!("the disk has space again"),
            _ => {}
        }
        match performed {
            Ok(()) => answers.give(Answer::Durable(Lane::Bulk, work.ticket)),
            Err(failure) => {
                answers.give(Answer::Failed(Lane::Bulk, work.ticket, failure));
                if failure == DiskFailure::Io {
                    return;
                }
            }
        }
    }
}

struct BulkLane {
    files: Files,
    took: Took,
    /// Files that a full disk did not let be created. What was queued for them meanwhile fails
    /// for the same reason, and not because they are not there.
    wanting: BTreeSet<File>,
    unsynced: u64,
    /// The time that what was written so far may take up to.
    paced: Instant,
}

impl BulkLane {
    fn perform_all(&mut self, operations: Vec<DiskOp>) -> Result<(), DiskFailure> {
        for operation in operations {
            match operation {
                DiskOp::Create(file) => self.create(file)?,
                DiskOp::Remove(file) => {
                    self.wanting.remove(&file);
                    self.files.remove(file).map_err(|error| failure_of(&error))?;
                }
                DiskOp::Write { file, .. } | DiskOp::Publish(file)
                    if self.wanting.contains(&file) =>
                {
                    return Err(DiskFailure::Full);
                }
                DiskOp::Write { file, offset, bytes } => self.write(file, offset, &bytes)?,
                DiskOp::Zero { file, offset, length } => self.zero(file, offset, length)?,
                DiskOp::Publish(file) => {
                    self.files.publish(file).map_err(|error| failure_of(&error))?;
                }
            }
        }
        self.sync()
    }

    fn create(&mut self, file: File) -> Result<(), DiskFailure> {
        let created = self.files.create(file).map_err(|error| failure_of(&error));
        match created {
            Err(DiskFailure::Full) => drop(self.wanting.insert(file)),
            _ => drop(self.wanting.remove(&file)),
        }
        created
    }

    fn zero(&mut self, file: File, offset: u64, length: u64) -> Result<(), DiskFailure> {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let piece = (end - at).min(ZEROS.len() as u64);
            let zeros = usize::try_from(piece).map_or(ZEROS, |piece| &ZEROS[..piece]);
            self.write(file, at, zeros)?;
            at += piece;
        }
        Ok(())
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskFailure> {
        self.files.write(file, offset, bytes).map_err(|error| failure_of(&error))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced < BULK_SYNC_BYTES { Ok(()) } else { self.sync() }
    }

    /// Syncs, and rests until the bytes written have taken the time that they may take.
    fn sync(&mut self) -> Result<(), DiskFailure> {
        let begun = Instant::now();
        self.files.sync().map_err(|_| DiskFailure::Io)?;
        self.took.count(begun.elapsed());
        let nanoseconds = self.unsynced.saturating_mul(1_000_000_000) / BULK_BYTES_PER_SECOND;
        self.unsynced = 0;
        let now = Instant::now();
        self.paced = self.paced.max(now - IDLE_CREDIT_MAX.min(now - self.paced.min(now)));
        self.paced += Duration::from_nanos(nanoseconds);
        thread::sleep(self.paced.saturating_duration_since(now));
        Ok(())
    }
}

/// How much of an idle time may be made up for: a short batch after a rest goes at full speed.
const IDLE_CREDIT_MAX: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::{DataDir, tests::Scratch};
    use quorra_core::time::WallTime;

    /// A checkpoint's chunks were queued behind its creation, which met a full disk: they must not
    /// look like a broken disk, which would end the member.
    #[test]
    fn what_was_queued_for_a_file_that_could_not_be_created_meets_a_full_disk_too() {
        let scratch = Scratch::new("lane-wanting");
        let directory = DataDir::open(&scratch.0).expect("a fresh directory opens");
        directory.next_incarnation(WallTime(0)).expect("it has places for data");
        drop(directory);
        let file = File::Checkpoint(7);
        let files = Files::open(&scratch.0, 4).expect("the directory is there");
        let wanting = BTreeSet::from([file]);
        let mut lane =
            BulkLane { files, took: Took::new(), wanting, unsynced: 0, paced: Instant::now() };
        let write = || DiskOp::Write { file, offset: 0, bytes: Bytes::from_static(b"x") };
        assert_eq!(lane.perform_all(vec![write()]), Err(DiskFailure::Full));
        assert_eq!(lane.perform_all(vec![DiskOp::Publish(file)]), Err(DiskFailure::Full));
        assert_eq!(lane.perform_all(vec![DiskOp::Remove(file)]), Ok(()));
        assert_eq!(lane.perform_all(vec![write()]), Err(DiskFailure::Io), "it is not there");
        assert_eq!(lane.perform_all(vec![DiskOp::Create(file), write()]), Ok(()));
    }
}
