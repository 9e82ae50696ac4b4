//! What the flags of a member amount to, once they make sense together.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use quorra_core::limits;
use quorra_net::host::V3Options;
use quorra_net::http::Pings;

use super::security::Security;
use super::{Given, Source, table};
use crate::logging::{self, Format, Output, Rotation};
use crate::urls::Url;

/// Whether the first members form a cluster, or join one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// They form one.
    New,
    /// They join one.
    Existing,
}

/// Whether a process with a fresh data directory is a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// It is a member.
    Off,
    /// One that passes only GET.
    ReadOnly,
    /// One that passes everything.
    On,
}

/// The flags of a v2 proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyFlags {
    /// `--proxy`
    pub mode: ProxyMode,
    /// `--proxy-failure-wait`
    pub failure_wait: Duration,
    /// `--proxy-refresh-interval`
    pub refresh_interval: Duration,
    /// `--proxy-dial-timeout`
    pub dial_timeout: Duration,
    /// `--proxy-write-timeout`; zero is none.
    pub write_timeout: Duration,
    /// `--proxy-read-timeout`; zero is none.
    pub read_timeout: Duration,
}

/// `--discovery` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// `--discovery`
    pub url: String,
    /// `--discovery-proxy`
    pub proxy: Option<String>,
    /// `--discovery-fallback`: whether one that comes too late becomes a proxy.
    pub falls_back: bool,
}

/// `--discovery-srv` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecords {
    /// `--discovery-srv`
    pub domain: String,
    /// `--discovery-srv-name`; empty for none.
    pub name: String,
}

/// A member's flags. See `quorra --help` for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--name`
    pub name: String,
    /// `--data-dir`
    pub data_dir: PathBuf,
    /// `--listen-peer-urls`
    pub listen_peer_urls: Vec<Url>,
    /// `--listen-client-urls`
    pub listen_client_urls: Vec<Url>,
    /// `--initial-advertise-peer-urls`
    pub advertise_peer_urls: Vec<Url>,
    /// `--advertise-client-urls`
    pub advertise_client_urls: Vec<Url>,
    /// `--initial-cluster`, still as text: it counts only for a member without data. Empty if the
    /// members are to be discovered.
    pub initial_cluster: String,
    /// Where the first members find each other.
    pub discovery: Option<Discovery>,
    /// Which names tell the first members.
    pub service_records: Option<ServiceRecords>,
    /// `--initial-cluster-state`
    pub initial_state: InitialState,
    /// `--initial-cluster-token`
    pub token: String,
    /// `--heartbeat-interval`
    pub heartbeat_interval: Duration,
    /// `--election-timeout`
    pub election_timeout: Duration,
    /// `--snapshot-count`
    pub snapshot_count: u64,
    /// `--max-request-bytes`
    pub request_bytes_max: usize,
    /// `--quota-backend-bytes`; none is no quota.
    pub quota_bytes: Option<u64>,
    /// `--pre-vote`
    pub pre_vote: bool,
    /// `--strict-reconfig-check`
    pub strict_reconfig_check: bool,
    /// `--force-new-cluster`
    pub force_new_cluster: bool,
    /// `--enable-v2`
    pub v2: bool,
    /// `--enable-discovery-service`
    pub discovery_service: bool,
    /// `--cors`; empty allows all.
    pub cors: Vec<String>,
    /// `--host-whitelist`; empty allows all.
    pub host_whitelist: Vec<String>,
    /// TLS.
    pub security: Security,
    /// `--bcrypt-cost`
    pub bcrypt_cost: u32,
    /// `--listen-metrics-urls`
    pub listen_metrics_urls: Vec<Url>,
    /// `--metrics=extensive`
    pub extensive_metrics: bool,
    /// The v3 API.
    pub v3: V3Options,
    /// `--unsafe-no-fsync`
    pub unsynced: bool,
    /// `--log-level`, and where logs go.
    pub logging: logging::Settings,
    /// `--proxy` and its kind.
    pub proxy: ProxyFlags,
}

/// The given values with the table's defaults behind them. Every value was checked against its
/// flag's kind before.
pub(super) struct Values<'a>(&'a Given);

