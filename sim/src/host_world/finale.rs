//! The end of a run: healing, progress, the last power cut, and the judgement of the history.

use std::time::Duration;

use quorra_core::raft::Index;
use quorra_core::replica::Response;
use quorra_core::store::v2::ErrorKind;

use super::client::{Client, Dialect};
use super::step::Step;
use super::wires::WireId;
use super::{Guest, HostWorld, Member, watcher};
use crate::chance::nanos;
use crate::check::lifetimes::{Times, overdue};
use crate::check::{Verdict, replay, require};
use crate::core_world::member::Standing;
use crate::disk::{Condition, Crash};
use crate::faults::Fault;
use crate::history::Outcome;

/// What clients may have to wait for what is still open, and the cluster for its last election.
const PATIENCE: Duration = Duration::from_secs(60);

impl HostWorld {
    /// Heals, demands progress, and judges.
    pub(super) fn finish(&mut self) -> Verdict {
        self.stays_quiet()?;
        self.end_trouble();
        self.hold_minority_down();
        self.settle("a majority is healed")?;
        self.members.iter_mut().for_each(|member| member.held_down = false);
        self.settle("everyone is healed")?;
        self.send_guests_home()?;
        for seat in 0..self.members.len() {
            self.crash(seat, Crash::Power);
        }
        self.settle("everyone lost power")?;
        let ledger = self.consensus.whole_ledger()?;
        for member in self.members.iter().filter(|m| m.standing == Standing::Removed) {
            self.consensus.left(member.identity.id)?;
        }
        self.members.iter().for_each(|member| self.skew.note(&member.clock, self.now));
        let applied_at = self.consensus.applied_at();
        let times = Times { applied_at, clock_spread: self.skew.spread() };
        replay::check(&ledger, &[], &self.history, times)?;
        let window = self.swarm.knobs.v2_history_events as u64;
        watcher::check(&self.watched, &replay::v2_events(&ledger)?, window)
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
        self.wires.network.calm();
        for member in &mut self.members {
            let latency = (Duration::ZERO, Duration::from_millis(2));
            member.disk.condition = Condition { latency, full: false, failing: false };
            if let Some(process) = &mut member.process {
                process.paused = 0;
                process.dies_after = None;
            }
        }
    }

    /// Who votes, by seat, as the member knows it that is furthest ahead.
    fn voting_seats(&self) -> Vec<usize> {
        let replicas = self.members.iter().filter_map(Member::replica);
        let furthest = replicas.max_by_key(|replica| replica.status().applied_index);
        let voters = furthest.map(|replica| replica.membership().configuration().voters);
        let voters = voters.unwrap_or_default();
        let seats = 0..self.members.len();
        seats.filter(|seat| voters.contains(&self.members[*seat].identity.id)).collect()
    }

    /// Half of the time, as many voters as may be missing stay away for now.
    fn hold_minority_down(&mut self) {
        let mut seats = self.voting_seats();
        // A change that is still under way may shrink the quorum's reserve by one.
        let moves = usize::from(self.swarm.faults.contains_key(&Fault::Membership));
        let may_miss = (seats.len().saturating_sub(1) / 2).saturating_sub(moves);
        let is_gone =
            |m: &&Member| m.replaces || matches!(m.standing, Standing::Removed | Standing::Wiped);
        let gone = self.members.iter().filter(is_gone).count();
        seats.retain(|seat| self.members[*seat].standing == Standing::Member);
        self.chance.shuffle(&mut seats);
        if self.chance.per_mille(500) {
            for seat in seats.iter().take(may_miss.saturating_sub(gone)) {
                self.crash(*seat, Crash::Process);
                self.members[*seat].held_down = true;
            }
        }
    }

