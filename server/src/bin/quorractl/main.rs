//! `quorractl`: etcdctl's verbs against a running cluster, over its HTTP interfaces.
//!
//! Output and exit codes are etcdctl's: scripts that read them keep working.

mod cluster;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use quorra::urls::Url;

/// What a verb prints, or why it failed.
type Outcome = Result<String, Failure>;

/// Why a verb failed.
struct Failure {
    /// The exit code.
    code: u8,
    /// What was found before it failed; for stdout.
    output: String,
    /// For stderr.
    message: String,
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(output) => {
            print!("{output}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            print!("{}", failure.output);
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn command() -> Command {
    Command::new("quorractl")
        .about("Asks a Quorra (or etcd) cluster.")
        .arg(
            Arg::new("endpoints")
                .long("endpoints")
                .global(true)
                .default_value("127.0.0.1:2379")
                .help("Client URLs, separated by commas; http:// may be left out."),
        )
        .arg(
            Arg::new("command-timeout")
                .long("command-timeout")
                .global(true)
                .default_value("5s")
                .value_parser(humantime::parse_duration)
                .help("How long each endpoint may take."),
        )
        .subcommand_required(true)
        .subcommand(Command::new("version").about("Print the version."))
        .subcommand(Command::new("cluster-health").about("Check the health of every member."))
        .subcommand(
            Command::new("endpoint")
                .about("Ask about the endpoints themselves.")
                .subcommand_required(true)
                .subcommand(Command::new("health").about("Check the health of the endpoints.")),
        )
        .subcommand(
            Command::new("member")
                .about("Ask about the members.")
                .subcommand_required(true)
                .subcommand(Command::new("list").about("List the members.")),
        )
}

fn run(matches: &ArgMatches) -> Outcome {
    let endpoints = endpoints(matches)?;
    let timeout =
        matches.get_one::<Duration>("command-timeout").copied().expect("the timeout has a default");
    match matches.subcommand() {
        Some(("version", _)) => Ok(format!(
            "quorractl version: {}\nAPI version: {}\n",
            env!("CARGO_PKG_VERSION"),
            quorra::ETCD_VERSION
        )),
        Some(("cluster-health", _)) => cluster::health(&endpoints, timeout),
        Some(("endpoint", _)) => cluster::endpoint_health(&endpoints, timeout),
        Some(("member", _)) => cluster::member_list(&endpoints, timeout),
        _ => unreachable!("clap requires one of the commands above"),
    }
}

fn endpoints(matches: &ArgMatches) -> Result<Vec<Url>, Failure> {
    let text = matches.get_one::<String>("endpoints").expect("the endpoints have a default");
    let parse = |endpoint: &str| match endpoint.contains("://") {
        true => Url::parse(endpoint),
        false => Url::parse(&format!("http://{endpoint}")),
    };
    text.split(',')
        .map(|endpoint| parse(endpoint.trim()))
        .collect::<Result<_, _>>()
        .map_err(|message| Failure { code: 1, output: String::new(), message })
}
