//! Which methods there are, and by which paths they are reached.

/// A method of the v3 API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Method {
    /// `KV/Range`
    Range,
    /// `KV/Put`
    Put,
    /// `KV/DeleteRange`
    DeleteRange,
    /// `KV/Txn`
    Txn,
    /// `Cluster/MemberList`
    MemberList,
    /// `Cluster/MemberAdd`
    MemberAdd,
    /// `Cluster/MemberRemove`
    MemberRemove,
    /// `Cluster/MemberUpdate`
    MemberUpdate,
    /// `Cluster/MemberPromote`
    MemberPromote,
    /// `Maintenance/Status`
    Status,
    /// `Health/Check`
    HealthCheck,
    /// One that etcd has and this release does not.
    Missing(&'static str),
}

/// A service: its name, and for each method its name, its path in the gateway, and what it is
/// here; none is missing.
type Service = (&'static str, &'static [(&'static str, &'static str, Option<Method>)]);

/// All services of etcd 3.5 (reference, section 2). Paths are those below `/v3`.
const SERVICES: [Service; 9] = [
    (
        "etcdserverpb.KV",
        &[
            ("Range", "/kv/range", Some(Method::Range)),
            ("Put", "/kv/put", Some(Method::Put)),
            ("DeleteRange", "/kv/deleterange", Some(Method::DeleteRange)),
            ("Txn", "/kv/txn", Some(Method::Txn)),
            ("Compact", "/kv/compaction", None),
        ],
    ),
    (
        "etcdserverpb.Cluster",
        &[
            ("MemberList", "/cluster/member/list", Some(Method::MemberList)),
            ("MemberAdd", "/cluster/member/add", Some(Method::MemberAdd)),
            ("MemberRemove", "/cluster/member/remove", Some(Method::MemberRemove)),
            ("MemberUpdate", "/cluster/member/update", Some(Method::MemberUpdate)),
            ("MemberPromote", "/cluster/member/promote", Some(Method::MemberPromote)),
        ],
    ),
    (
        "etcdserverpb.Maintenance",
        &[
            ("Status", "/maintenance/status", Some(Method::Status)),
            ("Alarm", "/maintenance/alarm", None),
            ("Defragment", "/maintenance/defragment", None),
            ("Hash", "/maintenance/hash", None),
            ("HashKV", "/maintenance/hashkv", None),
            ("Snapshot", "/maintenance/snapshot", None),
            ("MoveLeader", "/maintenance/transfer-leadership", None),
            ("Downgrade", "/maintenance/downgrade", None),
        ],
    ),
    ("grpc.health.v1.Health", &[("Check", "", Some(Method::HealthCheck)), ("Watch", "", None)]),
    ("etcdserverpb.Watch", &[("Watch", "/watch", None)]),
    (
        "etcdserverpb.Lease",
        &[
            ("LeaseGrant", "/lease/grant", None),
            ("LeaseRevoke", "/lease/revoke", None),
            ("LeaseRevoke", "/kv/lease/revoke", None),
            ("LeaseKeepAlive", "/lease/keepalive", None),
            ("LeaseTimeToLive", "/lease/timetolive", None),
            ("LeaseTimeToLive", "/kv/lease/timetolive", None),
            ("LeaseLeases", "/lease/leases", None),
            ("LeaseLeases", "/kv/lease/leases", None),
        ],
    ),
    (
        "etcdserverpb.Auth",
        &[
            ("AuthEnable", "/auth/enable", None),
            ("AuthDisable", "/auth/disable", None),
            ("AuthStatus", "/auth/status", None),
            ("Authenticate", "/auth/authenticate", None),
            ("UserAdd", "/auth/user/add", None),
            ("UserGet", "/auth/user/get", None),
            ("UserList", "/auth/user/list", None),
            ("UserDelete", "/auth/user/delete", None),
            ("UserChangePassword", "/auth/user/changepw", None),
            ("UserGrantRole", "/auth/user/grant", None),
            ("UserRevokeRole", "/auth/user/revoke", None),
            ("RoleAdd", "/auth/role/add", None),
            ("RoleGet", "/auth/role/get", None),
            ("RoleList", "/auth/role/list", None),
            ("RoleDelete", "/auth/role/delete", None),
            ("RoleGrantPermission", "/auth/role/grant", None),
            ("RoleRevokePermission", "/auth/role/revoke", None),
        ],
    ),
    ("v3lockpb.Lock", &[("Lock", "/lock/lock", None), ("Unlock", "/lock/unlock", None)]),
    (
        "v3electionpb.Election",
        &[
            ("Campaign", "/election/campaign", None),
            ("Proclaim", "/election/proclaim", None),
            ("Leader", "/election/leader", None),
            ("Observe", "/election/observe", None),
            ("Resign", "/election/resign", None),
        ],
    ),
];

/// Why no method is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum Unknown {
    /// The path is not `/service/method`.
    Malformed,
    /// No such service.
    Service(String),
    /// The service has no such method.
    Method {
        /// The service.
        service: String,
        /// What it does not have.
        method: String,
    },
}

