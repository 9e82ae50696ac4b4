//! The v3 API's words from a client's side: questions as protobuf or JSON, answers read back.
//!
//! The answers' messages are written down here once more, by etcd's own numbers, so that members
//! are read as etcd's clients read them and not as they write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use quorra_core::replica::{Failure, Request, Response};
use quorra_core::store::v3::{
    Answer, Compare, CompareResult, CompareTarget, DeleteRange, Interval, Op, Put, Range,
    RangeAnswer, Record, SortOrder, Txn, Write,
};
use quorra_net::proto;
use serde_json::{Value, json};

use super::talk::{Call, Fields, field};
use crate::check::{Violation, require};
use crate::history::Outcome;

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "1")]
    cluster: u64,
    #[prost(uint64, tag = "2")]
    member: u64,
    #[prost(int64, tag = "3")]
    revision: i64,
    #[prost(uint64, tag = "4")]
    term: u64,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(int64, tag = "2")]
    create: i64,
    #[prost(int64, tag = "3")]
    modified: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
    #[prost(int64, tag = "6")]
    lease: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    more: bool,
    #[prost(int64, tag = "4")]
    count: i64,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(message, optional, tag = "2")]
    previous: Option<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct DeleteRangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(int64, tag = "2")]
    deleted: i64,
    #[prost(message, repeated, tag = "3")]
    previous: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(bool, tag = "2")]
    succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    responses: Vec<ResponseOp>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseOp {
    #[prost(oneof = "ResponseKind", tags = "1, 2, 3, 4")]
    response: Option<ResponseKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ResponseKind {
    #[prost(message, tag = "1")]
    Range(RangeResponse),
    #[prost(message, tag = "2")]
    Put(PutResponse),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeResponse),
    #[prost(message, tag = "4")]
    Txn(TxnResponse),
}

/// A question over gRPC.
pub(super) fn call(request: &Request) -> Call {
    let (method, message) = match request {
        Request::V3Range { range, serializable } => {
            ("KV/Range", range_request(range, *serializable).encode_to_vec())
        }
        Request::V3ReadTxn { txn, serializable } => {
            ("KV/Txn", txn_request(txn, *serializable).encode_to_vec())
        }
        Request::V3Write(Write::Put(put)) => ("KV/Put", put_request(put).encode_to_vec()),
        Request::V3Write(Write::DeleteRange(delete)) => {
            ("KV/DeleteRange", delete_request(delete).encode_to_vec())
        }
        Request::V3Write(Write::Txn(txn)) => ("KV/Txn", txn_request(txn, false).encode_to_vec()),
        _ => ("Cluster/MemberList", Vec::new()),
    };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).expect("questions are small"));
    body.put_slice(&message);
    let target = format!("/etcdserverpb.{method}");
    let (method, media, authorization) = ("POST", "application/grpc", None);
    Call { method, target, media, authorization, body: body.freeze() }
}

fn ends(interval: &Interval) -> (Bytes, Bytes) {
    match interval {
        Interval::Key(key) => (key.clone(), Bytes::new()),
        Interval::Between(first, end) => (first.clone(), end.clone()),
        Interval::From(first) => (first.clone(), Bytes::from_static(b"\0")),
    }
}

fn range_request(range: &Range, serializable: bool) -> proto::RangeRequest {
    let (key, range_end) = ends(&range.interval);
    proto::RangeRequest {
        key,
        range_end,
        limit: i64::try_from(range.limit).expect("limits are small"),
        revision: range.revision,
        sort_order: order_number(range.order),
        serializable,
        keys_only: range.keys_only,
        count_only: range.count_only,
        ..Default::default()
    }
}

fn order_number(order: SortOrder) -> i32 {
    match order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    }
}

fn put_request(put: &Put) -> proto::PutRequest {
    let value = put.value.clone().unwrap_or_default();
    proto::PutRequest { key: put.key.clone(), value, prev_kv: put.previous, ..Default::default() }
}

fn delete_request(delete: &DeleteRange) -> proto::DeleteRangeRequest {
    let (key, range_end) = ends(&delete.interval);
    proto::DeleteRangeRequest { key, range_end, prev_kv: delete.previous }
}

fn txn_request(txn: &Txn, serializable: bool) -> proto::TxnRequest {
    let ops = |ops: &[Op]| ops.iter().map(|op| op_request(op, serializable)).collect();
    let compare = txn.compares.iter().map(compare_request).collect();
    proto::TxnRequest { compare, success: ops(&txn.success), failure: ops(&txn.failure) }
}

