//! How fast commands are applied and keys are read, how long one slice takes, and what a million
//! keys cost in memory: `cargo bench -p quorra-core --bench store`.
//!
//! `KEYS=100000` changes the number of keys. Keys have 32 bytes and values 256, as in the
//! comparison with etcd.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorra_core::identity::{Incarnation, MemberId};
use quorra_core::raft::{Entry, EntryKind, Index, Position, Term};
use quorra_core::random::Random;
use quorra_core::store::checkpoint::Loader;
use quorra_core::store::command::{Body, Command, Identity};
use quorra_core::store::v3::{
    DeleteRange, Interval, Op, Put, Range, SortOrder, SortTarget, Txn, Write,
};
use quorra_core::store::{Outcome, State};
use quorra_core::time::WallTime;

const VALUE_BYTES: usize = 256;
const SLICE_KEYS: usize = quorra_core::limits::SLICE_KEYS;

fn main() {
    let keys = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000);
    let mut bench = Bench { state: State::new(SLICE_KEYS), index: 0 };
    bench.fill(keys);
    bench.read_single_keys(keys);
    bench.overwrite(keys);
    bench.work_off("count of all keys", Work::Count);
    bench.work_off("range of all keys", Work::Read(SortOrder::None));
    bench.work_off("range of all keys, sorted by value", Work::Read(SortOrder::Descend));
    bench.work_off("transaction that reads all keys", Work::ReadTxn);
    bench.checkpoint();
    bench.work_off("transaction that deletes all keys", Work::Delete);
}

struct Bench {
    state: State,
    index: u64,
}

enum Work {
    Count,
    Read(SortOrder),
    ReadTxn,
    Delete,
}

fn key(number: u64) -> Bytes {
    // Spread over the key space, as hashed or random names are.
    Bytes::from(format!("{:032x}", u128::from(Random::new(number).bits())))
}

fn all(order: SortOrder, count_only: bool) -> Range {
    Range {
        interval: Interval::From(Bytes::from_static(&[0])),
        limit: 0,
        revision: 0,
        order,
        target: if order == SortOrder::None { SortTarget::Key } else { SortTarget::Value },
        keys_only: false,
        count_only,
        mod_revisions: (0, 0),
        create_revisions: (0, 0),
    }
}

fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn each(what: &str, times: u64, took: Duration) {
    println!("{what:<44} {:>9.2} us each", took.as_secs_f64() * 1e6 / times as f64);
}

impl Bench {
    fn entry(&mut self, write: Write) -> Entry {
        self.index += 1;
        let identity =
            Identity { member: MemberId(1), incarnation: Incarnation(1), counter: self.index };
        let body = Body::V3(write);
        let command = Command { identity, stamp: WallTime(1), user: Bytes::new(), body };
        Entry::new(Term(1), Index(self.index), EntryKind::Command, command.encode())
    }

    fn put(&mut self, number: u64, fill: u8) -> Entry {
        let value = Some(Bytes::from(vec![fill; VALUE_BYTES]));
        let lease = Some(None);
        self.entry(Write::Put(Put { key: key(number), value, lease, previous: false }))
    }

    fn apply(&mut self, entry: &Entry) -> Outcome {
        self.state.apply(entry).expect("the command is understood").outcome
    }

    fn fill(&mut self, keys: u64) {
        let before = rss_bytes();
        let mut took = Duration::ZERO;
        for number in 0..keys {
            let entry = self.put(number, 1);
            let start = Instant::now();
            self.apply(&entry);
            took += start.elapsed();
        }
        each("put of a new key (decode and apply)", keys, took);
        let bytes = rss_bytes().saturating_sub(before);
        let data = keys * (32 + VALUE_BYTES as u64);
        let overhead = bytes.saturating_sub(data) as f64 / keys as f64;
        println!("{:<44} {:>9} MB", "memory", bytes >> 20);
        println!("{:<44} {overhead:>9.0} bytes a key", "memory beyond keys and values");
    }

