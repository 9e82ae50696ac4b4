//! A cluster of replicas in memory: messages arrive at once, and so does the disk's answer.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quorra_core::disk::{DiskOp, DiskRead, File, Lane, Ticket};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft;
use quorra_core::replica::{
    Bootstrap, Effect, Effects, Input, Message, Options, Recovery, RecoveryStep, Replica, Reply,
    Request, RequestId, StopReason,
};
use quorra_core::store::membership::Member;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_core::wal::Found;

/// A member and its disk.
pub(crate) struct Node {
    pub(crate) replica: Option<Replica>,
    pub(crate) files: BTreeMap<File, Vec<u8>>,
    pub(crate) stopped: Option<StopReason>,
    starts: u64,
}

/// All members, and what is under way between them.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<MemberId, Node>,
    pub(crate) now: Now,
    pub(crate) replies: BTreeMap<RequestId, Vec<Reply>>,
    /// Whether a member's invariants are checked after each of its steps.
    pub(crate) is_checked: bool,
    /// See the replica's options; counts for the members started from now on.
    pub(crate) checkpoint_log_bytes: u64,
    /// `--force-new-cluster`, for the members started from now on.
    pub(crate) alone: bool,
    members: Vec<Member>,
    mail: VecDeque<(MemberId, MemberId, Message)>,
    next_request: u64,
}

impl Cluster {
    /// A new cluster of so many members, not started yet.
    pub(crate) fn new(size: u64) -> Self {
        let member = |id: u64| Member {
            id: MemberId(id),
            name: format!("m{id}"),
            peer_urls: vec![format!("http://m{id}:2380")],
            client_urls: Vec::new(),
            is_learner: false,
        };
        let members: Vec<Member> = (1..=size).map(member).collect();
        let node = || Node { replica: None, files: BTreeMap::new(), stopped: None, starts: 0 };
        Self {
            nodes: members.iter().map(|member| (member.id, node())).collect(),
            now: Now { monotonic: Instant(1_000_000_000), wall: WallTime(1 << 60) },
            replies: BTreeMap::new(),
            is_checked: true,
            checkpoint_log_bytes: 128 << 10,
            alone: false,
            members,
            mail: VecDeque::new(),
            next_request: 0,
        }
    }

    /// A started cluster with a leader.
    pub(crate) fn started(size: u64) -> Self {
        let mut cluster = Self::new(size);
        cluster.start_all();
        cluster
    }

