//! Rules of etcd's v3 store, each by itself.

use super::*;

#[test]
fn a_key_lives_in_generations() {
    let mut store = store_of(&[("a", "1"), ("a", "1")]);
    apply(&mut store, Write::DeleteRange(delete(Interval::Key(bytes("a"))))).expect("it is there");
    apply(&mut store, Write::Put(put("a", "2"))).expect("a put succeeds");
    // Revision: create, version. An equal value is a new version all the same.
    let rows = [(1, None), (2, Some((2, 1))), (3, Some((2, 2))), (4, None), (5, Some((5, 1)))];
    for (revision, expected) in rows {
        let at = Range { revision, ..range(Interval::Key(bytes("a"))) };
        let answer = read(&mut store, &at).expect("the revision is there");
        let found = answer.records.first().map(|r| (r.create_revision(), r.version()));
        assert_eq!(found, expected, "at {revision}");
        assert_eq!(answer.revision, 5, "the answer tells the present revision");
    }
    assert_eq!(store.revision(), 5);
}

#[test]
fn what_changes_nothing_takes_no_revision() {
    let mut store = store_of(&[("a", "1")]);
    let writes = [
        Write::DeleteRange(delete(Interval::Key(bytes("b")))),
        Write::DeleteRange(delete(Interval::Between(bytes("b"), bytes("a")))),
        Write::Txn(Txn::default()),
        Write::Txn(then(vec![Op::Range(range(everything()))])),
        Write::Txn(then(vec![Op::DeleteRange(delete(Interval::From(bytes("b"))))])),
    ];
    for write in writes {
        let outcome = apply(&mut store, write.clone());
        assert!(outcome.is_ok(), "{write:?}");
        assert_eq!(store.revision(), 2, "{write:?}");
    }
}

#[test]
fn a_range_is_sorted_filtered_and_cut_as_in_etcd() {
    let mut store = store_of(&[("a", "9"), ("b", "8"), ("c", "1"), ("d", "0")]);
    let base = range(everything());
    let by_value = |order| Range { order, target: SortTarget::Value, limit: 2, ..base.clone() };
    let rows = [
        (base.clone(), "a=9 b=8 c=1 d=0", false),
        (Range { limit: 2, ..base.clone() }, "a=9 b=8", true),
        (Range { limit: 4, ..base.clone() }, "a=9 b=8 c=1 d=0", false),
        (Range { limit: 1, order: SortOrder::Descend, ..base.clone() }, "d=0", true),
        // Without an order the limit acts first: a, b, c are fetched, sorted, and cut.
        (by_value(SortOrder::None), "c=1 b=8", true),
        (by_value(SortOrder::Ascend), "d=0 c=1", true),
        (by_value(SortOrder::Descend), "a=9 b=8", true),
        (Range { mod_revisions: (3, 4), ..base.clone() }, "b=8 c=1", false),
        (Range { mod_revisions: (3, 0), limit: 2, ..base.clone() }, "b=8 c=1", true),
        (Range { create_revisions: (0, 2), limit: 1, ..base.clone() }, "a=9", false),
        (Range { count_only: true, limit: 1, ..base.clone() }, "", false),
        (Range { revision: -1, ..base.clone() }, "a=9 b=8 c=1 d=0", false),
    ];
    for (range, expected, more) in rows {
        let answer = read(&mut store, &range).expect("the revision is there");
        assert_eq!(texts(&answer).join(" "), expected, "{range:?}");
        assert_eq!((answer.more, answer.count), (more, 4), "{range:?}");
    }
    let future = Range { revision: 6, ..base };
    assert_eq!(read(&mut store, &future), Err(Error::FutureRevision));
}

