//! Many seeds in one process: each on a fresh thread, so that nothing of one reaches another.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::check::{Verdict, Violation};
use crate::core_world::CoreWorld;
use crate::host_world::HostWorld;
use crate::options::{Options, World};
use crate::trace::Trace;

/// What came of a seed.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// The rule that broke, if one did. A panic counts as one.
    pub verdict: Verdict,
    /// Sums up every step; equal for equal runs.
    pub hash: u64,
    /// How many steps were recorded.
    pub steps: u64,
    /// The steps, where they were to be told.
    pub lines: Vec<String>,
}

/// Runs all seeds on as many threads as the machine has processors. `each` hears the reports in
/// the order of the seeds.
pub fn run(options: &Options, mut each: impl FnMut(Report)) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(options.seeds.start);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end || sender.send(run_seed(seed, options)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = std::collections::BTreeMap::new();
        let mut expected = options.seeds.start;
        for report in receiver {
            early.insert(report.seed, report);
            while let Some(report) = early.remove(&expected) {
                expected += 1;
                each(report);
            }
        }
    });
}

/// Runs one seed, or the same one twice, on fresh threads.
#[must_use]
pub fn run_seed(seed: u64, options: &Options) -> Report {
    let once = || {
        let options = options.clone();
        let run = thread::spawn(move || live(seed, &options));
        run.join().unwrap_or_else(|panic| failed(seed, &*panic))
    };
    let mut report = once();
    if options.twice && report.verdict.is_ok() && once().hash != report.hash {
        report.verdict = Err(Violation("two runs of the seed differ".into()));
    }
    report
}

fn failed(seed: u64, panic: &(dyn Any + Send)) -> Report {
    let verdict = Err(Violation(told(panic)));
    Report { seed, verdict, hash: 0, steps: 0, lines: Vec::new() }
}

/// What a panic says, without the place: that is on standard error.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without a message"))
}

fn live(seed: u64, options: &Options) -> Report {
    match options.world {
        World::Core => live_core(seed, options),
        World::Host => live_host(seed, options),
    }
}

fn live_core(seed: u64, options: &Options) -> Report {
    let mut world = CoreWorld::new(seed, options.plant, options.trace);
    let swarm = options.trace.then(|| format!("{:?}", world.swarm()));
    let verdict = catch_unwind(AssertUnwindSafe(|| world.run()));
    report(seed, verdict, swarm, world.trace)
}

fn live_host(seed: u64, options: &Options) -> Report {
    let mut world = HostWorld::new(seed, options.plant, options.trace);
    let swarm = options.trace.then(|| format!("{:?}", world.swarm()));
    let verdict = catch_unwind(AssertUnwindSafe(|| enclosed(seed, || world.run())));
    report(seed, verdict, swarm, world.trace)
}

/// Runs something where the system's clock and randomness are virtual, whoever asks for them: a
/// protocol crate's hash map, say, must not make two runs differ.
#[cfg(madsim)]
fn enclosed<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    let runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.block_on(async { run() })
}

#[cfg(not(madsim))]
fn enclosed<T>(_: u64, run: impl FnOnce() -> T) -> T {
    run()
}

fn report(
    seed: u64,
    verdict: Result<Verdict, Box<dyn Any + Send>>,
    swarm: Option<String>,
    trace: Trace,
) -> Report {
    let verdict = verdict.unwrap_or_else(|panic| Err(Violation(told(&*panic))));
    let (hash, steps) = (trace.hash(), trace.steps());
    let mut lines: Vec<String> = swarm.into_iter().collect();
    lines.extend(trace.into_lines());
    Report { seed, verdict, hash, steps, lines }
}
