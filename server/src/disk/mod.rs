//! The disk's two lanes as threads, and a third one that reads.
//!
//! The core hands each lane batches of operations under growing tickets. The *log* lane writes
//! and syncs; while it syncs, the next batches gather and share the next sync. The *bulk* lane is
//! paced, so that a checkpoint never starves the log of the disk. Reads have a thread of their own
//! and never wait behind a sync.
//!
//! The invariant: a ticket is answered as durable only after a successful sync of every file that
//! it and the tickets before it wrote. A lane whose write or sync failed performs nothing more
//! (but for the bulk lane on a full disk): what a failed sync left behind is unknown, and a second
//! sync would not tell.

mod files;
mod lane;

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskOp, DiskRead, Lane, Ticket};
use quorra_core::replica::ReadId;
use quorra_net::host::Histogram;

use files::{Files, failure_of};
pub use files::{Syncing, read};

/// What came of work on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything up to this ticket of this lane is on stable storage.
    Durable(Lane, Ticket),
    /// This ticket's operations failed.
    Failed(Lane, Ticket, DiskFailure),
    /// A read came back.
    Read(ReadId, Result<Bytes, DiskFailure>),
}

/// A batch of operations for a lane.
struct Work {
    ticket: Ticket,
    operations: Vec<DiskOp>,
}

