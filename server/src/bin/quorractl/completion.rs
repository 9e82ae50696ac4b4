//! `completion`: a script that lets a shell complete command lines.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, verb};

/// The verb.
pub(crate) fn command() -> Command {
    verb("completion", "Print a script for completion by bash, zsh or fish.", "SHELL").after_help(
        "For bash: source <(quorractl completion bash)\n\
         The script knows the verbs of the API that --api or ETCDCTL_API names.",
    )
}

/// Performs it for this command line.
pub(crate) fn run(flags: &Flags<'_>, mut command: Command, out: &mut dyn Write) -> Outcome {
    let shell = match flags.arguments().as_slice() {
        ["bash"] => Shell::Bash,
        ["zsh"] => Shell::Zsh,
        ["fish"] => Shell::Fish,
        _ => return Err(Failure::usage("name one shell: bash, zsh or fish")),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "quorractl", &mut script);
    out.write_all(&script)?;
    Ok(())
}
