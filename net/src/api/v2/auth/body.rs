//! Users and roles as clients send them.
//!
//! Read as Go's decoder reads them: only the first value of a body counts, names of fields compare
//! without case, unknown ones are skipped, and `null` is as good as nothing. The media type does
//! not matter.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use quorra_core::replica::Password;
use quorra_core::store::v2::auth::{Change, Permissions};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::http::Request;

/// A list that may be absent.
type Names = Option<Vec<String>>;

/// The first JSON value of a body; none if it is malformed.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(request: &Request) -> Option<T> {
    if request.oversized {
        return None;
    }
    let text = String::from_utf8_lossy(&request.body);
    serde_json::Deserializer::from_str(&text).into_iter().next()?.ok()
}

/// An object whose fields are taken one by one.
trait Fields: Default {
    /// Takes the value of a field, whose name is given in lower case.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for FieldsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut fields = T::default();
        while let Some(name) = map.next_key::<String>()? {
            fields.take(&name.to_ascii_lowercase(), &mut map)?;
        }
        Ok(fields)
    }
}

fn object<'de, T: Fields, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(FieldsVisitor(PhantomData))
}

fn names<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Names, A::Error> {
    let list: Option<Vec<Option<String>>> = map.next_value()?;
    Ok(list.map(|list| list.into_iter().map(Option::unwrap_or_default).collect()))
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

fn is_empty(list: &Names) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// What is asked for a user. It holds a password, so it is never printed.
#[derive(Default)]
pub(super) struct UserBody {
    user: String,
    password: String,
    roles: Names,
    grant: Names,
    revoke: Names,
}

impl Fields for UserBody {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "user" => set(&mut self.user, map)?,
            "password" => set(&mut self.password, map)?,
            "roles" => self.roles = names(map)?,
            "grant" => self.grant = names(map)?,
            "revoke" => self.revoke = names(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

fn set<'de, A: MapAccess<'de>>(text: &mut String, map: &mut A) -> Result<(), A::Error> {
    if let Some(new) = map.next_value::<Option<String>>()? {
        *text = new;
    }
    Ok(())
}

impl<'de> Deserialize<'de> for UserBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl UserBody {
    /// What it asks for, and the password that is to be hashed first.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn change(self, name: &str) -> Result<(Change, Option<Password>), &'static str> {
        if self.user != name {
            return Err("User JSON name does not match the name in the URL");
        }
        let Self { user: name, password, roles, grant, revoke } = self;
        let hash = None;
        let updates = !is_empty(&grant) || !is_empty(&revoke);
        let change = match (updates, is_empty(&roles)) {
            (true, false) => return Err("User JSON contains both roles and grant/revoke"),
            (true, true) => {
                let (grant, revoke) = (grant.unwrap_or_default(), revoke.unwrap_or_default());
                Change::UpdateUser { name, hash, grant, revoke }
            }
            (false, false) => Change::CreateUser { name, hash, roles: roles.unwrap_or_default() },
            (false, true) => Change::PutUser { name, hash, has_list: roles.is_some() },
        };
        let password = (!password.is_empty()).then(|| Password(Bytes::from(password)));
        Ok((change, password))
    }
}

/// What is asked for a role.
#[derive(Default)]
pub(super) struct RoleBody {
    role: String,
    permissions: Lists,
    grant: Option<Lists>,
    revoke: Option<Lists>,
}

impl Fields for RoleBody {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "role" => set(&mut self.role, map)?,
            "permissions" => self.permissions = map.next_value()?,
            "grant" => self.grant = map.next_value()?,
            "revoke" => self.revoke = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for RoleBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl RoleBody {
    /// What it asks for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn change(self, name: &str) -> Result<Change, &'static str> {
        if self.role != name {
            return Err("Role JSON name does not match the name in the URL");
        }
        let [grant, revoke] = [self.grant, self.revoke].map(|lists| lists.map(|lists| lists.kv.0));
        let permissions = self.permissions.kv.0;
        let asks = |lists: &Option<Permissions>| lists.as_ref().is_some_and(|it| !it.is_empty());
        if !asks(&grant) && !asks(&revoke) {
            return Ok(Change::CreateRole(self.role, permissions));
        }
        if !permissions.is_empty() {
            return Err("Role JSON contains both permissions and grant/revoke");
        }
        Ok(Change::UpdateRole { name: self.role, grant, revoke })
    }
}

/// `{"kv":{"read":[..],"write":[..]}}`
#[derive(Default)]
struct Lists {
    kv: KeyLists,
}

#[derive(Default)]
struct KeyLists(Permissions);

impl Fields for Lists {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "kv" => self.kv = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Fields for KeyLists {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "read" => self.0.read = names(map)?,
            "write" => self.0.write = names(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Deserialize<'de> for KeyLists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v2::tests::request;

    fn list(texts: &[&str]) -> Names {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn user(body: &str) -> Option<Result<(Change, Option<Password>), &'static str>> {
        let request = request("PUT", "/v2/auth/users/u", "", "", body);
        parse::<UserBody>(&request).map(|body| body.change("u"))
    }

    fn role(body: &str) -> Option<Result<Change, &'static str>> {
        let request = request("PUT", "/v2/auth/roles/r", "", "", body);
        parse::<RoleBody>(&request).map(|body| body.change("r"))
    }

    #[test]
    fn malformed_bodies_are_none() {
        for body in [
            "",
            "not json",
            "[]",
            "7",
            "true",
            "\"u\"",
            "{\"user\":7}",
            "{\"user\":\"u\",\"roles\":\"x\"}",
            "{\"user\":\"u\",\"roles\":[7]}",
            "{\"user\":\"u\"",
        ] {
            assert!(user(body).is_none(), "{body}");
        }
        assert!(role("{\"role\":\"r\",\"grant\":[]}").is_none());
        assert!(role("{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":\"x\"}}}").is_none());
    }

    #[test]
    fn a_user_is_created_changed_or_refused() {
        let (name, hash) = ("u".to_owned(), None);
        let put = |has_list| Change::PutUser { name: name.clone(), hash: None, has_list };
        let password = || Some(Password(Bytes::from_static(b"p")));
        let update = Change::UpdateUser {
            name: name.clone(),
            hash: None,
            grant: vec!["a".to_owned(), String::new()],
            revoke: Vec::new(),
        };
        let create = Change::CreateUser { name: name.clone(), hash, roles: vec!["a".to_owned()] };
        let both = "User JSON contains both roles and grant/revoke";
        let other = "User JSON name does not match the name in the URL";
        let rows = [
            ("{\"user\":\"u\"}", Ok((put(false), None))),
            ("{\"USER\":\"u\",\"Password\":\"p\"} trailing", Ok((put(false), password()))),
            ("{\"user\":\"u\",\"password\":null,\"roles\":[]}", Ok((put(true), None))),
            ("{\"user\":\"u\",\"roles\":[\"a\"],\"x\":{}}", Ok((create, None))),
            ("{\"user\":\"u\",\"grant\":[\"a\",null]}", Ok((update, None))),
            ("{\"user\":\"u\",\"grant\":[\"a\"],\"roles\":[\"b\"]}", Err(both)),
            ("{\"user\":\"x\"}", Err(other)),
            ("null", Err(other)),
        ];
        for (body, expected) in rows {
            assert_eq!(user(body), Some(expected), "{body}");
        }
    }

    #[test]
    fn a_role_is_created_changed_or_refused() {
        let permissions = |read, write| Permissions { read, write };
        let create = |permissions| Ok(Change::CreateRole("r".to_owned(), permissions));
        let update = |grant, revoke| Ok(Change::UpdateRole { name: "r".to_owned(), grant, revoke });
        let some = || permissions(list(&["/a"]), None);
        let both = "Role JSON contains both permissions and grant/revoke";
        let rows = [
            ("{\"role\":\"r\"}", create(permissions(None, None))),
            (
                "{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":[\"/a\"],\"write\":[]}}}",
                create(permissions(list(&["/a"]), list(&[]))),
            ),
            ("{\"role\":\"r\",\"grant\":{\"kv\":{\"read\":[]}}}", create(permissions(None, None))),
            ("{\"role\":\"r\",\"grant\":{\"kv\":{\"read\":[\"/a\"]}}}", update(Some(some()), None)),
            (
                "{\"role\":\"r\",\"grant\":{},\"revoke\":{\"KV\":{\"Read\":[\"/a\"]}}}",
                update(Some(permissions(None, None)), Some(some())),
            ),
            (
                "{\"role\":\"r\",\"permissions\":{\"kv\":{\"write\":[\"/\"]}},\
                 \"revoke\":{\"kv\":{\"read\":[\"/a\"]}}}",
                Err(both),
            ),
            ("{}", Err("Role JSON name does not match the name in the URL")),
        ];
        for (body, expected) in rows {
            assert_eq!(role(body), Some(expected), "{body}");
        }
    }
}
