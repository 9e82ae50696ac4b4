//! `auth`: whether users and roles count at all.

use std::io::Write;

use clap::Command;

use super::cluster::{Call, Cluster};
use super::{BAD_ARGUMENTS, expect_status, plain};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, verb};

/// The verb.
pub(super) fn command() -> Command {
    Command::new("auth").about("Turn authentication on and off. [v2]").subcommands([
        verb("auth enable", "Ask everyone for a name and a password.", ""),
        verb("auth disable", "Ask nobody.", ""),
    ])
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    if !flags.arguments().is_empty() {
        return Err(Failure::new(BAD_ARGUMENTS, "No arguments accepted"));
    }
    let mut cluster = Cluster::open(flags, out)?;
    let (method, state) = match verb {
        "enable" => ("PUT", "Enabled"),
        _ => ("DELETE", "Disabled"),
    };
    let deadline = cluster.deadline();
    let answer = cluster.call(&Call::new(method, "/v2/auth/enable"), deadline);
    answer.and_then(|answer| expect_status(&answer, &[200, 201])).map_err(plain)?;
    writeln!(out, "Authentication {state}")?;
    Ok(())
}
