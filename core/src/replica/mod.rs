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
//!         -> writes        gets an identity; its client waits under it
//!         -> raft          the leader appends (a follower forwards it, once)
//! Flush   -> log lane      one batch a turn; appends to followers leave at the same time
//! Durable -> raft          claims are released; a quorum commits
//! Flush   -> state         applied in order; the outcome is the same on every member
//!         -> writes        the identity is recognised: Reply
//! ```
//!
//! A linearizable read joins the turn's one read-index round ([`reads`]) and is answered from the
//! store when the confirmed index is applied. A serializable read goes straight to the store.
//!
//! # Invariants
//!
//! - Only entries that are committed *and* durable here are applied: a restart never shows an older
//!   revision.
//! - Each request is replied to once (a watch: opened once), whatever happens; when its outcome is
//!   unknown, it is told so after etcd's time.

mod admission;
mod bulk_lane;
mod checkpoints;
mod door;
mod duties;
mod inbound;
mod log_lane;
mod machine;
mod outbound;
mod peers;
mod reads;
mod recovery;
mod request;
mod transfer;
mod watches;
mod writes;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

pub use door::{
    Effect, Effects, Input, Job, JobId, JobResult, Message, ReadId, RequestId, StopReason,
};
pub use recovery::{Bootstrap, Options, Recovery, RecoveryError, RecoveryStep};
pub use request::{Failure, Header, Reply, Request, Response, Status};

use bulk_lane::{BulkLane, Purpose};
use checkpoints::Checkpoints;
use duties::Duties;
use log_lane::LogLane;
use machine::Machine;
use peers::Peers;
use reads::{EarlyReads, Read, Reads};
use transfer::Transfers;
use watches::Watches;
use writes::Writes;

use crate::disk::{DiskFailure, DiskRead, Lane, Ticket};
use crate::identity::MemberId;
use crate::raft::{self, EntryKind, Index, LogBatch, Notice, Position, Raft, Refused, RoleName};
use crate::random::Random;
use crate::store::State;
use crate::store::command::{self, Body, Command};
use crate::store::membership::Membership;
use crate::time::{Duration, Instant, Now};

/// What a request may take beside two election timeouts (etcd).
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long a member that was asked to go tries to hand leadership over.
const HANDOVER_TIME: Duration = Duration::from_secs(1);

/// One member's consensus, log and state. Made by [`Recovery`].
pub struct Replica {
    options: Options,
    member: MemberId,
    now: Now,
    raft: Raft,
    out: raft::Output,
    log: LogLane,
    bulk: BulkLane,
    machine: Machine,
    writes: Writes,
    reads: Reads,
    early: EarlyReads,
    watches: Watches,
    transfers: Transfers,
    peers: Peers,
    duties: Duties,
    /// Entries that are read back from disk for lagging followers.
    log_reads: BTreeMap<ReadId, (MemberId, DiskRead, Index)>,
    next_read: u64,
    leader_changed_at: Option<Instant>,
    stopping_since: Option<Instant>,
    stopped: bool,
}

