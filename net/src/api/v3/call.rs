//! One call, from its request to its answer.

use bytes::{Bytes, BytesMut};
use prost::Message;
use quorra_core::identity::MemberId;
use quorra_core::limits;
use quorra_core::replica::{self, Reply, Response as Content};
use quorra_core::store::membership::Change;
use quorra_core::store::v3::{self, Write};
use quorra_core::time::{Duration, Instant};
use serde::de::DeserializeOwned;

use super::errors::{self, Nonsense};
use super::{Method, cluster, parse};
use crate::api::front::{self, VERSION};
use crate::api::{Begun, Exchange, Outcome, View};
use crate::grpc::{self, Code, Status};
use crate::http::{Body, Headers, Request, Response};
use crate::proto::{self, Header};
use crate::{api::gateway, json};

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Format {
    /// Protobuf over HTTP/2.
    Grpc,
    /// JSON over HTTP.
    Json,
}

/// What a call turns into.
pub(super) enum Begin {
    /// A question to the replica.
    Ask(replica::Request),
    /// An answer at once.
    Answer(Response),
}

/// A call that waits for the replica.
#[derive(Debug)]
struct Call {
    format: Format,
    /// The method's place among those that are counted.
    place: usize,
    began: Instant,
    /// The member that it adds.
    adds: Option<MemberId>,
    deadline: Option<Instant>,
}

/// Begins a call of this method.
pub(in crate::api) fn begin_as(
    format: Format,
    method: Method,
    request: &Request,
    view: View<'_>,
) -> Begun {
    let place = method.place();
    let counted = &view.statistics.requests.calls[place];
    counted.begun();
    let begun = check_metadata(format, &request.headers, view).and_then(|deadline| {
        begin(format, method, &request.body, view).map(|begun| (begun, deadline))
    });
    match begun {
        Ok((Begin::Ask(question), deadline)) => {
            let adds = match &question {
                replica::Request::ChangeMembership(Change::Add(member)) => Some(member.id),
                _ => None,
            };
            let began = view.now.monotonic;
            let call = Call { format, place, began, adds, deadline };
            (Outcome::Ask(Box::new(question)), Some(Box::new(call)))
        }
        Ok((Begin::Answer(response), _)) => {
            counted.ended(Code::Ok, Duration::ZERO);
            front::respond(response)
        }
        Err(status) => {
            counted.ended(status.code, Duration::ZERO);
            front::respond(format.failed(&status))
        }
    }
}

/// What a client demands beside its request (reference, section 4), and its deadline.
fn check_metadata(
    format: Format,
    headers: &Headers,
    view: View<'_>,
) -> Result<Option<Instant>, Status> {
    let timeout = format.timeout(headers)?;
    if timeout == Some(Duration::ZERO) {
        return Err(deadline_exceeded());
    }
    let version = format.metadata(headers, "client-api-version").unwrap_or_default();
    if std::str::from_utf8(version).is_err() {
        return Err(Nonsense::ApiVersion.into());
    }
    let needs_leader = format.metadata(headers, "hasleader") == Some(b"true");
    if needs_leader && view.replica.status().leader.is_none() {
        return Err(errors::of_replica(replica::Failure::NoLeader));
    }
    Ok(timeout.map(|timeout| view.now.monotonic + timeout))
}

fn deadline_exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, "context deadline exceeded")
}

fn begin(format: Format, method: Method, body: &Bytes, view: View<'_>) -> Result<Begin, Status> {
    Ok(Begin::Ask(match method {
        Method::Range => {
            let (range, serializable) = parse::range(format.read(body)?)?;
            replica::Request::V3Range { range, serializable }
        }
        Method::Put => {
            let request: proto::PutRequest = format.read(body)?;
            let bytes = format.message_bytes(body, &request, view)?;
            let put = parse::put(request)?;
            write(Write::Put(put), bytes, view)?
        }
        Method::DeleteRange => {
            let request: proto::DeleteRangeRequest = format.read(body)?;
            let bytes = format.message_bytes(body, &request, view)?;
            write(Write::DeleteRange(parse::delete_range(request)?), bytes, view)?
        }
        Method::Txn => transaction(format, body, view)?,
        Method::MemberList => return cluster::list(format, body, view),
        Method::MemberAdd => change(cluster::add(format, body, view)?),
        Method::MemberRemove => change(cluster::remove(format, body)?),
        Method::MemberUpdate => change(cluster::update(format, body, view)?),
        Method::MemberPromote => change(cluster::promote(format, body)?),
        Method::Status => {
            let proto::StatusRequest {} = format.read(body)?;
            return Ok(Begin::Answer(format.status(view)));
        }
        Method::HealthCheck => return health(body).map(Begin::Answer),
        Method::Missing(name) => return Err(missing(name)),
    }))
}

