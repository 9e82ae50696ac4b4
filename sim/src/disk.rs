//! A member's disk: what has been written, what has been synced, and what a crash makes of it.
//!
//! Each file is what the platter holds plus the writes that are only in the page cache. A sync
//! moves the latter to the former; a killed process loses neither; a power cut keeps, of each
//! sector of 512 bytes, some prefix of the writes that touched it since the last sync, each sector
//! on its own. That covers lost writes in any subset, torn writes, and tails of zeros.
//!
//! The two lanes work as the real ones: the log lane gathers what came while it synced, the bulk
//! lane takes one batch at a time. A batch takes effect when it finishes; a crash before that
//! leaves a prefix of its operations behind.
//!
//! # Invariants
//! - An answer `Durable` is given only when every operation it covers is on the platter.
//! - A file is listed only under its published name; a rename is durable when it is answered.

mod file;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskOp, DiskRead, File, Lane, Ticket};
use quorra_core::wal::Found;

use crate::chance::Chance;
use file::{Data, Image};

/// How a disk behaves at present.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The shortest and the longest time that a batch takes.
    pub latency: (Duration, Duration),
    /// Nothing can grow.
    pub full: bool,
    /// The next batch fails, and what reached the platter is unknown.
    pub failing: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process was killed; the page cache lives on.
    Process,
    /// The machine lost its power.
    Power,
}

/// What a lane says of its oldest unanswered work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The newest ticket that is durable, or the one that failed.
    pub ticket: u64,
    /// Whether it is durable.
    pub failure: Option<Failure>,
}

/// [`DiskFailure`], hashable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// See there.
    Full,
    /// See there.
    Io,
}

impl From<Failure> for DiskFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::Full,
            Failure::Io => Self::Io,
        }
    }
}

type Batch = (Ticket, Vec<DiskOp>);

#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    running: Vec<Batch>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    published: Option<Image>,
    temporary: Option<Image>,
}

impl Slot {
    fn current(&mut self) -> Option<&mut Image> {
        self.published.as_mut().or(self.temporary.as_mut())
    }
}

