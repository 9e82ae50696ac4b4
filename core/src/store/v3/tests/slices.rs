//! What long work may not do: hold up small writes, lose answers, or go on for nobody.

use super::*;
use alloc::format;

const KEYS: usize = 1_000;
const SLICE: usize = 10;

fn store() -> Store {
    let mut store = Store::new(SLICE);
    for number in 0..KEYS {
        let outcome = store.apply(Write::Put(put(&format!("{number:04}"), "v")), WorkId(0));
        assert!(outcome.is_some(), "a put is never long");
    }
    store
}

/// Works until nothing is left; the answers, and how many slices it took.
fn drain(store: &mut Store) -> (Vec<(WorkId, Finished)>, usize) {
    let mut finished = Vec::new();
    let mut slices = 0;
    while store.has_work() {
        finished.extend(store.work());
        slices += 1;
    }
    store.check();
    (finished, slices)
}

#[test]
fn small_writes_pass_a_long_removal() {
    let mut store = store();
    let long = store.apply(Write::DeleteRange(delete(everything())), WorkId(1));
    assert_eq!(long, None);
    assert!(!store.is_blocked(), "the first key shows that something is removed");
    assert_eq!(store.hash(), None);
    // It is in force at once, ahead of its cursor too.
    let last = put("0999", "new");
    let outcome = store.apply(Write::Put(Put { previous: true, ..last }), WorkId(2));
    let revision = KEYS as i64 + 3;
    assert_eq!(outcome, Some(Ok(Answer::Put { revision, previous: None })));
    assert_eq!(store.range(&range(everything()), WorkId(3)), None);
    let (finished, slices) = drain(&mut store);
    assert_eq!(finished.len(), 2);
    assert!(slices >= KEYS / SLICE, "{slices} slices cannot visit {KEYS} keys");
    let removed = Answer::DeleteRange {
        revision: KEYS as i64 + 2,
        deleted: KEYS as u64,
        previous: Records::default(),
    };
    assert!(finished.contains(&(WorkId(1), Ok(removed))));
    let read = finished.iter().find(|(work, _)| *work == WorkId(3)).map(|(_, answer)| answer);
    let Some(Ok(Answer::Range(answer))) = read else { panic!("the read is answered") };
    assert_eq!(texts(answer), ["0999=new"]);
    assert!(store.hash().is_some());
}

#[test]
fn a_long_read_is_of_its_moment() {
    let mut store = store();
    let txn = then(vec![Op::Range(range(everything())), Op::Put(put("x", "1"))]);
    assert_eq!(store.apply(Write::Txn(txn), WorkId(1)), None);
    assert!(!store.is_blocked());
    let write = Write::Put(put("0999", "later"));
    assert!(store.apply(write, WorkId(2)).is_some());
    let (finished, _) = drain(&mut store);
    let [(WorkId(1), Ok(Answer::Txn { answers, .. }))] = &finished[..] else {
        panic!("the transaction is answered: {finished:?}");
    };
    let Answer::Range(answer) = &answers[0] else { panic!("its first answer is a range's") };
    assert_eq!(answer.count, KEYS as u64, "the put behind it is not seen");
    assert!(answer.records.iter().all(|record| record.value() == b"v"));
}

#[test]
fn only_conditions_and_the_search_for_a_change_block() {
    let mut store = store();
    let holds = Compare {
        interval: everything(),
        target: CompareTarget::Version(1),
        result: CompareResult::Equal,
    };
    let txn = Txn { compares: vec![holds], ..then(vec![Op::Put(put("x", "1"))]) };
    assert_eq!(store.apply(Write::Txn(txn), WorkId(1)), None);
    assert!(store.is_blocked());
    // Local reads go on.
    assert!(store.range(&range(Interval::Key(bytes("0001"))), WorkId(2)).is_some());
    let (finished, _) = drain(&mut store);
    assert!(matches!(&finished[..], [(WorkId(1), Ok(Answer::Txn { succeeded: true, .. }))]));
    assert_eq!(store.apply(Write::DeleteRange(delete(everything())), WorkId(3)), None);
    assert!(!store.is_blocked());
    // Everything is gone, if not carried out: the second removal has to look for a survivor.
    assert_eq!(store.apply(Write::DeleteRange(delete(everything())), WorkId(4)), None);
    assert!(store.is_blocked());
    let (finished, _) = drain(&mut store);
    let revision = KEYS as i64 + 3;
    let nothing = Answer::DeleteRange { revision, deleted: 0, previous: Records::default() };
    assert!(finished.contains(&(WorkId(4), Ok(nothing))));
}

