//! The v2 API's words from a client's side: questions as forms, answers read back from JSON.

use std::rc::Rc;

use bytes::Bytes;
use quorra_core::replica::{Failure, Request, Response};
use quorra_core::store::v2::{
    Action, Condition, Error, ErrorKind, Event, NodeView, Path, Watch, Write,
};
use quorra_core::time::WallTime;
use serde_json::Value;

use super::talk::{Call, Fields, field};
use super::v2_auth;
use crate::check::{Violation, require};
use crate::history::Outcome;

const FORM: &str = "application/x-www-form-urlencoded";
const NANOS: i64 = 1_000_000_000;

/// A form under construction.
#[derive(Default)]
struct Form(String);

impl Form {
    fn text(mut self, name: &str, value: &[u8]) -> Self {
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0.push_str(&format!("{separator}{name}="));
        for byte in value {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    self.0.push(char::from(*byte));
                }
                other => self.0.push_str(&format!("%{other:02X}")),
            }
        }
        self
    }

    fn number(self, name: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.text(name, value.to_string().as_bytes()),
            None => self,
        }
    }

    fn flag(self, name: &str, value: bool) -> Self {
        if value { self.text(name, b"true") } else { self }
    }

    fn condition(self, condition: &Condition) -> Self {
        let form = self.number("prevIndex", condition.index);
        match &condition.value {
            Some(value) => form.text("prevValue", value),
            None => form,
        }
    }
}

/// A question about keys, users or roles, or one that any HTTP client can ask; on whose behalf, is
/// not said yet.
pub(super) fn call(request: &Request) -> Call {
    let keys = |method, path: &Path, query: Form, body: Form| {
        let key = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let separator = if query.0.is_empty() { "" } else { "?" };
        let target = format!("/v2/keys{key}{separator}{}", query.0);
        Call { method, target, media: FORM, authorization: None, body: body.0.into() }
    };
    let none = Form::default;
    match request.asked() {
        Request::V2Get { get, quorum } => {
            let query = none()
                .flag("recursive", get.recursive)
                .flag("sorted", get.sorted)
                .flag("quorum", *quorum);
            keys("GET", &get.path, query, none())
        }
        Request::V2Watch(watch) => keys("GET", &watch.path, watching(watch), none()),
        Request::V2Write(write) => {
            let (method, path, query, body) = change(write);
            keys(method, path, query, body)
        }
        Request::V2Auth { change, password } => v2_auth::call(change, password.as_ref()),
        Request::Members { .. } => plain("/v2/members"),
        _ => plain("/health"),
    }
}

fn plain(target: &str) -> Call {
    let (method, media, authorization) = ("GET", "text/plain", None);
    Call { method, target: target.into(), media, authorization, body: Bytes::new() }
}

fn watching(watch: &Watch) -> Form {
    Form::default()
        .flag("wait", true)
        .flag("recursive", watch.recursive)
        .flag("stream", watch.stream)
        .number("waitIndex", watch.wait_index)
}

fn change(write: &Write) -> (&'static str, &Path, Form, Form) {
    let body = |value: &[u8], ttl| Form::default().text("value", value).number("ttl", ttl);
    let none = Form::default;
    match write {
        Write::Set { path, value, ttl, .. } => ("PUT", path, none(), body(value, *ttl)),
        Write::Create { path, value, ttl, in_order: true, .. } => {
            ("POST", path, none(), body(value, *ttl))
        }
        Write::Create { path, value, ttl, .. } => {
            ("PUT", path, none().text("prevExist", b"false"), body(value, *ttl))
        }
        Write::Update { path, value, ttl, .. } => {
            ("PUT", path, none().flag("prevExist", true), body(value, *ttl))
        }
        Write::CompareAndSwap { path, value, ttl, condition, .. } => {
            ("PUT", path, none().condition(condition), body(value, *ttl))
        }
        Write::Delete { path, directory, recursive } => {
            let query = none().flag("dir", *directory).flag("recursive", *recursive);
            ("DELETE", path, query, none())
        }
        Write::CompareAndDelete { path, condition } => {
            ("DELETE", path, none().condition(condition), none())
        }
    }
}

/// What an answer says to a request.
///
/// # Errors
/// When no member may answer so.
pub(super) fn outcome(
    request: &Request,
    status: u16,
    fields: &Fields,
    body: &[u8],
) -> Result<Outcome, Violation> {
    if matches!(request.asked(), Request::V2Auth { .. }) {
        return v2_auth::outcome(status, body);
    }
    if !matches!(request.asked(), Request::V2Get { .. } | Request::V2Write(_)) {
        return Ok(match status {
            200 => Outcome::Answered(Default::default(), Box::new(Response::Done)),
            _ => Outcome::Refused(Failure::Timeout),
        });
    }
    let value = parse(body)?;
    let answered =
        |result| Ok(Outcome::Answered(Default::default(), Box::new(Response::V2(result))));
    if value.get("errorCode").is_none() {
        let index = field(fields, "x-etcd-index").and_then(|text| text.parse().ok());
        let index = index.ok_or_else(|| Violation("an answer without X-Etcd-Index".into()))?;
        let created = status == 201;
        let event = Event { index, created, ..event(&value)? };
        return answered(Ok(Rc::new(event)));
    }
    let cause = value["cause"].as_str().unwrap_or_default();
    let code = value["errorCode"].as_u64().unwrap_or(0);
    match kind(code) {
        Some((kind, expected)) => {
            require(status == expected, || format!("error {code} comes with status {status}"))?;
            let index = value["index"].as_u64().unwrap_or(0);
            answered(Err(Error { kind, cause: Bytes::copy_from_slice(cause.as_bytes()), index }))
        }
        None if code == 300 => Ok(Outcome::Refused(failure(cause))),
        None => Err(Violation(format!("{request:?} is refused: {value}"))),
    }
}