/// A simulated disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How it behaves at present.
    pub condition: Condition,
    files: BTreeMap<File, Slot>,
    log: Queue,
    bulk: Queue,
    chance: Chance,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(condition: Condition, chance: Chance) -> Self {
        let (log, bulk) = (Queue::default(), Queue::default());
        Self { condition, files: BTreeMap::new(), log, bulk, chance }
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Log => &mut self.log,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// Hands a batch to a lane.
    pub fn submit(&mut self, lane: Lane, ticket: Ticket, ops: Vec<DiskOp>) {
        self.queue(lane).waiting.push_back((ticket, ops));
    }

    /// If the lane is idle and has work, takes some up: after the returned time it is to be
    /// finished.
    pub fn begin(&mut self, lane: Lane) -> Option<Duration> {
        let queue = self.queue(lane);
        if !queue.running.is_empty() || queue.waiting.is_empty() {
            return None;
        }
        match lane {
            Lane::Log => queue.running.extend(queue.waiting.drain(..)),
            Lane::Bulk => queue.running.extend(queue.waiting.pop_front()),
        }
        let (low, high) = self.condition.latency;
        Some(self.chance.time(low, high))
    }

    /// The running work is over.
    pub fn finish(&mut self, lane: Lane) -> Answer {
        let batches = std::mem::take(&mut self.queue(lane).running);
        let (first, newest) = match (batches.first(), batches.last()) {
            (Some(first), Some(last)) => (first.0.0, last.0.0),
            _ => unreachable!("only a running lane finishes"),
        };
        if std::mem::take(&mut self.condition.failing) {
            self.leave_behind(&batches);
            return Answer { ticket: first, failure: Some(Failure::Io) };
        }
        let mut touched = Vec::new();
        for (ticket, ops) in batches {
            for op in ops {
                if self.condition.full && self.grows(&op) || !self.is_possible(&op) {
                    return Answer { ticket: ticket.0, failure: Some(Failure::Full) };
                }
                touched.extend(self.perform(op));
            }
        }
        touched.into_iter().for_each(|file| self.sync(file));
        Answer { ticket: newest, failure: None }
    }

    fn grows(&mut self, op: &DiskOp) -> bool {
        let end = match op {
            DiskOp::Create(_) => return true,
            DiskOp::Write { file, offset, bytes } => (*file, offset + bytes.len() as u64),
            DiskOp::Zero { file, offset, length } => (*file, offset + length),
            DiskOp::Publish(_) | DiskOp::Remove(_) => return false,
        };
        let slot = self.files.entry(end.0).or_default();
        slot.current().is_none_or(|image| image.length() < end.1)
    }

    /// Whether the operation's file exists; it does not if there was no space to create it.
    fn is_possible(&self, op: &DiskOp) -> bool {
        let slot = |file: &File| self.files.get(file);
        match op {
            DiskOp::Create(_) | DiskOp::Remove(_) => true,
            DiskOp::Write { file, .. } | DiskOp::Zero { file, .. } => {
                slot(file).is_some_and(|slot| slot.published.is_some() || slot.temporary.is_some())
            }
            DiskOp::Publish(file) => slot(file).is_some_and(|slot| slot.temporary.is_some()),
        }
    }

    /// Carries out one operation, up to a sync of what it wrote: that file is returned.
    fn perform(&mut self, op: DiskOp) -> Option<File> {
        match op {
            DiskOp::Create(file) => {
                self.files.entry(file).or_default().temporary = Some(Image::default());
                None
            }
            DiskOp::Write { file, offset, bytes } => self.patch(file, offset, Data::Bytes(bytes)),
            DiskOp::Zero { file, offset, length } => self.patch(file, offset, Data::Zeros(length)),
            DiskOp::Publish(file) => {
                let slot = self.files.entry(file).or_default();
                let mut image = slot.temporary.take().expect("it is possible");
                image.sync();
                slot.published = Some(image);
                None
            }
            DiskOp::Remove(file) => {
                self.files.remove(&file);
                None
            }
        }
    }

    fn patch(&mut self, file: File, offset: u64, data: Data) -> Option<File> {
        let slot = self.files.entry(file).or_default();
        let image = slot.current().expect("it is possible");
        image.write(offset, data);
        Some(file)
    }

    fn sync(&mut self, file: File) {
        if let Some(image) = self.files.get_mut(&file).and_then(Slot::current) {
            image.sync();
        }
    }

    /// Carries out a prefix of the operations, and syncs nothing.
    fn leave_behind(&mut self, batches: &[Batch]) {
        let ops: Vec<&DiskOp> = batches.iter().flat_map(|(_, ops)| ops).collect();
        let done = self.chance.index(ops.len() + 1);
        for op in &ops[..done] {
            if !(self.condition.full && self.grows(op)) && self.is_possible(op) {
                self.perform((*op).clone());
            }
        }
    }

    /// The process ended: what it had handed over is lost or half done.
    pub fn crash(&mut self, how: Crash) {
        for lane in [Lane::Log, Lane::Bulk] {
            let running = std::mem::take(self.queue(lane)).running;
            self.leave_behind(&running);
        }
        let keep = self.chance.pick(&[0, 100, 500, 900, 1_000]);
        for slot in self.files.values_mut() {
            slot.temporary = None;
            if let (Crash::Power, Some(image)) = (how, &mut slot.published) {
                image.lose_power(keep, &mut self.chance);
            }
        }
    }

    /// A lie: takes back what was written there, durable or not.
    pub fn take_back(&mut self, read: DiskRead) {
        let image = self.files.get_mut(&read.file).and_then(Slot::current);
        if let Some(image) = image {
            image.write(read.offset, Data::Zeros(read.length));
            image.sync();
        }
    }

    /// What a starting process finds. It syncs every file first, so that nothing it reads can
    /// be lost later.
    pub fn open(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        for (file, slot) in &mut self.files {
            if let Some(image) = &mut slot.published {
                image.sync();
                found.push(Found { file: *file, length: image.length() });
            }
        }
        found
    }

    /// A disk that holds what is on this one's platter and nothing else.
    #[must_use]
    pub fn platter(&self) -> Self {
        let condition = Condition { full: false, failing: false, ..self.condition.clone() };
        let mut copy = Self::new(condition, Chance::new(0));
        for (file, slot) in &self.files {
            if let Some(image) = &slot.published {
                let published = Some(image.platter());
                copy.files.insert(*file, Slot { published, temporary: None });
            }
        }
        copy
    }

    /// Reads a published file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read(&self, read: DiskRead) -> Result<Bytes, DiskFailure> {
        let image = self.files.get(&read.file).and_then(|slot| slot.published.as_ref());
        image.map(|image| image.read(read.offset, read.length)).ok_or(DiskFailure::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: File = File::Segment(1);

    fn disk(seed: u64) -> Disk {
        let latency = (Duration::ZERO, Duration::from_millis(1));
        Disk::new(Condition { latency, full: false, failing: false }, Chance::new(seed))
    }

    fn write(offset: u64, bytes: &'static [u8]) -> DiskOp {
        DiskOp::Write { file: FILE, offset, bytes: Bytes::from_static(bytes) }
    }

    fn run(disk: &mut Disk, ticket: u64, ops: Vec<DiskOp>) -> Answer {
        disk.submit(Lane::Log, Ticket(ticket), ops);
        disk.begin(Lane::Log).expect("the lane was idle");
        disk.finish(Lane::Log)
    }

    fn content(disk: &Disk) -> Bytes {
        disk.read(DiskRead { file: FILE, offset: 0, length: 4_096 }).expect("published")
    }

    #[test]
    fn what_was_answered_durable_survives_every_crash() {
        for seed in 0..200 {
            let mut disk = disk(seed);
            let ops = vec![DiskOp::Create(FILE), write(0, b"old"), DiskOp::Publish(FILE)];
            assert_eq!(run(&mut disk, 1, ops), Answer { ticket: 1, failure: None });
            assert_eq!(run(&mut disk, 2, vec![write(3, b"new")]).failure, None);
            disk.crash(Crash::Power);
            assert_eq!(content(&disk), "oldnew");
        }
    }

    #[test]
    fn a_power_cut_loses_what_was_not_synced_and_a_kill_does_not() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..200 {
            let mut disk = disk(seed);
            run(&mut disk, 1, vec![DiskOp::Create(FILE), DiskOp::Publish(FILE)]);
            disk.submit(Lane::Log, Ticket(2), vec![write(0, b"a"), write(600, b"b")]);
            disk.begin(Lane::Log).expect("the lane was idle");
            let mut killed = disk.clone();
            disk.crash(Crash::Power);
            killed.crash(Crash::Process);
            killed.open();
            let before = content(&killed);
            killed.crash(Crash::Power);
            assert_eq!(content(&killed), before, "a start syncs what it reads");
            lost += u64::from(content(&disk).is_empty());
            kept += u64::from(content(&disk).len() == 601);
        }
        assert!(lost > 20 && kept > 20, "both ends are met: {lost} lost, {kept} kept");
    }

    #[test]
    fn the_log_lane_gathers_and_the_bulk_lane_does_not() {
        for (lane, newest) in [(Lane::Log, 3), (Lane::Bulk, 2)] {
            let mut disk = disk(1);
            disk.submit(lane, Ticket(1), vec![DiskOp::Create(FILE)]);
            assert!(disk.begin(lane).is_some());
            disk.submit(lane, Ticket(2), vec![write(0, b"a")]);
            disk.submit(lane, Ticket(3), vec![write(1, b"b")]);
            assert_eq!(disk.begin(lane), None, "it is busy");
            assert_eq!(disk.finish(lane).ticket, 1);
            assert!(disk.begin(lane).is_some());
            assert_eq!(disk.finish(lane).ticket, newest);
        }
    }

    #[test]
    fn a_full_disk_refuses_growth_only() {
        let mut disk = disk(1);
        let zero = DiskOp::Zero { file: FILE, offset: 0, length: 8 };
        run(&mut disk, 1, vec![DiskOp::Create(FILE), zero, DiskOp::Publish(FILE)]);
        disk.condition.full = true;
        assert_eq!(run(&mut disk, 2, vec![write(0, b"12345678")]).failure, None);
        assert_eq!(run(&mut disk, 3, vec![write(1, b"12345678")]).failure, Some(Failure::Full));
        disk.condition.full = false;
        disk.condition.failing = true;
        assert_eq!(run(&mut disk, 4, vec![write(0, b"x")]).failure, Some(Failure::Io));
        assert_eq!(run(&mut disk, 5, vec![write(0, b"x")]).failure, None);
    }

    #[test]
    fn the_platter_is_what_was_synced() {
        let mut disk = disk(3);
        run(&mut disk, 1, vec![DiskOp::Create(FILE), write(0, b"a"), DiskOp::Publish(FILE)]);
        disk.perform(write(0, b"b"));
        assert_eq!(content(&disk), "b");
        assert_eq!(content(&disk.platter()), "a");
    }
}
