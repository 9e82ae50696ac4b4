//! The front door: what every request passes before an API sees it.
//!
//! In etcd's order: host check, CORS, OPTIONS, path cleaning, routes. Methods are checked by each
//! route, because only a path that exists can refuse one. gRPC calls pass none of it.
//!
//! Where the recorded answers of etcd 3.4 (v2) and 3.5 (v3) differ:
//!
//! | path | 3.4 | 3.5 | here |
//! | --- | --- | --- | --- |
//! | `/health`, healthy | `{"health":"true"}` | also `"reason":""` | 3.4: the v2 corpus allows no more |
//! | `/health`, not | `{"health":"false"}` | also `reason` | 3.4: the same |
//! | `/version` | `3.4.x` | `3.5.x` | 3.5, see [`VERSION`] |
//! | `/v3beta/...` | served | rewritten to `/v3/...` | 3.5 |

use std::borrow::Cow;

use bytes::Bytes;
use quorra_core::replica;
use quorra_core::time::Instant;

use super::origins::{self, Origins};
use super::{Begun, Exchange, Outcome, View, discovery, gateway, plain, v2, v3};
use crate::host::Options;
use crate::http::{Method, Request, Response};

/// The etcd release whose behaviour clients can rely on. No suffix: Kubernetes and Patroni parse it.
pub const VERSION: &str = "3.5.33";

/// The two APIs behind their front door.
#[derive(Debug)]
pub struct Service {
    origins: Origins,
    /// None allows every host.
    hosts: Option<Vec<String>>,
    v2: bool,
    discovery: bool,
}

/// A request that waits, with what the front door adds to its answer.
#[derive(Debug)]
pub struct Call {
    origin: Option<Bytes>,
    exchange: Box<dyn Exchange>,
}

impl Service {
    /// As the flags say.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let listed = |list: &[String]| {
            let all = list.is_empty() || list.iter().any(|entry| entry == "*");
            (!all).then(|| list.to_vec())
        };
        Self {
            origins: Origins::new(&options.cors),
            hosts: listed(&options.host_whitelist),
            v2: options.v2,
            discovery: options.discovery_service,
        }
    }

    /// Begins a request that came by a client listener. Without a call the outcome is the whole
    /// answer.
    #[must_use]
    pub fn begin(&self, request: &Request, view: View<'_>) -> (Outcome, Option<Call>) {
        if request.rpc {
            return Call::waiting(None, v3::begin(request, view));
        }
        if let Some(refusal) = self.check_host(request) {
            return (Outcome::Respond(refusal), None);
        }
        if request.method == Method::Options && &request.path[..] == b"*" {
            // Go's server answers it before any handler does.
            return (Outcome::Respond(Response::new(200, Bytes::new())), None);
        }
        let origin = self.origins.allowed(request);
        Call::waiting(origin, self.route(request, view))
    }

    /// Begins a request that came by a peer listener.
    #[must_use]
    pub fn begin_peer(&self, request: &Request, view: View<'_>) -> (Outcome, Option<Call>) {
        let begun = match decoded(&request.path) {
            Some(path) => plain::begin_peer(request, &path, view),
            None => respond(bad_request()),
        };
        Call::waiting(None, begun)
    }

    /// Begins a request that came by a listener for metrics.
    #[must_use]
    pub fn begin_metrics(&self, request: &Request, view: View<'_>) -> (Outcome, Option<Call>) {
        let begun = match decoded(&request.path).as_deref() {
            Some(path @ (b"/metrics" | b"/health")) => plain::begin(request, path, view),
            Some(_) => respond(not_found()),
            None => respond(bad_request()),
        };
        Call::waiting(None, begun)
    }

    fn check_host(&self, request: &Request) -> Option<Response> {
        let hosts = self.hosts.as_ref().filter(|_| !request.secure)?;
        let field = request.headers.first("host").unwrap_or_default();
        let name = without_port(field);
        let known = hosts.iter().any(|host| host.as_bytes() == name);
        (!known).then(|| unknown_host(name))
    }

    fn route(&self, request: &Request, view: View<'_>) -> Begun {
        if &request.path[..] == b"*" {
            return respond(Response::new(400, Bytes::new()));
        }
        let Some(path) = decoded(&request.path) else { return respond(bad_request()) };
        if request.method == Method::Options {
            return respond(Response::new(200, Bytes::new()));
        }
        let path = match path.strip_prefix(b"/v3beta/") {
            Some(rest) => Cow::Owned([b"/v3/", rest].concat()),
            None => path,
        };
        if let Some(clean) = cleaned(&path) {
            return respond(moved(request, &clean));
        }
        if path.starts_with(b"/v2/") {
            return if self.v2 { v2::begin(request, &path, view) } else { respond(not_found()) };
        }
        if view.options.v3.gateway {
            if path.starts_with(b"/v3/") {
                return gateway::begin(request, &path, view);
            }
            if &path[..] == b"/v3" {
                return respond(moved(request, b"/v3/"));
            }
        }
        if self.discovery
            && let Some(begun) = discovery::begin(request, &path, view)
        {
            return begun;
        }
        plain::begin(request, &path, view)
    }
}

