//! A cluster of bare [`Raft`]s. Messages lie on the wire until they are delivered, batches lie in
//! the disk's queue until they are made durable, and time passes when it is told to.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quorra_core::disk::Ticket;
use quorra_core::identity::MemberId;
use quorra_core::raft::{
    Configuration, Entry, EntryKind, HardState, Index, LogBatch, Message, Options, Output,
    Position, Raft, ReadContext, Restored, SnapshotChunk, SnapshotId,
};
use quorra_core::random::Random;
use quorra_core::time::{Duration, Instant};

use crate::describe;
use crate::witness::Witness;

/// What a member would find after a power cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) base: Position,
    pub(crate) entries: Vec<Entry>,
    pub(crate) commit_index: Index,
    pub(crate) configuration: Configuration,
}

impl Disk {
    pub(crate) fn last(&self) -> Position {
        let last = self.entries.last();
        last.map_or(self.base, |entry| Position { term: entry.term, index: entry.index })
    }

    fn write(&mut self, batch: LogBatch, installed: Option<&Configuration>) {
        if let Some(hard_state) = batch.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(base) = batch.reset {
            self.base = base;
            self.entries.clear();
            self.configuration = installed.expect("a reset follows a snapshot").clone();
        }
        if let Some(first) = batch.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
        }
        self.entries.extend(batch.entries);
        self.commit_index = batch.commit_index.min(self.last().index);
    }
}

/// One member: its Raft, unless it is down, and its disk.
pub(crate) struct Node {
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    queue: VecDeque<(Ticket, LogBatch)>,
    ticket: Ticket,
    options: Options,
    applied: Index,
    configuration: Configuration,
    installed: Option<Configuration>,
    pub(crate) applies: bool,
    reads: Vec<(MemberId, Index)>,
    pub(crate) context: u64,
}

/// See the module.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<MemberId, Node>,
    pub(crate) now: Instant,
    pub(crate) wire: Vec<(MemberId, MemberId, Message)>,
    pub(crate) trace: Vec<String>,
    witness: Witness,
    seed: u64,
}

/// The numbers that scripts can set; etcd's timeouts.
pub(crate) fn options(id: MemberId) -> Options {
    Options {
        id,
        election_timeout: Duration::from_millis(1000),
        heartbeat_interval: Duration::from_millis(100),
        pre_vote: true,
        check_quorum: true,
        inflight_messages_max: 256,
        inflight_bytes_max: 1 << 20,
        append_bytes_target: 1 << 10,
        tail_bytes_max: 1 << 20,
        uncommitted_bytes_max: 1 << 20,
    }
}

