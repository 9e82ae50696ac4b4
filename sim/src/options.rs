//! The command line.

use std::fmt;
use std::ops::Range;

/// Which world is lived through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Replicas, by messages.
    Core,
    /// Whole hosts, by bytes.
    Host,
}

/// A bug that the simulator puts into the cluster, to show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The disk answers before it has synced.
    AckBeforeSync,
    /// A crash takes the newest vote with it, durable or not.
    VoteNotPersisted,
    /// Who lost its disk comes back under its old id.
    WipedReturns,
    /// Whoever looks for overdue nodes has a wall clock a second fast that nobody knows of.
    HastyLeader,
    /// Members forget v2 events one index too early.
    ShortHistory,
}

const PLANTS: [(&str, Plant); 5] = [
    ("ack-before-sync", Plant::AckBeforeSync),
    ("vote-not-persisted", Plant::VoteNotPersisted),
    ("wiped-returns", Plant::WipedReturns),
    ("hasty-leader", Plant::HastyLeader),
    ("short-history", Plant::ShortHistory),
];

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which seeds, without the last.
    pub seeds: Range<u64>,
    /// See there.
    pub world: World,
    /// Tell every step.
    pub trace: bool,
    /// Run every seed twice and compare.
    pub twice: bool,
    /// See there.
    pub plant: Option<Plant>,
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{USAGE}", self.0)
    }
}

const USAGE: &str = "usage: cargo sim --seeds A..B [--world core|host] [--twice] [--plant BUG]
       cargo sim --seed N [--trace] [--world core|host] [--plant BUG]
bugs:  ack-before-sync, vote-not-persisted, wiped-returns, hasty-leader, short-history";

impl Options {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// When they make no sense; the error tells the usage.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Misuse> {
        let mut seeds = None;
        let (mut world, mut trace, mut twice, mut plant) = (World::Core, false, false, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().ok_or_else(|| Misuse(format!("{argument} needs a value")));
            match argument.as_str() {
                "--seeds" => seeds = Some(range(&value()?)?),
                "--seed" => {
                    let seed = number(&value()?)?;
                    seeds = Some(seed..seed.saturating_add(1));
                }
                "--world" => world = world_of(&value()?)?,
                "--plant" => plant = Some(plant_of(&value()?)?),
                "--trace" => trace = true,
                "--twice" => twice = true,
                _ => return Err(Misuse(format!("{argument} is not known"))),
            }
        }
        let seeds = seeds.ok_or_else(|| Misuse("no seeds are given".into()))?;
        if trace && seeds.end - seeds.start != 1 {
            return Err(Misuse("--trace tells one seed".into()));
        }
        Ok(Self { seeds, world, trace, twice, plant })
    }

    /// The command that lives through one seed again.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let world = if self.world == World::Host { " --world host" } else { "" };
        let plant = PLANTS.iter().find(|(_, plant)| Some(*plant) == self.plant);
        let plant = plant.map_or(String::new(), |(name, _)| format!(" --plant {name}"));
        format!("cargo sim --seed {seed} --trace{world}{plant}")
    }
}

fn number(text: &str) -> Result<u64, Misuse> {
    text.parse().map_err(|_| Misuse(format!("{text} is not a seed")))
}

fn range(text: &str) -> Result<Range<u64>, Misuse> {
    let ends = text.split_once("..").ok_or_else(|| Misuse(format!("{text} is not A..B")))?;
    let range = number(ends.0)?..number(ends.1)?;
    if range.is_empty() { Err(Misuse(format!("{text} holds no seed"))) } else { Ok(range) }
}

fn world_of(name: &str) -> Result<World, Misuse> {
    match name {
        "core" => Ok(World::Core),
        "host" => Ok(World::Host),
        _ => Err(Misuse(format!("{name} is not a world"))),
    }
}

fn plant_of(name: &str) -> Result<Plant, Misuse> {
    let plant = PLANTS.iter().find(|(known, _)| *known == name).map(|(_, plant)| *plant);
    plant.ok_or_else(|| Misuse(format!("{name} is not a known bug")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Misuse> {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn lines_are_read_and_a_failure_can_be_replayed() {
        let options = parse("--seeds 3..9 --world host").expect("it is a good line");
        assert_eq!((options.seeds.clone(), options.world), (3..9, World::Host));
        assert_eq!(options.replay(4), "cargo sim --seed 4 --trace --world host");
        let again = parse("--seed 4 --trace --world host").expect("it is a good line");
        assert_eq!(again.seeds, 4..5);
    }

    #[test]
    fn every_bug_is_in_the_usage() {
        for (name, plant) in PLANTS {
            assert!(USAGE.contains(name), "{name}");
            assert_eq!(plant_of(name), Ok(plant));
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (line, reason) in [
            ("", "no seeds are given"),
            ("--seeds 5", "5 is not A..B"),
            ("--seeds 5..5", "5..5 holds no seed"),
            ("--seeds 0..9 --trace", "--trace tells one seed"),
            ("--seed", "--seed needs a value"),
            ("--seed 1 --world moon", "moon is not a world"),
            ("--seed 1 --plant tree", "tree is not a known bug"),
            ("--fast", "--fast is not known"),
        ] {
            let misuse = parse(line).expect_err("it is nonsense").to_string();
            assert!(misuse.starts_with(reason), "{misuse}");
        }
    }
}
