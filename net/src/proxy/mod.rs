//! The v2 proxy: clients on one side, the members of a cluster on the other, and no log.
//!
//! The one idea: a proxy is a machine like [`Host`](crate::host::Host), driven by the same loop.
//! A client's request becomes an *exchange*, which asks one endpoint after the other until one
//! answers; what it answers is passed on as it comes.
//!
//! ```text
//! client -> http1/http2 -> front      answered here, or
//!                          exchange   waits in the line of an endpoint
//!                          lines      hands out a connection, or has one opened
//!                          upstream   asks; head, pieces and end of the answer come back
//! client <- http1/http2 <- exchange
//!
//! refresh: every --proxy-refresh-interval a peer is asked who the members are now
//! ```
//!
//! Where it differs from etcd's: an event of a watch is passed on when it comes, not when a buffer
//! is full; an answer that an endpoint breaks off is never made to look whole; and a request whose
//! endpoint breaks before anything was passed on is answered with 502.
//!
//! # Invariants
//! - An exchange stands in exactly one place: in one line, or on one connection.
//! - A free connection belongs to one line; one that asks belongs to nobody's.
//! - What comes from an endpoint is read no faster than its client reads: beyond
//!   a bound its connection is paused.
//! - Clients, exchanges and what they hold, dials and idle connections are bounded.

mod client;
mod endpoints;
mod exchange;
mod fields;
mod front;
mod lines;
mod metrics;
mod refresh;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorra_core::limits;
use quorra_core::random::Random;
use quorra_core::replica::StopReason;
use quorra_core::time::{Duration, Instant, Now};

use self::client::Client;
use self::endpoints::Endpoints;
use self::exchange::{Exchange, Place};
use self::front::Front;
use self::lines::Lines;
use self::metrics::Metrics;
use self::refresh::Refresh;
use self::upstream::{Patience, Task, Upstream};
use crate::host::{Action, ConnectionId, Input, Level, Machine};
use crate::http::Limits;

/// What a proxy's flags decide.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--proxy readonly`: only GET.
    pub read_only: bool,
    /// `--proxy-failure-wait`
    pub failure_wait: Duration,
    /// `--proxy-refresh-interval`
    pub refresh_interval: Duration,
    /// `--proxy-write-timeout`; zero is none.
    pub write_timeout: Duration,
    /// `--proxy-read-timeout`; zero is none.
    pub read_timeout: Duration,
    /// `--cors`; empty allows all.
    pub cors: Vec<String>,
    /// The most connections of clients, and the most requests under way. Each may need a
    /// connection to an endpoint beside it.
    pub connections_max: usize,
    /// Where chance comes from.
    pub seed: u64,
}

impl Options {
    fn patience(&self) -> Patience {
        Patience { write: self.write_timeout, read: self.read_timeout }
    }
}

/// Counts exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ExchangeId(u64);

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Client(ConnectionId),
    Upstream(ConnectionId),
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    options: Options,
    limits: Limits,
    random: Random,
    front: Front,
    metrics: Metrics,
    endpoints: Endpoints,
    refresh: Refresh,
    /// The peer URLs that were told by [`Self::news`] last, and whether they are to be told.
    kept: Option<Vec<String>>,
    news: bool,
    clients: BTreeMap<ConnectionId, Client>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    exchanges_begun: u64,
    /// What the requests of all exchanges hold.
    held_bytes: usize,
    lines: Lines,
    upstreams: BTreeMap<ConnectionId, Upstream>,
    dials: u64,
    /// Exchanges whose endpoints wait for their clients.
    paused: BTreeSet<(ConnectionId, ExchangeId)>,
    /// Clients that have more to do.
    ready: VecDeque<ConnectionId>,
    /// Connections of both sides that have output since they were last named to the driver.
    writable: Vec<ConnectionId>,
    timers: BTreeSet<(Instant, Timer)>,
    actions: VecDeque<Action>,
    stopping: bool,
}

impl Proxy {
    /// A proxy that asks these peers for its endpoints first.
    #[must_use]
    pub fn new(options: Options, peer_urls: Vec<String>, now: Now) -> Self {
        Self {
            limits: Limits::new(limits::REQUEST_BYTES_DEFAULT),
            random: Random::new(options.seed),
            front: Front::new(&options.cors, options.read_only),
            metrics: Metrics::default(),
            endpoints: Endpoints::new(options.failure_wait),
            refresh: Refresh::new(peer_urls, options.refresh_interval, now.monotonic),
            kept: None,
            news: false,
            clients: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            exchanges_begun: 0,
            held_bytes: 0,
            lines: Lines::default(),
            upstreams: BTreeMap::new(),
            dials: 0,
            paused: BTreeSet::new(),
            ready: VecDeque::new(),
            writable: Vec::new(),
            timers: BTreeSet::new(),
            actions: VecDeque::from([Action::Ready]),
            stopping: false,
            options,
        }
    }

