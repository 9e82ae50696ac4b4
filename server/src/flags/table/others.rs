//! The flags of etcd's that do not work here, with the reason.
//!
//! The release that a default was taken from is the latest one that has the flag.

use super::Kind;
use super::Kind::{Bool, Duration, Number, OneOf, Text, Urls};

const COMPACTION: &str = "the history of keys is not compacted by this build";
const V3_DISCOVERY: &str = "a v3 discovery service is not supported; --discovery is v2's";
const TRACING: &str = "there is no OpenTelemetry exporter";
const V2_ON_V3: &str = "v2 has a store of its own; --enable-v2 is all it takes";
const CORRUPTION: &str = "members do not compare their states while they run";

/// Name, kind, default, reason: only the default is accepted, for that reason.
#[rustfmt::skip]
pub(super) const REFUSED: &[(&str, Kind, &str, &str)] = &[
    ("auth-token", Text, "simple", "there are only simple tokens"),
    ("auto-compaction-mode", OneOf(&["periodic", "revision"]), "periodic", COMPACTION),
    ("auto-compaction-retention", Text, "0", COMPACTION),
    ("corrupt-check-time", Duration, "0s", CORRUPTION),
    ("discovery-endpoints", Text, "", V3_DISCOVERY),
    ("discovery-token", Text, "", V3_DISCOVERY),
    ("enable-distributed-tracing", Bool, "false", TRACING),
    ("experimental-corrupt-check-time", Duration, "0s", CORRUPTION),
    ("experimental-enable-distributed-tracing", Bool, "false", TRACING),
    ("experimental-enable-v2v3", Text, "", V2_ON_V3),
    ("listen-client-http-urls", Urls, "", "--listen-client-urls serves gRPC and HTTP alike"),
    ("max-learners", Number, "1", "a cluster has one learner at a time"),
    ("socket-reuse-port", Bool, "false", "two members must not share an address"),
    ("wal-dir", Text, "", "the log is DATA-DIR/wal, which may be a link or a mounted disk"),
];

const BBOLT: &str = "the data is not in a bbolt file";
const CHECKSUMS: &str = "all that is on disk is checked by its checksums at each start";
const FILES: &str = "files go as soon as nobody needs them";
const LOG_FLAG: &str = "--log-level and --log-outputs are what there is";
const OLD: &str = "etcd itself has ignored it since 0.4";
const SCHEDULING: &str = "long work is done in slices between requests";
const SLOW: &str = "how long requests take is told by /metrics, not by the log";
const LEASES: &str = "leases are not served by this build";
const WATCHES: &str = "v3 watches are not served by this build";
const PEER_SILENCE: &str = "members find out about a silent connection within 5 s";
const DOWNGRADE: &str = "there is no earlier version to go back to";

