//! `/metrics`: what this member counts, under etcd's names.
//!
//! Nothing is registered and nothing is global: a scrape walks the statistics and the state, and
//! writes down what is there. Every series exists from the start, and none is a guess: what etcd
//! tells of its Go runtime, of bbolt and of its own locks has no counterpart here.

mod api;
mod families;

use bytes::Bytes;
use quorra_core::raft::RoleName;
use quorra_core::store::v3;

use self::families::Families;
use super::front::{VERSION, respond};
use super::{Begun, Errand, Exchange, Outcome, View};
use crate::http::Response;

/// Begins a scrape: the process is measured first.
pub(super) fn begin() -> Begun {
    (Outcome::Run(Errand::Measure), Some(Box::new(Scrape)))
}

#[derive(Debug)]
struct Scrape;

impl Exchange for Scrape {
    fn on_reply(&mut self, _reply: quorra_core::replica::Reply, _view: View<'_>) -> Outcome {
        unreachable!("a scrape asks nothing of the replica")
    }

    fn on_errand(&mut self, view: View<'_>) -> Outcome {
        let mut families = Families::default();
        server(&mut families, view);
        store(&mut families, view);
        network(&mut families, view);
        process(&mut families, view);
        api::put(&mut families, view);
        let response = Response::new(200, Bytes::from(families.into_text()))
            .with("Content-Type", &b"text/plain; version=0.0.4; charset=utf-8"[..]);
        let (outcome, _) = respond(response);
        outcome
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn server(families: &mut Families, view: View<'_>) {
    let status = view.replica.status();
    let counted = view.statistics;
    let member = status.member.to_string();
    families.gauges(
        "etcd_server_version",
        "Which version is running. 1 for 'server_version' label with current version.",
        [(&[("server_version", VERSION)][..], 1.0)],
    );
    families.gauges(
        "etcd_server_id",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        [(&[("server_id", member.as_str())][..], 1.0)],
    );
    let version = view.replica.cluster_version().and_then(|version| version.rsplit_once('.'));
    families.gauges(
        "etcd_cluster_version",
        "Which version is running. 1 for 'cluster_version' label with current cluster version",
        version.map(|(minor, _)| [("cluster_version", minor)]).iter().map(|l| (&l[..], 1.0)),
    );
    let has_leader = flag(status.leader.is_some());
    families.gauge(
        "etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        has_leader,
    );
    let leads = flag(status.role == RoleName::Leader);
    let help = "Whether or not this member is a leader. 1 if is, 0 otherwise.";
    families.gauge("etcd_server_is_leader", help, leads);
    let help = "Whether or not this member is a learner. 1 if is, 0 otherwise.";
    families.gauge("etcd_server_is_learner", help, flag(status.is_learner));
    let help = "The number of leader changes seen.";
    families.counter("etcd_server_leader_changes_seen_total", help, counted.leader_changes);
    let help = "The total number of consensus proposals committed.";
    let committed = status.commit_index.0 as f64;
    families.gauge("etcd_server_proposals_committed_total", help, committed);
    let help = "The total number of consensus proposals applied.";
    let applied = status.applied_index.0 as f64;
    families.gauge("etcd_server_proposals_applied_total", help, applied);
    let help = "The current number of pending proposals to commit.";
    let pending = view.replica.writes_waiting() as f64;
    families.gauge("etcd_server_proposals_pending", help, pending);
    let help = "The total number of failed proposals seen.";
    families.counter("etcd_server_proposals_failed_total", help, counted.proposals_failed);
    let help = "Current backend storage quota size in bytes.";
    let quota = view.options.quota_bytes.unwrap_or(0) as f64;
    families.gauge("etcd_server_quota_backend_bytes", help, quota);
    let help = "The total number of successful health checks";
    families.counter("etcd_server_health_success", help, counted.requests.healthy.get());
    let help = "The total number of failed health checks";
    families.counter("etcd_server_health_failures", help, counted.requests.unhealthy.get());
}

fn store(families: &mut Families, view: View<'_>) {
    let status = view.replica.status();
    let v3 = view.replica.state().v3();
    let measured = &view.statistics.measured;
    families.gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "Total size of the log and the checkpoints on disk in bytes.",
        status.disk_bytes as f64,
    );
    families.gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Total size of the state in bytes.",
        status.state_bytes as f64,
    );
    families.gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.", v3.keys() as f64);
    families.gauge(
        "etcd_debugging_mvcc_current_revision",
        "The current revision of store.",
        v3.revision() as f64,
    );
    families.gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.",
        v3.compact_revision() as f64,
    );
    operations(families, v3.statistics());
    families.histogram(
        "etcd_disk_wal_fsync_duration_seconds",
        "The latency distributions of writing and syncing a batch of the log.",
        &measured.log_syncs,
    );
    families.histogram(
        "etcd_disk_backend_commit_duration_seconds",
        "The latency distributions of syncs of checkpoints and snapshots.",
        &measured.bulk_syncs,
    );
}

