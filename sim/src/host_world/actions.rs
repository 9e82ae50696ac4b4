//! What hosts want done: calls to peers, disk work, their own end.

use std::time::Duration;

use quorra_core::disk::Lane;
use quorra_core::replica::StopReason;
use quorra_net::host::{Action, ConnectionId, Input, Listener};

use super::HostWorld;
use super::event::Event;
use super::step::Step;
use super::wires::Owner;
use crate::chance::nanos;
use crate::check::{Verdict, Violation, require};
use crate::core_world::member::Standing;
use crate::disk::Crash;
use crate::options::Plant;

/// More actions than this from one turn are work without bound.
const ACTIONS_MAX: usize = 20_000;

impl HostWorld {
    /// Carries out a turn's actions in order; the process may die before it is through.
    pub(super) fn perform(&mut self, seat: usize, dies_after: Option<usize>) -> Verdict {
        let mut performed = 0;
        while dies_after != Some(performed)
            && let Some(process) = &mut self.members[seat].process
            && let Some(action) = process.host.next_action()
        {
            self.turn(seat, |turn| turn.perform(&action))?;
            self.perform_one(seat, action)?;
            performed += 1;
        }
        if dies_after.is_some() && self.members[seat].process.is_some() {
            self.crash(seat, Crash::Process);
            let delay = self.chance.time(Duration::from_millis(1), Duration::from_secs(3));
            self.queue.push(self.now + nanos(delay), Event::Start(seat));
        }
        require(performed < ACTIONS_MAX, || format!("m{seat} wants {performed} things in a turn"))
    }

    fn perform_one(&mut self, seat: usize, action: Action) -> Verdict {
        let incarnation = self.members[seat].incarnation;
        match action {
            Action::Connect(connection, url) => self.dial(seat, connection, &url)?,
            Action::Disk(lane, ticket, ops) => {
                let operations = ops.len();
                let step = Step::Submitted { seat, lane, ticket: ticket.0, operations };
                self.trace.record(self.now, &step);
                if self.plant == Some(Plant::AckBeforeSync) && lane == Lane::Log {
                    self.tell(seat, incarnation, Input::Durable(lane, ticket));
                }
                self.members[seat].disk.submit(lane, ticket, ops);
                self.begin_lane(seat, lane);
            }
            Action::Read(id, read) => {
                let (low, high) = self.swarm.disk_latency;
                let done = self.now + nanos(self.chance.time(low, high));
                self.queue.push(done, Event::ReadDone(seat, incarnation, id, read));
            }
            Action::Job(id, job) => {
                self.tell(seat, incarnation, Input::Job(id, job.simulated()));
            }
            Action::Notice(notice) => {
                self.trace.record(self.now, &Step::Notice { seat, notice });
            }
            Action::Log(_, line) => {
                self.trace.record(self.now, &Step::Logged { seat, line: &line });
            }
            Action::Measure => self.tell(seat, incarnation, Input::Measured(Box::default())),
            Action::LogLevel(_) => {}
            Action::Stop(reason) => self.on_stop(seat, reason)?,
            Action::Write(_) | Action::Pause(..) | Action::Close { .. } | Action::Ready => {}
        }
        Ok(())
    }

    fn dial(&mut self, seat: usize, connection: ConnectionId, url: &str) -> Verdict {
        let to = self.members.iter().position(|member| member.identity.peer_urls[0] == url);
        let Some(to) = to else { return Err(Violation(format!("m{seat} calls {url}"))) };
        let member = &mut self.members[seat];
        let owner = Owner::Member(seat, member.incarnation);
        let listener = (to, Owner::Member(to, 0));
        let wire = self.wires.dial((seat, owner), listener, Listener::Peer);
        self.trace.record(self.now, &Step::Dialed { seat, wire, to });
        if let Some(process) = &mut member.process {
            process.dials(wire, connection);
        }
        Ok(())
    }

    fn on_stop(&mut self, seat: usize, reason: StopReason) -> Verdict {
        self.trace.record(self.now, &Step::Stopped { seat, reason });
        let (how, delay) = match reason {
            StopReason::Disk(..) => (Crash::Power, self.chance.between(1_000_000, 2_000_000_000)),
            StopReason::Asked => (Crash::Process, 1_000_000),
            StopReason::Removed => {
                self.members[seat].standing = Standing::Removed;
                self.crash(seat, Crash::Process);
                return Ok(());
            }
            StopReason::Superseded => {
                return Err(Violation(format!("m{seat} runs once, and hears of a later start")));
            }
            StopReason::UnknownCommand(index) => {
                return Err(Violation(format!("m{seat} does not understand entry {index}")));
            }
        };
        self.crash(seat, how);
        self.queue.push(self.now + delay, Event::Start(seat));
        Ok(())
    }

    fn begin_lane(&mut self, seat: usize, lane: Lane) {
        let member = &mut self.members[seat];
        if let Some(duration) = member.disk.begin(lane) {
            let done = self.now + nanos(duration).max(1);
            self.queue.push(done, Event::LaneDone(seat, member.incarnation, lane));
        }
    }

    pub(super) fn on_lane_done(&mut self, seat: usize, incarnation: u64, lane: Lane) {
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
            self.tell(seat, incarnation, input);
        }
        self.begin_lane(seat, lane);
    }
}
