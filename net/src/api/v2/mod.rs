//! The v2 API: `/v2/...`, etcd 3.4's answers byte for byte.
//!
//! A keys request is parsed into one of the store's questions (`parameters`, by etcd's order of
//! checks), and its replies are printed as Go's encoder would print them (`json`). Nonsense is
//! answered here and reaches neither the replica nor its counters. While authentication is on,
//! keys and administration stand behind a gate (`auth`).

mod auth;
mod errors;
mod form;
mod json;
mod keys;
mod media;
mod member_body;
mod members;
mod parameters;
mod stats;
#[cfg(test)]
mod tests;

use bytes::BytesMut;

use super::front::{not_found, respond};
use super::{Begun, View};
use crate::http::{Method, Request, Response};

/// Begins a request below `/v2/`. `path` is decoded and clean; routes and methods are checked
/// here.
pub fn begin(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    if let Some(key) = below(path, b"/v2/keys") {
        let begun = keys::begin(request, key, view);
        return auth::guard_key(request, path, key, begun, view);
    }
    if is_administration(request, path) {
        return auth::guard_administration(request, path, view);
    }
    route(request, path, view)
}

/// Whether only an administrator may ask this, while authentication is on.
fn is_administration(request: &Request, path: &[u8]) -> bool {
    if below(path, b"/v2/members").is_some() {
        return matches!(request.method, Method::Post | Method::Put | Method::Delete);
    }
    below(path, b"/v2/auth").is_some_and(|rest| auth::is_guarded(request, rest))
}

/// Begins a request for anything but keys, of a caller who may make it.
fn route(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    if let Some(rest) = below(path, b"/v2/members") {
        return members::begin(request, rest, view);
    }
    if let Some(rest) = below(path, b"/v2/stats") {
        return stats::begin(request, rest, view);
    }
    if let Some(rest) = below(path, b"/v2/auth") {
        return auth::begin(request, rest, view);
    }
    match path {
        b"/v2/machines" => members::machines(request, view),
        _ => respond(not_found()),
    }
}

/// The first value of a name in a request's form or query; empty if there is none.
///
/// # Errors
/// Why the form cannot be read.
pub(super) fn form_value(request: &Request, name: &str) -> Result<String, String> {
    let form = form::Form::parse(request)?;
    Ok(String::from_utf8_lossy(form.first(name).unwrap_or_default()).into_owned())
}

/// What follows a route, if the path is its own or goes on behind a slash.
fn below<'a>(path: &'a [u8], route: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(route)?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

/// The error of every endpoint but keys: `{"message":"..."}`, without a newline.
pub(super) fn message(status: u16, text: &str) -> Response {
    let mut body = BytesMut::with_capacity(16 + text.len());
    json::put_raw(&mut body, "{\"message\":");
    json::put_string(&mut body, text.as_bytes());
    json::put_raw(&mut body, "}");
    Response::new(status, body).with("Content-Type", &b"application/json"[..])
}
