//! Changes of users and roles. Each is one command: what it depends on is looked up when it is
//! applied, so that two administrators cannot undo each other unseen.
//!
//! The order of the checks, the cases that count as no change, and the indices that are taken are
//! those of etcd's `v2auth`.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Access, Auth, GUEST, PasswordHash, Permissions, ROOT, User, record};
use crate::limits;

/// The directories `/2`, `/2/users` and `/2/roles`, and `/2/enabled`: an index each.
const PREPARATION_TOUCHES: usize = 4;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates a user who has roles from the start.
    CreateUser {
        /// The name.
        name: String,
        /// Of the password; none if it is empty.
        hash: Option<PasswordHash>,
        /// The roles, at least one.
        roles: Vec<String>,
    },
    /// Creates a user, or gives an existing one another password.
    PutUser {
        /// The name.
        name: String,
        /// Of the password; none if it is empty.
        hash: Option<PasswordHash>,
        /// An empty list of roles was given, and not none.
        has_list: bool,
    },
    /// Gives and takes roles, and sets a password if there is one.
    UpdateUser {
        /// The name.
        name: String,
        /// Of the password; none keeps the old one.
        hash: Option<PasswordHash>,
        /// Roles to add.
        grant: Vec<String>,
        /// Roles to take away, after that.
        revoke: Vec<String>,
    },
    /// Removes a user.
    DeleteUser(String),
    /// Creates a role.
    CreateRole(String, Permissions),
    /// Adds to and takes from what a role permits.
    UpdateRole {
        /// The name.
        name: String,
        /// To add.
        grant: Option<Permissions>,
        /// To take away, after that.
        revoke: Option<Permissions>,
    },
    /// Removes a role. Users keep its name.
    DeleteRole(String),
    /// Makes the rules count.
    Enable,
    /// Makes them count no more.
    Disable,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The user as it is now.
    User {
        /// Its roles.
        roles: Option<Vec<String>>,
        /// It did not exist before; not told of a user who was created with roles (etcd).
        created: bool,
    },
    /// The role as it is now.
    Role(Permissions),
    /// It is done.
    Done,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller does not have the role `root`.
    NotPermitted,
    /// There is such a user.
    UserExists,
    /// There is no such user.
    NoSuchUser,
    /// A user needs a password.
    EmptyPassword,
    /// It would leave the user as it is.
    UserUnchanged,
    /// The user has this role.
    DuplicateRole(String),
    /// The user does not have this role.
    UngrantedRole(String),
    /// Without the user `root` nobody could change anything any more.
    RootUserNeeded,
    /// There is such a role.
    RoleExists,
    /// There is no such role.
    NoSuchRole,
    /// It would leave the role as it is.
    RoleUnchanged,
    /// The role `root` is built in.
    RootRole,
    /// The role has this pattern.
    DuplicatePermission(Access, String),
    /// The rules count already.
    AlreadyEnabled,
    /// The rules do not count.
    AlreadyDisabled,
    /// Only a cluster with a user `root` can make the rules count.
    NoRootUser,
    /// There would be too much of users and roles.
    TooLarge,
}

impl Change {
    /// Puts in what a password was hashed to; a change without a password stays as it is.
    pub fn set_hash(&mut self, new: PasswordHash) {
        match self {
            Self::CreateUser { hash, .. }
            | Self::PutUser { hash, .. }
            | Self::UpdateUser { hash, .. } => *hash = Some(new),
            _ => {}
        }
    }
}

impl Auth {
    /// Carries out a change: how many indices it takes, and what came of it. A refusal may take
    /// some, too.
    pub(in crate::store::v2) fn apply(
        &mut self,
        change: &Change,
    ) -> (usize, Result<Answer, Refusal>) {
        let mut touches = 0;
        let outcome = self.carry_out(change, &mut touches);
        (touches, outcome)
    }

    fn carry_out(&mut self, change: &Change, touches: &mut usize) -> Result<Answer, Refusal> {
        match change {
            Change::CreateUser { name, hash, roles } => {
                let roles = Some(roles.clone());
                self.create_user(name, hash.as_ref(), roles, false, touches)
            }
            Change::PutUser { name, hash, .. } if self.users.contains_key(name) => {
                self.update_user(name, hash.as_ref(), (&[], &[]), touches)
            }
            Change::PutUser { name, hash, has_list } => {
                let roles = has_list.then(Vec::new);
                self.create_user(name, hash.as_ref(), roles, true, touches)
            }
            Change::UpdateUser { name, hash, grant, revoke } => {
                self.update_user(name, hash.as_ref(), (grant, revoke), touches)
            }
            Change::DeleteUser(name) => self.delete_user(name, touches),
            Change::CreateRole(name, permissions) => self.create_role(name, permissions, touches),
            Change::UpdateRole { name, grant, revoke } => {
                self.update_role(name, grant.as_ref(), revoke.as_ref(), touches)
            }
            Change::DeleteRole(name) => self.delete_role(name, touches),
            Change::Enable => self.enable(touches),
            Change::Disable => self.disable(touches),
        }
    }

    /// The first change that gets as far as the records makes their directories.
    fn prepare(&mut self, touches: &mut usize) {
        if !self.prepared {
            self.prepared = true;
            *touches += PREPARATION_TOUCHES;
        }
    }

    /// Whether there is room for a record in the place of another one.
    fn fits(&self, old: usize, new: usize) -> Result<(), Refusal> {
        let fits = self.bytes - old + new <= limits::V2_AUTH_BYTES_MAX;
        if fits { Ok(()) } else { Err(Refusal::TooLarge) }
    }