    fn read_single_keys(&mut self, keys: u64) {
        let mut random = Random::new(1);
        let ranges: Vec<Range> = (0..200_000)
            .map(|_| Range {
                interval: Interval::Key(key(random.below(keys))),
                ..all(SortOrder::None, false)
            })
            .collect();
        let start = Instant::now();
        for range in &ranges {
            assert!(matches!(self.state.range(range), Outcome::V3(Ok(_))), "a key is read at once");
        }
        each("range of one key", ranges.len() as u64, start.elapsed());
    }

    fn overwrite(&mut self, keys: u64) {
        let mut random = Random::new(2);
        let entries: Vec<Entry> = (0..keys / 10).map(|_| self.put(random.below(keys), 2)).collect();
        let start = Instant::now();
        for entry in &entries {
            self.apply(entry);
        }
        each("put of an existing key (decode and apply)", entries.len() as u64, start.elapsed());
    }

    /// Works something long off, with a small put between any two slices.
    fn work_off(&mut self, what: &str, work: Work) {
        let start = Instant::now();
        let mut outcome = match work {
            Work::Count => self.state.range(&all(SortOrder::None, true)),
            Work::Read(order) => self.state.range(&all(order, false)),
            Work::ReadTxn => {
                let put = Op::Put(self.small_put());
                let success = vec![Op::Range(all(SortOrder::None, false)), put];
                let entry = self.entry(Write::Txn(Txn { success, ..Txn::default() }));
                self.apply(&entry)
            }
            Work::Delete => {
                let interval = Interval::From(Bytes::from_static(&[0]));
                let delete = Op::DeleteRange(DeleteRange { interval, previous: true });
                let txn = Txn { success: vec![delete], ..Txn::default() };
                let entry = self.entry(Write::Txn(txn));
                self.apply(&entry)
            }
        };
        let mut longest = start.elapsed();
        let mut slices = 1;
        while matches!(outcome, Outcome::Later(_)) {
            let slice = Instant::now();
            let finished = self.state.work().pop();
            longest = longest.max(slice.elapsed());
            slices += 1;
            if let Some((_, finished)) = finished {
                outcome = finished;
            }
            let put = self.small_put();
            let entry = self.entry(Write::Put(put));
            let slice = Instant::now();
            self.apply(&entry);
            longest = longest.max(slice.elapsed());
        }
        let (took, longest) = (start.elapsed().as_secs_f64() * 1e3, longest.as_secs_f64() * 1e3);
        println!("{what:<44} {took:>9.1} ms, {slices} slices, the longest {longest:.2} ms");
        let start = Instant::now();
        drop(outcome);
        println!("{:<44} {:>9.1} ms", "  dropping the answer", start.elapsed().as_secs_f64() * 1e3);
    }

    fn small_put(&self) -> Put {
        let (key, value) = (Bytes::from_static(b"small"), Some(Bytes::from_static(b"value")));
        Put { key, value, lease: Some(None), previous: false }
    }

    fn checkpoint(&mut self) {
        let at = Position { term: Term(1), index: Index(self.index) };
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        let mut writer = self.state.begin_checkpoint(at).expect("nothing is blocked");
        let mut chunks = Vec::new();
        loop {
            let slice = Instant::now();
            let Some(chunk) = writer.next_chunk(&mut self.state) else { break };
            longest = longest.max(slice.elapsed());
            chunks.push(chunk);
        }
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let rate = |start: Instant| bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
        let (written, longest) = (rate(start), longest.as_secs_f64() * 1e3);
        println!("{:<44} {:>9} MB", "checkpoint", bytes >> 20);
        println!("{:<44} {written:>9.0} MB/s, the longest slice {longest:.2} ms", "  writing");
        let start = Instant::now();
        let mut loader = Loader::new(SLICE_KEYS);
        for chunk in chunks {
            loader.feed(chunk).expect("the checkpoint is intact");
        }
        let fed = start.elapsed().as_secs_f64();
        let (_, state) = loader.finish().expect("the checkpoint is whole");
        println!("{:<44} {:>9.0} MB/s, {fed:.2} s before the end", "  loading", rate(start));
        assert_eq!(state.hash(), self.state.hash(), "what is loaded is what was written");
    }
}
