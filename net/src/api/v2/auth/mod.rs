//! `/v2/auth`: users, roles, and whether they count; and the gate in front of everything that
//! they guard.
//!
//! | part | is |
//! | --- | --- |
//! | `gate` | who asks, and whether they may: keys, members, users and roles |
//! | `basic` | the header that says who asks |
//! | `body` | what is asked, as Go's `encoding/json` would read it |
//! | `print` | what is answered, as it would write it |
//!
//! Users and roles are read from this member's state, as in etcd; a change is one question to the
//! replica, and its answer says what it came to.

mod basic;
mod body;
mod gate;
mod print;

use quorra_core::replica::{Failure, Password, Reply, Request as Question, Response as Content};
use quorra_core::store::v2::auth::{Access, Answer, Change, Refusal};

use self::body::{RoleBody, UserBody};
use super::form::Form;
use super::message;
use crate::api::front::{method_not_allowed, not_found, respond};
use crate::api::{Begun, Exchange, Outcome, View};
use crate::http::{Method, Request, Response};

pub(super) use gate::{guard_administration, guard_key};

/// What a path below `/v2/auth` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    Switch,
    Users,
    User(&'a [u8]),
    Roles,
    Role(&'a [u8]),
    /// Something below a user or a role: there is nothing.
    Deeper,
    Unknown,
}

impl<'a> Place<'a> {
    fn of(rest: &'a [u8]) -> Self {
        if rest == b"/enable" {
            return Self::Switch;
        }
        let mut names = rest.strip_suffix(b"/").unwrap_or(rest).split(|byte| *byte == b'/').skip(1);
        match (names.next(), names.next(), names.next()) {
            (Some(b"users"), None, _) => Self::Users,
            (Some(b"users"), Some(name), None) => Self::User(name),
            (Some(b"roles"), None, _) => Self::Roles,
            (Some(b"roles"), Some(name), None) => Self::Role(name),
            (Some(b"users" | b"roles"), Some(_), Some(_)) => Self::Deeper,
            _ => Self::Unknown,
        }
    }

    /// What is wrong with a request before anybody asks whose it is.
    fn refuse(self, method: &Method) -> Option<Response> {
        let listed = matches!(self, Self::Users | Self::Roles);
        match self {
            Self::Unknown => Some(not_found()),
            Self::Deeper => Some(message(400, "Invalid path")),
            _ if *method == Method::Get => None,
            _ if listed => Some(method_not_allowed("GET")),
            _ if matches!(method, Method::Put | Method::Delete) => None,
            _ => Some(method_not_allowed("GET,PUT,DELETE")),
        }
    }
}

/// Whether only an administrator may ask this; `rest` is what follows `/v2/auth`.
pub(super) fn is_guarded(request: &Request, rest: &[u8]) -> bool {
    let place = Place::of(rest);
    let open = place == Place::Switch && request.method == Method::Get;
    !open && place.refuse(&request.method).is_none()
}

/// Begins a request of somebody who may make it; `rest` is what follows `/v2/auth`.
pub(super) fn begin(request: &Request, rest: &[u8], view: View<'_>) -> Begun {
    let place = Place::of(rest);
    if let Some(refusal) = place.refuse(&request.method) {
        return respond(refusal);
    }
    let asked = match request.method {
        Method::Get if is_malformed_listing(place, request) => Err(internal_error()),
        Method::Get => Err(read(place, view)),
        Method::Put => put(place, request),
        _ => delete(place),
    };
    match asked {
        Ok(Asked { change, password, exchange }) => {
            let question = Question::V2Auth { change, password };
            (Outcome::Ask(Box::new(question)), Some(Box::new(exchange)))
        }
        Err(response) => respond(of_cluster(response, view)),
    }
}

/// The lists take no parameters, but etcd reads them, and blames itself if it cannot.
fn is_malformed_listing(place: Place<'_>, request: &Request) -> bool {
    matches!(place, Place::Users | Place::Roles) && Form::parse(request).is_err()
}

fn of_cluster(response: Response, view: View<'_>) -> Response {
    let cluster = view.replica.membership().cluster;
    response.with("X-Etcd-Cluster-Id", cluster.to_string())
}

/// The text that a name of a path stands for; names of users and roles are UTF-8.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn read(place: Place<'_>, view: View<'_>) -> Response {
    let auth = view.replica.state().v2().auth();
    let printed = match place {
        Place::Switch => Ok(print::switch(auth)),
        Place::Users => print::users(auth),
        Place::User(name) => print::user(auth, &text(name)),
        Place::Roles => print::roles(auth),
        Place::Role(name) => print::role(auth, &text(name)),
        Place::Deeper | Place::Unknown => return not_found(),
    };
    match printed {
        Ok(body) => Response::new(200, body).with("Content-Type", &b"application/json"[..]),
        Err((status, reason)) => message(status, &reason),
    }
}

