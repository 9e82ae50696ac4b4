//! The flags that work, in the order of the help.

use super::Kind::{Bool, Number, OneOf, Text, Urls};
use super::{Kind, Support};

const MEMBER: Support = Support::Works("Member");
const CLUSTERING: Support = Support::Works("Clustering");
const PROXY: Support = Support::Works("Proxy (v2)");
const SECURITY: Support = Support::Works("Security");
const LOGGING: Support = Support::Works("Logging");

/// Heading, name, kind, default, help.
#[rustfmt::skip]
pub(super) const WORKING: &[(Support, &str, Kind, &str, &str)] = &[
    (MEMBER, "name", Text, "default", "This member's name for people."),
    (MEMBER, "config-file", Text, "",
        "Take all flags from this file, in etcd's YAML; all other flags are ignored then."),
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
    (MEMBER, "quota-backend-bytes", Number, "0",
        "Refuse writes above this size of the data; 0 is 2 GiB, negative is no limit."),
    (MEMBER, "max-request-bytes", Number, "1572864", "The largest request of a client."),
    (MEMBER, "pre-vote", Bool, "true", "Ask whether an election can be won before starting it."),
    (MEMBER, "enable-v2", Bool, "true", "Serve the v2 API beside v3."),
    (CLUSTERING, "initial-advertise-peer-urls", Urls, "http://localhost:2380",
        "Where the other members reach this one."),
    (CLUSTERING, "initial-cluster", Text, "",
        "The first members, as NAME=URL,.. [default: NAME=INITIAL-ADVERTISE-PEER-URL]."),
    (CLUSTERING, "initial-cluster-state", OneOf(&["new", "existing"]), "new",
        "'new', or 'existing' to join a cluster."),
    (CLUSTERING, "initial-cluster-token", Text, "etcd-cluster",
        "Keeps clusters with equal addresses apart."),
    (CLUSTERING, "advertise-client-urls", Urls, "http://localhost:2379",
        "Where clients reach this member."),
    (CLUSTERING, "discovery", Text, "",
        "The discovery URL at which the first members find each other."),
    (CLUSTERING, "discovery-fallback", OneOf(&["exit", "proxy"]), "proxy",
        "What a member does that finds the discovered cluster full: 'proxy' or 'exit'."),
    (CLUSTERING, "discovery-proxy", Text, "", "An HTTP proxy on the way to the discovery service."),
    (CLUSTERING, "discovery-srv", Text, "",
        "The domain whose service records (_etcd-server[-ssl]._tcp) tell the first members."),
    (CLUSTERING, "discovery-srv-name", Text, "",
        "Look for the records of that name: _etcd-server[-ssl]-NAME._tcp."),
    (CLUSTERING, "enable-discovery-service", Bool, "false",
        "Be a discovery service too: /new?size=N makes a token for --discovery."),
    (CLUSTERING, "strict-reconfig-check", Bool, "true",
        "Refuse membership changes that would cost the quorum."),
    (CLUSTERING, "force-new-cluster", Bool, "false",
        "Begin again alone with the data of a cluster that is lost; removes all others."),
    (PROXY, "proxy", OneOf(&["off", "readonly", "on"]), "off",
        "Start as a proxy of --initial-cluster, not as a member: 'off', 'readonly' or 'on'."),
    (PROXY, "proxy-failure-wait", Number, "5000",
        "Milliseconds that an endpoint is left alone after it has failed."),
    (PROXY, "proxy-refresh-interval", Number, "30000",
        "Milliseconds between looking for the cluster's members."),
    (PROXY, "proxy-dial-timeout", Number, "1000",
        "Milliseconds that connecting to an endpoint may take."),
    (PROXY, "proxy-write-timeout", Number, "5000",
        "Milliseconds that an endpoint may take none of a request; 0 is no limit."),
    (PROXY, "proxy-read-timeout", Number, "0",
        "Milliseconds that an endpoint may say nothing, which ends watches; 0 is no limit."),
    (SECURITY, "cors", Text, "*", "Origins that browsers may call from, separated by commas."),
    (SECURITY, "host-whitelist", Text, "*", "Host names that requests may carry."),
    (LOGGING, "log-level", Text, "info", "debug, info, warn or error."),
];
