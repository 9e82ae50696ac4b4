//! The v2 proxy in production: what [`quorra_net::proxy::Proxy`] needs of an operating system.
//!
//! A proxy keeps one thing, the peer URLs of its cluster, in `<data-dir>/proxy/cluster`: whoever
//! finds them there goes by them, whatever the flags say, because members may have come and gone
//! since the flags were written.

mod directory;

use quorra_core::time::{Instant, Now};
use quorra_net::host::{Action, ConnectionId, Input, Listener, Machine};
use quorra_net::proxy::{Options, Proxy};

pub use directory::{Directory, DirectoryError};

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::flags::{Config, ProxyMode};
use crate::network::MemberTls;
use crate::reactor::{Ended, Network, Reactor, Waiter};
use crate::{descriptors, urls};

/// Runs a proxy to its end. `peer_urls` tells whom to ask first, and is only called when the data
/// directory does not know.
///
/// # Errors
/// In words for the operator; nothing was started then.
pub fn run(
    config: &Config,
    peer_urls: impl FnOnce() -> Result<Vec<urls::Url>, String>,
) -> Result<Ended, String> {
    let descriptor_limit = descriptors::raise_limit();
    let mut entropy = Entropy::open().map_err(|error| format!("/dev/urandom: {error}"))?;
    let kept = Directory::kept(&config.data_dir).map_err(|error| error.to_string())?;
    let peers = match kept {
        Some(peers) => {
            log::info!(peers:? = peers; "found the cluster's peer URLs: the flags are ignored");
            peers
        }
        None => urls::strings(&peer_urls()?),
    };
    let tls = MemberTls::of_proxy(config, &config.data_dir)?;
    let listeners = tls.listen(config, Listener::Client)?;
    let directory = Directory::open(&config.data_dir).map_err(|error| error.to_string())?;
    let system = |error: std::io::Error| format!("the operating system refuses: {error}");
    let options = options(config, descriptor_limit, entropy.seed().map_err(system)?);
    let clock = Clock::start();
    let proxy = Proxy::new(options, peers, clock.now());
    let waiter = Waiter::new().map_err(system)?;
    let machine = Keeper { proxy, directory };
    let network = Network {
        listeners,
        handshakes_max: descriptors::handshakes_max(descriptor_limit),
        connections_max: descriptors::connections_max(descriptor_limit),
        dial_timeout: config.proxy.dial_timeout,
        dial_tls: tls.dialing,
    };
    Reactor::new(waiter, clock, machine, None, None, network).and_then(Reactor::run).map_err(system)
}

fn options(config: &Config, descriptor_limit: u64, seed: u64) -> Options {
    let flags = &config.proxy;
    Options {
        read_only: flags.mode == ProxyMode::ReadOnly,
        failure_wait: flags.failure_wait,
        refresh_interval: flags.refresh_interval,
        write_timeout: flags.write_timeout,
        read_timeout: flags.read_timeout,
        cors: config.cors.clone(),
        // Each client may need a connection to an endpoint.
        connections_max: descriptors::connections_max(descriptor_limit) / 2,
        seed,
    }
}

/// A proxy whose news are kept for its next start.
struct Keeper {
    proxy: Proxy,
    directory: Directory,
}

impl Machine for Keeper {
    fn input(&mut self, now: Now, input: Input<'_>) {
        self.proxy.input(now, input);
        if let Some(peers) = self.proxy.news()
            && let Err(error) = self.directory.keep(peers)
        {
            log::warn!(error:% = error; "cannot keep the peer URLs of the cluster");
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.proxy.next_action()
    }

    fn deadline(&self) -> Instant {
        self.proxy.deadline()
    }

    fn output(&mut self, connection: ConnectionId) -> &[u8] {
        self.proxy.output(connection)
    }

    fn written(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        self.proxy.written(now, connection, bytes);
    }
}
