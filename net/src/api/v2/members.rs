//! `/v2/members` and `/v2/machines`.
//!
//! What a change needs is checked in etcd's order: the id of the path, the media type, the body;
//! then, by the replica, `--strict-reconfig-check`, and at apply whether the change makes sense.

use bytes::{Bytes, BytesMut};
use quorra_core::identity::MemberId;
use quorra_core::replica::{Failure, Reply, Request as Question, Response as Content};
use quorra_core::store::membership::{Change, Member, Refusal};

use super::json;
use super::member_body;
use super::message;
use crate::api::front::{method_not_allowed, plain_error, respond};
use crate::api::{Begun, Exchange, Outcome, View, peer_urls};
use crate::http::{Method, Request, Response};

const NANOSECONDS: i64 = 1_000_000_000;

/// Begins a request below `/v2/members`; `rest` is what follows it.
pub(super) fn begin(request: &Request, rest: &[u8], view: View<'_>) -> Begun {
    let begun = match (&request.method, rest) {
        (Method::Get, b"" | b"/") => Err(list(view)),
        (Method::Get, b"/leader") => Err(leader(view)),
        (Method::Get, _) => Err(message(404, "Not found")),
        (Method::Post, _) => add(request, view),
        (Method::Put, id) => update(request, id),
        (Method::Delete, id) => remove(id),
        _ => return respond(method_not_allowed("GET,POST,DELETE,PUT")),
    };
    match begun {
        Ok(exchange) => {
            let question = Question::ChangeMembership(exchange.0.clone());
            (Outcome::Ask(Box::new(question)), Some(Box::new(exchange)))
        }
        Err(response) => respond(of_cluster(response, view)),
    }
}

fn of_cluster(response: Response, view: View<'_>) -> Response {
    let cluster = view.replica.membership().cluster;
    response.with("X-Etcd-Cluster-Id", cluster.to_string())
}

/// A new member; its id is hashed over the time of this moment.
fn add(request: &Request, view: View<'_>) -> Result<ChangeExchange, Response> {
    let peer_urls = read_urls(request)?;
    if !view.replica.passes_full_check(view.now.monotonic) {
        return Err(internal_error());
    }
    let id = MemberId::of_added(&peer_urls, view.now.wall.0.div_euclid(NANOSECONDS));
    let (name, client_urls) = (String::new(), Vec::new());
    let member = Member { id, name, peer_urls, client_urls, is_learner: false };
    Ok(ChangeExchange(Change::Add(member)))
}

fn update(request: &Request, id: &[u8]) -> Result<ChangeExchange, Response> {
    let id = read_id(id)?;
    Ok(ChangeExchange(Change::Update(id, read_urls(request)?)))
}

fn remove(id: &[u8]) -> Result<ChangeExchange, Response> {
    Ok(ChangeExchange(Change::Remove(read_id(id)?)))
}

/// The member that a path names, by Go's `strconv.ParseUint`.
fn read_id(rest: &[u8]) -> Result<MemberId, Response> {
    let text = rest.strip_prefix(b"/").unwrap_or(rest);
    if text.is_empty() {
        // Without an id there is nothing that these methods could be about.
        return Err(plain_error(405, "Method Not Allowed"));
    }
    let digits = text.iter().all(u8::is_ascii_hexdigit);
    let text = String::from_utf8_lossy(text);
    match u64::from_str_radix(&text, 16) {
        Ok(id) if digits => Ok(MemberId(id)),
        _ => Err(message(404, &format!("No such member: {text}"))),
    }
}

/// The URLs that a request's body names.
fn read_urls(request: &Request) -> Result<Vec<String>, Response> {
    let field = request.headers.first("content-type").unwrap_or_default();
    let field = String::from_utf8_lossy(field);
    let media_type = match field.split_once(';') {
        Some((media_type, _)) => media_type.to_lowercase().trim().to_owned(),
        None => field.into_owned(),
    };
    if media_type != "application/json" {
        let text = format!("Bad Content-Type {media_type}, accept application/json");
        return Err(message(415, &text));
    }
    let bad = |text: String| message(400, &text);
    let urls = member_body::peer_urls(&request.body).map_err(bad)?;
    peer_urls::checked(&urls).map_err(bad)
}

