//! Every flag that etcd knows, with what becomes of it here.
//!
//! A flag that this build does not act on is never silently dropped: [`Support::Missing`] ones
//! refuse to start with anything but their default, [`Support::Moot`] ones warn.

/// What a flag's value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything.
    Text,
    /// As Go reads it: `1 t T TRUE true True 0 f F FALSE false False`.
    Bool,
    /// A decimal number, perhaps negative.
    Number,
    /// As Go writes it: `1h30m`, `300ms`, `0`.
    Duration,
    /// A list of URLs.
    Urls,
    /// `new` or `existing`.
    State,
}

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It works, and stands under this heading of the help.
    Works(&'static str),
    /// Not built yet: only the default is accepted.
    Missing,
    /// It tunes what only etcd has: any value is accepted, with a warning.
    Moot,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    pub(super) support: Support,
    pub(super) help: &'static str,
}

impl Flag {
    /// The environment variable of the same meaning.
    pub(super) fn variable(&self) -> String {
        format!("ETCD_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

const MEMBER: Support = Support::Works("Member");
const CLUSTER: Support = Support::Works("Clustering");
const SECURITY: Support = Support::Works("Security");
const LOGGING: Support = Support::Works("Logging");

/// All flags, the working ones first and in the order of the help.
pub(super) fn all() -> impl Iterator<Item = Flag> {
    let working = WORKING.iter().map(|&(support, name, kind, default, help)| Flag {
        name,
        kind,
        default,
        support,
        help,
    });
    let rest = |flags: &'static [(&'static str, Kind, &'static str)], support| {
        flags.iter().map(move |&(name, kind, default)| Flag {
            name,
            kind,
            default,
            support,
            help: "",
        })
    };
    working.chain(rest(MISSING, Support::Missing)).chain(rest(MOOT, Support::Moot))
}

/// The flag of that name.
pub(super) fn find(name: &str) -> Option<Flag> {
    all().find(|flag| flag.name == name)
}

use Kind::{Bool, Duration, Number, State, Text, Urls};

#[rustfmt::skip]
const WORKING: &[(Support, &str, Kind, &str, &str)] = &[
    (MEMBER, "name", Text, "default", "This member's name for people."),
    (MEMBER, "data-dir", Text, "", "Where this member keeps its data [default: NAME.quorra]."),
    (MEMBER, "snapshot-count", Number, "100000",
        "Log entries that are kept behind a checkpoint for members that lag."),
    (MEMBER, "heartbeat-interval", Number, "100", "Milliseconds between a leader's heartbeats."),
    (MEMBER, "election-timeout", Number, "1000",
        "Milliseconds without a leader before an election."),
    (MEMBER, "listen-peer-urls", Urls, "http://localhost:2380",
        "Where to listen for other members, separated by commas."),
    (MEMBER, "listen-client-urls", Urls, "http://localhost:2379",
        "Where to listen for clients, separated by commas."),
    (MEMBER, "max-request-bytes", Number, "1572864", "The largest request of a client."),
    (MEMBER, "quota-backend-bytes", Number, "0",
        "Refuse writes above this size of the data; 0 is 2 GiB, negative is no limit."),
    (MEMBER, "pre-vote", Bool, "true", "Ask whether an election can be won before starting it."),
    (MEMBER, "enable-v2", Bool, "true", "Serve the v2 API beside v3."),
    (CLUSTER, "initial-advertise-peer-urls", Urls, "http://localhost:2380",
        "Where the other members reach this one."),
    (CLUSTER, "advertise-client-urls", Urls, "http://localhost:2379",
        "Where clients reach this member."),
    (CLUSTER, "initial-cluster", Text, "",
        "The first members, as NAME=URL,.. [default: NAME=INITIAL-ADVERTISE-PEER-URL]."),
    (CLUSTER, "initial-cluster-state", State, "new", "'new', or 'existing' to join a cluster."),
    (CLUSTER, "initial-cluster-token", Text, "etcd-cluster",
        "Keeps clusters with equal addresses apart."),
    (CLUSTER, "strict-reconfig-check", Bool, "true",
        "Refuse membership changes that would cost the quorum."),
    (SECURITY, "cors", Text, "*", "Origins that browsers may call from, separated by commas."),
    (SECURITY, "host-whitelist", Text, "*", "Host names that requests may carry."),
    (LOGGING, "log-level", Text, "info", "debug, info, warn or error."),
];

const MISSING: &[(&str, Kind, &str)] = &[
    ("auth-token", Text, "simple"),
    ("auto-compaction-mode", Text, "periodic"),
    ("auto-compaction-retention", Text, "0"),
    ("auto-tls", Bool, "false"),
    ("bcrypt-cost", Number, "10"),
    ("cert-file", Text, ""),
    ("cipher-suites", Text, ""),
    ("client-cert-allowed-hostname", Text, ""),
    ("client-cert-auth", Bool, "false"),
    ("client-cert-file", Text, ""),
    ("client-crl-file", Text, ""),
    ("client-key-file", Text, ""),
    ("config-file", Text, ""),
    ("corrupt-check-time", Duration, "0s"),
    ("discovery", Text, ""),
    ("discovery-endpoints", Text, ""),
    ("discovery-proxy", Text, ""),
    ("discovery-srv", Text, ""),
    ("discovery-srv-name", Text, ""),
    ("discovery-token", Text, ""),
    ("enable-distributed-tracing", Bool, "false"),
    ("enable-grpc-gateway", Bool, "true"),
    ("enable-pprof", Bool, "false"),
    ("experimental-corrupt-check-time", Duration, "0s"),
    ("experimental-enable-distributed-tracing", Bool, "false"),
    ("experimental-enable-v2v3", Text, ""),
    ("experimental-initial-corrupt-check", Bool, "false"),
    ("feature-gates", Text, ""),
    ("force-new-cluster", Bool, "false"),
    ("key-file", Text, ""),
    ("listen-client-http-urls", Text, ""),
    ("listen-metrics-urls", Text, ""),
    ("log-format", Text, "json"),
    ("log-outputs", Text, "default"),
    ("log-output", Text, "default"),
    ("max-learners", Number, "1"),
    ("max-txn-ops", Number, "128"),
    ("peer-auto-tls", Bool, "false"),
    ("peer-cert-allowed-cn", Text, ""),
    ("peer-cert-allowed-hostname", Text, ""),
    ("peer-cert-file", Text, ""),
    ("peer-client-cert-auth", Bool, "false"),
    ("peer-client-cert-file", Text, ""),
    ("peer-client-key-file", Text, ""),
    ("peer-crl-file", Text, ""),
    ("peer-key-file", Text, ""),
    ("peer-skip-client-san-verification", Bool, "false"),
    ("peer-trusted-ca-file", Text, ""),
    ("proxy", Text, "off"),
    ("socket-reuse-port", Bool, "false"),
    ("tls-max-version", Text, ""),
    ("trusted-ca-file", Text, ""),
    ("unsafe-no-fsync", Bool, "false"),
    ("wal-dir", Text, ""),
];

const MOOT: &[(&str, Kind, &str)] = &[
    ("auth-token-ttl", Number, "300"),
    ("backend-batch-interval", Duration, "0"),
    ("backend-batch-limit", Number, "0"),
    ("backend-bbolt-freelist-type", Text, "map"),
    ("bootstrap-defrag-threshold-megabytes", Number, "0"),
    ("compact-hash-check-time", Duration, "1m"),
    ("compaction-batch-limit", Number, "1000"),
    ("compaction-sleep-interval", Duration, "0"),
    ("debug", Bool, "false"),
    ("discovery-cacert", Text, ""),
    ("discovery-cert", Text, ""),
    ("discovery-dial-timeout", Duration, "2s"),
    ("discovery-fallback", Text, "exit"),
    ("discovery-insecure-skip-tls-verify", Bool, "false"),
    ("discovery-insecure-transport", Bool, "true"),
    ("discovery-keepalive-time", Duration, "2s"),
    ("discovery-keepalive-timeout", Duration, "6s"),
    ("discovery-key", Text, ""),
    ("discovery-password", Text, ""),
    ("discovery-request-timeout", Duration, "5s"),
    ("discovery-user", Text, ""),
    ("distributed-tracing-address", Text, "localhost:4317"),
    ("distributed-tracing-instance-id", Text, ""),
    ("distributed-tracing-sampling-rate", Number, "0"),
    ("distributed-tracing-service-name", Text, "etcd"),
    ("downgrade-check-time", Duration, "5s"),
    ("enable-log-rotation", Bool, "false"),
    ("experimental-backend-bbolt-freelist-type", Text, "array"),
    ("experimental-bootstrap-defrag-threshold-megabytes", Number, "0"),
    ("experimental-compact-hash-check-enabled", Bool, "false"),
    ("experimental-compact-hash-check-time", Duration, "1m"),
    ("experimental-compaction-batch-limit", Number, "1000"),
    ("experimental-compaction-sleep-interval", Duration, "0"),
    ("experimental-distributed-tracing-address", Text, "localhost:4317"),
    ("experimental-distributed-tracing-instance-id", Text, ""),
    ("experimental-distributed-tracing-sampling-rate", Number, "0"),
    ("experimental-distributed-tracing-service-name", Text, "etcd"),
    ("experimental-downgrade-check-time", Duration, "5s"),
    ("experimental-enable-lease-checkpoint", Bool, "false"),
    ("experimental-enable-lease-checkpoint-persist", Bool, "false"),
    ("experimental-memory-mlock", Bool, "false"),
    ("experimental-peer-skip-client-san-verification", Bool, "false"),
    ("experimental-snapshot-catchup-entries", Number, "5000"),
    ("experimental-stop-grpc-service-on-defrag", Bool, "false"),
    ("experimental-txn-mode-write-with-shared-buffer", Bool, "true"),
    ("experimental-warning-apply-duration", Duration, "100ms"),
    ("experimental-warning-unary-request-duration", Duration, "300ms"),
    ("experimental-watch-progress-notify-interval", Duration, "10m"),
    ("grpc-keepalive-interval", Duration, "2h"),
    ("grpc-keepalive-min-time", Duration, "5s"),
    ("grpc-keepalive-timeout", Duration, "20s"),
    ("initial-election-tick-advance", Bool, "true"),
    ("log-package-levels", Text, ""),
    ("log-rotation-config-json", Text, ""),
    ("logger", Text, "zap"),
    ("max-concurrent-streams", Number, "4294967295"),
    ("max-snapshots", Number, "5"),
    ("max-wals", Number, "5"),
    ("memory-mlock", Bool, "false"),
    ("metrics", Text, "basic"),
    ("proxy-dial-timeout", Number, "1000"),
    ("proxy-failure-wait", Number, "5000"),
    ("proxy-read-timeout", Number, "0"),
    ("proxy-refresh-interval", Number, "30000"),
    ("proxy-write-timeout", Number, "5000"),
    ("raft-read-timeout", Duration, "5s"),
    ("raft-write-timeout", Duration, "5s"),
    ("self-signed-cert-validity", Number, "1"),
    ("snapshot-catchup-entries", Number, "5000"),
    ("socket-reuse-address", Bool, "false"),
    ("tls-min-version", Text, "TLS1.2"),
    ("v2-deprecation", Text, "write-only"),
    ("warning-apply-duration", Duration, "100ms"),
    ("warning-unary-request-duration", Duration, "300ms"),
    ("watch-progress-notify-interval", Duration, "10m"),
    ("cluster-active-size", Text, ""),
    ("cluster-remove-delay", Text, ""),
    ("cluster-sync-interval", Text, ""),
    ("config", Text, ""),
    ("force", Bool, "false"),
    ("max-result-buffer", Text, ""),
    ("max-retry-attempts", Text, ""),
    ("peer-election-timeout", Text, ""),
    ("peer-heartbeat-interval", Text, ""),
    ("retry-interval", Text, ""),
    ("snapshot", Bool, "false"),
    ("v", Bool, "false"),
    ("vv", Bool, "false"),
];

impl Kind {
    /// Whether the text is a value of this kind; if not, why.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        let good = match self {
            Text => true,
            Bool => boolean(text).is_some(),
            Number => text.parse::<i64>().is_ok(),
            Duration => is_duration(text),
            State => {
                let known = matches!(text, "new" | "existing");
                return known.then_some(()).ok_or_else(|| format!("invalid value {text:?}"));
            }
            Urls => return crate::urls::Url::parse_list(text).map(|_| ()),
        };
        good.then_some(()).ok_or_else(|| "parse error".to_string())
    }
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Whether Go's `time.ParseDuration` takes it.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - unit.len()];
        if number.parse::<f64>().is_err() {
            return false;
        }
        let units = ["ns", "us", "ms", "s", "m", "h"];
        let longest = units.iter().filter(|name| unit.starts_with(**name)).max_by_key(|u| u.len());
        let Some(name) = longest else { return false };
        rest = &unit[name.len()..];
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_stands_once_and_its_default_is_good() {
        let mut seen = BTreeSet::new();
        for flag in all() {
            assert!(seen.insert(flag.name), "--{} stands twice", flag.name);
            assert_eq!(flag.kind.check(flag.default), Ok(()), "--{}", flag.name);
        }
        assert!(seen.len() > 150, "etcd's table has more flags than {}", seen.len());
    }

    #[test]
    fn durations_are_gos() {
        for good in ["0", "10m", "1h30m", "1.5s", "300ms", "-2us"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "10", "m", "1.2.3s", "1d", "s1"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }

    #[test]
    fn variables_are_etcds() {
        let flag = find("listen-client-urls").expect("a flag of the table");
        assert_eq!(flag.variable(), "ETCD_LISTEN_CLIENT_URLS");
    }
}
