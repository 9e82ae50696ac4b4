//! The endpoints of neither API: `/version`, `/health`, `/metrics`, `/debug/vars`, and what a peer
//! listener answers to HTTP.

use bytes::Bytes;
use quorra_core::raft::RoleName;
use quorra_core::replica::{Reply, Request as Question, Status};
use quorra_core::time::{Duration, Instant};

use super::front::{self, VERSION, method_not_allowed, plain_error, respond};
use super::{Begun, Errand, Exchange, Outcome, View, metrics, v2};
use crate::host::Level;
use crate::http::{Method, Request, Response};

/// How long `/health` waits for the leader's confirmation (etcd: one second).
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Begins a request by a client listener; `path` is decoded and clean.
pub(super) fn begin(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    let answer: fn(&Request, View<'_>) -> Begun = match path {
        b"/health" => health,
        b"/version" => |_, view| respond(version(view)),
        b"/metrics" => return metrics::begin(),
        b"/debug/vars" => |_, _| (Outcome::Run(Errand::Measure), Some(Box::new(Variables))),
        b"/config/local/log" => return log_level(request),
        _ => return respond(front::not_found()),
    };
    match request.method {
        Method::Get => answer(request, view),
        _ => respond(method_not_allowed("GET")),
    }
}

/// etcd 3.4's switch of the log level, with the levels' names of its logger.
fn log_level(request: &Request) -> Begun {
    if request.method != Method::Put {
        return respond(method_not_allowed("PUT"));
    }
    let Some(name) = log_level_name(&request.body) else {
        return respond(v2::message(400, "Invalid json body"));
    };
    let level = match name.to_uppercase().as_str() {
        "CRITICAL" | "C" | "ERROR" | "0" | "E" => Level::Error,
        "WARNING" | "1" | "W" => Level::Warn,
        "NOTICE" | "2" | "N" | "INFO" | "3" | "I" => Level::Info,
        "DEBUG" | "4" | "D" | "TRACE" | "5" | "T" => Level::Debug,
        _ => return respond(v2::message(400, &format!("Invalid log level {name}"))),
    };
    (Outcome::Run(Errand::LogLevel(level)), Some(Box::new(LogLevelSet)))
}

/// The field `Level` of the first JSON value, spelt in whatever case (Go); empty if there is none.
fn log_level_name(body: &[u8]) -> Option<String> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter();
    match values.next()?.ok()? {
        serde_json::Value::Null => Some(String::new()),
        serde_json::Value::Object(fields) => {
            let level =
                fields.into_iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("level"));
            match level {
                None | Some((_, serde_json::Value::Null)) => Some(String::new()),
                Some((_, serde_json::Value::String(level))) => Some(level),
                Some(_) => None,
            }
        }
        _ => None,
    }
}

#[derive(Debug)]
struct LogLevelSet;

impl Exchange for LogLevelSet {
    fn on_reply(&mut self, _reply: Reply, _view: View<'_>) -> Outcome {
        unreachable!("setting a level asks nothing of the replica")
    }

    fn on_errand(&mut self, _view: View<'_>) -> Outcome {
        Outcome::Respond(Response::new(204, Bytes::new()))
    }
}

/// Begins a request by a peer listener: what operators and etcd's own tools ask there.
pub(super) fn begin_peer(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    if path == b"/raft" || path.starts_with(b"/raft/") {
        return respond(plain_error(412, "this member does not speak etcd's peer protocol"));
    }
    if path == b"/members" {
        return match request.method {
            Method::Get => respond(members(view)),
            _ => respond(method_not_allowed("GET")),
        };
    }
    match path {
        b"/version" | b"/health" => begin(request, path, view),
        _ => respond(front::not_found()),
    }
}

fn json(status: u16, body: String) -> Response {
    Response::new(status, body).with("Content-Type", &b"application/json"[..])
}

