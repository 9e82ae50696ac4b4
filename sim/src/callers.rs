//! Who asks: users and guests of the v2 store, and administrators who change what they may do.
//!
//! In some worlds clients speak for users. The first of them set up users, a role and the switch;
//! from then on everything changes under everybody's feet: a write may be under way while its
//! writer is revoked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quorra_core::replica::{Password, Request};
use quorra_core::store::v2::Write;
use quorra_core::store::v2::auth::{Caller, Change, Claim, Permissions};

use crate::chance::Chance;

const USERS: [&str; 3] = ["root", "ann", "bob"];
const ROLES: [&str; 3] = ["red", "blue", "guest"];
const PATTERNS: [&str; 5] = ["/*", "/dir1/*", "/dir2*", "/dir3/file01", "/dir1"];
/// How many worlds of 1,000 have users.
const WORLDS: u64 = 250;

/// Who is no user, or cannot prove to be one: nothing is permitted to it.
const NOBODY: &str = "nobody";

/// The callers of a world.
#[derive(Debug)]
pub struct Callers {
    chance: Chance,
    changes: u64,
}

impl Callers {
    /// Those of a seed; none in most worlds.
    #[must_use]
    pub fn of(seed: u64) -> Option<Self> {
        let mut chance = Chance::new(seed ^ 0x6361_6c6c_6572_7321);
        let present = chance.per_mille(WORLDS);
        present.then_some(Self { chance, changes: 0 })
    }

    /// The same request, perhaps on somebody's behalf; now and then a change of users instead.
    pub fn speak(&mut self, request: Request) -> Request {
        if self.changes < 8 || self.chance.per_mille(100) {
            return self.administer();
        }
        match request {
            Request::V2Write(_) | Request::V2Get { .. } if self.chance.per_mille(700) => {
                let claim = self.claim();
                Request::OnBehalf { claim, request: Box::new(request) }
            }
            other => other,
        }
    }

    /// The same over HTTP, where a claim shows what the request shows. Everybody has one password
    /// for life, so that it is known who was refused for it.
    pub fn speak_over_http(&mut self, request: Request) -> Request {
        let spoken = self.speak(request);
        let caller = spoken.claim().map_or(Caller::Guest, |claim| claim.caller.clone());
        over_http(caller, spoken.asked().clone())
    }

    /// The field `Authorization` of a request over HTTP; none for guests.
    pub fn authorization(&mut self, request: &Request) -> Option<String> {
        let Caller::User(name) = &request.claim()?.caller else { return None };
        let name = String::from_utf8_lossy(name);
        if name != NOBODY {
            return Some(basic(&name, &password_of(&name)));
        }
        Some(match self.chance.between(0, 2) {
            0 => basic(NOBODY, "secret"),
            1 => basic(self.chance.pick(&USERS), "guessed"),
            _ => "Basic secret".to_owned(),
        })
    }

    fn claim(&mut self) -> Claim {
        let names = ["root", "ann", "ann", "bob", "bob", NOBODY];
        let caller = match self.chance.between(0, 3) {
            0 => Caller::Guest,
            _ => Caller::User(Bytes::from(self.chance.pick(&names))),
        };
        let (slash, recursive) = (self.chance.per_mille(200), self.chance.per_mille(200));
        Claim { caller, slash, recursive }
    }

    fn administer(&mut self) -> Request {
        self.changes += 1;
        let password = self.chance.per_mille(200);
        let (change, password) = match self.changes {
            1 => (put("root"), true),
            2 => (put("ann"), true),
            3 => (put("bob"), true),
            4 => (Change::CreateRole("red".to_owned(), self.permissions()), false),
            5 => (grant("ann", "red"), false),
            6 => (Change::Enable, false),
            7 => (revoke_guest(), false),
            _ => (self.change(), password),
        };
        let password = password.then(|| Password(Bytes::from(format!("secret {}", self.changes))));
        let request = Request::V2Auth { change, password };
        let caller = match self.chance.between(0, 19) {
            0 => return request,
            1 => self.claim().caller,
            _ => Caller::User(Bytes::from_static(b"root")),
        };
        let claim = Claim { caller, slash: false, recursive: false };
        Request::OnBehalf { claim, request: Box::new(request) }
    }

