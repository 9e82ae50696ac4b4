//! The words of `/v2/auth` from a client's side: changes as JSON, and what came of them.

use quorra_core::replica::{Failure, Password, Response};
use quorra_core::store::v2::auth::{Access, Answer, Change, Permissions, Refusal};
use serde_json::{Value, json};

use super::talk::Call;
use super::v2;
use crate::check::Violation;
use crate::history::Outcome;

/// A change of users and roles.
pub(super) fn call(change: &Change, password: Option<&Password>) -> Call {
    let (method, path, body) = match change {
        Change::CreateUser { name, roles, .. } => ("PUT", user(name), json!({ "roles": roles })),
        Change::PutUser { name, has_list, .. } => {
            let body = if *has_list { json!({ "roles": [] }) } else { json!({}) };
            ("PUT", user(name), body)
        }
        Change::UpdateUser { name, grant, revoke, .. } => {
            ("PUT", user(name), json!({ "grant": grant, "revoke": revoke }))
        }
        Change::DeleteUser(name) => ("DELETE", user(name), Value::Null),
        Change::CreateRole(name, permissions) => {
            ("PUT", role(name), json!({ "role": name, "permissions": lists(permissions) }))
        }
        Change::UpdateRole { name, grant, revoke } => {
            let (grant, revoke) = (grant.as_ref().map(lists), revoke.as_ref().map(lists));
            ("PUT", role(name), json!({ "role": name, "grant": grant, "revoke": revoke }))
        }
        Change::DeleteRole(name) => ("DELETE", role(name), Value::Null),
        Change::Enable => ("PUT", "enable".to_owned(), Value::Null),
        Change::Disable => ("DELETE", "enable".to_owned(), Value::Null),
    };
    let body = named(change, password, body);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (target, media) = (format!("/v2/auth/{path}"), "application/json");
    Call { method, target, media, authorization: None, body: body.into() }
}

fn user(name: &str) -> String {
    format!("users/{name}")
}

fn role(name: &str) -> String {
    format!("roles/{name}")
}

fn lists(permissions: &Permissions) -> Value {
    json!({ "kv": { "read": permissions.read, "write": permissions.write } })
}

/// The body that puts a user names it, and its password if there is one.
fn named(change: &Change, password: Option<&Password>, mut body: Value) -> Value {
    if let Change::CreateUser { name, .. }
    | Change::PutUser { name, .. }
    | Change::UpdateUser { name, .. } = change
    {
        body["user"] = json!(name);
        if let Some(Password(password)) = password {
            body["password"] = json!(String::from_utf8_lossy(password));
        }
    }
    body
}

/// What an answer says to a change.
///
/// # Errors
/// When no member may answer so.
pub(super) fn outcome(status: u16, body: &[u8]) -> Result<Outcome, Violation> {
    let answered =
        |result| Outcome::Answered(Default::default(), Box::new(Response::V2Auth(result)));
    match status {
        500 => Ok(Outcome::Refused(Failure::Timeout)),
        200 | 201 => answer(status, body).map(|answer| answered(Ok(answer))),
        _ => {
            let text = String::from_utf8_lossy(body).into_owned();
            let value: Option<Value> = serde_json::from_slice(body).ok();
            let message = value.as_ref().and_then(|value| value["message"].as_str());
            let refusal = message.and_then(|message| refusal(status, message));
            let refusal =
                refusal.ok_or_else(|| Violation(format!("a change comes to {status} {text:?}")))?;
            Ok(answered(Err(refusal)))
        }
    }
}

fn answer(status: u16, body: &[u8]) -> Result<Answer, Violation> {
    if body.is_empty() {
        return Ok(Answer::Done);
    }
    let value = v2::parse(body)?;
    let list = |value: &Value| {
        let texts = value.as_array()?.iter();
        Some(texts.map(|text| text.as_str().unwrap_or_default().to_owned()).collect())
    };
    if value.get("user").is_some() {
        return Ok(Answer::User { roles: list(&value["roles"]), created: status == 201 });
    }
    let lists = &value["permissions"]["kv"];
    Ok(Answer::Role(Permissions { read: list(&lists["read"]), write: list(&lists["write"]) }))
}

