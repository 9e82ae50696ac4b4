//! What members want done: on their disks, to their peers, and for their clients.

use std::time::Duration;

use quorra_core::disk::Lane;
use quorra_core::raft::{Notice, RoleName};
use quorra_core::replica::{Effect, Effects, Input, Reply, RequestId, Response, StopReason};

use super::event::Event;
use super::member::Standing;
use super::step::Step;
use super::{CoreWorld, Waiting};
use crate::chance::nanos;
use crate::check::{Verdict, Violation, require};
use crate::disk::Crash;
use crate::options::Plant;

/// How soon a write is tried again that a member had no room for.
const PROBE_INTERVAL: u64 = 100_000_000;
/// More effects than this from one turn are work without bound.
const EFFECTS_MAX: usize = 20_000;

impl CoreWorld {
    /// Carries out a turn's effects in order; the process may die before it is through.
    pub(super) fn perform(
        &mut self,
        seat: usize,
        mut effects: Effects,
        dies_after: Option<usize>,
    ) -> Verdict {
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

    pub(super) fn perform_one(&mut self, seat: usize, effect: Effect) -> Verdict {
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

    pub(super) fn on_stop(&mut self, seat: usize, reason: StopReason) -> Verdict {
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
            StopReason::Superseded => {
                return Err(Violation(format!("m{seat} runs once, and hears of a later start")));
            }
            StopReason::UnknownCommand(index) => {
                return Err(Violation(format!("m{seat} does not understand entry {index}")));
            }
        }
        Ok(())
    }

    pub(super) fn begin_lane(&mut self, seat: usize, lane: Lane) {
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
            self.tell(seat, incarnation, |inbox| &mut inbox.disk, input);
        }
        self.begin_lane(seat, lane);
    }

    pub(super) fn on_reply(&mut self, seat: usize, id: RequestId, reply: Reply) -> Verdict {
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