    fn name(&mut self) -> String {
        self.chance.pick(&USERS).to_owned()
    }

    fn role(&mut self) -> String {
        self.chance.pick(&ROLES).to_owned()
    }

    fn list(&mut self) -> Option<Vec<String>> {
        let count = self.chance.between(0, 2);
        (count > 0).then(|| vec![self.chance.pick(&PATTERNS).to_owned()])
    }

    fn permissions(&mut self) -> Permissions {
        Permissions { read: self.list(), write: self.list() }
    }

    fn change(&mut self) -> Change {
        let hash = None;
        match self.chance.between(0, 19) {
            0..6 => {
                let (grant, revoke) = (Some(self.permissions()), None);
                Change::UpdateRole { name: self.role(), grant, revoke }
            }
            6..10 => {
                let (grant, revoke) = (None, Some(self.permissions()));
                Change::UpdateRole { name: self.role(), grant, revoke }
            }
            10 | 11 => grant(&self.name(), &self.role()),
            12 | 13 => {
                let (name, revoke) = (self.name(), vec![self.role()]);
                Change::UpdateUser { name, hash, grant: Vec::new(), revoke }
            }
            14 => put(&self.name()),
            15 => {
                let (name, roles) = (self.name(), vec![self.role()]);
                Change::CreateUser { name, hash, roles }
            }
            16 => Change::DeleteUser(self.name()),
            17 => Change::CreateRole(self.role(), self.permissions()),
            18 => match self.chance.between(0, 2) {
                0 => Change::DeleteRole(self.role()),
                _ => Change::Disable,
            },
            _ => Change::Enable,
        }
    }
}

/// The user that may do everything, over HTTP.
#[must_use]
pub fn root_authorization() -> String {
    basic("root", &password_of("root"))
}

/// A request over HTTP of the user that may do everything.
#[must_use]
pub fn as_root(request: Request) -> Request {
    over_http(Caller::User(Bytes::from_static(b"root")), request)
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn password_of(name: &str) -> String {
    format!("secret of {name}")
}

/// A request as it can be said over HTTP. Only keys, users and roles ask who it is.
fn over_http(caller: Caller, request: Request) -> Request {
    let (request, slash, recursive) = match request {
        Request::V2Get { ref get, .. } => {
            let (slash, recursive) = (get.path.is_root(), get.recursive);
            (request, slash, recursive)
        }
        Request::V2Write(ref write) => {
            let recursive = matches!(write, Write::Delete { recursive: true, .. });
            let slash = write.path().is_root();
            (request, slash, recursive)
        }
        Request::V2Auth { change, password } => (said(change, password.is_some()), false, false),
        other => return other,
    };
    let claim = Claim { caller, slash, recursive };
    Request::OnBehalf { claim, request: Box::new(request) }
}

/// A change as JSON says it: only users have passwords, and updating a role by nothing creates it.
fn said(change: Change, with_password: bool) -> Request {
    let is_nothing = |it: &Option<Permissions>| it.as_ref().is_none_or(Permissions::is_empty);
    let user = match &change {
        Change::CreateUser { name, .. }
        | Change::PutUser { name, .. }
        | Change::UpdateUser { name, .. } => Some(name),
        _ => None,
    };
    let password = user.filter(|_| with_password).map(|name| Password(password_of(name).into()));
    let change = match change {
        Change::UpdateRole { name, grant, revoke } if is_nothing(&grant) && is_nothing(&revoke) => {
            Change::CreateRole(name, Permissions::default())
        }
        other => other,
    };
    Request::V2Auth { change, password }
}

fn revoke_guest() -> Change {
    let everything = Permissions::everything();
    Change::UpdateRole { name: "guest".to_owned(), grant: None, revoke: Some(everything) }
}

fn put(name: &str) -> Change {
    Change::PutUser { name: name.to_owned(), hash: None, has_list: false }
}

fn grant(name: &str, role: &str) -> Change {
    let (name, grant) = (name.to_owned(), vec![role.to_owned()]);
    Change::UpdateUser { name, hash: None, grant, revoke: Vec::new() }
}