/// A change, and who waits for what it comes to.
struct Asked {
    change: Change,
    password: Option<Password>,
    exchange: ChangeExchange,
}

fn put(place: Place<'_>, request: &Request) -> Result<Asked, Response> {
    let invalid = || message(400, "Invalid JSON in request body.");
    match place {
        Place::User(name) => {
            let body: UserBody = body::parse(request).ok_or_else(invalid)?;
            let name = text(name);
            let (change, password) = body.change(&name).map_err(|text| message(400, text))?;
            Ok(Asked { change, password, exchange: ChangeExchange::new(Subject::User, name) })
        }
        Place::Role(name) => {
            let body: RoleBody = body::parse(request).ok_or_else(invalid)?;
            let name = text(name);
            let change = body.change(&name).map_err(|text| message(400, text))?;
            let created = matches!(change, Change::CreateRole(..));
            let exchange = ChangeExchange::new(Subject::Role { created }, name);
            Ok(Asked { change, password: None, exchange })
        }
        _ => Ok(Asked::plain(Change::Enable, Subject::Switch, String::new())),
    }
}

fn delete(place: Place<'_>) -> Result<Asked, Response> {
    Ok(match place {
        Place::User(name) => {
            Asked::plain(Change::DeleteUser(text(name)), Subject::GoneUser, text(name))
        }
        Place::Role(name) => {
            Asked::plain(Change::DeleteRole(text(name)), Subject::GoneRole, text(name))
        }
        _ => Asked::plain(Change::Disable, Subject::Switch, String::new()),
    })
}

impl Asked {
    fn plain(change: Change, subject: Subject, name: String) -> Self {
        Self { change, password: None, exchange: ChangeExchange::new(subject, name) }
    }
}

/// What a change is about: etcd words its refusals differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Switch,
    User,
    GoneUser,
    Role { created: bool },
    GoneRole,
}

/// A change that waits for its outcome.
#[derive(Debug)]
struct ChangeExchange {
    subject: Subject,
    name: String,
}

impl ChangeExchange {
    fn new(subject: Subject, name: String) -> Self {
        Self { subject, name }
    }

    fn answer(&self, answer: &Answer) -> Response {
        let (status, body) = match answer {
            Answer::User { roles, created } => {
                (if *created { 201 } else { 200 }, print::changed_user(&self.name, roles.as_ref()))
            }
            Answer::Role(permissions) => {
                let created = self.subject == Subject::Role { created: true };
                (if created { 201 } else { 200 }, print::changed_role(&self.name, permissions))
            }
            Answer::Done => return Response::new(200, "").with("Content-Type", "application/json"),
        };
        Response::new(status, body).with("Content-Type", "application/json")
    }

