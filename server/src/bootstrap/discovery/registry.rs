//! The registry of one token: what a member asks of a discovery service, and what it understands.
//!
//! The service is any server of the v2 keys API. Its answers come from a stranger: they have a
//! bound, they are read as a whole or not at all, and redirects end somewhere.

use std::io;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::Endpoint;
use crate::client::{self, Answer, ClientError, Request};
use crate::urls::Url;

/// How long a request may take (etcd).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a wait may take; etcd's end only with the connection.
const WATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often one request is sent elsewhere (etcd).
const REDIRECTS_MAX: usize = 10;
/// The largest answer that makes sense: more than a thousand registrations.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The service was not reached, or could not answer just now.
    Unreachable(String),
    /// Its answer did not come in time.
    Slow,
    /// It answered with an error of the v2 API.
    Refused {
        /// The number in etcd's table.
        code: u64,
        /// As etcd's client prints it.
        text: String,
    },
    /// What it answered is not of the v2 API.
    Garbage(String),
}

/// A node of the token's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The last component of its key: a member's id.
    pub(super) id: String,
    /// What is registered; none of a directory, or of what was removed.
    pub(super) value: Option<String>,
    /// The index that created it: the order in which the members came.
    pub(super) created: u64,
    /// The index that last changed it.
    pub(super) modified: u64,
}

/// One token at one service.
#[derive(Debug)]
pub(super) struct Registry {
    endpoint: Endpoint,
    proxy: Option<Url>,
    /// How long anything but a wait may take.
    pub(super) request_timeout: Duration,
    /// How long one wait for another member may last before the registry is looked at again: a
    /// service that has forgotten us is found out.
    pub(super) watch_timeout: Duration,
}

impl Registry {
    pub(super) fn new(endpoint: Endpoint, proxy: Option<Url>) -> Self {
        Self { endpoint, proxy, request_timeout: REQUEST_TIMEOUT, watch_timeout: WATCH_TIMEOUT }
    }

    /// The text of the key that holds the cluster's size.
    pub(super) fn size(&self) -> Result<String, Fault> {
        let query = "?quorum=false&recursive=false&sorted=false";
        let answer = self.get(&format!("/_config/size{query}"), self.request_timeout)?;
        let entry = answered(&answer)?;
        entry.value.ok_or_else(|| Fault::Garbage("the size is no file".into()))
    }

    /// Who is registered, in no order, and the index as of which.
    pub(super) fn members(&self) -> Result<(Vec<Entry>, u64), Fault> {
        let query = "?quorum=false&recursive=false&sorted=false";
        let answer = self.get(query, self.request_timeout)?;
        let body = read(&answer)?;
        let index = answer.header("x-etcd-index").and_then(|index| index.parse().ok());
        let index = index.ok_or_else(|| Fault::Garbage("no X-Etcd-Index".into()))?;
        let nodes = match body.pointer("/node/nodes") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(nodes)) => nodes
                .iter()
                .map(entry)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Fault::Garbage("an entry is not a node".into()))?,
            Some(_) => return Err(Fault::Garbage("the entries are no list".into())),
        };
        let members = nodes.into_iter().filter(|entry| !entry.id.starts_with('_')).collect();
        Ok((members, index))
    }

    /// Registers a member; the index that created its entry.
    pub(super) fn register(&self, id: &str, value: &str) -> Result<u64, Fault> {
        let path = format!("/{id}?prevExist=false");
        let body = format!("value={}", form_escaped(value));
        let answer = self.send("PUT", &path, body.as_bytes(), self.request_timeout)?;
        Ok(answered(&answer)?.created)
    }

    /// The registration of one member.
    pub(super) fn member(&self, id: &str) -> Result<Entry, Fault> {
        answered(&self.get(&format!("/{id}"), self.request_timeout)?)
    }

    /// Waits until that member's entry of that index can be seen here.
    pub(super) fn await_member(&self, id: &str, index: u64) -> Result<(), Fault> {
        let path = format!("/{id}?recursive=false&wait=true&waitIndex={index}");
        self.get(&path, self.request_timeout).and_then(|answer| answered(&answer)).map(drop)
    }

    /// Waits for the first change of any entry at or behind that index; none if there was none
    /// for long.
    pub(super) fn await_change(&self, index: u64) -> Result<Option<Entry>, Fault> {
        let path = format!("?recursive=true&wait=true&waitIndex={index}");
        match self.get(&path, self.watch_timeout) {
            Err(Fault::Slow) => Ok(None),
            answer => answered(&answer?).map(Some),
        }
    }

    fn get(&self, path: &str, timeout: Duration) -> Result<Answer, Fault> {
        self.send("GET", path, b"", timeout)
    }

    /// Sends a request, elsewhere if that is the answer.
    fn send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        let content_type = if body.is_empty() { "" } else { "application/x-www-form-urlencoded" };
        let mut server = self.endpoint.server.clone();
        let mut path = format!("{}{path}", self.endpoint.directory);
        for _ in 0..=REDIRECTS_MAX {
            let request = Request { method, path: &path, content_type, body };
            let proxy = self.proxy.as_ref();
            let answer = client::exchange_through(proxy, &server, &request, timeout);
            let answer = answer.map_err(fault_of_client)?;
            if answer.body.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Garbage("the answer is too large".into()));
            }
            if !(300..400).contains(&answer.status) {
                return Ok(answer);
            }
            let location = answer.header("location").unwrap_or_default();
            (server, path) = self.endpoint.redirected(location).map_err(Fault::Garbage)?;
        }
        Err(Fault::Garbage("too many redirects".into()))
    }
}