/// All methods in a fixed order, each once: service, name and gRPC's type.
pub(crate) fn methods() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    places().map(|(service, name, _)| (service, name, kind(service, name)))
}

fn places() -> impl Iterator<Item = (&'static str, &'static str, Option<Method>)> {
    SERVICES.iter().flat_map(|(service, methods)| {
        let first = |name| methods.iter().position(|(other, ..)| *other == name);
        methods
            .iter()
            .enumerate()
            .filter(move |(place, (name, ..))| first(*name) == Some(*place))
            .map(move |(_, (name, _, method))| (*service, *name, *method))
    })
}

fn kind(service: &str, name: &str) -> &'static str {
    match (service, name) {
        ("etcdserverpb.Watch", _) | (_, "LeaseKeepAlive") => "bidi_stream",
        (_, "Watch" | "Snapshot" | "Observe") => "server_stream",
        _ => "unary",
    }
}

impl Method {
    /// Where the method stands among [`methods`].
    pub(in crate::api) fn place(self) -> usize {
        match self {
            // The first service's are looked for most often, and stand first.
            Self::Range => 0,
            Self::Put => 1,
            Self::DeleteRange => 2,
            Self::Txn => 3,
            Self::Missing(name) => places()
                .position(|(_, other, method)| method.is_none() && other == name)
                .expect("a missing method has its name from the list"),
            _ => places()
                .position(|(_, _, method)| method == Some(self))
                .expect("every method is in the list"),
        }
    }

    /// The method that a gRPC path names.
    ///
    /// # Errors
    /// See [`Unknown`].
    pub(in crate::api) fn of_call(path: &[u8]) -> Result<Self, Unknown> {
        match path {
            b"/etcdserverpb.KV/Range" => return Ok(Self::Range),
            b"/etcdserverpb.KV/Put" => return Ok(Self::Put),
            b"/etcdserverpb.KV/Txn" => return Ok(Self::Txn),
            _ => {}
        }
        let path = String::from_utf8_lossy(path);
        let (service, method) = path
            .strip_prefix('/')
            .and_then(|path| path.rsplit_once('/'))
            .ok_or(Unknown::Malformed)?;
        let Some((_, methods)) = SERVICES.iter().find(|(name, _)| *name == service) else {
            return Err(Unknown::Service(service.to_string()));
        };
        match methods.iter().find(|(name, ..)| *name == method) {
            Some((name, _, found)) => Ok(found.unwrap_or(Self::Missing(name))),
            None => {
                Err(Unknown::Method { service: service.to_string(), method: method.to_string() })
            }
        }
    }

    /// The method that a path of the gateway names; the path begins below `/v3`.
    #[must_use]
    pub(in crate::api) fn of_path(path: &[u8]) -> Option<Self> {
        let methods = SERVICES.iter().flat_map(|(_, methods)| methods.iter());
        let mut reachable = methods.filter(|(_, known, _)| !known.is_empty());
        let (name, _, found) = reachable.find(|(_, known, _)| known.as_bytes() == path)?;
        Some(found.unwrap_or(Self::Missing(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_paths_name_the_same_methods() {
        for (service, methods) in &SERVICES {
            for (name, path, _) in *methods {
                let call = Method::of_call(format!("/{service}/{name}").as_bytes());
                let call = call.expect("every listed method is known");
                if !path.is_empty() {
                    assert_eq!(Method::of_path(path.as_bytes()), Some(call), "{path}");
                }
            }
        }
        assert_eq!(Method::of_call(b"/etcdserverpb.KV/DeleteRange"), Ok(Method::DeleteRange));
    }

    #[test]
    fn every_method_has_a_place() {
        let listed: Vec<_> = methods().collect();
        assert_eq!(Method::Txn.place(), 3);
        for (place, (_, name, method)) in places().enumerate() {
            assert_eq!(listed[place].1, name);
            if let Some(method) = method {
                assert_eq!(method.place(), place, "{name}");
            }
        }
        assert_eq!(listed[Method::Missing("LeaseGrant").place()].1, "LeaseGrant");
        let leases = listed.iter().filter(|(_, name, _)| *name == "LeaseRevoke");
        assert_eq!(leases.count(), 1, "two paths are one method");
    }

    #[test]
    fn what_is_unknown_is_named() {
        let unknown = |path: &str| Method::of_call(path.as_bytes()).expect_err("unknown");
        assert_eq!(unknown("/a.B/C"), Unknown::Service("a.B".to_string()));
        assert_eq!(
            unknown("/etcdserverpb.KV/RangeStream"),
            Unknown::Method {
                service: "etcdserverpb.KV".to_string(),
                method: "RangeStream".to_string(),
            }
        );
        assert_eq!(unknown("nothing"), Unknown::Malformed);
        assert_eq!(Method::of_path(b""), None);
        assert_eq!(Method::of_path(b"/kv/nothing"), None);
    }
}