/// What the v3 store was asked for, under the two names that each has in etcd 3.4.
fn operations(families: &mut Families, counted: v3::Statistics) {
    let counters = [
        ("put", counted.puts),
        ("delete", counted.deletes),
        ("range", counted.ranges),
        ("txn", counted.transactions),
    ];
    for (name, count) in counters {
        let help = format!("Total number of {name}s seen by this member.");
        families.counter(&format!("etcd_mvcc_{name}_total"), &help, count);
        families.counter(&format!("etcd_debugging_mvcc_{name}_total"), &help, count);
    }
}

fn network(families: &mut Families, view: View<'_>) {
    let counted = view.statistics;
    let local = view.replica.status().member.to_string();
    families.counter(
        "etcd_network_client_grpc_received_bytes_total",
        "The total number of bytes received from clients.",
        counted.client_received,
    );
    families.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        "The total number of bytes sent to clients.",
        counted.client_sent,
    );
    let peers: Vec<_> = counted.peers.iter().map(|(id, peer)| (id.to_string(), peer)).collect();
    let to: Vec<_> = peers.iter().map(|(id, peer)| ([("To", id.as_str())], *peer)).collect();
    let from: Vec<_> = peers.iter().map(|(id, peer)| ([("From", id.as_str())], *peer)).collect();
    let both: Vec<_> = peers
        .iter()
        .map(|(id, peer)| ([("Local", local.as_str()), ("Remote", id.as_str())], *peer))
        .collect();
    families.counters(
        "etcd_network_peer_sent_bytes_total",
        "The total number of bytes sent to peers.",
        to.iter().map(|(labels, peer)| (&labels[..], peer.sent_bytes)),
    );
    families.counters(
        "etcd_network_peer_received_bytes_total",
        "The total number of bytes received from peers.",
        from.iter().map(|(labels, peer)| (&labels[..], peer.received_bytes)),
    );
    families.counters(
        "etcd_network_peer_sent_failures_total",
        "The total number of messages that were dropped because a peer was not connected.",
        to.iter().map(|(labels, peer)| (&labels[..], peer.send_failures)),
    );
    families.histograms(
        "etcd_network_peer_round_trip_time_seconds",
        "Round-Trip-Time histogram between peers: from an append to its acknowledgement.",
        to.iter().map(|(labels, peer)| (&labels[..], &peer.round_trips)),
    );
    families.gauges(
        "etcd_network_active_peers",
        "The current number of active peer connections.",
        both.iter().map(|(labels, peer)| (&labels[..], flag(peer.is_up))),
    );
    families.counters(
        "etcd_network_disconnected_peers_total",
        "The total number of disconnected peers.",
        both.iter().map(|(labels, peer)| (&labels[..], peer.disconnections)),
    );
}

fn process(families: &mut Families, view: View<'_>) {
    let measured = &view.statistics.measured;
    let (open, limit) = (measured.descriptors as f64, view.options.file_descriptor_limit as f64);
    let help = "Total user and system CPU time spent in seconds.";
    let processor = measured.processor_time.as_secs_f64();
    families.seconds("process_cpu_seconds_total", help, processor);
    let help = "Resident memory size in bytes.";
    families.gauge("process_resident_memory_bytes", help, measured.resident_bytes as f64);
    let help = "Virtual memory size in bytes.";
    families.gauge("process_virtual_memory_bytes", help, measured.virtual_bytes as f64);
    families.gauge("process_open_fds", "Number of open file descriptors.", open);
    families.gauge("process_max_fds", "Maximum number of open file descriptors.", limit);
    let help = "Start time of the process since unix epoch in seconds.";
    let started = measured.started.0 as f64 / 1e9;
    families.gauge("process_start_time_seconds", help, started);
    families.gauge("os_fd_used", "The number of used file descriptors.", open);
    families.gauge("os_fd_limit", "The file descriptor limit.", limit);
}
