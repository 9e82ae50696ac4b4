//! The network between members: which way is cut, how slow it is, and what it loses.
//!
//! Members are named by their seat in the world. Each direction between two of them is a link of
//! its own, so that partitions can be one-way. A connection is up or down beside that: a cut link
//! under a connection that is up is a half-open connection, which only time reveals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::chance::{Chance, nanos};

/// What the network does to messages while it works.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The shortest and the longest way.
    pub delay: (Duration, Duration),
    /// Messages in 1,000 that are lost.
    pub loss: u64,
    /// Messages in 1,000 that come twice, the second time late.
    pub duplicates: u64,
    /// Whether messages of one link may overtake each other.
    pub reorders: bool,
}

/// How members are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// Two groups that do not hear each other.
    Halves,
    /// One group is not heard by the other, but hears it.
    OneWay,
    /// Two groups that meet in one member only.
    Bridge,
    /// One member is alone.
    Single,
    /// Each member hears only its neighbours.
    Ring,
}

/// All kinds of partition.
pub const PARTITIONS: [Partition; 5] =
    [Partition::Halves, Partition::OneWay, Partition::Bridge, Partition::Single, Partition::Ring];

type Link = (usize, usize);

/// The links between the seats of a world.
#[derive(Debug)]
pub struct Network {
    /// What it does to messages.
    pub weather: Weather,
    cut: BTreeSet<Link>,
    slow: BTreeMap<Link, Duration>,
    connected: BTreeSet<Link>,
    newest: BTreeMap<Link, u64>,
    chance: Chance,
}

impl Network {
    /// Everything is whole, nothing is connected.
    #[must_use]
    pub fn new(weather: Weather, chance: Chance) -> Self {
        Self {
            weather,
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            connected: BTreeSet::new(),
            newest: BTreeMap::new(),
            chance,
        }
    }

    /// When a message that is sent now arrives: never, once, or twice.
    pub fn deliveries(&mut self, now: u64, from: usize, to: usize, repeatable: bool) -> Vec<u64> {
        let link = (from, to);
        if !self.is_connected(from, to)
            || self.cut.contains(&link)
            || self.chance.per_mille(self.weather.loss)
        {
            return Vec::new();
        }
        let (low, high) = self.weather.delay;
        let extra = self.slow.get(&link).copied().unwrap_or_default();
        let mut arrival = now + nanos(self.chance.time(low, high) + extra);
        let newest = self.newest.entry(link).or_default();
        if !(self.weather.reorders && repeatable) {
            arrival = arrival.max(*newest + 1);
        }
        *newest = arrival.max(*newest);
        let mut arrivals = vec![arrival];
        if repeatable && self.chance.per_mille(self.weather.duplicates) {
            arrivals.push(arrival + self.chance.between(1, 2_000_000_000));
        }
        arrivals
    }

    /// Whether a connection is up between two seats.
    #[must_use]
    pub fn is_connected(&self, a: usize, b: usize) -> bool {
        self.connected.contains(&(a.min(b), a.max(b)))
    }

    /// A connection comes up or goes down. False if it was so already.
    pub fn connect(&mut self, a: usize, b: usize, up: bool) -> bool {
        let pair = (a.min(b), a.max(b));
        if up { self.connected.insert(pair) } else { self.connected.remove(&pair) }
    }

    /// Whether both directions carry.
    #[must_use]
    pub fn is_whole(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }

