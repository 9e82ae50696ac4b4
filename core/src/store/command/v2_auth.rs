//! The layout of changes of v2 users and roles.

use alloc::string::String;

use super::{put_texts, read_text, read_texts};
use crate::codec::{DecodeError, Reader, Write};
use crate::store::v2::auth::record::{put_permissions, read_permissions};
use crate::store::v2::auth::{Change, PasswordHash, Permissions};

mod kind {
    pub(super) const CREATE_USER: u8 = 0;
    pub(super) const PUT_USER: u8 = 1;
    pub(super) const UPDATE_USER: u8 = 2;
    pub(super) const DELETE_USER: u8 = 3;
    pub(super) const CREATE_ROLE: u8 = 4;
    pub(super) const UPDATE_ROLE: u8 = 5;
    pub(super) const DELETE_ROLE: u8 = 6;
    pub(super) const ENABLE: u8 = 7;
    pub(super) const DISABLE: u8 = 8;
}

pub(super) fn put_change(out: &mut impl Write, change: &Change) {
    match change {
        Change::CreateUser { name, hash, roles } => {
            put_user(out, kind::CREATE_USER, name, hash.as_ref());
            put_texts(out, roles);
        }
        Change::PutUser { name, hash, has_list } => {
            put_user(out, kind::PUT_USER, name, hash.as_ref());
            out.put_flag(*has_list);
        }
        Change::UpdateUser { name, hash, grant, revoke } => {
            put_user(out, kind::UPDATE_USER, name, hash.as_ref());
            put_texts(out, grant);
            put_texts(out, revoke);
        }
        Change::DeleteUser(name) => put_head(out, kind::DELETE_USER, name),
        Change::CreateRole(name, permissions) => {
            put_head(out, kind::CREATE_ROLE, name);
            put_permissions(out, permissions);
        }
        Change::UpdateRole { name, grant, revoke } => {
            put_head(out, kind::UPDATE_ROLE, name);
            put_optional(out, grant.as_ref());
            put_optional(out, revoke.as_ref());
        }
        Change::DeleteRole(name) => put_head(out, kind::DELETE_ROLE, name),
        Change::Enable => out.put_byte(kind::ENABLE),
        Change::Disable => out.put_byte(kind::DISABLE),
    }
}

pub(super) fn read_change(reader: &mut Reader) -> Result<Change, DecodeError> {
    Ok(match reader.u8()? {
        kind::CREATE_USER => {
            let (name, hash) = read_user(reader)?;
            Change::CreateUser { name, hash, roles: read_texts(reader)? }
        }
        kind::PUT_USER => {
            let (name, hash) = read_user(reader)?;
            Change::PutUser { name, hash, has_list: reader.flag()? }
        }
        kind::UPDATE_USER => {
            let (name, hash) = read_user(reader)?;
            let (grant, revoke) = (read_texts(reader)?, read_texts(reader)?);
            Change::UpdateUser { name, hash, grant, revoke }
        }
        kind::DELETE_USER => Change::DeleteUser(read_text(reader)?),
        kind::CREATE_ROLE => Change::CreateRole(read_text(reader)?, read_permissions(reader)?),
        kind::UPDATE_ROLE => {
            let name = read_text(reader)?;
            let (grant, revoke) = (read_optional(reader)?, read_optional(reader)?);
            Change::UpdateRole { name, grant, revoke }
        }
        kind::DELETE_ROLE => Change::DeleteRole(read_text(reader)?),
        kind::ENABLE => Change::Enable,
        kind::DISABLE => Change::Disable,
        _ => return Err(reader.error("a change of authentication of an unknown kind")),
    })
}

fn put_head(out: &mut impl Write, kind: u8, name: &str) {
    out.put_byte(kind);
    out.put_block(name.as_bytes());
}

fn put_user(out: &mut impl Write, kind: u8, name: &str, hash: Option<&PasswordHash>) {
    put_head(out, kind, name);
    out.put_flag(hash.is_some());
    if let Some(PasswordHash(text)) = hash {
        out.put_block(text.as_bytes());
    }
}

fn read_user(reader: &mut Reader) -> Result<(String, Option<PasswordHash>), DecodeError> {
    let name = read_text(reader)?;
    let hash = if reader.flag()? { Some(PasswordHash(read_text(reader)?)) } else { None };
    Ok((name, hash))
}

fn put_optional(out: &mut impl Write, permissions: Option<&Permissions>) {
    out.put_flag(permissions.is_some());
    if let Some(permissions) = permissions {
        put_permissions(out, permissions);
    }
}

fn read_optional(reader: &mut Reader) -> Result<Option<Permissions>, DecodeError> {
    Ok(if reader.flag()? { Some(read_permissions(reader)?) } else { None })
}
