//! A model that copies itself for each revision, and stores that are cut into slices.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap as Map;

/// A version, as the model keeps it.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    create: i64,
    modified: i64,
    version: i64,
    value: Bytes,
}

type Keys = Map<Bytes, Version>;

/// A store that copies itself for each revision.
struct Model {
    snapshots: Vec<Keys>,
}

impl Model {
    fn new() -> Self {
        Self { snapshots: vec![Keys::new(), Keys::new()] }
    }

    fn revision(&self) -> i64 {
        self.snapshots.len() as i64 - 1
    }

    fn apply(&mut self, write: &Write) -> Finished {
        let mut keys = self.snapshots[self.snapshots.len() - 1].clone();
        let mut run = ModelRun { before: keys.clone(), model: self, changed: false };
        let answer = match write {
            Write::Put(put) => {
                if put.value.is_none() && !keys.contains_key(&put.key) {
                    return Err(Error::KeyNotFound);
                }
                run.op(&Op::Put(put.clone()), &mut keys)
            }
            Write::DeleteRange(delete) => run.op(&Op::DeleteRange(delete.clone()), &mut keys),
            Write::Txn(txn) => {
                run.checks(txn, true)?;
                run.checks(txn, false)?;
                run.op(&Op::Txn(txn.clone()), &mut keys)
            }
        };
        if run.changed {
            self.snapshots.push(keys);
        }
        Ok(answer)
    }

    fn range(&self, range: &Range) -> Finished {
        if range.revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        let now = &self.snapshots[self.snapshots.len() - 1];
        Ok(Answer::Range(self.read(range, now, self.revision())))
    }

    fn read(&self, range: &Range, now: &Keys, revision: i64) -> RangeAnswer {
        let keys = if range.revision > 0 { &self.snapshots[range.revision as usize] } else { now };
        let all: Vec<Record> = keys
            .iter()
            .filter(|(key, _)| key_index::contains(&range.interval, key))
            .map(|(key, version)| record(key, version))
            .collect();
        let mut answer = RangeAnswer {
            revision,
            count: all.len() as u64,
            keys_only: range.keys_only,
            ..RangeAnswer::default()
        };
        if range.count_only {
            return answer;
        }
        let limit = if range.limit == 0 { usize::MAX } else { range.limit as usize };
        let (min, max) = range.mod_revisions;
        let mut records = all;
        if range.order == SortOrder::None && (min, max) == (0, 0) {
            records.truncate(limit.saturating_add(1));
        }
        records.retain(|record| {
            record.mod_revision() >= min && (max == 0 || record.mod_revision() <= max)
        });
        match range.target {
            SortTarget::Key => {}
            SortTarget::Version => records.sort_by_key(Record::version),
            SortTarget::Create => records.sort_by_key(Record::create_revision),
            SortTarget::Mod => records.sort_by_key(Record::mod_revision),
            SortTarget::Value => records.sort_by(|a, b| a.value().cmp(b.value())),
        }
        if range.order == SortOrder::Descend {
            // Equal ones stay in key order.
            records.reverse();
            match range.target {
                SortTarget::Key => {}
                SortTarget::Version => records.sort_by_key(|r| (-r.version(), r.key().to_vec())),
                SortTarget::Create => {
                    records.sort_by_key(|r| (-r.create_revision(), r.key().to_vec()));
                }
                SortTarget::Mod => records.sort_by_key(|r| (-r.mod_revision(), r.key().to_vec())),
                SortTarget::Value => {
                    records.sort_by(|a, b| b.value().cmp(a.value()).then(a.key().cmp(b.key())));
                }
            }
        }
        answer.more = records.len() > limit;
        records.truncate(limit);
        answer.records = records.into_iter().collect();
        answer
    }
}

struct ModelRun<'a> {
    before: Keys,
    model: &'a Model,
    changed: bool,
}

