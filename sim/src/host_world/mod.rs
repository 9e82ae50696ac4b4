//! The host world: whole servers, driven by the bytes of their connections.
//!
//! Every member is a [`Host`](quorra_net::host::Host), in a process that takes the production
//! reactor's turns; clients and members meet only over simulated connections (`wires`), whose bytes
//! come late, in any pieces, or never. Clients speak the real protocols and are judged by the same
//! models as those of the core world: parsed answers go into the same history, the committed log is
//! the witness.
//!
//! One agenda of events in virtual time, as in the core world, inside a madsim runtime of the
//! seed's own, which makes the system's clock and randomness virtual for every crate below.
//! madsim's nodes and tasks would stand between two steps without adding one: its connections know
//! no partial write and no back-pressure, its kills cannot fall between two actions, its timers
//! round up to a millisecond, and a host, which is a function of its inputs, has nothing to await.
//! So each place (a member's machine, a guest) is a row of a table here.
//!
//! A run has the core world's parts: trouble, calm and progress, and at last a loss of power
//! everywhere, after which everything acknowledged must still be there.

mod actions;
mod client;
mod driver;
mod event;
mod finale;
mod hostile;
mod http1;
mod http2;
mod nemesis;
mod operator;
mod process;
mod step;
mod talk;
mod v2;
mod v2_auth;
mod v3;
mod watcher;
mod wires;

use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::raft::RoleName;
use quorra_core::replica::Replica;
use quorra_core::store::membership::Member as Identity;
use quorra_net::host::{Input, Listener};

use crate::callers::Callers;
use crate::chance::{Chance, nanos};
use crate::check::consensus::Consensus;
use crate::check::{Verdict, Violation};
use crate::core_world::clock::{Clock, Skew};
use crate::core_world::identity;
use crate::core_world::member::Standing;
use crate::disk::{Condition, Disk};
use crate::faults::{Fault, Swarm};
use crate::history::History;
use crate::network::Network;
use crate::options::Plant;
use crate::queue::Queue;
use crate::trace::Trace;
use crate::workload::Workload;
use client::Client;
use driver::Process;
use event::Event;
use hostile::Hostile;
use operator::Operator;
use watcher::Watcher;
use wires::{Owner, Wake, WireId, Wires};

/// What a driver's turn takes.
const TURN: u64 = 50_000;
/// How often a condition is looked at.
const LOOK_INTERVAL: u64 = 1_000_000;

/// A machine with a member on it.
struct Member {
    identity: Identity,
    standing: Standing,
    /// It belongs to the first configuration.
    founder: bool,
    /// It takes the place of one that lost its disk, and is not started yet.
    replaces: bool,
    /// Who sat here before.
    retired: Vec<MemberId>,
    disk: Disk,
    clock: Clock,
    /// Counts its starts.
    incarnation: u64,
    process: Option<Process>,
    /// It is not to be started for now.
    held_down: bool,
    /// The newest revision and v2 index that it told any client.
    told: (i64, u64),
}

impl Member {
    fn replica(&self) -> Option<&Replica> {
        self.process.as_ref().map(|process| process.host.replica())
    }
}

/// Someone at the other end of a member's client listener.
enum Guest {
    /// Asks, and remembers what it was told.
    Client(Client),
    /// Waits for v2 events.
    Watcher(Watcher),
    /// Means no good.
    Hostile(Hostile),
    /// Changes the members.
    Operator(Operator),
}

/// One cluster and everything around it.
pub struct HostWorld {
    swarm: Swarm,
    plant: Option<Plant>,
    now: u64,
    queue: Queue<Event>,
    members: Vec<Member>,
    cluster: ClusterId,
    founders: Vec<Identity>,
    wires: Wires,
    guests: Vec<Guest>,
    /// For each guest how often it was disturbed: what it planned before is void.
    epochs: Vec<u64>,
    workload: Workload,
    callers: Option<Callers>,
    history: History,
    watched: Vec<watcher::Record>,
    consensus: Consensus,
    skew: Skew,
    chance: Chance,
    /// Faults strike and clients ask.
    troubled: bool,
    /// The record of the run.
    pub trace: Trace,
}

impl HostWorld {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64, plant: Option<Plant>, told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::draw(&mut chance);
        let identities: Vec<Identity> = (0..swarm.voters + swarm.spares).map(identity).collect();
        let founders = identities[..swarm.voters].to_vec();
        let ids: Vec<MemberId> = founders.iter().map(|member| member.id).collect();
        let seats = identities.into_iter().enumerate();
        let members = seats.map(|(seat, identity)| make(seat, identity, &swarm, &mut chance));
        let members = members.collect();
        let network = Network::new(swarm.weather.clone(), chance.fork());
        let window = chance.pick(&[200, 3_000, 65_536, 1 << 20]);
        let wires = Wires::new(network, vec![window, 65_536], chance.fork());
        let guests = invite(&swarm, &mut chance);
        Self {
            plant,
            now: 0,
            queue: Queue::default(),
            members,
            cluster: ClusterId::of(&ids),
            founders,
            wires,
            epochs: vec![0; guests.len()],
            guests,
            workload: Workload::new(swarm.keys, swarm.large_ranges, chance.fork()),
            callers: Callers::of(seed),
            history: History::behind_gates(),
            watched: Vec::new(),
            consensus: Consensus::default(),
            skew: Skew::default(),
            chance: chance.fork(),
            troubled: true,
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
        for seat in 0..self.members.len() {
            self.start(seat)?;
        }
        for guest in 0..self.guests.len() {
            self.rest(guest, self.swarm.think_max);
        }
        self.plan_faults();
        let end = nanos(self.swarm.trouble);
        self.run_until(|world| world.now >= end)?;
        self.finish()
    }

