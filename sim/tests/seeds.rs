//! Seeds that every test run lives through, and that a seed fixes its world.

use quorra_sim::options::{Options, Plant, World};
use quorra_sim::runner::{self, Report};

fn options(world: World, plant: Option<Plant>) -> Options {
    Options { seeds: 0..1, world, trace: false, twice: false, plant }
}

fn passes(report: &Report, options: &Options) {
    if let Err(violation) = &report.verdict {
        panic!("seed {}: {violation}\n  {}", report.seed, options.replay(report.seed));
    }
}

/// Seeds that found a bug once: `world seed # what it found`.
fn remembered() -> impl Iterator<Item = (World, u64)> {
    include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut words = line.split_whitespace();
        let world = match words.next() {
            Some("core") => World::Core,
            Some("host") => World::Host,
            other => panic!("{other:?} is not a world"),
        };
        let seed = words.next().and_then(|word| word.parse().ok());
        (world, seed.expect("a line names a seed"))
    })
}

#[test]
fn the_simulator_is_built_with_its_setting() {
    let set = cfg!(madsim);
    assert!(set, "the environment's RUSTFLAGS replaced --cfg madsim of .cargo/config.toml");
}

#[test]
fn the_core_world_keeps_every_rule() {
    let options = Options { seeds: 0..60, ..options(World::Core, None) };
    runner::run(&options, |report| passes(&report, &options));
}

#[test]
fn the_host_world_keeps_every_rule() {
    let options = Options { seeds: 0..40, ..options(World::Host, None) };
    runner::run(&options, |report| passes(&report, &options));
}

#[test]
fn seeds_that_found_a_bug_find_none_any_more() {
    for (world, seed) in remembered() {
        let options = options(world, None);
        passes(&runner::run_seed(seed, &options), &options);
    }
}

#[test]
fn a_seed_fixes_its_world() {
    for world in [World::Core, World::Host] {
        let options = Options { twice: true, ..options(world, None) };
        let reports: Vec<Report> = (0..6).map(|seed| runner::run_seed(seed, &options)).collect();
        reports.iter().for_each(|report| passes(report, &options));
        let differ = reports.windows(2).all(|pair| pair[0].hash != pair[1].hash);
        assert!(differ, "different seeds are different worlds");
    }
}

#[test]
fn planted_bugs_are_found() {
    let plants = [
        (World::Core, Plant::AckBeforeSync, 0..100),
        (World::Core, Plant::VoteNotPersisted, 0..1_000),
        (World::Core, Plant::WipedReturns, 0..1_000),
        (World::Core, Plant::HastyLeader, 0..1_000),
        (World::Host, Plant::ShortHistory, 0..200),
    ];
    for (world, plant, seeds) in plants {
        let options = Options { seeds, ..options(world, Some(plant)) };
        let found =
            options.seeds.clone().any(|seed| runner::run_seed(seed, &options).verdict.is_err());
        assert!(found, "{plant:?} was not found");
    }
}
