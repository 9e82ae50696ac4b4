//! The v3 store as a list of versions for each key.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorra_core::store::v3::{
    Answer, Compare, CompareResult, CompareTarget, Error, Interval, Op, Put, Range, RangeAnswer,
    Record, SortOrder, SortTarget, Txn, Write,
};

/// A version of a key; removed keys have one without a value.
#[derive(Clone, Debug)]
struct Version {
    create: i64,
    modified: i64,
    version: i64,
    value: Option<Bytes>,
}

/// A v3 store that forgets nothing.
#[derive(Clone, Debug)]
pub struct Model {
    revision: i64,
    keys: BTreeMap<Bytes, Vec<Version>>,
}

impl Default for Model {
    fn default() -> Self {
        Self { revision: 1, keys: BTreeMap::new() }
    }
}

/// Whether a key lies in an interval.
fn holds(interval: &Interval, key: &Bytes) -> bool {
    match interval {
        Interval::Key(one) => key == one,
        Interval::Between(first, end) => first <= key && key < end,
        Interval::From(first) => first <= key,
    }
}

/// Whether an operation may be refused, when it may already have changed something.
fn can_fail(op: &Op) -> bool {
    match op {
        Op::Range(range) => range.revision > 0,
        Op::Put(put) => put.value.is_none(),
        Op::DeleteRange(_) => false,
        Op::Txn(txn) => txn.success.iter().chain(&txn.failure).any(can_fail),
    }
}

/// A write in progress: what it changed shows to its own later steps under the coming revision.
struct Step {
    coming: i64,
    changed: bool,
}

impl Step {
    fn revision(&self) -> i64 {
        if self.changed { self.coming } else { self.coming - 1 }
    }
}

impl Model {
    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The live versions at a revision, in key order.
    fn live(&self, interval: &Interval, revision: i64) -> Vec<(Bytes, Version)> {
        let mut live = Vec::new();
        for (key, versions) in self.keys.iter().filter(|(key, _)| holds(interval, key)) {
            let newest = versions.iter().rfind(|version| version.modified <= revision);
            if let Some(version) = newest.filter(|version| version.value.is_some()) {
                live.push((key.clone(), version.clone()));
            }
        }
        live
    }

    /// Answers a read.
    ///
    /// # Errors
    /// When its revision has not happened yet.
    pub fn range(&self, range: &Range) -> Result<Answer, Error> {
        self.range_at(range, self.revision).map(Answer::Range)
    }

    fn range_at(&self, range: &Range, present: i64) -> Result<RangeAnswer, Error> {
        if range.revision > present {
            return Err(Error::FutureRevision);
        }
        let at = if range.revision > 0 { range.revision } else { present };
        let live = self.live(&range.interval, at);
        let mut records: Vec<Record> = live.iter().map(|(key, v)| record(key, v)).collect();
        let count = records.len() as u64;
        match (range.order, range.target) {
            (SortOrder::Descend, SortTarget::Key) => records.reverse(),
            (_, SortTarget::Key) => {}
            _ => unreachable!("the workload sorts by key only"),
        }
        let limit = if range.limit == 0 { usize::MAX } else { range.limit as usize };
        let more = !range.count_only && records.len() > limit;
        records.truncate(if range.count_only { 0 } else { limit });
        let keys_only = range.keys_only;
        Ok(RangeAnswer {
            revision: present,
            records: records.into_iter().collect(),
            keys_only,
            more,
            count,
        })
    }

    /// Carries out a write.
    ///
    /// # Errors
    /// When it is refused; nothing has changed then.
    pub fn apply(&mut self, write: &Write) -> Result<Answer, Error> {
        let mut step = Step { coming: self.revision + 1, changed: false };
        let op = match write.clone() {
            Write::Put(put) => Op::Put(put),
            Write::DeleteRange(delete) => Op::DeleteRange(delete),
            Write::Txn(txn) => Op::Txn(txn),
        };
        let before = can_fail(&op).then(|| self.clone());
        let answer = self.perform(&op, &mut step);
        match (&answer, before) {
            (Err(_), Some(before)) => *self = before,
            _ => self.revision = step.revision(),
        }
        answer
    }

    /// Carries out a transaction that only reads.
    ///
    /// # Errors
    /// As the reads in it.
    pub fn read_txn(&self, txn: &Txn) -> Result<Answer, Error> {
        let mut step = Step { coming: self.revision + 1, changed: false };
        let answer = self.clone().txn(txn, &mut step);
        assert!(!step.changed, "a transaction that only reads changes nothing");
        answer
    }

    fn perform(&mut self, op: &Op, step: &mut Step) -> Result<Answer, Error> {
        match op {
            Op::Range(range) => self.range_at(range, step.revision()).map(Answer::Range),
            Op::Put(put) => self.put(put, step),
            Op::DeleteRange(delete) => {
                let live = self.live(&delete.interval, step.coming);
                let mut removed = Vec::new();
                for (key, version) in &live {
                    removed.push(record(key, version));
                    self.add(key, Version { modified: step.coming, value: None, ..*version });
                    step.changed = true;
                }
                let deleted = removed.len() as u64;
                let previous = removed.into_iter().filter(|_| delete.previous).collect();
                Ok(Answer::DeleteRange { revision: step.revision(), deleted, previous })
            }
            Op::Txn(txn) => self.txn(txn, step),
        }
    }

