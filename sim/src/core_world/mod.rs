//! The core world: replicas, driven by messages and simulated disks.
//!
//! A plain agenda of events in virtual time, one at a time, in one thread: no runtime stands
//! between two steps, which makes thousands of seeds a minute possible and a crash between any two
//! effects a matter of counting.
//!
//! Members live in *seats*. A seat has a disk, a clock and, while it runs, a process; a process
//! takes turns as the production driver does: peers' messages and disk answers first, the tick,
//! then clients, then the flush; then the effects are carried out one by one.
//!
//! A run has three parts. First *trouble*: faults strike, clients work, every step is checked.
//! Then *calm*: faults end, a majority is healed, and it must make progress within a bound; later
//! the rest joins it. At last every machine loses power at once, and everything that was ever
//! acknowledged must still be there.

mod claims;
mod clients;
pub(crate) mod clock;
mod figure_8;
mod finale;
pub(crate) mod member;
mod membership;
mod nemesis;
mod queue;
mod step;

use std::collections::BTreeMap;
use std::time::Duration;

use quorra_core::disk::Lane;
use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::raft::{Notice, RoleName};
use quorra_core::replica::{
    Effect, Effects, Input, Message, Reply, RequestId, Response, StopReason,
};
use quorra_core::store::membership::Member as Identity;

use crate::callers::Callers;
use crate::chance::{Chance, nanos};
use crate::check::consensus::Consensus;
use crate::check::{Verdict, Violation, require};
use crate::disk::{Condition, Crash, Disk};
use crate::faults::Swarm;
use crate::history::History;
use crate::network::Network;
use crate::options::Plant;
use crate::trace::Trace;
use crate::workload::Workload;
use clients::Client;
use clock::{Clock, Skew};
use figure_8::{Figure8, Heard};
use member::{Inbox, Member, Process, Standing, view};
use queue::{Event, Queue};
use step::{Step, Summary};

/// How often connections are looked after.
const DIAL_INTERVAL: u64 = 20_000_000;
/// What a driver's turn takes.
const TURN: u64 = 50_000;
/// How soon a write is tried again that a member had no room for.
const PROBE_INTERVAL: u64 = 100_000_000;
/// More effects than this from one turn are work without bound.
const EFFECTS_MAX: usize = 20_000;

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Client { client: usize, operation: usize },
    Probe { operation: usize },
    Nemesis,
}

/// One cluster and everything around it.
pub struct CoreWorld {
    swarm: Swarm,
    plant: Option<Plant>,
    now: u64,
    queue: Queue,
    members: Vec<Member>,
    seats: BTreeMap<MemberId, usize>,
    cluster: ClusterId,
    founders: Vec<Identity>,
    /// How many members got a used machine.
    renewals: i64,
    network: Network,
    clients: Vec<Client>,
    workload: Workload,
    callers: Option<Callers>,
    waiting: BTreeMap<RequestId, (usize, u64, Waiting)>,
    next_request: u64,
    history: History,
    consensus: Consensus,
    skew: Skew,
    chance: Chance,
    /// Faults strike and clients ask.
    troubled: bool,
    /// Other faults wait while it is on.
    figure_8: Option<Figure8>,
    /// The record of the run.
    pub trace: Trace,
}

