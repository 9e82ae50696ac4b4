use super::super::command::Identity;
use super::*;
use crate::identity::Incarnation;
use crate::raft::{Index, Term};
use alloc::vec;
use bytes::Bytes;

/// Applies commands as entries one after another, stamped with the time given.
struct Log {
    state: State,
    last: Index,
}

impl Log {
    fn new(slice_keys: usize) -> Self {
        Self { state: State::new(slice_keys), last: Index(0) }
    }

    fn apply_at(&mut self, seconds: i64, body: Body) -> Outcome {
        self.apply_for(None, seconds, body)
    }

    fn apply_for(&mut self, claim: Option<&Claim>, seconds: i64, body: Body) -> Outcome {
        let kind = command::entry_kind(&body);
        let stamp = WallTime(seconds * 1_000_000_000);
        let identity = Identity { member: MemberId(1), incarnation: Incarnation(1), counter: 1 };
        let payload = Command { identity, stamp, user: Claim::encode(claim), body }.encode();
        self.last = self.last.next();
        let entry = Entry::new(Term(1), self.last, kind, payload);
        let applied = self.state.apply(&entry).expect("the command is understood");
        assert_eq!(applied.identity, Some(identity));
        assert_eq!(applied.configuration.is_some(), kind == EntryKind::Configuration);
        self.state.check();
        applied.outcome
    }

    fn apply(&mut self, body: Body) -> Outcome {
        self.apply_at(1_700_000_000, body)
    }
}

fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        name: String::new(),
        peer_urls: vec![alloc::format!("http://{id}")],
        client_urls: vec![],
        is_learner: false,
    }
}

fn publish(id: u64) -> Body {
    Body::Publish { member: MemberId(id), name: "n".into(), client_urls: vec!["http://c".into()] }
}

fn set(path: &str, ttl: Option<u64>) -> Body {
    Body::V2(v2::Write::Set {
        path: v2::Path::clean(path.as_bytes()),
        value: Bytes::from_static(b"v"),
        directory: false,
        ttl,
        refresh: false,
    })
}

#[test]
fn a_fresh_single_member_is_at_v2_index_3() {
    let mut log = Log::new(1);
    let outcome = log.apply(Body::Membership(Change::Add(member(1))));
    assert_eq!(outcome, Outcome::Members(Ok(vec![member(1)])));
    assert_eq!(log.apply(publish(1)), Outcome::Done);
    assert_eq!(log.apply(Body::ClusterVersion("3.5.0".into())), Outcome::Done);
    assert_eq!(log.state.v2().index(), 3);
    let counted = log.state.v2().statistics();
    assert_eq!((counted.creates.success, counted.sets.success), (1, 2), "as etcd counts them");
    assert_eq!(log.state.revision(), 1);
    assert_eq!(log.state.cluster_version(), Some("3.5.0"));
    assert_eq!(log.state.membership().members[&MemberId(1)].name, "n");
    assert!(log.state.configuration().voters.contains(&MemberId(1)));
}

#[test]
fn what_changes_nothing_takes_no_v2_index() {
    let mut log = Log::new(1);
    log.apply(Body::Membership(Change::Add(member(1))));
    let refused = log.apply(Body::Membership(Change::Add(member(1))));
    assert_eq!(refused, Outcome::Members(Err(Refusal::IdExists)));
    log.apply(publish(2));
    assert_eq!(log.state.v2().index(), 1);
    log.apply(Body::Membership(Change::Add(member(2))));
    log.apply(Body::Membership(Change::Remove(MemberId(2))));
    assert_eq!(log.state.v2().index(), 4, "a removal takes two");
    let counted = log.state.v2().statistics();
    assert_eq!((counted.creates.success, counted.deletes.success), (3, 1));
}

/// What is asked now may be judged by rules that came after it.
#[test]
fn a_write_is_judged_where_it_stands_in_the_log() {
    use v2::auth::{Change as Rule, PasswordHash, Permissions, Refusal as Denial};
    let mut log = Log::new(1);
    let claim = |name: &'static str| {
        let caller = Caller::User(Bytes::from(name));
        Claim { caller, slash: false, recursive: false }
    };
    let (root, ann) = (claim("root"), claim("ann"));
    let put = |name: &str| {
        let hash = Some(PasswordHash("h".into()));
        Body::V2Auth(Rule::PutUser { name: name.into(), hash, has_list: false })
    };
    let revoke = Body::V2Auth(Rule::UpdateRole {
        name: "guest".into(),
        grant: None,
        revoke: Some(Permissions::everything()),
    });
    for body in [put("root"), put("ann"), Body::V2Auth(Rule::Enable)] {
        assert!(matches!(log.apply(body), Outcome::V2Auth(Ok(_))));
    }
    assert!(matches!(log.apply(set("/a", None)), Outcome::V2(Ok(_))), "guests may, so far");
    let denied = Outcome::V2Auth(Err(Denial::NotPermitted));
    assert_eq!(log.apply(revoke.clone()), denied, "it was asked before the rules counted");
    assert_eq!(log.apply_for(Some(&ann), 1, revoke.clone()), denied);
    assert!(matches!(log.apply_for(Some(&root), 1, revoke), Outcome::V2Auth(Ok(_))));
    let index = log.state.v2().index();
    for claim in [None, Some(&ann), Some(&claim("nobody"))] {
        let outcome = log.apply_for(claim, 1, set("/a", None));
        let Outcome::V2(Err(error)) = outcome else { panic!("{claim:?}: {outcome:?}") };
        assert_eq!((error.kind, error.index), (v2::ErrorKind::Unauthorized, index));
    }
    let add = || Body::Membership(Change::Add(member(1)));
    assert_eq!(log.apply_for(Some(&ann), 1, add()), denied);
    assert_eq!(log.state.v2().index(), index, "what is denied takes no index");
    assert!(matches!(log.apply_for(Some(&root), 1, add()), Outcome::Members(Ok(_))));
    assert!(matches!(log.apply_for(Some(&root), 1, set("/a", None)), Outcome::V2(Ok(_))));
}