fn transaction(format: Format, body: &Bytes, view: View<'_>) -> Result<replica::Request, Status> {
    let request: proto::TxnRequest = format.read(body)?;
    let bytes = format.message_bytes(body, &request, view)?;
    let read_only = parse::read_only(&request);
    let txn = parse::transaction(request, view.options.v3.txn_ops_max)?;
    match read_only {
        Some(serializable) => Ok(replica::Request::V3ReadTxn { txn, serializable }),
        None => write(Write::Txn(txn), bytes, view),
    }
}

/// A change, if the entry that etcd would make of it is not too large: the message within an
/// `InternalRaftRequest`, beside a header with a 64-bit id.
fn write(change: Write, message_bytes: usize, view: View<'_>) -> Result<replica::Request, Status> {
    const ENVELOPE_BYTES: usize = 18;
    if message_bytes + ENVELOPE_BYTES > view.options.request_bytes_max {
        return Err(Nonsense::TooLarge.into());
    }
    Ok(replica::Request::V3Write(change))
}

fn change(change: Change) -> replica::Request {
    replica::Request::ChangeMembership(change)
}

fn health(body: &Bytes) -> Result<Response, Status> {
    const SERVING: i32 = 1;
    let request: proto::HealthCheckRequest = Format::decode(body)?;
    if !request.service.is_empty() {
        return Err(Status::new(Code::NotFound, "unknown service"));
    }
    Ok(framed(&proto::HealthCheckResponse { status: SERVING }))
}

fn missing(name: &str) -> Status {
    Status::new(Code::Unimplemented, format!("etcdserver: {name} is not served by this release"))
}

impl Exchange for Call {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        let answered = match reply.outcome {
            Ok(Content::V3(Ok(answer))) => Ok(self.format.answer(&reply.header, answer, view)),
            Ok(Content::V3(Err(error))) => Err(errors::of_store(error)),
            Ok(Content::Members(members)) => {
                Ok(cluster::answer(self.format, view, self.adds, members.iter()))
            }
            Err(failure) => Err(errors::of_replica(failure)),
            Ok(_) => unreachable!("the replica answers what it was asked"),
        };
        self.end(answered, view)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_deadline(&mut self, view: View<'_>) -> Outcome {
        self.end(Err(deadline_exceeded()), view)
    }
}

impl Call {
    fn end(&self, answered: Result<Response, Status>, view: View<'_>) -> Outcome {
        let code = answered.as_ref().map_or_else(|status| status.code, |_| Code::Ok);
        let took = view.now.monotonic.since(self.began);
        view.statistics.requests.calls[self.place].ended(code, took);
        Outcome::Respond(answered.unwrap_or_else(|status| self.format.failed(&status)))
    }
}

