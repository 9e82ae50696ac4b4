//! `/v2/members` and `/v2/machines`, as far as they are read.
//!
//! The methods that change the membership have their routes, but are not carried out yet.

use bytes::{Bytes, BytesMut};
use quorra_core::store::membership::Member;

use super::json;
use super::message;
use crate::api::front::{method_not_allowed, plain_error, respond};
use crate::api::{Begun, View};
use crate::http::{Method, Request, Response};

/// Begins a request below `/v2/members`; `rest` is what follows it.
pub(super) fn begin(request: &Request, rest: &[u8], view: View<'_>) -> Begun {
    let response = match (&request.method, rest) {
        (Method::Get, b"" | b"/") => list(view),
        (Method::Get, b"/leader") => leader(view),
        (Method::Get, _) => message(404, "Not found"),
        // Without an id there is nothing that these methods could be about.
        (Method::Put | Method::Delete, b"" | b"/") => plain_error(405, "Method Not Allowed"),
        (Method::Post | Method::Put | Method::Delete, _) => {
            message(501, "Changing members over /v2/members is not supported yet")
        }
        _ => return respond(method_not_allowed("GET,POST,DELETE,PUT")),
    };
    let cluster = view.replica.membership().cluster;
    respond(response.with("X-Etcd-Cluster-Id", cluster.to_string()))
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
