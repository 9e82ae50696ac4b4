//! From flags to a running member, and to the process's exit code.
//!
//! Nothing is written before everything that flags can get wrong was checked: a start that fails
//! leaves no half-made member behind.

use std::process::ExitCode;
use std::time::Duration;

use quorra_core::identity::Incarnation;
use quorra_core::replica::{self, Bootstrap, Recovery, RecoveryStep, Replica};
use quorra_core::wal::Found;
use quorra_core::{limits, raft};
use quorra_net::host::{self, Host, Listener, PEER_CONNECTIONS_RESERVED};

use crate::bootstrap::{self, Start};
use crate::clock::Clock;
use crate::data_dir::{DataDir, Purpose};
use crate::descriptors;
use crate::disk::{Disk, Syncing};
use crate::entropy::Entropy;
use crate::flags::{self, Asked, Config, ProxyMode};
use crate::logging;
use crate::network::MemberTls;
use crate::proxy;
use crate::reactor::{Ended, Listening, Network, Reactor, Waiter};
use crate::tls::ClientTls;
use crate::workers::Workers;

/// Beside the election timeout, what connecting to an address of a peer may take (etcd).
const DIAL_TIME: Duration = Duration::from_secs(1);

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let asked = flags::arguments(std::env::args_os()).and_then(|arguments| {
        let own = arguments.iter().skip(1).cloned().collect();
        let asked = flags::read(own, flags::environment(std::env::vars_os())?)?;
        Ok((asked, arguments))
    });
    match asked {
        Ok((Asked::Member(config, warnings), arguments)) => member(&config, &warnings, arguments),
        Ok((Asked::Text(text), _)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprint!("{}", refusal.message);
            ExitCode::from(refusal.code)
        }
    }
}

