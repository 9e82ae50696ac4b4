//! The error table of the v2 API, and how an error is answered.

use bytes::{Bytes, BytesMut};
use quorra_core::identity::ClusterId;
use quorra_core::replica::Failure;
use quorra_core::store::v2::{Error, ErrorKind};

use super::json;
use crate::http::Response;

/// A number of etcd's table that is raised here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u16);

impl Code {
    pub(super) const UNAUTHORIZED: Self = Self(110);
    pub(super) const PREVIOUS_VALUE_REQUIRED: Self = Self(201);
    pub(super) const TTL_NOT_A_NUMBER: Self = Self(202);
    pub(super) const INDEX_NOT_A_NUMBER: Self = Self(203);
    pub(super) const INVALID_FIELD: Self = Self(209);
    pub(super) const INVALID_FORM: Self = Self(210);
    pub(super) const REFRESH_VALUE: Self = Self(211);
    pub(super) const REFRESH_TTL_REQUIRED: Self = Self(212);
    pub(super) const RAFT_INTERNAL: Self = Self(300);

    fn of(kind: ErrorKind) -> Self {
        Self(match kind {
            ErrorKind::KeyNotFound => 100,
            ErrorKind::CompareFailed => 101,
            ErrorKind::NotFile => 102,
            ErrorKind::NotDirectory => 104,
            ErrorKind::NodeExists => 105,
            ErrorKind::RootReadOnly => 107,
            ErrorKind::DirectoryNotEmpty => 108,
            ErrorKind::Unauthorized => 110,
            ErrorKind::EventIndexCleared => 401,
        })
    }

    fn message(self) -> &'static str {
        match self.0 {
            100 => "Key not found",
            101 => "Compare failed",
            102 => "Not a file",
            104 => "Not a directory",
            105 => "Key already exists",
            107 => "Root is read only",
            108 => "Directory not empty",
            110 => "The request requires user authentication",
            201 => "PrevValue is Required in POST form",
            202 => "The given TTL in POST form is not a number",
            203 => "The given index in POST form is not a number",
            209 => "Invalid field",
            210 => "Invalid POST form",
            211 => "Value provided on refresh",
            212 => "A TTL must be provided on refresh",
            300 => "Raft Internal Error",
            401 => "The event in requested index is outdated and cleared",
            other => unreachable!("{other} has no row here"),
        }
    }

    fn status(self) -> u16 {
        match self.0 {
            100 => 404,
            102 | 108 => 403,
            110 => 401,
            101 | 105 => 412,
            300 => 500,
            _ => 400,
        }
    }
}

/// An error as it is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) cause: Bytes,
    /// The store's index; 0 if the request did not get to the store.
    pub(super) index: u64,
}

impl Refusal {
    /// A refusal before the store is asked.
    pub(super) fn early(code: Code, cause: impl Into<Bytes>) -> Self {
        Self { code, cause: cause.into(), index: 0 }
    }

    /// The store's.
    pub(super) fn of_store(error: Error) -> Self {
        let code = Code::of(error.kind);
        // etcd checks permission in front of the store, where it knows no index.
        let index = if code == Code::UNAUTHORIZED { 0 } else { error.index };
        Self { code, cause: error.cause, index }
    }

    /// The replica's: nothing came of it, or nothing that is known.
    pub(super) fn of_failure(failure: Failure) -> Self {
        Self::early(Code::RAFT_INTERNAL, internal_text(failure).as_bytes())
    }

    /// The answer. It tells nothing of Raft, unlike a success.
    pub(super) fn response(&self, cluster: ClusterId) -> Response {
        let mut body = BytesMut::with_capacity(96 + self.cause.len());
        json::put_raw(&mut body, "{\"errorCode\":");
        json::put_number(&mut body, u64::from(self.code.0));
        json::put_raw(&mut body, ",\"message\":");
        json::put_string(&mut body, self.code.message().as_bytes());
        if !self.cause.is_empty() {
            json::put_raw(&mut body, ",\"cause\":");
            json::put_string(&mut body, &self.cause);
        }
        json::put_raw(&mut body, ",\"index\":");
        json::put_number(&mut body, self.index);
        json::put_raw(&mut body, "}\n");
        Response::new(self.code.status(), body)
            .with("Content-Type", &b"application/json"[..])
            .with("X-Etcd-Cluster-Id", cluster.to_string())
            .with("X-Etcd-Index", json::number(self.index))
    }
}

/// etcd's words for what went wrong behind the API.
fn internal_text(failure: Failure) -> &'static str {
    match failure {
        Failure::Timeout => "etcdserver: request timed out",
        Failure::TimeoutLeaderLost => {
            "etcdserver: request timed out, possibly due to previous leader failure"
        }
        Failure::TimeoutDisconnected => {
            "etcdserver: request timed out, possibly due to connection lost"
        }
        Failure::LeaderChanged => "etcdserver: leader changed",
        Failure::NoLeader => "etcdserver: no leader",
        Failure::NotLeader => "etcdserver: not leader",
        Failure::TooLarge => "etcdserver: request is too large",
        Failure::TooManyRequests => "etcdserver: too many requests",
        Failure::NoSpace => "etcdserver: no space",
        Failure::Stopped => "etcdserver: server stopped",
        Failure::BadTransferee => "etcdserver: bad leader transferee",
        Failure::Membership(_) => "etcdserver: membership change refused",
        Failure::Learner => "etcdserver: rpc not supported for learner",
    }
}
