//! The log through the real lanes, on a real directory, over several starts.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use quorra::data_dir::DataDir;
use quorra::disk::{Answer, Disk, Syncing};
use quorra_core::disk::{Lane, Ticket};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{Entry, EntryKind, HardState, Index, LogBatch, Position, Term};
use quorra_core::time::WallTime;
use quorra_core::wal::{Identity, Recovered, Recovery, Step, Wal};

const SEGMENT_BYTES: u64 = 64 << 10;
const ENTRIES_EACH_START: u64 = 400;

/// One start of a member that only writes.
struct Member {
    disk: Disk,
    woken: Receiver<()>,
    wal: Wal,
    bulk: Ticket,
    log: Ticket,
}

impl Member {
    fn start(directory: &DataDir, wal: Wal) -> Self {
        let (wake, woken) = channel();
        let wake = move || wake.send(()).unwrap_or_default();
        let disk = Disk::start(directory.root(), Syncing::Always, wake).expect("the lanes start");
        Self { disk, woken, wal, bulk: Ticket(0), log: Ticket(0) }
    }

    fn wait(&mut self) {
        self.woken.recv_timeout(Duration::from_secs(20)).expect("an answer is due");
        let answers: Vec<Answer> = self.disk.answers().collect();
        for answer in answers {
            match answer {
                Answer::Durable(Lane::Bulk, ticket) if ticket == self.bulk => self.wal.prepared(),
                Answer::Durable(Lane::Log, ticket) => self.wal.durable(ticket.0),
                other => panic!("{other:?} was not expected"),
            }
        }
    }

    fn append(&mut self, batch: &LogBatch) {
        loop {
            let operations = self.wal.prepare(self.wal.space_of(batch));
            if !operations.is_empty() {
                self.bulk = self.bulk.next();
                self.disk.submit(Lane::Bulk, self.bulk, operations);
            }
            if self.wal.space_of(batch) <= self.wal.room() {
                break;
            }
            self.wait();
        }
        self.log = self.log.next();
        self.disk.submit(Lane::Log, self.log, self.wal.append(batch));
    }
}

fn recover(directory: &DataDir, incarnation: Incarnation) -> Recovered {
    let found = directory.found().expect("it can be listed");
    let mut recovery = Recovery::new(&found, Position::default(), incarnation, SEGMENT_BYTES)
        .expect("there is a log");
    let mut bytes = None;
    loop {
        match recovery.next(bytes.take()).expect("the log is whole") {
            Step::Read(read) => bytes = Some(directory.read(read).expect("it is there")),
            Step::Committed(entries) => panic!("nothing was committed, yet {entries:?}"),
            Step::Done(recovered) => return *recovered,
        }
    }
}

fn batch(index: u64) -> LogBatch {
    let payload = Bytes::from(vec![7; 300]);
    let entry = Entry::new(Term(1), Index(index), EntryKind::Command, payload);
    let hard_state = (index == 1).then_some(HardState { term: Term(1), vote: None });
    LogBatch { hard_state, entries: vec![entry], ..LogBatch::default() }
}

#[test]
fn every_start_finds_what_the_ones_before_it_wrote() {
    let root = std::env::temp_dir().join(format!("quorra-log-{}", std::process::id()));
    let _absent = std::fs::remove_dir_all(&root);
    let identity =
        Identity { cluster: ClusterId(1), member: MemberId(2), incarnation: Incarnation(1) };
    let mut written = 0;
    for start in 1..=3 {
        let directory = DataDir::open(&root).expect("it is free");
        let incarnation = directory.next_incarnation(WallTime(0)).expect("starts are counted");
        let wal = if start == 1 {
            Wal::create(identity, SEGMENT_BYTES)
        } else {
            let recovered = recover(&directory, incarnation);
            assert_eq!(recovered.last, Position { term: Term(1), index: Index(written) });
            assert_eq!(recovered.uncommitted.len() as u64, written);
            assert_eq!(recovered.dropped, None);
            recovered.wal
        };
        let mut member = Member::start(&directory, wal);
        for _ in 0..ENTRIES_EACH_START {
            written += 1;
            member.append(&batch(written));
        }
        member.wal.check();
    }
    std::fs::remove_dir_all(&root).expect("it is ours");
}
