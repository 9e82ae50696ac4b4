//! Users and roles as etcd prints them: one line of JSON each, and never a password.

use bytes::{Bytes, BytesMut};
use quorra_core::store::v2::auth::{Auth, Permissions};

use crate::api::v2::json;

/// The longest list of users that is printed, each with all its roles.
const LISTING_BYTES_MAX: usize = 16 << 20;

/// A status and a text.
pub(super) type Refused = (u16, String);

pub(super) fn switch(auth: &Auth) -> Bytes {
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"enabled\":");
    json::put_raw(&mut out, if auth.is_enabled() { "true}" } else { "false}" });
    end(out)
}

/// All users, with those of their roles that exist.
///
/// # Errors
/// When it is too much.
pub(super) fn users(auth: &Auth) -> Result<Bytes, Refused> {
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"users\":");
    for (place, (name, _)) in auth.users().enumerate() {
        json::put_raw(&mut out, if place > 0 { "," } else { "[" });
        let roles = auth.roles_of(name).unwrap_or_default();
        let known = roles.iter().filter_map(|role| Some((*role, auth.role(role)?)));
        put_user(&mut out, name, known);
        if out.len() > LISTING_BYTES_MAX {
            return Err((500, "auth: The list of users is too long".to_owned()));
        }
    }
    let is_empty = auth.users().next().is_none();
    json::put_raw(&mut out, if is_empty { "null}" } else { "]}" });
    Ok(end(out))
}

/// A user with its roles.
///
/// # Errors
/// When there is no such user, or one of its roles does not exist.
pub(super) fn user(auth: &Auth, name: &str) -> Result<Bytes, Refused> {
    let missing = || (404, format!("auth: User {name} does not exist."));
    let roles = auth.roles_of(name).ok_or_else(missing)?;
    let known = roles.iter().map(|role| Ok((*role, find(auth, role)?)));
    let known = known.collect::<Result<Vec<_>, Refused>>()?;
    let mut out = BytesMut::new();
    put_user(&mut out, name, known.into_iter());
    Ok(end(out))
}

/// All roles.
///
/// # Errors
/// None, so far.
pub(super) fn roles(auth: &Auth) -> Result<Bytes, Refused> {
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"roles\":[");
    for (place, name) in auth.role_names().into_iter().enumerate() {
        json::put_raw(&mut out, if place > 0 { "," } else { "" });
        put_role(&mut out, name, &find(auth, name)?);
    }
    json::put_raw(&mut out, "]}");
    Ok(end(out))
}

/// A role.
///
/// # Errors
/// When there is none.
pub(super) fn role(auth: &Auth, name: &str) -> Result<Bytes, Refused> {
    Ok(changed_role(name, &find(auth, name)?))
}

fn find(auth: &Auth, name: &str) -> Result<Permissions, Refused> {
    auth.role(name).ok_or_else(|| (404, format!("auth: Role {name} does not exist.")))
}

/// A user as it is after a change: only the names of its roles.
pub(super) fn changed_user(name: &str, roles: Option<&Vec<String>>) -> Bytes {
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"user\":");
    json::put_string(&mut out, name.as_bytes());
    json::put_raw(&mut out, ",\"roles\":");
    put_list(&mut out, roles);
    json::put_raw(&mut out, "}");
    end(out)
}

/// A role as it is after a change.
pub(super) fn changed_role(name: &str, permissions: &Permissions) -> Bytes {
    let mut out = BytesMut::new();
    put_role(&mut out, name, permissions);
    end(out)
}

fn put_user<'a>(
    out: &mut BytesMut,
    name: &str,
    roles: impl Iterator<Item = (&'a str, Permissions)>,
) {
    json::put_raw(out, "{\"user\":");
    json::put_string(out, name.as_bytes());
    let mut is_empty = true;
    for (role, permissions) in roles {
        json::put_raw(out, if is_empty { ",\"roles\":[" } else { "," });
        put_role(out, role, &permissions);
        is_empty = false;
    }
    json::put_raw(out, if is_empty { "}" } else { "]}" });
}

fn put_role(out: &mut BytesMut, name: &str, permissions: &Permissions) {
    json::put_raw(out, "{\"role\":");
    json::put_string(out, name.as_bytes());
    json::put_raw(out, ",\"permissions\":{\"kv\":{\"read\":");
    put_list(out, permissions.read.as_ref());
    json::put_raw(out, ",\"write\":");
    put_list(out, permissions.write.as_ref());
    json::put_raw(out, "}}}");
}

fn put_list(out: &mut BytesMut, list: Option<&Vec<String>>) {
    let Some(list) = list else { return json::put_raw(out, "null") };
    json::put_raw(out, "[");
    for (place, text) in list.iter().enumerate() {
        json::put_raw(out, if place > 0 { "," } else { "" });
        json::put_string(out, text.as_bytes());
    }
    json::put_raw(out, "]");
}

/// Ends the line.
fn end(mut out: BytesMut) -> Bytes {
    json::put_raw(&mut out, "\n");
    out.freeze()
}
