//! Messages of the services `Cluster`, `Maintenance` and `Health`, small enough to be structs.

use prost::Message;

/// `etcdserverpb.ResponseHeader`
#[derive(Clone, PartialEq, Message)]
pub struct ResponseHeader {
    /// The cluster.
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// Who answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// The store's revision.
    #[prost(int64, tag = "3")]
    pub revision: i64,
    /// The present term.
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}

/// `etcdserverpb.Member`
#[derive(Clone, PartialEq, Message)]
pub struct Member {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Empty until it has started.
    #[prost(string, tag = "2")]
    pub name: String,
    /// For members.
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    /// For clients; empty until it has started.
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    /// Whether it counts in no quorum.
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

/// `etcdserverpb.MemberListRequest`
#[derive(Clone, PartialEq, Message)]
pub struct MemberListRequest {
    /// Ask the leader first.
    #[prost(bool, tag = "1")]
    pub linearizable: bool,
}

/// `etcdserverpb.MemberListResponse`, and those of `MemberRemove`, `MemberUpdate` and
/// `MemberPromote`, which have the same fields.
#[derive(Clone, PartialEq, Message)]
pub struct MemberListResponse {
    /// Without a revision.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// By id.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

/// `etcdserverpb.MemberAddRequest`
#[derive(Clone, PartialEq, Message)]
pub struct MemberAddRequest {
    /// Where other members will reach it.
    #[prost(string, repeated, tag = "1")]
    pub peer_urls: Vec<String>,
    /// Whether it counts in no quorum.
    #[prost(bool, tag = "2")]
    pub is_learner: bool,
}

/// `etcdserverpb.MemberAddResponse`
#[derive(Clone, PartialEq, Message)]
pub struct MemberAddResponse {
    /// Without a revision.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The new one.
    #[prost(message, optional, tag = "2")]
    pub member: Option<Member>,
    /// All of them, by id.
    #[prost(message, repeated, tag = "3")]
    pub members: Vec<Member>,
}

/// `etcdserverpb.MemberRemoveRequest`
#[derive(Clone, PartialEq, Message)]
pub struct MemberRemoveRequest {
    /// Whom.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// `etcdserverpb.MemberUpdateRequest`
#[derive(Clone, PartialEq, Message)]
pub struct MemberUpdateRequest {
    /// Whom.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Where other members reach it from now on.
    #[prost(string, repeated, tag = "2")]
    pub peer_urls: Vec<String>,
}

/// `etcdserverpb.MemberPromoteRequest`
#[derive(Clone, PartialEq, Message)]
pub struct MemberPromoteRequest {
    /// Whom.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// `etcdserverpb.StatusRequest`
#[derive(Clone, PartialEq, Message)]
pub struct StatusRequest {}

/// `etcdserverpb.StatusResponse`
#[derive(Clone, PartialEq, Message)]
pub struct StatusResponse {
    /// See there.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The release that is spoken.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Bytes on disk.
    #[prost(int64, tag = "3")]
    pub db_size: i64,
    /// Zero if none is known.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// The committed index.
    #[prost(uint64, tag = "5")]
    pub raft_index: u64,
    /// The present term.
    #[prost(uint64, tag = "6")]
    pub raft_term: u64,
    /// The applied index.
    #[prost(uint64, tag = "7")]
    pub raft_applied_index: u64,
    /// What is wrong.
    #[prost(string, repeated, tag = "8")]
    pub errors: Vec<String>,
    /// Bytes that hold content.
    #[prost(int64, tag = "9")]
    pub db_size_in_use: i64,
    /// Whether this member is a learner.
    #[prost(bool, tag = "10")]
    pub is_learner: bool,
}

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckRequest {
    /// Empty is the whole server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckResponse {
    /// UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN.
    #[prost(int32, tag = "1")]
    pub status: i32,
}
