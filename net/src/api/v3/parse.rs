//! From the wire's requests, which may be nonsense, to the core's, which cannot.
//!
//! Rules are checked in etcd's order (reference, sections 5.2 to 5.6), because the first that is
//! broken is the one that the client hears of.

use bytes::Bytes;
use quorra_core::limits;
use quorra_core::store::v3::{
    Compare, CompareResult, CompareTarget, DeleteRange, Interval, LeaseId, Op, Put, Range,
    SortOrder, SortTarget, Txn, txn,
};

use super::errors::Nonsense;
use crate::proto;

/// Less than the version of any key, and of none.
const NO_VERSION: i64 = -1;

/// A range, and whether the local store may answer it.
pub(super) fn range(request: proto::RangeRequest) -> Result<(Range, bool), Nonsense> {
    let serializable = request.serializable;
    let range = range_within(request)?;
    Ok((Range { revision: range.revision.max(0), ..range }, serializable))
}

/// A range of a transaction, where a negative revision is not the present (etcd).
fn range_within(request: proto::RangeRequest) -> Result<Range, Nonsense> {
    let (order, target) = sorting(request.sort_order, request.sort_target);
    Ok(Range {
        interval: interval(request.key, request.range_end)?,
        limit: request.limit.try_into().unwrap_or(0),
        revision: request.revision,
        order,
        target,
        keys_only: request.keys_only,
        count_only: request.count_only,
        mod_revisions: (request.min_mod_revision, request.max_mod_revision),
        create_revisions: (request.min_create_revision, request.max_create_revision),
    })
}

/// The order of a range. Unknown numbers are no sorting, as in etcd up to 3.5: an unknown order
/// keeps that of the keys, whatever the target.
fn sorting(order: i32, target: i32) -> (SortOrder, SortTarget) {
    let target = match target {
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => SortTarget::Key,
    };
    match order {
        0 => (SortOrder::None, target),
        1 => (SortOrder::Ascend, target),
        2 => (SortOrder::Descend, target),
        _ => (SortOrder::None, SortTarget::Key),
    }
}

/// A write of one key.
pub(super) fn put(request: proto::PutRequest) -> Result<Put, Nonsense> {
    if request.key.is_empty() {
        return Err(Nonsense::KeyMissing);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Nonsense::ValueGiven);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Nonsense::LeaseGiven);
    }
    let lease = (request.lease != 0).then_some(LeaseId(request.lease));
    Ok(Put {
        key: request.key,
        value: (!request.ignore_value).then_some(request.value),
        lease: (!request.ignore_lease).then_some(lease),
        previous: request.prev_kv,
    })
}

/// A removal.
pub(super) fn delete_range(request: proto::DeleteRangeRequest) -> Result<DeleteRange, Nonsense> {
    let interval = interval(request.key, request.range_end)?;
    Ok(DeleteRange { interval, previous: request.prev_kv })
}

/// A transaction: sizes and operations depth first, then the rule of keys written twice.
pub(super) fn transaction(request: proto::TxnRequest, ops_max: usize) -> Result<Txn, Nonsense> {
    let parsed = list(request, ops_max, limits::TXN_DEPTH_MAX)?;
    txn::check_keys(&parsed).map_err(|_| Nonsense::DuplicateKey)?;
    Ok(parsed)
}

/// Whether a transaction only reads; if so, whether the local store may answer it. A transaction
/// within counts as a change, whatever it holds (as in etcd).
pub(super) fn read_only(request: &proto::TxnRequest) -> Option<bool> {
    let mut serializable = true;
    for op in request.success.iter().chain(&request.failure) {
        let Some(proto::RequestOpKind::Range(range)) = &op.request else { return None };
        serializable &= range.serializable;
    }
    Some(serializable)
}

/// One level; a transaction within may have what the longest list leaves of `ops_max`.
fn list(request: proto::TxnRequest, ops_max: usize, depth_max: usize) -> Result<Txn, Nonsense> {
    let proto::TxnRequest { compare: compares, success, failure } = request;
    let longest = compares.len().max(success.len()).max(failure.len());
    let rest = ops_max.checked_sub(longest).ok_or(Nonsense::TooManyOps)?;
    let depth = depth_max.checked_sub(1).ok_or(Nonsense::TooManyOps)?;
    let ops = |list: Vec<proto::RequestOp>| {
        list.into_iter().map(|request| op(request, rest, depth)).collect::<Result<_, _>>()
    };
    Ok(Txn {
        compares: compares.into_iter().map(compare).collect::<Result<_, _>>()?,
        success: ops(success)?,
        failure: ops(failure)?,
    })
}