    /// Whether one direction carries.
    #[must_use]
    pub fn carries(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// How long a piece of a byte stream takes: what is lost is sent again, later.
    pub fn latency(&mut self, from: usize, to: usize) -> u64 {
        let (low, high) = self.weather.delay;
        let extra = self.slow.get(&(from, to)).copied().unwrap_or_default();
        let lost = self.chance.per_mille(self.weather.loss);
        let again = if lost { self.chance.between(50_000_000, 300_000_000) } else { 0 };
        nanos(self.chance.time(low, high) + extra) + again
    }

    /// Keeps the seats apart, in random groups.
    pub fn part(&mut self, partition: Partition, seats: usize) {
        let mut order: Vec<usize> = (0..seats).collect();
        self.chance.shuffle(&mut order);
        let split = self.chance.index(seats) + 1;
        let links = |apart: &dyn Fn(usize, usize) -> bool| {
            let mut cut = BTreeSet::new();
            for (i, a) in order.iter().enumerate() {
                for (j, b) in order.iter().enumerate() {
                    if i != j && apart(i, j) {
                        cut.insert((*a, *b));
                    }
                }
            }
            cut
        };
        let across = |i: usize, j: usize| (i < split) != (j < split);
        self.cut = match partition {
            Partition::Halves => links(&across),
            Partition::OneWay => links(&|i, j| i < split && j >= split),
            Partition::Bridge => links(&|i, j| i != 0 && j != 0 && across(i, j)),
            Partition::Single => links(&|i, j| i == 0 || j == 0),
            Partition::Ring => links(&|i, j| {
                let distance = i.abs_diff(j);
                distance != 1 && distance != seats - 1
            }),
        };
    }

    /// Makes one direction between two seats slow.
    pub fn slow_down(&mut self, from: usize, to: usize, extra: Duration) {
        self.slow.insert((from, to), extra);
    }

    /// Keeps a seat apart from all others but, perhaps, one companion.
    pub fn isolate(&mut self, seat: usize, companion: Option<usize>, seats: usize) {
        self.cut.clear();
        let others = (0..seats).filter(|other| *other != seat && Some(*other) != companion);
        self.cut.extend(others.flat_map(|other| [(seat, other), (other, seat)]));
    }

    /// Nothing gets through any more from some seats to others.
    pub fn separate(&mut self, from: &[usize], to: &[usize]) {
        self.cut.extend(from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))));
    }

    /// Every link carries again, at the weather's speed.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.slow.clear();
    }

    /// From now on nothing is lost, repeated, overtaken or late.
    pub fn calm(&mut self) {
        self.heal();
        let (low, _) = self.weather.delay;
        let low = low.min(Duration::from_millis(5));
        let delay = (low, low + Duration::from_millis(1));
        self.weather = Weather { delay, loss: 0, duplicates: 0, reorders: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(loss: u64, duplicates: u64, reorders: bool) -> Network {
        let delay = (Duration::ZERO, Duration::from_millis(10));
        let mut network =
            Network::new(Weather { delay, loss, duplicates, reorders }, Chance::new(5));
        for a in 0..5 {
            assert!((0..a).all(|b| network.connect(a, b, true)));
        }
        network
    }

    #[test]
    fn an_ordered_link_keeps_its_order_and_an_unordered_one_does_not() {
        for reorders in [false, true] {
            let mut network = network(0, 0, reorders);
            let arrivals: Vec<u64> =
                (0..100).flat_map(|now| network.deliveries(now, 0, 1, true)).collect();
            assert_eq!(arrivals.len(), 100);
            assert_eq!(arrivals.is_sorted(), !reorders);
        }
    }

    #[test]
    fn loss_and_duplicates_happen_as_often_as_said() {
        let mut network = network(500, 500, true);
        let mut counts = [0; 3];
        for now in 0..1_000 {
            counts[network.deliveries(now, 0, 1, true).len()] += 1;
        }
        assert!(counts.iter().all(|count| *count > 150), "{counts:?}");
        assert!((0..100).all(|now| network.deliveries(now, 0, 1, false).len() < 2));
    }

    #[test]
    fn each_partition_has_its_shape() {
        let cut = |partition| {
            let mut network = network(0, 0, false);
            network.part(partition, 5);
            let links = (0..5).flat_map(|a| (0..5).map(move |b| (a, b))).filter(|(a, b)| a != b);
            let cut: BTreeSet<Link> =
                links.filter(|(a, b)| network.deliveries(0, *a, *b, true).is_empty()).collect();
            network.heal();
            assert!(network.is_whole(0, 1));
            cut
        };
        let symmetric = |cut: &BTreeSet<Link>| cut.iter().all(|(a, b)| cut.contains(&(*b, *a)));
        assert_eq!(cut(Partition::Single).len(), 8);
        assert_eq!(cut(Partition::Ring).len(), 10);
        assert!(symmetric(&cut(Partition::Halves)));
        assert!(symmetric(&cut(Partition::Bridge)));
        let one_way = cut(Partition::OneWay);
        assert!(one_way.is_empty() || !symmetric(&one_way));
    }
}
