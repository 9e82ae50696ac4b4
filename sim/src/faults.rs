//! What a seed draws: the cluster, its knobs, and which faults strike how often.
//!
//! A swarm: each seed takes its own subset of faults at its own rates, because a world with every
//! fault at once rarely gets far enough to meet the rare ones. Some seeds draw no fault at all;
//! there the cluster must stay perfectly quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chance::Chance;
use crate::network::Weather;

/// What can befall a cluster. All of them together are ordered, so that drawing is repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Members are kept apart for a while.
    Partition,
    /// One direction of a link becomes slow for a while.
    SlowLink,
    /// Connections are reset.
    Reset,
    /// A process is killed between any two effects, and started again later.
    Kill,
    /// One or all machines lose power, and start again later.
    PowerCut,
    /// A process stands still for a while.
    Pause,
    /// A member's wall clock jumps.
    ClockJump,
    /// A disk is slow for a while.
    SlowDisk,
    /// A disk is full for a while.
    FullDisk,
    /// A sync fails.
    FailedSync,
    /// A member is added, promoted or removed.
    Membership,
    /// Leadership is handed over.
    Transfer,
    /// Whoever has just won an election may be killed before it is through with its first words:
    /// what it began to replicate is left on a few members.
    Regicide,
    /// A leader's entry is left with a minority, then brought to a majority by a later leader that
    /// is silenced right there (Raft paper, figure 8).
    Figure8,
}

/// All faults.
pub const FAULTS: [Fault; 14] = [
    Fault::Partition,
    Fault::SlowLink,
    Fault::Reset,
    Fault::Kill,
    Fault::PowerCut,
    Fault::Pause,
    Fault::ClockJump,
    Fault::SlowDisk,
    Fault::FullDisk,
    Fault::FailedSync,
    Fault::Membership,
    Fault::Transfer,
    Fault::Regicide,
    Fault::Figure8,
];

/// Sizes that change nothing but where work is cut.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// The base of the election timeout.
    pub election_timeout: Duration,
    /// How often a leader proves itself.
    pub heartbeat_interval: Duration,
    /// Whether candidates ask before they disturb.
    pub pre_vote: bool,
    /// A log segment.
    pub segment_bytes: u64,
    /// The log behind a checkpoint that makes the next one start.
    pub checkpoint_log_bytes: u64,
    /// Entries kept behind a checkpoint.
    pub entries_kept: u64,
    /// The parts in which a snapshot travels.
    pub snapshot_part_bytes: usize,
    /// Past events that v2 watches may begin in.
    pub v2_history_events: usize,
    /// Keys in one slice of long work.
    pub slice_keys: usize,
    /// Append messages in flight.
    pub inflight_messages_max: usize,
    /// Append bytes in flight.
    pub inflight_bytes_max: usize,
    /// The size that append messages are filled to.
    pub append_bytes_target: usize,
    /// The in-memory tail of the log.
    pub tail_bytes_max: usize,
    /// Proposals are refused above this.
    pub uncommitted_bytes_max: usize,
}

/// Everything that a seed decides before its world begins.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Members of the first configuration.
    pub voters: usize,
    /// Seats for members that may be added.
    pub spares: usize,
    /// Clients, each with one operation at a time.
    pub clients: usize,
    /// The longest that a client waits before its next operation.
    pub think_max: Duration,
    /// How many keys the clients share.
    pub keys: u64,
    /// See there.
    pub knobs: Knobs,
    /// See there.
    pub weather: Weather,
    /// How long a disk takes while it is well.
    pub disk_latency: (Duration, Duration),
    /// How fast members' clocks run, in thousandths of true speed, at the extremes.
    pub clock_speed: (u64, u64),
    /// The mean time between two faults of a kind; absent kinds never strike.
    pub faults: BTreeMap<Fault, Duration>,
    /// How long faults strike.
    pub trouble: Duration,
    /// Claims in 1,000 that are checked against the platter.
    pub claims_checked: u64,
    /// Keys of a client's range are often many.
    pub large_ranges: bool,
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Swarm {
    /// What this seed draws.
    #[must_use]
    pub fn draw(chance: &mut Chance) -> Self {
        let calm = chance.per_mille(100);
        let voters = chance.pick(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7]);
        let faults = if calm { BTreeMap::new() } else { draw_faults(chance) };
        let moves_members = faults.contains_key(&Fault::Membership);
        let spares = if moves_members { chance.pick(&[1, 2, 3]) } else { 0 };
        let knobs = draw_knobs(chance);
        let timeout = knobs.election_timeout;
        Self {
            voters,
            spares,
            clients: chance.pick(&[1, 2, 4, 8]),
            think_max: chance.pick(&[ms(5), ms(20), ms(100)]),
            keys: chance.pick(&[1, 3, 10, 100]),
            weather: if calm { fair() } else { draw_weather(chance, timeout) },
            disk_latency: if calm { (ms(0), ms(2)) } else { draw_disk_latency(chance) },
            clock_speed: if calm {
                (1_000, 1_000)
            } else {
                chance.pick(&[(1_000, 1_000), (950, 1_050), (800, 1_250)])
            },
            faults,
            trouble: chance.time(ms(1_500), ms(7_000)),
            claims_checked: chance.pick(&[0, 5, 20, 100]),
            large_ranges: chance.per_mille(300),
            knobs,
        }
    }

    /// Whether nothing but the first start can make anyone campaign.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.faults.is_empty()
            && self.weather.loss == 0
            && self.clock_speed == (1_000, 1_000)
            && self.weather.delay.1 <= ms(10)
    }
}

