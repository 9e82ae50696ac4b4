//! The requests of the service `etcdserverpb.KV`.

use bytes::Bytes;
use prost::{Message, Oneof};

/// `etcdserverpb.RangeRequest`
#[derive(Clone, PartialEq, Message)]
pub struct RangeRequest {
    /// The first key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Empty: only the key. One zero byte: all keys from there. Else where the range ends.
    #[prost(bytes = "bytes", tag = "2")]
    pub range_end: Bytes,
    /// The most pairs to answer; none if not positive.
    #[prost(int64, tag = "3")]
    pub limit: i64,
    /// At which revision; the present one if not positive.
    #[prost(int64, tag = "4")]
    pub revision: i64,
    /// NONE, ASCEND, DESCEND.
    #[prost(int32, tag = "5")]
    pub sort_order: i32,
    /// KEY, VERSION, CREATE, MOD, VALUE.
    #[prost(int32, tag = "6")]
    pub sort_target: i32,
    /// Answer from the local store.
    #[prost(bool, tag = "7")]
    pub serializable: bool,
    /// Leave values out.
    #[prost(bool, tag = "8")]
    pub keys_only: bool,
    /// Only count.
    #[prost(bool, tag = "9")]
    pub count_only: bool,
    /// Inclusive; zero is none.
    #[prost(int64, tag = "10")]
    pub min_mod_revision: i64,
    /// Inclusive; zero is none.
    #[prost(int64, tag = "11")]
    pub max_mod_revision: i64,
    /// Inclusive; zero is none.
    #[prost(int64, tag = "12")]
    pub min_create_revision: i64,
    /// Inclusive; zero is none.
    #[prost(int64, tag = "13")]
    pub max_create_revision: i64,
}

/// `etcdserverpb.PutRequest`
#[derive(Clone, PartialEq, Message)]
pub struct PutRequest {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Its value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// The lease to attach; zero is none.
    #[prost(int64, tag = "3")]
    pub lease: i64,
    /// Answer the pair before.
    #[prost(bool, tag = "4")]
    pub prev_kv: bool,
    /// Keep the value.
    #[prost(bool, tag = "5")]
    pub ignore_value: bool,
    /// Keep the lease.
    #[prost(bool, tag = "6")]
    pub ignore_lease: bool,
}

/// `etcdserverpb.DeleteRangeRequest`
#[derive(Clone, PartialEq, Message)]
pub struct DeleteRangeRequest {
    /// As in a range.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// As in a range.
    #[prost(bytes = "bytes", tag = "2")]
    pub range_end: Bytes,
    /// Answer the pairs before.
    #[prost(bool, tag = "3")]
    pub prev_kv: bool,
}

/// `etcdserverpb.Compare`
#[derive(Clone, PartialEq, Message)]
pub struct Compare {
    /// EQUAL, GREATER, LESS, NOT_EQUAL.
    #[prost(int32, tag = "1")]
    pub result: i32,
    /// VERSION, CREATE, MOD, VALUE, LEASE.
    #[prost(int32, tag = "2")]
    pub target: i32,
    /// As in a range.
    #[prost(bytes = "bytes", tag = "3")]
    pub key: Bytes,
    /// What is compared with.
    #[prost(oneof = "CompareTarget", tags = "4, 5, 6, 7, 8")]
    pub target_union: Option<CompareTarget>,
    /// As in a range.
    #[prost(bytes = "bytes", tag = "64")]
    pub range_end: Bytes,
}

/// The oneof `Compare.target_union`.
#[derive(Clone, PartialEq, Oneof)]
pub enum CompareTarget {
    /// How often the key was put.
    #[prost(int64, tag = "4")]
    Version(i64),
    /// The revision that created it.
    #[prost(int64, tag = "5")]
    CreateRevision(i64),
    /// The revision that last changed it.
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    /// The value.
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
    /// The lease.
    #[prost(int64, tag = "8")]
    Lease(i64),
}

/// `etcdserverpb.RequestOp`
#[derive(Clone, PartialEq, Message)]
pub struct RequestOp {
    /// One operation.
    #[prost(oneof = "RequestOpKind", tags = "1, 2, 3, 4")]
    pub request: Option<RequestOpKind>,
}

/// The oneof `RequestOp.request`.
#[derive(Clone, PartialEq, Oneof)]
pub enum RequestOpKind {
    /// A read.
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    /// A write.
    #[prost(message, tag = "2")]
    Put(PutRequest),
    /// A removal.
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeRequest),
    /// A transaction within.
    #[prost(message, tag = "4")]
    Txn(TxnRequest),
}

/// `etcdserverpb.TxnRequest`
#[derive(Clone, PartialEq, Message)]
pub struct TxnRequest {
    /// All must hold.
    #[prost(message, repeated, tag = "1")]
    pub compare: Vec<Compare>,
    /// What is done then.
    #[prost(message, repeated, tag = "2")]
    pub success: Vec<RequestOp>,
    /// What is done otherwise.
    #[prost(message, repeated, tag = "3")]
    pub failure: Vec<RequestOp>,
}