#[test]
fn time_never_goes_back() {
    let mut log = Log::new(10);
    log.apply_at(2_000_000_000, Body::V2Sync);
    let outcome = log.apply_at(1_999_999_000, set("/a", Some(5)));
    let Outcome::V2(Ok(event)) = outcome else { panic!("the set succeeds: {outcome:?}") };
    assert_eq!(event.node.expiration, Some(WallTime(2_000_000_005_000_000_000)));
}

#[test]
fn an_expiry_of_many_nodes_is_sliced_and_blocks() {
    let mut sliced = Log::new(2);
    let mut whole = Log::new(1000);
    for log in [&mut sliced, &mut whole] {
        for name in ["/a", "/b", "/c", "/d", "/e"] {
            log.apply(set(name, Some(1)));
        }
    }
    assert_eq!(whole.apply_at(1_800_000_000, Body::V2Sync), Outcome::Done);
    assert_eq!(sliced.apply_at(1_800_000_000, Body::V2Sync), Outcome::Done);
    assert!(sliced.state.is_blocked());
    assert_eq!(sliced.state.hash(), None);
    while sliced.state.has_work() {
        assert!(sliced.state.work().is_empty());
    }
    assert_eq!(sliced.state.v2().index(), 10);
    assert_eq!(sliced.state.hash(), whole.state.hash());
    assert!(whole.state.hash().is_some());
}

#[test]
fn a_long_listing_shows_one_state_and_the_next_one_waits_for_entries() {
    let mut log = Log::new(2);
    for name in ["/d/a", "/d/b", "/d/c"] {
        log.apply(set(name, None));
    }
    let ask = |log: &mut Log| {
        let path = v2::Path::clean(b"/d");
        match log.state.v2_get(&v2::Get { path, recursive: false, sorted: true }, None) {
            Outcome::Later(work) => work,
            outcome => panic!("it does not fit a slice: {outcome:?}"),
        }
    };
    let [first, second, third] = [(); 3].map(|()| ask(&mut log));
    log.state.cancel(second);
    for (work, entries) in [(first, 3), (third, 4)] {
        let (finished, outcome) = loop {
            if let Some(finished) = log.state.work().pop() {
                break finished;
            }
            assert!(log.state.is_listing());
        };
        let Outcome::V2(Ok(event)) = outcome else { panic!("{outcome:?} is not a listing") };
        assert_eq!(
            (finished, event.node.nodes.len(), event.index),
            (work, entries, entries as u64)
        );
        assert!(!log.state.is_listing(), "what was applied meanwhile may pass");
        log.apply(set("/d/later", None));
    }
    let fourth = ask(&mut log);
    assert!(log.state.has_work() && log.state.is_listing());
    log.state.cancel(fourth);
    assert!(!log.state.has_work() && !log.state.is_listing());
}

#[test]
fn a_state_is_taken_apart_in_slices() {
    let mut log = Log::new(2);
    for number in 0..20 {
        log.apply(set(&alloc::format!("/d{number}/a"), Some(60)));
        let key = Bytes::from(alloc::format!("k{number}"));
        let (value, lease) = (Some(Bytes::new()), Some(None));
        log.apply(Body::V3(v3::Write::Put(v3::Put { key, value, lease, previous: false })));
    }
    let interval = v3::Interval::From(Bytes::from_static(b"a"));
    let removal = v3::DeleteRange { interval, previous: false };
    log.apply(Body::V3(v3::Write::DeleteRange(removal)));
    while log.state.has_work() {
        log.state.work();
    }
    let mut slices = 1;
    while !log.state.dismantle() {
        slices += 1;
    }
    assert!(slices > 20, "sixty nodes and keys do not fit into a few slices of two: {slices}");
    assert!(log.state.dismantle(), "and then nothing is left");
}

#[test]
fn an_unknown_command_is_an_error_not_a_guess() {
    let mut state = State::new(1);
    let entry = |kind, payload| Entry::new(Term(1), Index(1), kind, payload);
    let garbage = entry(EntryKind::Command, Bytes::from_static(&[1, 2, 3]));
    assert!(state.apply(&garbage).is_err());
    let body = Body::Membership(Change::Remove(MemberId(1)));
    let command =
        Command { identity: Identity::default(), stamp: WallTime(1), user: Bytes::new(), body };
    assert!(state.apply(&entry(EntryKind::Command, command.encode())).is_err());
}