fn op_request(op: &Op, serializable: bool) -> proto::RequestOp {
    use proto::RequestOpKind as Kind;
    let kind = match op {
        Op::Range(range) => Kind::Range(range_request(range, serializable)),
        Op::Put(put) => Kind::Put(put_request(put)),
        Op::DeleteRange(delete) => Kind::DeleteRange(delete_request(delete)),
        Op::Txn(txn) => Kind::Txn(txn_request(txn, serializable)),
    };
    proto::RequestOp { request: Some(kind) }
}

fn compare_request(compare: &Compare) -> proto::Compare {
    use proto::CompareTarget as Given;
    let (key, range_end) = ends(&compare.interval);
    let (target, given) = match &compare.target {
        CompareTarget::Version(version) => (0, Given::Version(*version)),
        CompareTarget::Create(revision) => (1, Given::CreateRevision(*revision)),
        CompareTarget::Mod(revision) => (2, Given::ModRevision(*revision)),
        CompareTarget::Value(value) => (3, Given::Value(value.clone())),
        CompareTarget::Lease(lease) => (4, Given::Lease(*lease)),
    };
    let result = match compare.result {
        CompareResult::Equal => 0,
        CompareResult::Greater => 1,
        CompareResult::Less => 2,
        CompareResult::NotEqual => 3,
    };
    proto::Compare { result, target, key, target_union: Some(given), range_end }
}

/// What an answer over gRPC says to a request.
///
/// # Errors
/// When no member may answer so.
pub(super) fn outcome(
    request: &Request,
    body: &Bytes,
    trailers: &Fields,
) -> Result<Outcome, Violation> {
    let status = field(trailers, "grpc-status");
    let text = field(trailers, "grpc-message").unwrap_or_default();
    if status != Some("0") {
        return refusal(status.unwrap_or("no status"), text);
    }
    let prefix = body.get(..5).ok_or_else(|| Violation("an answer without a message".into()))?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    require(prefix[0] == 0 && body.len() == 5 + length as usize, || {
        format!("a message of {length} bytes in a body of {}", body.len())
    })?;
    let message = body.slice(5..);
    let read = match request {
        Request::V3Range { range, .. } => {
            RangeResponse::decode(message).map(|answer| range_answer(range, answer))
        }
        Request::V3ReadTxn { txn, .. } | Request::V3Write(Write::Txn(txn)) => {
            TxnResponse::decode(message).map(|answer| txn_answer(txn, answer))
        }
        Request::V3Write(Write::Put(_)) => PutResponse::decode(message).map(put_answer),
        Request::V3Write(Write::DeleteRange(_)) => {
            DeleteRangeResponse::decode(message).map(delete_answer)
        }
        _ => return Ok(Outcome::Answered(Default::default(), Box::new(Response::Done))),
    };
    let answer = read.map_err(|error| Violation(format!("{request:?}: {error}")))?;
    Ok(Outcome::Answered(Default::default(), Box::new(Response::V3(Ok(answer)))))
}

/// Why a member refused, from a status and a text.
fn refusal(status: &str, text: &str) -> Result<Outcome, Violation> {
    let failure = match (status, text) {
        ("3", "etcdserver: request is too large") => Failure::TooLarge,
        ("8", "etcdserver: too many requests") => Failure::TooManyRequests,
        ("8", "etcdserver: mvcc: database space exceeded") => Failure::NoSpace,
        ("14", _) | ("4", _) => Failure::Timeout,
        _ => return Err(Violation(format!("a good request is refused: {status} {text}"))),
    };
    Ok(Outcome::Refused(failure))
}

fn revision(header: Option<Header>) -> i64 {
    header.map_or(0, |header| header.revision)
}

fn record(pair: &KeyValue) -> Record {
    let KeyValue { create, modified, version, lease, .. } = *pair;
    Record::new(create, modified, version, lease, &pair.key, &pair.value)
}

fn range_answer(range: &Range, answer: RangeResponse) -> Answer {
    Answer::Range(RangeAnswer {
        revision: revision(answer.header),
        records: answer.kvs.iter().map(record).collect(),
        keys_only: range.keys_only,
        more: answer.more,
        count: answer.count.try_into().unwrap_or(u64::MAX),
    })
}

fn put_answer(answer: PutResponse) -> Answer {
    let previous = answer.previous.as_ref().map(record);
    Answer::Put { revision: revision(answer.header), previous }
}