    /// The peer URLs, when they have changed since they were asked for: what a proxy keeps for
    /// its next start.
    pub fn news(&mut self) -> Option<&[String]> {
        std::mem::take(&mut self.news).then_some(self.kept.as_deref()).flatten()
    }

    /// Panics if an invariant is broken; for tests and the fuzzer.
    pub fn check(&self) {
        for (id, exchange) in &self.exchanges {
            let client = self.clients.get(&exchange.client).expect("an exchange has a client");
            let listed = client.connection.calls.get(&exchange.stream);
            assert_eq!(listed, Some(id), "its client knows an exchange");
            if let Place::Asking(connection) = exchange.place {
                let task = self.upstreams.get(&connection).map(|upstream| upstream.task);
                assert_eq!(task, Some(Task::Exchange(*id)), "its connection knows an exchange");
            }
        }
        for (id, upstream) in &self.upstreams {
            if let Task::Exchange(exchange) = upstream.task {
                let place = self.exchanges.get(&exchange).map(|it| &it.place);
                let asks = matches!(place, Some(Place::Asking(connection)) if connection == id);
                assert!(asks, "a connection asks for an exchange that stands there");
            }
        }
        let calls = self.clients.values().map(|client| client.connection.calls.len());
        assert_eq!(calls.sum::<usize>(), self.exchanges.len(), "a call is an exchange");
        let held = self.exchanges.values().map(Exchange::bytes).sum::<usize>();
        assert_eq!(held, self.held_bytes, "what exchanges hold is counted");
    }

    fn on_flush(&mut self, now: Now) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(client) = self.clients.get_mut(&id) {
                client.connection.queued = false;
                self.advance(now, id);
            }
        }
        for id in std::mem::take(&mut self.writable) {
            if let Some(client) = self.clients.get_mut(&id) {
                client.connection.writable = false;
            } else if let Some(upstream) = self.upstreams.get_mut(&id) {
                upstream.writable = false;
            } else {
                continue;
            }
            self.actions.push_back(Action::Write(id));
        }
        if self.stopping && self.exchanges.is_empty() {
            self.actions.push_back(Action::Stop(StopReason::Asked));
        }
    }

    fn on_tick(&mut self, now: Now) {
        while let Some((at, timer)) =
            self.timers.first().copied().filter(|(at, _)| *at <= now.monotonic)
        {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Client(id) => self.on_client_timer(now, id),
                Timer::Upstream(id) => self.on_upstream_timer(now, id),
            }
        }
        if self.refresh.deadline() <= now.monotonic {
            self.on_refresh_due(now);
        }
    }

    /// Takes no more requests; those under way have as long as the driver gives.
    fn on_stop(&mut self, now: Now) {
        self.stopping = true;
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            if let Some(protocol) = self.client_protocol(id) {
                protocol.shut_down();
            }
            self.settle_client(now, id);
        }
    }

    fn log_failure(&mut self, url: &str, reason: &str) {
        let line = format!("the endpoint {url} failed: {reason}");
        self.actions.push_back(Action::Log(Level::Info, line));
    }
}

impl Machine for Proxy {
    fn input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Accepted { connection, remote, security, .. } => {
                self.on_accepted(now, connection, remote, security);
            }
            Input::Connected(id) => self.on_connected(now, id),
            Input::Received(id, bytes) if is_client(id) => self.on_client_received(now, id, bytes),
            Input::Received(id, bytes) => self.on_upstream_received(now, id, bytes),
            Input::HalfClosed(id) if is_client(id) => self.on_client_half_closed(now, id),
            Input::HalfClosed(id) => self.on_upstream_half_closed(now, id),
            Input::Closed(id) if is_client(id) => self.remove_client(id),
            Input::Closed(id) => self.fail_upstream(now, id, "the connection broke"),
            Input::Tick => self.on_tick(now),
            Input::Flush => self.on_flush(now),
            Input::Stop => self.on_stop(now),
            Input::Durable(..) | Input::Failed(..) | Input::Read(..) | Input::Job(..) => {
                unreachable!("a proxy asks nothing of a disk")
            }
            Input::Measured(_) => unreachable!("a proxy has nothing measured"),
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Instant {
        if !self.ready.is_empty() {
            return Instant(0);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().fold(self.refresh.deadline(), Instant::min)
    }

    fn output(&mut self, connection: ConnectionId) -> &[u8] {
        if let Some(client) = self.clients.get_mut(&connection) {
            return client.connection.output();
        }
        self.upstreams.get_mut(&connection).map_or(&[], |upstream| upstream.wire.output())
    }

    fn written(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        match is_client(connection) {
            true => self.client_written(now, connection, bytes),
            false => self.upstream_written(now, connection, bytes),
        }
    }
}

/// Whether a connection was accepted, not asked for.
fn is_client(id: ConnectionId) -> bool {
    id.0.is_multiple_of(2)
}

#[cfg(test)]
mod tests;