impl Values<'_> {
    pub(super) fn text(&self, name: &str) -> String {
        let default = || table::find(name).map_or("", |flag| flag.default).to_string();
        self.0.get(name).cloned().unwrap_or_else(default)
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        table::boolean(&self.text(name)).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn size(&self, name: &str) -> Result<u64, String> {
        let number = self.number(name);
        u64::try_from(number)
            .map_err(|_| format!("--{name} must not be negative (set to {number})"))
    }

    /// Negative ones count as none.
    fn duration(&self, name: &str) -> Duration {
        table::duration(&self.text(name)).unwrap_or_default()
    }

    fn urls(&self, name: &str) -> Result<Vec<Url>, String> {
        if self.text(name).is_empty() {
            return Ok(Vec::new());
        }
        Url::parse_list(&self.text(name))
    }

    /// A list in which `*` stands for no limit.
    fn names(&self, name: &str) -> Vec<String> {
        let names: Vec<_> =
            self.text(name).split(',').map(|part| part.trim().to_string()).collect();
        let all = names.iter().any(|part| part == "*" || part.is_empty());
        if all { Vec::new() } else { names }
    }
}

impl Config {
    /// Reads the values and checks them against each other, in etcd's order.
    pub(super) fn read(given: &Given, source: Source) -> Result<Self, String> {
        let values = Values(given);
        let name = values.text("name");
        let data_dir = match values.text("data-dir") {
            empty if empty.is_empty() => format!("{name}.quorra"),
            path => path,
        };
        let (heartbeat_interval, election_timeout) = timeouts(&values)?;
        let listen_peer_urls = values.urls("listen-peer-urls")?;
        let listen_client_urls = values.urls("listen-client-urls")?;
        let listen_metrics_urls = values.urls("listen-metrics-urls")?;
        let listening = listen_peer_urls.iter().chain(&listen_client_urls);
        for url in listening.chain(&listen_metrics_urls) {
            url.check_bindable()?;
        }
        let proxy = proxy_flags(&values)?;
        let (discovery, service_records) = discovery(&values)?;
        // etcd asks for it only on the command line, and nobody is told where a proxy listens.
        let may_be_proxy = proxy.mode != ProxyMode::Off
            || discovery.as_ref().is_some_and(|discovery| discovery.falls_back);
        let listens_elsewhere = given.contains_key("listen-client-urls")
            && !given.contains_key("advertise-client-urls")
            && source == Source::CommandLine;
        if listens_elsewhere && !may_be_proxy {
            return Err("--advertise-client-urls is required when --listen-client-urls is set \
                        explicitly"
                .into());
        }
        let mut advertise_peer_urls = values.urls("initial-advertise-peer-urls")?;
        if !given.contains_key("initial-advertise-peer-urls") {
            advertise_default_route(&mut advertise_peer_urls, &listen_peer_urls);
        }
        let discovers = discovery.is_some() || service_records.is_some();
        let initial_cluster = match values.text("initial-cluster") {
            unset if unset.is_empty() && !discovers => default_cluster(&name, &advertise_peer_urls),
            cluster => cluster,
        };
        Ok(Self {
            data_dir: PathBuf::from(data_dir),
            listen_peer_urls,
            listen_client_urls,
            advertise_peer_urls,
            advertise_client_urls: values.urls("advertise-client-urls")?,
            initial_cluster,
            discovery,
            service_records,
            initial_state: match values.text("initial-cluster-state").as_str() {
                "existing" => InitialState::Existing,
                _ => InitialState::New,
            },
            token: values.text("initial-cluster-token"),
            heartbeat_interval,
            election_timeout,
            snapshot_count: values.size("snapshot-count")?,
            request_bytes_max: request_bytes(&values)?,
            quota_bytes: match values.number("quota-backend-bytes") {
                0 => Some(limits::QUOTA_BYTES_DEFAULT),
                quota => u64::try_from(quota).ok(),
            },
            pre_vote: values.boolean("pre-vote"),
            strict_reconfig_check: values.boolean("strict-reconfig-check"),
            force_new_cluster: values.boolean("force-new-cluster"),
            v2: values.boolean("enable-v2"),
            discovery_service: discovery_service(&values)?,
            cors: values.names("cors"),
            host_whitelist: values.names("host-whitelist"),
            security: Security::read(&values)?,
            bcrypt_cost: bcrypt_cost(&values)?,
            listen_metrics_urls,
            extensive_metrics: values.text("metrics") == "extensive",
            v3: v3_options(&values)?,
            unsynced: values.boolean("unsafe-no-fsync"),
            logging: logging_settings(&values)?,
            proxy,
            name,
        })
    }
}

