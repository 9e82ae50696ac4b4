//! The verbs that wait for changes.

use std::io::{self, Write};
use std::process::{Child, Command as Process};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Command;
use signal_hook::consts::SIGINT;

use super::cluster::{Call, CallError, Cluster};
use super::keys::{path, with_query};
use super::response::Response;
use super::{BAD_ARGUMENTS, SERVER_ERROR, failed};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, number, verb};

/// The verbs.
pub(super) fn commands() -> Vec<Command> {
    let after = || number("after-index", "Wait for changes after this index.");
    let recursive = || boolean("recursive", "Wait for changes below the key as well.").short('r');
    vec![
        verb("watch", "Wait for a change of a key. [v2]", "KEY").args([
            boolean("forever", "Go on until Ctrl-C.").short('f'),
            after(),
            recursive(),
        ]),
        verb(
            "exec-watch",
            "Run a command at each change of a key. [v2]",
            "KEY [--] COMMAND [ARG]..",
        )
        .args([after(), recursive()])
        .mut_arg("arguments", |argument| argument.trailing_var_arg(true).allow_hyphen_values(true)),
    ]
}

/// The changes of a key, one after the other.
struct Changes {
    cluster: Cluster,
    path: String,
    recursive: bool,
    /// The index of the next change; zero is whichever comes first.
    index: u64,
}

impl Changes {
    fn of(key: &str, flags: &Flags<'_>, cluster: Cluster) -> Self {
        let after = u64::try_from(flags.number("after-index")).unwrap_or_default();
        let index = if after == 0 { 0 } else { after.saturating_add(1) };
        Self { cluster, path: path(key), recursive: flags.is_set("recursive"), index }
    }

    /// Waits for the next change.
    fn next(&mut self) -> Result<Response, CallError> {
        loop {
            let mut parameters = [
                ("recursive", self.recursive.to_string()),
                ("wait", "true".to_string()),
                ("waitIndex", self.index.to_string()),
            ];
            let call = Call::new("GET", with_query(&self.path, &mut parameters)).waits();
            let answer = self.cluster.call(&call, Instant::now())?;
            // A server may end a wait without a change.
            if let Some(response) = Response::read(&answer)? {
                self.index = response.node.modified_index + 1;
                return Ok(response);
            }
        }
    }
}

/// Ctrl-C ends a watch, and is not a failure.
fn end_at_interrupt() -> Outcome {
    let armed = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 0, armed)?;
    Ok(())
}

/// Performs `watch`.
pub(super) fn watch(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let cluster = Cluster::open(flags, out)?;
    let arguments = flags.arguments();
    let key = arguments.first().ok_or_else(|| failed(BAD_ARGUMENTS, "key required"))?;
    end_at_interrupt()?;
    let mut changes = Changes::of(key, flags, cluster);
    loop {
        let change = changes.next().map_err(|error| failed(SERVER_ERROR, error))?;
        if change.node.dir {
            continue;
        }
        if changes.recursive {
            writeln!(out, "[{}] {}", change.action, change.node.key)?;
        }
        change.print(flags.text("output").unwrap_or("simple"), out)?;
        out.flush()?;
        if !flags.is_set("forever") {
            return Ok(());
        }
    }
}

/// Performs `exec-watch`: commands run beside each other, and are not waited for.
pub(super) fn exec_watch(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let cluster = Cluster::open(flags, out)?;
    let arguments = flags.arguments();
    let mut arguments = arguments.into_iter();
    let key = arguments.next();
    let command: Vec<_> = arguments.skip_while(|argument| *argument == "--").collect();
    let (Some(key), Some((program, rest))) = (key, command.split_first()) else {
        return Err(failed(BAD_ARGUMENTS, "key and command to exec required"));
    };
    end_at_interrupt()?;
    let mut changes = Changes::of(key, flags, cluster);
    let mut children: Vec<Child> = Vec::new();
    loop {
        let change = changes.next().map_err(|error| failed(SERVER_ERROR, error))?;
        if change.node.dir {
            writeln!(io::stderr(), "Ignored dir {} change", change.node.key)?;
            continue;
        }
        // Children that have ended are not kept.
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let child = Process::new(program)
            .args(rest)
            .env("ETCD_WATCH_ACTION", &change.action)
            .env("ETCD_WATCH_MODIFIED_INDEX", change.node.modified_index.to_string())
            .env("ETCD_WATCH_KEY", &change.node.key)
            .env("ETCD_WATCH_VALUE", &change.node.value)
            .spawn();
        let failed = |error| Failure::new(BAD_ARGUMENTS, format!("exec: {program:?}: {error}"));
        children.push(child.map_err(failed)?);
    }
}
