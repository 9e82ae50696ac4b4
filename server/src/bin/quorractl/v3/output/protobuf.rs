//! The answer as the server's gRPC sends it: the message's bytes, and no line end behind them.
//!
//! The messages of etcd's `rpc.proto` and `kv.proto`, of which the gateway spoke in JSON.

use std::io::{self, Write};

use prost::{Message, Oneof};
use quorra_net::proto::{Member, MemberAddResponse, MemberListResponse, ResponseHeader};

use super::super::message;

type Out<'a> = &'a mut dyn Write;

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(int64, tag = "2")]
    create_revision: i64,
    #[prost(int64, tag = "3")]
    mod_revision: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
    #[prost(int64, tag = "6")]
    lease: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
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
    header: Option<ResponseHeader>,
    #[prost(message, optional, tag = "2")]
    prev_kv: Option<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct DeleteRangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(int64, tag = "2")]
    deleted: i64,
    #[prost(message, repeated, tag = "3")]
    prev_kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(bool, tag = "2")]
    succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    responses: Vec<ResponseOp>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseOp {
    #[prost(oneof = "Response", tags = "1, 2, 3, 4")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Response {
    #[prost(message, tag = "1")]
    Range(RangeResponse),
    #[prost(message, tag = "2")]
    Put(PutResponse),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeResponse),
    #[prost(message, tag = "4")]
    Txn(TxnResponse),
}

impl From<&message::KeyValue> for KeyValue {
    fn from(pair: &message::KeyValue) -> Self {
        Self {
            key: pair.key.0.clone(),
            create_revision: pair.create_revision.0,
            mod_revision: pair.mod_revision.0,
            version: pair.version.0,
            value: pair.value.0.clone(),
            lease: pair.lease.0,
        }
    }
}

impl From<&message::RangeResponse> for RangeResponse {
    fn from(answer: &message::RangeResponse) -> Self {
        Self {
            header: header(answer.header.as_ref()),
            kvs: answer.kvs.iter().map(KeyValue::from).collect(),
            more: answer.more,
            count: answer.count.0,
        }
    }
}

impl From<&message::PutResponse> for PutResponse {
    fn from(answer: &message::PutResponse) -> Self {
        let prev_kv = answer.prev_kv.as_ref().map(KeyValue::from);
        Self { header: header(answer.header.as_ref()), prev_kv }
    }
}

impl From<&message::DeleteRangeResponse> for DeleteRangeResponse {
    fn from(answer: &message::DeleteRangeResponse) -> Self {
        Self {
            header: header(answer.header.as_ref()),
            deleted: answer.deleted.0,
            prev_kvs: answer.prev_kvs.iter().map(KeyValue::from).collect(),
        }
    }
}

impl From<&message::TxnResponse> for TxnResponse {
    fn from(answer: &message::TxnResponse) -> Self {
        let responses = answer.responses.iter().map(Response::from);
        Self {
            header: header(answer.header.as_ref()),
            succeeded: answer.succeeded,
            responses: responses.map(|it| ResponseOp { response: Some(it) }).collect(),
        }
    }
}

impl From<&message::ResponseOp> for Response {
    fn from(response: &message::ResponseOp) -> Self {
        match response {
            message::ResponseOp::Range(answer) => Self::Range(answer.into()),
            message::ResponseOp::Put(answer) => Self::Put(answer.into()),
            message::ResponseOp::DeleteRange(answer) => Self::DeleteRange(answer.into()),
            message::ResponseOp::Txn(answer) => Self::Txn(answer.into()),
        }
    }
}

/// One that is missing stays so: operations within a transaction may have none.
fn header(header: Option<&message::Header>) -> Option<ResponseHeader> {
    header.map(|header| ResponseHeader {
        cluster_id: header.cluster_id.0,
        member_id: header.member_id.0,
        revision: header.revision.0,
        raft_term: header.raft_term.0,
    })
}

fn member(member: &message::Member) -> Member {
    Member {
        id: member.id.0,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}

fn write(message: &impl Message, out: Out<'_>) -> io::Result<()> {
    out.write_all(&message.encode_to_vec())
}

pub(super) fn range(answer: &message::RangeResponse, out: Out<'_>) -> io::Result<()> {
    write(&RangeResponse::from(answer), out)
}

pub(super) fn put(answer: &message::PutResponse, out: Out<'_>) -> io::Result<()> {
    write(&PutResponse::from(answer), out)
}

pub(super) fn delete(answer: &message::DeleteRangeResponse, out: Out<'_>) -> io::Result<()> {
    write(&DeleteRangeResponse::from(answer), out)
}

pub(super) fn transaction(answer: &message::TxnResponse, out: Out<'_>) -> io::Result<()> {
    write(&TxnResponse::from(answer), out)
}

/// The only message with a member of its own is that of an added one: there the list has another
/// number.
pub(super) fn members(answer: &message::MembersResponse, out: Out<'_>) -> io::Result<()> {
    let header = header(answer.header.as_ref());
    let members = answer.members.iter().map(member).collect();
    match &answer.member {
        Some(added) => {
            write(&MemberAddResponse { header, member: Some(member(added)), members }, out)
        }
        None => write(&MemberListResponse { header, members }, out),
    }
}