impl ModelRun<'_> {
    fn taken<'t>(&self, txn: &'t Txn) -> (bool, &'t [Op]) {
        let holds = txn.compares.iter().all(|compare| self.holds(compare));
        (holds, if holds { &txn.success } else { &txn.failure })
    }

    fn holds(&self, compare: &Compare) -> bool {
        let CompareTarget::Version(given) = compare.target else { unreachable!() };
        let inside = |key: &Bytes| key_index::contains(&compare.interval, key);
        let mut found: Vec<i64> =
            self.before.iter().filter(|(key, _)| inside(key)).map(|(_, v)| v.version).collect();
        if found.is_empty() {
            found.push(0);
        }
        found.iter().all(|stored| match compare.result {
            CompareResult::Equal => *stored == given,
            CompareResult::Greater => *stored > given,
            CompareResult::Less => *stored < given,
            CompareResult::NotEqual => *stored != given,
        })
    }

    fn checks(&self, txn: &Txn, puts: bool) -> Result<(), Error> {
        self.taken(txn).1.iter().try_for_each(|op| match op {
            Op::Put(put) if puts && put.value.is_none() && !self.before.contains_key(&put.key) => {
                Err(Error::KeyNotFound)
            }
            Op::Range(range) if !puts && range.revision > self.model.revision() => {
                Err(Error::FutureRevision)
            }
            Op::Txn(nested) => self.checks(nested, puts),
            _ => Ok(()),
        })
    }

    fn op(&mut self, op: &Op, keys: &mut Keys) -> Answer {
        let main = self.model.revision() + 1;
        match op {
            Op::Range(range) => {
                let revision = main - i64::from(!self.changed);
                Answer::Range(self.model.read(range, keys, revision))
            }
            Op::Put(put) => {
                self.changed = true;
                let before = keys.get(&put.key).cloned();
                let version = Version {
                    create: before.as_ref().map_or(main, |before| before.create),
                    modified: main,
                    version: before.as_ref().map_or(1, |before| before.version + 1),
                    value: put.value.clone().unwrap_or_else(|| {
                        before.as_ref().map(|before| before.value.clone()).unwrap_or_default()
                    }),
                };
                keys.insert(put.key.clone(), version);
                let previous = before.map(|before| record(&put.key, &before));
                Answer::Put { revision: main, previous: previous.filter(|_| put.previous) }
            }
            Op::DeleteRange(delete) => {
                let inside = |key: &Bytes| key_index::contains(&delete.interval, key);
                let ended: Vec<Record> = keys
                    .iter()
                    .filter(|(key, _)| inside(key))
                    .map(|(key, version)| record(key, version))
                    .collect();
                keys.retain(|key, _| !inside(key));
                self.changed |= !ended.is_empty();
                Answer::DeleteRange {
                    revision: main - i64::from(!self.changed),
                    deleted: ended.len() as u64,
                    previous: ended.into_iter().filter(|_| delete.previous).collect(),
                }
            }
            Op::Txn(txn) => {
                let (succeeded, ops) = self.taken(txn);
                let answers = ops.iter().map(|op| self.op(op, keys)).collect();
                let revision = main - i64::from(!self.changed);
                Answer::Txn { revision, succeeded, answers }
            }
        }
    }
}

fn record(key: &Bytes, version: &Version) -> Record {
    let Version { create, modified, version, value } = version;
    Record::new(*create, *modified, *version, 0, key, value)
}

/// A store with a slice of its own, and the answers it owes.
struct Sliced {
    store: Store,
    owed: Map<WorkId, Finished>,
    next: u64,
}

impl Sliced {
    fn new(slice_keys: usize) -> Self {
        Self { store: Store::new(slice_keys), owed: Map::new(), next: 0 }
    }

    fn work(&mut self) {
        for (work, outcome) in self.store.work() {
            let expected = self.owed.remove(&work).expect("an answer is given once");
            assert_eq!(outcome, expected);
        }
    }

    fn unblock(&mut self) {
        while self.store.is_blocked() {
            self.work();
        }
    }

    fn expect(&mut self, outcome: Option<Finished>, expected: &Finished) {
        match outcome {
            Some(outcome) => assert_eq!(&outcome, expected),
            None => {
                self.owed.insert(WorkId(self.next), expected.clone());
            }
        }
        self.next += 1;
    }

    fn apply(&mut self, write: &Write, expected: &Finished) {
        self.unblock();
        let outcome = self.store.apply(write.clone(), WorkId(self.next));
        self.expect(outcome, expected);
    }

    fn drain(&mut self) {
        while self.store.has_work() {
            self.work();
        }
        assert!(self.owed.is_empty(), "every answer is given");
    }
}

fn any_key() -> impl Strategy<Value = Bytes> {
    (0..6_u8, 0..2_u8).prop_map(|(a, b)| {
        let key = [b'a' + a, b'a'];
        Bytes::copy_from_slice(&key[..usize::from(1 + b)])
    })
}

fn any_interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        any_key().prop_map(Interval::Key),
        (any_key(), any_key()).prop_map(|(start, end)| Interval::Between(start, end)),
        any_key().prop_map(Interval::From),
    ]
}

