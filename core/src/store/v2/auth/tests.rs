use super::*;
use alloc::vec;
use bytes::Bytes;
use proptest::prelude::*;

fn list(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| String::from(*text)).collect())
}

fn names(texts: &[&str]) -> Vec<String> {
    list(texts).unwrap_or_default()
}

fn hash() -> Option<PasswordHash> {
    Some(PasswordHash("$2a$".into()))
}

fn put(name: &str) -> Change {
    Change::PutUser { name: name.into(), hash: hash(), has_list: false }
}

fn update(name: &str, grant: &[&str], revoke: &[&str]) -> Change {
    let (grant, revoke) = (names(grant), names(revoke));
    Change::UpdateUser { name: name.into(), hash: None, grant, revoke }
}

fn role(name: &str, read: &[&str], write: &[&str]) -> Change {
    Change::CreateRole(name.into(), Permissions { read: list(read), write: list(write) })
}

fn grant_role(name: &str, grant: Option<Permissions>, revoke: Option<Permissions>) -> Change {
    Change::UpdateRole { name: name.into(), grant, revoke }
}

fn apply(auth: &mut Auth, change: &Change) -> (usize, Result<Answer, Refusal>) {
    let applied = auth.apply(change);
    auth.check();
    applied
}

fn with(changes: &[Change]) -> Auth {
    let mut auth = Auth::default();
    for change in changes {
        apply(&mut auth, change).1.expect("a change that can be made");
    }
    auth
}

fn user(name: &'static str, slash: bool, recursive: bool) -> Claim {
    Claim { caller: Caller::User(Bytes::from(name)), slash, recursive }
}

fn guest(slash: bool) -> Claim {
    Claim { caller: Caller::Guest, slash, recursive: true }
}

#[test]
fn changes_take_the_indices_that_etcd_takes() {
    let mut auth = Auth::default();
    let everything = Permissions::everything;
    let some = |read: &[&str]| Some(Permissions { read: list(read), write: None });
    let rows: Vec<(Change, usize, Option<Refusal>)> = vec![
        (Change::Enable, 0, Some(Refusal::NoRootUser)),
        (Change::Disable, 0, Some(Refusal::AlreadyDisabled)),
        (update("ann", &["r"], &[]), 0, Some(Refusal::NoSuchUser)),
        (grant_role("r", some(&["/"]), None), 0, Some(Refusal::NoSuchRole)),
        (role(ROOT, &[], &[]), 0, Some(Refusal::RootRole)),
        (Change::DeleteRole(ROOT.into()), 0, Some(Refusal::RootRole)),
        (grant_role(ROOT, some(&["/"]), None), 0, Some(Refusal::RootRole)),
        (Change::DeleteUser("ann".into()), 4, Some(Refusal::NoSuchUser)),
        (Change::DeleteRole("r".into()), 0, Some(Refusal::NoSuchRole)),
        (put("ann"), 1, None),
        (put("ann"), 1, None),
        (put("ann"), 0, Some(Refusal::UserUnchanged)),
        (update("ann", &["r", "q"], &[]), 1, None),
        (update("ann", &["q"], &[]), 0, Some(Refusal::DuplicateRole("q".into()))),
        (update("ann", &[], &["x"]), 0, Some(Refusal::UngrantedRole("x".into()))),
        (update("ann", &["x"], &["x", "q"]), 1, None),
        (role("r", &["/b", "/a"], &[]), 1, None),
        (role("r", &[], &[]), 0, Some(Refusal::RoleExists)),
        (grant_role("r", None, some(&["/none"])), 1, None),
        (grant_role("r", None, some(&["/none"])), 0, Some(Refusal::RoleUnchanged)),
        (put(ROOT), 1, None),
        (Change::Enable, 2, None),
        (Change::Enable, 0, Some(Refusal::AlreadyEnabled)),
        (Change::DeleteUser(ROOT.into()), 0, Some(Refusal::RootUserNeeded)),
        (Change::Disable, 1, None),
        (Change::Enable, 1, None),
        (Change::Disable, 1, None),
        (Change::DeleteUser(ROOT.into()), 1, None),
        (Change::DeleteRole(GUEST.into()), 1, None),
    ];
    for (change, touches, refusal) in rows {
        let (taken, outcome) = apply(&mut auth, &change);
        assert_eq!((taken, outcome.err()), (touches, refusal), "{change:?}");
    }
    assert_eq!(everything().read, list(&["/*"]));
}

