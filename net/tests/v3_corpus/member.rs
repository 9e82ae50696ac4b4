//! A whole member in memory: a host, its connections, and a disk that answers at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorra_core::disk::{DiskOp, DiskRead, File};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft;
use quorra_core::replica::{self, Bootstrap, Recovery, RecoveryStep};
use quorra_core::store::membership;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::host::{Action, ConnectionId, Host, Input, Listener, Options, Security, V3Options};

const PEER_URL: &str = "http://127.0.0.1:2380";
const CLIENT_URL: &str = "http://127.0.0.1:2379";

/// The member and its world.
pub(crate) struct Member {
    host: Host,
    now: Now,
    ready: bool,
    connections: u64,
    received: BTreeMap<u64, Vec<u8>>,
    files: BTreeMap<File, Vec<u8>>,
}

impl Member {
    /// A member that leads and serves clients.
    pub(crate) fn started() -> Self {
        let now = Now { monotonic: Instant(1 << 40), wall: WallTime(1_700_000_000_123_456_789) };
        let urls = vec![PEER_URL.to_owned()];
        let id = MemberId::of_bootstrap(&urls, "etcd-cluster");
        let first = membership::Member {
            id,
            name: "default".to_owned(),
            peer_urls: urls,
            client_urls: Vec::new(),
            is_learner: false,
        };
        let bootstrap =
            Bootstrap { cluster: ClusterId::of(&[id]), member: id, members: vec![first] };
        let mut recovery = Recovery::start(replica_options(), Vec::new(), Some(bootstrap), now);
        let RecoveryStep::Ready(replica) = recovery.next(None) else {
            panic!("an empty directory needs no read");
        };
        let mut member = Self {
            host: Host::new(options(), *replica, now),
            now,
            ready: false,
            connections: 0,
            received: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        while !member.ready || member.host.replica().cluster_version().is_none() {
            member.pass();
        }
        member
    }

    /// The store's revision.
    pub(crate) fn revision(&self) -> i64 {
        self.host.replica().header().revision
    }

    /// Opens a connection.
    pub(crate) fn connect(&mut self) -> u64 {
        self.connections += 2;
        let connection = ConnectionId(self.connections);
        let input = Input::Accepted {
            connection,
            listener: Listener::Client,
            remote: "client",
            security: Security::Plain,
        };
        self.turn(input);
        self.connections
    }

    /// Sends bytes, in pieces as a driver would.
    pub(crate) fn send(&mut self, connection: u64, bytes: &[u8]) {
        for piece in bytes.chunks(64 << 10) {
            self.turn(Input::Received(ConnectionId(connection), piece));
        }
    }

    /// What came back since the last time.
    pub(crate) fn take(&mut self, connection: u64) -> Vec<u8> {
        self.received.remove(&connection).unwrap_or_default()
    }

    /// Lets a millisecond pass.
    pub(crate) fn pass(&mut self) {
        self.now.monotonic = self.now.monotonic + Duration::from_millis(1);
        self.now.wall.0 += 1_000_000;
        if self.host.deadline() <= self.now.monotonic {
            self.turn(Input::Tick);
        }
    }

    /// Lets that many milliseconds pass.
    pub(crate) fn pass_for(&mut self, milliseconds: u64) {
        (0..milliseconds).for_each(|_| self.pass());
    }

    fn turn(&mut self, input: Input<'_>) {
        self.host.input(self.now, input);
        self.host.input(self.now, Input::Flush);
        while let Some(action) = self.host.next_action() {
            self.perform(action);
        }
        self.host.check();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Write(connection) => {
                let output = self.host.output(connection).to_vec();
                self.host.written(self.now, connection, output.len());
                self.received.entry(connection.0).or_default().extend_from_slice(&output);
                if !self.host.output(connection).is_empty() {
                    self.perform(Action::Write(connection));
                }
            }
            Action::Disk(lane, ticket, operations) => {
                operations.into_iter().for_each(|operation| self.write(operation));
                self.turn(Input::Durable(lane, ticket));
            }
            Action::Read(id, place) => {
                let content = self.read(place);
                self.turn(Input::Read(id, Ok(content)));
            }
            Action::Ready => self.ready = true,
            Action::Stop(reason) => panic!("the member stops: {reason:?}"),
            Action::Pause(..) | Action::Close { .. } | Action::Connect(..) => {}
            Action::Job(..) | Action::Notice(_) | Action::Log(..) => {}
            Action::LogLevel(_) | Action::Measure => {}
        }
    }

    fn write(&mut self, operation: DiskOp) {
        match operation {
            DiskOp::Create(file) => drop(self.files.insert(file, Vec::new())),
            DiskOp::Write { file, offset, bytes } => {
                let content = self.files.entry(file).or_default();
                let start = usize::try_from(offset).expect("small");
                content.resize(content.len().max(start + bytes.len()), 0);
                content[start..start + bytes.len()].copy_from_slice(&bytes);
            }
            // Files read as zeros behind what was written.
            DiskOp::Zero { .. } | DiskOp::Publish(_) => {}
            DiskOp::Remove(file) => drop(self.files.remove(&file)),
        }
    }

    fn read(&self, place: DiskRead) -> Bytes {
        let content = self.files.get(&place.file).map(Vec::as_slice).unwrap_or_default();
        let start = usize::try_from(place.offset).expect("small");
        let length = usize::try_from(place.length).expect("small");
        content.iter().copied().chain(std::iter::repeat(0)).skip(start).take(length).collect()
    }
}

fn options() -> Options {
    Options {
        name: "default".to_owned(),
        client_urls: vec![CLIENT_URL.to_owned()],
        v2: true,
        discovery_service: false,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        cors: Vec::new(),
        host_whitelist: Vec::new(),
        incarnation: Incarnation(1),
        connections_max: 1000,
        command_line: Vec::new(),
        file_descriptor_limit: 1024,
        v3: V3Options::default(),
        extensive_metrics: false,
        quota_bytes: None,
    }
}

fn replica_options() -> replica::Options {
    replica::Options {
        raft: raft::Options {
            id: MemberId(0),
            election_timeout: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            pre_vote: true,
            check_quorum: true,
            inflight_messages_max: limits::INFLIGHT_MESSAGES_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            append_bytes_target: limits::APPEND_BYTES_TARGET,
            tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
            uncommitted_bytes_max: limits::UNCOMMITTED_BYTES_MAX,
        },
        incarnation: Incarnation(1),
        seed: 42,
        segment_bytes: 4 << 20,
        checkpoint_log_bytes: limits::CHECKPOINT_LOG_BYTES_MIN,
        entries_kept: 1000,
        snapshot_part_bytes: limits::SNAPSHOT_PART_BYTES,
        v2_history_events: limits::V2_HISTORY_EVENTS,
        slice_keys: 10,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        quota_bytes: None,
        strict_reconfig_check: true,
        version: "3.5.33".to_owned(),
    }
}