fn version(view: View<'_>) -> Response {
    let cluster = view.replica.cluster_version().unwrap_or("not_decided");
    json(200, format!("{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"{cluster}\"}}"))
}

/// The list that a joining etcd member reads; the ids are numbers here, not text.
fn members(view: View<'_>) -> Response {
    let membership = view.replica.membership();
    let list = membership.members.values().map(|member| {
        let mut fields = serde_json::json!({
            "id": member.id.0,
            "peerURLs": member.peer_urls,
            "name": member.name,
            "clientURLs": member.client_urls,
        });
        if member.is_learner {
            fields["isLearner"] = true.into();
        }
        fields
    });
    let body = serde_json::Value::from_iter(list).to_string();
    json(200, format!("{body}\n")).with("X-Etcd-Cluster-Id", membership.cluster.to_string())
}

/// Healthy is who has a leader that can still confirm itself.
fn health(request: &Request, view: View<'_>) -> Begun {
    if view.replica.status().leader.is_none() {
        return respond(unhealthy(view));
    }
    let query = request.query.as_deref().unwrap_or_default();
    if query.split(|byte| *byte == b'&').any(|field| field == b"serializable=true") {
        return respond(healthy(view));
    }
    let exchange = HealthCheck { deadline: view.now.monotonic + HEALTH_TIMEOUT };
    (Outcome::Ask(Box::new(Question::Barrier)), Some(Box::new(exchange)))
}

fn healthy(view: View<'_>) -> Response {
    view.statistics.requests.healthy.count();
    Response::new(200, &b"{\"health\":\"true\"}"[..])
        .with("Content-Type", &b"text/plain; charset=utf-8"[..])
}

fn unhealthy(view: View<'_>) -> Response {
    view.statistics.requests.unhealthy.count();
    plain_error(503, r#"{"health":"false"}"#)
}

#[derive(Debug)]
struct HealthCheck {
    deadline: Instant,
}

impl Exchange for HealthCheck {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        Outcome::Respond(if reply.outcome.is_ok() { healthy(view) } else { unhealthy(view) })
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn on_deadline(&mut self, view: View<'_>) -> Outcome {
        Outcome::Respond(unhealthy(view))
    }
}

/// The role in the words of etcd's statistics.
fn role(status: &Status) -> &'static str {
    match status.role {
        RoleName::Follower => "StateFollower",
        RoleName::PreCandidate => "StatePreCandidate",
        RoleName::Candidate => "StateCandidate",
        RoleName::Leader => "StateLeader",
    }
}

#[derive(Debug)]
struct Variables;

impl Exchange for Variables {
    fn on_reply(&mut self, _reply: Reply, _view: View<'_>) -> Outcome {
        unreachable!("variables ask nothing of the replica")
    }

    fn on_errand(&mut self, view: View<'_>) -> Outcome {
        Outcome::Respond(variables(view))
    }
}

/// Go's `expvar`, as far as it means something here; `Alloc` is the state's logical size.
fn variables(view: View<'_>) -> Response {
    let status = view.replica.status();
    let leader = status.leader.map_or_else(|| "0".to_owned(), |leader| leader.to_string());
    let raft = serde_json::json!({
        "id": status.member.to_string(),
        "term": status.term.0,
        "commit": status.commit_index.0,
        "lead": leader,
        "raftState": role(&status),
        "applied": status.applied_index.0,
    });
    let body = format!(
        "{{\n\"cmdline\": {},\n\"file_descriptor_limit\": {},\n\"memstats\": {},\n\
         \"raft.status\": {raft}\n}}\n",
        serde_json::json!(view.options.command_line),
        view.options.file_descriptor_limit,
        serde_json::json!({
            "Alloc": status.state_bytes,
            "Sys": view.statistics.measured.virtual_bytes,
            "HeapInuse": view.statistics.measured.resident_bytes,
        }),
    );
    Response::new(200, body).with("Content-Type", &b"application/json; charset=utf-8"[..])
}