    /// Handles events until the condition holds.
    fn run_until(&mut self, mut over: impl FnMut(&Self) -> bool) -> Verdict {
        let mut look = self.now;
        loop {
            if self.now >= look {
                if over(self) {
                    return Ok(());
                }
                look = self.now + LOOK_INTERVAL;
            }
            let Some((time, event)) = self.queue.pop() else {
                return Err(Violation("nothing is left to happen".into()));
            };
            self.now = time;
            self.wires.advance(time);
            self.happen(event)?;
            self.settle_wires()?;
        }
    }

    fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Turn(seat, incarnation) => self.on_turn(seat, incarnation),
            Event::LaneDone(seat, incarnation, lane) => {
                self.on_lane_done(seat, incarnation, lane);
                Ok(())
            }
            Event::ReadDone(seat, incarnation, id, read) => {
                let bytes = self.members[seat].disk.read(read);
                self.tell(seat, incarnation, Input::Read(id, bytes));
                Ok(())
            }
            Event::Wire(happening) => {
                self.wires.happen(happening);
                Ok(())
            }
            Event::Client(guest, epoch) if self.epochs[guest] == epoch => self.on_guest(guest),
            Event::Client(..) => Ok(()),
            Event::Strike(fault) => {
                self.on_strike(fault);
                Ok(())
            }
            Event::Heal => {
                self.wires.network.heal();
                Ok(())
            }
            Event::DiskWell(seat) => {
                let latency = self.swarm.disk_latency;
                let failing = self.members[seat].disk.condition.failing;
                self.members[seat].disk.condition = Condition { latency, full: false, failing };
                Ok(())
            }
            Event::Start(seat) => self.start(seat),
        }
    }

    // --- Connections.

    /// Hands on what the wires have to say, until they are silent.
    fn settle_wires(&mut self) -> Verdict {
        loop {
            for (time, happening) in self.wires.take_agenda() {
                self.queue.push(time, Event::Wire(happening));
            }
            let wakes = self.wires.take_wakes();
            if wakes.is_empty() {
                return Ok(());
            }
            for wake in wakes {
                self.on_wake(wake)?;
            }
        }
    }

    fn on_wake(&mut self, wake: Wake) -> Verdict {
        match wake {
            Wake::Knock(wire, listener, seat) => self.on_knock(wire, listener, seat),
            Wake::Open(wire, Owner::Member(seat, incarnation)) => {
                self.touch(seat, incarnation, |process, wires| process.opened(wire, wires));
            }
            Wake::Ready(wire, Owner::Member(seat, incarnation)) => {
                self.touch(seat, incarnation, |process, wires| process.ready(wire, wires));
            }
            Wake::Open(wire, Owner::Client(guest)) | Wake::Ready(wire, Owner::Client(guest)) => {
                self.on_guest_wire(guest, wire)?;
            }
        }
        Ok(())
    }

    fn on_knock(&mut self, wire: WireId, listener: Listener, seat: usize) {
        let member = &mut self.members[seat];
        let refused = self.troubled && self.chance.per_mille(10);
        let Some(process) = member.process.as_mut().filter(|_| !refused) else {
            return self.wires.answer_knock(wire, None);
        };
        process.knock(wire, listener);
        let owner = Owner::Member(seat, member.incarnation);
        self.wires.answer_knock(wire, Some(owner));
        let delay = self.chance.between(0, 10 * TURN);
        self.wake(seat, self.now + delay);
    }

    /// Does something to a process, if it still lives in that incarnation.
    fn touch(
        &mut self,
        seat: usize,
        incarnation: u64,
        touch: impl FnOnce(&mut Process, &mut Wires),
    ) {
        let member = &mut self.members[seat];
        if let Some(process) = &mut member.process
            && member.incarnation == incarnation
        {
            touch(process, &mut self.wires);
            let delay = self.chance.between(0, TURN);
            self.wake(seat, self.now + delay);
        }
    }

    fn tell(&mut self, seat: usize, incarnation: u64, input: Input<'static>) {
        self.touch(seat, incarnation, |process, _| process.inputs.push(input));
    }

    // --- Looking around.

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
}

fn make(seat: usize, identity: Identity, swarm: &Swarm, chance: &mut Chance) -> Member {
    let (slow, fast) = swarm.clock_speed;
    let condition = Condition { latency: swarm.disk_latency, full: false, failing: false };
    let founder = seat < swarm.voters;
    Member {
        identity,
        standing: if founder { Standing::Member } else { Standing::Spare },
        founder,
        replaces: false,
        retired: Vec::new(),
        disk: Disk::new(condition, chance.fork()),
        clock: Clock::new(chance.between(slow, fast)),
        incarnation: 0,
        process: None,
        held_down: false,
        told: (0, 0),
    }
}

/// Who comes: clients of each protocol, watchers, sometimes someone who means no good, and an
/// operator where the members change.
fn invite(swarm: &Swarm, chance: &mut Chance) -> Vec<Guest> {
    let mut guests = Vec::new();
    for _ in 0..swarm.clients {
        guests.push(Guest::Client(Client::draw(chance)));
    }
    for _ in 0..chance.between(0, 3) {
        guests.push(Guest::Watcher(Watcher::default()));
    }
    for _ in 0..chance.pick(&[0, 0, 1, 3]) {
        guests.push(Guest::Hostile(Hostile::default()));
    }
    if swarm.faults.contains_key(&Fault::Membership) {
        guests.push(Guest::Operator(Operator::default()));
    }
    guests
}