fn op(request: proto::RequestOp, ops_max: usize, depth_max: usize) -> Result<Op, Nonsense> {
    use proto::RequestOpKind;
    Ok(match request.request.ok_or(Nonsense::KeyNotFound)? {
        RequestOpKind::Range(request) => Op::Range(range_within(request)?),
        RequestOpKind::Put(request) => Op::Put(put(request)?),
        RequestOpKind::DeleteRange(request) => Op::DeleteRange(delete_range(request)?),
        RequestOpKind::Txn(request) => Op::Txn(list(request, ops_max, depth_max)?),
    })
}

/// A condition. A value of another kind than the target's is none: zero, or empty. etcd takes
/// numbers without a name, too: what has an unknown target is equal to anything, and an unknown
/// result holds for everything that has what is compared.
fn compare(request: proto::Compare) -> Result<Compare, Nonsense> {
    use proto::CompareTarget as Given;
    let interval = interval(request.key, request.range_end)?;
    let target = match (request.target, request.target_union) {
        (0, Some(Given::Version(version))) => CompareTarget::Version(version),
        (0, _) => CompareTarget::Version(0),
        (1, Some(Given::CreateRevision(revision))) => CompareTarget::Create(revision),
        (1, _) => CompareTarget::Create(0),
        (2, Some(Given::ModRevision(revision))) => CompareTarget::Mod(revision),
        (2, _) => CompareTarget::Mod(0),
        (3, Some(Given::Value(value))) => CompareTarget::Value(value),
        (3, _) => CompareTarget::Value(Bytes::new()),
        (4, Some(Given::Lease(lease))) => CompareTarget::Lease(lease),
        (4, _) => CompareTarget::Lease(0),
        _ => {
            let holds = !(1..=3).contains(&request.result);
            let result = if holds { CompareResult::NotEqual } else { CompareResult::Less };
            return Ok(Compare { interval, target: CompareTarget::Version(NO_VERSION), result });
        }
    };
    let (target, result) = match (request.result, target) {
        (0, target) => (target, CompareResult::Equal),
        (1, target) => (target, CompareResult::Greater),
        (2, target) => (target, CompareResult::Less),
        (3, target) => (target, CompareResult::NotEqual),
        // An absent key has no value, but a version.
        (_, CompareTarget::Value(_)) => (CompareTarget::Version(0), CompareResult::Greater),
        _ => (CompareTarget::Version(NO_VERSION), CompareResult::NotEqual),
    };
    Ok(Compare { interval, target, result })
}

fn interval(key: Bytes, range_end: Bytes) -> Result<Interval, Nonsense> {
    if key.is_empty() {
        return Err(Nonsense::KeyMissing);
    }
    Ok(match &range_end[..] {
        [] => Interval::Key(key),
        [0] => Interval::From(key),
        _ => Interval::Between(key, range_end),
    })
}

#[cfg(test)]
mod tests {
    use proto::{RequestOp, RequestOpKind, TxnRequest};

    use super::*;

    fn put_op(key: &str) -> RequestOp {
        let put = proto::PutRequest { key: key.to_string().into(), ..Default::default() };
        RequestOp { request: Some(RequestOpKind::Put(put)) }
    }

    fn range_op(serializable: bool) -> RequestOp {
        let range = proto::RangeRequest { key: "k".into(), serializable, ..Default::default() };
        RequestOp { request: Some(RequestOpKind::Range(range)) }
    }

    fn success(ops: Vec<RequestOp>) -> TxnRequest {
        TxnRequest { success: ops, ..Default::default() }
    }

    fn nested(txn: TxnRequest) -> RequestOp {
        RequestOp { request: Some(RequestOpKind::Txn(txn)) }
    }