    /// Starts all members, and waits for a leader.
    pub(crate) fn start_all(&mut self) {
        let ids: Vec<MemberId> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.start(id));
        self.wait(|cluster| cluster.leader().is_some());
    }

    fn options(&self, seed: u64, incarnation: u64) -> Options {
        Options {
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
            incarnation: Incarnation(incarnation),
            seed,
            segment_bytes: 64 << 10,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            entries_kept: 10,
            snapshot_part_bytes: 1_000,
            v2_history_events: 1_000,
            slice_keys: 100,
            request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
            quota_bytes: None,
            strict_reconfig_check: true,
            version: "3.5.33".to_string(),
        }
    }

    /// Starts a member from what its disk holds.
    pub(crate) fn start(&mut self, id: MemberId) {
        let node = self.nodes.get_mut(&id).expect("a member of this cluster");
        node.starts += 1;
        node.stopped = None;
        let starts = node.starts;
        let found = node
            .files
            .iter()
            .map(|(file, bytes)| Found { file: *file, length: bytes.len() as u64 })
            .collect();
        let ids: Vec<MemberId> = self.members.iter().map(|member| member.id).collect();
        let bootstrap =
            Bootstrap { cluster: ClusterId::of(&ids), member: id, members: self.members.clone() };
        let options = self.options(id.0 * 1000 + starts, starts);
        let mut recovery = Recovery::start(options, found, Some(bootstrap), self.now);
        if self.alone {
            recovery = recovery.forcing_new_cluster();
        }
        let mut bytes = None;
        let replica = loop {
            match recovery.next(bytes.take()) {
                RecoveryStep::Read(read) => bytes = Some(self.nodes[&id].read(read)),
                RecoveryStep::Ready(replica) => break *replica,
                RecoveryStep::Failed(error) => panic!("{id} does not recover: {error}"),
            }
        };
        self.nodes.get_mut(&id).expect("it is there").replica = Some(replica);
        self.connect(id);
    }

    fn connect(&mut self, id: MemberId) {
        let running = |node: &Node| node.replica.is_some();
        let others: Vec<MemberId> = self
            .nodes
            .iter()
            .filter(|(other, n)| **other != id && running(n))
            .map(|n| *n.0)
            .collect();
        for other in others {
            for (here, there) in [(id, other), (other, id)] {
                let there_says =
                    self.nodes[&there].replica.as_ref().map(|r| r.acknowledged_by(here));
                let acknowledged = there_says.unwrap_or_default();
                self.input(here, Input::Connected { peer: there, acknowledged });
            }
        }
    }

    /// Ends a member without a word. Its disk keeps everything.
    pub(crate) fn kill(&mut self, id: MemberId) {
        self.nodes.get_mut(&id).expect("it is there").replica = None;
        self.mail.retain(|(from, to, _)| *from != id && *to != id);
        let others: Vec<MemberId> = self.nodes.keys().copied().filter(|o| *o != id).collect();
        for other in others {
            self.input(other, Input::Disconnected(id));
        }
    }

    /// Asks a member; its replies gather in `replies`.
    pub(crate) fn ask(&mut self, id: MemberId, request: Request) -> RequestId {
        self.next_request += 1;
        let request_id = RequestId(self.next_request);
        self.input(id, Input::Request(request_id, request));
        self.input(id, Input::Flush);
        request_id
    }

    /// Asks and runs until the first reply.
    pub(crate) fn call(&mut self, id: MemberId, request: Request) -> Reply {
        let request = self.ask(id, request);
        self.wait(|cluster| cluster.replies.contains_key(&request));
        self.replies[&request][0].clone()
    }

    /// The member that leads in the newest term.
    pub(crate) fn leader(&self) -> Option<MemberId> {
        let running = self.nodes.values().filter_map(|node| node.replica.as_ref());
        let leaders = running.map(Replica::status).filter(|s| s.role == raft::RoleName::Leader);
        leaders.max_by_key(|status| status.term).map(|status| status.member)
    }

    /// Runs until the condition holds; fails after a virtual minute.
    pub(crate) fn wait(&mut self, condition: impl Fn(&Self) -> bool) {
        let end = self.now.monotonic + Duration::from_secs(60);
        while !condition(self) {
            assert!(self.now.monotonic < end, "the condition holds within a minute");
            self.turn();
        }
    }

    /// Lets 10 ms pass.
    pub(crate) fn turn(&mut self) {
        self.now.monotonic = self.now.monotonic + Duration::from_millis(10);
        self.now.wall.0 += 10_000_000;
        self.deliver();
        let ids: Vec<MemberId> = self.nodes.keys().copied().collect();
        for id in ids {
            let due = |replica: &Replica| replica.deadline() <= self.now.monotonic;
            if self.nodes[&id].replica.as_ref().is_some_and(due) {
                self.input(id, Input::Tick);
                self.input(id, Input::Flush);
            }
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((from, to, message)) = self.mail.pop_front() {
            self.input(to, Input::Peer(from, message));
            self.input(to, Input::Flush);
        }
    }

    /// Gives a member an input and carries out what it wants. Who is not there hears nothing.
    pub(crate) fn input(&mut self, id: MemberId, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = self.nodes.get_mut(&id);
            let Some(replica) = node.and_then(|node| node.replica.as_mut()) else { return };
            let mut effects = Effects::new();
            replica.step(self.now, input, &mut effects);
            if self.is_checked {
                replica.check();
            }
            while let Some(effect) = effects.pop() {
                self.perform(id, effect, &mut inputs);
            }
        }
    }

    fn perform(&mut self, id: MemberId, effect: Effect, inputs: &mut VecDeque<Input>) {
        let node = self.nodes.get_mut(&id).expect("a member of this cluster");
        match effect {
            Effect::Disk(lane, ticket, ops) => {
                node.write(ops);
                answer(lane, ticket, inputs);
            }
            Effect::Read(read, place) => {
                inputs.push_back(Input::Read(read, Ok(node.read(place))));
            }
            Effect::Send(to, message) => self.mail.push_back((id, to, message)),
            Effect::Reply(request, reply) => self.replies.entry(request).or_default().push(reply),
            Effect::Stop(reason) => {
                node.stopped = Some(reason);
                node.replica = None;
            }
            Effect::Job(..) | Effect::Members | Effect::Notice(_) => {}
        }
    }
}

fn answer(lane: Lane, ticket: Ticket, inputs: &mut VecDeque<Input>) {
    inputs.push_back(Input::Durable(lane, ticket));
    inputs.push_back(Input::Flush);
}

impl Node {
    pub(crate) fn write(&mut self, ops: Vec<DiskOp>) {
        for op in ops {
            match op {
                DiskOp::Create(file) => drop(self.files.insert(file, Vec::new())),
                DiskOp::Write { file, offset, bytes } => self.put(file, offset, &bytes),
                DiskOp::Zero { file, offset, length } => {
                    self.put(file, offset, &vec![0; usize::try_from(length).expect("small")]);
                }
                DiskOp::Publish(_) => {}
                DiskOp::Remove(file) => drop(self.files.remove(&file)),
            }
        }
    }

    fn put(&mut self, file: File, offset: u64, bytes: &[u8]) {
        let content = self.files.entry(file).or_default();
        let start = usize::try_from(offset).expect("small");
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn read(&self, place: DiskRead) -> Bytes {
        let content = self.files.get(&place.file).map(Vec::as_slice).unwrap_or_default();
        let start = content.len().min(usize::try_from(place.offset).expect("small"));
        let end = content
            .len()
            .min(start.saturating_add(usize::try_from(place.length).unwrap_or(usize::MAX)));
        Bytes::copy_from_slice(&content[start..end])
    }
}