/// How the first members are found, in one way at most.
fn discovery(values: &Values<'_>) -> Result<(Option<Discovery>, Option<ServiceRecords>), String> {
    let [cluster, url, domain] =
        ["initial-cluster", "discovery", "discovery-srv"].map(|name| values.text(name));
    if [&cluster, &url, &domain].into_iter().filter(|text| !text.is_empty()).count() > 1 {
        return Err("multiple discovery or bootstrap flags are set. Choose one of \
                    \"initial-cluster\", \"discovery\" or \"discovery-srv\""
            .into());
    }
    let falls_back = values.text("discovery-fallback") == "proxy";
    let proxy = Some(values.text("discovery-proxy")).filter(|proxy| !proxy.is_empty());
    let name = values.text("discovery-srv-name");
    let discovery = (!url.is_empty()).then_some(Discovery { url, proxy, falls_back });
    let records = (!domain.is_empty()).then_some(ServiceRecords { domain, name });
    Ok((discovery, records))
}

fn v3_options(values: &Values<'_>) -> Result<V3Options, String> {
    let streams = values.size("max-concurrent-streams")?.min(limits::STREAMS_MAX.into());
    Ok(V3Options {
        gateway: values.boolean("enable-grpc-gateway"),
        txn_ops_max: usize::try_from(values.size("max-txn-ops")?).unwrap_or(usize::MAX),
        streams_max: u32::try_from(streams).unwrap_or(limits::STREAMS_MAX),
        pings: Pings {
            interval_min: values.duration("grpc-keepalive-min-time"),
            silence_max: values.duration("grpc-keepalive-interval"),
            answer_time_max: values.duration("grpc-keepalive-timeout"),
        },
    })
}

/// Logging. What only etcd 3.4 has is read where its successor says nothing.
fn logging_settings(values: &Values<'_>) -> Result<logging::Settings, String> {
    let level = values.text("log-level");
    let level = logging::level(&level).ok_or_else(|| format!("unrecognized level: {level:?}"))?;
    let outputs = match values.text("log-outputs") {
        unsaid if unsaid == "default" => values.text("log-output"),
        said => said,
    };
    let outputs = Output::parse_list(&outputs)?;
    let rotates = values.boolean("enable-log-rotation");
    if rotates && !matches!(outputs[..], [Output::File(_)]) {
        let reason = "--log-outputs requires a single file path when --enable-log-rotation is set";
        return Err(reason.into());
    }
    let rotation = Rotation::parse(&values.text("log-rotation-config-json"))?;
    Ok(logging::Settings {
        level: if values.boolean("debug") { LevelFilter::Debug } else { level },
        format: match values.text("log-format").as_str() {
            "console" => Format::Console,
            _ => Format::Json,
        },
        outputs,
        rotation: rotates.then_some(rotation),
    })
}

/// The heartbeat interval and the election timeout, far enough apart.
fn timeouts(values: &Values<'_>) -> Result<(Duration, Duration), String> {
    let heartbeat = values.number("heartbeat-interval");
    let election = values.number("election-timeout");
    for (name, value) in [("heartbeat-interval", heartbeat), ("election-timeout", election)] {
        if value <= 0 {
            return Err(format!("--{name} must be >0 (set to {value}ms)"));
        }
    }
    if heartbeat.checked_mul(5).is_none_or(|least| least > election) {
        return Err(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as \
             --heartbeat-interval[{heartbeat}ms]"
        ));
    }
    if election > 50_000 {
        return Err(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than 50000ms"
        ));
    }
    let milliseconds = |value: i64| Duration::from_millis(value.unsigned_abs());
    Ok((milliseconds(heartbeat), milliseconds(election)))
}

fn proxy_flags(values: &Values<'_>) -> Result<ProxyFlags, String> {
    let milliseconds = |name: &str| values.size(name).map(Duration::from_millis);
    let positive = |name: &str| match milliseconds(name)? {
        Duration::ZERO => Err(format!("--{name} must be >0 (set to 0ms)")),
        time => Ok(time),
    };
    Ok(ProxyFlags {
        mode: match values.text("proxy").as_str() {
            "on" => ProxyMode::On,
            "readonly" => ProxyMode::ReadOnly,
            _ => ProxyMode::Off,
        },
        failure_wait: milliseconds("proxy-failure-wait")?,
        refresh_interval: positive("proxy-refresh-interval")?,
        dial_timeout: positive("proxy-dial-timeout")?,
        write_timeout: milliseconds("proxy-write-timeout")?,
        read_timeout: milliseconds("proxy-read-timeout")?,
    })
}