impl Call {
    fn waiting(origin: Option<Bytes>, (outcome, exchange): Begun) -> (Outcome, Option<Self>) {
        let outcome = with_origin(origin.as_ref(), outcome);
        (outcome, exchange.map(|exchange| Self { origin, exchange }))
    }

    /// See [`Exchange::on_reply`].
    pub fn on_reply(&mut self, reply: replica::Reply, view: View<'_>) -> Outcome {
        with_origin(self.origin.as_ref(), self.exchange.on_reply(reply, view))
    }

    /// See [`Exchange::on_errand`].
    pub fn on_errand(&mut self, view: View<'_>) -> Outcome {
        with_origin(self.origin.as_ref(), self.exchange.on_errand(view))
    }

    /// See [`Exchange::on_message`].
    pub fn on_message(&mut self, message: Bytes, view: View<'_>) -> Outcome {
        with_origin(self.origin.as_ref(), self.exchange.on_message(message, view))
    }

    /// See [`Exchange::on_end`].
    pub fn on_end(&mut self, view: View<'_>) -> Outcome {
        with_origin(self.origin.as_ref(), self.exchange.on_end(view))
    }

    /// See [`Exchange::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// See [`Exchange::on_deadline`].
    pub fn on_deadline(&mut self, view: View<'_>) -> Outcome {
        with_origin(self.origin.as_ref(), self.exchange.on_deadline(view))
    }
}

/// Adds the CORS fields to an answer.
fn with_origin(origin: Option<&Bytes>, mut outcome: Outcome) -> Outcome {
    if let (Some(origin), Outcome::Respond(response)) = (origin, &mut outcome) {
        origins::allow(response, origin);
    }
    outcome
}

/// A whole answer at once.
pub(super) fn respond(response: Response) -> Begun {
    (Outcome::Respond(response), None)
}

/// A plain-text error as Go's `http.Error` writes it: `text` and a newline.
#[must_use]
pub fn plain_error(status: u16, text: &str) -> Response {
    Response::new(status, format!("{text}\n"))
        .with("Content-Type", &b"text/plain; charset=utf-8"[..])
        .with("X-Content-Type-Options", &b"nosniff"[..])
}

/// What an unknown path is answered.
#[must_use]
pub fn not_found() -> Response {
    plain_error(404, "404 page not found")
}

/// What a method is answered that is not among `allowed` (joined by commas, without blanks).
#[must_use]
pub fn method_not_allowed(allowed: &'static str) -> Response {
    plain_error(405, "Method Not Allowed").with("Allow", allowed.as_bytes())
}

/// What Go's server answers to a target that is no URL.
pub(crate) fn bad_request() -> Response {
    Response::new(400, &b"400 Bad Request"[..])
        .with("Content-Type", &b"text/plain; charset=utf-8"[..])
}

/// The path with its percent escapes resolved; none if one is malformed.
#[must_use]
pub fn decoded(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !path.contains(&b'%') {
        return Some(Cow::Borrowed(path));
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' {
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            plain.push(u8::try_from(high * 16 + low).expect("two hex digits fit a byte"));
        } else {
            plain.push(*byte);
        }
    }
    Some(Cow::Owned(plain))
}

