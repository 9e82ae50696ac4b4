//! Users and roles as bytes: in checkpoints, in the digest that members compare, and in commands.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Auth, PasswordHash, Permissions, ROOT, User};
use crate::codec::{DecodeError, Reader, Write};
use crate::limits;
use crate::store::command::read_text;

const USER: u8 = 1;
const ROLE: u8 = 2;
const SWITCHES: u8 = 3;

/// A user's record.
pub(super) fn of_user(name: &str, user: &User) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_byte(USER);
    out.put_block(name.as_bytes());
    out.put_block(user.hash.0.as_bytes());
    put_list(&mut out, user.roles.as_deref());
    out
}

/// A role's record.
pub(super) fn of_role(name: &str, permissions: &Permissions) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_byte(ROLE);
    out.put_block(name.as_bytes());
    put_permissions(&mut out, permissions);
    out
}

/// All records, for a checkpoint: none before the first change.
pub(in crate::store::v2) fn all(auth: &Auth) -> impl Iterator<Item = Vec<u8>> {
    let switches = auth.prepared.then(|| {
        let mut out = Vec::new();
        out.put_byte(SWITCHES);
        out.put_flag(auth.enabled);
        out
    });
    let users = auth.users.iter().map(|(name, user)| of_user(name, user));
    let roles = auth.roles.iter().map(|(name, role)| of_role(name, role));
    switches.into_iter().chain(users).chain(roles)
}

/// Takes one record of [`all`], in its order.
///
/// # Errors
/// When it is malformed, out of its order, or too much.
pub(in crate::store::v2) fn load(auth: &mut Auth, reader: &mut Reader) -> Result<(), DecodeError> {
    let kind = reader.u8()?;
    match kind {
        SWITCHES if !auth.prepared => {
            auth.prepared = true;
            auth.enabled = reader.flag()?;
        }
        USER if auth.prepared && auth.roles.is_empty() => {
            let name = read_text(reader)?;
            let hash = PasswordHash(read_text(reader)?);
            let user = User { hash, roles: read_list(reader)? };
            expect_behind(&auth.users, &name, reader)?;
            auth.put_user(name, Some(user));
        }
        ROLE if auth.prepared => {
            let name = read_text(reader)?;
            let permissions = read_permissions(reader)?;
            expect_behind(&auth.roles, &name, reader)?;
            if name == ROOT {
                return Err(reader.error("the role root is no record"));
            }
            auth.put_role(name, Some(permissions));
        }
        _ => return Err(reader.error("no such record of authentication at this place")),
    }
    if auth.bytes > limits::V2_AUTH_BYTES_MAX {
        return Err(reader.error("too many users and roles"));
    }
    Ok(())
}

/// What [`load`] could not see with each record.
///
/// # Errors
/// When the switch is on, and nobody could turn it off.
pub(in crate::store::v2) fn finish(auth: &Auth) -> Result<(), DecodeError> {
    let locked = auth.enabled && !auth.users.contains_key(ROOT);
    let rule = "authentication is on without a user root";
    if locked { Err(DecodeError { rule, offset: 0 }) } else { Ok(()) }
}

fn expect_behind<T>(
    records: &BTreeMap<String, T>,
    name: &str,
    reader: &Reader,
) -> Result<(), DecodeError> {
    let behind = records.last_key_value().is_none_or(|(last, _)| last.as_str() < name);
    if behind { Ok(()) } else { Err(reader.error("records of authentication out of order")) }
}

/// Writes a list that may not have been given.
pub(in crate::store) fn put_list(out: &mut impl Write, list: Option<&[String]>) {
    out.put_flag(list.is_some());
    if let Some(list) = list {
        out.put_count(list.len());
        list.iter().for_each(|text| out.put_block(text.as_bytes()));
    }
}

/// The counterpart of [`put_list`].
pub(in crate::store) fn read_list(reader: &mut Reader) -> Result<Option<Vec<String>>, DecodeError> {
    if !reader.flag()? {
        return Ok(None);
    }
    let count = reader.count()?;
    (0..count).map(|_| read_text(reader)).collect::<Result<_, _>>().map(Some)
}

/// Writes both lists.
pub(in crate::store) fn put_permissions(out: &mut impl Write, permissions: &Permissions) {
    put_list(out, permissions.read.as_deref());
    put_list(out, permissions.write.as_deref());
}

/// The counterpart of [`put_permissions`].
pub(in crate::store) fn read_permissions(reader: &mut Reader) -> Result<Permissions, DecodeError> {
    Ok(Permissions { read: read_list(reader)?, write: read_list(reader)? })
}