#[test]
fn a_list_that_was_never_given_is_told_from_an_empty_one() {
    let mut auth = Auth::default();
    let roles = |roles: Option<Vec<String>>, created| Ok(Answer::User { roles, created });
    assert_eq!(apply(&mut auth, &put("ann")).1, roles(None, true));
    assert_eq!(apply(&mut auth, &put("ann")).1, roles(list(&[]), false));
    assert_eq!(apply(&mut auth, &put(ROOT)).1, roles(list(&[ROOT]), true));
    let revoked = apply(&mut auth, &update(ROOT, &[], &[ROOT])).1;
    assert_eq!(revoked, roles(list(&[]), false));
    assert_eq!(auth.roles_of(ROOT), Some(vec![ROOT]), "root never loses its role");
    let create = Change::CreateUser { name: "bob".into(), hash: hash(), roles: names(&["b", "a"]) };
    assert_eq!(apply(&mut auth, &create).1, roles(list(&["b", "a"]), false));
    assert_eq!(apply(&mut auth, &create).1, Err(Refusal::UserExists));
    assert_eq!(
        apply(&mut auth, &update("bob", &["c"], &[])).1,
        roles(list(&["a", "b", "c"]), false)
    );
    let unset = Change::PutUser { name: "eve".into(), hash: None, has_list: true };
    assert_eq!(apply(&mut auth, &unset).1, Err(Refusal::EmptyPassword));
}

#[test]
fn granting_and_revoking_keep_lists_sorted() {
    let mut auth = with(&[role("r", &["/z"], &[])]);
    let lists =
        |read: &[&str], write: &[&str]| Permissions { read: list(read), write: list(write) };
    let both = grant_role("r", Some(lists(&["/b", "/a*"], &["/w"])), Some(lists(&["/z"], &["/x"])));
    let answer = apply(&mut auth, &both).1;
    assert_eq!(answer, Ok(Answer::Role(lists(&["/a*", "/b"], &["/w"]))));
    let twice = grant_role("r", Some(lists(&["/new", "/new"], &[])), None);
    let refusal = Refusal::DuplicatePermission(Access::Read, "/new".into());
    assert_eq!(apply(&mut auth, &twice).1, Err(refusal));
    let there = grant_role("r", Some(lists(&["/new"], &["/w"])), None);
    let refusal = Refusal::DuplicatePermission(Access::Write, "/w".into());
    assert_eq!(apply(&mut auth, &there).1, Err(refusal));
    assert_eq!(auth.role("r"), Some(lists(&["/a*", "/b"], &["/w"])), "a refusal changes nothing");
}

/// Patterns are compared with the key as it was given.
#[test]
fn patterns_cover_prefixes_or_one_key() {
    let rows: [(&str, &str, bool, bool, bool); 19] = [
        // pattern, key, slash behind it, plain, recursive
        ("/a", "/a", false, true, false),
        ("/a", "/a", true, false, false),
        ("/a/", "/a", true, true, false),
        ("/a/", "/a", false, false, false),
        ("/a", "/a/b", false, false, false),
        ("/a", "/ab", false, false, false),
        ("/a*", "/a", false, true, true),
        ("/a*", "/ab", false, true, true),
        ("/a*", "/a/b", true, true, true),
        ("/a/*", "/a", false, false, false),
        ("/a/*", "/a", true, true, true),
        ("/a/*", "/a/b", false, true, true),
        ("/a/b*", "/a", true, false, false),
        ("*", "/", false, true, true),
        ("/*", "/", false, false, false),
        ("/*", "/", true, true, true),
        ("/", "/", true, true, false),
        ("", "/", false, false, false),
        ("a", "/a", false, false, false),
    ];
    for (pattern, key, slash, plain, recursive) in rows {
        let auth = with(&[
            put(ROOT),
            role("r", &[pattern], &[]),
            put("ann"),
            update("ann", &["unknown", "r"], &[]),
            Change::Enable,
        ]);
        let path = Path::clean(key.as_bytes());
        let permits =
            |recursive, access| auth.permits(Some(&user("ann", slash, recursive)), &path, access);
        assert_eq!(permits(false, Access::Read), plain, "{pattern} {key} {slash}");
        assert_eq!(permits(true, Access::Read), recursive, "{pattern} {key} {slash} recursive");
        assert!(!permits(false, Access::Write), "reading is not writing");
    }
}

