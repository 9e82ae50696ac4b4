//! `user`: who may log in, and with which roles.

use std::io::Write;

use clap::Command;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{Call, CallError, Cluster};
use super::{BAD_ARGUMENTS, document, expect_status, plain};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, repeated, verb};
use crate::{go, password};

/// The verb.
pub(super) fn command() -> Command {
    let roles = || repeated("roles", "A role; may stand more than once.");
    Command::new("user").about("List and change users. [v2]").subcommands([
        verb("user list", "List the users.", ""),
        verb("user add", "Add a user.", "NAME[:PASSWORD]"),
        verb("user get", "Show a user's roles.", "NAME"),
        verb("user remove", "Remove a user.", "NAME"),
        verb("user grant", "Grant roles to a user.", "NAME").arg(roles()),
        verb("user revoke", "Revoke roles from a user.", "NAME").arg(roles()),
        verb("user passwd", "Change a user's password.", "NAME"),
    ])
}

/// A user, as the server shows it: with whole roles, or with their names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    user: String,
    roles: Option<Vec<Value>>,
}

impl User {
    /// Roles as etcdctl prints them: before whole ones it prints as many empty names.
    fn role_names(&self) -> String {
        let roles = self.roles.as_deref().unwrap_or_default();
        let whole = roles.iter().filter(|role| role.is_object());
        let empty = whole.map(|_| "");
        let names = roles
            .iter()
            .map(|role| role.as_str().or_else(|| role["role"].as_str()).unwrap_or_default());
        empty.chain(names).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Users {
    users: Option<Vec<User>>,
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let wrong = |text: &str| Err(Failure::new(BAD_ARGUMENTS, text));
    let arguments = flags.arguments();
    if verb == "list" {
        return if arguments.is_empty() {
            list(flags, out)
        } else {
            wrong("No arguments accepted")
        };
    }
    let changes = matches!(verb, "grant" | "revoke");
    let roles = if changes { flags.texts("roles") } else { Vec::new() };
    if changes && roles.is_empty() {
        return wrong("No roles specified; please use `--roles`");
    }
    let [name] = arguments.as_slice() else { return wrong("Please provide a username") };
    let mut cluster = Cluster::open(flags, out)?;
    match verb {
        "add" => {
            let (name, password) = password::credentials(name, "New password: ", out)?;
            let user = json!({"user": name, "password": password, "roles": null});
            change(&mut cluster, call("PUT", &name).json(&user), &[200, 201])?;
            writeln!(out, "User {name} created")?;
        }
        "remove" => {
            change(&mut cluster, call("DELETE", name), &[200, 201])?;
            writeln!(out, "User {name} removed")?;
        }
        "passwd" => {
            let password = password::ask("New password: ", out)?;
            let user = json!({"user": name, "password": password, "roles": null});
            change(&mut cluster, call("PUT", name).json(&user), &[200])?;
            writeln!(out, "Password updated")?;
        }
        "get" => show(&mut cluster, name, out)?,
        _ => {
            let user = json!({"user": name, "roles": null, verb: roles});
            change(&mut cluster, call("PUT", name).json(&user), &[200])?;
            writeln!(out, "User {name} updated")?;
        }
    }
    Ok(())
}

fn call(method: &'static str, name: &str) -> Call {
    Call::new(method, format!("/v2/auth/users/{}", go::escape_path(name)))
}

fn change(cluster: &mut Cluster, call: Call, good: &[u16]) -> Outcome {
    let deadline = cluster.deadline();
    let answer = cluster.call(&call, deadline);
    answer.and_then(|answer| expect_status(&answer, good)).map_err(plain)
}

fn show(cluster: &mut Cluster, name: &str, out: &mut dyn Write) -> Outcome {
    let deadline = cluster.deadline();
    let user: Result<User, CallError> =
        cluster.call(&call("GET", name), deadline).and_then(|answer| {
            expect_status(&answer, &[200])?;
            document(&answer)
        });
    let user = user.map_err(plain)?;
    writeln!(out, "User: {}\nRoles: {}", user.user, user.role_names())?;
    Ok(())
}

fn list(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let deadline = cluster.deadline();
    let call = Call::new("GET", "/v2/auth/users");
    let users: Result<Users, CallError> = cluster.call(&call, deadline).and_then(|answer| {
        expect_status(&answer, &[200])?;
        document(&answer)
    });
    for user in users.map_err(plain)?.users.unwrap_or_default() {
        writeln!(out, "{}", user.user)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_printed_with_etcdctls_gaps() {
        let names = |roles: Value| {
            let user: User =
                serde_json::from_value(json!({"user": "bob", "roles": roles})).expect("a user");
            user.role_names()
        };
        assert_eq!(names(json!([])), "");
        assert_eq!(names(json!(null)), "");
        assert_eq!(names(json!(["a", "b"])), "a b");
        assert_eq!(names(json!([{"role": "a"}, {"role": "b"}])), "  a b");
    }
}