#[test]
fn a_put_checks_before_it_changes() {
    let keep_value = |key| Put { value: None, ..put(key, "") };
    let keep_lease = |key| Put { lease: None, ..put(key, "2") };
    let leased = Put { lease: Some(Some(LeaseId(7))), ..put("a", "2") };
    let leased_absent = Put { lease: Some(Some(LeaseId(7))), ..keep_value("b") };
    let rows = [
        (keep_value("b"), Err(Error::KeyNotFound), Err(Error::KeyNotFound)),
        (keep_lease("b"), Err(Error::KeyNotFound), Err(Error::KeyNotFound)),
        (leased, Err(Error::LeaseNotFound), Err(Error::LeaseNotFound)),
        // By itself a put looks for its lease first, in a transaction for its key.
        (leased_absent, Err(Error::LeaseNotFound), Err(Error::KeyNotFound)),
        (keep_value("a"), Ok("a=1"), Ok("a=1")),
        (keep_lease("a"), Ok("a=2"), Ok("a=2")),
    ];
    for (put, alone, within) in rows {
        let txn = Write::Txn(then(vec![Op::Put(put.clone())]));
        for (write, expected) in [(Write::Put(put.clone()), alone), (txn, within)] {
            let mut store = store_of(&[("a", "1")]);
            let before = store.hash();
            let outcome = apply(&mut store, write);
            assert_eq!(outcome.err(), expected.err(), "{put:?}");
            assert_eq!(store.hash() == before, expected.is_err(), "{put:?}");
            let answer = read(&mut store, &range(everything())).expect("the present is there");
            assert_eq!(texts(&answer).join(" "), expected.unwrap_or("a=1"), "{put:?}");
        }
    }
}

#[test]
fn a_failing_transaction_changes_nothing() {
    let at = |revision| Op::Range(Range { revision, ..range(everything()) });
    let leased = Put { lease: Some(Some(LeaseId(7))), ..put("x", "") };
    let nested = Op::Txn(then(vec![at(4)]));
    let rows = [
        // 3 is the revision that the transaction itself would make.
        (vec![Op::Put(put("b", "")), at(3)], Err(Error::FutureRevision)),
        (vec![Op::Put(put("b", "")), nested], Err(Error::FutureRevision)),
        (vec![at(9), Op::Put(leased)], Err(Error::LeaseNotFound)),
        (vec![Op::Put(put("b", "")), at(-2)], Err(Error::Compacted)),
        (vec![Op::Put(put("b", "")), at(2)], Ok(())),
        (vec![Op::Put(put("b", "")), at(-1)], Ok(())),
    ];
    for (ops, expected) in rows {
        let mut store = store_of(&[("a", "1")]);
        let before = (store.hash(), store.bytes());
        let outcome = apply(&mut store, Write::Txn(then(ops.clone())));
        assert_eq!(outcome.map(|_| ()), expected, "{ops:?}");
        assert_eq!((store.hash(), store.bytes()) == before, expected.is_err(), "{ops:?}");
    }
    // The list that is not taken is not checked.
    let mut store = store_of(&[]);
    let txn = Txn { failure: vec![at(9)], ..Txn::default() };
    assert!(apply(&mut store, Write::Txn(txn)).is_ok());
}

#[test]
fn comparisons_are_etcds() {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let key = |key: &str| Interval::Key(bytes(key));
    let both = || Interval::Between(bytes("a"), bytes("c"));
    let none = || Interval::Between(bytes("x"), bytes("y"));
    let value = |text: &str| CompareTarget::Value(bytes(text));
    // a: create 2, mod 4, version 2. b: create 3, mod 3, version 1.
    let rows = [
        (key("a"), CompareTarget::Version(2), Equal, true),
        (key("a"), CompareTarget::Version(1), Greater, true),
        (key("a"), CompareTarget::Create(3), Less, true),
        (key("a"), CompareTarget::Mod(4), NotEqual, false),
        (key("a"), CompareTarget::Lease(0), Equal, true),
        (key("a"), value("3"), Equal, true),
        (key("a"), value("2"), Greater, true),
        (key("a"), value("20"), Less, false),
        (key("x"), CompareTarget::Version(0), Equal, true),
        (key("x"), CompareTarget::Create(0), Greater, false),
        (key("x"), CompareTarget::Mod(0), Equal, true),
        (key("x"), CompareTarget::Lease(0), Equal, true),
        (key("x"), value(""), Equal, false),
        (key("x"), value("1"), NotEqual, false),
        (both(), CompareTarget::Version(0), Greater, true),
        (both(), CompareTarget::Version(1), Greater, false),
        (none(), CompareTarget::Version(0), Equal, true),
        (none(), value("1"), NotEqual, false),
    ];
    let mut store = store_of(&[("a", "1"), ("b", "2"), ("a", "3")]);
    for (interval, target, result, holds) in rows {
        let compare = Compare { interval, target, result };
        let txn = Txn { compares: vec![compare.clone()], ..Txn::default() };
        let outcome = store.read_txn(&txn, WorkId(0)).expect("the slice suffices");
        let Ok(Answer::Txn { succeeded, .. }) = outcome else { panic!("a transaction's answer") };
        assert_eq!(succeeded, holds, "{compare:?}");
    }
}