#[test]
fn callers_may_do_what_their_roles_permit() {
    let path = Path::clean(b"/k");
    let mut auth =
        with(&[put(ROOT), put("ann"), role("r", &[], &["/k"]), update("ann", &["r"], &[])]);
    let nobody = user("nobody", false, false);
    assert!(auth.permits(Some(&nobody), &path, Access::Write), "the rules do not count yet");
    assert!(auth.permits_administration(&Caller::Guest));
    apply(&mut auth, &Change::Enable).1.expect("there is a root");
    let may = |auth: &Auth, claim: Option<&Claim>| {
        (auth.permits(claim, &path, Access::Read), auth.permits(claim, &path, Access::Write))
    };
    assert_eq!(may(&auth, Some(&nobody)), (false, false));
    assert_eq!(may(&auth, Some(&user("ann", false, false))), (false, true));
    assert_eq!(may(&auth, Some(&user(ROOT, true, true))), (true, true));
    assert_eq!(may(&auth, Some(&guest(true))), (true, true));
    assert_eq!(may(&auth, None), (true, true), "nobody was asked: a guest");
    let read_only = Permissions { read: None, write: list(&["/*"]) };
    apply(&mut auth, &grant_role(GUEST, None, Some(read_only))).1.expect("it has this pattern");
    assert_eq!(may(&auth, Some(&guest(false))), (true, false));
    assert_eq!(may(&auth, None), (true, false));
    apply(&mut auth, &Change::DeleteRole(GUEST.into())).1.expect("it exists");
    assert_eq!(may(&auth, None), (false, false), "no such role permits nothing");
    let administers =
        |name: &'static str| auth.permits_administration(&Caller::User(Bytes::from(name)));
    assert!(administers(ROOT) && !administers("ann") && !administers("nobody"));
    assert!(!auth.permits_administration(&Caller::Guest));
}

#[test]
fn users_and_roles_have_a_bound() {
    let mut auth = Auth::default();
    let half = "x".repeat(crate::limits::V2_AUTH_BYTES_MAX / 2);
    let large = |name: &str| role(name, &[&half], &[]);
    apply(&mut auth, &large("r")).1.expect("there is room for one");
    assert_eq!(apply(&mut auth, &large("s")), (0, Err(Refusal::TooLarge)));
    apply(&mut auth, &put("ann")).1.expect("there is room for a small one");
    apply(&mut auth, &Change::DeleteRole("r".into())).1.expect("it exists");
    apply(&mut auth, &large("s")).1.expect("there is room again");
}

#[test]
fn a_digest_is_none_before_the_first_change_and_depends_on_all_of_it() {
    let mut seen = vec![0];
    let mut auth = Auth::default();
    assert_eq!(auth.hash(), 0);
    for change in [
        Change::DeleteUser("x".into()),
        put(ROOT),
        update(ROOT, &["r"], &[]),
        role("r", &["/a"], &[]),
        grant_role("r", None, Some(Permissions { read: list(&["/a"]), write: None })),
        Change::Enable,
        Change::Disable,
    ] {
        let _ = apply(&mut auth, &change);
        assert!(!seen.contains(&auth.hash()), "{change:?}");
        seen.push(auth.hash());
    }
}

/// Checkpoints from before there were users are those of a store without any.
#[test]
fn a_store_without_changes_has_no_records() {
    assert_eq!(record::all(&Auth::default()).count(), 0);
    assert_eq!(record::all(&with(&[put("ann")])).count(), 2);
}

#[test]
fn no_password_hash_is_printed() {
    let change = Change::CreateUser {
        name: "ann".into(),
        hash: Some(PasswordHash("stored".into())),
        roles: Vec::new(),
    };
    let auth = with(core::slice::from_ref(&change));
    assert!(!alloc::format!("{change:?} {auth:?}").contains("stored"));
}

/// Small names that collide.
fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![ROOT, GUEST, "ann", "bob", "r", "q"]).prop_map(String::from)
}

