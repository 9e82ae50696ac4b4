//! The JSON gateway of the endpoints: one after the other is asked until one answers.
//!
//! What only reads goes on to the next endpoint whenever one cannot answer; what writes only if
//! the request was never sent, so that nothing is done twice.

use std::fmt;
use std::time::{Duration, Instant};

use quorra::client::{Answer, Client, ClientError, Limits, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{BAD_ARGUMENTS, ERROR, failed};
use crate::endpoints::{self, Endpoint};
use crate::failure::Failure;
use crate::flags::Flags;
use crate::{connect, password};

/// Where etcdctl looks if it is told nothing.
const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// gRPC's codes that this client looks at.
const PERMISSION_DENIED: u32 = 7;
const UNAVAILABLE: u32 = 14;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum GatewayError {
    /// The server refused: gRPC's code, and its text.
    Refused(u32, String),
    /// No answer, or none that can be understood.
    Unanswered(String),
    /// The command's time is over.
    Deadline,
}

impl GatewayError {
    /// Whether it only says that this user must not do it.
    pub(super) fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Refused(PERMISSION_DENIED, _))
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, text) | Self::Unanswered(text) => f.write_str(text),
            Self::Deadline => f.write_str("context deadline exceeded"),
        }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        failed(ERROR, error)
    }
}

/// What the gateway says when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u32,
    message: String,
    error: String,
}

/// Whether a call may be repeated at another endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// The endpoints, and the connections to them.
pub(super) struct Gateway {
    client: Client,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) command_timeout: Duration,
    debug: bool,
}

impl Gateway {
    /// The endpoints that flags and environment name. Logs in if they name a user.
    pub(super) fn open(flags: &Flags<'_>, out: &mut dyn std::io::Write) -> Result<Self, Failure> {
        let wrong = |reason: String| failed(ERROR, reason);
        let seconds = Duration::from_secs;
        let timeout = |name, variable, default| {
            flags.duration_or(name, variable, seconds(default)).map_err(wrong)
        };
        let command_timeout = timeout("command-timeout", "COMMAND_TIMEOUT", 5)?;
        // As in etcd's client zero is no limit; the command's own remains.
        let dial_timeout = match timeout("dial-timeout", "DIAL_TIMEOUT", 2)? {
            Duration::ZERO => command_timeout,
            limit => limit,
        };
        let insecure = flags.bool_or("insecure-discovery", "INSECURE_DISCOVERY").map_err(wrong)?;
        let found = connect::discover(flags, insecure.unwrap_or(true)).map_err(wrong)?;
        let mut endpoints = found.endpoints;
        if endpoints.is_empty() {
            let scheme = match connect::wants_tls(flags).map_err(wrong)? {
                true => "https",
                false => "http",
            };
            let given = match endpoints::given(flags) {
                none if none.is_empty() => vec![DEFAULT_ENDPOINT],
                given => given,
            };
            let parsed = given.into_iter().map(|text| Endpoint::parse(text, scheme));
            endpoints = parsed.collect::<Result<_, _>>().map_err(wrong)?;
        }
        let client = connect::client(flags, dial_timeout, found.server_name)
            .map_err(|reason| failed(BAD_ARGUMENTS, reason))?;
        let debug = flags.is_set("debug");
        let mut gateway = Self { client, endpoints, command_timeout, debug };
        if let Some(user) = flags.text_or("user", &["USER"]) {
            let (name, password) = match flags.text_or("password", &["PASSWORD"]) {
                Some(password) => (user.to_string(), password.to_string()),
                None => password::credentials(user, "Password: ", out)?,
            };
            // As in etcd's client: who has no password does not log in.
            if !name.is_empty() && !password.is_empty() {
                gateway.log_in(&name, &password)?;
            }
        }
        Ok(gateway)
    }

