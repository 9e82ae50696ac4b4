//! Faults strike: each kind at its own mean rate, until the trouble is over.

use std::time::Duration;

use quorra_net::host::Input;

use super::HostWorld;
use super::event::Event;
use super::step::Step;
use super::wires::Owner;
use crate::chance::nanos;
use crate::disk::Crash;
use crate::faults::Fault;
use crate::network::PARTITIONS;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3);

impl HostWorld {
    pub(super) fn plan_faults(&mut self) {
        for fault in self.swarm.faults.keys().copied().collect::<Vec<Fault>>() {
            self.plan_fault(fault);
        }
    }

    fn plan_fault(&mut self, fault: Fault) {
        if let Some(mean) = self.swarm.faults.get(&fault) {
            let wait = self.chance.between(0, 2 * nanos(*mean));
            self.queue.push(self.now + wait, Event::Strike(fault));
        }
    }

    fn for_a_while(&mut self) -> u64 {
        self.now + nanos(self.chance.time(SHORT, LONG))
    }

    pub(super) fn on_strike(&mut self, fault: Fault) {
        if !self.troubled {
            return;
        }
        self.plan_fault(fault);
        let running = self.running();
        if running.is_empty() {
            return;
        }
        let victim = self.chance.pick(&running);
        self.trace.record(self.now, &Step::Struck(fault));
        match fault {
            Fault::Partition => self.part(),
            Fault::SlowLink => {
                let to = self.chance.index(self.places());
                let extra = self.chance.time(SHORT, LONG);
                self.wires.network.slow_down(victim, to, extra);
                let end = self.for_a_while();
                self.queue.push(end, Event::Heal);
            }
            Fault::Reset => self.reset_some(victim),
            Fault::Kill | Fault::Regicide => {
                let leader = self.leader().filter(|_| fault == Fault::Regicide);
                let victim = leader.unwrap_or(victim);
                let actions = self.chance.index(12);
                if let Some(process) = &mut self.members[victim].process {
                    process.dies_after = Some(actions);
                }
            }
            Fault::PowerCut => self.cut_power(&running, victim),
            Fault::Pause => {
                let end = self.for_a_while();
                if let Some(process) = &mut self.members[victim].process {
                    process.paused = end;
                }
                self.wake(victim, end);
            }
            Fault::ClockJump => {
                let jump = self.chance.between(0, 20_000_000_000);
                let jump = i64::try_from(jump).expect("a jump is short") - 10_000_000_000;
                let clock = &mut self.members[victim].clock;
                self.skew.note(clock, self.now);
                clock.wall_offset += jump;
                self.skew.note(clock, self.now);
            }
            Fault::SlowDisk | Fault::FullDisk | Fault::FailedSync => self.harm_disk(fault, victim),
            // The operator changes the members; the play needs a view of every message.
            Fault::Membership | Fault::Figure8 => {}
            // No client can ask for it yet; an operator's signal also hands leadership over.
            Fault::Transfer => {
                let leader = self.leader().unwrap_or(victim);
                let incarnation = self.members[leader].incarnation;
                self.tell(leader, incarnation, Input::Stop);
            }
        }
    }

    /// Members and guests: each has a place in the network.
    fn places(&self) -> usize {
        self.members.len() + self.guests.len()
    }

    fn part(&mut self) {
        let partition = self.chance.pick(&PARTITIONS);
        let all = self.chance.per_mille(300);
        let places = if all { self.places() } else { self.members.len() };
        self.wires.network.part(partition, places);
        self.trace.record(self.now, &Step::Parted(partition));
        let end = self.for_a_while();
        self.queue.push(end, Event::Heal);
    }

    /// Breaks some of a member's connections, at both ends.
    fn reset_some(&mut self, victim: usize) {
        let owner = Owner::Member(victim, self.members[victim].incarnation);
        for (wire, _) in self.wires.of(owner) {
            if self.chance.per_mille(500) {
                self.wires.cut(wire);
            }
        }
    }

    fn cut_power(&mut self, running: &[usize], victim: usize) {
        let everywhere = self.chance.per_mille(300);
        for seat in running.iter().copied().filter(|seat| everywhere || *seat == victim) {
            self.crash(seat, Crash::Power);
            let back = self.for_a_while();
            self.queue.push(back, Event::Start(seat));
        }
    }

    fn harm_disk(&mut self, fault: Fault, victim: usize) {
        let end = self.for_a_while();
        let latency = (SHORT, self.chance.time(SHORT, LONG));
        let condition = &mut self.members[victim].disk.condition;
        match fault {
            Fault::SlowDisk => condition.latency = latency,
            Fault::FullDisk => condition.full = true,
            _ => condition.failing = true,
        }
        self.queue.push(end, Event::DiskWell(victim));
    }
}
