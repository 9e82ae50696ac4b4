//! The calls of `Cluster`: who the members are, and changes of that.

use bytes::Bytes;
use quorra_core::identity::MemberId;
use quorra_core::replica::{self, Failure};
use quorra_core::store::membership::{self, Change, Refusal};

use super::call::{Begin, Format, framed, message, of_member};
use super::errors::{self, Nonsense};
use crate::api::gateway;
use crate::api::{View, peer_urls};
use crate::grpc::Status;
use crate::http::{Body, Response};
use crate::json;
use crate::proto::{self, Header};

const NANOSECONDS: i64 = 1_000_000_000;

/// `MemberList`
pub(super) fn list(format: Format, body: &Bytes, view: View<'_>) -> Result<Begin, Status> {
    let request: proto::MemberListRequest = format.read(body)?;
    if !request.linearizable {
        let members = view.replica.membership().members.values();
        return Ok(Begin::Answer(answer(format, view, None, members)));
    }
    Ok(Begin::Ask(replica::Request::Members { linearizable: true }))
}

/// `MemberAdd`: the new member's id is hashed over the time of this moment.
pub(super) fn add(format: Format, body: &Bytes, view: View<'_>) -> Result<Change, Status> {
    let request: proto::MemberAddRequest = format.read(body)?;
    let peer_urls = checked(&request.peer_urls)?;
    let id = MemberId::of_added(&peer_urls, view.now.wall.0.div_euclid(NANOSECONDS));
    let (name, client_urls) = (String::new(), Vec::new());
    let is_learner = request.is_learner;
    Ok(Change::Add(membership::Member { id, name, peer_urls, client_urls, is_learner }))
}

/// `MemberRemove`
pub(super) fn remove(format: Format, body: &Bytes) -> Result<Change, Status> {
    let request: proto::MemberRemoveRequest = format.read(body)?;
    Ok(Change::Remove(MemberId(request.id)))
}

/// `MemberUpdate`. etcd takes any texts for URLs here, and its members then panic: whether there
/// is such a member comes first.
pub(super) fn update(format: Format, body: &Bytes, view: View<'_>) -> Result<Change, Status> {
    let request: proto::MemberUpdateRequest = format.read(body)?;
    let id = MemberId(request.id);
    let urls = checked(&request.peer_urls);
    if urls.is_err() && !view.replica.membership().members.contains_key(&id) {
        return Err(errors::of_replica(Failure::Membership(Refusal::NotFound)));
    }
    Ok(Change::Update(id, urls?))
}

/// `MemberPromote`
pub(super) fn promote(format: Format, body: &Bytes) -> Result<Change, Status> {
    let request: proto::MemberPromoteRequest = format.read(body)?;
    Ok(Change::Promote(MemberId(request.id)))
}

fn checked(urls: &[String]) -> Result<Vec<String>, Status> {
    peer_urls::checked(urls).map_err(|_| Nonsense::MemberUrls.into())
}

/// The members, behind the one that was added; an answer that tells no revision (as in etcd).
pub(super) fn answer<'a>(
    format: Format,
    view: View<'_>,
    added: Option<MemberId>,
    members: impl Iterator<Item = &'a membership::Member>,
) -> Response {
    let header = Header { revision: 0, ..of_member(view) };
    let members: Vec<proto::Member> = members.map(member).collect();
    let added = added.and_then(|added| members.iter().find(|member| member.id == added.0));
    match (format, added) {
        (Format::Json, added) => {
            gateway::succeeded(Body::Full(json::members(&header, added, &members)))
        }
        (Format::Grpc, Some(added)) => {
            let (header, member) = (message(&header), Some(added.clone()));
            framed(&proto::MemberAddResponse { header, member, members })
        }
        (Format::Grpc, None) => {
            framed(&proto::MemberListResponse { header: message(&header), members })
        }
    }
}

fn member(member: &membership::Member) -> proto::Member {
    proto::Member {
        id: member.id.0,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}
