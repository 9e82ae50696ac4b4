//! The driver of one host: the production loop over simulated connections and disks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorra_core::disk::{DiskRead, Lane, Ticket};
use quorra_core::identity::Incarnation;
use quorra_core::replica::{Job, JobId, JobResult, ReadId, StopReason};
use quorra_net::host::{Action, ConnectionId, Host, Input, Listener, Options};

use super::wires::{Found, WireId};
use super::{Ended, Shared, clock_of};
use crate::chance::nanos;
use crate::core_world::member;

/// What comes back later, for the host's next turn.
enum Answer {
    Lane(Lane),
    Read(ReadId, DiskRead),
    Job(JobId, usize),
    Dialled(ConnectionId, String),
}

/// A running host.
pub(super) struct Driver {
    shared: Shared,
    seat: usize,
    host: Host,
    wires: BTreeMap<ConnectionId, WireId>,
    names: BTreeMap<WireId, ConnectionId>,
    paused: BTreeSet<WireId>,
    writable: BTreeSet<ConnectionId>,
    closing: BTreeSet<ConnectionId>,
    answers: BTreeMap<(u64, u64), Answer>,
    made: u64,
    accepted: u64,
}

impl Driver {
    /// Starts a member from what its disk holds.
    pub(super) fn start(shared: Shared, seat: usize) -> Result<Self, String> {
        let mut world = shared.lock();
        let now = clock_of(&world, seat);
        world.incarnations[seat] += 1;
        let incarnation = world.incarnations[seat];
        let identity = world.identities[seat].clone();
        let knobs = world.swarm.knobs.clone();
        let seed = world.chance.bits();
        let options = member::options(&knobs, identity.id, incarnation, seed);
        let bootstrap = member::bootstrap(world.cluster, identity.id, world.identities.clone());
        let replica = member::recover(&mut world.disks[seat], options, Some(bootstrap), now)
            .map_err(|error| format!("m{seat} cannot start: {error}"))?;
        let options = Options {
            name: format!("m{seat}"),
            client_urls: vec![format!("http://10.0.0.{seat}:2379")],
            v2: true,
            request_bytes_max: quorra_core::limits::REQUEST_BYTES_DEFAULT,
            cors: Vec::new(),
            host_whitelist: Vec::new(),
            incarnation: Incarnation(incarnation),
            connections_max: 1_000,
            command_line: Vec::new(),
            file_descriptor_limit: 1_024,
        };
        let host = Host::new(options, *replica, now);
        drop(world);
        let (wires, names) = (BTreeMap::new(), BTreeMap::new());
        let (paused, writable) = (BTreeSet::new(), BTreeSet::new());
        let (closing, answers) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self {
            shared,
            seat,
            host,
            wires,
            names,
            paused,
            writable,
            closing,
            answers,
            made: 0,
            accepted: 0,
        })
    }

    /// When the next turn is due if no byte comes before.
    pub(super) fn deadline(&self) -> u64 {
        let world = self.shared.lock();
        let tick = world.clocks[self.seat].time_of(self.host.deadline());
        self.answers.keys().next().map_or(tick, |(at, _)| tick.min(*at))
    }

    /// One turn: what came in, the tick, the flush, and what is to be done about it.
    pub(super) fn turn(&mut self, time: u64) -> Option<Ended> {
        let now = clock_of(&self.shared.lock(), self.seat);
        self.take_bytes(time);
        self.take_answers(time);
        if self.host.deadline() <= now.monotonic {
            self.host.input(now, Input::Tick);
        }
        self.host.input(now, Input::Flush);
        while let Some(action) = self.host.next_action() {
            if let Some(ended) = self.perform(time, action) {
                return Some(ended);
            }
        }
        self.write_out(time);
        self.observe(time)
    }

    fn take_bytes(&mut self, time: u64) {
        let (now, found, accepted) = {
            let mut world = self.shared.lock();
            let accepted = std::mem::take(&mut world.accepted[self.seat]);
            let found = world.wires.look(time, self.seat, &self.paused);
            (clock_of(&world, self.seat), found, accepted)
        };
        for (wire, listener) in accepted {
            let connection = ConnectionId(self.accepted * 2);
            self.accepted += 1;
            self.name(connection, wire);
            self.host.input(now, Input::Accepted { connection, listener, remote: "10.0.1.1:1" });
        }
        for found in found {
            match found {
                Found::Bytes(wire, bytes) => {
                    if let Some(id) = self.names.get(&wire) {
                        self.host.input(now, Input::Received(*id, &bytes));
                    }
                }
                Found::Closed(wire) => {
                    if let Some(id) = self.forget(wire) {
                        self.host.input(now, Input::Closed(id));
                    }
                }
            }
        }
    }

    fn name(&mut self, id: ConnectionId, wire: WireId) {
        self.wires.insert(id, wire);
        self.names.insert(wire, id);
    }

    fn forget(&mut self, wire: WireId) -> Option<ConnectionId> {
        let id = self.names.remove(&wire)?;
        self.wires.remove(&id);
        self.paused.remove(&wire);
        self.writable.remove(&id);
        (!self.closing.remove(&id)).then_some(id)
    }

    fn take_answers(&mut self, time: u64) {
        while let Some(entry) = self.answers.first_entry().filter(|entry| entry.key().0 <= time) {
            let answer = entry.remove();
            self.take_answer(time, answer);
        }
    }

    fn take_answer(&mut self, time: u64, answer: Answer) {
        let now = clock_of(&self.shared.lock(), self.seat);
        match answer {
            Answer::Lane(lane) => {
                let answer = self.shared.lock().disks[self.seat].finish(lane);
                let ticket = Ticket(answer.ticket);
                self.host.input(
                    now,
                    match answer.failure {
                        None => Input::Durable(lane, ticket),
                        Some(failure) => Input::Failed(lane, ticket, failure.into()),
                    },
                );
                self.begin(time, lane);
            }
            Answer::Read(id, read) => {
                let bytes = self.shared.lock().disks[self.seat].read(read);
                self.host.input(now, Input::Read(id, bytes));
            }
            Answer::Job(id, length) => {
                let secret = JobResult::Secret(Bytes::from(vec![7; length]));
                self.host.input(now, Input::Job(id, secret));
            }
            Answer::Dialled(id, url) => {
                let wire = self.shared.lock().dial(self.seat, &url, Listener::Peer);
                match wire {
                    Some(wire) => {
                        self.name(id, wire);
                        self.host.input(now, Input::Connected(id));
                    }
                    None => self.host.input(now, Input::Closed(id)),
                }
            }
        }
    }

    fn later(&mut self, time: u64, answer: Answer) {
        self.made += 1;
        self.answers.insert((time, self.made), answer);
    }

    fn begin(&mut self, time: u64, lane: Lane) {
        let begun = self.shared.lock().disks[self.seat].begin(lane);
        if let Some(duration) = begun {
            self.later(time + nanos(duration).max(1), Answer::Lane(lane));
        }
    }

    fn perform(&mut self, time: u64, action: Action) -> Option<Ended> {
        match action {
            Action::Write(id) => {
                self.writable.insert(id);
            }
            Action::Pause(id, paused) => {
                if let Some(wire) = self.wires.get(&id) {
                    if paused {
                        self.paused.insert(*wire)
                    } else {
                        self.paused.remove(wire)
                    };
                }
            }
            Action::Close { connection, at_once } => {
                if at_once {
                    self.close(connection);
                } else {
                    self.closing.insert(connection);
                    self.writable.insert(connection);
                }
            }
            Action::Connect(id, url) => {
                let delay = self.shared.lock().chance.between(1, 2_000_000);
                self.later(time + delay, Answer::Dialled(id, url));
            }
            Action::Disk(lane, ticket, ops) => {
                self.shared.lock().disks[self.seat].submit(lane, ticket, ops);
                self.begin(time, lane);
            }
            Action::Read(id, read) => self.later(time + 100_000, Answer::Read(id, read)),
            Action::Job(id, Job::Secret(length)) => {
                self.later(time + 100_000, Answer::Job(id, length));
            }
            Action::Notice(_) | Action::Ready | Action::Log(..) => {}
            Action::Stop(StopReason::Disk(..)) => return Some(Ended::Disk),
            Action::Stop(reason) => return Some(Ended::Broken(format!("stops: {reason:?}"))),
        }
        None
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(wire) = self.wires.get(&id).copied() {
            self.forget(wire);
            self.closing.remove(&id);
            self.shared.lock().wires.close(wire, self.seat);
            self.shared.lock().wake_all();
        }
    }

    /// Writes what the windows take; what is left waits for a later turn.
    fn write_out(&mut self, time: u64) {
        for id in std::mem::take(&mut self.writable) {
            let Some(wire) = self.wires.get(&id).copied() else { continue };
            loop {
                let output = self.host.output(id);
                if output.is_empty() {
                    if self.closing.contains(&id) {
                        self.close(id);
                    }
                    break;
                }
                let mut world = self.shared.lock();
                let taken = world.wires.write(time, wire, self.seat, output);
                if let Some(node) = world.wires.other_end(wire, self.seat) {
                    world.wake(node);
                }
                let now = clock_of(&world, self.seat);
                drop(world);
                if taken == 0 {
                    self.writable.insert(id);
                    break;
                }
                self.host.written(now, id, taken);
            }
        }
    }

    fn observe(&self, time: u64) -> Option<Ended> {
        let mut world = self.shared.lock();
        let replica = self.host.replica();
        let known = world.views.get(&self.seat).map(|(_, view)| view.applied_index);
        let view = member::view(replica, known);
        let (id, raft) = (world.identities[self.seat].id, replica.raft());
        let verdict = world.consensus.shows(id, view, |index| raft.entry(index));
        let leader = raft.leader().map_or(0, |leader| leader.0);
        world.views.insert(self.seat, (leader, view));
        world.record(time, self.seat, &view);
        verdict.err().map(|violation| Ended::Broken(violation.0))
    }
}