/// Name, kind, default, reason: any value is accepted, with a warning that it has no effect.
#[rustfmt::skip]
pub(super) const MOOT: &[(&str, Kind, &str, &str)] = &[
    ("auth-token-ttl", Number, "300", "v3 authentication is not served by this build"),
    ("backend-batch-interval", Duration, "0", BBOLT),
    ("backend-batch-limit", Number, "0", BBOLT),
    ("backend-bbolt-freelist-type", OneOf(&["", "array", "map"]), "map", BBOLT),
    ("bootstrap-defrag-threshold-megabytes", Number, "0", BBOLT),
    ("compact-hash-check-time", Duration, "1m", COMPACTION),
    ("compaction-batch-limit", Number, "1000", SCHEDULING),
    ("compaction-sleep-interval", Duration, "0", SCHEDULING),
    ("discovery-cacert", Text, "", V3_DISCOVERY),
    ("discovery-cert", Text, "", V3_DISCOVERY),
    ("discovery-dial-timeout", Duration, "2s", V3_DISCOVERY),
    ("discovery-insecure-skip-tls-verify", Bool, "false", V3_DISCOVERY),
    ("discovery-insecure-transport", Bool, "true", V3_DISCOVERY),
    ("discovery-keepalive-time", Duration, "2s", V3_DISCOVERY),
    ("discovery-keepalive-timeout", Duration, "6s", V3_DISCOVERY),
    ("discovery-key", Text, "", V3_DISCOVERY),
    ("discovery-password", Text, "", V3_DISCOVERY),
    ("discovery-request-timeout", Duration, "5s", V3_DISCOVERY),
    ("discovery-user", Text, "", V3_DISCOVERY),
    ("distributed-tracing-address", Text, "localhost:4317", TRACING),
    ("distributed-tracing-instance-id", Text, "", TRACING),
    ("distributed-tracing-sampling-rate", Number, "0", TRACING),
    ("distributed-tracing-service-name", Text, "etcd", TRACING),
    ("downgrade-check-time", Duration, "5s", DOWNGRADE),
    ("enable-pprof", Bool, "false", "there is no Go runtime to profile; use perf"),
    ("experimental-backend-bbolt-freelist-type", OneOf(&["", "array", "map"]), "array", BBOLT),
    ("experimental-bootstrap-defrag-threshold-megabytes", Number, "0", BBOLT),
    ("experimental-compact-hash-check-enabled", Bool, "false", COMPACTION),
    ("experimental-compact-hash-check-time", Duration, "1m", COMPACTION),
    ("experimental-compaction-batch-limit", Number, "1000", SCHEDULING),
    ("experimental-compaction-sleep-interval", Duration, "0", SCHEDULING),
    ("experimental-distributed-tracing-address", Text, "localhost:4317", TRACING),
    ("experimental-distributed-tracing-instance-id", Text, "", TRACING),
    ("experimental-distributed-tracing-sampling-rate", Number, "0", TRACING),
    ("experimental-distributed-tracing-service-name", Text, "etcd", TRACING),
    ("experimental-downgrade-check-time", Duration, "5s", DOWNGRADE),
    ("experimental-enable-lease-checkpoint", Bool, "false", LEASES),
    ("experimental-enable-lease-checkpoint-persist", Bool, "false", LEASES),
    ("experimental-initial-corrupt-check", Bool, "false", CHECKSUMS),
    ("experimental-memory-mlock", Bool, "false", "the memory of a member may be swapped"),
    ("experimental-snapshot-catchup-entries", Number, "5000", "--snapshot-count is what is kept"),
    ("experimental-stop-grpc-service-on-defrag", Bool, "false", "nothing has to be defragmented"),
    ("experimental-txn-mode-write-with-shared-buffer", Bool, "true", BBOLT),
    ("experimental-warning-apply-duration", Duration, "100ms", SLOW),
    ("experimental-warning-unary-request-duration", Duration, "300ms", SLOW),
    ("experimental-watch-progress-notify-interval", Duration, "10m", WATCHES),
    ("feature-gates", Text, "", "each of etcd's gates is about what only etcd has"),
    ("initial-election-tick-advance", Bool, "true",
        "a member that starts waits for a whole election timeout"),
    ("log-package-levels", Text, "", LOG_FLAG),
    ("logger", OneOf(&["capnslog", "zap"]), "zap", "lines are always those of zap"),
    ("max-snapshots", Number, "5", FILES),
    ("max-wals", Number, "5", FILES),
    ("memory-mlock", Bool, "false", "the memory of a member may be swapped"),
    ("raft-read-timeout", Duration, "5s", PEER_SILENCE),
    ("raft-write-timeout", Duration, "5s", PEER_SILENCE),
    ("snapshot-catchup-entries", Number, "5000", "--snapshot-count is what is kept"),
    ("socket-reuse-address", Bool, "false", "addresses are always reused"),
    ("v2-deprecation", OneOf(&["", "not-yet", "write-only", "write-only-drop-data", "gone"]),
        "write-only", "v2 stays; --enable-v2=false stops serving it"),
    ("warning-apply-duration", Duration, "100ms", SLOW),
    ("warning-unary-request-duration", Duration, "300ms", SLOW),
    ("watch-progress-notify-interval", Duration, "10m", WATCHES),
    ("cluster-active-size", Text, "", OLD),
    ("cluster-remove-delay", Text, "", OLD),
    ("cluster-sync-interval", Text, "", OLD),
    ("config", Text, "", OLD),
    ("force", Bool, "false", OLD),
    ("max-result-buffer", Text, "", OLD),
    ("max-retry-attempts", Text, "", OLD),
    ("peer-election-timeout", Text, "", OLD),
    ("peer-heartbeat-interval", Text, "", OLD),
    ("retry-interval", Text, "", OLD),
    ("snapshot", Bool, "false", OLD),
    ("v", Bool, "false", OLD),
    ("vv", Bool, "false", OLD),
    ("test.coverprofile", Text, "", OLD),
    ("test.outputdir", Text, "", OLD),
];
