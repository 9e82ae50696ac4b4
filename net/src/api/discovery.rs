//! The discovery service: tokens under which the members of a new cluster find each other.
//!
//! What discovery.etcd.io was, at the root of a member's client URLs (`--enable-discovery-service`):
//!
//! | path | methods | |
//! | --- | --- | --- |
//! | `/new?size=N` | GET, POST | makes a token and answers its URL |
//! | `/TOKEN` | GET, PUT | the registered members |
//! | `/TOKEN/MEMBER` | GET, PUT, DELETE | one of them |
//! | `/TOKEN/_config/size` | GET | how many members the cluster has |
//!
//! A token is 32 hex digits, and a directory of the v2 store below [`REGISTRY`]: all but `/new` is
//! answered as `/v2/keys/_etcd/registry/TOKEN..` is, access control included. Unlike etcd's
//! service this one takes no registration for a token that nobody made, and it has bounds on what
//! strangers put into a token and into all of them together. Tokens never expire by themselves;
//! an operator removes old ones below [`REGISTRY`].

use std::num::IntErrorKind;

use bytes::Bytes;
use quorra_core::limits;
use quorra_core::replica::{Reply, Request as Question, Response as Content};
use quorra_core::store::v2::Path;

use super::front::{plain_error, respond, without_port};
use super::{Begun, Exchange, Outcome, View, v2};
use crate::host::Options;
use crate::http::{Headers, Method, Request, Response};

/// Where the tokens are.
pub const REGISTRY: &str = "/_etcd/registry";
/// The random bytes of a token; two hex digits for each.
const SECRET_BYTES: usize = 16;
const TOKEN_LENGTH: usize = 2 * SECRET_BYTES;
/// How many members a cluster has if nobody says it.
const SIZE_DEFAULT: usize = 3;

/// Begins a request that is for this service; none if it is not.
pub(super) fn begin(request: &Request, path: &[u8], view: View<'_>) -> Option<Begun> {
    if path == b"/new" {
        return Some(new(request, view));
    }
    let place = Place::of(path)?;
    if !place.methods().contains(&request.method) {
        return Some(respond(Response::new(405, Bytes::new())));
    }
    if request.method == Method::Put
        && let Some(refusal) = refuse_registration(request, &place, view)
    {
        return Some(respond(refusal));
    }
    let key = [b"/v2/keys", REGISTRY.as_bytes(), path].concat();
    Some(v2::begin(request, &key, view))
}

/// A path below a token.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    token: &'a [u8],
    rest: Rest,
}

#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Directory,
    Size,
    Member,
}

impl<'a> Place<'a> {
    fn of(path: &'a [u8]) -> Option<Self> {
        let (token, rest) = path.strip_prefix(b"/")?.split_at_checked(TOKEN_LENGTH)?;
        if !token.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let rest = match rest {
            b"" | b"/" => Rest::Directory,
            b"/_config/size" => Rest::Size,
            // Hidden names are not for members.
            [b'/', name @ ..] if !name.contains(&b'/') && !name.starts_with(b"_") => Rest::Member,
            _ => return None,
        };
        Some(Self { token, rest })
    }

    fn methods(&self) -> &'static [Method] {
        match self.rest {
            Rest::Directory => &[Method::Get, Method::Put],
            Rest::Size => &[Method::Get],
            Rest::Member => &[Method::Get, Method::Put, Method::Delete],
        }
    }
}

/// Only tokens that somebody made take registrations, and only so many.
fn refuse_registration(request: &Request, place: &Place<'_>, view: View<'_>) -> Option<Response> {
    let store = view.replica.state().v2();
    let registry = Path::clean(REGISTRY.as_bytes());
    let Some(used) = store.bytes_below(&registry.child(place.token)) else {
        return Some(plain_error(404, "no such discovery token: make one by /new"));
    };
    let value = request.query.as_ref().map_or(0, Bytes::len) + request.body.len();
    if used + value as u64 > limits::DISCOVERY_TOKEN_BYTES_MAX {
        return Some(plain_error(403, "the discovery token is full"));
    }
    is_full(view).then(full)
}

fn is_full(view: View<'_>) -> bool {
    let registry = Path::clean(REGISTRY.as_bytes());
    let used = view.replica.state().v2().bytes_below(&registry).unwrap_or(0);
    used >= limits::DISCOVERY_REGISTRY_BYTES_MAX
}

fn full() -> Response {
    let text = "the discovery registry is full: remove old tokens below /v2/keys/_etcd/registry";
    plain_error(503, text)
}

fn new(request: &Request, view: View<'_>) -> Begun {
    if !matches!(request.method, Method::Get | Method::Post) {
        return respond(Response::new(405, Bytes::new()));
    }
    let size = match v2::form_value(request, "size").and_then(|text| size(&text)) {
        Ok(size) => size,
        Err(reason) => return respond(plain_error(400, &reason)),
    };
    if is_full(view) {
        return respond(full());
    }
    let mut headers = Headers::default();
    let form = b"application/x-www-form-urlencoded";
    let mut fits = headers.push(b"Content-Type", form);
    for (name, value) in request.headers.iter().filter(|(name, _)| is_kept(name)) {
        fits &= headers.push(name, value);
    }
    assert!(fits, "a request's headers are far from 4 GiB");
    let create = Request {
        method: Method::Put,
        query: Some(Bytes::from_static(b"prevExist=false")),
        headers,
        body: format!("value={size}").into(),
        ..request.clone()
    };
    let prefix = prefix(request, view.options);
    let exchange = NewToken { prefix, create, token: String::new(), creating: None };
    (Outcome::Ask(Box::new(Question::Secret(SECRET_BYTES))), Some(Box::new(exchange)))
}

