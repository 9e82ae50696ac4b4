//! The end of a run: healing, progress, the last power cut, and the judgement of the history.

use std::collections::BTreeSet;
use std::time::Duration;

use quorra_core::identity::MemberId;
use quorra_core::raft::Index;

use super::member::{Standing, view};
use super::step::Step;
use super::{CoreWorld, Waiting};
use crate::chance::nanos;
use crate::check::lifetimes::{Times, overdue};
use crate::check::{Verdict, replay, require};
use crate::disk::{Condition, Crash};
use crate::faults::Fault;
use crate::history::{Operation, Outcome};

/// What clients may have to wait for what is still open, and the cluster for its last election.
const PATIENCE: Duration = Duration::from_secs(20);

impl CoreWorld {
    /// Heals, demands progress, and judges.
    pub(super) fn finish(&mut self) -> Verdict {
        self.stays_quiet()?;
        self.end_trouble();
        self.hold_minority_down();
        self.settle("a majority is healed")?;
        self.members.iter_mut().for_each(|member| member.held_down = false);
        self.settle("everyone is healed")?;
        for seat in 0..self.members.len() {
            self.crash(seat, Crash::Power);
        }
        self.settle("everyone lost power")?;
        for member in self.members.iter().filter(|m| m.standing == Standing::Removed) {
            self.consensus.left(member.id())?;
        }
        let founders = Vec::new();
        self.members.iter().for_each(|member| self.skew.note(&member.clock, self.now));
        let applied_at = self.consensus.applied_at();
        let times = Times { applied_at, clock_spread: self.skew.spread() };
        replay::check(&self.consensus.whole_ledger()?, &founders, &self.history, times)
    }

    /// Without a fault nobody campaigns but at the start.
    fn stays_quiet(&self) -> Verdict {
        let term = self.consensus.highest_term().0;
        let first = 1 + 8;
        require(!self.swarm.is_calm() || term <= first, || {
            format!("term {term} was reached without a fault")
        })
    }

    fn end_trouble(&mut self) {
        self.trace.record(self.now, &Step::Phase("the trouble is over"));
        self.troubled = false;
        self.figure_8 = None;
        self.network.calm();
        for member in &mut self.members {
            let latency = (Duration::ZERO, Duration::from_millis(2));
            member.disk.condition = Condition { latency, full: false, failing: false };
            if let Some(process) = &mut member.process {
                process.paused = 0;
                process.dies_after = None;
            }
        }
    }

    /// The membership as the member knows it that is furthest ahead.
    fn members_now(&self) -> BTreeSet<(MemberId, bool)> {
        let furthest = self.members.iter().filter_map(|member| member.replica());
        let furthest = furthest.max_by_key(|replica| replica.status().applied_index);
        furthest.map_or_else(BTreeSet::new, |replica| {
            let members = replica.membership().members.values();
            members.map(|member| (member.id, member.is_learner)).collect()
        })
    }

    /// Half of the time, as many voters as may be missing stay away for now.
    fn hold_minority_down(&mut self) {
        let mut voters: Vec<usize> = self
            .members_now()
            .iter()
            .filter(|(_, learner)| !learner)
            .filter_map(|(id, _)| self.seats.get(id).copied())
            .collect();
        // A change that is still under way may shrink the quorum's reserve by one.
        let moves = usize::from(self.swarm.faults.contains_key(&Fault::Membership));
        let may_miss = (voters.len().saturating_sub(1) / 2).saturating_sub(moves);
        voters.retain(|seat| self.members[*seat].standing == Standing::Member);
        let is_gone = |standing| matches!(standing, Standing::Removed | Standing::Wiped);
        let gone = self.members.iter().filter(|m| is_gone(m.standing) || m.replaces).count();
        self.chance.shuffle(&mut voters);
        if self.chance.per_mille(500) {
            for seat in voters.iter().take(may_miss.saturating_sub(gone)) {
                self.crash(*seat, Crash::Process);
                self.members[*seat].held_down = true;
            }
        }
    }

    /// Everyone who may runs, agrees on a leader, has what was committed, and takes a write.
    fn settle(&mut self, phase: &'static str) -> Verdict {
        self.trace.record(self.now, &Step::Phase(phase));
        let patience = PATIENCE * 2 + self.swarm.knobs.election_timeout * 40;
        let deadline = self.now + nanos(patience);
        for seat in 0..self.members.len() {
            self.start(seat)?;
            self.wake(seat, self.now);
        }
        self.run_until(|world| world.now >= deadline || world.is_settled())?;
        require(self.is_settled(), || format!("{phase}, and still: {}", self.unsettled()))?;
        let seats = self.settled_seats();
        let before = self.history.operations().len();
        seats.iter().for_each(|seat| self.probe(*seat));
        self.run_until(|world| {
            world.now >= deadline || world.have_written(&seats, before) && world.is_settled()
        })?;
        require(self.have_written(&seats, before), || {
            let operations = &self.history.operations()[before..];
            let ends: Vec<&Outcome> = operations.iter().map(|o| &o.outcome).collect();
            format!("{phase}, and not each of {} has written: {ends:?}", seats.len())
        })?;
        require(self.is_settled(), || format!("{phase}, and later: {}", self.unsettled()))
    }

    /// Asks a member to take a write.
    pub(super) fn probe(&mut self, seat: usize) {
        let request = self.workload.probe();
        self.operate(seat, request, |operation| Waiting::Probe { operation });
    }

    /// Whether each of these members has answered an operation since then, or learned that it was
    /// removed.
    fn have_written(&self, seats: &[usize], before: usize) -> bool {
        let operations = &self.history.operations()[before..];
        let is_answered = |o: &&Operation| matches!(o.outcome, Outcome::Answered(..));
        seats.iter().all(|seat| {
            self.members[*seat].standing == Standing::Removed
                || operations.iter().filter(is_answered).any(|o| o.seat == *seat)
        })
    }

    /// The seats of running members that belong to the cluster and vote.
    fn settled_seats(&self) -> Vec<usize> {
        let voters = self.members_now();
        let is_voter = |seat: &usize| voters.contains(&(self.members[*seat].id(), false));
        self.running().into_iter().filter(is_voter).collect()
    }

    /// Whether every running member of the cluster follows one leader and has applied everything.
    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.unsettled().is_empty()
    }

    fn unsettled(&self) -> String {
        let Some(leader) = self.leader() else { return "nobody leads".into() };
        let Some(replica) = self.members[leader].replica() else { return "nobody leads".into() };
        let lead = view(replica, None);
        if !self.waiting.is_empty() {
            return format!("{} requests are open", self.waiting.len());
        }
        if self.is_replacing() && !self.members.iter().any(|member| member.held_down) {
            return "a member that lost its disk is not replaced".into();
        }
        for member in &self.members {
            if !replica.membership().members.contains_key(&member.id()) {
                continue;
            }
            if member.standing == Standing::Spare {
                return format!("{} was added and is not started", member.id());
            }
            let Some(follower) = member.replica() else {
                if member.held_down || member.standing != Standing::Member {
                    continue;
                }
                return format!("{} does not run", member.id());
            };
            let shown = view(follower, None);
            let follows = follower.raft().leader() == Some(self.members[leader].id());
            if !follows || shown.applied_index != lead.applied_index {
                let Index(applied) = shown.applied_index;
                return format!(
                    "{} has applied {applied} of {}, follows {follows}",
                    member.id(),
                    lead.commit_index
                );
            }
        }
        overdue(replica.state().v2(), self.members[leader].clock.read(self.now).wall)
    }
}
