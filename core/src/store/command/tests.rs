use super::*;
use crate::store::v2::auth::{self, PasswordHash, Permissions};
use crate::store::v2::{Condition, Path};
use crate::store::v3::{
    self as kv, Compare, CompareResult, CompareTarget, DeleteRange, Interval, LeaseId, Op, Put,
    Range, SortOrder, SortTarget, Txn,
};
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

fn command(body: Body) -> Command {
    let identity =
        Identity { member: MemberId(0x0102), incarnation: Incarnation(3), counter: 0x0405 };
    Command { identity, stamp: WallTime(6), user: Bytes::new(), body }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(key: &'static str, value: &'static str) -> Put {
    Put {
        key: Bytes::from(key),
        value: Some(Bytes::from(value)),
        lease: Some(None),
        previous: false,
    }
}

fn member() -> Member {
    Member {
        id: MemberId(9),
        name: "n".into(),
        peer_urls: vec!["http://p".into()],
        client_urls: vec![],
        is_learner: true,
    }
}

fn txn() -> Txn {
    let compare = Compare {
        interval: Interval::Key(Bytes::from("k")),
        target: CompareTarget::Value(Bytes::from("v")),
        result: CompareResult::NotEqual,
    };
    let range = Range {
        interval: Interval::Between(Bytes::from("a"), Bytes::from("b")),
        limit: 300,
        revision: -1,
        order: SortOrder::Descend,
        target: SortTarget::Mod,
        keys_only: true,
        count_only: false,
        mod_revisions: (1, 2),
        create_revisions: (3, 4),
    };
    let nested = Txn { success: vec![Op::Put(put("k", "v"))], ..Txn::default() };
    Txn { compares: vec![compare], success: vec![Op::Range(range)], failure: vec![Op::Txn(nested)] }
}

/// The same promise for changes of users and roles; the last one tells who asks.
#[test]
fn the_bytes_of_changes_of_users_and_roles_stay() {
    let (name, hash) = ("u".into(), Some(PasswordHash("h".into())));
    let names = |name: &str| vec![name.into()];
    let lists = Permissions { read: Some(names("/a")), write: None };
    let rows: [(auth::Change, &str); 9] = [
        (auth::Change::CreateUser { name, hash, roles: names("r") }, "000175010168010172"),
        (auth::Change::PutUser { name: "u".into(), hash: None, has_list: true }, "0101750001"),
        (
            auth::Change::UpdateUser {
                name: "u".into(),
                hash: None,
                grant: names("r"),
                revoke: vec![],
            },
            "0201750001017200",
        ),
        (auth::Change::DeleteUser("u".into()), "030175"),
        (auth::Change::CreateRole("r".into(), lists.clone()), "0401720101022f6100"),
        (
            auth::Change::UpdateRole { name: "r".into(), grant: None, revoke: Some(lists) },
            "05017200010101022f6100",
        ),
        (auth::Change::DeleteRole("r".into()), "060172"),
        (auth::Change::Enable, "07"),
        (auth::Change::Disable, "08"),
    ];
    for (change, golden) in rows {
        let command = command(Body::V2Auth(change));
        let bytes = command.encode();
        assert_eq!(hex(&bytes[FRONT_BYTES..]), format!("000c{golden}"), "{command:?}");
        assert_eq!(Command::decode(bytes), Ok(command));
    }
    let claim = |caller, slash, recursive| auth::Claim { caller, slash, recursive };
    let user = auth::Caller::User(Bytes::from("u"));
    for (claim, golden) in [
        (claim(user.clone(), false, false), "0975"),
        (claim(user, true, true), "0f75"),
        (claim(auth::Caller::Guest, false, false), "08"),
    ] {
        assert_eq!(hex(&auth::Claim::encode(Some(&claim))), golden, "{claim:?}");
    }
}

/// The layout is a promise to every log and checkpoint that was ever written: these bytes
/// never change, they are only joined by those of later versions.
#[test]
fn the_bytes_of_version_1_stay() {
    let path = Path::clean(b"/p");
    let value = Bytes::from("v");
    let condition = Condition { value: Some(Bytes::from("o")), index: Some(5) };
    let rows: [(Body, &str); 16] = [
        (Body::V3(kv::Write::Put(put("k", "v"))), "0100016b017600"),
        (
            Body::V3(kv::Write::Put(Put {
                key: Bytes::from("k"),
                value: None,
                lease: Some(Some(LeaseId(-7))),
                previous: true,
            })),
            "0105016b0d",
        ),
        (
            Body::V3(kv::Write::DeleteRange(DeleteRange {
                interval: Interval::From(Bytes::from("k")),
                previous: true,
            })),
            "0202016b01",
        ),
        (
            Body::V3(kv::Write::Txn(txn())),
            "030100016b0303017601000101610162ac02020301000102040608010300010100016b01760000",
        ),
        (
            Body::V2(crate::store::v2::Write::Set {
                path: path.clone(),
                value: value.clone(),
                directory: false,
                ttl: Some(300),
                refresh: true,
            }),
            "0400022f70017601ac020001",
        ),
        (
            Body::V2(crate::store::v2::Write::Create {
                path: path.clone(),
                value: value.clone(),
                directory: false,
                ttl: None,
                in_order: true,
            }),
            "0401022f700176000001",
        ),
        (
            Body::V2(crate::store::v2::Write::Update {
                path: path.clone(),
                value: value.clone(),
                ttl: None,
                refresh: false,
            }),
            "0402022f7001760000",
        ),
        (
            Body::V2(crate::store::v2::Write::CompareAndSwap {
                path: path.clone(),
                value,
                ttl: None,
                refresh: false,
                condition: condition.clone(),
            }),
            "0403022f700176000001016f0105",
        ),
        (
            Body::V2(crate::store::v2::Write::Delete {
                path: path.clone(),
                directory: true,
                recursive: false,
            }),
            "0404022f700100",
        ),
        (
            Body::V2(crate::store::v2::Write::CompareAndDelete { path, condition }),
            "0405022f7001016f0105",
        ),
        (Body::V2Sync, "05"),
        (
            Body::Publish {
                member: MemberId(9),
                name: "n".into(),
                client_urls: vec!["http://c".into()],
            },
            "060900000000000000016e0108687474703a2f2f63",
        ),
        (Body::ClusterVersion("3.5.0".into()), "0705332e352e30"),
        (Body::Membership(Change::Add(member())), "080900000000000000016e0108687474703a2f2f700001"),
        (Body::Membership(Change::Remove(MemberId(9))), "090900000000000000"),
        (Body::Membership(Change::Promote(MemberId(9))), "0b0900000000000000"),
    ];
    let front = "010201000000000000030000000000000005040000000000000600000000000000";
    for (body, golden) in rows {
        let command = command(body);
        let bytes = command.encode();
        assert_eq!(hex(&bytes), format!("{front}00{golden}"), "{command:?}");
        assert_eq!(Command::decode(bytes), Ok(command));
    }
}

#[test]
fn a_leader_stamps_in_place_what_it_alone_holds() {
    let bytes = command(Body::V2Sync).encode();
    let place = bytes.as_ptr();
    let stamped_once = stamped(bytes, WallTime(-5)).expect("a command of this version");
    assert_eq!(stamped_once.as_ptr(), place);
    let shared = stamped_once.clone();
    let stamped_twice = stamped(stamped_once, WallTime(8)).expect("a command of this version");
    assert_eq!(Command::decode(shared).map(|command| command.stamp), Ok(WallTime(-5)));
    assert_eq!(
        Command::decode(stamped_twice),
        Ok(Command { stamp: WallTime(8), ..command(Body::V2Sync) })
    );
}

#[test]
fn the_identity_is_read_without_the_body() {
    let command = command(Body::ClusterVersion("3.5.0".into()));
    assert_eq!(identity_of(&command.encode()), Ok(command.identity));
    assert!(identity_of(&Bytes::from_static(&[VERSION, 0])).is_err());
    assert!(stamped(Bytes::from_static(&[VERSION, 0]), WallTime(1)).is_err());
    assert!(Command::decode(Bytes::from_static(&[99])).is_err());
}

#[test]
fn transactions_nest_only_so_deep() {
    let nest = |depth| {
        let outer = |inner| Txn { success: vec![Op::Txn(inner)], ..Txn::default() };
        let txn = (1..depth).fold(Txn::default(), |inner, _| outer(inner));
        Command::decode(command(Body::V3(kv::Write::Txn(txn))).encode())
    };
    assert!(nest(crate::limits::TXN_DEPTH_MAX).is_ok());
    let refused = nest(crate::limits::TXN_DEPTH_MAX + 1).map_err(|error| error.rule);
    assert_eq!(refused, Err("transactions nest too deep"));
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..20).prop_map(Bytes::from)
}

