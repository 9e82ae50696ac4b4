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
mod connections;
mod effects;
mod event;
mod figure_8;
mod finale;
pub(crate) mod member;
mod membership;
mod nemesis;
mod process;
mod step;

use std::collections::BTreeMap;

use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::raft::RoleName;
use quorra_core::replica::{Input, RequestId};
use quorra_core::store::membership::Member as Identity;

use crate::callers::Callers;
use crate::chance::{Chance, nanos};
use crate::check::consensus::Consensus;
use crate::check::{Verdict, Violation};
use crate::disk::{Condition, Disk};
use crate::faults::Swarm;
use crate::history::History;
use crate::network::Network;
use crate::options::Plant;
use crate::queue::Queue;
use crate::trace::Trace;
use crate::workload::Workload;
use clients::Client;
use clock::{Clock, Skew};
use event::Event;
use figure_8::Figure8;
use member::{Member, Standing};
use step::Step;

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
    queue: Queue<Event>,
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
