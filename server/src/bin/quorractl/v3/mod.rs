//! The verbs of etcdctl 3.4 that the server's v3 API has: same output, same exit codes.
//!
//! They speak to the JSON gateway, whose answers are read into the types of [`message`] and
//! printed from them in one of the forms of [`output`].

mod endpoints;
mod gateway;
mod keys;
mod members;
mod message;
mod output;
mod transaction;

use std::io::Write;

use clap::Command;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, verb};

/// etcdctl's exit codes.
const ERROR: u8 = 1;
const INVALID_INPUT: u8 = 3;
const BAD_FEATURE: u8 = 4;
const BAD_ARGUMENTS: u8 = 128;

/// The verbs.
pub(crate) fn commands() -> Vec<Command> {
    // Without these an etcdctl user would change the users of the other API, and watch its keys.
    let missing =
        ["auth", "role", "user", "watch"].map(|name| verb(name, "Only with --api 2.", ""));
    let mut commands = keys::commands();
    commands.extend([
        transaction::command(),
        members::command(),
        endpoints::command(),
        verb("version", "Print the version. [v3]", ""),
    ]);
    commands.extend(missing);
    commands
}

/// Performs a verb: its name, and that of the verb below it if there is one.
pub(crate) fn run(path: &[&str], flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    match path {
        [verb @ ("get" | "put" | "del"), ..] => keys::run(verb, flags, out),
        ["txn", ..] => transaction::run(flags, out),
        ["member", verb, ..] => members::run(verb, flags, out),
        ["endpoint", verb, ..] => endpoints::run(verb, flags, out),
        ["version", ..] => Ok(write!(out, "{}", version())?),
        [verb, ..] => Err(Failure::usage(format!(
            "{verb} is not built for the v3 API; --api 2 or ETCDCTL_API=2 reaches the v2 API's"
        ))),
        [] => unreachable!("clap requires a verb"),
    }
}

fn version() -> String {
    let release = quorra::ETCD_VERSION.rsplit_once('.').map_or("", |(release, _)| release);
    format!("quorractl version: {}\nAPI version: {release}\n", env!("CARGO_PKG_VERSION"))
}

/// A failure with etcdctl's word before it.
fn failed(code: u8, error: impl std::fmt::Display) -> Failure {
    Failure::new(code, format!("Error: {error}"))
}