impl Cluster {
    pub(crate) fn new(
        configuration: &Configuration,
        seed: u64,
        adjust: impl Fn(&mut Options),
    ) -> Self {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            now: Instant(1_000_000_000),
            wire: Vec::new(),
            trace: Vec::new(),
            witness: Witness::default(),
            seed,
        };
        for member in configuration.others(MemberId(0)) {
            cluster.add(member, configuration.clone(), &adjust);
        }
        cluster
    }

    /// A member with an empty disk, which knows this configuration.
    pub(crate) fn add(
        &mut self,
        member: MemberId,
        configuration: Configuration,
        adjust: impl Fn(&mut Options),
    ) {
        let mut options = options(member);
        adjust(&mut options);
        let node = Node {
            raft: None,
            disk: Disk { configuration, ..Disk::default() },
            queue: VecDeque::new(),
            ticket: Ticket(0),
            options,
            applied: Index(0),
            configuration: Configuration::default(),
            installed: None,
            applies: true,
            reads: Vec::new(),
            context: 0,
        };
        self.nodes.insert(member, node);
        self.start(member);
    }

    /// Recovers a member from its disk.
    pub(crate) fn start(&mut self, member: MemberId) {
        self.seed += 1;
        let (now, random) = (self.now, Random::new(self.seed));
        let node = self.nodes.get_mut(&member).expect("the script names members");
        let Disk { hard_state, base, entries, commit_index, configuration } = node.disk.clone();
        self.witness.restarted(member, &node.disk);
        node.applied = base.index;
        node.configuration = configuration.clone();
        let restored = Restored {
            hard_state,
            base,
            last: node.disk.last(),
            tail: entries,
            commit_index: commit_index.max(base.index),
            configuration,
            applied_index: base.index,
        };
        node.raft = Some(Raft::new(node.options.clone(), restored, now, random));
        self.give(member, |_, _, _| {});
    }

    /// Stops a member: what its disk had not finished is lost.
    pub(crate) fn crash(&mut self, member: MemberId) {
        let node = self.nodes.get_mut(&member).expect("the script names members");
        node.raft = None;
        node.queue.clear();
        node.reads.clear();
    }

    /// Hands an input to a member that is up, ends its turn, and does what comes out.
    pub(crate) fn give(
        &mut self,
        member: MemberId,
        input: impl FnOnce(&mut Raft, Instant, &mut Output),
    ) {
        let now = self.now;
        let node = self.nodes.get_mut(&member).expect("the script names members");
        let Some(raft) = node.raft.as_mut() else { return };
        let mut out = Output::default();
        input(raft, now, &mut out);
        raft.check();
        for turn in 0.. {
            assert!(turn < 100, "a turn ends");
            node.receive_chunks(&mut out);
            let raft = node.raft.as_mut().expect("it is up");
            let batch = raft.flush(now, &mut out);
            let is_quiet = batch.is_none();
            if let Some(batch) = batch {
                node.ticket = node.ticket.next();
                raft.submitted(node.ticket);
                let text = describe::batch(&batch);
                self.trace.push(format!("{member} writes {}:{text}", node.ticket.0));
                node.queue.push_back((node.ticket, batch));
            }
            if !node.apply(member, &mut self.trace) && is_quiet {
                break;
            }
        }
        self.perform(member, out);
        let node = &self.nodes[&member];
        let raft = node.raft.as_ref().expect("it is up");
        // What the member itself calls its base may be ahead of its disk, never behind it.
        self.witness.judge(member, raft, node.disk.base);
    }

    fn perform(&mut self, member: MemberId, out: Output) {
        for notice in &out.notices {
            self.trace.push(format!("{member} {}", describe::notice(notice)));
        }
        let node = self.nodes.get_mut(&member).expect("the script names members");
        for (to, message) in out.messages {
            self.witness.judge_message(member, to, &message, &node.disk);
            self.trace.push(format!("{member} -> {to} {}", describe::message(&message)));
            self.wire.push((member, to, message));
        }
        for read in out.reads {
            if let Some(index) = read.index {
                self.witness.judge_read(member, read.context, index);
            }
            let index = read.index.map_or_else(|| "fails".to_string(), |i| format!("at {i}"));
            self.trace.push(format!("{member} read {} {index}", read.context.0));
        }
        for (to, from, bytes) in out.disk_reads {
            self.trace.push(format!("{member} reads its log from {from} ({bytes} B) for {to}"));
            node.reads.push((to, from));
        }
        for to in out.snapshots {
            self.trace.push(format!("{member} has a snapshot to send to {to}"));
        }
        for (from, snapshot, received) in out.chunk_answers {
            let snapshot = describe::position(snapshot.position());
            self.trace.push(format!("{member} hears from {from}: {snapshot} {received:?}"));
        }
    }

    /// A client of this member asks for a linearizable read.
    pub(crate) fn read(&mut self, member: MemberId, context: ReadContext) {
        self.witness.asked(member, context);
        self.give(member, |raft, _, _| raft.read_index(context));
    }

    /// Delivers what lies on the wire now, as far as it fits the filter.
    pub(crate) fn deliver(&mut self, fits: impl Fn(MemberId, MemberId, &Message) -> bool) -> usize {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.wire).into_iter().partition(|(f, t, m)| fits(*f, *t, m));
        self.wire = later;
        let count = now.len();
        for (from, to, message) in now {
            if self.nodes.contains_key(&to) {
                self.give(to, |raft, now, out| raft.step(now, from, message, out));
            }
        }
        count
    }

    /// Makes the oldest batches of a member durable, up to `ticket`.
    pub(crate) fn durable(&mut self, member: MemberId, ticket: Option<Ticket>) -> bool {
        let node = self.nodes.get_mut(&member).expect("the script names members");
        let mut newest = None;
        while node.queue.front().is_some_and(|(first, _)| ticket.is_none_or(|t| *first <= t)) {
            let (first, batch) = node.queue.pop_front().expect("the loop saw it");
            node.disk.write(batch, node.installed.as_ref());
            newest = Some(first);
        }
        let Some(newest) = newest else { return false };
        self.give(member, |raft, now, out| raft.durable(now, newest, out));
        true
    }

    /// Answers a member's reads of its own log.
    pub(crate) fn answer_reads(&mut self, member: MemberId) -> bool {
        let node = self.nodes.get_mut(&member).expect("the script names members");
        let reads = std::mem::take(&mut node.reads);
        let is_any = !reads.is_empty();
        for (to, from) in reads {
            let entries = self.nodes[&member].disk.entries.iter();
            let entries = entries.filter(|entry| entry.index >= from).take(8).cloned().collect();
            self.give(member, |raft, _, out| raft.entries_read(to, entries, out));
        }
        is_any
    }

    /// Delivers and makes durable until nothing happens any more.
    pub(crate) fn stabilize(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "no rest: {:#?}", self.trace.last_chunk::<20>());
            let mut moved = self.deliver(|_, _, _| true) > 0;
            for member in self.nodes.keys().copied().collect::<Vec<_>>() {
                moved |= self.durable(member, None);
                moved |= self.answer_reads(member);
            }
            if !moved {
                break;
            }
        }
    }

    /// A checkpoint of everything applied is durable; the log begins behind `index`.
    pub(crate) fn compact(&mut self, member: MemberId, index: Index) {
        let node = self.nodes.get_mut(&member).expect("the script names members");
        let index = index.min(node.applied).min(node.disk.last().index);
        let found = node.disk.entries.iter().find(|entry| entry.index == index);
        let Some(entry) = found else { return };
        let base = Position { term: entry.term, index };
        let mut changes = node.disk.entries.iter().filter(|entry| entry.index <= index);
        let change = changes.rfind(|entry| entry.kind == EntryKind::Configuration);
        if let Some(change) = change {
            node.disk.configuration = parse_configuration(&change.payload);
        }
        node.disk.base = base;
        node.disk.entries.retain(|entry| entry.index > index);
        node.disk.commit_index = node.disk.commit_index.max(index);
        self.give(member, |raft, _, _| raft.compacted(base));
    }

    /// Puts the newest checkpoint of `from` on the wire, in one chunk.
    pub(crate) fn send_snapshot(&mut self, from: MemberId, to: MemberId) {
        let node = &self.nodes[&from];
        let base = node.disk.base;
        let bytes = Bytes::from(describe::configuration(&node.disk.configuration));
        let total = bytes.len() as u64;
        let snapshot = SnapshotId { index: base.index, term: base.term };
        let chunk = SnapshotChunk { snapshot, offset: 0, total, checksum: 0, bytes };
        let term = node.raft.as_ref().expect("it is up").term();
        let message = Message::Chunk { term, chunk };
        self.trace.push(format!("{from} -> {to} {}", describe::message(&message)));
        self.wire.push((from, to, message));
    }
}

