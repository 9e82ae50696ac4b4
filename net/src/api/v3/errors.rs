//! Every error of the v3 API: its code and its text, in one place (reference, section 12).

use quorra_core::replica::Failure;
use quorra_core::store::membership::Refusal;
use quorra_core::store::v3::Error;

use crate::grpc::{Code, Status};

/// Why a request is nonsense before anything looks at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nonsense {
    /// An empty key.
    KeyMissing,
    /// An operation of a transaction that says nothing.
    KeyNotFound,
    /// A value beside `ignore_value`.
    ValueGiven,
    /// A lease beside `ignore_lease`.
    LeaseGiven,
    /// A transaction is too long, or too deep.
    TooManyOps,
    /// A transaction writes a key twice.
    DuplicateKey,
    /// The encoded command would be longer than `--max-request-bytes`.
    TooLarge,
    /// Peer URLs that are none.
    MemberUrls,
    /// `client-api-version` is no text.
    ApiVersion,
}

impl From<Nonsense> for Status {
    fn from(nonsense: Nonsense) -> Self {
        let text = match nonsense {
            Nonsense::KeyMissing => "etcdserver: key is not provided",
            Nonsense::KeyNotFound => "etcdserver: key not found",
            Nonsense::ValueGiven => "etcdserver: value is provided",
            Nonsense::LeaseGiven => "etcdserver: lease is provided",
            Nonsense::TooManyOps => "etcdserver: too many operations in txn request",
            Nonsense::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Nonsense::TooLarge => "etcdserver: request is too large",
            Nonsense::MemberUrls => "etcdserver: given member URLs are invalid",
            Nonsense::ApiVersion => "etcdserver: invalid client api version",
        };
        Self::new(Code::InvalidArgument, text)
    }
}

/// What the store says.
pub(super) fn of_store(error: Error) -> Status {
    let (code, text) = match error {
        Error::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
        Error::LeaseNotFound => (Code::NotFound, "etcdserver: requested lease not found"),
        Error::Compacted => {
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted")
        }
        Error::FutureRevision => {
            (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision")
        }
    };
    Status::new(code, text)
}

/// What keeps the replica from carrying a request out.
pub(super) fn of_replica(failure: Failure) -> Status {
    let (code, text) = match failure {
        Failure::Timeout => (Code::Unavailable, "etcdserver: request timed out"),
        Failure::TimeoutLeaderLost => (
            Code::Unavailable,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        Failure::TimeoutDisconnected => {
            (Code::Unavailable, "etcdserver: request timed out, possibly due to connection lost")
        }
        Failure::LeaderChanged => (Code::Unavailable, "etcdserver: leader changed"),
        Failure::NoLeader => (Code::Unavailable, "etcdserver: no leader"),
        Failure::NotLeader => (Code::FailedPrecondition, "etcdserver: not leader"),
        Failure::TooLarge => (Code::InvalidArgument, "etcdserver: request is too large"),
        Failure::TooManyRequests => (Code::ResourceExhausted, "etcdserver: too many requests"),
        Failure::NoSpace => (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
        Failure::Stopped => (Code::Unavailable, "etcdserver: server stopped"),
        Failure::BadTransferee => (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
        Failure::Membership(refusal) => of_membership(refusal),
        Failure::Learner => (Code::Unavailable, "etcdserver: rpc not supported for learner"),
    };
    Status::new(code, text)
}

fn of_membership(refusal: Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::IdExists => (Code::FailedPrecondition, "etcdserver: member ID already exist"),
        Refusal::PeerUrlExists => {
            (Code::FailedPrecondition, "etcdserver: Peer URLs already exists")
        }
        Refusal::NotFound | Refusal::Removed => (Code::NotFound, "etcdserver: member not found"),
        Refusal::NotLearner => {
            (Code::FailedPrecondition, "etcdserver: can only promote a learner member")
        }
        Refusal::LearnerNotReady => (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        Refusal::TooManyLearners => {
            (Code::FailedPrecondition, "etcdserver: too many learner members in cluster")
        }
        Refusal::NotEnoughStarted => (
            Code::FailedPrecondition,
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        Refusal::Unhealthy => (Code::Unavailable, "etcdserver: unhealthy cluster"),
    }
}