fn failure(cause: &str) -> Failure {
    match cause {
        "etcdserver: request is too large" => Failure::TooLarge,
        "etcdserver: too many requests" => Failure::TooManyRequests,
        "etcdserver: no space" => Failure::NoSpace,
        _ => Failure::Timeout,
    }
}

fn kind(code: u64) -> Option<(ErrorKind, u16)> {
    Some(match code {
        100 => (ErrorKind::KeyNotFound, 404),
        101 => (ErrorKind::CompareFailed, 412),
        102 => (ErrorKind::NotFile, 403),
        104 => (ErrorKind::NotDirectory, 400),
        105 => (ErrorKind::NodeExists, 412),
        107 => (ErrorKind::RootReadOnly, 400),
        108 => (ErrorKind::DirectoryNotEmpty, 403),
        110 => (ErrorKind::Unauthorized, 401),
        401 => (ErrorKind::EventIndexCleared, 400),
        _ => return None,
    })
}

/// One line of JSON.
///
/// # Errors
/// When it is none.
pub(super) fn parse(body: &[u8]) -> Result<Value, Violation> {
    let text = || String::from_utf8_lossy(body).into_owned();
    require(body.ends_with(b"\n"), || format!("{:?} is no line", text()))?;
    serde_json::from_slice(body).map_err(|error| Violation(format!("{error} in {:?}", text())))
}

/// An event as an answer or a watch shows it; the answer's head tells the rest.
///
/// # Errors
/// When it is none.
pub(super) fn event(value: &Value) -> Result<Event, Violation> {
    let action = match value["action"].as_str() {
        Some("get") => Action::Get,
        Some("set") => Action::Set,
        Some("create") => Action::Create,
        Some("update") => Action::Update,
        Some("compareAndSwap") => Action::CompareAndSwap,
        Some("delete") => Action::Delete,
        Some("compareAndDelete") => Action::CompareAndDelete,
        Some("expire") => Action::Expire,
        _ => return Err(Violation(format!("an event without an action: {value}"))),
    };
    Ok(Event {
        action,
        node: node(&value["node"])?,
        previous: value.get("prevNode").map(node).transpose()?.map(Box::new),
        index: 0,
        at: None,
        created: false,
        refresh: false,
    })
}

fn node(value: &Value) -> Result<NodeView, Violation> {
    let text = |name: &str| value[name].as_str();
    let expiration = match text("expiration") {
        None => None,
        Some(text) => {
            let parsed = time(text);
            Some(parsed.ok_or_else(|| Violation(format!("an expiration at {text:?}")))?)
        }
    };
    let nodes = value["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(NodeView {
        path: Path::clean(text("key").unwrap_or("/").as_bytes()),
        value: text("value").map(|value| Bytes::copy_from_slice(value.as_bytes())),
        directory: value["dir"] == Value::Bool(true),
        expiration,
        nodes: nodes.iter().map(node).collect::<Result<_, _>>()?,
        modified_index: value["modifiedIndex"].as_u64().unwrap_or(0),
        created_index: value["createdIndex"].as_u64().unwrap_or(0),
    })
}

/// RFC 3339 in UTC, with or without a fraction.
fn time(text: &str) -> Option<WallTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = match text.get(19..)?.strip_suffix('Z')? {
        "" => 0,
        digits => format!("{:0<9}", digits.strip_prefix('.')?).parse().ok()?,
    };
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = *days_before.get(usize::try_from(month - 1).ok()?)?;
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + before + day - 1 + i64::from(leap(year) && month > 2);
    Some(WallTime((((days * 24 + hour) * 60 + minute) * 60 + second) * NANOS + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        let at = |seconds: i64, nanos: i64| Some(WallTime(seconds * NANOS + nanos));
        assert_eq!(time("1970-01-01T00:00:00Z"), at(0, 0));
        assert_eq!(time("2023-11-14T22:13:20.5Z"), at(1_700_000_000, 500_000_000));
        assert_eq!(time("2024-02-29T00:00:01.000000007Z"), at(1_709_164_801, 7));
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn values_are_escaped_and_an_answer_is_read_back() {
        let (path, value) = (Path::clean(b"/a"), Bytes::from_static(b"#5# x"));
        let set = Write::Set { path, value, directory: false, ttl: Some(3), refresh: false };
        let call = call(&Request::V2Write(set));
        assert_eq!((call.method, &*call.target), ("PUT", "/v2/keys/a"));
        assert_eq!(call.body, "value=%235%23%20x&ttl=3");
        let body = b"{\"errorCode\":101,\"message\":\"m\",\"cause\":\"c\",\"index\":7}\n";
        let get =
            quorra_core::store::v2::Get { path: Path::root(), recursive: false, sorted: true };
        let request = Request::V2Get { get, quorum: true };
        let read = outcome(&request, 412, &Vec::new(), body).expect("a good error");
        let Outcome::Answered(_, answer) = read else { panic!("an error is an answer") };
        let Response::V2(Err(error)) = *answer else { panic!("it is an error") };
        assert_eq!((error.kind, error.index), (ErrorKind::CompareFailed, 7));
        assert!(outcome(&request, 200, &Vec::new(), body).is_err());
    }
}