fn any_names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any_name(), 0..3)
}

fn any_permissions() -> impl Strategy<Value = Permissions> {
    let pattern = "/{0,1}[ab]{0,2}/{0,1}[*]{0,1}";
    let list = || prop::option::of(prop::collection::vec(pattern, 0..3));
    (list(), list()).prop_map(|(read, write)| Permissions { read, write })
}

fn any_hash() -> impl Strategy<Value = Option<PasswordHash>> {
    prop::option::of("[a-z]{1,3}").prop_map(|text| text.map(PasswordHash))
}

/// Any change, for other tests as well.
pub(in crate::store) fn any_change() -> impl Strategy<Value = Change> {
    let permissions = || prop::option::of(any_permissions());
    prop_oneof![
        (any_name(), any_hash(), any_names()).prop_map(|(name, hash, roles)| Change::CreateUser {
            name,
            hash,
            roles
        }),
        (any_name(), any_hash(), any::<bool>())
            .prop_map(|(name, hash, has_list)| Change::PutUser { name, hash, has_list }),
        (any_name(), any_hash(), any_names(), any_names()).prop_map(
            |(name, hash, grant, revoke)| Change::UpdateUser { name, hash, grant, revoke }
        ),
        any_name().prop_map(Change::DeleteUser),
        (any_name(), any_permissions()).prop_map(|(name, all)| Change::CreateRole(name, all)),
        (any_name(), permissions(), permissions())
            .prop_map(|(name, grant, revoke)| Change::UpdateRole { name, grant, revoke }),
        any_name().prop_map(Change::DeleteRole),
        Just(Change::Enable),
        Just(Change::Disable),
    ]
}

proptest! {
    #[test]
    fn any_changes_keep_the_invariants(changes in prop::collection::vec(any_change(), 0..40)) {
        let mut auth = Auth::default();
        for change in &changes {
            let before = auth.hash();
            let (touches, outcome) = apply(&mut auth, change);
            if outcome.is_ok() {
                prop_assert!(touches > 0, "a change takes an index: {:?}", change);
            }
            prop_assert_eq!(touches > 0, auth.hash() != before || outcome.is_ok());
        }
    }

    #[test]
    fn records_make_the_same_again(changes in prop::collection::vec(any_change(), 0..40)) {
        let mut auth = Auth::default();
        changes.iter().for_each(|change| drop(auth.apply(change)));
        let records: Vec<u8> = record::all(&auth).flatten().collect();
        let mut reader = crate::codec::Reader::new(records.into());
        let mut loaded = Auth::default();
        while reader.remaining() > 0 {
            prop_assert_eq!(record::load(&mut loaded, &mut reader), Ok(()));
        }
        prop_assert_eq!(record::finish(&loaded), Ok(()));
        loaded.check();
        prop_assert_eq!((loaded.hash(), loaded.bytes()), (auth.hash(), auth.bytes()));
        prop_assert_eq!(alloc::format!("{:?}", loaded), alloc::format!("{:?}", auth));
    }

    #[test]
    fn patterns_agree_with_the_text_of_the_key(
        pattern in "/{0,1}[ab]{0,2}/{0,1}[ab]{0,1}[*]{0,1}",
        key in "(/[ab]{1,2}){0,2}",
        slash: bool,
    ) {
        let path = Path::clean(key.as_bytes());
        let raw = alloc::format!("{key}{}", if slash { "/" } else { "" });
        let expected = match pattern.strip_suffix('*') {
            Some(prefix) => raw.starts_with(prefix),
            None => !pattern.is_empty() && raw == pattern,
        };
        let only = Permissions { read: list(&[&pattern]), write: None };
        prop_assert_eq!(only.permit(Access::Read, RawKey::new(&path, slash), false), expected);
        let recursive = only.permit(Access::Read, RawKey::new(&path, slash), true);
        prop_assert_eq!(recursive, expected && pattern.ends_with('*'));
    }

    #[test]
    fn any_bytes_are_some_claim(bytes: Vec<u8>) {
        let claim = Claim::decode(&Bytes::from(bytes.clone()));
        prop_assert_eq!(claim.is_none(), bytes.is_empty());
        let again = Claim::decode(&Claim::encode(claim.as_ref()));
        prop_assert_eq!(again, claim);
    }
}