/// What bcrypt itself allows. etcd takes anything else for 10.
fn bcrypt_cost(values: &Values<'_>) -> Result<u32, String> {
    let cost = values.number("bcrypt-cost");
    let allowed = u32::try_from(cost).ok().filter(|cost| (4..=31).contains(cost));
    allowed.ok_or_else(|| format!("--bcrypt-cost must be from 4 to 31 (set to {cost})"))
}

fn request_bytes(values: &Values<'_>) -> Result<usize, String> {
    let bytes = values.size("max-request-bytes")?;
    match usize::try_from(bytes) {
        Ok(fits) if fits <= limits::REQUEST_BYTES_MAX => Ok(fits),
        _ => Err(format!(
            "--max-request-bytes must be at most {} (set to {bytes})",
            limits::REQUEST_BYTES_MAX
        )),
    }
}

/// The service keeps its tokens in the v2 store, where operators must reach them.
fn discovery_service(values: &Values<'_>) -> Result<bool, String> {
    let enabled = values.boolean("enable-discovery-service");
    match enabled && !values.boolean("enable-v2") {
        true => Err("--enable-discovery-service needs --enable-v2".into()),
        false => Ok(enabled),
    }
}

fn default_cluster(name: &str, urls: &[Url]) -> String {
    urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}

/// A member that listens on every address tells the others the one of its default route, not
/// `localhost`. Finding it sends nothing: connecting a datagram socket only picks a route.
fn advertise_default_route(advertised: &mut [Url], listening: &[Url]) {
    let everywhere =
        |url: &&Url| url.bind_address().is_ok_and(|address| address.ip().is_unspecified());
    let Some(listener) = listening.iter().find(everywhere) else { return };
    let route = UdpSocket::bind(("0.0.0.0", 0))
        .and_then(|socket| socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr()));
    if let (Ok(route), Some(url)) = (route, advertised.first_mut()) {
        url.address = match route.ip() {
            IpAddr::V4(ip) => format!("{ip}:{}", listener.port()),
            IpAddr::V6(ip) => format!("[{ip}]:{}", listener.port()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::urls;

    fn read(given: &[(&'static str, &str)]) -> Result<Config, String> {
        let given = given.iter().map(|&(name, value)| (name, value.to_string())).collect();
        Config::read(&given, Source::CommandLine)
    }

    #[test]
    fn the_defaults_are_etcds() {
        let config = read(&[]).expect("the defaults make sense");
        assert_eq!(config.data_dir, PathBuf::from("default.quorra"));
        assert_eq!(urls::join(&config.listen_client_urls), "http://localhost:2379");
        assert_eq!(urls::join(&config.listen_peer_urls), "http://localhost:2380");
        assert_eq!(config.initial_cluster, "default=http://localhost:2380");
        assert_eq!(config.token, "etcd-cluster");
        assert_eq!(config.election_timeout, Duration::from_secs(1));
        assert_eq!(config.quota_bytes, Some(2 << 30));
        assert!(config.cors.is_empty() && config.host_whitelist.is_empty());
    }

    #[test]
    fn the_default_cluster_follows_the_name_and_the_peer_urls() {
        let config = read(&[("name", "a")]).expect("good flags");
        assert_eq!(config.initial_cluster, "a=http://localhost:2380");
        assert_eq!(config.data_dir, PathBuf::from("a.quorra"));
        let config = read(&[("initial-advertise-peer-urls", "http://h:2,http://h:1")]);
        let cluster = config.expect("good flags").initial_cluster;
        assert_eq!(cluster, "default=http://h:1,default=http://h:2");
    }

    #[test]
    fn sizes_have_bounds() {
        assert!(read(&[("snapshot-count", "-1")]).is_err());
        assert!(read(&[("bcrypt-cost", "3")]).is_err() && read(&[("bcrypt-cost", "32")]).is_err());
        assert!(read(&[("max-request-bytes", "1073741824")]).is_err());
        assert_eq!(read(&[("quota-backend-bytes", "-1")]).expect("no quota").quota_bytes, None);
    }
}
