//! Processes: started from what a disk holds, taking turns as the production driver does, and ended
//! between any two effects.

use quorra_core::replica::{Effects, Input};

use super::CoreWorld;
use super::event::Event;
use super::member::{self, Inbox, Process, Standing, view};
use super::step::Step;
use crate::check::{Verdict, Violation};
use crate::disk::Crash;
use crate::options::Plant;

/// What a driver's turn takes.
const TURN: u64 = 50_000;

impl CoreWorld {
    /// Starts a member from what its disk holds.
    pub(super) fn start(&mut self, seat: usize) -> Verdict {
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
    pub(super) fn crash(&mut self, seat: usize, how: Crash) {
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
    pub(super) fn tell(
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

    pub(super) fn wake_at_deadline(&mut self, seat: usize) {
        let member = &self.members[seat];
        if let Some(replica) = member.replica() {
            let due = member.clock.time_of(replica.deadline());
            self.wake(seat, due.max(self.now + TURN));
        }
    }

    /// Compares what a member shows with what any member ever showed.
    pub(super) fn observe(&mut self, seat: usize) -> Verdict {
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
}
