//! The host's door: everything that can come in, and everything that can go out.

use std::net::IpAddr;

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskOp, DiskRead, Lane, Ticket};
use quorra_core::identity::Incarnation;
use quorra_core::limits;
use quorra_core::raft::Notice;
use quorra_core::replica::{Job, JobId, JobResult, ReadId, StopReason};
use quorra_core::time::{Instant, Now};

use super::statistics::Measured;
use crate::http::Pings;

/// Names a connection. Chosen by whoever opens it: even numbers by the driver for accepted
/// ones, odd numbers by the host for those it asks for. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Clients of both APIs.
    Client,
    /// Other members.
    Peer,
    /// Whoever looks after members: nothing but `/metrics` and `/health`.
    Metrics,
}

/// What a driver drives: a server without an operating system. A [`Host`](super::Host) is one.
pub trait Machine {
    /// Something happened.
    fn input(&mut self, now: Now, input: Input<'_>);

    /// The next thing to do, in order.
    fn next_action(&mut self) -> Option<Action>;

    /// When [`Input::Tick`] is wanted next; in the past while work is left.
    fn deadline(&self) -> Instant;

    /// The bytes that wait to be written to a connection; empty if there are none.
    fn output(&mut self, connection: ConnectionId) -> &[u8];

    /// That many bytes of [`Self::output`] were taken.
    fn written(&mut self, now: Now, connection: ConnectionId, bytes: usize);
}

/// What lies between a connection's plaintext and its wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    #[default]
    Plain,
    /// TLS, with the verified identity of a client that had to show one: only a listener with
    /// `--client-cert-auth` (for peers `--peer-client-cert-auth`) tells any.
    Tls(Option<Identity>),
}

impl Security {
    /// Whether it is TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whom the other side's certificate names.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Plain => None,
            Self::Tls(identity) => identity.as_ref(),
        }
    }
}

/// Whom a certificate names that a trusted authority has signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The subject's common name; empty if it has none. To etcd's authentication this is the user
    /// of a request that brings no other credentials.
    pub common_name: String,
    /// The subject's alternative names that are DNS names, wildcards among them.
    pub dns_names: Vec<String>,
    /// The subject's alternative names that are addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a driver tells its host.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Accepted {
        /// Even.
        connection: ConnectionId,
        /// By which listener.
        listener: Listener,
        /// Where from, for logs.
        remote: &'a str,
        /// What protects it. TLS lies below the host: a connection is accepted when its handshake
        /// is over, and what is received is plaintext.
        security: Security,
    },
    /// A connection that [`Action::Connect`] asked for is open.
    Connected(ConnectionId),
    /// These bytes came in; never empty. At most 64 KiB for each connection and turn.
    Received(ConnectionId, &'a [u8]),
    /// The other side will send no more, but may still read.
    HalfClosed(ConnectionId),
    /// The connection is gone, or could not be opened. After [`Action::Close`] only if it broke
    /// before its output was written.
    Closed(ConnectionId),
    /// See the replica's door.
    Durable(Lane, Ticket),
    /// See the replica's door.
    Failed(Lane, Ticket, DiskFailure),
    /// See the replica's door.
    Read(ReadId, Result<Bytes, DiskFailure>),
    /// See the replica's door.
    Job(JobId, JobResult),
    /// What [`Action::Measure`] asked for.
    Measured(Box<Measured>),
    /// Time has passed.
    Tick,
    /// The turn has no more inputs. Ends every turn.
    Flush,
    /// The operating system asks the member to go.
    Stop,
}

/// What a host wants done.
#[derive(Debug)]
pub enum Action {
    /// The connection has output: see [`Host::output`](super::Host::output).
    Write(ConnectionId),
    /// Stop (or go on) reading from a connection: its requests wait already.
    Pause(ConnectionId, bool),
    /// Close it once its output is written (or at once, dropping the output).
    Close {
        /// Which.
        connection: ConnectionId,
        /// Whether what is left of the output is dropped.
        at_once: bool,
    },
    /// Open a connection to this URL (`http://host:port`); names are resolved anew each time.
    Connect(ConnectionId, String),
    /// See the replica's door.
    Disk(Lane, Ticket, Vec<DiskOp>),
    /// See the replica's door.
    Read(ReadId, DiskRead),
    /// See the replica's door.
    Job(JobId, Job),
    /// Tell the operator.
    Notice(Notice),
    /// Tell the operator of the service manager: clients are served from now on.
    Ready,
    /// Write a line to the log.
    Log(Level, String),
    /// Write only lines to the log that matter as much as this, or more.
    LogLevel(Level),
    /// Measure what only the operating system knows, then answer [`Input::Measured`].
    Measure,
    /// The process must end. Nothing follows.
    Stop(StopReason),
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something may need an operator.
    Warn,
    /// Something happened.
    Info,
    /// Details.
    Debug,
}

/// What a member's flags decide, as far as the host is concerned.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--name`
    pub name: String,
    /// `--advertise-client-urls`
    pub client_urls: Vec<String>,
    /// `--enable-v2`
    pub v2: bool,
    /// `--enable-discovery-service`
    pub discovery_service: bool,
    /// `--max-request-bytes`
    pub request_bytes_max: usize,
    /// `--cors`; empty allows all.
    pub cors: Vec<String>,
    /// `--host-whitelist`; empty allows all.
    pub host_whitelist: Vec<String>,
    /// Which start of the data directory this is, as given to the replica.
    pub incarnation: Incarnation,
    /// The most connections at once; what is opened beyond is closed. Leave some descriptors to
    /// the disk.
    pub connections_max: usize,
    /// How the process was started, for `/debug/vars`.
    pub command_line: Vec<String>,
    /// For `/debug/vars` and `/metrics`.
    pub file_descriptor_limit: u64,
    /// The v3 API.
    pub v3: V3Options,
    /// `--metrics=extensive`: `/metrics` also tells how long calls took.
    pub extensive_metrics: bool,
    /// `--quota-backend-bytes`, for `/metrics`; none is no quota.
    pub quota_bytes: Option<u64>,
}

/// What the flags decide about the v3 API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V3Options {
    /// `--enable-grpc-gateway`: whether there is JSON below `/v3/`.
    pub gateway: bool,
    /// `--max-txn-ops`
    pub txn_ops_max: usize,
    /// `--max-concurrent-streams`, of each connection.
    pub streams_max: u32,
    /// `--grpc-keepalive-*`
    pub pings: Pings,
}

impl Default for V3Options {
    fn default() -> Self {
        Self {
            gateway: true,
            txn_ops_max: limits::TXN_OPS_MAX,
            streams_max: limits::STREAMS_MAX,
            pings: Pings::DEFAULT,
        }
    }
}