impl Node {
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    fn receive_chunks(&mut self, out: &mut Output) {
        let raft = self.raft.as_mut().expect("it is up");
        for (from, chunk) in std::mem::take(&mut out.chunks) {
            raft.chunk_received(from, chunk.snapshot, Some(chunk.total), out);
            let at = chunk.snapshot.position();
            let configuration = parse_configuration(&chunk.bytes);
            if raft.install(at, configuration.clone()) {
                self.applied = at.index;
                self.installed = Some(configuration.clone());
                self.configuration = configuration;
            }
        }
    }

    /// Applies what may be applied; true if a change of the configuration came into force.
    fn apply(&mut self, member: MemberId, trace: &mut Vec<String>) -> bool {
        let raft = self.raft.as_mut().expect("it is up");
        if !self.applies {
            return false;
        }
        let mut is_changed = false;
        while self.applied < raft.applicable_index() {
            let index = self.applied.next();
            let entry = raft.entry(index).expect("what is not applied is in memory");
            assert!(entry.is_intact(), "an entry arrives as it was made");
            let change = (entry.kind == EntryKind::Configuration)
                .then(|| parse_configuration(&entry.payload));
            if let Some(change) = &change {
                trace.push(format!("{member} applies members={}", describe::configuration(change)));
                self.configuration = change.clone();
                is_changed = true;
            }
            raft.applied(index, change);
            self.applied = index;
        }
        is_changed
    }
}

/// The inverse of [`describe::configuration`].
pub(crate) fn parse_configuration(payload: &[u8]) -> Configuration {
    let text = String::from_utf8_lossy(payload);
    let (voters, learners) = text.split_once('/').unwrap_or((&text, ""));
    let list =
        |text: &str| text.split(',').filter_map(|id| id.parse().ok()).map(MemberId).collect();
    Configuration { voters: list(voters), learners: list(learners) }
}