/// Who asks for a token is who makes its directory.
fn is_kept(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"authorization")
}

/// Reads the size as Go's `strconv.Atoi` does.
fn size(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(SIZE_DEFAULT);
    }
    let number = text.parse::<i64>().map_err(|error| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {text:?}: {reason}")
    })?;
    let size = usize::try_from(number).ok();
    size.filter(|size| (1..=limits::DISCOVERY_SIZE_MAX).contains(size)).ok_or_else(|| {
        format!("size must be between 1 and {} (set to {number})", limits::DISCOVERY_SIZE_MAX)
    })
}

/// What stands before `/TOKEN` in a token's URL: where the request found this member. A name that
/// means another machine everywhere else gives way to `--advertise-client-urls`.
fn prefix(request: &Request, options: &Options) -> String {
    let advertised = options.client_urls.iter().find(|url| url.starts_with("http"));
    let host = request.headers.first("host").and_then(|host| str::from_utf8(host).ok());
    match (host.filter(|host| is_host(host)), advertised) {
        (Some(host), Some(advertised)) if is_local(host) => advertised.clone(),
        (Some(host), _) if request.secure => format!("https://{host}"),
        (Some(host), _) => format!("http://{host}"),
        (None, Some(advertised)) => advertised.clone(),
        (None, None) => String::new(),
    }
}

fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    !host.is_empty() && host.bytes().all(plain)
}

fn is_local(host: &str) -> bool {
    let name = without_port(host.as_bytes());
    name == b"localhost" || name == b"::1" || name.starts_with(b"127.")
}

/// A token in the making: first its secret, then its directory.
#[derive(Debug)]
struct NewToken {
    prefix: String,
    /// Creates the directory, once its path is known.
    create: Request,
    token: String,
    creating: Option<Box<dyn Exchange>>,
}

impl NewToken {
    fn begin_create(&mut self, secret: &[u8], view: View<'_>) -> Outcome {
        self.token = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("/v2/keys{REGISTRY}/{}/_config/size", self.token);
        let (outcome, creating) = v2::begin(&self.create, key.as_bytes(), view);
        self.creating = creating;
        self.translate(outcome)
    }

    /// What the store answers to the creation becomes what the service answers.
    fn translate(&self, outcome: Outcome) -> Outcome {
        let Outcome::Respond(response) = outcome else { return outcome };
        Outcome::Respond(match response.status {
            201 => Response::new(200, format!("{}/{}", self.prefix, self.token))
                .with("Content-Type", &b"text/plain; charset=utf-8"[..]),
            _ => plain_error(400, "Unable to generate token"),
        })
    }
}

impl Exchange for NewToken {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        if let Some(creating) = &mut self.creating {
            let outcome = creating.on_reply(reply, view);
            return self.translate(outcome);
        }
        match reply.outcome {
            Ok(Content::Secret(secret)) => self.begin_create(&secret, view),
            Ok(other) => unreachable!("{other:?} is no secret"),
            Err(_) => Outcome::Respond(plain_error(400, "Unable to generate token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn only_whole_tokens_and_what_members_may_touch_are_served() {
        let rows = [
            ("", Some(Rest::Directory)),
            ("/", Some(Rest::Directory)),
            ("/_config/size", Some(Rest::Size)),
            ("/8e9e05c52164694d", Some(Rest::Member)),
            ("/a/", None),
            ("/a/b", None),
            ("/_config", None),
            ("/_config/", None),
            ("0", None),
        ];
        for (rest, expected) in rows {
            let path = [b"/", TOKEN, rest.as_bytes()].concat();
            let expected = expected.map(|rest| Place { token: TOKEN, rest });
            assert_eq!(Place::of(&path), expected, "{rest}");
        }
        for path in ["/", "/health", "/0123456789ABCDEF0123456789abcdef", "/0123"] {
            assert_eq!(Place::of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn sizes_are_read_as_go_reads_them_and_have_bounds() {
        let out_of_bounds =
            |number: &str| Err(format!("size must be between 1 and 1000 (set to {number})"));
        let unreadable =
            |text: &str, reason: &str| Err(format!("strconv.Atoi: parsing {text:?}: {reason}"));
        let huge = "99999999999999999999";
        let rows = [
            ("", Ok(3)),
            ("1", Ok(1)),
            ("+5", Ok(5)),
            ("1000", Ok(1000)),
            ("0", out_of_bounds("0")),
            ("-1", out_of_bounds("-1")),
            ("1001", out_of_bounds("1001")),
            ("abc", unreadable("abc", "invalid syntax")),
            (" 3", unreadable(" 3", "invalid syntax")),
            (huge, unreadable(huge, "value out of range")),
        ];
        for (text, expected) in rows {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }
}