    fn set_user(&mut self, name: &str, user: User, touches: &mut usize) -> Result<(), Refusal> {
        let old = self.users.get(name).map_or(0, |old| record::of_user(name, old).len());
        self.fits(old, record::of_user(name, &user).len())?;
        self.put_user(name.into(), Some(user));
        *touches += 1;
        Ok(())
    }

    fn set_role(
        &mut self,
        name: &str,
        permissions: Permissions,
        touches: &mut usize,
    ) -> Result<(), Refusal> {
        let old = self.roles.get(name).map_or(0, |old| record::of_role(name, old).len());
        self.fits(old, record::of_role(name, &permissions).len())?;
        self.put_role(name.into(), Some(permissions));
        *touches += 1;
        Ok(())
    }

    fn create_user(
        &mut self,
        name: &str,
        hash: Option<&PasswordHash>,
        roles: Option<Vec<String>>,
        created: bool,
        touches: &mut usize,
    ) -> Result<Answer, Refusal> {
        let roles = if name == ROOT { with_root(roles) } else { roles };
        let hash = hash.ok_or(Refusal::EmptyPassword)?;
        self.prepare(touches);
        if self.users.contains_key(name) {
            return Err(Refusal::UserExists);
        }
        self.set_user(name, User { hash: hash.clone(), roles: roles.clone() }, touches)?;
        Ok(Answer::User { roles, created })
    }

    fn update_user(
        &mut self,
        name: &str,
        hash: Option<&PasswordHash>,
        (grant, revoke): (&[String], &[String]),
        touches: &mut usize,
    ) -> Result<Answer, Refusal> {
        let Some(mut old) = self.users.get(name).cloned() else { return Err(Refusal::NoSuchUser) };
        if name == ROOT {
            old.roles = with_root(old.roles);
        }
        let mut roles: BTreeSet<String> = old.roles.iter().flatten().cloned().collect();
        for role in grant {
            if !roles.insert(role.clone()) {
                return Err(Refusal::DuplicateRole(role.clone()));
            }
        }
        for role in revoke {
            if !roles.remove(role) {
                return Err(Refusal::UngrantedRole(role.clone()));
            }
        }
        let roles = Some(roles.into_iter().collect());
        let new = User { hash: hash.unwrap_or(&old.hash).clone(), roles };
        if new == old {
            return Err(Refusal::UserUnchanged);
        }
        self.prepare(touches);
        let roles = new.roles.clone();
        self.set_user(name, new, touches)?;
        Ok(Answer::User { roles, created: false })
    }

    fn delete_user(&mut self, name: &str, touches: &mut usize) -> Result<Answer, Refusal> {
        if self.enabled && name == ROOT {
            return Err(Refusal::RootUserNeeded);
        }
        self.prepare(touches);
        if !self.users.contains_key(name) {
            return Err(Refusal::NoSuchUser);
        }
        self.put_user(name.into(), None);
        *touches += 1;
        Ok(Answer::Done)
    }

    fn create_role(
        &mut self,
        name: &str,
        permissions: &Permissions,
        touches: &mut usize,
    ) -> Result<Answer, Refusal> {
        if name == ROOT {
            return Err(Refusal::RootRole);
        }
        self.prepare(touches);
        if self.roles.contains_key(name) {
            return Err(Refusal::RoleExists);
        }
        self.set_role(name, permissions.clone(), touches)?;
        Ok(Answer::Role(permissions.clone()))
    }

    fn update_role(
        &mut self,
        name: &str,
        grant: Option<&Permissions>,
        revoke: Option<&Permissions>,
        touches: &mut usize,
    ) -> Result<Answer, Refusal> {
        if name == ROOT {
            return Err(Refusal::RootRole);
        }
        let old = self.roles.get(name).ok_or(Refusal::NoSuchRole)?;
        let granted = grant.map_or_else(|| Ok(old.clone()), |grant| old.granted(grant))?;
        let new = revoke.map_or_else(|| granted.clone(), |revoke| granted.revoked(revoke));
        if new == *old {
            return Err(Refusal::RoleUnchanged);
        }
        self.prepare(touches);
        self.set_role(name, new.clone(), touches)?;
        Ok(Answer::Role(new))
    }

    fn delete_role(&mut self, name: &str, touches: &mut usize) -> Result<Answer, Refusal> {
        if name == ROOT {
            return Err(Refusal::RootRole);
        }
        self.prepare(touches);
        if !self.roles.contains_key(name) {
            return Err(Refusal::NoSuchRole);
        }
        self.put_role(name.into(), None);
        *touches += 1;
        Ok(Answer::Done)
    }

    fn enable(&mut self, touches: &mut usize) -> Result<Answer, Refusal> {
        if self.enabled {
            return Err(Refusal::AlreadyEnabled);
        }
        if !self.users.contains_key(ROOT) {
            return Err(Refusal::NoRootUser);
        }
        if !self.roles.contains_key(GUEST) {
            self.set_role(GUEST, Permissions::everything(), touches)?;
        }
        self.enabled = true;
        *touches += 1;
        Ok(Answer::Done)
    }

    fn disable(&mut self, touches: &mut usize) -> Result<Answer, Refusal> {
        if !self.enabled {
            return Err(Refusal::AlreadyDisabled);
        }
        self.enabled = false;
        *touches += 1;
        Ok(Answer::Done)
    }
}

fn with_root(roles: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut roles = roles.unwrap_or_default();
    if !roles.iter().any(|role| role == ROOT) {
        roles.push(ROOT.into());
    }
    Some(roles)
}
