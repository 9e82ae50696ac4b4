//! The flags that every verb takes, under the names of both etcdctls, and their environment.
//!
//! A flag goes before its variable. Names may have one dash or two, as Go allows.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::go;

/// A flag with a value. Whatever follows it is its value, as in Go.
pub(crate) fn valued(name: &'static str, help: &'static str) -> Arg {
    let argument = Arg::new(name).long(name).num_args(1).allow_hyphen_values(true);
    argument.value_name("VALUE").help(help)
}

/// A flag that holds or not: `--flag`, `--flag=true`, `--flag=false`.
pub(crate) fn boolean(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("true|false")
        .hide_possible_values(true)
        .value_parser(go::parse_bool)
        .help(help)
}

/// A flag with a whole number.
pub(crate) fn number(name: &'static str, help: &'static str) -> Arg {
    let parse = |text: &str| text.parse::<i64>().map_err(|_| "not a number".to_string());
    valued(name, help).value_name("NUMBER").value_parser(parse)
}

fn duration(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).value_name("DURATION").value_parser(go::parse_duration)
}

/// A verb that takes any arguments: it says itself what is wrong with them, in etcdctl's words.
/// `path` is its name behind that of the verb above it, if there is one.
pub(crate) fn verb(path: &'static str, about: &'static str, usage: &'static str) -> Command {
    let name = path.rsplit(' ').next().unwrap_or(path);
    let usage = format!("quorractl {path} [OPTIONS] {usage}");
    Command::new(name)
        .about(about)
        .override_usage(usage.trim_end().to_string())
        .arg(Arg::new("arguments").num_args(0..).hide(true))
}

/// The flags of every verb.
pub(crate) fn global() -> Vec<Arg> {
    let text = valued;
    let arguments = vec![
        text("api", "The API for verbs that both have, 2 or 3 [$ETCDCTL_API] [default: 3]."),
        text("endpoints", "Client URLs, separated by commas [default: 127.0.0.1:2379]."),
        text("endpoint", "The same (deprecated in etcdctl).").hide(true),
        text("peers", "The same (deprecated in etcdctl).").short('C').hide(true),
        text("discovery-srv", "Find the endpoints by the SRV records of this domain.")
            .short('D')
            .short_alias('d'),
        text("discovery-srv-name", "The service's name to ask for, when it has one."),
        boolean("insecure-discovery", "Take records that name endpoints without TLS."),
        text("cacert", "The CA certificates that servers are checked by.").alias("ca-file"),
        text("cert", "The client's certificate.").alias("cert-file"),
        text("key", "The client's private key.").alias("key-file"),
        boolean("insecure-skip-tls-verify", "Do not check servers' certificates (for tests)."),
        boolean("insecure-transport", "No TLS where the endpoint does not say.").hide(true),
        text("user", "USERNAME[:PASSWORD]; a missing password is asked for.")
            .short('u')
            .alias("username"),
        text("password", "The password, when --user has none."),
        boolean("debug", "Say what is asked of whom."),
        text("output", "Format of the v2 verbs: simple, extended or json.").short('o'),
        boolean("no-sync", "v2: stay with the given endpoints; do not ask for the others."),
        duration("timeout", "v2: how long one request may take [default: 2s]."),
        duration("total-timeout", "v2: how long all but watching may take [default: 5s]."),
        text("write-out", "Format of the v3 verbs: simple, json, fields, table or protobuf.")
            .short('w'),
        boolean("hex", "v3: print keys and values in hexadecimal."),
        duration("dial-timeout", "v3: how long connecting may take; 0 is no limit [default: 2s]."),
        duration("command-timeout", "v3: how long the command may take [default: 5s]."),
        duration("keepalive-time", "For gRPC; accepted.").hide(true),
        duration("keepalive-timeout", "For gRPC; accepted.").hide(true),
    ];
    let global = |argument: Arg| argument.global(true).help_heading("Global options");
    arguments.into_iter().map(global).collect()
}

/// Go's spelling to clap's: a known name behind a single dash gets its second one.
pub(crate) fn normalise(arguments: Vec<String>, command: &Command) -> Vec<String> {
    let mut literal = false;
    let double = |argument: String| {
        literal |= argument == "--";
        let name = argument.strip_prefix('-').filter(|name| name.len() > 1 && !literal);
        let name = name.map(|name| name.split('=').next().unwrap_or(name));
        match name {
            Some(name) if knows(command, name) => format!("-{argument}"),
            _ => argument,
        }
    };
    arguments.into_iter().map(double).collect()
}

/// Whether the command or one below it has a flag of that name.
fn knows(command: &Command, name: &str) -> bool {
    let mut arguments = command.get_arguments();
    let named = |argument: &Arg| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name) || aliases.contains(&name)
    };
    arguments.any(named) || command.get_subcommands().any(|below| knows(below, name))
}

/// What the command line and the environment say.
pub(crate) struct Flags<'a> {
    matches: &'a ArgMatches,
    environment: &'a BTreeMap<String, String>,
}

impl<'a> Flags<'a> {
    /// The flags of a verb; `matches` are the verb's own.
    pub(crate) fn new(matches: &'a ArgMatches, environment: &'a BTreeMap<String, String>) -> Self {
        Self { matches, environment }
    }

    /// The positional arguments.
    pub(crate) fn arguments(&self) -> Vec<&'a str> {
        let values = self.matches.get_many::<String>("arguments");
        values.into_iter().flatten().map(String::as_str).collect()
    }

    /// A flag's own value; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.matches.get_one::<String>(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// All values of a flag that can stand more than once.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        let values = self.matches.get_many::<String>(name);
        values.into_iter().flatten().map(String::as_str).collect()
    }

    /// Whether a flag is set.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.matches.get_one::<bool>(name).copied().unwrap_or_default()
    }

    /// A whole number; zero when not given.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.matches.get_one::<i64>(name).copied().unwrap_or_default()
    }

    /// A flag's value, or that of the first of these variables (`ETCDCTL_` is put before them).
    pub(crate) fn text_or(&self, name: &str, variables: &[&str]) -> Option<&'a str> {
        self.text(name).or_else(|| variables.iter().find_map(|variable| self.variable(variable)))
    }

    /// Whether a flag is set, or its variable; `None` if neither was given.
    pub(crate) fn bool_or(&self, name: &str, variable: &str) -> Result<Option<bool>, String> {
        if let Some(set) = self.matches.get_one::<bool>(name) {
            return Ok(Some(*set));
        }
        let wrong = |text: &str| format!("invalid value {text:?} for ETCDCTL_{variable}");
        let value = self.variable(variable);
        value.map(|text| go::parse_bool(text).map_err(|_| wrong(text))).transpose()
    }

    /// A duration from a flag, from its variable, or the default.
    pub(crate) fn duration_or(
        &self,
        name: &str,
        variable: &str,
        default: Duration,
    ) -> Result<Duration, String> {
        if let Some(duration) = self.matches.get_one::<Duration>(name) {
            return Ok(*duration);
        }
        let wrong = |reason| format!("invalid value for ETCDCTL_{variable}: {reason}");
        let value = self.variable(variable);
        value.map_or(Ok(default), |text| go::parse_duration(text).map_err(wrong))
    }

    /// `ETCDCTL_` and that name, unless it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&'a str> {
        let value = self.environment.get(&format!("ETCDCTL_{name}"));
        value.map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// A flag that can stand more than once.
pub(crate) fn repeated(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).action(ArgAction::Append)
}
