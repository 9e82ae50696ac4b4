//! `role`: which keys may be read and written.

use std::io::Write;

use clap::Command;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{Call, CallError, Cluster};
use super::{BAD_ARGUMENTS, document, expect_status, plain};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, valued, verb};
use crate::go;

/// The verb.
pub(super) fn command() -> Command {
    let change = |name, about| {
        verb(name, about, "NAME").args([
            valued("path", "The keys: a path, or with a * at its end all that begin so."),
            boolean("read", "Reading."),
            boolean("write", "Writing."),
            boolean("readwrite", "Both.").alias("rw"),
        ])
    };
    Command::new("role").about("List and change roles. [v2]").subcommands([
        verb("role list", "List the roles.", ""),
        verb("role add", "Add a role.", "NAME"),
        verb("role get", "Show what a role allows.", "NAME"),
        verb("role remove", "Remove a role.", "NAME"),
        change("role grant", "Allow a role to use keys."),
        change("role revoke", "Forbid a role to use keys."),
    ])
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Role {
    role: String,
    permissions: Permissions,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Permissions {
    kv: Paths,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Paths {
    read: Option<Vec<String>>,
    write: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Roles {
    roles: Option<Vec<Role>>,
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let wrong = |text: &str| Failure::new(BAD_ARGUMENTS, text);
    let arguments = flags.arguments();
    if verb == "list" {
        return match arguments.is_empty() {
            true => list(flags, out),
            false => Err(wrong("No arguments accepted")),
        };
    }
    let changes = matches!(verb, "grant" | "revoke");
    let paths = changes.then(|| paths(flags)).transpose()?;
    let [name] = arguments.as_slice() else { return Err(wrong("Please provide a role name")) };
    let mut cluster = Cluster::open(flags, out)?;
    match (verb, paths) {
        ("add", _) => {
            if fetch(&mut cluster, call("GET", name)).is_ok() {
                return Err(wrong(&format!("Role {name} already exists")));
            }
            let role = json!({"role": name, "permissions": {"kv": {"read": null, "write": null}}});
            change(&mut cluster, &call("PUT", name).json(&role))?;
            writeln!(out, "Role {name} created")?;
        }
        ("remove", _) => {
            change(&mut cluster, &call("DELETE", name))?;
            writeln!(out, "Role {name} removed")?;
        }
        (_, Some(paths)) => {
            let before = fetch(&mut cluster, call("GET", name)).map_err(plain)?;
            let role = json!({
                "role": name,
                "permissions": {"kv": {"read": null, "write": null}},
                verb: {"kv": paths},
            });
            let after = fetch(&mut cluster, call("PUT", name).json(&role)).map_err(plain)?;
            if after == before {
                write!(out, "Role unchanged; already {}", past(verb))?;
            }
            writeln!(out, "Role {name} updated")?;
        }
        _ => show(&fetch(&mut cluster, call("GET", name)).map_err(plain)?, out)?,
    }
    Ok(())
}

fn past(verb: &str) -> &'static str {
    if verb == "grant" { "granted" } else { "revoked" }
}

/// What to grant or to revoke.
fn paths(flags: &Flags<'_>) -> Result<Value, Failure> {
    let wrong = |text: String| Failure::new(BAD_ARGUMENTS, text);
    let path = flags.text("path").unwrap_or_default();
    if path.is_empty() {
        return Err(wrong("No path specified; please use `--path`".into()));
    }
    let clean = go::clean_path(path);
    if clean != path {
        return Err(wrong(format!("Not canonical path; please use `--path={clean}`")));
    }
    match ["read", "write", "readwrite"].map(|flag| flags.is_set(flag)) {
        [true, false, false] => Ok(json!({"read": [path], "write": null})),
        [false, true, false] => Ok(json!({"read": null, "write": [path]})),
        [false, false, true] => Ok(json!({"read": [path], "write": [path]})),
        _ => Err(wrong("Please specify exactly one of --read, --write or --readwrite".into())),
    }
}

fn call(method: &'static str, name: &str) -> Call {
    Call::new(method, format!("/v2/auth/roles/{}", go::escape_path(name)))
}

fn fetch(cluster: &mut Cluster, call: Call) -> Result<Role, CallError> {
    let deadline = cluster.deadline();
    let answer = cluster.call(&call, deadline)?;
    expect_status(&answer, &[200])?;
    document(&answer)
}

fn change(cluster: &mut Cluster, call: &Call) -> Outcome {
    let deadline = cluster.deadline();
    let answer = cluster.call(call, deadline);
    answer.and_then(|answer| expect_status(&answer, &[200, 201])).map_err(plain)
}

fn show(role: &Role, out: &mut dyn Write) -> Outcome {
    let Paths { read, write } = &role.permissions.kv;
    writeln!(out, "Role: {}", role.role)?;
    for (heading, paths) in [("KV Read:", read), ("KV Write:", write)] {
        writeln!(out, "{heading}")?;
        for path in paths.iter().flatten() {
            writeln!(out, "\t{path}")?;
        }
    }
    Ok(())
}

fn list(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let deadline = cluster.deadline();
    let answer = cluster.call(&Call::new("GET", "/v2/auth/roles"), deadline);
    let roles: Result<Roles, CallError> = answer.and_then(|answer| match answer.status {
        200 => document(&answer),
        status => Err(format!("unexpected status code {status}").into()),
    });
    for role in roles.map_err(plain)?.roles.unwrap_or_default() {
        writeln!(out, "{}", role.role)?;
    }
    Ok(())
}