fn any_interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        any_bytes().prop_map(Interval::Key),
        (any_bytes(), any_bytes()).prop_map(|(start, end)| Interval::Between(start, end)),
        any_bytes().prop_map(Interval::From),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let put =
        (any_bytes(), prop::option::of(any_bytes()), prop::option::of(any::<i64>()), any::<bool>())
            .prop_map(|(key, value, lease, previous)| {
                let lease = lease.map(|id| (id != 0).then_some(LeaseId(id)));
                Op::Put(Put { key, value, lease, previous })
            });
    let delete = (any_interval(), any::<bool>())
        .prop_map(|(interval, previous)| Op::DeleteRange(DeleteRange { interval, previous }));
    let range = (any_interval(), any::<(u64, i64, bool, bool)>(), any::<[i64; 4]>()).prop_map(
        |(interval, (limit, revision, keys_only, count_only), bounds)| {
            Op::Range(Range {
                interval,
                limit,
                revision,
                order: SortOrder::Ascend,
                target: SortTarget::Value,
                keys_only,
                count_only,
                mod_revisions: (bounds[0], bounds[1]),
                create_revisions: (bounds[2], bounds[3]),
            })
        },
    );
    let leaf = prop_oneof![put, delete, range];
    leaf.prop_recursive(3, 20, 4, |op| {
        let compare = (any_interval(), any::<i64>()).prop_map(|(interval, number)| Compare {
            interval,
            target: CompareTarget::Lease(number),
            result: CompareResult::Less,
        });
        let list = || prop::collection::vec(op.clone(), 0..4);
        (prop::collection::vec(compare, 0..3), list(), list())
            .prop_map(|(compares, success, failure)| Op::Txn(Txn { compares, success, failure }))
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(ops in prop::collection::vec(any_op(), 0..5), user: Vec<u8>) {
        let txn = Txn { success: ops, ..Txn::default() };
        let command = Command { user: user.into(), ..command(Body::V3(kv::Write::Txn(txn))) };
        prop_assert_eq!(Command::decode(command.encode()), Ok(command));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, tag in 0_u8..13) {
        let mut payload = command(Body::V2Sync).encode().to_vec();
        payload.pop();
        payload.push(tag);
        payload.extend(&bytes);
        let _ = Command::decode(payload.into());
        let _ = Command::decode(bytes.into());
    }
}