/// Where a path leads that is not clean: Go's `path.Clean`, a trailing slash kept. None if it is
/// clean, which is seen without allocating.
pub(crate) fn cleaned(path: &[u8]) -> Option<Vec<u8>> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let dots = |name: &[u8]| matches!(name, b"." | b"..");
    let ends_with_slash = inner.is_empty() || inner.ends_with(b"/");
    let names = inner.strip_suffix(b"/").unwrap_or(inner);
    let clean = path.starts_with(b"/")
        && (inner.is_empty()
            || names.split(|byte| *byte == b'/').all(|name| !name.is_empty() && !dots(name)));
    if clean {
        return None;
    }
    let mut out = quorra_core::store::v2::Path::clean(path).as_bytes().to_vec();
    if ends_with_slash && out.len() > 1 {
        out.push(b'/');
    }
    Some(out)
}

/// Go's redirect to a clean path.
pub(crate) fn moved(request: &Request, clean: &[u8]) -> Response {
    let mut location = escaped(clean);
    if let Some(query) = &request.query {
        location.push('?');
        query.iter().for_each(|byte| match byte {
            0x80.. => location.push_str(&format!("%{byte:02x}")),
            _ => location.push(char::from(*byte)),
        });
    }
    let html = "text/html; charset=utf-8";
    let mut response = match request.method {
        Method::Get | Method::Head => {
            let link = html_escaped(&location);
            Response::new(301, format!("<a href=\"{link}\">Moved Permanently</a>.\n\n"))
                .with("Content-Type", html.as_bytes())
        }
        _ => Response::new(301, Bytes::new()),
    };
    response.headers.push(("Location", location.into()));
    response
}

/// A path as Go's `net/url` prints it.
fn escaped(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(*byte)),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'='
            | b'@' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn html_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A host field's name: without the port, and without the brackets of an IPv6 address.
pub(super) fn without_port(host: &[u8]) -> &[u8] {
    if let Some(rest) = host.strip_prefix(b"[") {
        return rest.split(|byte| *byte == b']').next().unwrap_or(rest);
    }
    let mut parts = host.split(|byte| *byte == b':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(_port), None) => name,
        _ => host,
    }
}

fn unknown_host(name: &[u8]) -> Response {
    let name = String::from_utf8_lossy(name);
    plain_error(
        421,
        &format!(
            "\netcd received your request, but the Host header was unrecognized.\n\n\
             To fix this, choose one of the following options:\n\
             - Enable TLS, then any HTTPS request will be allowed.\n\
             - Add the hostname you want to use to the whitelist in settings.\n  \
             - e.g. etcd --host-whitelist {name:?}\n\n\
             This requirement has been added to help prevent \"DNS Rebinding\" attacks \
             (CVE-2018-5702).\n"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unclean_paths_are_told_where_they_lead() {
        let rows: [(&str, Option<&str>); 14] = [
            ("/", None),
            ("/v2/keys", None),
            ("/v2/keys/", None),
            ("/v2/keys/.a/..b/c.", None),
            ("//version", Some("/version")),
            ("/v2/../version", Some("/version")),
            ("/v2//members", Some("/v2/members")),
            ("/v2/keys/..", Some("/v2")),
            ("/v2/keys/.", Some("/v2/keys")),
            ("/v2/keys/./", Some("/v2/keys/")),
            ("/v2/keys//", Some("/v2/keys/")),
            ("/..", Some("/")),
            ("//", Some("/")),
            ("version", Some("/version")),
        ];
        for (path, expected) in rows {
            let found = cleaned(path.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn percent_escapes_are_resolved_or_refused() {
        let rows: [(&str, Option<&[u8]>); 6] = [
            ("/a", Some(b"/a")),
            ("/a%2Fb", Some(b"/a/b")),
            ("/%e4%F6", Some(b"/\xe4\xf6")),
            ("/%", None),
            ("/%2", None),
            ("/%zz", None),
        ];
        for (path, expected) in rows {
            assert_eq!(decoded(path.as_bytes()).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn locations_are_escaped_as_go_escapes_them() {
        assert_eq!(escaped(b"/a b?\xff&;!"), "/a%20b%3F%FF&;%21");
        assert_eq!(html_escaped("/a?b=1&c=<'\">"), "/a?b=1&amp;c=&lt;&#39;&#34;&gt;");
    }

    #[test]
    fn ports_and_brackets_are_cut_from_hosts() {
        let rows = [
            ("good.example", "good.example"),
            ("good.example:2379", "good.example"),
            ("[::1]:2379", "::1"),
            ("::1", "::1"),
            ("", ""),
        ];
        for (host, name) in rows {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes());
        }
    }
}
