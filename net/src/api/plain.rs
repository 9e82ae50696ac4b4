//! The endpoints of neither API: `/version`, `/health`, `/metrics`, `/debug/vars`, and what a peer
//! listener answers to HTTP.

use bytes::Bytes;
use quorra_core::raft::RoleName;
use quorra_core::replica::{Reply, Request as Question, Status};
use quorra_core::store::v2::{Statistics, Tally};
use quorra_core::time::{Duration, Instant};

use super::front::{self, VERSION, method_not_allowed, plain_error, respond};
use super::{Begun, Exchange, Outcome, View};
use crate::http::{Method, Request, Response};

/// How long `/health` waits for the leader's confirmation (etcd: one second).
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Begins a request by a client listener; `path` is decoded and clean.
pub(super) fn begin(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    if path == b"/config/local/log" {
        return respond(match request.method {
            Method::Put => plain_error(501, "the log level is fixed at the start"),
            _ => method_not_allowed("PUT"),
        });
    }
    let answer: fn(&Request, View<'_>) -> Begun = match path {
        b"/health" => health,
        b"/version" => |_, view| respond(version(view)),
        b"/metrics" => |_, view| respond(metrics(view)),
        b"/debug/vars" => |_, view| respond(variables(view)),
        b"/config/local/log" => return respond(log_level(request)),
        _ => return respond(front::not_found()),
    };
    match request.method {
        Method::Get => answer(request, view),
        Method::Head if path == b"/metrics" => answer(request, view),
        _ => respond(method_not_allowed("GET")),
    }
}

/// etcd 3.4's switch of the log level. The route is there; the level is fixed at start.
fn log_level(request: &Request) -> Response {
    match request.method {
        Method::Put => plain_error(501, "the log level is set by --log-level alone"),
        _ => method_not_allowed("PUT"),
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
        return respond(unhealthy());
    }
    let query = request.query.as_deref().unwrap_or_default();
    if query.split(|byte| *byte == b'&').any(|field| field == b"serializable=true") {
        return respond(healthy());
    }
    let exchange = HealthCheck { deadline: view.now.monotonic + HEALTH_TIMEOUT };
    (Outcome::Ask(Box::new(Question::Barrier)), Some(Box::new(exchange)))
}

fn healthy() -> Response {
    Response::new(200, &b"{\"health\":\"true\"}"[..])
        .with("Content-Type", &b"text/plain; charset=utf-8"[..])
}

fn unhealthy() -> Response {
    plain_error(503, r#"{"health":"false"}"#)
}

#[derive(Debug)]
struct HealthCheck {
    deadline: Instant,
}

impl Exchange for HealthCheck {
    fn on_reply(&mut self, reply: Reply, _view: View<'_>) -> Outcome {
        Outcome::Respond(if reply.outcome.is_ok() { healthy() } else { unhealthy() })
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn on_deadline(&mut self, _view: View<'_>) -> Outcome {
        Outcome::Respond(unhealthy())
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
        serde_json::json!({ "Alloc": status.state_bytes }),
    );
    Response::new(200, body).with("Content-Type", &b"application/json; charset=utf-8"[..])
}

/// The gauges and counters that this build can tell truly, in Prometheus's text format.
fn metrics(view: View<'_>) -> Response {
    let status = view.replica.status();
    let counted = view.statistics;
    let mut text = Text::default();
    let flag = |set: bool| u64::from(set);
    text.put("etcd_server_has_leader", "gauge", flag(status.leader.is_some()));
    text.put("etcd_server_is_leader", "gauge", flag(status.role == RoleName::Leader));
    text.put("etcd_server_is_learner", "gauge", flag(status.is_learner));
    text.put("etcd_server_leader_changes_seen_total", "counter", counted.leader_changes);
    text.put("etcd_server_proposals_committed_total", "gauge", status.commit_index.0);
    text.put("etcd_server_proposals_applied_total", "gauge", status.applied_index.0);
    text.put("etcd_mvcc_db_total_size_in_bytes", "gauge", status.disk_bytes);
    text.put("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", status.state_bytes);
    text.put(&format!("etcd_server_version{{server_version=\"{VERSION}\"}}"), "gauge", flag(true));
    text.put("etcd_network_client_grpc_received_bytes_total", "counter", counted.client_received);
    text.put("etcd_network_client_grpc_sent_bytes_total", "counter", counted.client_sent);
    text.put("process_max_fds", "gauge", view.options.file_descriptor_limit);
    put_store(&mut text, &view.replica.state().v2().statistics());
    Response::new(200, Bytes::from(text.0))
        .with("Content-Type", &b"text/plain; version=0.0.4; charset=utf-8"[..])
}

/// The v2 store's counters under etcd's names and labels.
fn put_store(text: &mut Text, store: &Statistics) {
    let reads = [("get", store.gets)];
    let writes = [
        ("set", store.sets),
        ("create", store.creates),
        ("update", store.updates),
        ("delete", store.deletes),
        ("compareAndSwap", store.compare_and_swaps),
        ("compareAndDelete", store.compare_and_deletes),
    ];
    let families: [(&str, &[(&str, Tally)]); 2] = [("reads", &reads), ("writes", &writes)];
    for (family, tallies) in families {
        let total = format!("etcd_debugging_store_{family}_total");
        let failed = format!("etcd_debugging_store_{family}_failed_total");
        text.put_family(&total, "action", tallies.iter().map(|(a, tally)| (*a, tally.success)));
        text.put_family(&failed, "action", tallies.iter().map(|(a, tally)| (*a, tally.fail)));
    }
    text.put("etcd_debugging_store_expires_total", "counter", store.expirations);
    text.put("etcd_debugging_store_watchers", "gauge", store.watchers);
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// A family of counters, one for each value of a label.
    fn put_family<'a>(
        &mut self,
        family: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        self.0.push_str(&format!("# TYPE {family} counter\n"));
        for (name, value) in values {
            self.0.push_str(&format!("{family}{{{label}=\"{name}\"}} {value}\n"));
        }
    }

    /// A series of one value, behind the line that tells its family's type.
    fn put(&mut self, series: &str, kind: &str, value: u64) {
        let family = series.split('{').next().unwrap_or(series);
        self.0.push_str(&format!("# TYPE {family} {kind}\n{series} {value}\n"));
    }
}