fn draw_faults(chance: &mut Chance) -> BTreeMap<Fault, Duration> {
    let share = chance.pick(&[100, 300, 500]);
    let mut faults = BTreeMap::new();
    for fault in FAULTS {
        if chance.per_mille(share) {
            faults.insert(fault, chance.time(ms(150), ms(4_000)));
        }
    }
    faults
}

fn draw_knobs(chance: &mut Chance) -> Knobs {
    let election_timeout = chance.pick(&[ms(200), ms(500), ms(1_000)]);
    let beats = chance.pick(&[3, 5, 10]);
    Knobs {
        election_timeout,
        heartbeat_interval: election_timeout / beats,
        pre_vote: chance.per_mille(800),
        segment_bytes: chance.pick(&[64 << 10, 64 << 10, 256 << 10]),
        checkpoint_log_bytes: chance.pick(&[4 << 10, 32 << 10, 256 << 10, 1 << 30]),
        entries_kept: chance.pick(&[0, 1, 10, 1_000]),
        snapshot_part_bytes: chance.pick(&[1_000, 10_000, 128 << 10]),
        v2_history_events: chance.pick(&[3, 30, 1_000]),
        slice_keys: chance.pick(&[1, 2, 7, 1_000]),
        inflight_messages_max: chance.pick(&[1, 2, 16, 256]),
        inflight_bytes_max: chance.pick(&[1, 1_000, 16 << 20]),
        append_bytes_target: chance.pick(&[1, 200, 4_000, 1 << 20]),
        tail_bytes_max: chance.pick(&[2_000, 20_000, 64 << 20]),
        uncommitted_bytes_max: chance.pick(&[20_000, 128 << 20, 128 << 20]),
    }
}

fn fair() -> Weather {
    Weather { delay: (ms(0), ms(5)), loss: 0, duplicates: 0, reorders: false }
}

fn draw_weather(chance: &mut Chance, election_timeout: Duration) -> Weather {
    let slowest = chance.pick(&[ms(1), ms(10), election_timeout / 10, election_timeout / 4]);
    Weather {
        delay: (slowest / chance.pick(&[2, 10, 100]), slowest),
        loss: chance.pick(&[0, 0, 10, 50, 200]),
        duplicates: chance.pick(&[0, 0, 20, 200]),
        reorders: chance.per_mille(400),
    }
}

fn draw_disk_latency(chance: &mut Chance) -> (Duration, Duration) {
    chance.pick(&[(ms(0), ms(0)), (ms(0), ms(2)), (ms(1), ms(30)), (ms(0), ms(100))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_seeds_draw_every_fault_and_some_draw_none() {
        let mut chance = Chance::new(1);
        let swarms: Vec<Swarm> = (0..1_000).map(|_| Swarm::draw(&mut chance)).collect();
        for fault in FAULTS {
            assert!(swarms.iter().any(|swarm| swarm.faults.contains_key(&fault)), "{fault:?}");
        }
        assert!(swarms.iter().any(Swarm::is_calm));
        assert!((1..=7).all(|voters| swarms.iter().any(|swarm| swarm.voters == voters)));
    }
}