    /// Everyone who may runs, agrees on a leader, has what was committed, and serves a write of
    /// each API.
    fn settle(&mut self, phase: &'static str) -> Verdict {
        self.trace.record(self.now, &Step::Phase(phase));
        let patience = PATIENCE + self.swarm.knobs.election_timeout * 40;
        let deadline = self.now + nanos(patience);
        for seat in 0..self.members.len() {
            self.start(seat)?;
            self.wake(seat, self.now);
        }
        self.settle_wires()?;
        self.run_until(|world| world.now >= deadline || world.unsettled().is_empty())?;
        require(self.unsettled().is_empty(), || {
            format!("{phase}, and still: {}", self.unsettled())
        })?;
        let mut serving = self.voting_seats();
        serving.retain(|seat| self.members[*seat].process.is_some());
        let before = self.guests.len();
        for seat in serving {
            for dialect in [Dialect::V2, Dialect::V3] {
                self.guests.push(Guest::Client(Client::probing(seat, dialect)));
                self.epochs.push(0);
                self.rest(self.guests.len() - 1, Duration::from_millis(1));
            }
        }
        self.run_until(|world| {
            world.now >= deadline
                || world.unserved(before).is_none() && world.unsettled().is_empty()
        })?;
        require(self.unserved(before).is_none(), || {
            format!("{phase}, and {:?} is not served", self.unserved(before))
        })?;
        self.dismiss(before);
        self.settle_wires()?;
        self.run_until(|world| world.now >= deadline || world.unsettled().is_empty())?;
        require(self.unsettled().is_empty(), || format!("{phase}, and later: {}", self.unsettled()))
    }

    /// A probing client whose write was not acknowledged yet.
    fn unserved(&self, before: usize) -> Option<(usize, Dialect)> {
        self.guests[before..].iter().find_map(|guest| match guest {
            Guest::Client(client) if client.served == 0 => {
                let seat = client.probes.unwrap_or(0);
                let stays = self.members[seat].standing == Standing::Member;
                stays.then_some((seat, client.dialect))
            }
            _ => None,
        })
    }

    /// Probing clients go home.
    fn dismiss(&mut self, before: usize) {
        for guest in before..self.guests.len() {
            self.leave(guest);
            if let Guest::Client(client) = &mut self.guests[guest] {
                client.probes = None;
            }
        }
    }

    /// Every guest leaves in its own way: nothing of it may stay behind on any member.
    fn send_guests_home(&mut self) -> Verdict {
        for guest in 0..self.guests.len() {
            match &self.guests[guest] {
                Guest::Client(_) => self.leave(guest),
                Guest::Watcher(_) => self.end_watch(guest, true),
                Guest::Hostile(_) => self.drop_hostile(guest),
                Guest::Operator(_) => self.send_operator_home(guest),
            }
        }
        for _ in 0..5 {
            self.wires.probe_all();
            self.settle_wires()?;
            let deadline = self.now + nanos(PATIENCE / 5);
            self.run_until(|world| world.now >= deadline || world.left_behind().is_none())?;
        }
        require(self.left_behind().is_none(), || {
            format!("guests left something behind: {:?}", self.left_behind())
        })
    }

    /// A member that still keeps a guest's connection, or requests.
    fn left_behind(&self) -> Option<(usize, Option<WireId>, usize)> {
        self.running().into_iter().find_map(|seat| {
            let process = self.members[seat].process.as_ref()?;
            let (wire, requests) = (process.client(), process.host.requests_open());
            (wire.is_some() || requests > 0).then_some((seat, wire, requests))
        })
    }

    /// What keeps the running members from agreeing, if anything does.
    fn unsettled(&self) -> String {
        let Some(leader) = self.leader() else { return "nobody leads".into() };
        let Some(replica) = self.members[leader].replica() else { return "nobody leads".into() };
        let lead = replica.status();
        let open: usize = (0..self.guests.len()).map(|guest| self.open_calls(guest)).sum();
        if open > 0 {
            return format!("{open} calls are open");
        }
        if self.is_replacing() && !self.members.iter().any(|member| member.held_down) {
            return "a member that lost its disk is not replaced".into();
        }
        for (seat, member) in self.members.iter().enumerate() {
            if !replica.membership().members.contains_key(&member.identity.id) {
                continue;
            }
            if member.standing == Standing::Spare {
                return format!("m{seat} was added and is not started");
            }
            let Some(follower) = member.replica() else {
                if member.held_down || member.standing != Standing::Member {
                    continue;
                }
                return format!("m{seat} does not run");
            };
            let shown = follower.status();
            let follows = follower.raft().leader() == Some(self.members[leader].identity.id);
            if !follows || shown.applied_index != lead.applied_index {
                let Index(applied) = shown.applied_index;
                let commit = lead.commit_index;
                return format!("m{seat} has applied {applied} of {commit}, follows {follows}");
            }
        }
        overdue(replica.state().v2(), self.members[leader].clock.read(self.now).wall)
    }

    /// Whether an answer shows that a member serves.
    pub(super) fn serves(outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Answered(_, response) => !matches!(
                &**response,
                Response::V2(Err(error)) if error.kind == ErrorKind::Unauthorized
            ),
            _ => false,
        }
    }
}
