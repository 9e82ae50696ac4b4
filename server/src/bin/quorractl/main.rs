//! `quorractl`: etcdctl's verbs of both APIs against a running cluster, over HTTP alone.
//!
//! Output and exit codes are those of etcdctl 3.4, so that scripts keep working. A verb belongs to
//! one API; `--api` or `ETCDCTL_API` (by default 3, as in etcdctl) decide only for those that both
//! have. The v3 verbs speak to the JSON gateway: they work with any etcd since 3.4.

mod api;
mod completion;
mod connect;
mod endpoints;
mod failure;
mod flags;
mod go;
mod password;
mod v2;
mod v3;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use api::Api;
use failure::{Failure, Outcome};
use flags::Flags;

/// Stands below the list of verbs.
const ABOUT_APIS: &str = "\
Verbs marked [v2] or [v3] speak that API. Those that both APIs have (get, member, watch, user, role, \
auth) speak the one that --api or ETCDCTL_API names, 3 if none does:

  quorractl set /message Hello            v2, for only v2 has it
  quorractl --api 2 get /message
  quorractl put name value                v3, for only v3 has it
  quorractl get name

Flags are etcdctl's under both names (--cacert, --ca-file). Each is also a variable, --endpoints \
ETCDCTL_ENDPOINTS; the flag goes before it.";

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let outcome = run(std::env::args_os().skip(1), std::env::vars_os(), &mut out);
    let outcome = outcome.and_then(|()| Ok(out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Does what the command line asks for.
fn run(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    out: &mut dyn Write,
) -> Outcome {
    let text = |argument: OsString| {
        let wrong = |it| Failure::usage(format!("an argument is not valid UTF-8: {it:?}"));
        argument.into_string().map_err(wrong)
    };
    let arguments = arguments.map(text).collect::<Result<Vec<_>, _>>()?;
    let known = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("ETCDCTL_"))?;
        Some((name, value.into_string().ok()?))
    };
    let environment: BTreeMap<_, _> = environment.filter_map(known).collect();
    let variable = environment.get("ETCDCTL_API").map(String::as_str);
    let api = Api::of(&arguments, variable).map_err(|reason| Failure::new(1, reason))?;
    let command = command(api);
    let arguments = flags::normalise(arguments, &command);
    let arguments = std::iter::once("quorractl".to_string()).chain(arguments);
    match command.clone().try_get_matches_from(arguments) {
        Ok(matches) => perform(api, &matches, &environment, command, out),
        Err(error) if error.exit_code() == 0 => Ok(write!(out, "{error}")?),
        Err(error) => Err(Failure { code: 1, message: error.to_string() }),
    }
}

/// Finds the verb and performs it.
fn perform(
    api: Api,
    matches: &ArgMatches,
    environment: &BTreeMap<String, String>,
    command: Command,
    out: &mut dyn Write,
) -> Outcome {
    let mut path = Vec::new();
    let mut matches = matches;
    while let Some((verb, below)) = matches.subcommand() {
        path.push(verb);
        matches = below;
    }
    let flags = Flags::new(matches, environment);
    let verb = *path.first().expect("clap requires a verb");
    match verb {
        "completion" => completion::run(&flags, command, out),
        _ if api_of(verb, api) == Api::V2 => v2::run(&path, &flags, out),
        _ => v3::run(&path, &flags, out),
    }
}

/// The API that a verb speaks when this one is asked for.
fn api_of(verb: &str, asked: Api) -> Api {
    let has = |commands: Vec<Command>| commands.iter().any(|it| it.get_name() == verb);
    match asked {
        Api::V2 if has(v2::commands()) => Api::V2,
        Api::V2 => Api::V3,
        Api::V3 if has(v3::commands()) => Api::V3,
        Api::V3 => Api::V2,
    }
}

/// The command line: the verbs of one API, and those that only the other one has.
fn command(api: Api) -> Command {
    let (mut verbs, others) = match api {
        Api::V2 => (v2::commands(), v3::commands()),
        Api::V3 => (v3::commands(), v2::commands()),
    };
    let names: BTreeSet<_> = verbs.iter().map(|verb| verb.get_name().to_string()).collect();
    verbs.extend(others.into_iter().filter(|verb| !names.contains(verb.get_name())));
    verbs.sort_by_key(|verb| verb.get_name().to_string());
    Command::new("quorractl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Asks a Quorra or etcd cluster.")
        .after_help(ABOUT_APIS)
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(flags::global())
        .subcommands(verbs.into_iter().map(|verb| verb.args_override_self(true)))
        .subcommand(completion::command())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_of_both_apis_are_sound() {
        for api in [Api::V2, Api::V3] {
            command(api).debug_assert();
        }
    }

    #[test]
    fn a_verb_of_one_api_speaks_it_whichever_is_asked_for() {
        for asked in [Api::V2, Api::V3] {
            for verb in ["set", "mk", "ls", "cluster-health", "exec-watch"] {
                assert_eq!(api_of(verb, asked), Api::V2, "{verb}");
            }
            for verb in ["put", "del", "txn", "endpoint", "version"] {
                assert_eq!(api_of(verb, asked), Api::V3, "{verb}");
            }
            for verb in ["get", "member", "user", "role", "auth", "watch"] {
                assert_eq!(api_of(verb, asked), asked, "{verb}");
            }
        }
    }
}
