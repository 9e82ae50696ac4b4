//! Who may do what with the keys: users, roles, and the switch that makes them count.
//!
//! A user has a password's hash and the names of roles; a role has patterns of keys that may be
//! read and written. etcd keeps them as JSON in a hidden tree of the v2 store (`/2`). Here they
//! are a struct beside the tree that takes the same indices: each [`Change`] says how many.
//!
//! | part | is |
//! | --- | --- |
//! | [`Change`] | what an administrator can ask for, decided when it is applied: see `change` |
//! | [`Permissions`] | patterns, granting and revoking |
//! | [`Claim`] | on whose behalf a key is read or written |
//! | `record` | users and roles as bytes, in checkpoints and hashes |
//!
//! **A write is judged where it stands in the log.** Its claim travels with it, so that the write
//! of a user who was revoked meanwhile is refused by every member alike. Passwords are checked
//! before, by the member that was asked: nothing here knows one.
//!
//! # Invariants
//! - No role is called `root`: that one is built in, may do everything, and cannot be changed.
//! - The switch is on only while there is a user `root`.
//! - Users and roles together have at most [`limits::V2_AUTH_BYTES_MAX`] bytes.
//!
//! [`limits::V2_AUTH_BYTES_MAX`]: crate::limits::V2_AUTH_BYTES_MAX

mod change;
mod claim;
mod permissions;
pub(in crate::store) mod record;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use change::{Answer, Change, Refusal};
pub use claim::{Caller, Claim};
pub use permissions::{Access, Permissions};

use crate::store::hash;
use crate::store::v2::Path;
use permissions::RawKey;

/// The user that must exist, and the role that may do everything.
pub const ROOT: &str = "root";
/// The role of those who do not say who they are.
pub const GUEST: &str = "guest";

/// A password as it is kept: bcrypt's text. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What the password is compared with.
    pub hash: PasswordHash,
    /// Names of roles, which need not exist. A list that was never given is told from an empty
    /// one, as in etcd's JSON.
    pub roles: Option<Vec<String>>,
}

/// All users and roles.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    users: BTreeMap<String, User>,
    roles: BTreeMap<String, Permissions>,
    enabled: bool,
    /// The first change takes the indices of the directories that etcd makes for them.
    prepared: bool,
    bytes: usize,
    records_hash: u64,
}

impl Auth {
    /// Whether the rules count.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether anything was ever changed: etcd's switch is a node that does not exist before.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.prepared
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The roles of a user as they count: the user `root` always has the role `root`.
    #[must_use]
    pub fn roles_of(&self, name: &str) -> Option<Vec<&str>> {
        let user = self.users.get(name)?;
        let mut roles: Vec<&str> = user.roles.iter().flatten().map(String::as_str).collect();
        if name == ROOT && !roles.contains(&ROOT) {
            roles.push(ROOT);
        }
        Some(roles)
    }

    /// The names of all roles in order, the one that is built in among them.
    #[must_use]
    pub fn role_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.roles.keys().map(String::as_str).collect();
        let place = names.partition_point(|name| *name < ROOT);
        names.insert(place, ROOT);
        names
    }

    /// What a role permits.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Permissions> {
        if name == ROOT { Some(Permissions::everything()) } else { self.roles.get(name).cloned() }
    }

    /// Whether the key may be read or written. Without a claim nobody was asked: that is a guest.
    #[must_use]
    pub fn permits(&self, claim: Option<&Claim>, path: &Path, access: Access) -> bool {
        if !self.enabled {
            return true;
        }
        let key = RawKey::new(path, claim.is_some_and(|claim| claim.slash));
        let role = |name: &str| self.roles.get(name);
        match claim.map_or(&Caller::Guest, |claim| &claim.caller) {
            Caller::Guest => role(GUEST).is_some_and(|guest| guest.permit(access, key, false)),
            Caller::User(name) => {
                let recursive = claim.is_some_and(|claim| claim.recursive);
                let Some(roles) = self.roles_of_bytes(name) else { return false };
                roles.iter().any(|name| {
                    *name == ROOT || role(name).is_some_and(|it| it.permit(access, key, recursive))
                })
            }
        }
    }

    /// Whether users, roles and members may be changed, and users and roles be read.
    #[must_use]
    pub fn permits_administration(&self, caller: &Caller) -> bool {
        !self.enabled
            || match caller {
                Caller::Guest => false,
                Caller::User(name) => {
                    self.roles_of_bytes(name).is_some_and(|roles| roles.contains(&ROOT))
                }
            }
    }

    fn roles_of_bytes(&self, name: &[u8]) -> Option<Vec<&str>> {
        core::str::from_utf8(name).ok().and_then(|name| self.roles_of(name))
    }

    /// The size of all records.
    #[must_use]
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A digest, equal on members that applied the same changes; zero before the first one.
    pub(in crate::store) fn hash(&self) -> u64 {
        let switches = u64::from(self.prepared) + 2 * u64::from(self.enabled);
        let of_switches = if switches == 0 { 0 } else { hash::of_pair(switches, 2) };
        self.records_hash.wrapping_add(of_switches)
    }

    fn put_user(&mut self, name: String, user: Option<User>) {
        let old = self.users.get(&name).map(|old| record::of_user(&name, old));
        let new = user.as_ref().map(|user| record::of_user(&name, user));
        self.count(old, new);
        match user {
            Some(user) => self.users.insert(name, user),
            None => self.users.remove(&name),
        };
    }

    fn put_role(&mut self, name: String, permissions: Option<Permissions>) {
        let old = self.roles.get(&name).map(|old| record::of_role(&name, old));
        let new = permissions.as_ref().map(|new| record::of_role(&name, new));
        self.count(old, new);
        match permissions {
            Some(permissions) => self.roles.insert(name, permissions),
            None => self.roles.remove(&name),
        };
    }

    /// A record takes another one's place.
    fn count(&mut self, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
        if let Some(old) = old {
            self.bytes -= old.len();
            self.records_hash = self.records_hash.wrapping_sub(hash::of_block(&old));
        }
        if let Some(new) = new {
            self.bytes += new.len();
            self.records_hash = self.records_hash.wrapping_add(hash::of_block(&new));
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        assert!(!self.roles.contains_key(ROOT), "the role root is built in");
        assert!(!self.enabled || self.users.contains_key(ROOT), "only root can enable");
        assert!(!self.enabled || self.prepared, "the switch is a record as well");
        let users = self.users.iter().map(|(name, user)| record::of_user(name, user));
        let roles = self.roles.iter().map(|(name, role)| record::of_role(name, role));
        let records: Vec<Vec<u8>> = users.chain(roles).collect();
        let bytes: usize = records.iter().map(Vec::len).sum();
        let sum = records.iter().map(|record| hash::of_block(record));
        assert_eq!(bytes, self.bytes, "every record is counted");
        assert_eq!(sum.fold(0, u64::wrapping_add), self.records_hash, "every record is hashed");
    }
}

#[cfg(test)]
pub(in crate::store) mod tests;