/// A change that waits for its outcome.
#[derive(Debug)]
struct ChangeExchange(Change);

impl Exchange for ChangeExchange {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        let response = match reply.outcome {
            Ok(Content::Members(_)) => self.succeeded(),
            Ok(other) => unreachable!("{other:?} does not answer a change of the membership"),
            Err(Failure::Membership(refusal)) => self.refused(refusal),
            Err(_) => internal_error(),
        };
        Outcome::Respond(of_cluster(response, view))
    }
}

impl ChangeExchange {
    fn succeeded(&self) -> Response {
        match &self.0 {
            Change::Add(member) => {
                let mut out = BytesMut::new();
                put_member(&mut out, member);
                json::put_raw(&mut out, "\n");
                Response { status: 201, ..json_answer(out.freeze()) }
            }
            _ => Response::new(204, Bytes::new()),
        }
    }

    fn refused(&self, refusal: Refusal) -> Response {
        match (refusal, &self.0) {
            (Refusal::IdExists, _) => message(409, "membership: ID exists"),
            (Refusal::PeerUrlExists, _) => message(409, "membership: peerURL exists"),
            (Refusal::NotFound, Change::Remove(id) | Change::Update(id, _)) => {
                message(404, &format!("No such member: {id}"))
            }
            (Refusal::Removed, Change::Remove(id)) => {
                message(410, &format!("Member permanently removed: {id}"))
            }
            _ => internal_error(),
        }
    }
}

/// What etcd says of everything that no client is to blame for.
fn internal_error() -> Response {
    message(500, "Internal Server Error")
}

/// `/v2/machines`: all client URLs, sorted.
pub(super) fn machines(request: &Request, view: View<'_>) -> Begun {
    if !matches!(request.method, Method::Get | Method::Head) {
        return respond(method_not_allowed("GET,HEAD"));
    }
    let members = view.replica.membership().members.values();
    let mut urls: Vec<&str> =
        members.flat_map(|member| member.client_urls.iter().map(String::as_str)).collect();
    urls.sort_unstable();
    respond(
        Response::new(200, urls.join(", ")).with("Content-Type", &b"text/plain; charset=utf-8"[..]),
    )
}

/// All members by their numbers, which is how the membership keeps them.
fn list(view: View<'_>) -> Response {
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"members\":[");
    for (place, member) in view.replica.membership().members.values().enumerate() {
        json::put_raw(&mut out, if place > 0 { "," } else { "" });
        put_member(&mut out, member);
    }
    json::put_raw(&mut out, "]}\n");
    json_answer(out.freeze())
}

fn leader(view: View<'_>) -> Response {
    let leader = view.replica.status().leader;
    match leader.and_then(|id| view.replica.membership().members.get(&id)) {
        Some(member) => {
            let mut out = BytesMut::new();
            put_member(&mut out, member);
            json::put_raw(&mut out, "\n");
            json_answer(out.freeze())
        }
        None => message(503, "During election"),
    }
}

fn json_answer(body: Bytes) -> Response {
    Response::new(200, body).with("Content-Type", &b"application/json"[..])
}

fn put_member(out: &mut BytesMut, member: &Member) {
    json::put_raw(out, "{\"id\":");
    json::put_string(out, member.id.to_string().as_bytes());
    json::put_raw(out, ",\"name\":");
    json::put_string(out, member.name.as_bytes());
    json::put_raw(out, ",\"peerURLs\":");
    put_list(out, &member.peer_urls);
    json::put_raw(out, ",\"clientURLs\":");
    put_list(out, &member.client_urls);
    json::put_raw(out, "}");
}

fn put_list(out: &mut BytesMut, texts: &[String]) {
    json::put_raw(out, "[");
    for (place, text) in texts.iter().enumerate() {
        json::put_raw(out, if place > 0 { "," } else { "" });
        json::put_string(out, text.as_bytes());
    }
    json::put_raw(out, "]");
}
