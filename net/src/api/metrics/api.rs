//! What the two APIs count of their requests.

use quorra_core::store::v2::Tally;

use super::families::Families;
use crate::api::{View, v3};
use crate::grpc::Code;
use crate::host::{KeysMethod, REFUSALS};

pub(super) fn put(families: &mut Families, view: View<'_>) {
    store(families, view);
    keys(families, view);
    calls(families, view);
}

/// The v2 store's counters.
fn store(families: &mut Families, view: View<'_>) {
    let store = view.replica.state().v2().statistics();
    let reads = [("get", store.gets)];
    let writes = [
        ("set", store.sets),
        ("create", store.creates),
        ("update", store.updates),
        ("delete", store.deletes),
        ("compareAndSwap", store.compare_and_swaps),
        ("compareAndDelete", store.compare_and_deletes),
    ];
    let kinds: [(&str, &[(&str, Tally)]); 2] = [("read", &reads), ("write", &writes)];
    for (kind, tallies) in kinds {
        let labels: Vec<_> =
            tallies.iter().map(|(action, tally)| ([("action", *action)], *tally)).collect();
        families.counters(
            &format!("etcd_debugging_store_{kind}s_total"),
            &format!("Total number of {kind}s action by actions."),
            labels.iter().map(|(labels, tally)| (&labels[..], tally.success + tally.fail)),
        );
        families.counters(
            &format!("etcd_debugging_store_{kind}s_failed_total"),
            &format!("Failed {kind} actions by actions."),
            labels.iter().map(|(labels, tally)| (&labels[..], tally.fail)),
        );
    }
    let help = "Total number of expired keys.";
    families.counter("etcd_debugging_store_expires_total", help, store.expirations);
    let help = "Count of currently active watchers.";
    families.gauge("etcd_debugging_store_watchers", help, store.watchers as f64);
    let help = "Total number of incoming watch requests (new or reestablished).";
    let watches = view.statistics.requests.watches.get();
    families.counter("etcd_debugging_store_watch_requests_total", help, watches);
}

/// Requests for v2 keys.
fn keys(families: &mut Families, view: View<'_>) {
    let keys = &view.statistics.requests.keys;
    let methods: Vec<_> = KeysMethod::NAMES.iter().map(|name| [("method", *name)]).collect();
    let series = || methods.iter().map(|labels| &labels[..]).zip(keys);
    families.counters(
        "etcd_http_received_total",
        "Counter of requests received into the system (successfully parsed and authd).",
        series().map(|(labels, keys)| (labels, keys.received.get())),
    );
    families.histograms(
        "etcd_http_successful_duration_seconds",
        "Bucketed histogram of processing time (s) of successfully handled requests \
         (non-watches), by method (GET/PUT etc.).",
        series().map(|(labels, keys)| (labels, &keys.successful)),
    );
    let codes = REFUSALS.map(|status| status.to_string());
    let refused: Vec<_> = KeysMethod::NAMES
        .iter()
        .zip(keys)
        .flat_map(|(method, keys)| {
            codes.iter().zip(&keys.refused).map(move |(code, counter)| {
                ([("method", *method), ("code", code.as_str())], counter.get())
            })
        })
        .collect();
    families.counters(
        "etcd_http_failed_total",
        "Counter of handle failures of requests (non-watches), by method (GET/PUT etc.) and code \
         (400, 500 etc.).",
        refused.iter().map(|(labels, count)| (&labels[..], *count)),
    );
}

/// Calls of v3.
fn calls(families: &mut Families, view: View<'_>) {
    let calls = &view.statistics.requests.calls;
    let methods: Vec<_> = v3::methods()
        .map(|(service, method, kind)| {
            [("grpc_type", kind), ("grpc_service", service), ("grpc_method", method)]
        })
        .collect();
    let series = || methods.iter().map(|labels| &labels[..]).zip(calls);
    families.counters(
        "grpc_server_started_total",
        "Total number of RPCs started on the server.",
        series().map(|(labels, calls)| (labels, calls.started.get())),
    );
    families.counters(
        "grpc_server_msg_received_total",
        "Total number of RPC stream messages received on the server.",
        series().map(|(labels, calls)| (labels, calls.received.get())),
    );
    families.counters(
        "grpc_server_msg_sent_total",
        "Total number of gRPC stream messages sent by the server.",
        series().map(|(labels, calls)| (labels, calls.sent.get())),
    );
    let handled: Vec<_> = methods
        .iter()
        .zip(calls)
        .flat_map(|([kind, service, method], calls)| {
            Code::NAMES.iter().zip(&calls.handled).map(move |(code, counter)| {
                ([*kind, *service, *method, ("grpc_code", *code)], counter.get())
            })
        })
        .collect();
    families.counters(
        "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        handled.iter().map(|(labels, count)| (&labels[..], *count)),
    );
    if view.options.extensive_metrics {
        families.histograms(
            "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level \
             handled by the server.",
            series().map(|(labels, calls)| (labels, &calls.took)),
        );
    }
}