/// Runs a member, or a proxy, to its end.
fn member(config: &Config, warnings: &[String], command_line: Vec<String>) -> ExitCode {
    if let Err(reason) = logging::start(&config.logging) {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    for warning in warnings {
        log::warn!("{warning}");
    }
    log::info!(
        name = config.name.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        data_dir:% = config.data_dir.display();
        "starting"
    );
    let ended = is_proxy(config).and_then(|proxy| match proxy {
        true => proxy::run(config, || bootstrap::peer_urls(config)),
        false => run(config, command_line),
    });
    match ended {
        Ok(Ended::Gracefully) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Ok(Ended::Interrupted) => ExitCode::FAILURE,
        Ok(Ended::Failed(reason)) | Err(reason) => {
            log::error!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether this start is a proxy's: a data directory that was used stays what it is.
fn is_proxy(config: &Config) -> Result<bool, String> {
    let purpose = Purpose::of(&config.data_dir).map_err(|error| error.to_string())?;
    let wanted = config.proxy.mode != ProxyMode::Off;
    match (purpose, wanted) {
        (Purpose::Member, true) => {
            log::warn!("this data directory is a member's: starting a member in spite of --proxy");
        }
        (Purpose::Proxy, false) => {
            log::warn!(
                "this data directory is a proxy's: starting a proxy in spite of --proxy=off"
            );
        }
        _ => {}
    }
    Ok(purpose == Purpose::Proxy || (purpose == Purpose::None && wanted))
}

fn run(config: &Config, command_line: Vec<String>) -> Result<Ended, String> {
    let descriptor_limit = descriptors::raise_limit();
    let mut entropy = Entropy::open().map_err(|error| format!("/dev/urandom: {error}"))?;
    let data_dir = DataDir::open(&config.data_dir).map_err(|error| error.to_string())?;
    let found = data_dir.found().map_err(|error| error.to_string())?;
    let tls = MemberTls::read(config, data_dir.root())?;
    // Nobody can register twice with a discovery service: what may fail here fails before.
    let early = config.discovery.as_ref().map(|_| listen(config, &tls)).transpose()?;
    let first = match first_start(config, &found, tls.dialing.as_ref())? {
        Some(Start::Member(first)) => Some(first),
        Some(Start::Proxy(peers)) => {
            drop((early, data_dir));
            return proxy::run(config, || Ok(peers));
        }
        None => None,
    };
    let listeners = early.map_or_else(|| listen(config, &tls), Ok)?;
    let clock = Clock::start();
    let incarnation =
        data_dir.next_incarnation(clock.now().wall).map_err(|error| error.to_string())?;
    let seed = entropy.seed().map_err(|error| format!("/dev/urandom: {error}"))?;
    let options = replica_options(config, first.as_ref(), incarnation, seed);
    let recovery = Recovery::start(options, found, first, clock.now());
    let replica = recover(forced(config, recovery), &data_dir)?;
    let status = replica.status();
    log::info!(
        member:% = status.member,
        cluster:% = status.cluster,
        incarnation = incarnation.0,
        applied = status.applied_index.0;
        "recovered"
    );
    let options = host_options(config, incarnation, descriptor_limit, command_line);
    let connections_max = options.connections_max + PEER_CONNECTIONS_RESERVED;
    let host = Host::new(options, replica, clock.now());
    let system = |error: std::io::Error| format!("the operating system refuses: {error}");
    let waiter = Waiter::new().map_err(system)?;
    let syncing = if config.unsynced { Syncing::Never } else { Syncing::Always };
    if config.unsynced {
        log::warn!("--unsafe-no-fsync: a power cut loses acknowledged writes");
    }
    let disk = Disk::start(data_dir.root(), syncing, waiter.wake()).map_err(system)?;
    let network = Network {
        listeners,
        handshakes_max: descriptors::handshakes_max(descriptor_limit),
        connections_max,
        dial_timeout: config.election_timeout + DIAL_TIME,
        dial_tls: tls.dialing,
    };
    let workers = Workers::start(entropy, config.bcrypt_cost, waiter.wake()).map_err(system)?;
    Reactor::new(waiter, clock, host, Some(disk), Some(workers), network)
        .and_then(Reactor::run)
        .map_err(system)
}

/// Listens at every URL; peers' first, because their port tells most about a second start.
fn listen(config: &Config, tls: &MemberTls) -> Result<Vec<Listening>, String> {
    let mut listeners = tls.listen(config, Listener::Peer)?;
    listeners.extend(tls.listen(config, Listener::Client)?);
    listeners.extend(tls.listen(config, Listener::Metrics)?);
    Ok(listeners)
}

/// What this start begins with; none is what the log says. A member that has a log ignores its
/// initial flags, unless it died before the first entries were in that log; then the flags are
/// those that it was started with.
fn first_start(
    config: &Config,
    found: &[Found],
    tls: Option<&ClientTls>,
) -> Result<Option<Start>, String> {
    if found.is_empty() {
        return bootstrap::checked(config, tls).map(Some);
    }
    log::info!("found data: the initial flags are ignored");
    Ok(bootstrap::from_flags(config).ok().map(Start::Member))
}

/// Makes the member the only one of its cluster if the flags say so.
fn forced(config: &Config, recovery: Recovery) -> Recovery {
    if !config.force_new_cluster {
        return recovery;
    }
    log::warn!("--force-new-cluster: all other members are removed; do not give it again");
    recovery.forcing_new_cluster()
}

/// Reads what recovery asks for until the replica stands.
fn recover(mut recovery: Recovery, data_dir: &DataDir) -> Result<Replica, String> {
    let mut bytes = None;
    loop {
        match recovery.next(bytes.take()) {
            RecoveryStep::Read(read) => {
                bytes = data_dir
                    .read(read)
                    .map_err(|error| log::error!(error:% = error; "cannot read {:?}", read.file))
                    .ok();
            }
            RecoveryStep::Ready(replica) => {
                if let Some(tail) = recovery.dropped() {
                    let (offset, reason) = (tail.offset, tail.reason);
                    log::warn!(offset, reason; "dropped an unsynced tail of {}", tail.file);
                }
                return Ok(*replica);
            }
            RecoveryStep::Failed(error) => return Err(error.to_string()),
        }
    }
}

fn replica_options(
    config: &Config,
    first: Option<&Bootstrap>,
    incarnation: Incarnation,
    seed: u64,
) -> replica::Options {
    replica::Options {
        raft: raft::Options {
            // Recovery prefers what the log says.
            id: first.map(|first| first.member).unwrap_or_default(),
            election_timeout: config.election_timeout,
            heartbeat_interval: config.heartbeat_interval,
            pre_vote: config.pre_vote,
            check_quorum: true,
            inflight_messages_max: limits::INFLIGHT_MESSAGES_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            append_bytes_target: limits::APPEND_BYTES_TARGET,
            tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
            uncommitted_bytes_max: limits::UNCOMMITTED_BYTES_MAX,
        },
        incarnation,
        seed,
        segment_bytes: limits::SEGMENT_BYTES,
        checkpoint_log_bytes: limits::CHECKPOINT_LOG_BYTES_MIN,
        entries_kept: config.snapshot_count,
        snapshot_part_bytes: limits::SNAPSHOT_PART_BYTES,
        v2_history_events: limits::V2_HISTORY_EVENTS,
        slice_keys: limits::SLICE_KEYS,
        request_bytes_max: config.request_bytes_max,
        quota_bytes: config.quota_bytes,
        strict_reconfig_check: config.strict_reconfig_check,
        version: crate::ETCD_VERSION.to_string(),
    }
}

/// What descriptors are left for connections: handshakes, of clients and of members, have theirs.
fn connections_max(config: &Config, descriptor_limit: u64) -> usize {
    let mut urls = config.listen_client_urls.iter().chain(&config.listen_peer_urls);
    let handshakes = match urls.any(|url| url.scheme.is_secure()) {
        true => 2 * descriptors::handshakes_max(descriptor_limit),
        false => 0,
    };
    descriptors::connections_max(descriptor_limit).saturating_sub(handshakes)
}

fn host_options(
    config: &Config,
    incarnation: Incarnation,
    descriptor_limit: u64,
    command_line: Vec<String>,
) -> host::Options {
    host::Options {
        name: config.name.clone(),
        client_urls: crate::urls::strings(&config.advertise_client_urls),
        v2: config.v2,
        discovery_service: config.discovery_service,
        request_bytes_max: config.request_bytes_max,
        cors: config.cors.clone(),
        host_whitelist: config.host_whitelist.clone(),
        incarnation,
        connections_max: connections_max(config, descriptor_limit),
        command_line,
        file_descriptor_limit: descriptor_limit,
        v3: config.v3,
        extensive_metrics: config.extensive_metrics,
        quota_bytes: config.quota_bytes,
    }
}
