//! The consensus-replicated state machine behind one door: inputs in, effects out.
//!
//! [`Replica`] ties together Raft, the log, and the stores. Its driver (in production a mio loop
//! around `quorra-net`'s `Host`, in the simulator a virtual world) tells it what happened and
//! carries out what it asks for. It never waits, never fails, and its work for one input is
//! bounded: long work is a resumable machine that is worked off in slices.
//!
//! **Orders go at once, claims wait.** Every effect may be carried out immediately. What promises
//! something about this member's disk stays inside until the disk has answered, so that no driver
//! can get the order wrong.
//!
//! # A write, followed through
//!
//! ```text
//! Request -> admission     refused here if it is too large, or too much waits already
//!         -> proposals     gets an identity; its client waits under it
//!         -> raft          the leader appends (a follower forwards it, once)
//! Flush   -> storage       one batch a turn on the log lane; appends leave at the same time
//! Durable -> raft          claims are released; a quorum commits
//! Flush   -> state         applied in order; the outcome is the same on every member
//!         -> writes        the identity is recognised: Reply
//! ```
//!
//! A linearizable read joins the turn's one read-index round (`reads`) and is answered from the
//! store when the confirmed index is applied. A serializable read goes straight to the store.
//!
//! # Invariants
//!
//! - Only entries that are committed *and* durable here are applied: a restart never shows an older
//!   revision.
//! - Each request is replied to once (a watch: opened once), whatever happens; when its outcome is
//!   unknown, it is told so after etcd's time.

mod admission;
mod alone;
mod bulk_lane;
mod callers;
mod checkpoints;
mod credentials;
mod door;
mod duties;
mod ending;
mod inbound;
mod jobs;
mod log_lane;
mod machine;
mod outbound;
mod peers;
mod proposals;
mod reads;
mod recovery;
mod request;
mod service;
mod storage;
mod transfer;
mod view;
mod watches;
mod writes;

use alloc::vec::Vec;

pub use door::{
    Effect, Effects, Input, Job, JobId, JobResult, Message, Password, ReadId, RequestId, StopReason,
};
pub use recovery::{Bootstrap, Damage, Options, Recovery, RecoveryError, RecoveryStep};
pub use request::{Failure, Header, Reply, Request, Response, Status};

use credentials::Credentials;
use duties::Duties;
use inbound::{Installed, Taken};
use jobs::Jobs;
use machine::Machine;
use peers::Peers;
use proposals::Proposals;
use reads::{EarlyReads, Reads};
use storage::Storage;
use watches::Watches;
use writes::Writes;

use crate::disk::{DiskFailure, Lane, Ticket};
use crate::identity::MemberId;
use crate::raft::{self, Index, LogBatch, Notice, Position, Raft, RoleName, Term};
use crate::random::Random;
use crate::time::{Instant, Now};

/// One member's consensus, log and state. Made by [`Recovery`].
pub struct Replica {
    options: Options,
    member: MemberId,
    now: Now,
    raft: Raft,
    out: raft::Output,
    storage: Storage,
    machine: Machine,
    proposals: Proposals,
    reads: Reads,
    early: EarlyReads,
    watches: Watches,
    jobs: Jobs,
    credentials: Credentials,
    peers: Peers,
    duties: Duties,
    leader_changed_at: Option<Instant>,
    stopping_since: Option<Instant>,
    removed_since: Option<Instant>,
    stopped: bool,
}

impl Replica {
    /// Puts together what recovery found. `first` is what a new log begins with.
    fn assemble(
        options: Options,
        mut parts: recovery::Parts,
        first: Option<LogBatch>,
        now: Now,
    ) -> Self {
        let storage = Storage::new(&options, &mut parts, first);
        let recovery::Parts { identity, restored, mut state, applied, .. } = parts;
        state.v2_mut().keep_events(options.v2_history_events);
        let mut raft_options = options.raft.clone();
        raft_options.id = identity.member;
        let recovered = Position { term: restored.hard_state.term, index: restored.last.index };
        let random = Random::new(options.seed);
        Self {
            member: identity.member,
            now,
            raft: Raft::new(raft_options, restored, now.monotonic, random),
            out: raft::Output::default(),
            storage,
            machine: Machine::new(state, applied, recovered),
            proposals: Proposals::new(identity.member, identity.incarnation),
            reads: Reads::new(identity.incarnation),
            early: EarlyReads::default(),
            watches: Watches::default(),
            jobs: Jobs::default(),
            credentials: Credentials::default(),
            peers: Peers::default(),
            duties: Duties::default(),
            leader_changed_at: None,
            stopping_since: None,
            removed_since: None,
            stopped: false,
            options,
        }
    }