fn fault_of_client(error: ClientError) -> Fault {
    match error {
        ClientError::Malformed(reason) => Fault::Garbage(reason.into()),
        ClientError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Fault::Slow,
        error => Fault::Unreachable(error.to_string()),
    }
}

/// The JSON of a success.
fn read(answer: &Answer) -> Result<Value, Fault> {
    if answer.status > 500 {
        return Err(Fault::Unreachable(format!("status {}", answer.status)));
    }
    let garbage = |reason: &str| Fault::Garbage(format!("status {}, {reason}", answer.status));
    if answer.body.is_empty() && answer.status == 200 {
        // A long poll that ends without an event: the server stops.
        return Err(Fault::Unreachable("the server ended the wait".into()));
    }
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| garbage("the body is no JSON"))?;
    if matches!(answer.status, 200 | 201) {
        return Ok(body);
    }
    let code = body.get("errorCode").and_then(Value::as_u64);
    let code = code.ok_or_else(|| garbage("no error of the v2 API"))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let index = body.get("index").and_then(Value::as_u64).unwrap_or_default();
    let text = format!("{code}: {} ({}) [{index}]", text("message"), text("cause"));
    match code {
        // Raft has no leader, or lost it.
        300..400 => Err(Fault::Unreachable(text)),
        _ => Err(Fault::Refused { code, text }),
    }
}

/// The node that an answer is about.
fn answered(answer: &Answer) -> Result<Entry, Fault> {
    let body = read(answer)?;
    let node = body.get("node").and_then(entry);
    node.ok_or_else(|| Fault::Garbage("the answer has no node".into()))
}

fn entry(node: &Value) -> Option<Entry> {
    let key = node.get("key")?.as_str()?;
    let index = |name: &str| node.get(name).and_then(Value::as_u64);
    Some(Entry {
        id: key.rsplit('/').next().unwrap_or(key).to_string(),
        value: node.get("value").and_then(Value::as_str).map(str::to_string),
        created: index("createdIndex")?,
        modified: index("modifiedIndex")?,
    })
}

/// A value as forms carry it: all but what never needs an escape is escaped.
fn form_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn errors_are_told_apart_from_garbage_and_from_trouble() {
        let missing = r#"{"errorCode":100,"message":"Key not found","cause":"/t","index":7}"#;
        let text = "100: Key not found (/t) [7]".to_string();
        assert_eq!(read(&answer(404, missing)), Err(Fault::Refused { code: 100, text }));
        let no_leader = r#"{"errorCode":300,"message":"Raft Internal Error","index":0}"#;
        for (status, body) in [(500, no_leader), (503, "<html>"), (502, ""), (200, "")] {
            let read = read(&answer(status, body));
            assert!(matches!(read, Err(Fault::Unreachable(_))), "{status} {body}: {read:?}");
        }
        for (status, body) in [
            (200, "hello"),
            (404, "404 page not found"),
            (401, r#"{"message":"no"}"#),
            (500, "oops"),
        ] {
            let read = read(&answer(status, body));
            assert!(matches!(read, Err(Fault::Garbage(_))), "{status} {body}: {read:?}");
        }
    }

    #[test]
    fn json_that_is_no_node_is_garbage() {
        for body in ["{}", "[]", "null", r#"{"node":7}"#, r#"{"node":{"key":"/a"}}"#] {
            let found = answered(&answer(200, body));
            assert!(matches!(found, Err(Fault::Garbage(_))), "{body}: {found:?}");
        }
    }

    #[test]
    fn values_are_escaped_as_forms_want_them() {
        assert_eq!(form_escaped("a-1=http://h:1 \u{e4}"), "a-1%3Dhttp%3A%2F%2Fh%3A1+%C3%A4");
    }
}