fn delete_answer(answer: DeleteRangeResponse) -> Answer {
    Answer::DeleteRange {
        revision: revision(answer.header),
        deleted: answer.deleted.try_into().unwrap_or(u64::MAX),
        previous: answer.previous.iter().map(record).collect(),
    }
}

fn txn_answer(txn: &Txn, answer: TxnResponse) -> Answer {
    let ops = if answer.succeeded { &txn.success } else { &txn.failure };
    let answers = answer.responses.into_iter().enumerate();
    let answers = answers.filter_map(|(place, answer)| {
        Some(match (answer.response?, ops.get(place)?) {
            (ResponseKind::Range(answer), Op::Range(range)) => range_answer(range, answer),
            (ResponseKind::Put(answer), _) => put_answer(answer),
            (ResponseKind::DeleteRange(answer), _) => delete_answer(answer),
            (ResponseKind::Txn(answer), Op::Txn(txn)) => txn_answer(txn, answer),
            _ => return None,
        })
    });
    let revision = revision(answer.header);
    Answer::Txn { revision, succeeded: answer.succeeded, answers: answers.collect() }
}

/// A question over the JSON gateway, if it is one of those that are asked there.
pub(super) fn gateway_call(request: &Request) -> Option<Call> {
    let text = |bytes: &Bytes| STANDARD.encode(bytes);
    let (path, body) = match request {
        Request::V3Range { range, serializable } => {
            let (key, end) = ends(&range.interval);
            let body = json!({
                "key": text(&key),
                "range_end": text(&end),
                "limit": range.limit.to_string(),
                "sort_order": (["NONE", "ASCEND", "DESCEND"][order_number(range.order) as usize]),
                "serializable": serializable,
                "keys_only": range.keys_only,
                "count_only": range.count_only,
            });
            ("range", body)
        }
        Request::V3Write(Write::Put(put)) => {
            let value = text(put.value.as_ref()?);
            let key = text(&put.key);
            ("put", json!({ "key": key, "value": value, "prev_kv": put.previous }))
        }
        Request::V3Write(Write::DeleteRange(delete)) => {
            let (key, end) = ends(&delete.interval);
            let (key, end) = (text(&key), text(&end));
            ("deleterange", json!({ "key": key, "range_end": end, "prev_kv": delete.previous }))
        }
        _ => return None,
    };
    let target = format!("/v3/kv/{path}");
    let (method, media, authorization) = ("POST", "application/json", None);
    Some(Call { method, target, media, authorization, body: body.to_string().into() })
}

/// What an answer of the JSON gateway says to a request.
///
/// # Errors
/// When no member may answer so.
pub(super) fn gateway_outcome(
    request: &Request,
    status: u16,
    body: &[u8],
) -> Result<Outcome, Violation> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Violation(format!("{error} in {:?}", String::from_utf8_lossy(body))))?;
    if status != 200 {
        let code = value["code"].as_u64().unwrap_or(0).to_string();
        return refusal(&code, value["message"].as_str().unwrap_or_default());
    }
    let revision = number(&value["header"]["revision"]);
    let list = |name: &str| {
        let pairs = value[name].as_array().map(Vec::as_slice).unwrap_or_default();
        pairs.iter().map(pair).collect()
    };
    let unsigned = |name: &str| u64::try_from(number(&value[name])).unwrap_or(u64::MAX);
    let answer = match request {
        Request::V3Range { range, .. } => Answer::Range(RangeAnswer {
            revision,
            records: list("kvs"),
            keys_only: range.keys_only,
            more: value["more"] == Value::Bool(true),
            count: unsigned("count"),
        }),
        Request::V3Write(Write::Put(_)) => {
            let previous = value.get("prev_kv").map(pair);
            Answer::Put { revision, previous }
        }
        _ => Answer::DeleteRange {
            revision,
            deleted: unsigned("deleted"),
            previous: list("prev_kvs"),
        },
    };
    Ok(Outcome::Answered(Default::default(), Box::new(Response::V3(Ok(answer)))))
}

/// A 64-bit number, which JSON carries as a text.
fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn pair(value: &Value) -> Record {
    let bytes = |name: &str| {
        let text = value[name].as_str().unwrap_or_default();
        STANDARD.decode(text).unwrap_or_else(|_| b"not base64".to_vec())
    };
    let number = |name: &str| number(&value[name]);
    Record::new(
        number("create_revision"),
        number("mod_revision"),
        number("version"),
        number("lease"),
        &bytes("key"),
        &bytes("value"),
    )
}