impl Replica {
    /// Puts together what recovery found. `first` is what a new log begins with.
    fn assemble(
        options: Options,
        parts: recovery::Parts,
        first: Option<LogBatch>,
        now: Now,
    ) -> Self {
        let recovery::Parts { identity, wal, restored, state, applied, published, superseded } =
            parts;
        let mut random = Random::new(options.seed);
        let mut raft_options = options.raft.clone();
        raft_options.id = identity.member;
        let recovered = Position { term: restored.hard_state.term, index: restored.last.index };
        let raft = Raft::new(raft_options, restored, now.monotonic, Random::new(random.bits()));
        let mut log = LogLane::new(wal);
        if let Some(batch) = first {
            log.hold(batch);
        }
        let checkpoints = Checkpoints::new(&options, published, superseded);
        Self {
            member: identity.member,
            now,
            raft,
            out: raft::Output::default(),
            log,
            bulk: BulkLane::new(),
            machine: Machine::new(state, applied, recovered),
            writes: Writes::new(identity.member, identity.incarnation),
            reads: Reads::new(identity.incarnation),
            early: EarlyReads::default(),
            watches: Watches::default(),
            transfers: Transfers::new(checkpoints),
            peers: Peers::default(),
            duties: Duties::default(),
            log_reads: BTreeMap::new(),
            next_read: 0,
            leader_changed_at: None,
            stopping_since: None,
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
            Input::Read(id, bytes) => self.on_read(id, bytes, effects),
            Input::Job(..) => {}
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
        let handover = self.stopping_since.map(|since| since + HANDOVER_TIME);
        [
            self.writes.deadline(),
            self.reads.deadline(),
            self.early.deadline(),
            self.log.deadline(),
            self.transfers.deadline(),
            duty,
            handover,
        ]
        .into_iter()
        .flatten()
        .fold(self.raft.deadline(), Instant::min)
    }

    fn has_work(&self) -> bool {
        self.machine.has_work(&self.raft) || self.transfers.has_work(&self.bulk)
    }

    fn on_tick(&mut self, effects: &mut Effects) {
        let now = self.now.monotonic;
        self.raft.tick(now, &mut self.out);
        self.expire(effects);
        self.transfers.tick(now, &mut self.raft);
        self.log.write_held(effects);
        if let Some(gap) = self.log.close_gap(now, self.raft.commit_index()) {
            self.log.submit(gap, effects);
        }
        if self.raft.role() == RoleName::Leader && self.machine.applied().term == self.raft.term() {
            let due = self.duties.due(self.now, self.machine.state(), &self.options.version);
            if let Some(body) = due {
                self.write(None, body, effects);
            }
        }
        self.advance_stop(effects);
    }

    /// Tells clients whose time is up.
    fn expire(&mut self, effects: &mut Effects) {
        let now = self.now.monotonic;
        while let Some(expired) = self.writes.expire(now) {
            let failure = self.timeout_failure(expired.since);
            if let Some(request) = expired.request {
                self.reply(request, Err(failure), effects);
            }
        }
        for read in self.reads.expire(now) {
            let failure = self.timeout_failure(read.since);
            self.reply(read.id, Err(failure), effects);
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
                if let raft::Message::Appended { match_index, .. } = &message {
                    self.remember_acknowledgement(from, *match_index);
                }
                self.raft.step(self.now.monotonic, from, message, &mut self.out);
            }
            Message::Forward(payload) => self.on_forward(from, payload, effects),
            Message::Refuse { counter, incarnation, failure } => {
                if incarnation == self.writes.incarnation()
                    && let Some(Some(request)) = self.writes.refuse(counter)
                {
                    self.reply(request, Err(failure), effects);
                }
            }
        }
    }

    fn remember_acknowledgement(&mut self, from: MemberId, index: Index) {
        if let Some(entry) = self.raft.entry(index) {
            self.peers.acknowledge(from, Position { term: entry.term, index });
        }
    }

    fn on_connected(&mut self, peer: MemberId, acknowledged: Position) {
        let now = self.now.monotonic;
        self.peers.connected(now, peer);
        if acknowledged > self.raft.last() {
            self.raft.acknowledged_before(acknowledged);
        }
        self.raft.reachable(now, peer, true, &mut self.out);
    }

    fn on_disconnected(&mut self, peer: MemberId) {
        self.peers.disconnected(peer);
        self.raft.reachable(self.now.monotonic, peer, false, &mut self.out);
    }