#[test]
fn conditions_see_the_state_before_and_reads_what_was_written() {
    let mut store = store_of(&[("a", "1")]);
    let is_new = |key: &str| Compare {
        interval: Interval::Key(bytes(key)),
        target: CompareTarget::Version(0),
        result: CompareResult::Equal,
    };
    let nested = Txn {
        compares: vec![is_new("b")],
        success: vec![Op::Range(range(everything()))],
        failure: vec![Op::Put(put("wrong", ""))],
    };
    let ops = vec![
        Op::DeleteRange(delete(Interval::Key(bytes("z")))),
        Op::Range(range(Interval::Key(bytes("b")))),
        Op::Put(put("b", "2")),
        Op::Txn(nested),
        Op::DeleteRange(delete(Interval::Key(bytes("a")))),
        Op::Range(Range { count_only: true, ..range(everything()) }),
    ];
    let outcome = apply(&mut store, Write::Txn(then(ops)));
    let Ok(Answer::Txn { revision: 3, succeeded: true, answers }) = outcome else {
        panic!("the transaction succeeds at revision 3: {outcome:?}");
    };
    let read = |answer: &Answer| match answer {
        Answer::Range(answer) => (answer.revision, answer.count, texts(answer).join(" ")),
        other => panic!("a range is answered by a range: {other:?}"),
    };
    // Before the first change the revision is the one before the transaction.
    let nothing = Answer::DeleteRange { revision: 2, deleted: 0, previous: Records::default() };
    assert_eq!(answers[0], nothing);
    assert_eq!(read(&answers[1]), (2, 0, "".into()));
    assert_eq!(answers[2], Answer::Put { revision: 3, previous: None });
    let Answer::Txn { revision: 3, succeeded: true, answers: nested } = &answers[3] else {
        panic!("b was not there before the transaction: {answers:?}");
    };
    assert_eq!(read(&nested[0]), (3, 2, "a=1 b=2".into()));
    assert_eq!(
        answers[4],
        Answer::DeleteRange { revision: 3, deleted: 1, previous: Records::default() }
    );
    assert_eq!(read(&answers[5]), (3, 1, "".into()));
    assert_eq!(store.revision(), 3);
}

#[test]
fn a_nested_transaction_may_remove_what_another_has_put() {
    let mut store = store_of(&[]);
    let ops = vec![
        Op::Txn(then(vec![Op::Put(put("a", "1"))])),
        Op::Txn(then(vec![Op::DeleteRange(delete(everything()))])),
    ];
    let txn = then(ops);
    assert_eq!(txn::check(&txn, 128), Ok(()));
    assert!(apply(&mut store, Write::Txn(txn)).is_ok());
    let answer = read(&mut store, &range(everything())).expect("the present is there");
    assert_eq!((answer.count, answer.revision), (0, 2));
}

#[test]
fn previous_pairs_are_answered_when_asked_for() {
    let mut store = store_of(&[("a", "1"), ("b", "2")]);
    let asking = Put { previous: true, ..put("a", "3") };
    let outcome = apply(&mut store, Write::Put(asking)).expect("a put succeeds");
    let Answer::Put { previous: Some(before), .. } = outcome else { panic!("a was there") };
    assert_eq!((before.value(), before.version()), (&b"1"[..], 1));
    let asking = DeleteRange { previous: true, ..delete(everything()) };
    let outcome = apply(&mut store, Write::DeleteRange(asking)).expect("a removal succeeds");
    let Answer::DeleteRange { deleted: 2, previous, .. } = outcome else { panic!("two keys") };
    let values: Vec<&[u8]> = previous.iter().map(Record::value).collect();
    assert_eq!(values, [b"3", b"2"]);
}