    /// Something happened: adds what is to be done about it.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        if self.stopped {
            return;
        }
        self.now = now;
        match input {
            Input::Tick => self.on_tick(effects),
            Input::Peer(from, message) => self.on_peer(from, message, effects),
            Input::Connected { peer, acknowledged } => self.on_connected(peer, acknowledged),
            Input::Disconnected(peer) => self.on_disconnected(peer),
            Input::Request(id, request) => self.on_request(id, request, effects),
            Input::Cancel(id) => self.on_cancel(id),
            Input::Durable(lane, ticket) => self.on_durable(lane, ticket, effects),
            Input::Failed(lane, ticket, failure) => {
                self.on_failed(lane, ticket, failure, effects);
            }
            Input::Read(id, bytes) => {
                self.storage.on_read(id, bytes, &mut self.raft, &mut self.out, effects);
            }
            Input::Job(id, result) => self.on_job(id, result, effects),
            Input::Flush => self.on_flush(effects),
            Input::Stop => self.on_stop(),
        }
        self.drain_raft(effects);
    }

    /// When [`Input::Tick`] is wanted next; in the past while work is left.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if self.has_work() {
            return Instant(0);
        }
        let duty =
            (self.raft.role() == RoleName::Leader).then(|| self.now.monotonic + Duties::interval());
        let handover = self.stopping_since.map(|since| since + ending::HANDOVER_TIME);
        [
            self.proposals.writes.deadline(),
            self.reads.deadline(),
            self.early.deadline(),
            self.credentials.deadline(),
            self.storage.deadline(),
            duty,
            handover,
        ]
        .into_iter()
        .flatten()
        .fold(self.raft.deadline(), Instant::min)
    }

    fn has_work(&self) -> bool {
        self.machine.has_work(&self.raft) || self.storage.has_work()
    }

    fn on_tick(&mut self, effects: &mut Effects) {
        let now = self.now.monotonic;
        self.raft.tick(now, &mut self.out);
        self.expire(effects);
        self.storage.tick(now, &mut self.raft, effects);
        if self.raft.role() == RoleName::Leader && self.machine.applied().term == self.raft.term() {
            let due = self.duties.due(self.now, self.machine.state(), &self.options.version);
            if let Some(body) = due {
                self.write(None, None, body, effects);
            }
        }
        self.advance_removal(effects);
        self.advance_stop(effects);
    }

    /// Tells clients whose time is up.
    fn expire(&mut self, effects: &mut Effects) {
        let now = self.now.monotonic;
        while let Some(expired) = self.proposals.writes.expire(now) {
            let failure = self.timeout_failure(expired.since);
            if let Some(request) = expired.request {
                self.reply(request, Err(failure), effects);
            }
        }
        for read in self.reads.expire(now) {
            let failure = self.timeout_failure(read.since);
            self.reply(read.id, Err(failure), effects);
        }
        for request in self.credentials.expire(now) {
            self.reply(request, Err(Failure::Timeout), effects);
        }
        while let Some(read) = self.early.expire(now) {
            self.reply(read.id, Err(Failure::Timeout), effects);
        }
    }

    fn timeout_failure(&self, since: Instant) -> Failure {
        let leader = self.raft.leader();
        let connected =
            leader.is_some_and(|leader| leader == self.member || self.peers.is_connected(leader));
        Writes::failure(since, leader.is_some(), connected, self.leader_changed_at)
    }

    fn on_peer(&mut self, from: MemberId, message: Message, effects: &mut Effects) {
        match message {
            Message::Raft(message) => {
                if let raft::Message::Appended { term, match_index } = message {
                    self.remember_acknowledgement(from, term, match_index);
                }
                self.raft.step(self.now.monotonic, from, message, &mut self.out);
            }
            Message::Forward(payload) => {
                proposals::on_forward(from, payload, &mut self.way(effects).1);
            }
            Message::Refuse { counter, incarnation, failure } => {
                if incarnation == self.proposals.writes.incarnation()
                    && let Some((request, failure)) = self.proposals.refuse(counter, failure)
                {
                    self.reply(request, Err(failure), effects);
                }
            }
        }
    }

    /// Of members only: there is no end to strangers. And only of this term: what was acknowledged
    /// in an older one may since have been replaced here, and a member that is told of an entry
    /// which it never had takes its disk for damaged.
    fn remember_acknowledgement(&mut self, from: MemberId, term: Term, index: Index) {
        let is_member = self.machine.state().membership().members.contains_key(&from);
        let counts = is_member && term == self.raft.term();
        if let Some(entry) = self.raft.entry(index).filter(|_| counts) {
            self.peers.acknowledge(from, Position { term: entry.term, index });
        }
    }

    fn on_connected(&mut self, peer: MemberId, acknowledged: Position) {
        let now = self.now.monotonic;
        self.peers.connected(now, peer);
        self.raft.acknowledged_before(acknowledged);
        self.raft.reachable(now, peer, true, &mut self.out);
    }

    fn on_disconnected(&mut self, peer: MemberId) {
        self.peers.disconnected(peer);
        self.raft.reachable(self.now.monotonic, peer, false, &mut self.out);
    }

    fn on_durable(&mut self, lane: Lane, ticket: Ticket, effects: &mut Effects) {
        let now = self.now.monotonic;
        match lane {
            Lane::Log => {
                self.storage.log_durable(now, ticket);
                self.raft.durable(now, ticket, &mut self.out);
            }
            Lane::Bulk => {
                let received =
                    self.storage.bulk_durable(ticket, &mut self.raft, &mut self.out, effects);
                if let Some(installed) = received {
                    self.install(installed, effects);
                }
            }
        }
    }

    /// A received snapshot is complete on disk: it becomes the state, unless the log has
    /// meanwhile come further.
    fn install(&mut self, mut installed: Installed, effects: &mut Effects) {
        let configuration = installed.state.configuration();
        let wanted = installed.at.index > self.machine.applied().index
            && self.raft.install(installed.at, configuration);
        if !wanted {
            if let Some(leader) = self.raft.leader() {
                self.raft.chunk_received(leader, installed.snapshot(), None, &mut self.out);
            }
            return self.storage.drop_installed(&installed, effects);
        }
        self.storage.on_installed(&installed, self.machine.state_mut(), effects);
        installed.state.v2_mut().keep_events(self.options.v2_history_events);
        let ended = self.watches.end_all();
        let lost = self.machine.replace(*installed.state, installed.at);
        for id in ended {
            self.reply(id, Ok(Response::V2WatchEnd), effects);
        }
        for id in lost {
            self.reply(id, Err(Failure::LeaderChanged), effects);
        }
        effects.push(Effect::Members);
    }

    fn on_failed(
        &mut self,
        lane: Lane,
        ticket: Ticket,
        failure: DiskFailure,
        effects: &mut Effects,
    ) {
        let (now, state) = (self.now.monotonic, self.machine.state_mut());
        if !self.storage.failed(now, (lane, ticket), failure, state, effects) {
            self.stop(StopReason::Disk(lane, failure), effects);
        }
    }

    /// The turn has no more inputs: what was gathered leaves, what is committed is applied.
    fn on_flush(&mut self, effects: &mut Effects) {
        let (proposals, mut way) = self.way(effects);
        for (request, failure) in proposals.retry(&mut way) {
            self.reply(request, Err(failure), effects);
        }
        if self.reads.has_gathered()
            && self.raft.leader().is_some()
            && let Some(context) = self.reads.begin_round()
        {
            self.raft.read_index(context);
        }
        self.submit(effects);
        self.drain_raft(effects);
        self.apply(effects);
        self.submit(effects);
        self.drain_raft(effects);
        for read in self.reads.release(self.machine.readable_index()) {
            self.answer(read, effects);
        }
        self.deliver_watches(effects);
        let (now, applied) = (self.now.monotonic, self.machine.applied());
        self.storage.advance(now, applied, self.machine.state_mut(), effects);
    }

    /// Hands Raft's batch to the log lane.
    fn submit(&mut self, effects: &mut Effects) {
        if let Some(batch) = self.raft.flush(self.now.monotonic, &mut self.out) {
            let ticket = self.storage.submit(batch, effects);
            self.raft.submitted(ticket);
        }
    }

    fn apply(&mut self, effects: &mut Effects) {
        let mut settled = Vec::new();
        let applied = self.machine.apply(&mut self.raft, &mut self.proposals.writes, &mut settled);
        let header = self.header();
        for (request, outcome) in settled {
            effects.push(Effect::Reply(request, Reply { header, outcome }));
        }
        match applied {
            Ok(false) => {}
            Ok(true) => {
                effects.push(Effect::Members);
                if self.machine.state().membership().removed.contains(&self.member) {
                    self.removed_since.get_or_insert(self.now.monotonic);
                }
            }
            Err(index) => self.stop(StopReason::UnknownCommand(index), effects),
        }
        if self.machine.has_caught_up() && self.early.len() > 0 {
            for read in self.early.release() {
                self.answer(read, effects);
            }
        }
    }

    fn deliver_watches(&mut self, effects: &mut Effects) {
        let header = self.header();
        self.watches.deliver(self.machine.state_mut(), |id, response| {
            effects.push(Effect::Reply(id, Reply { header, outcome: Ok(response) }));
        });
    }

    /// Carries out what Raft wants, until it wants nothing more.
    fn drain_raft(&mut self, effects: &mut Effects) {
        if wants_nothing(&self.out) {
            return;
        }
        let mut out = core::mem::take(&mut self.out);
        for (to, message) in out.messages.drain(..) {
            effects.push(Effect::Send(to, Message::Raft(message)));
        }
        for ready in out.reads.drain(..) {
            self.reads.on_ready(ready);
        }
        for notice in out.notices.drain(..) {
            self.on_notice(notice, effects);
        }
        for wanted in out.disk_reads.drain(..) {
            self.storage.read_log(wanted, &mut self.raft, &mut self.out, effects);
        }
        for to in out.snapshots.drain(..) {
            self.storage.begin_outbound(self.now.monotonic, to, &mut self.raft);
        }
        for (from, chunk) in out.chunks.drain(..) {
            let snapshot = chunk.snapshot;
            let answer = match self.storage.on_chunk(chunk, effects) {
                Taken::Whole => continue,
                Taken::Not(written) => Some(written),
                Taken::Unusable => None,
            };
            self.raft.chunk_received(from, snapshot, answer, &mut self.out);
        }
        for answer in out.chunk_answers.drain(..) {
            self.storage.on_chunk_answer(self.now.monotonic, answer, &mut self.raft);
        }
        if wants_nothing(&self.out) {
            self.out = out;
        } else {
            self.drain_raft(effects);
        }
    }

    fn on_notice(&mut self, notice: Notice, effects: &mut Effects) {
        match notice {
            Notice::Leader { leader: Some(_), .. } => {
                self.leader_changed_at = Some(self.now.monotonic);
            }
            Notice::Role { role, .. } if role != RoleName::Leader => {
                self.storage.stop_sending();
            }
            _ => {}
        }
        effects.push(Effect::Notice(notice));
    }

    fn reply(&self, id: RequestId, outcome: Result<Response, Failure>, effects: &mut Effects) {
        effects.push(Effect::Reply(id, Reply { header: self.header(), outcome }));
    }
}

fn wants_nothing(out: &raft::Output) -> bool {
    out.messages.is_empty()
        && out.reads.is_empty()
        && out.notices.is_empty()
        && out.disk_reads.is_empty()
        && out.snapshots.is_empty()
        && out.chunks.is_empty()
        && out.chunk_answers.is_empty()
}