    fn on_request(&mut self, id: RequestId, request: Request, effects: &mut Effects) {
        let waiting = self.writes.len() + self.reads.len() + self.early.len();
        self.count_v2(&request);
        let refused = admission::refuse(&self.admission_view(waiting), &request);
        if let Some(failure) = refused {
            self.reply(id, Err(failure), effects);
            return;
        }
        match request {
            Request::V2Write(write) => self.write(Some(id), Body::V2(write), effects),
            Request::V3Write(write) => self.write(Some(id), Body::V3(write), effects),
            Request::Publish { name, client_urls } => {
                let body = Body::Publish { member: self.member, name, client_urls };
                self.write(Some(id), body, effects);
            }
            Request::ChangeMembership(change) => {
                self.write(Some(id), Body::Membership(change), effects);
            }
            Request::TransferLeadership(target) => {
                let now = self.now.monotonic;
                let begun = self.raft.transfer(now, Some(target), &mut self.out);
                let outcome = begun.map(|()| Response::Done);
                self.reply(id, outcome.map_err(|_| Failure::BadTransferee), effects);
            }
            read => self.read(id, read, effects),
        }
    }

    /// etcd looks up its auth switch in the store for each keys request, and counts that.
    fn count_v2(&mut self, request: &Request) {
        if matches!(request, Request::V2Write(_) | Request::V2Get { .. } | Request::V2Watch(_)) {
            self.machine.state_mut().v2_mut().count_auth_read(false);
        }
    }

