//! Who asks: users and guests of the v2 store, and administrators who change what they may do.
//!
//! In some worlds clients speak for users. The first of them set up users, a role and the switch;
//! from then on everything changes under everybody's feet: a write may be under way while its
//! writer is revoked.

use bytes::Bytes;
use quorra_core::replica::{Password, Request};
use quorra_core::store::v2::auth::{Caller, Change, Claim, Permissions};

use crate::chance::Chance;

const USERS: [&str; 3] = ["root", "ann", "bob"];
const ROLES: [&str; 3] = ["red", "blue", "guest"];
const PATTERNS: [&str; 5] = ["/*", "/dir1/*", "/dir2*", "/dir3/file01", "/dir1"];
/// How many worlds of 1,000 have users.
const WORLDS: u64 = 250;

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

    fn claim(&mut self) -> Claim {
        let names = ["root", "ann", "ann", "bob", "bob", "nobody"];
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
