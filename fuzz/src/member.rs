//! A member alone in memory: a host, its connections, and a disk that answers at once.

use std::collections::BTreeMap;

use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft::{self, Index};
use quorra_core::replica::{self, Bootstrap, Recovery, RecoveryError, RecoveryStep, Replica};
use quorra_core::store::membership;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::host::{Action, ConnectionId, Host, Input, Listener, Options, Security, V3Options};

use crate::disk::Disk;

const URL: &str = "http://127.0.0.1:2380";
/// No input asks for more turns than these at one time.
const TURNS_MAX: usize = 100_000;

/// A host, and all that its driver would keep.
pub(crate) struct Member {
    host: Host,
    pub(crate) now: Now,
    ready: bool,
    stopped: bool,
    disk: Disk,
    written: BTreeMap<ConnectionId, Vec<u8>>,
    closed: BTreeMap<ConnectionId, bool>,
    /// The state's hash at each index that was seen.
    hashes: BTreeMap<Index, u64>,
}

impl Member {
    /// A member that leads and serves clients.
    pub(crate) fn started() -> Self {
        let now = Now { monotonic: Instant(1 << 40), wall: WallTime(1_700_000_000_000_000_000) };
        let mut member = Self {
            host: Host::new(options(1), replica(now), now),
            now,
            ready: false,
            stopped: false,
            disk: Disk::default(),
            written: BTreeMap::new(),
            closed: BTreeMap::new(),
            hashes: BTreeMap::new(),
        };
        while !member.ready || member.host.replica().cluster_version().is_none() {
            member.wait();
        }
        member
    }

    /// Opens a connection.
    pub(crate) fn open(&mut self, connection: ConnectionId, listener: Listener) {
        self.host.input(
            self.now,
            Input::Accepted { connection, listener, remote: "fuzz", security: Security::Plain },
        );
    }

    /// Sends bytes, as long as the connection is open.
    pub(crate) fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        for piece in bytes.chunks(64 << 10) {
            if !self.closed.contains_key(&connection) {
                self.host.input(self.now, Input::Received(connection, piece));
                self.settle();
            }
        }
    }

    /// The other side will send no more.
    pub(crate) fn half_close(&mut self, connection: ConnectionId) {
        if !self.closed.contains_key(&connection) {
            self.host.input(self.now, Input::HalfClosed(connection));
            self.settle();
        }
    }

    /// The connection breaks.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        if self.closed.insert(connection, true).is_none() {
            self.host.input(self.now, Input::Closed(connection));
            self.settle();
        }
    }

    /// What was written to a connection since the last time.
    pub(crate) fn take(&mut self, connection: ConnectionId) -> Vec<u8> {
        self.written.remove(&connection).unwrap_or_default()
    }

    /// Lets time pass until something is due.
    pub(crate) fn wait(&mut self) {
        let due = self.host.deadline().max(self.now.monotonic + Duration::from_nanos(1));
        let passed = due.0 - self.now.monotonic.0;
        self.now.monotonic = due;
        self.now.wall.0 += i64::try_from(passed).expect("deadlines are near");
        self.host.input(self.now, Input::Tick);
        self.settle();
    }

    /// Turns until nothing is left to be done at this time.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.host.input(self.now, Input::Flush);
            while let Some(action) = self.host.next_action() {
                self.perform(action);
            }
            self.host.check();
            self.hashes.extend(self.host.replica().state_hash());
            if self.stopped || self.host.deadline() > self.now.monotonic {
                return;
            }
            self.host.input(self.now, Input::Tick);
        }
        panic!("a host at rest asks for no more turns");
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Write(id) => self.drain(id),
            Action::Disk(lane, ticket, operations) => {
                operations.into_iter().for_each(|operation| self.disk.perform(operation));
                self.host.input(self.now, Input::Durable(lane, ticket));
            }
            Action::Read(id, place) => {
                self.host.input(self.now, Input::Read(id, self.disk.read(place)));
            }
            Action::Close { connection, at_once } => {
                self.closed.insert(connection, at_once);
            }
            Action::Connect(connection, _) => self.host.input(self.now, Input::Closed(connection)),
            Action::Ready => self.ready = true,
            Action::Stop(reason) => panic!("no client can stop a member: {reason:?}"),
            Action::Job(id, job) => {
                self.host.input(self.now, Input::Job(id, job.simulated()));
            }
            Action::Measure => self.host.input(self.now, Input::Measured(Box::default())),
            Action::LogLevel(_) => {}
            Action::Pause(..) | Action::Notice(_) | Action::Log(..) => {}
        }
    }

    fn drain(&mut self, id: ConnectionId) {
        loop {
            let output = self.host.output(id).to_vec();
            if output.is_empty() {
                return;
            }
            self.host.written(self.now, id, output.len());
            self.written.entry(id).or_default().extend(output);
        }
    }

    /// What a restart finds on the disk is a state that the member had.
    pub(crate) fn check_recovery(&self) {
        let recovered = recover(&self.disk, self.now).expect("what was written is read again");
        let Some((index, hash)) = recovered.state_hash() else { return };
        let known = self.hashes.get(&index);
        assert!(known.is_none_or(|known| *known == hash), "recovery equals replay");
        recovered.check();
    }

    /// The state's hash, if nothing is under way.
    pub(crate) fn state_hash(&self) -> Option<(Index, u64)> {
        self.host.replica().state_hash()
    }
}