    fn admission_view(&self, waiting: usize) -> admission::View<'_> {
        admission::View {
            now: self.now.monotonic,
            options: &self.options,
            state: self.machine.state(),
            member: self.member,
            peers: &self.peers,
            raft: &self.raft,
            waiting,
            log_is_full: self.log.is_full(),
            stopping: self.stopping_since.is_some(),
        }
    }

    fn request_deadline(&self) -> Instant {
        self.now.monotonic + REQUEST_TIME + self.options.raft.election_timeout * 2
    }

    /// Proposes a command, or passes it on. None asks on the member's own behalf.
    fn write(&mut self, request: Option<RequestId>, body: Body, effects: &mut Effects) {
        let limit = admission::bytes_max(&self.options, &body);
        let deadline = self.request_deadline();
        let identity = self.writes.open(request, self.now.monotonic, deadline);
        let kind = command::entry_kind(&body);
        let stamp = self.now.wall;
        let payload = Command { identity, stamp, user: Bytes::new(), body }.encode();
        if payload.len() > limit {
            self.refuse_own(identity.counter, Failure::TooLarge, effects);
        } else {
            self.propose(identity.counter, kind, payload, effects);
        }
    }

    fn propose(&mut self, counter: u64, kind: EntryKind, payload: Bytes, effects: &mut Effects) {
        match self.raft.propose(kind, payload.clone()) {
            Ok(_) => {}
            Err(Refused::NotLeader) => match self.raft.leader() {
                Some(leader) if self.peers.is_connected(leader) => {
                    effects.push(Effect::Send(leader, Message::Forward(payload)));
                }
                _ => self.writes.park(counter, kind, payload),
            },
            Err(Refused::Transferring | Refused::ChangePending) => {
                self.writes.park(counter, kind, payload);
            }
            Err(Refused::Overloaded) => {
                self.refuse_own(counter, Failure::TooManyRequests, effects);
            }
            Err(Refused::BadTransferee) => unreachable!("a proposal has no transferee"),
        }
    }

    fn refuse_own(&mut self, counter: u64, failure: Failure, effects: &mut Effects) {
        if let Some(Some(request)) = self.writes.refuse(counter) {
            self.reply(request, Err(failure), effects);
        }
    }

    /// Commands that waited for a leader are proposed again, with a stamp of now.
    fn propose_parked(&mut self, effects: &mut Effects) {
        if !self.writes.has_parked() || self.raft.leader().is_none() {
            return;
        }
        for (counter, kind, payload) in self.writes.unpark() {
            let stamped = command::stamped(payload, self.now.wall);
            self.propose(counter, kind, stamped.expect("this member encoded it"), effects);
        }
    }

    /// A follower's command. It is understood here before it can reach the log: an entry that no
    /// member understands would stop them all.
    fn on_forward(&mut self, from: MemberId, payload: Bytes, effects: &mut Effects) {
        let Ok(command) = Command::decode(payload.clone()) else { return };
        let identity = command.identity;
        if identity.member != from {
            return;
        }
        let kind = command::entry_kind(&command.body);
        drop(command);
        let Ok(stamped) = command::stamped(payload, self.now.wall) else { return };
        let failure = match self.raft.propose(kind, stamped) {
            Ok(_) => return,
            Err(Refused::Overloaded) => Failure::TooManyRequests,
            Err(Refused::NotLeader | Refused::Transferring) => Failure::LeaderChanged,
            Err(Refused::ChangePending) => {
                Failure::Membership(crate::store::membership::Refusal::Unhealthy)
            }
            Err(Refused::BadTransferee) => unreachable!("a proposal has no transferee"),
        };
        let (counter, incarnation) = (identity.counter, identity.incarnation);
        let refusal = Message::Refuse { counter, incarnation, failure };
        effects.push(Effect::Send(from, refusal));
    }

    fn read(&mut self, id: RequestId, request: Request, effects: &mut Effects) {
        let linearizable = admission::is_linearizable(&request);
        let (since, deadline) = (self.now.monotonic, self.request_deadline());
        let read = Read { id, request, since, deadline };
        if linearizable {
            self.reads.gather(read);
        } else if self.machine.has_caught_up() {
            self.answer(read, effects);
        } else {
            self.early.push(read);
        }
    }

    /// Answers a read from the applied state.
    fn answer(&mut self, read: Read, effects: &mut Effects) {
        let Read { id, request, .. } = read;
        let outcome = match request {
            Request::V2Watch(watch) => Ok(self.watches.open(id, &watch, self.machine.state_mut())),
            Request::Members { .. } => {
                let members = self.machine.state().membership().members.values();
                Ok(Response::Members(members.cloned().collect()))
            }
            Request::Barrier => Ok(Response::Done),
            store_read => match self.machine.read(id, &store_read) {
                Some(outcome) => outcome,
                None => return,
            },
        };
        self.reply(id, outcome, effects);
    }

    fn on_cancel(&mut self, id: RequestId) {
        self.watches.close(id, self.machine.state_mut());
        self.machine.cancel(id);
    }

    fn on_durable(&mut self, lane: Lane, ticket: Ticket, effects: &mut Effects) {
        let now = self.now.monotonic;
        match lane {
            Lane::Log => {
                self.log.durable(now, ticket);
                self.raft.durable(now, ticket, &mut self.out);
            }
            Lane::Bulk => {
                while let Some(purpose) = self.bulk.durable(ticket) {
                    self.on_bulk_durable(purpose, effects);
                }
            }
        }
    }

    fn on_bulk_durable(&mut self, purpose: Purpose, effects: &mut Effects) {
        match purpose {
            Purpose::Prepare => self.log.prepared(effects),
            Purpose::Checkpoint | Purpose::Received | Purpose::Removal => {}
            Purpose::CheckpointPublished => {
                self.transfers.checkpoints.on_published();
                self.cut_log(effects);
            }
            Purpose::ReceivedPublished(snapshot) => self.install(snapshot, effects),
        }
    }

    /// A received snapshot is complete on disk: it becomes the state, unless the log has
    /// meanwhile come further.
    fn install(&mut self, snapshot: raft::SnapshotId, effects: &mut Effects) {
        let Some(installed) = self.transfers.take_installed(snapshot) else { return };
        let configuration = installed.state.configuration();
        let wanted = installed.at.index > self.machine.applied().index
            && self.raft.install(installed.at, configuration);
        if !wanted {
            return;
        }
        if !self.transfers.checkpoints.is_publishing() {
            self.transfers.checkpoints.abandon(self.machine.state_mut(), &mut self.bulk, effects);
        }
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

    /// Removes what the newest checkpoint made superfluous.
    fn cut_log(&mut self, effects: &mut Effects) {
        let checkpoint = self.transfers.checkpoints.base();
        let cut = Index(checkpoint.index.0.saturating_sub(self.options.entries_kept));
        let kept = self.raft.entry(cut).map(|entry| Position { term: entry.term, index: cut });
        let base = kept.unwrap_or(checkpoint);
        self.raft.compacted(base);
        let ops = self.log.wal.cut(base.index);
        self.bulk.submit(Purpose::Removal, ops, effects);
    }

    fn on_failed(
        &mut self,
        lane: Lane,
        ticket: Ticket,
        failure: DiskFailure,
        effects: &mut Effects,
    ) {
        let purpose = if lane == Lane::Bulk { self.bulk.failed(ticket) } else { None };
        match (failure, purpose) {
            (DiskFailure::Full, Some(Purpose::Prepare)) => {
                self.log.prepare_failed(self.now.monotonic);
            }
            (DiskFailure::Full, Some(Purpose::Checkpoint | Purpose::CheckpointPublished)) => {
                let state = self.machine.state_mut();
                self.transfers.checkpoints.abandon(state, &mut self.bulk, effects);
            }
            (DiskFailure::Full, Some(Purpose::Received | Purpose::ReceivedPublished(_))) => {
                self.transfers.drop_inbound(&mut self.bulk, effects);
            }
            (DiskFailure::Full, Some(Purpose::Removal)) => {}
            _ => self.stop(StopReason::Disk(lane, failure), effects),
        }
    }

    fn on_read(&mut self, id: ReadId, bytes: Result<Bytes, DiskFailure>, effects: &mut Effects) {
        if let Some((to, read, from)) = self.log_reads.remove(&id) {
            let bytes = bytes.unwrap_or_default();
            let entries = self.log.wal.decode(read, bytes, from).unwrap_or_default();
            self.raft.entries_read(to, entries, &mut self.out);
        } else if self.transfers.outbound.owns(id) {
            let term = self.raft.term();
            self.transfers.on_read(id, bytes, term, &mut self.raft, effects);
        }
    }

    /// The turn has no more inputs: what was gathered leaves, what is committed is applied.
    fn on_flush(&mut self, effects: &mut Effects) {
        self.propose_parked(effects);
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
        self.prepare(effects);
        self.checkpoint(effects);
    }

    /// Hands Raft's batch to the log lane.
    fn submit(&mut self, effects: &mut Effects) {
        if let Some(batch) = self.raft.flush(self.now.monotonic, &mut self.out) {
            let ticket = self.log.submit(batch, effects);
            self.raft.submitted(ticket);
        }
    }

    fn apply(&mut self, effects: &mut Effects) {
        let mut settled = Vec::new();
        let applied = self.machine.apply(&mut self.raft, &mut self.writes, &mut settled);
        let header = self.header();
        for (request, outcome) in settled {
            effects.push(Effect::Reply(request, Reply { header, outcome }));
        }
        match applied {
            Ok(false) => {}
            Ok(true) => {
                effects.push(Effect::Members);
                if self.machine.state().membership().removed.contains(&self.member) {
                    self.stop(StopReason::Removed, effects);
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

    fn prepare(&mut self, effects: &mut Effects) {
        let ops = self.log.prepare(self.now.monotonic);
        self.bulk.submit(Purpose::Prepare, ops, effects);
    }

    fn checkpoint(&mut self, effects: &mut Effects) {
        let log_bytes = self.log.wal.bytes_since(self.transfers.checkpoints.base());
        let applied = self.machine.applied();
        let state = self.machine.state_mut();
        self.transfers.advance(log_bytes, applied, state, &mut self.bulk, effects);
        self.transfers.outbound.read_ahead(&mut self.next_read, effects);
    }

    /// Carries out what Raft wants, until it wants nothing more.
    fn drain_raft(&mut self, effects: &mut Effects) {
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
        for (to, from, bytes) in out.disk_reads.drain(..) {
            self.read_log(to, from, bytes, effects);
        }
        for to in out.snapshots.drain(..) {
            self.transfers.begin_outbound(self.now.monotonic, to, &mut self.raft);
        }
        for (from, chunk) in out.chunks.drain(..) {
            let slice = self.options.slice_keys;
            let answer = self.transfers.on_chunk(from, chunk, slice, &mut self.bulk, effects);
            let (to, id, received) = (answer.to, answer.snapshot, answer.received);
            self.raft.chunk_received(to, id, received, &mut self.out);
        }
        for (from, snapshot, received) in out.chunk_answers.drain(..) {
            let now = self.now.monotonic;
            self.transfers.on_answer(now, from, snapshot, received, &mut self.raft);
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
                self.transfers.outbound.clear();
            }
            _ => {}
        }
        effects.push(Effect::Notice(notice));
    }

    fn read_log(&mut self, to: MemberId, from: Index, bytes: usize, effects: &mut Effects) {
        match self.log.wal.locate(from, bytes as u64) {
            Some(read) => {
                let id = ReadId(self.next_read);
                self.next_read += 1;
                self.log_reads.insert(id, (to, read, from));
                effects.push(Effect::Read(id, read));
            }
            None => self.raft.entries_read(to, Vec::new(), &mut self.out),
        }
    }

    fn on_stop(&mut self) {
        if self.stopping_since.is_none() {
            self.stopping_since = Some(self.now.monotonic);
            // A member that cannot hand over simply goes; the others elect.
            let _ = self.raft.transfer(self.now.monotonic, None, &mut self.out);
        }
    }

    fn advance_stop(&mut self, effects: &mut Effects) {
        let Some(since) = self.stopping_since else { return };
        let alone = self.machine.state().membership().members.len() <= 1;
        let leads = self.raft.role() == RoleName::Leader;
        let patient = self.now.monotonic.since(since) < HANDOVER_TIME;
        if !(leads && patient && !alone) {
            self.stop(StopReason::Asked, effects);
        }
    }

    fn stop(&mut self, reason: StopReason, effects: &mut Effects) {
        if self.stopped {
            return;
        }
        for request in self.writes.drain() {
            self.reply(request, Err(Failure::Stopped), effects);
        }
        self.stopped = true;
        effects.push(Effect::Stop(reason));
    }

    fn reply(&self, id: RequestId, outcome: Result<Response, Failure>, effects: &mut Effects) {
        effects.push(Effect::Reply(id, Reply { header: self.header(), outcome }));
    }

    /// This member's own view of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.machine.state();
        let membership = state.membership();
        Status {
            cluster: membership.cluster,
            member: self.member,
            leader: self.raft.leader(),
            role: self.raft.role(),
            term: self.raft.term(),
            commit_index: self.raft.commit_index(),
            applied_index: self.machine.applied().index,
            state_bytes: state.bytes(),
            disk_bytes: self.log.wal.disk_bytes() + self.transfers.checkpoints.disk_bytes(),
            is_learner: membership.members.get(&self.member).is_some_and(|m| m.is_learner),
        }
    }

    /// What every answer tells beside its content, as of now.
    #[must_use]
    pub fn header(&self) -> Header {
        let state = self.machine.state();
        Header {
            term: self.raft.term(),
            commit_index: self.raft.commit_index(),
            revision: state.revision(),
            v2_index: state.v2().index(),
        }
    }

    /// The members, as applied here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.machine.state().membership()
    }

    /// The applied state, read only: for statistics and the simulator's checkers.
    #[must_use]
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The consensus state, read only: for the simulator's checkers.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The replicated cluster version (`3.5.0`), once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        self.machine.state().cluster_version()
    }

    /// The highest entry that this peer ever acknowledged to this member; told in handshakes, so
    /// that a member whose disk went back in time learns of it.
    #[must_use]
    pub fn acknowledged_by(&self, peer: MemberId) -> Position {
        self.peers.acknowledged_by(peer)
    }

    /// The applied index and the hash of the state there; none while long work is unfinished.
    #[must_use]
    pub fn state_hash(&self) -> Option<(Index, u64)> {
        Some((self.machine.applied().index, self.machine.state().hash()?))
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.raft.check();
        self.machine.state().check();
        let durable = self.raft.applicable_index();
        assert!(self.machine.applied().index <= durable, "only durable entries are applied");
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