fn any_range() -> impl Strategy<Value = Range> {
    (any_interval(), 0..4_u64, 0..20_i64, 0..3_usize, 0..5_usize, 0..8_u8, (0..9_i64, 0..15_i64))
        .prop_map(|(interval, limit, revision, order, target, flags, filter)| Range {
            interval,
            limit,
            revision: if revision > 12 { 0 } else { revision },
            order: [SortOrder::None, SortOrder::Ascend, SortOrder::Descend][order],
            target: [
                SortTarget::Key,
                SortTarget::Version,
                SortTarget::Create,
                SortTarget::Mod,
                SortTarget::Value,
            ][target],
            keys_only: flags & 1 != 0,
            count_only: flags == 7,
            mod_revisions: if flags & 2 != 0 { filter } else { (0, 0) },
            create_revisions: (0, 0),
        })
}

fn any_put() -> impl Strategy<Value = Put> {
    (any_key(), prop::option::weighted(0.9, 0..4_u8), any::<bool>()).prop_map(
        |(key, value, previous)| Put {
            key,
            value: value.map(|value| Bytes::copy_from_slice(&[value])),
            lease: Some(None),
            previous,
        },
    )
}

fn any_delete() -> impl Strategy<Value = DeleteRange> {
    (any_interval(), any::<bool>())
        .prop_map(|(interval, previous)| DeleteRange { interval, previous })
}

fn any_txn() -> impl Strategy<Value = Txn> {
    let compare = || {
        (any_interval(), 0..3_i64, 0..4_usize).prop_map(|(interval, given, result)| Compare {
            interval,
            target: CompareTarget::Version(given),
            result: [
                CompareResult::Equal,
                CompareResult::Greater,
                CompareResult::Less,
                CompareResult::NotEqual,
            ][result],
        })
    };
    let leaf = prop_oneof![
        any_range().prop_map(Op::Range),
        any_put().prop_map(Op::Put),
        any_delete().prop_map(Op::DeleteRange),
    ];
    let op = leaf.prop_recursive(2, 8, 3, move |op| {
        let list = || prop::collection::vec(op.clone(), 0..3);
        (prop::collection::vec(compare(), 0..2), list(), list())
            .prop_map(|(compares, success, failure)| Op::Txn(Txn { compares, success, failure }))
    });
    let list = || prop::collection::vec(op.clone(), 0..4);
    let compares = (any_interval(), 0..3_i64).prop_map(|(interval, given)| {
        let target = CompareTarget::Version(given);
        vec![Compare { interval, target, result: CompareResult::NotEqual }]
    });
    (compares, list(), list())
        .prop_map(|(compares, success, failure)| Txn { compares, success, failure })
        .prop_filter("is refused at the door", |txn| txn::check(txn, 128).is_ok())
}

#[derive(Clone, Debug)]
enum Action {
    Write(Write),
    Range(Range),
    Work(usize),
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => any_put().prop_map(|put| Action::Write(Write::Put(put))),
        2 => any_delete().prop_map(|delete| Action::Write(Write::DeleteRange(delete))),
        2 => any_txn().prop_map(|txn| Action::Write(Write::Txn(txn))),
        2 => any_range().prop_map(Action::Range),
        2 => (0..4_usize).prop_map(Action::Work),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Wherever work is cut, and whatever is applied meanwhile, every answer is the model's.
    #[test]
    fn slices_are_invisible(actions in prop::collection::vec(any_action(), 0..40)) {
        let mut model = Model::new();
        let mut stores = [1, 2, 3, usize::MAX].map(Sliced::new);
        for action in &actions {
            match action {
                Action::Write(write) => {
                    let expected = model.apply(write);
                    stores.iter_mut().for_each(|store| store.apply(write, &expected));
                }
                Action::Range(range) => {
                    let expected = model.range(range);
                    for store in &mut stores {
                        store.unblock();
                        let outcome = store.store.range(range, WorkId(store.next));
                        store.expect(outcome, &expected);
                    }
                }
                Action::Work(times) => {
                    for _ in 0..*times {
                        stores.iter_mut().for_each(Sliced::work);
                    }
                }
            }
            stores.iter().for_each(|store| store.store.check());
        }
        stores.iter_mut().for_each(Sliced::drain);
        let [first, rest @ ..] = &stores;
        first.store.check();
        prop_assert_eq!(first.store.revision(), model.revision());
        for store in rest {
            prop_assert_eq!(store.store.hash(), first.store.hash());
            prop_assert_eq!(store.store.bytes(), first.store.bytes());
        }
        prop_assert!(first.store.hash().is_some());
    }
}
