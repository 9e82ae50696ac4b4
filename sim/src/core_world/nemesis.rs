//! Faults strike: each kind at its own mean rate, until the trouble is over.

use std::time::Duration;

use quorra_core::replica::Request;

use super::event::Event;
use super::step::Step;
use super::{CoreWorld, Waiting};
use crate::chance::nanos;
use crate::check::Verdict;
use crate::disk::Crash;
use crate::faults::Fault;
use crate::network::PARTITIONS;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3);

impl CoreWorld {
    pub(super) fn plan_faults(&mut self) {
        for fault in self.swarm.faults.keys().copied().collect::<Vec<Fault>>() {
            self.plan(fault);
        }
    }

    fn plan(&mut self, fault: Fault) {
        if let Some(mean) = self.swarm.faults.get(&fault) {
            let wait = self.chance.between(0, 2 * nanos(*mean));
            self.queue.push(self.now + wait, Event::Strike(fault));
        }
    }

    fn for_a_while(&mut self) -> u64 {
        self.now + nanos(self.chance.time(SHORT, LONG))
    }

    pub(super) fn on_strike(&mut self, fault: Fault) -> Verdict {
        if !self.troubled {
            return Ok(());
        }
        self.plan(fault);
        let running = self.running();
        if running.is_empty() || self.figure_8.is_some() {
            return Ok(());
        }
        let victim = self.chance.pick(&running);
        self.trace.record(self.now, &Step::Struck(fault));
        match fault {
            Fault::Partition => self.part(),
            Fault::SlowLink => {
                let to = self.chance.index(self.members.len());
                let extra = self.chance.time(SHORT, LONG);
                self.network.slow_down(victim, to, extra);
                let end = self.for_a_while();
                self.queue.push(end, Event::Heal);
            }
            Fault::Reset => self.reset(victim),
            Fault::Kill => self.kill_within(victim, 12),
            Fault::Regicide => {
                let leader = self.leader().unwrap_or(victim);
                self.kill_within(leader, 12);
            }
            Fault::Figure8 => self.begin_figure_8(),
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
            Fault::Membership => self.change_membership(victim),
            Fault::Transfer => {
                let leader = self.leader().unwrap_or(victim);
                let target = self.members[self.chance.index(self.members.len())].id();
                self.ask(leader, Request::TransferLeadership(target), Waiting::Nemesis);
            }
        }
        Ok(())
    }

    /// The process dies before it has carried out that many more effects.
    fn kill_within(&mut self, victim: usize, effects: usize) {
        let effects = self.chance.index(effects);
        if let Some(process) = &mut self.members[victim].process {
            process.dies_after = Some(effects);
        }
    }

    /// A member has won an election: what it began may end with it, or stay with it and a
    /// companion while the others go on.
    pub(super) fn on_coronation(&mut self, seat: usize) {
        let quiet = !self.troubled || self.figure_8.is_some();
        if quiet || !self.swarm.faults.contains_key(&Fault::Regicide) {
            return;
        }
        match self.chance.between(0, 9) {
            0..4 => self.kill_within(seat, 60),
            4..8 => {
                let companion = self.chance.index(self.members.len());
                let companion = Some(companion).filter(|_| self.chance.per_mille(600));
                self.network.isolate(seat, companion, self.members.len());
                let end = self.for_a_while();
                self.queue.push(end, Event::Heal);
            }
            _ => {}
        }
    }

    fn part(&mut self) {
        let partition = self.chance.pick(&PARTITIONS);
        self.network.part(partition, self.members.len());
        self.trace.record(self.now, &Step::Parted(partition));
        let end = self.for_a_while();
        self.queue.push(end, Event::Heal);
    }

    fn reset(&mut self, victim: usize) {
        for other in 0..self.members.len() {
            if other != victim && self.network.is_connected(victim, other) {
                self.connect(victim, other, false);
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