    fn refusal(&self, refusal: &Refusal) -> Response {
        let (name, gone) =
            (&self.name, matches!(self.subject, Subject::GoneUser | Subject::GoneRole));
        let (status, text) = match refusal {
            Refusal::NotPermitted => return not_permitted(),
            Refusal::UserExists => (409, format!("User {name} already exists.")),
            Refusal::NoSuchUser if gone => (404, format!("User {name} does not exist")),
            Refusal::NoSuchUser => (404, format!("User {name} does not exist.")),
            Refusal::EmptyPassword => {
                (400, format!("Cannot create user {name} with an empty password"))
            }
            Refusal::UserUnchanged => {
                let text = "User not updated. Use grant/revoke/password to update the user.";
                (400, text.to_owned())
            }
            Refusal::DuplicateRole(role) => {
                (409, format!("Granting duplicate role {role} for user {name}"))
            }
            Refusal::UngrantedRole(role) => {
                (409, format!("Revoking ungranted role {role} for user {name}"))
            }
            Refusal::RootUserNeeded => {
                (403, "Cannot delete root user while auth is enabled.".to_owned())
            }
            Refusal::RoleExists => (409, format!("Role {name} already exists.")),
            Refusal::NoSuchRole if gone => (404, format!("Role {name} doesn't exist.")),
            Refusal::NoSuchRole => (404, format!("Role {name} does not exist.")),
            Refusal::RoleUnchanged => {
                (400, "Role not updated. Use grant/revoke to update the role.".to_owned())
            }
            Refusal::RootRole => (403, format!("Cannot modify role {name}: is root role.")),
            Refusal::DuplicatePermission(access, pattern) => {
                let kind = if *access == Access::Read { "read" } else { "write" };
                (409, format!("Granting duplicate {kind} permission {pattern}"))
            }
            Refusal::AlreadyEnabled => (409, "already enabled".to_owned()),
            Refusal::AlreadyDisabled => (409, "already disabled".to_owned()),
            Refusal::NoRootUser => (409, "No root user available, please create one".to_owned()),
            Refusal::TooLarge => (507, "users and roles would take too much space".to_owned()),
        };
        message(status, &format!("auth: {text}"))
    }
}

impl Exchange for ChangeExchange {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        Outcome::Respond(match reply.outcome {
            Ok(Content::V2Auth(Ok(answer))) => of_cluster(self.answer(&answer), view),
            Ok(Content::V2Auth(Err(Refusal::NotPermitted))) => not_permitted(),
            Ok(Content::V2Auth(Err(refusal))) => of_cluster(self.refusal(&refusal), view),
            Err(failure) => of_cluster(failed(failure), view),
            Ok(other) => unreachable!("{other:?} does not answer a change of authentication"),
        })
    }
}

/// What anybody is told who is no administrator. Nothing tells of the cluster.
fn not_permitted() -> Response {
    message(401, "Insufficient credentials")
}

/// etcd tells nothing of what went wrong behind this API.
fn failed(_failure: Failure) -> Response {
    internal_error()
}

fn internal_error() -> Response {
    message(500, "Internal Server Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_users_and_roles() {
        let rows: [(&str, Place<'_>); 12] = [
            ("/enable", Place::Switch),
            ("/enable/", Place::Unknown),
            ("/users", Place::Users),
            ("/users/", Place::Users),
            ("/users/ann", Place::User(b"ann")),
            ("/users/ann/", Place::User(b"ann")),
            ("/users/ann/x", Place::Deeper),
            ("/roles", Place::Roles),
            ("/roles/r", Place::Role(b"r")),
            ("/roles/r/x/y", Place::Deeper),
            ("/usersx", Place::Unknown),
            ("", Place::Unknown),
        ];
        for (rest, place) in rows {
            assert_eq!(Place::of(rest.as_bytes()), place, "{rest}");
        }
    }

    #[test]
    fn methods_and_paths_are_refused_before_anybody_asks_who() {
        let rows = [
            ("/users", Method::Get, None),
            ("/users", Method::Put, Some(405)),
            ("/users/ann", Method::Post, Some(405)),
            ("/users/ann/x", Method::Post, Some(400)),
            ("/enable", Method::Delete, None),
            ("/enable", Method::Head, Some(405)),
            ("/other", Method::Get, Some(404)),
        ];
        for (rest, method, expected) in rows {
            let refused = Place::of(rest.as_bytes()).refuse(&method);
            assert_eq!(refused.map(|response| response.status), expected, "{method:?} {rest}");
        }
    }
}
