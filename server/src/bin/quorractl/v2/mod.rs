//! The verbs of etcdctl 3.4 under `ETCDCTL_API=2`: same output, same exit codes.

mod auth;
mod cluster;
mod health;
mod keys;
mod members;
mod response;
mod roles;
mod users;
mod watch;

use std::io::Write;

use clap::Command;
use quorra::client::Answer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::flags::Flags;
use cluster::CallError;

/// etcdctl's exit codes.
const BAD_ARGUMENTS: u8 = 1;
const BAD_CONNECTION: u8 = 2;
const SERVER_ERROR: u8 = 4;
const NOT_HEALTHY: u8 = 5;

/// The verbs.
pub(crate) fn commands() -> Vec<Command> {
    let mut commands = keys::commands();
    commands.extend(watch::commands());
    commands.extend([
        members::command(),
        health::command(),
        users::command(),
        roles::command(),
        auth::command(),
    ]);
    commands
}

/// Performs a verb: its name, and that of the verb below it if there is one.
pub(crate) fn run(path: &[&str], flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    match path {
        ["get" | "ls" | "set" | "mk" | "update", ..]
        | ["mkdir" | "setdir" | "updatedir" | "rm" | "rmdir", ..] => keys::run(path[0], flags, out),
        ["watch", ..] => watch::watch(flags, out),
        ["exec-watch", ..] => watch::exec_watch(flags, out),
        ["cluster-health", ..] => health::run(flags, out),
        ["member", verb, ..] => members::run(verb, flags, out),
        ["user", verb, ..] => users::run(verb, flags, out),
        ["role", verb, ..] => roles::run(verb, flags, out),
        ["auth", verb, ..] => auth::run(verb, flags, out),
        _ => unreachable!("clap takes only the commands above"),
    }
}

/// A failure as the verbs about keys report it.
fn failed(code: u8, error: impl Into<CallError>) -> Failure {
    let error = error.into();
    let detail = error.detail().map(|detail| format!("{detail}\n")).unwrap_or_default();
    Failure { code, message: format!("Error:  {error}\n{detail}") }
}

/// A failure as the other verbs report it.
fn plain(error: impl Into<CallError>) -> Failure {
    Failure::new(BAD_ARGUMENTS, error.into().to_string())
}

/// What the members and auth APIs say when they refuse.
#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    message: String,
}

/// An answer's document, or what its status says of a failure.
fn document<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| CallError::Server(format!("the answer is not understood: {error}")))
}

/// Fails unless the answer has one of these statuses; with the server's reason if it gives one.
fn expect_status(answer: &Answer, expected: &[u16]) -> Result<(), CallError> {
    if expected.contains(&answer.status) {
        return Ok(());
    }
    let refused: Result<Refused, _> = serde_json::from_slice(&answer.body);
    Err(CallError::Server(match refused {
        Ok(refused) if !refused.message.is_empty() => refused.message,
        _ => format!("unexpected status code {}", answer.status),
    }))
}