/// etcd tells why only in its own words.
fn refusal(status: u16, message: &str) -> Option<Refusal> {
    if (status, message) == (401, "Insufficient credentials") {
        return Some(Refusal::NotPermitted);
    }
    let text = message.strip_prefix("auth: ")?;
    let of_user = text.starts_with("User ");
    let is_gone = ["does not exist.", "does not exist", "doesn't exist."]
        .iter()
        .any(|ending| text.ends_with(ending));
    let named = |prefix: &str| {
        let rest = text.strip_prefix(prefix)?;
        Some(rest.split(' ').next().unwrap_or_default().to_owned())
    };
    let refusal = match status {
        409 if text.ends_with("already exists.") && of_user => Refusal::UserExists,
        409 if text.ends_with("already exists.") => Refusal::RoleExists,
        404 if is_gone && of_user => Refusal::NoSuchUser,
        404 if is_gone => Refusal::NoSuchRole,
        400 if text.starts_with("Cannot create user") => Refusal::EmptyPassword,
        400 if text.starts_with("User not updated") => Refusal::UserUnchanged,
        400 if text.starts_with("Role not updated") => Refusal::RoleUnchanged,
        403 if text.starts_with("Cannot delete root user") => Refusal::RootUserNeeded,
        403 if text.starts_with("Cannot modify role") => Refusal::RootRole,
        409 if text == "already enabled" => Refusal::AlreadyEnabled,
        409 if text == "already disabled" => Refusal::AlreadyDisabled,
        409 if text.starts_with("No root user available") => Refusal::NoRootUser,
        409 => {
            let role = named("Granting duplicate role ").map(Refusal::DuplicateRole);
            let ungranted = named("Revoking ungranted role ").map(Refusal::UngrantedRole);
            let pattern = |access, prefix: &str| {
                named(prefix).map(|pattern| Refusal::DuplicatePermission(access, pattern))
            };
            let read = pattern(Access::Read, "Granting duplicate read permission ");
            let write = pattern(Access::Write, "Granting duplicate write permission ");
            return role.or(ungranted).or(read).or(write);
        }
        _ => return None,
    };
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_in_json() {
        let change = Change::UpdateUser {
            name: "ann".to_owned(),
            hash: None,
            grant: vec!["red".to_owned()],
            revoke: Vec::new(),
        };
        let said = call(&change, Some(&Password("secret".into())));
        assert_eq!((said.method, &*said.target), ("PUT", "/v2/auth/users/ann"));
        let body: Value = serde_json::from_slice(&said.body).expect("it is JSON");
        let expected =
            json!({ "user": "ann", "password": "secret", "grant": ["red"], "revoke": [] });
        assert_eq!(body, expected);
        let said = call(&Change::Disable, None);
        assert_eq!((said.method, &*said.target), ("DELETE", "/v2/auth/enable"));
        assert!(said.body.is_empty());
    }

    #[test]
    fn what_came_of_a_change_is_read_back() {
        let read = |status, body: &str| match outcome(status, body.as_bytes()) {
            Ok(Outcome::Answered(_, response)) => format!("{response:?}"),
            Ok(other) => format!("{other:?}"),
            Err(_) => "a violation".to_owned(),
        };
        for (status, body, expected) in [
            (200, "", "V2Auth(Ok(Done))"),
            (
                201,
                "{\"user\":\"a\",\"roles\":null}\n",
                "V2Auth(Ok(User { roles: None, created: true }))",
            ),
            (401, "{\"message\":\"Insufficient credentials\"}", "V2Auth(Err(NotPermitted))"),
            (
                409,
                "{\"message\":\"auth: Granting duplicate role red for user ann\"}",
                "V2Auth(Err(DuplicateRole(\"red\")))",
            ),
            (404, "{\"message\":\"auth: Role red doesn't exist.\"}", "V2Auth(Err(NoSuchRole))"),
            (500, "{\"message\":\"Internal Server Error\"}", "Refused(Timeout)"),
            (404, "404 page not found\n", "a violation"),
            (409, "{\"message\":\"auth: no\"}", "a violation"),
        ] {
            assert_eq!(read(status, body), expected, "{status} {body}");
        }
    }
}