    fn put(&mut self, put: &Put, step: &mut Step) -> Result<Answer, Error> {
        let old = self.live(&Interval::Key(put.key.clone()), step.coming).pop();
        let value = match (&put.value, &old) {
            (Some(value), _) => value.clone(),
            (None, Some((_, version))) => version.value.clone().expect("it is live"),
            (None, None) => return Err(Error::KeyNotFound),
        };
        let (create, count) =
            old.as_ref().map_or((step.coming, 0), |(_, version)| (version.create, version.version));
        let version =
            Version { create, modified: step.coming, version: count + 1, value: Some(value) };
        self.add(&put.key, version);
        step.changed = true;
        let previous = old.filter(|_| put.previous).map(|(key, version)| record(&key, &version));
        Ok(Answer::Put { revision: step.coming, previous })
    }

    fn add(&mut self, key: &Bytes, version: Version) {
        self.keys.entry(key.clone()).or_default().push(version);
    }

    fn txn(&mut self, txn: &Txn, step: &mut Step) -> Result<Answer, Error> {
        let succeeded = txn.compares.iter().all(|compare| self.compare(compare, step.revision()));
        let mut answers = Vec::new();
        for op in if succeeded { &txn.success } else { &txn.failure } {
            answers.push(self.perform(op, step)?);
        }
        Ok(Answer::Txn { revision: step.revision(), succeeded, answers })
    }

    fn compare(&self, compare: &Compare, revision: i64) -> bool {
        let mut live: Vec<Version> = self
            .live(&compare.interval, revision)
            .into_iter()
            .map(|(_, version)| version)
            .collect();
        if live.is_empty() {
            live.push(Version { create: 0, modified: 0, version: 0, value: None });
        }
        live.iter().all(|version| {
            let order = match &compare.target {
                CompareTarget::Version(given) => version.version.cmp(given),
                CompareTarget::Create(given) => version.create.cmp(given),
                CompareTarget::Mod(given) => {
                    let live = if version.value.is_some() { version.modified } else { 0 };
                    live.cmp(given)
                }
                CompareTarget::Value(given) => match &version.value {
                    Some(value) => value.cmp(given),
                    None => return false,
                },
                CompareTarget::Lease(given) => 0.cmp(given),
            };
            match compare.result {
                CompareResult::Equal => order.is_eq(),
                CompareResult::Greater => order.is_gt(),
                CompareResult::Less => order.is_lt(),
                CompareResult::NotEqual => order.is_ne(),
            }
        })
    }
}

fn record(key: &Bytes, version: &Version) -> Record {
    let value = version.value.as_ref().map_or(&[][..], |value| value);
    Record::new(version.create, version.modified, version.version, 0, key, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorra_core::store::v3::{DeleteRange, Records};

    fn put(key: &'static str, value: &'static str) -> Put {
        let value = Some(Bytes::from_static(value.as_bytes()));
        Put { key: Bytes::from_static(key.as_bytes()), value, lease: Some(None), previous: true }
    }

    fn all() -> Interval {
        Interval::From(Bytes::from_static(b"\0"))
    }

    /// The generations of etcd's own example: create, change, remove, create again.
    #[test]
    fn a_key_counts_its_versions_from_each_creation() {
        let mut model = Model::default();
        model.apply(&Write::Put(put("a", "1"))).expect("a put succeeds");
        model.apply(&Write::Put(put("a", "2"))).expect("a put succeeds");
        let removal = Write::DeleteRange(DeleteRange { interval: all(), previous: true });
        let previous = [Record::new(2, 3, 2, 0, b"a", b"2")].into_iter().collect();
        let removed = Answer::DeleteRange { revision: 4, deleted: 1, previous };
        assert_eq!(model.apply(&removal), Ok(removed));
        let nothing = Answer::DeleteRange { revision: 4, deleted: 0, previous: Records::default() };
        assert_eq!(model.apply(&removal), Ok(nothing));
        let answer = model.apply(&Write::Put(put("a", "3")));
        assert_eq!(answer, Ok(Answer::Put { revision: 5, previous: None }));
        assert_eq!(model.live(&all(), 5)[0].1.create, 5);
        assert_eq!(model.live(&all(), 3)[0].1.version, 2);
        assert!(model.live(&all(), 4).is_empty());
    }

    #[test]
    fn a_transaction_sees_its_own_writes_under_one_revision() {
        let mut model = Model::default();
        let absent = Compare {
            interval: Interval::Key(Bytes::from_static(b"a")),
            target: CompareTarget::Create(0),
            result: CompareResult::Equal,
        };
        let success = vec![Op::Put(put("a", "1")), Op::Put(put("b", "2"))];
        let txn = Txn { compares: vec![absent], success, failure: Vec::new() };
        for (succeeded, count) in [(true, 2), (false, 0)] {
            let answer = model.apply(&Write::Txn(txn.clone())).expect("it cannot fail");
            let Answer::Txn { revision, succeeded: did, answers } = answer else {
                panic!("a transaction's answer is one");
            };
            assert_eq!((revision, did, answers.len()), (2, succeeded, count));
        }
    }
}