    /// Gets a token, and shows it with every call from now on.
    fn log_in(&mut self, name: &str, password: &str) -> Result<(), GatewayError> {
        #[derive(Deserialize)]
        struct Authenticated {
            token: String,
        }
        let request = json!({"name": name, "password": password});
        let answer: Result<Authenticated, _> =
            self.call("/v3/auth/authenticate", &request, Kind::Read);
        match answer {
            Ok(answer) => self.client.authorize(answer.token),
            // As in etcdctl: where nobody must log in, nobody has to.
            Err(GatewayError::Refused(_, text))
                if text.contains("authentication is not enabled") => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Calls a method at whichever endpoint answers.
    pub(super) fn call<T: DeserializeOwned>(
        &mut self,
        path: &str,
        message: &Value,
        kind: Kind,
    ) -> Result<T, GatewayError> {
        let deadline = Instant::now() + self.command_timeout;
        let mut failures = Vec::new();
        for endpoint in self.endpoints.clone() {
            let (reason, sent) = match self.ask(&endpoint, path, message, deadline) {
                Ok(answer) => match read(&answer) {
                    Err(GatewayError::Refused(UNAVAILABLE, text)) if kind == Kind::Read => {
                        (text, true)
                    }
                    outcome => return outcome,
                },
                Err(ClientError::Dial(address, error)) => {
                    (connect::describe(&ClientError::Dial(address, error)), false)
                }
                Err(error) => (connect::describe(&error), true),
            };
            if deadline <= Instant::now() {
                return Err(GatewayError::Deadline);
            }
            failures.push(format!("{endpoint}: {reason}"));
            if sent && kind == Kind::Write {
                break;
            }
        }
        Err(GatewayError::Unanswered(format!("no endpoint answers: {}", failures.join("; "))))
    }

    /// Calls a method at one endpoint.
    pub(super) fn call_at<T: DeserializeOwned>(
        &mut self,
        endpoint: &Endpoint,
        path: &str,
        message: &Value,
    ) -> Result<T, GatewayError> {
        let deadline = Instant::now() + self.command_timeout;
        match self.ask(endpoint, path, message, deadline) {
            Ok(answer) => read(&answer),
            Err(_) if deadline <= Instant::now() => Err(GatewayError::Deadline),
            Err(error) => Err(GatewayError::Unanswered(connect::describe(&error))),
        }
    }

    fn ask(
        &mut self,
        endpoint: &Endpoint,
        path: &str,
        message: &Value,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let path = format!("{}{path}", endpoint.base);
        let body = message.to_string();
        if self.debug {
            eprintln!("POST {}{path} {body}", endpoint.url);
        }
        let request = Request {
            method: "POST",
            path: &path,
            content_type: "application/json",
            body: body.as_bytes(),
        };
        let limits = Limits { head: None, whole: Some(deadline) };
        self.client.exchange(&endpoint.url, &request, limits)
    }
}

/// The message of an answer, or why there is none.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, GatewayError> {
    if answer.status == 200 {
        let wrong = |error| GatewayError::Unanswered(format!("the answer is not etcd's: {error}"));
        return serde_json::from_slice(&answer.body).map_err(wrong);
    }
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = match (refusal.message.is_empty(), refusal.error.is_empty()) {
        (false, _) => refusal.message,
        (true, false) => refusal.error,
        (true, true) => format!("the server answers with status {}", answer.status),
    };
    Err(GatewayError::Refused(refusal.code, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> String {
        let answer = Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        read::<Value>(&answer).expect_err(body).to_string()
    }

    #[test]
    fn refusals_are_read_in_the_forms_of_all_releases() {
        let text = "etcdserver: mvcc: required revision is a future revision";
        assert_eq!(
            refused(400, &format!(r#"{{"error":"{text}","code":11,"message":"{text}"}}"#)),
            text
        );
        assert_eq!(refused(400, &format!(r#"{{"error":"{text}","code":11}}"#)), text);
        assert_eq!(refused(404, "Not Found"), "the server answers with status 404");
    }
}
