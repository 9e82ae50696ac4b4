//! What clients ask: small keys that collide, values that never repeat.
//!
//! Every written value carries the number of its operation, so that a checker can tell which
//! write it came from, and whether one took effect twice.

use bytes::Bytes;
use quorra_core::replica::Request;
use quorra_core::store::v2;
use quorra_core::store::v3::{
    Compare, CompareResult, CompareTarget, DeleteRange, Interval, Op, Put, Range, SortOrder,
    SortTarget, Txn, Write,
};

use crate::chance::Chance;

/// A source of requests over a small set of keys.
#[derive(Debug)]
pub struct Workload {
    keys: u64,
    large_ranges: bool,
    chance: Chance,
    made: u64,
}

impl Workload {
    /// Requests over that many keys of each store.
    #[must_use]
    pub fn new(keys: u64, large_ranges: bool, chance: Chance) -> Self {
        Self { keys, large_ranges, chance, made: 0 }
    }

    /// The next request.
    pub fn draw(&mut self) -> Request {
        self.made += 1;
        match self.chance.between(0, 99) {
            0..30 => Request::V3Write(self.v3_write()),
            30..50 => Request::V3Range { range: self.range(), serializable: false },
            50..55 => Request::V3Range { range: self.range(), serializable: true },
            55..60 => {
                let ops = vec![Op::Range(self.range()), Op::Range(self.range())];
                let txn = Txn { compares: vec![self.compare()], success: ops, failure: Vec::new() };
                Request::V3ReadTxn { txn, serializable: self.chance.per_mille(200) }
            }
            60..80 => Request::V2Write(self.v2_write()),
            80..95 => {
                let (path, recursive) = (self.directory_or_file(), self.chance.per_mille(500));
                let get = v2::Get { path, recursive, sorted: true };
                Request::V2Get { get, quorum: self.chance.per_mille(700) }
            }
            95..97 => Request::Members { linearizable: self.chance.per_mille(500) },
            _ => Request::Barrier,
        }
    }

    /// A write whose success shows that the cluster works.
    pub fn probe(&mut self) -> Request {
        self.made += 1;
        let value = Some(format!("#{}#", self.made).into());
        Request::V3Write(Write::Put(Put { value, ..self.put() }))
    }

    /// The same in the v2 store.
    pub fn v2_probe(&mut self) -> Request {
        self.made += 1;
        let (path, value) = (self.file(), format!("#{}#", self.made).into());
        Request::V2Write(v2::Write::Set {
            path,
            value,
            directory: false,
            ttl: None,
            refresh: false,
        })
    }

    fn value(&mut self) -> Bytes {
        let padding = self.chance.pick(&[0, 0, 0, 100, 3_000]);
        format!("#{}#{}", self.made, "x".repeat(padding)).into()
    }

    fn key(&mut self) -> Bytes {
        format!("key{:02}", self.chance.between(1, self.keys)).into()
    }

    fn interval(&mut self) -> Interval {
        let wide = if self.large_ranges { 600 } else { 200 };
        match self.chance.between(0, 999) {
            drawn if drawn >= wide => Interval::Key(self.key()),
            drawn if drawn % 2 == 0 => Interval::From(Bytes::from_static(b"\0")),
            _ => Interval::Between(self.key(), self.key()),
        }
    }

    fn range(&mut self) -> Range {
        Range {
            interval: self.interval(),
            limit: self.chance.pick(&[0, 0, 1, 3]),
            revision: 0,
            order: self.chance.pick(&[SortOrder::None, SortOrder::Ascend, SortOrder::Descend]),
            target: SortTarget::Key,
            keys_only: self.chance.per_mille(100),
            count_only: self.chance.per_mille(100),
            mod_revisions: (0, 0),
            create_revisions: (0, 0),
        }
    }

    fn put(&mut self) -> Put {
        let (key, value) = (self.key(), Some(self.value()));
        Put { key, value, lease: Some(None), previous: self.chance.per_mille(300) }
    }

    fn delete_range(&mut self) -> DeleteRange {
        DeleteRange { interval: self.interval(), previous: self.chance.per_mille(300) }
    }

    fn compare(&mut self) -> Compare {
        let target = match self.chance.between(0, 3) {
            0 => CompareTarget::Version(1),
            1 => CompareTarget::Create(0),
            2 => CompareTarget::Mod(20),
            _ => CompareTarget::Value(Bytes::from_static(b"#5#")),
        };
        let result = self.chance.pick(&[
            CompareResult::Equal,
            CompareResult::Greater,
            CompareResult::Less,
            CompareResult::NotEqual,
        ]);
        Compare { interval: self.interval(), target, result }
    }

    fn v3_write(&mut self) -> Write {
        match self.chance.between(0, 9) {
            0..6 => Write::Put(self.put()),
            6 | 7 => Write::DeleteRange(self.delete_range()),
            _ => {
                let success = vec![Op::Range(self.range()), Op::Put(self.put())];
                let failure = vec![Op::DeleteRange(self.delete_range()), Op::Range(self.range())];
                Write::Txn(Txn { compares: vec![self.compare()], success, failure })
            }
        }
    }

    fn directory(&mut self) -> v2::Path {
        v2::Path::clean(format!("/dir{}", self.chance.between(1, 3)).as_bytes())
    }

    fn file(&mut self) -> v2::Path {
        let (directory, file) = (self.chance.between(1, 3), self.chance.between(1, self.keys));
        let hidden = if self.chance.per_mille(50) { "_" } else { "" };
        v2::Path::clean(format!("/dir{directory}/{hidden}file{file:02}").as_bytes())
    }

    fn directory_or_file(&mut self) -> v2::Path {
        match self.chance.between(0, 9) {
            0 => v2::Path::clean(b"/"),
            1..4 => self.directory(),
            _ => self.file(),
        }
    }

    fn v2_write(&mut self) -> v2::Write {
        let ttl = if self.chance.per_mille(200) { Some(self.chance.between(0, 3)) } else { None };
        let (path, value) = (self.file(), self.value());
        match self.chance.between(0, 9) {
            0..4 => v2::Write::Set { path, value, directory: false, ttl, refresh: false },
            4 => v2::Write::Create { path, value, directory: false, ttl, in_order: false },
            5 => {
                let path = self.directory();
                v2::Write::Create { path, value, directory: false, ttl, in_order: true }
            }
            6 => v2::Write::Update { path, value, ttl, refresh: false },
            7 => {
                let index = self.chance.between(1, 100);
                let condition = v2::Condition { value: None, index: Some(index) };
                v2::Write::CompareAndSwap { path, value, ttl, refresh: false, condition }
            }
            8 => {
                let path = self.directory_or_file();
                let (directory, recursive) = (false, self.chance.per_mille(300));
                v2::Write::Delete { path, directory, recursive }
            }
            _ => {
                let condition = v2::Condition { value: Some(value), index: None };
                v2::Write::CompareAndDelete { path, condition }
            }
        }
    }
}
