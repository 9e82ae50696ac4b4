//! `cargo sim`: lives through seeds, and tells which of them broke a rule.

use std::process::ExitCode;

use quorra_sim::options::Options;
use quorra_sim::runner;

fn main() -> ExitCode {
    if !cfg!(madsim) {
        eprintln!("the simulator needs --cfg madsim: RUSTFLAGS has replaced .cargo/config.toml's");
        return ExitCode::from(2);
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(misuse) => {
            eprintln!("{misuse}");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let (mut passed, mut failed) = (0, 0);
    runner::run(&options, |report| {
        report.lines.iter().for_each(|line| println!("{line}"));
        if options.trace {
            println!("{} steps, trace hash {:016x}", report.steps, report.hash);
        }
        match report.verdict {
            Ok(()) => passed += 1,
            Err(violation) => {
                failed += 1;
                println!("seed {}: {violation}", report.seed);
                println!("  {}", options.replay(report.seed));
            }
        }
    });
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