/// The expected numbers are those of a real etcd 3.4 after the same requests.
#[test]
fn statistics_count_as_etcd_counts() {
    let mut store = Store::new(1_000_000);
    let mut step = |write: Write, expected: [u64; 4]| {
        let before = store.statistics();
        // A refusal counts too, up to where it is found out.
        let _outcome = store.apply(write.clone(), WorkId(0)).expect("the slice suffices");
        let after = store.statistics();
        let counted = [
            after.puts - before.puts,
            after.deletes - before.deletes,
            after.ranges - before.ranges,
            after.transactions - before.transactions,
        ];
        assert_eq!(counted, expected, "{write:?}");
    };
    let previous = |key| Put { previous: true, ..put(key, "1") };
    let keeping = |key| Put { lease: None, ..put(key, "1") };
    let leased = Put { lease: Some(Some(LeaseId(7))), ..put("a", "1") };
    let key = |name| Interval::Key(bytes(name));
    let delete_previous = |name| DeleteRange { previous: true, ..delete(key(name)) };
    let holds =
        |result, name| Compare { interval: key(name), result, target: CompareTarget::Version(0) };
    let exists = || holds(CompareResult::Greater, "a");
    let absent = || holds(CompareResult::Equal, "a");
    let txn = |compares, success| Write::Txn(Txn { compares, success, failure: vec![] });
    step(Write::Put(put("a", "1")), [1, 0, 0, 0]);
    step(Write::Put(previous("a")), [1, 0, 1, 1]);
    step(Write::Put(keeping("a")), [1, 0, 1, 1]);
    step(Write::Put(keeping("none")), [0, 0, 1, 0]);
    step(Write::Put(leased), [0, 0, 0, 0]);
    step(Write::DeleteRange(delete(key("none"))), [0, 1, 0, 0]);
    step(Write::DeleteRange(delete_previous("none")), [0, 1, 1, 1]);
    let puts = || vec![Op::Put(put("k", "1")), Op::Put(put("l", "1"))];
    step(txn(vec![exists(), exists()], puts()), [2, 0, 2, 2]);
    step(txn(vec![absent(), exists()], puts()), [0, 0, 1, 0]);
    step(txn(vec![exists()], vec![Op::Put(put("k", "1"))]), [1, 0, 1, 0]);
    step(txn(vec![exists()], vec![Op::Put(keeping("k"))]), [1, 0, 3, 2]);
    let refused = vec![Op::Put(keeping("k")), Op::Put(keeping("none")), Op::Put(keeping("l"))];
    step(txn(vec![exists()], refused), [0, 0, 3, 1]);
    let both = vec![Op::Put(previous("k")), Op::DeleteRange(delete_previous("l"))];
    step(txn(vec![exists()], both), [1, 1, 3, 1]);
}

#[test]
fn reads_count_and_one_that_is_refused_does_too() {
    let mut store = store_of(&[("a", "1")]);
    let present = range(everything());
    read(&mut store, &present).expect("the present can be read");
    read(&mut store, &Range { revision: 99, ..present.clone() }).expect_err("it is to come");
    assert_eq!((store.statistics().ranges, store.statistics().transactions), (2, 0));
    let exists = Compare {
        interval: Interval::Key(bytes("a")),
        result: CompareResult::Greater,
        target: CompareTarget::Version(0),
    };
    let reads = vec![Op::Range(present.clone()), Op::Range(present)];
    let txn = Txn { compares: vec![exists.clone(), exists], success: reads, failure: vec![] };
    store.read_txn(&txn, WorkId(0)).expect("the slice suffices").expect("it is good");
    assert_eq!((store.statistics().ranges, store.statistics().transactions), (6, 1));
}
