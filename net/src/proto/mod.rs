//! The messages of etcd's v3 API as protobuf (proto3).
//!
//! Requests are structs that prost decodes; nothing in them has been checked yet. Answers full of
//! keys and values are never built as structs: [`answer`] writes them from the store's records,
//! sized first, and large ones only as the connection drains ([`Pieces`]).

mod answer;
mod kv;
mod member;
mod pieces;
mod wire;

pub use answer::{Header, answer};
pub use kv::{
    Compare, CompareTarget, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, RequestOpKind,
    TxnRequest,
};
pub use member::{
    HealthCheckRequest, HealthCheckResponse, Member, MemberAddRequest, MemberAddResponse,
    MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, ResponseHeader, StatusRequest, StatusResponse,
};
pub use pieces::{LAZY_BYTES_MIN, PieceWriter, Pieces, Place, WriteRecord};
