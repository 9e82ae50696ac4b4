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

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command};

use api::Api;
use failure::{Failure, Outcome};
use flags::Flags;

/// etcdctl's exit code for a v2 verb that there is not.
const NO_HELP: u8 = 3;

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
        Err(error) => Err(refusal(api, &error)),
    }
}

/// Why a command line is refused. What etcdctl has no verb for, its v2 has no help for either.
fn refusal(api: Api, error: &clap::Error) -> Failure {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(verb)) if api == Api::V2 => {
            Failure::new(NO_HELP, format!("No help topic for '{verb}'"))
        }
        _ => Failure { code: 1, message: error.to_string() },
    }
}

/// The help for a verb that stands for those below it; none for one that does something itself.
fn group_help(mut command: Command, path: &[&str]) -> Option<StyledStr> {
    command.build();
    let verb = path.iter().try_fold(&mut command, |above, name| above.find_subcommand_mut(name))?;
    verb.has_subcommands().then(|| verb.render_help())
}

/// Finds the verb and performs it. One that needs another below it, and has none, gets help, as in
/// etcdctl.
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
    if let Some(help) = group_help(command.clone(), &path) {
        return Ok(write!(out, "{help}")?);
    }
    let flags = Flags::new(matches, environment);
    let verb = *path.first().expect("without a verb there is help");
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
        // The beginning of a verb is enough, as in etcdctl, but only in its v3.
        .infer_subcommands(api == Api::V3)
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
    /// What a command line that needs no server prints.
    fn said(arguments: &[&str]) -> Result<String, Failure> {
        let mut out = Vec::new();
        let arguments = arguments.iter().map(OsString::from);
        run(arguments, std::iter::empty(), &mut out)?;
        Ok(String::from_utf8(out).expect("help is text"))
    }

    #[test]
    fn a_verb_that_stands_for_others_prints_help() {
        let groups: [&[&str]; 7] = [
            &["member"],
            &["endpoint", "--cluster"],
            &["--api=2", "member"],
            &["--api=2", "user", "--debug"],
            &["--api=2", "role"],
            &["--api=2", "auth"],
            &[],
        ];
        for group in groups {
            let help = said(group).expect("help is no failure");
            assert!(help.contains("\nCommands:\n"), "{group:?}: {help}");
            let verb = group.iter().find(|it| !it.starts_with('-'));
            let verb = verb.map(|verb| format!(" {verb}")).unwrap_or_default();
            assert!(help.contains(&format!("Usage: quorractl{verb} [")), "{group:?}: {help}");
        }
    }

    #[test]
    fn the_beginning_of_a_verb_is_enough_in_v3() {
        let help = said(&["mem", "rem", "--help"]).expect("help is no failure");
        assert!(help.contains("Usage: quorractl member remove "), "{help}");
        assert!(said(&["me", "p"]).is_err_and(|failure| failure.message.contains("ID")));
        assert_eq!(said(&["--api=2", "mem"]).map_err(|failure| failure.code), Err(3));
        assert_eq!(said(&["m"]).map_err(|failure| failure.code), Err(1), "member, mk or mkdir");
    }

    #[test]
    fn an_unknown_verb_is_refused_with_the_exit_code_of_its_api() {
        let no_help = Failure { code: 3, message: "No help topic for 'bogus'\n".into() };
        for arguments in [&["--api=2", "bogus"][..], &["--api=2", "member", "bogus", "x"]] {
            assert_eq!(said(arguments).as_ref(), Err(&no_help), "{arguments:?}");
        }
        for arguments in [&["bogus"][..], &["member", "bogus"]] {
            let failure = said(arguments).expect_err("there is no such verb");
            assert_eq!(failure.code, 1, "{arguments:?}");
            assert!(failure.message.contains("'bogus'"), "{}", failure.message);
        }
    }
}