    #[test]
    fn range_ends_mean_what_etcd_means() {
        let rows: [(&[u8], &[u8], Interval); 4] = [
            (b"a", b"", Interval::Key("a".into())),
            (b"a", b"\0", Interval::From("a".into())),
            (b"\0", b"\0", Interval::From("\0".into())),
            (b"b", b"a", Interval::Between("b".into(), "a".into())),
        ];
        for (key, end, expected) in rows {
            let (key, end) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(end));
            assert_eq!(interval(key, end), Ok(expected));
        }
        assert_eq!(interval(Bytes::new(), "\0".into()), Err(Nonsense::KeyMissing));
    }

    #[test]
    fn puts_say_no_two_things() {
        let given = |value: &'static str, lease, ignore_value, ignore_lease| {
            put(proto::PutRequest {
                key: "k".into(),
                value: value.into(),
                lease,
                prev_kv: false,
                ignore_value,
                ignore_lease,
            })
        };
        assert_eq!(given("v", 0, true, false), Err(Nonsense::ValueGiven));
        assert_eq!(given("", 1, false, true), Err(Nonsense::LeaseGiven));
        let kept = given("", 0, true, true).expect("nothing is said twice");
        assert_eq!((kept.value, kept.lease), (None, None));
        let plain = given("", 7, false, false).expect("a put with a lease");
        assert_eq!((plain.value, plain.lease), (Some(Bytes::new()), Some(Some(LeaseId(7)))));
    }

    #[test]
    fn the_first_broken_rule_is_told() {
        let many = |count| (0..count).map(|n| put_op(&n.to_string())).collect::<Vec<_>>();
        let empty = RequestOp::default();
        let rows: [(TxnRequest, Result<(), Nonsense>); 8] = [
            (success(many(128)), Ok(())),
            (success(many(129)), Err(Nonsense::TooManyOps)),
            (success(vec![put_op("a"), nested(success(many(126)))]), Ok(())),
            (success(vec![put_op("a"), nested(success(many(127)))]), Err(Nonsense::TooManyOps)),
            (success(vec![empty.clone()]), Err(Nonsense::KeyNotFound)),
            (success(vec![put_op("a"), put_op("a"), empty]), Err(Nonsense::KeyNotFound)),
            (success(vec![put_op("a"), put_op("a"), put_op("")]), Err(Nonsense::KeyMissing)),
            (success(vec![put_op("a"), put_op("a")]), Err(Nonsense::DuplicateKey)),
        ];
        for (request, expected) in rows {
            assert_eq!(transaction(request, limits::TXN_OPS_MAX).map(|_| ()), expected);
        }
        let deep = (0..30).fold(success(Vec::new()), |inner, _| success(vec![nested(inner)]));
        assert_eq!(transaction(deep, limits::TXN_OPS_MAX), Err(Nonsense::TooManyOps));
    }

    #[test]
    fn unknown_numbers_are_taken_as_etcd_takes_them() {
        let condition = |target, result| {
            let request = proto::Compare { key: "k".into(), target, result, ..Default::default() };
            let parsed = compare(request).expect("no number is refused");
            (parsed.target, parsed.result)
        };
        let always = (CompareTarget::Version(-1), CompareResult::NotEqual);
        let never = (CompareTarget::Version(-1), CompareResult::Less);
        let exists = (CompareTarget::Version(0), CompareResult::Greater);
        for unknown in [-1, 5, 100] {
            assert_eq!(condition(unknown, 0), always);
            assert_eq!(condition(unknown, 4), always);
            (1..=3).for_each(|result| assert_eq!(condition(unknown, result), never));
        }
        assert_eq!(condition(0, 4), always);
        assert_eq!(condition(3, -1), exists, "nothing is told about the value of an absent key");
        let by_value = (SortOrder::None, SortTarget::Value);
        assert_eq!(sorting(0, 4), by_value);
        assert_eq!(sorting(3, 4), (SortOrder::None, SortTarget::Key));
        assert_eq!(sorting(2, 7), (SortOrder::Descend, SortTarget::Key));
    }

    #[test]
    fn a_negative_revision_is_the_present_but_not_in_a_transaction() {
        let request = proto::RangeRequest { key: "k".into(), revision: -2, ..Default::default() };
        assert_eq!(range(request.clone()).map(|(range, _)| range.revision), Ok(0));
        let within = RequestOp { request: Some(RequestOpKind::Range(request)) };
        let parsed = op(within, limits::TXN_OPS_MAX, limits::TXN_DEPTH_MAX);
        assert!(matches!(parsed, Ok(Op::Range(Range { revision: -2, .. }))));
    }

    #[test]
    fn reading_is_told_from_writing() {
        let rows = [
            (vec![], Some(true)),
            (vec![range_op(true)], Some(true)),
            (vec![range_op(true), range_op(false)], Some(false)),
            (vec![range_op(true), put_op("a")], None),
            (vec![nested(success(vec![range_op(true)]))], None),
        ];
        for (ops, expected) in rows {
            assert_eq!(read_only(&success(ops.clone())), expected);
            assert_eq!(read_only(&TxnRequest { failure: ops, ..Default::default() }), expected);
        }
    }
}
