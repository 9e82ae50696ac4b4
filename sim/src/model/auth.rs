//! v2's users and roles as plain sets.

use std::collections::{BTreeMap, BTreeSet};

use quorra_core::store::v2::auth::{
    Access, Answer, Caller, Change, Claim, PasswordHash, Permissions, Refusal,
};

type List = Option<Vec<String>>;
type Outcome = Result<Answer, Refusal>;

/// Users and roles, and whether they count.
#[derive(Clone, Debug, Default)]
pub struct Model {
    users: BTreeMap<String, (PasswordHash, List)>,
    roles: BTreeMap<String, Permissions>,
    enabled: bool,
    prepared: bool,
}

fn sorted(list: &List, add: &[String], remove: &[String]) -> Vec<String> {
    let all = list.iter().flatten().chain(add).filter(|text| !remove.contains(text));
    all.cloned().collect::<BTreeSet<String>>().into_iter().collect()
}

/// The first of these that is there already, or comes twice.
fn duplicate<'a>(list: &List, add: &'a [String]) -> Option<&'a String> {
    let known: Vec<&String> = list.iter().flatten().collect();
    let mut seen = BTreeSet::new();
    add.iter().find(|text| known.contains(text) || !seen.insert(*text))
}

fn covers(pattern: &str, key: &str, recursive: bool) -> bool {
    match pattern.split_at_checked(pattern.len().wrapping_sub(1)) {
        Some((prefix, "*")) => key.starts_with(prefix),
        _ => !recursive && key == pattern,
    }
}

impl Model {
    /// Whether a caller may do this with a key.
    #[must_use]
    pub fn permits(&self, claim: Option<&Claim>, path: &[u8], access: Access) -> bool {
        let slash = claim.is_some_and(|claim| claim.slash);
        let stem = String::from_utf8_lossy(if path == b"/" { b"" } else { path });
        let key = format!("{stem}{}", if slash { "/" } else { "" });
        let caller = claim.map_or(&Caller::Guest, |claim| &claim.caller);
        let recursive = claim.is_some_and(|claim| claim.recursive) && *caller != Caller::Guest;
        let roles = match caller {
            Caller::Guest => vec!["guest".to_owned()],
            Caller::User(_) => self.roles_of(caller),
        };
        let covered = |role: &String| {
            let permissions = self.roles.get(role);
            let list = permissions.and_then(|it| match access {
                Access::Read => it.read.as_ref(),
                Access::Write => it.write.as_ref(),
            });
            list.into_iter().flatten().any(|pattern| covers(pattern, &key, recursive))
        };
        !self.enabled || roles.iter().any(|role| role == "root" || covered(role))
    }

    fn roles_of(&self, caller: &Caller) -> Vec<String> {
        let Caller::User(name) = caller else { return Vec::new() };
        let name = String::from_utf8_lossy(name).into_owned();
        let Some((_, roles)) = self.users.get(&name) else { return Vec::new() };
        let root = (name == "root").then(|| "root".to_owned());
        roles.iter().flatten().cloned().chain(root).collect()
    }

    /// Carries out a change that somebody asked for: how many indices it takes, and its outcome.
    pub fn apply(&mut self, claim: Option<&Claim>, change: &Change) -> (u64, Outcome) {
        let caller = claim.map_or(&Caller::Guest, |claim| &claim.caller);
        if self.enabled && !self.roles_of(caller).iter().any(|role| role == "root") {
            return (0, Err(Refusal::NotPermitted));
        }
        let was_prepared = self.prepared;
        let mut records = 0;
        let outcome = self.carry_out(change, &mut records);
        let preparation = if self.prepared && !was_prepared { 4 } else { 0 };
        (records + preparation, outcome)
    }

    fn carry_out(&mut self, change: &Change, records: &mut u64) -> Outcome {
        match change {
            Change::CreateUser { name, hash, roles } => {
                self.create(name, hash.as_ref(), Some(roles.clone()), false, records)
            }
            Change::PutUser { name, hash, has_list } => {
                if self.users.contains_key(name) {
                    return self.update(name, hash.as_ref(), &[], &[], records);
                }
                self.create(name, hash.as_ref(), has_list.then(Vec::new), true, records)
            }
            Change::UpdateUser { name, hash, grant, revoke } => {
                self.update(name, hash.as_ref(), grant, revoke, records)
            }
            Change::DeleteUser(name) if self.enabled && name == "root" => {
                Err(Refusal::RootUserNeeded)
            }
            Change::DeleteUser(name) => {
                self.prepared = true;
                self.users.remove(name).ok_or(Refusal::NoSuchUser)?;
                *records += 1;
                Ok(Answer::Done)
            }
            Change::CreateRole(name, _)
            | Change::UpdateRole { name, .. }
            | Change::DeleteRole(name)
                if name == "root" =>
            {
                Err(Refusal::RootRole)
            }
            Change::CreateRole(name, permissions) => {
                self.prepared = true;
                if self.roles.contains_key(name) {
                    return Err(Refusal::RoleExists);
                }
                self.put_role(name, permissions.clone(), records)
            }
            Change::UpdateRole { name, grant, revoke } => {
                self.update_role(name, grant.as_ref(), revoke.as_ref(), records)
            }
            Change::DeleteRole(name) => {
                self.prepared = true;
                self.roles.remove(name).ok_or(Refusal::NoSuchRole)?;
                *records += 1;
                Ok(Answer::Done)
            }
            Change::Enable => self.enable(records),
            Change::Disable if !self.enabled => Err(Refusal::AlreadyDisabled),
            Change::Disable => {
                (self.enabled, *records) = (false, 1);
                Ok(Answer::Done)
            }
        }
    }