/// Where answers go: a channel, and a call that makes its owner look into it.
#[derive(Clone)]
struct Answers {
    channel: Sender<Answer>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Answers {
    fn give(&self, answer: Answer) {
        // Nobody listens any more only when the member is going.
        if self.channel.send(answer).is_ok() {
            (self.wake)();
        }
    }
}

/// The threads. Dropping it finishes what was submitted.
pub struct Disk {
    log: Option<Sender<Work>>,
    bulk: Option<Sender<Work>>,
    reads: Option<Sender<(ReadId, DiskRead)>>,
    answers: Receiver<Answer>,
    log_syncs: Took,
    bulk_syncs: Took,
    threads: Vec<JoinHandle<()>>,
}

/// How long a lane's writes took.
#[derive(Clone)]
struct Took(Arc<Mutex<Histogram>>);

impl Took {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Histogram::of_disk())))
    }

    fn count(&self, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count(took);
    }

    fn so_far(&self) -> Histogram {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Disk {
    /// Starts the threads on an opened data directory. `wake` is called, from any of them, after
    /// an answer was given.
    ///
    /// # Errors
    /// When the directory cannot be opened or a thread cannot be started.
    pub fn start(
        root: &Path,
        syncing: Syncing,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (channel_in, answers) = channel();
        let give = Answers { channel: channel_in, wake: Arc::new(wake) };
        let (log, log_work) = channel();
        let (bulk, bulk_work) = channel();
        let (reads, reads_wanted) = channel();
        let (log_files, bulk_files) = (Files::open(root, 1)?, Files::open(root, 8)?);
        let (log_files, bulk_files) = (log_files.syncing(syncing), bulk_files.syncing(syncing));
        let (log_answers, bulk_answers) = (give.clone(), give.clone());
        let read_root = root.to_path_buf();
        let (log_syncs, bulk_syncs) = (Took::new(), Took::new());
        let (log_took, bulk_took) = (log_syncs.clone(), bulk_syncs.clone());
        let threads = vec![
            thread("disk-log", move || {
                lane::run_log(log_files, &log_work, &log_answers, &log_took);
            })?,
            thread("disk-bulk", move || {
                lane::run_bulk(bulk_files, &bulk_work, &bulk_answers, bulk_took);
            })?,
            thread("disk-read", move || run_reads(&read_root, &reads_wanted, &give))?,
        ];
        Ok(Self {
            log: Some(log),
            bulk: Some(bulk),
            reads: Some(reads),
            answers,
            log_syncs,
            bulk_syncs,
            threads,
        })
    }

    /// Hands a batch of operations to a lane. Tickets of a lane only grow.
    pub fn submit(&self, lane: Lane, ticket: Ticket, operations: Vec<DiskOp>) {
        let queue = match lane {
            Lane::Log => &self.log,
            Lane::Bulk => &self.bulk,
        };
        // A lane that has failed is gone; its failure was answered, and the member is going.
        if let Some(queue) = queue {
            let _gone = queue.send(Work { ticket, operations });
        }
    }

    /// Asks for a part of a published file.
    pub fn read(&self, id: ReadId, read: DiskRead) {
        if let Some(reads) = &self.reads {
            let _gone = reads.send((id, read));
        }
    }

    /// How long writing and syncing took so far: batches of the log, and pieces of the bulk lane.
    #[must_use]
    pub fn syncs(&self) -> (Histogram, Histogram) {
        (self.log_syncs.so_far(), self.bulk_syncs.so_far())
    }

    /// What has come back since the last call, in the order in which it did. Never waits.
    pub fn answers(&self) -> impl Iterator<Item = Answer> + '_ {
        self.answers.try_iter()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        (self.log, self.bulk, self.reads) = (None, None, None);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(body)
}

fn run_reads(root: &Path, wanted: &Receiver<(ReadId, DiskRead)>, answers: &Answers) {
    for (id, wanted) in wanted {
        let outcome = read(root, wanted).map_err(|error| failure_of(&error));
        answers.give(Answer::Read(id, outcome));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::data_dir::{DataDir, tests::Scratch};
    use quorra_core::disk::File;
    use quorra_core::time::WallTime;

    const FILE: File = File::Segment(1);

    fn write(offset: u64, bytes: &'static [u8]) -> DiskOp {
        DiskOp::Write { file: FILE, offset, bytes: Bytes::from_static(bytes) }
    }

    fn segment() -> Vec<DiskOp> {
        let zeros = DiskOp::Zero { file: FILE, offset: 4, length: 3_000_000 };
        vec![DiskOp::Create(FILE), write(0, b"head"), zeros, DiskOp::Publish(FILE)]
    }

    fn start(scratch: &Scratch) -> Disk {
        let directory = DataDir::open(&scratch.0).expect("a fresh directory opens");
        directory.next_incarnation(WallTime(0)).expect("it has places for data");
        drop(directory);
        Disk::start(&scratch.0, Syncing::Always, || ()).expect("it starts")
    }

    /// Waits, with a bound, until `count` answers are there.
    fn answers(disk: &Disk, count: usize) -> Vec<Answer> {
        let end = Instant::now() + Duration::from_secs(20);
        let next = || disk.answers.recv_timeout(end - Instant::now()).expect("an answer is due");
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn what_is_written_is_durable_and_read_back() {
        let scratch = Scratch::new("disk-write");
        let disk = start(&scratch);
        disk.submit(Lane::Bulk, Ticket(1), segment());
        assert_eq!(answers(&disk, 1), [Answer::Durable(Lane::Bulk, Ticket(1))]);
        disk.submit(Lane::Log, Ticket(1), vec![write(4, b"one"), write(7, b"two")]);
        assert_eq!(answers(&disk, 1), [Answer::Durable(Lane::Log, Ticket(1))]);
        disk.read(ReadId(9), DiskRead { file: FILE, offset: 2, length: 9 });
        let bytes = Bytes::from_static(b"adonetwo\0");
        assert_eq!(answers(&disk, 1), [Answer::Read(ReadId(9), Ok(bytes))]);
        disk.read(ReadId(10), DiskRead { file: FILE, offset: 3_000_003, length: 9 });
        let bytes = Bytes::from_static(b"\0");
        assert_eq!(answers(&disk, 1), [Answer::Read(ReadId(10), Ok(bytes))]);
    }

    #[test]
    fn queued_batches_share_a_sync_and_its_answer() {
        let scratch = Scratch::new("disk-gather");
        let disk = start(&scratch);
        disk.submit(Lane::Bulk, Ticket(1), segment());
        answers(&disk, 1);
        for ticket in 1..=500 {
            disk.submit(Lane::Log, Ticket(ticket), vec![write(4 * ticket, b"data")]);
        }
        let (mut newest, mut count) = (Ticket(0), 0);
        while newest < Ticket(500) {
            let [Answer::Durable(Lane::Log, ticket)] = answers(&disk, 1)[..] else {
                panic!("the log lane answers durable")
            };
            assert!(ticket > newest, "answers grow");
            (newest, count) = (ticket, count + 1);
        }
        assert!(count < 500, "500 batches took {count} syncs");
        let whole = read(&scratch.0, DiskRead { file: FILE, offset: 4, length: 2_000 });
        assert_eq!(whole.expect("it is there"), b"data".repeat(500));
    }

    #[test]
    fn a_failed_lane_says_so_once_and_does_nothing_more() {
        let scratch = Scratch::new("disk-fail");
        let disk = start(&scratch);
        disk.submit(Lane::Log, Ticket(1), vec![write(0, b"no such segment")]);
        let failed = Answer::Failed(Lane::Log, Ticket(1), DiskFailure::Io);
        assert_eq!(answers(&disk, 1), [failed]);
        disk.submit(Lane::Log, Ticket(2), vec![write(0, b"nor now")]);
        disk.read(ReadId(1), DiskRead { file: FILE, offset: 0, length: 1 });
        assert_eq!(answers(&disk, 1), [Answer::Read(ReadId(1), Err(DiskFailure::Io))]);
    }

    #[test]
    fn publishing_replaces_and_removing_twice_is_fine() {
        let scratch = Scratch::new("disk-publish");
        let disk = start(&scratch);
        let file = File::Checkpoint(0xab);
        let bytes = Bytes::from_static(b"state");
        disk.submit(
            Lane::Bulk,
            Ticket(1),
            vec![DiskOp::Create(file), DiskOp::Write { file, offset: 0, bytes }],
        );
        answers(&disk, 1);
        let path = scratch.0.join("snap/00000000000000ab.snap");
        assert!(!path.exists() && path.with_extension("snap.tmp").exists());
        disk.submit(Lane::Bulk, Ticket(2), vec![DiskOp::Publish(file)]);
        answers(&disk, 1);
        assert!(path.exists() && !path.with_extension("snap.tmp").exists());
        disk.submit(Lane::Bulk, Ticket(3), vec![DiskOp::Remove(file), DiskOp::Remove(file)]);
        assert_eq!(answers(&disk, 1), [Answer::Durable(Lane::Bulk, Ticket(3))]);
        assert!(!path.exists());
    }

    #[test]
    fn every_answer_wakes() {
        let scratch = Scratch::new("disk-wake");
        let directory = DataDir::open(&scratch.0).expect("a fresh directory opens");
        directory.next_incarnation(WallTime(0)).expect("it has places for data");
        drop(directory);
        let woken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&woken);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let disk = Disk::start(&scratch.0, Syncing::Always, wake).expect("it starts");
        disk.submit(Lane::Bulk, Ticket(1), segment());
        answers(&disk, 1);
        drop(disk);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }
}