impl Format {
    /// A field of a call's metadata; the gateway hands on those with a prefix.
    fn metadata<'a>(self, headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Grpc => headers.first(name),
            Self::Json if name == "grpc-timeout" => headers.first(name),
            Self::Json => headers.first(&format!("grpc-metadata-{name}")),
        }
    }

    /// How long the client waits. Only the gateway refuses what is no time.
    fn timeout(self, headers: &Headers) -> Result<Option<Duration>, Status> {
        let Some(given) = self.metadata(headers, "grpc-timeout") else { return Ok(None) };
        let timeout = grpc::timeout(given);
        if timeout.is_none() && self == Self::Json && !given.is_empty() {
            let given = String::from_utf8_lossy(given);
            let text = format!("invalid grpc-timeout: {given}");
            return Err(Status::new(Code::InvalidArgument, text));
        }
        Ok(timeout)
    }

    /// The request's message.
    pub(super) fn read<M: Message + Default + DeserializeOwned>(
        self,
        body: &Bytes,
    ) -> Result<M, Status> {
        match self {
            Self::Grpc => Self::decode(body),
            Self::Json => json::read(body).map_err(|text| Status::new(Code::InvalidArgument, text)),
        }
    }

    fn decode<M: Message + Default>(body: &Bytes) -> Result<M, Status> {
        M::decode(body.clone()).map_err(|error| {
            let text = format!("grpc: error unmarshalling request: {error}");
            Status::new(Code::Internal, text)
        })
    }

    /// How long the request is as protobuf, which is how the gateway hands it on.
    fn message_bytes(
        self,
        body: &Bytes,
        message: &impl Message,
        view: View<'_>,
    ) -> Result<usize, Status> {
        if self == Self::Grpc {
            return Ok(body.len());
        }
        let bytes = message.encoded_len();
        let bytes_max = view.options.request_bytes_max + limits::REQUEST_OVERHEAD_BYTES;
        if bytes > bytes_max {
            return Err(grpc::Refusal::TooLong { bytes, bytes_max }.into());
        }
        Ok(bytes)
    }

    /// The answer that a call failed.
    fn failed(self, status: &Status) -> Response {
        match self {
            Self::Grpc => status.response(),
            Self::Json => gateway::failed(status),
        }
    }

    fn answer(self, header: &replica::Header, answer: v3::Answer, view: View<'_>) -> Response {
        let (v3::Answer::Range(v3::RangeAnswer { revision, .. })
        | v3::Answer::Put { revision, .. }
        | v3::Answer::DeleteRange { revision, .. }
        | v3::Answer::Txn { revision, .. }) = &answer;
        let header = Header { revision: *revision, term: header.term.0, ..of_member(view) };
        match self {
            Self::Grpc => grpc::respond(proto::answer(&header, answer)),
            Self::Json => gateway::succeeded(json::answer(&header, answer)),
        }
    }

    fn status(self, view: View<'_>) -> Response {
        let header = of_member(view);
        let mut status = member_status(view);
        match self {
            Self::Grpc => {
                status.header = message(&header);
                framed(&status)
            }
            Self::Json => gateway::succeeded(Body::Full(json::status(&header, &status))),
        }
    }
}

/// The header of an answer by this member, as of now.
pub(super) fn of_member(view: View<'_>) -> Header {
    let status = view.replica.status();
    Header {
        cluster: status.cluster.0,
        member: status.member.0,
        revision: view.replica.header().revision,
        term: status.term.0,
    }
}

pub(super) fn message(header: &Header) -> Option<proto::ResponseHeader> {
    Some(proto::ResponseHeader {
        cluster_id: header.cluster,
        member_id: header.member,
        revision: header.revision,
        raft_term: header.term,
    })
}

/// Sizes are told in whole pages, as of etcd's file: monitoring divides by them.
fn member_status(view: View<'_>) -> proto::StatusResponse {
    const PAGE_BYTES: u64 = 4096;
    let pages = |bytes: u64| bytes.div_ceil(PAGE_BYTES).max(1) * PAGE_BYTES;
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let status = view.replica.status();
    let in_use = pages(status.state_bytes);
    let no_leader = status.leader.is_none().then(|| "etcdserver: no leader".to_string());
    proto::StatusResponse {
        header: None,
        version: VERSION.to_string(),
        db_size: bytes(pages(status.disk_bytes).max(in_use)),
        leader: status.leader.map_or(0, |leader| leader.0),
        raft_index: status.commit_index.0,
        raft_term: status.term.0,
        raft_applied_index: status.applied_index.0,
        errors: no_leader.into_iter().collect(),
        db_size_in_use: bytes(in_use),
        is_learner: status.is_learner,
    }
}

/// A whole gRPC answer of one small message.
pub(super) fn framed(message: &impl Message) -> Response {
    let bytes = message.encoded_len();
    let mut out = BytesMut::with_capacity(grpc::PREFIX_BYTES + bytes);
    grpc::put_prefix(&mut out, bytes);
    message.encode(&mut out).expect("the buffer has room");
    grpc::respond(Body::Full(out.freeze()))
}