/// A replica alone that has just been founded, and leads nothing yet.
pub(crate) fn replica(now: Now) -> Replica {
    let id = MemberId::of_bootstrap(&[URL.to_owned()], "token");
    found(id, &[id], now)
}

/// The replica `me` of a cluster that has just been founded.
pub(crate) fn found(me: MemberId, members: &[MemberId], now: Now) -> Replica {
    let member = |id: &MemberId| membership::Member {
        id: *id,
        name: String::new(),
        // No two members may share one.
        peer_urls: vec![format!("http://{id}")],
        client_urls: Vec::new(),
        is_learner: false,
    };
    let members_of = members.iter().map(member).collect();
    let bootstrap = Bootstrap { cluster: ClusterId::of(members), member: me, members: members_of };
    let mut recovery = Recovery::start(replica_options(1), Vec::new(), Some(bootstrap), now);
    match recovery.next(None) {
        RecoveryStep::Ready(replica) => *replica,
        RecoveryStep::Read(_) | RecoveryStep::Failed(_) => panic!("an empty directory is enough"),
    }
}

/// The replica that a restart makes of a disk.
pub(crate) fn recover(disk: &Disk, now: Now) -> Result<Replica, RecoveryError> {
    let mut recovery = Recovery::start(replica_options(2), disk.found(), None, now);
    let mut answer = None;
    loop {
        match recovery.next(answer.take()) {
            RecoveryStep::Ready(replica) => return Ok(*replica),
            RecoveryStep::Read(place) => answer = disk.read(place).ok(),
            RecoveryStep::Failed(error) => return Err(error),
        }
    }
}

/// The flags of a member, as far as its host is concerned.
pub(crate) fn options(incarnation: u64) -> Options {
    Options {
        name: "alone".to_owned(),
        client_urls: vec!["http://127.0.0.1:2379".to_owned()],
        v2: true,
        discovery_service: true,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        cors: Vec::new(),
        host_whitelist: Vec::new(),
        incarnation: Incarnation(incarnation),
        connections_max: 10,
        command_line: Vec::new(),
        file_descriptor_limit: 1_024,
        v3: V3Options::default(),
        extensive_metrics: false,
        quota_bytes: None,
    }
}

fn replica_options(incarnation: u64) -> replica::Options {
    replica::Options {
        raft: raft::Options {
            id: MemberId(0),
            election_timeout: Duration::from_millis(1_000),
            heartbeat_interval: Duration::from_millis(100),
            pre_vote: true,
            check_quorum: true,
            inflight_messages_max: limits::INFLIGHT_MESSAGES_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            append_bytes_target: limits::APPEND_BYTES_TARGET,
            tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
            uncommitted_bytes_max: limits::UNCOMMITTED_BYTES_MAX,
        },
        incarnation: Incarnation(incarnation),
        seed: 42,
        segment_bytes: 64 << 10,
        checkpoint_log_bytes: 256 << 10,
        entries_kept: 10,
        snapshot_part_bytes: 1_000,
        v2_history_events: 1_000,
        slice_keys: 3,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        quota_bytes: None,
        strict_reconfig_check: true,
        version: "3.5.33".to_owned(),
    }
}