#[test]
fn removals_that_go_on_are_bounded() {
    let mut store = store();
    let bound = crate::limits::REMOVALS_PENDING_MAX;
    let from = |number: usize| {
        let start = bytes(&format!("{:04}", number * 50));
        let end = bytes(&format!("{:04}", number * 50 + 50));
        Write::DeleteRange(delete(Interval::Between(start, end)))
    };
    for number in 0..bound {
        assert_eq!(store.apply(from(number), WorkId(1 + number as u64)), None);
        assert!(!store.is_blocked());
    }
    // However often the search is resumed, it has found the one key that is there.
    let last = Write::DeleteRange(delete(Interval::Between(bytes("0999"), bytes("1"))));
    assert_eq!(store.apply(last, WorkId(99)), None);
    assert!(store.is_blocked());
    let (finished, _) = drain(&mut store);
    assert_eq!(finished.len(), bound + 1);
    let revision = (KEYS + 2 + bound) as i64;
    let removed = Answer::DeleteRange { revision, deleted: 1, previous: Records::default() };
    assert!(finished.contains(&(WorkId(99), Ok(removed))));
}

#[test]
fn what_nobody_waits_for_is_dropped_but_not_a_change() {
    let mut store = store();
    assert_eq!(store.range(&range(everything()), WorkId(1)), None);
    store.cancel(WorkId(1));
    let (finished, slices) = drain(&mut store);
    assert_eq!((finished, slices), (Vec::new(), 1), "the keys that are left are not visited");
    assert_eq!(store.apply(Write::DeleteRange(delete(everything())), WorkId(2)), None);
    store.cancel(WorkId(2));
    assert!(store.has_work());
    let (finished, _) = drain(&mut store);
    assert_eq!(finished, []);
    let count = Range { count_only: true, ..range(Interval::Key(bytes("0999"))) };
    let Some(Ok(Answer::Range(answer))) = store.range(&count, WorkId(3)) else {
        panic!("one key is read at once");
    };
    assert_eq!(answer.count, 0);
}

/// How many slices it takes until no part of an answer is lent.
fn reclaim(store: &mut Store) -> usize {
    let slices = (0..KEYS).take_while(|_| store.has_lent() && store.work().is_empty());
    slices.count()
}

#[test]
fn long_answers_are_given_back_in_slices_by_whoever_lets_go_of_them() {
    let mut store = store();
    let long = Write::DeleteRange(DeleteRange { previous: true, ..delete(everything()) });
    assert_eq!(store.range(&range(everything()), WorkId(1)), None);
    assert_eq!(store.apply(long, WorkId(2)), None);
    let (answers, _) = drain(&mut store);
    assert_eq!(answers.len(), 2);
    assert_eq!(reclaim(&mut store), KEYS, "somebody is still reading them");
    drop(answers);
    let slices = reclaim(&mut store);
    assert!((100..KEYS).contains(&slices), "{slices} slices for two answers of {KEYS} records");
    // One that was cancelled when half of it was gathered.
    assert_eq!(store.range(&Range { revision: 900, ..range(everything()) }, WorkId(3)), None);
    (0..KEYS / SLICE / 2).for_each(|_| assert_eq!(store.work(), []));
    store.cancel(WorkId(3));
    assert_eq!(drain(&mut store).0, []);
    let slices = reclaim(&mut store);
    assert!((10..KEYS).contains(&slices), "{slices} slices for half an answer");
}
