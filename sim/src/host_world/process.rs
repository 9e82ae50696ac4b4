//! Processes: started from what a disk holds, taking the reactor's turns, and ended between any two
//! actions.

use quorra_core::identity::Incarnation;
use quorra_net::host::{Host, Options, V3Options};

use super::driver::{Process, Turn};
use super::event::Event;
use super::step::Step;
use super::wires::Owner;
use super::{HostWorld, TURN};
use crate::check::{Verdict, Violation};
use crate::core_world::member::{Standing, bootstrap, options, recover, view};
use crate::disk::Crash;
use crate::options::Plant;

impl HostWorld {
    /// Starts a member from what its disk holds.
    pub(super) fn start(&mut self, seat: usize) -> Verdict {
        let seed = self.chance.bits();
        let member = &mut self.members[seat];
        if member.process.is_some() || member.held_down || member.standing != Standing::Member {
            return Ok(());
        }
        self.wires.power(seat, true);
        member.incarnation += 1;
        let (id, incarnation) = (member.identity.id, member.incarnation);
        let first = if member.founder { self.founders.clone() } else { Vec::new() };
        let bootstrap = bootstrap(self.cluster, id, first);
        let mut options = options(&self.swarm.knobs, id, incarnation, seed);
        if self.plant == Some(Plant::ShortHistory) {
            options.v2_history_events -= 1;
        }
        let now = member.clock.read(self.now);
        let replica = recover(&mut member.disk, options, Some(bootstrap), now)
            .map_err(|error| Violation(format!("m{seat} cannot start: {error}")))?;
        let applied = replica.status().applied_index.0;
        self.trace.record(self.now, &Step::Started { seat, incarnation, applied });
        let host = Host::new(host_options(seat, incarnation), *replica, now);
        member.process = Some(Process::new(host));
        self.observe(seat)?;
        self.wake(seat, self.now);
        Ok(())
    }

    /// Ends a member's process. Its system closes its connections; without power nobody does.
    pub(super) fn crash(&mut self, seat: usize, how: Crash) {
        let member = &mut self.members[seat];
        if member.process.take().is_none() && how == Crash::Process {
            return;
        }
        member.disk.crash(how);
        self.trace.record(self.now, &Step::Crashed { seat, how });
        self.consensus.ended(member.identity.id);
        let owner = Owner::Member(seat, member.incarnation);
        match how {
            Crash::Process => {
                for (wire, side) in self.wires.of(owner) {
                    self.wires.close(wire, side);
                }
            }
            Crash::Power => self.wires.power(seat, false),
        }
    }

    /// Sees to it that a member takes a turn at that time or earlier.
    pub(super) fn wake(&mut self, seat: usize, time: u64) {
        let member = &mut self.members[seat];
        let Some(process) = &mut member.process else { return };
        let time = time.max(process.paused);
        if process.turn.is_none_or(|turn| turn > time) {
            process.turn = Some(time);
            self.queue.push(time, Event::Turn(seat, member.incarnation));
        }
    }

    pub(super) fn on_turn(&mut self, seat: usize, incarnation: u64) -> Verdict {
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
        let dies_after = process.dies_after.take();
        self.turn(seat, |turn| turn.gather())?;
        self.perform(seat, dies_after)?;
        if self.chance.per_mille(100)
            && let Some(process) = &self.members[seat].process
        {
            process.host.check();
        }
        self.observe(seat)?;
        self.wake_again(seat);
        Ok(())
    }

    /// Lets a process do a part of its turn.
    pub(super) fn turn<T>(
        &mut self,
        seat: usize,
        part: impl FnOnce(&mut Turn<'_>) -> Result<T, Violation>,
    ) -> Result<Option<T>, Violation> {
        let member = &mut self.members[seat];
        let now = member.clock.read(self.now);
        let Some(process) = &mut member.process else { return Ok(None) };
        let (wires, chance, trace) = (&mut self.wires, &mut self.chance, &mut self.trace);
        part(&mut Turn { seat, time: self.now, now, process, wires, chance, trace }).map(Some)
    }

    pub(super) fn wake_again(&mut self, seat: usize) {
        let member = &self.members[seat];
        let Some(process) = &member.process else { return };
        let due = member.clock.time_of(process.host.deadline());
        let due = process.linger_ends().map_or(due, |ends| ends.min(due));
        let due = if process.has_more() { self.now } else { due };
        self.wake(seat, due.max(self.now + TURN));
    }

    /// Compares what a member shows with what any member ever showed.
    pub(super) fn observe(&mut self, seat: usize) -> Verdict {
        let member = &mut self.members[seat];
        let Some(process) = &mut member.process else { return Ok(()) };
        let replica = process.host.replica();
        let view = view(replica, process.compared);
        let raft = replica.raft();
        self.consensus.shows(self.now, member.identity.id, view, |index| raft.entry(index))?;
        if view.state_hash.is_some() {
            self.consensus.names(member.identity.id, view.applied_index, replica.membership())?;
        }
        process.compared = view.state_hash.map(|(index, _)| index).or(process.compared);
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
}

/// The flags of one start.
fn host_options(seat: usize, incarnation: u64) -> Options {
    Options {
        name: format!("infra{seat}"),
        client_urls: vec![format!("http://10.0.0.{seat}:2379")],
        v2: true,
        discovery_service: false,
        request_bytes_max: 64 << 10,
        cors: Vec::new(),
        host_whitelist: Vec::new(),
        incarnation: Incarnation(incarnation),
        connections_max: 1_000,
        command_line: Vec::new(),
        file_descriptor_limit: 1_024,
        v3: V3Options::default(),
        extensive_metrics: false,
        quota_bytes: None,
    }
}