    fn create(
        &mut self,
        name: &str,
        hash: Option<&PasswordHash>,
        roles: List,
        created: bool,
        records: &mut u64,
    ) -> Outcome {
        let hash = hash.ok_or(Refusal::EmptyPassword)?;
        self.prepared = true;
        if self.users.contains_key(name) {
            return Err(Refusal::UserExists);
        }
        let roles = self.with_root(name, roles);
        self.users.insert(name.to_owned(), (hash.clone(), roles.clone()));
        *records += 1;
        Ok(Answer::User { roles, created })
    }

    /// The user `root` always has its role.
    fn with_root(&self, name: &str, roles: List) -> List {
        let has = roles.iter().flatten().any(|role| role == "root");
        if name != "root" || has {
            return roles;
        }
        Some(roles.into_iter().flatten().chain(["root".to_owned()]).collect())
    }

    fn update(
        &mut self,
        name: &str,
        hash: Option<&PasswordHash>,
        grant: &[String],
        revoke: &[String],
        records: &mut u64,
    ) -> Outcome {
        let (old_hash, roles) = self.users.get(name).cloned().ok_or(Refusal::NoSuchUser)?;
        let roles = self.with_root(name, roles);
        if let Some(role) = duplicate(&roles, grant) {
            return Err(Refusal::DuplicateRole(role.clone()));
        }
        let granted = Some(sorted(&roles, grant, &[]));
        let mut left: BTreeSet<&String> = granted.iter().flatten().collect();
        if let Some(role) = revoke.iter().find(|role| !left.remove(role)) {
            return Err(Refusal::UngrantedRole(role.clone()));
        }
        let (new_hash, new) = (hash.unwrap_or(&old_hash), Some(sorted(&granted, &[], revoke)));
        if *new_hash == old_hash && new == roles {
            return Err(Refusal::UserUnchanged);
        }
        self.users.insert(name.to_owned(), (new_hash.clone(), new.clone()));
        *records += 1;
        Ok(Answer::User { roles: new, created: false })
    }

    fn put_role(&mut self, name: &str, permissions: Permissions, records: &mut u64) -> Outcome {
        self.roles.insert(name.to_owned(), permissions.clone());
        *records += 1;
        Ok(Answer::Role(permissions))
    }

    fn update_role(
        &mut self,
        name: &str,
        grant: Option<&Permissions>,
        revoke: Option<&Permissions>,
        records: &mut u64,
    ) -> Outcome {
        let old = self.roles.get(name).cloned().ok_or(Refusal::NoSuchRole)?;
        let list = |list: &List| list.clone().unwrap_or_default();
        let mut new = old.clone();
        if let Some(grant) = grant {
            for (access, old, add) in [
                (Access::Read, &old.read, list(&grant.read)),
                (Access::Write, &old.write, list(&grant.write)),
            ] {
                if let Some(pattern) = duplicate(old, &add) {
                    return Err(Refusal::DuplicatePermission(access, pattern.clone()));
                }
            }
            new.read = Some(sorted(&old.read, &list(&grant.read), &[]));
            new.write = Some(sorted(&old.write, &list(&grant.write), &[]));
        }
        if let Some(revoke) = revoke {
            new.read = Some(sorted(&new.read, &[], &list(&revoke.read)));
            new.write = Some(sorted(&new.write, &[], &list(&revoke.write)));
        }
        if new == old {
            return Err(Refusal::RoleUnchanged);
        }
        self.put_role(name, new, records)
    }

    fn enable(&mut self, records: &mut u64) -> Outcome {
        if self.enabled {
            return Err(Refusal::AlreadyEnabled);
        }
        if !self.users.contains_key("root") {
            return Err(Refusal::NoRootUser);
        }
        if !self.roles.contains_key("guest") {
            self.put_role("guest", Permissions::everything(), records)?;
        }
        self.enabled = true;
        *records += 1;
        Ok(Answer::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Claim {
        let caller = Caller::User(name.to_owned().into());
        Claim { caller, slash: false, recursive: false }
    }

    #[test]
    fn rules_count_once_they_are_enabled() {
        let hash = || Some(PasswordHash("x".to_owned()));
        let mut model = Model::default();
        let put = |name: &str| Change::PutUser { name: name.into(), hash: hash(), has_list: false };
        assert_eq!(model.apply(None, &Change::Enable), (0, Err(Refusal::NoRootUser)));
        assert_eq!(model.apply(None, &put("root")).0, 5);
        assert_eq!(model.apply(None, &put("ann")).0, 1);
        assert!(model.permits(Some(&user("ann")), b"/k", Access::Write));
        assert_eq!(model.apply(None, &Change::Enable), (2, Ok(Answer::Done)));
        assert!(!model.permits(Some(&user("ann")), b"/k", Access::Write));
        assert!(model.permits(Some(&user("root")), b"/k", Access::Write));
        assert!(model.permits(None, b"/k", Access::Write), "the guest's first role has all");
        let disable = model.apply(Some(&user("ann")), &Change::Disable);
        assert_eq!(disable, (0, Err(Refusal::NotPermitted)));
        assert_eq!(model.apply(Some(&user("root")), &Change::Disable), (1, Ok(Answer::Done)));
    }
}