impl CoreWorld {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64, plant: Option<Plant>, told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::draw(&mut chance);
        let identities: Vec<Identity> = (0..swarm.voters + swarm.spares).map(identity).collect();
        let founders = identities[..swarm.voters].to_vec();
        let ids: Vec<MemberId> = founders.iter().map(|m| m.id).collect();
        let seats = identities.iter().enumerate().map(|(seat, m)| (m.id, seat)).collect();
        let members: Vec<Member> = identities
            .into_iter()
            .enumerate()
            .map(|(seat, identity)| make_member(seat, identity, &swarm, &mut chance))
            .collect();
        Self {
            plant,
            now: 0,
            queue: Queue::default(),
            members,
            seats,
            cluster: ClusterId::of(&ids),
            founders,
            renewals: 0,
            network: Network::new(swarm.weather.clone(), chance.fork()),
            clients: (0..swarm.clients).map(|_| Client::default()).collect(),
            workload: Workload::new(swarm.keys, swarm.large_ranges, chance.fork()),
            callers: Callers::of(seed),
            waiting: BTreeMap::new(),
            next_request: 0,
            history: History::default(),
            consensus: Consensus::default(),
            skew: Skew::default(),
            chance: chance.fork(),
            troubled: true,
            figure_8: None,
            trace: Trace::new(told),
            swarm,
        }
    }

    /// What the seed drew, for the reader of a trace.
    #[must_use]
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Lives through the whole run.
    ///
    /// # Errors
    /// At the first rule that breaks.
    pub fn run(&mut self) -> Verdict {
        for seat in 0..self.swarm.voters {
            self.start(seat)?;
        }
        (0..self.clients.len()).for_each(|client| self.rest(client));
        self.queue.push(0, Event::Dial);
        self.plan_faults();
        let end = nanos(self.swarm.trouble);
        self.run_until(|world| world.now >= end)?;
        self.finish()
    }

    /// Handles events until the condition holds.
    fn run_until(&mut self, mut over: impl FnMut(&Self) -> bool) -> Verdict {
        while !over(self) {
            let Some((time, event)) = self.queue.pop() else {
                return Err(Violation("nothing is left to happen".into()));
            };
            self.now = time;
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Turn(seat, incarnation) => self.on_turn(seat, incarnation),
            Event::Deliver { sender, to, incarnation, message } => {
                self.on_delivery(sender, to, incarnation, message);
                Ok(())
            }
            Event::LaneDone(seat, incarnation, lane) => {
                self.on_lane_done(seat, incarnation, lane);
                Ok(())
            }
            Event::ReadDone(seat, incarnation, id, read) => {
                let bytes = self.members[seat].disk.read(read);
                self.trace.record(self.now, &Step::Read { seat, bytes: read.length });
                self.tell(seat, incarnation, |inbox| &mut inbox.disk, Input::Read(id, bytes));
                Ok(())
            }
            Event::Client(client) => {
                self.on_client(client);
                Ok(())
            }
            Event::Strike(fault) => self.on_strike(fault),
            Event::Heal => {
                if self.figure_8.is_none() {
                    self.network.heal();
                }
                Ok(())
            }
            Event::DiskWell(seat) => {
                let latency = self.swarm.disk_latency;
                let failing = self.members[seat].disk.condition.failing;
                self.members[seat].disk.condition = Condition { latency, full: false, failing };
                Ok(())
            }
            Event::Start(seat) => self.start(seat),
            Event::Probe(seat) => {
                if self.members[seat].replica().is_some() {
                    self.probe(seat);
                }
                Ok(())
            }
            Event::Dial => self.on_dial(),
        }
    }

    // --- Processes.

    /// Starts a member from what its disk holds.
    fn start(&mut self, seat: usize) -> Verdict {
        let first = self.first_members(seat);
        let seed = self.chance.bits();
        let member = &mut self.members[seat];
        if member.process.is_some() || member.held_down || member.standing != Standing::Member {
            return Ok(());
        }
        member.incarnation += 1;
        let bootstrap = member::bootstrap(self.cluster, member.id(), first);
        let options = member::options(&self.swarm.knobs, member.id(), member.incarnation, seed);
        let now = member.clock.read(self.now);
        let replica = member::recover(&mut member.disk, options, Some(bootstrap), now)
            .map_err(|error| Violation(format!("m{seat} cannot start: {error}")))?;
        let (incarnation, applied) = (member.incarnation, replica.status().applied_index.0);
        self.trace.record(self.now, &Step::Started { seat, incarnation, applied });
        let inbox = Inbox::default();
        member.process = Some(Process {
            replica,
            inbox,
            turn: None,
            paused: 0,
            compared: None,
            votes: false,
            dies_after: None,
        });
        self.observe(seat)?;
        self.wake(seat, self.now);
        Ok(())
    }

    /// Ends a member's process.
    fn crash(&mut self, seat: usize, how: Crash) {
        let member = &mut self.members[seat];
        if member.process.take().is_none() && how == Crash::Process {
            return;
        }
        member.disk.crash(how);
        let vote = member.newest_vote.take();
        if let Some(vote) = vote.filter(|_| self.plant == Some(Plant::VoteNotPersisted)) {
            member.disk.take_back(vote);
        }
        let id = member.id();
        self.trace.record(self.now, &Step::Crashed { seat, how });
        self.consensus.ended(id);
        for other in (0..self.members.len()).filter(|other| *other != seat) {
            if self.network.connect(seat, other, false) {
                self.trace.record(self.now, &Step::Connected { a: seat, b: other, up: false });
                let gone = Input::Disconnected(id);
                let incarnation = self.members[other].incarnation;
                self.tell(other, incarnation, |inbox| &mut inbox.peers, gone);
            }
        }
        self.lose_requests(seat);
    }

    /// Puts an input into a member's inbox, if it still lives in that incarnation.
    fn tell(
        &mut self,
        seat: usize,
        incarnation: u64,
        part: impl FnOnce(&mut Inbox) -> &mut Vec<Input>,
        input: Input,
    ) {
        let member = &mut self.members[seat];
        if member.incarnation != incarnation {
            return;
        }
        if let Some(process) = &mut member.process {
            part(&mut process.inbox).push(input);
            let delay = self.chance.between(0, TURN);
            self.wake(seat, self.now + delay);
        }
    }

    /// Sees to it that a member takes a turn at that time or earlier.
    fn wake(&mut self, seat: usize, time: u64) {
        let member = &mut self.members[seat];
        let Some(process) = &mut member.process else { return };
        let time = time.max(process.paused);
        if process.turn.is_none_or(|turn| turn > time) {
            process.turn = Some(time);
            self.queue.push(time, Event::Turn(seat, member.incarnation));
        }
    }

    fn on_turn(&mut self, seat: usize, incarnation: u64) -> Verdict {
        let member = &mut self.members[seat];
        let Some(process) = &mut member.process else { return Ok(()) };
        if member.incarnation != incarnation || process.turn != Some(self.now) {
            return Ok(());
        }
        process.turn = None;
        if process.paused > self.now {
            let paused = process.paused;
            self.wake(seat, paused);
            return Ok(());
        }
        let now = member.clock.read(self.now);
        let inbox = std::mem::take(&mut process.inbox);
        let mut inputs = inbox.peers;
        inputs.extend(inbox.disk);
        if process.replica.deadline() <= now.monotonic {
            inputs.push(Input::Tick);
        }
        inputs.extend(inbox.clients);
        inputs.push(Input::Flush);
        let mut effects = Effects::new();
        let before = (process.replica.raft().hard_state(), process.replica.raft().last());
        for input in inputs {
            let mut now = now;
            if self.plant == Some(Plant::HastyLeader) && matches!(input, Input::Tick) {
                now.wall.0 += 1_000_000_000;
            }
            process.replica.step(now, input, &mut effects);
        }
        let after = (process.replica.raft().hard_state(), process.replica.raft().last());
        process.votes = before.0 != after.0 && before.1 == after.1;
        if self.chance.per_mille(20) {
            process.replica.check();
        }
        let dies_after = process.dies_after.take();
        self.perform(seat, effects, dies_after)?;
        if self.members[seat].process.is_some() {
            self.observe(seat)?;
            self.wake_at_deadline(seat);
        }
        Ok(())
    }

    fn wake_at_deadline(&mut self, seat: usize) {
        let member = &self.members[seat];
        if let Some(replica) = member.replica() {
            let due = member.clock.time_of(replica.deadline());
            self.wake(seat, due.max(self.now + TURN));
        }
    }

    /// Compares what a member shows with what any member ever showed.
    fn observe(&mut self, seat: usize) -> Verdict {
        let member = &mut self.members[seat];
        let id = member.id();
        let Some(process) = &mut member.process else { return Ok(()) };
        let view = view(&process.replica, process.compared);
        process.compared = view.state_hash.map(|(index, _)| index).or(process.compared);
        let raft = process.replica.raft();
        self.consensus.shows(self.now, id, view, |index| raft.entry(index))?;
        if view.state_hash.is_some() {
            self.consensus.names(id, view.applied_index, process.replica.membership())?;
        }
        let step = Step::Shows {
            seat,
            term: view.term.0,
            leads: view.leads,
            commit: view.commit_index.0,
            applied: view.applied_index.0,
            hash: view.state_hash.map_or(0, |(_, hash)| hash),
        };
        self.trace.record(self.now, &step);
        Ok(())
    }

    // --- Effects.

    /// Carries out a turn's effects in order; the process may die before it is through.
    fn perform(&mut self, seat: usize, mut effects: Effects, dies_after: Option<usize>) -> Verdict {
        let mut performed = 0;
        while let Some(effect) = effects.pop() {
            if dies_after == Some(performed) {
                break;
            }
            self.perform_one(seat, effect)?;
            if self.members[seat].process.is_none() {
                return Ok(());
            }
            performed += 1;
        }
        if dies_after.is_some() {
            self.crash(seat, Crash::Process);
            let delay = self.chance.time(Duration::from_millis(1), Duration::from_secs(3));
            self.queue.push(self.now + nanos(delay), Event::Start(seat));
        }
        require(performed < EFFECTS_MAX, || format!("m{seat} wants {performed} things in a turn"))
    }

    fn perform_one(&mut self, seat: usize, effect: Effect) -> Verdict {
        let incarnation = self.members[seat].incarnation;
        match effect {
            Effect::Disk(lane, ticket, ops) => {
                let operations = ops.len();
                let step = Step::Submitted { seat, lane, ticket: ticket.0, operations };
                self.trace.record(self.now, &step);
                if self.plant == Some(Plant::AckBeforeSync) && lane == Lane::Log {
                    let lie = Input::Durable(lane, ticket);
                    self.tell(seat, incarnation, |inbox| &mut inbox.disk, lie);
                }
                let member = &mut self.members[seat];
                if lane == Lane::Log {
                    let votes = member.process.as_ref().is_some_and(|process| process.votes);
                    member.note_vote(&ops, votes);
                }
                member.disk.submit(lane, ticket, ops);
                self.begin_lane(seat, lane);
            }
            Effect::Read(id, read) => {
                let (low, high) = self.swarm.disk_latency;
                let done = self.now + nanos(self.chance.time(low, high));
                self.queue.push(done, Event::ReadDone(seat, incarnation, id, read));
            }
            Effect::Send(to, message) => self.send(seat, to, message)?,
            Effect::Reply(id, reply) => self.on_reply(seat, id, reply)?,
            Effect::Job(id, job) => {
                let result = job.simulated();
                self.tell(seat, incarnation, |inbox| &mut inbox.disk, Input::Job(id, result));
            }
            Effect::Members => {}
            Effect::Notice(notice) => {
                self.trace.record(self.now, &Step::Notice { seat, notice });
                if matches!(notice, Notice::Role { role: RoleName::Leader, .. }) {
                    self.on_coronation(seat);
                }
            }
            Effect::Stop(reason) => self.on_stop(seat, reason)?,
        }
        Ok(())
    }

    fn on_stop(&mut self, seat: usize, reason: StopReason) -> Verdict {
        self.trace.record(self.now, &Step::Stopped { seat, reason });
        match reason {
            StopReason::Removed => {
                self.members[seat].standing = Standing::Removed;
                self.crash(seat, Crash::Process);
            }
            StopReason::Disk(..) => {
                self.crash(seat, Crash::Power);
                let delay = self.chance.between(1_000_000, 2_000_000_000);
                self.queue.push(self.now + delay, Event::Start(seat));
            }
            StopReason::Asked => {
                self.crash(seat, Crash::Process);
                self.queue.push(self.now + 1_000_000, Event::Start(seat));
            }
            StopReason::UnknownCommand(index) => {
                return Err(Violation(format!("m{seat} does not understand entry {index}")));
            }
        }
        Ok(())
    }

    fn begin_lane(&mut self, seat: usize, lane: Lane) {
        let member = &mut self.members[seat];
        if let Some(duration) = member.disk.begin(lane) {
            let done = self.now + nanos(duration).max(1);
            self.queue.push(done, Event::LaneDone(seat, member.incarnation, lane));
        }
    }

    fn on_lane_done(&mut self, seat: usize, incarnation: u64, lane: Lane) {
        let member = &mut self.members[seat];
        if member.incarnation != incarnation || member.process.is_none() {
            return;
        }
        let answer = member.disk.finish(lane);
        self.trace.record(self.now, &Step::Disk { seat, lane, answer });
        let ticket = quorra_core::disk::Ticket(answer.ticket);
        let input = match answer.failure {
            None => Input::Durable(lane, ticket),
            Some(failure) => Input::Failed(lane, ticket, failure.into()),
        };
        let lied = self.plant == Some(Plant::AckBeforeSync) && lane == Lane::Log;
        if !(lied && answer.failure.is_none()) {
            self.tell(seat, incarnation, |inbox| &mut inbox.disk, input);
        }
        self.begin_lane(seat, lane);
    }

    // --- The network.

    fn send(&mut self, from: usize, to: MemberId, message: Message) -> Verdict {
        let Some(&to_seat) = self.seats.get(&to) else {
            return Err(Violation(format!("m{from} speaks to {to}, who is nobody")));
        };
        if self.members[to_seat].id() != to {
            return Ok(());
        }
        if let Message::Raft(message) = &message {
            self.consensus.sent(self.members[from].id(), to, message)?;
            self.check_claim(from, to, message)?;
        }
        let heard = self.overhear(from, to_seat, &message);
        let repeatable = matches!(message, Message::Raft(_));
        let arrivals = self.network.deliveries(self.now, from, to_seat, repeatable);
        let copies = arrivals.len();
        let step = Step::Sent { from, to: to_seat, message: Summary::of(&message), copies };
        self.trace.record(self.now, &step);
        let incarnation = self.members[to_seat].incarnation;
        let sender = (from, self.members[from].id());
        for arrival in arrivals {
            let message = message.clone();
            let event = Event::Deliver { sender, to: to_seat, incarnation, message };
            self.queue.push(arrival, event);
        }
        if heard == Heard::Stake {
            self.silence(from);
        }
        Ok(())
    }

    fn on_delivery(
        &mut self,
        (from, id): (usize, MemberId),
        to: usize,
        incarnation: u64,
        message: Message,
    ) {
        let step = Step::Arrived { from, to, message: Summary::of(&message) };
        self.trace.record(self.now, &step);
        let input = Input::Peer(id, message);
        self.tell(to, incarnation, |inbox| &mut inbox.peers, input);
    }

    /// Connections come up between running members that reach each other; those over a cut link
    /// break sooner or later.
    fn on_dial(&mut self) -> Verdict {
        self.queue.push(self.now + DIAL_INTERVAL, Event::Dial);
        for a in 0..self.members.len() {
            for b in 0..a {
                let run = self.members[a].process.is_some() && self.members[b].process.is_some();
                let whole = self.network.is_whole(a, b);
                let connected = self.network.is_connected(a, b);
                if run && whole && !connected {
                    self.connect(a, b, true);
                } else if connected && !whole && self.chance.per_mille(20) {
                    self.connect(a, b, false);
                }
            }
        }
        self.start_added();
        self.advance_figure_8();
        self.replace_wiped();
        Ok(())
    }

    fn connect(&mut self, a: usize, b: usize, up: bool) {
        if !self.network.connect(a, b, up) {
            return;
        }
        self.trace.record(self.now, &Step::Connected { a, b, up });
        for (seat, other) in [(a, b), (b, a)] {
            let (id, peer) = (self.members[seat].id(), self.members[other].id());
            let remembered = self.members[other].replica().map(|peer| peer.acknowledged_by(id));
            let input = match remembered {
                Some(acknowledged) if up => Input::Connected { peer, acknowledged },
                _ => Input::Disconnected(peer),
            };
            let incarnation = self.members[seat].incarnation;
            self.tell(seat, incarnation, |inbox| &mut inbox.peers, input);
        }
    }

    // --- Looking around.

    /// What a member's log begins with: the first configuration, if it belongs to it.
    fn first_members(&self, seat: usize) -> Vec<Identity> {
        if self.members[seat].founder { self.founders.clone() } else { Vec::new() }
    }

    fn running(&self) -> Vec<usize> {
        let seats = 0..self.members.len();
        seats.filter(|seat| self.members[*seat].process.is_some()).collect()
    }

    fn leader(&self) -> Option<usize> {
        let leads = |seat: &usize| {
            let role = self.members[*seat].replica().map(|replica| replica.raft().role());
            role == Some(RoleName::Leader)
        };
        self.running()
            .into_iter()
            .filter(leads)
            .max_by_key(|seat| self.members[*seat].replica().map(|replica| replica.raft().term()))
    }

    fn on_reply(&mut self, seat: usize, id: RequestId, reply: Reply) -> Verdict {
        let Some((asked, _, waiting)) = self.waiting.remove(&id) else {
            return Err(Violation(format!("m{seat} replies to {id:?}, which nobody waits for")));
        };
        assert_eq!(asked, seat, "requests are named once in a world");
        let member = self.members[seat].id();
        if matches!(reply.outcome, Ok(Response::V2(_) | Response::V3(_))) {
            self.consensus.tells(member, reply.header.revision, reply.header.v2_index)?;
        }
        match waiting {
            Waiting::Nemesis => Ok(()),
            Waiting::Client { client, operation } => {
                self.end_operation(seat, operation, reply);
                self.rest(client);
                Ok(())
            }
            Waiting::Probe { operation } => {
                let refused = reply.outcome.is_err();
                self.end_operation(seat, operation, reply);
                if refused {
                    self.queue.push(self.now + PROBE_INTERVAL, Event::Probe(seat));
                }
                Ok(())
            }
        }
    }
}

/// Who sits in a seat.
pub(crate) fn identity(seat: usize) -> Identity {
    let peer_urls = vec![format!("http://10.0.0.{seat}:2380")];
    let id = MemberId::of_bootstrap(&peer_urls, "simulated");
    Identity { id, name: String::new(), peer_urls, client_urls: Vec::new(), is_learner: false }
}

fn make_member(seat: usize, identity: Identity, swarm: &Swarm, chance: &mut Chance) -> Member {
    let (slow, fast) = swarm.clock_speed;
    let condition = Condition { latency: swarm.disk_latency, full: false, failing: false };
    Member {
        identity,
        standing: if seat < swarm.voters { Standing::Member } else { Standing::Spare },
        disk: Disk::new(condition, chance.fork()),
        clock: Clock::new(chance.between(slow, fast)),
        incarnation: 0,
        process: None,
        newest_vote: None,
        held_down: false,
        founder: seat < swarm.voters,
        replaces: false,
    }
}
