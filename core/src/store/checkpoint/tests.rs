use super::*;
use crate::identity::MemberId;
use crate::raft::Entry;
use crate::store::command::{Body, Command, Identity, entry_kind};
use crate::store::membership::{Change, Member};
use crate::time::WallTime;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

const AT: Position = Position { term: Term(3), index: Index(9) };

fn apply(state: &mut State, body: Body) {
    while state.is_blocked() {
        state.work();
    }
    let kind = entry_kind(&body);
    let stamp = WallTime(1_700_000_000_000_000_000);
    let command = Command { identity: Identity::default(), stamp, user: Bytes::new(), body };
    let entry = Entry::new(Term(3), Index(1), kind, command.encode());
    state.apply(&entry).expect("the command is understood");
}

fn put(key: u8, value: u8) -> v3::Put {
    v3::Put {
        key: Bytes::copy_from_slice(&[key]),
        value: Some(Bytes::copy_from_slice(&[value; 9])),
        lease: Some(None),
        previous: false,
    }
}

fn any_body() -> impl Strategy<Value = Body> {
    let delete = |start, end| v3::DeleteRange {
        interval: v3::Interval::Between(
            Bytes::copy_from_slice(&[start]),
            Bytes::copy_from_slice(&[end]),
        ),
        previous: false,
    };
    prop_oneof![
        4 => (97..110_u8, any::<u8>())
            .prop_map(|(key, value)| Body::V3(v3::Write::Put(put(key, value)))),
        2 => (97..110_u8, 97..110_u8)
            .prop_map(move |(start, end)| Body::V3(v3::Write::DeleteRange(delete(start, end)))),
        1 => (97..110_u8, 97..104_u8, 104..110_u8).prop_map(move |(key, start, end)| {
            let txn = v3::Txn {
                success: vec![
                    v3::Op::Put(put(b'A', key)),
                    v3::Op::DeleteRange(delete(start, end)),
                    v3::Op::DeleteRange(delete(key, end)),
                    v3::Op::Put(put(b'B', key)),
                ],
                ..v3::Txn::default()
            };
            Body::V3(v3::Write::Txn(txn))
        }),
        2 => (0..9_u8).prop_map(|name| Body::V2(v2::Write::Set {
            path: v2::Path::clean(format!("/d/{name}").as_bytes()),
            value: Bytes::from_static(b"v"),
            directory: false,
            ttl: Some(5),
            refresh: false,
        })),
        1 => Just(Body::Membership(Change::Add(Member {
            id: MemberId(7),
            name: "seven".into(),
            peer_urls: vec!["http://7".into()],
            client_urls: vec![],
            is_learner: true,
        }))),
        2 => v2::auth::tests::any_change().prop_map(Body::V2Auth),
        1 => Just(Body::ClusterVersion("3.5.0".into())),
    ]
}

/// Writes a checkpoint of the present state, while `later` is applied.
fn write(state: &mut State, later: &mut impl Iterator<Item = Body>) -> Vec<u8> {
    while state.is_blocked() {
        state.work();
    }
    let mut writer = state.begin_checkpoint(AT).expect("nothing is blocked");
    let mut file = Vec::new();
    while let Some(chunk) = writer.next_chunk(state) {
        file.extend_from_slice(&chunk);
        if let Some(body) = later.next() {
            apply(state, body);
        }
    }
    file
}

fn load(file: &[u8], piece: usize) -> Result<(Position, State), DecodeError> {
    let mut loader = Loader::new(2);
    for piece in file.chunks(piece.max(1)) {
        loader.feed(Bytes::copy_from_slice(piece))?;
    }
    loader.finish()
}

fn settle(state: &mut State) {
    while state.has_work() {
        state.work();
    }
    state.check();
}

/// Everything that the v3 store answers, at every revision.
fn answers(state: &mut State) -> Vec<super::super::Outcome> {
    settle(state);
    let all = |revision| v3::Range {
        interval: v3::Interval::From(Bytes::from_static(&[0])),
        limit: 0,
        revision,
        order: v3::SortOrder::None,
        target: v3::SortTarget::Key,
        keys_only: false,
        count_only: false,
        mod_revisions: (0, 0),
        create_revisions: (0, 0),
    };
    let mut answers = Vec::new();
    for revision in 1..=state.revision() {
        let mut outcome = state.range(&all(revision));
        while let super::super::Outcome::Later(_) = outcome {
            outcome = state.work().pop().map_or(outcome, |(_, outcome)| outcome);
        }
        answers.push(outcome);
    }
    answers
}

/// The layout is a promise to every checkpoint that was ever written: another one needs another
/// version in the header.
#[test]
fn the_bytes_of_version_1_stay() {
    let mut state = State::new(10);
    apply(&mut state, Body::V3(v3::Write::Put(put(b'k', b'v'))));
    let interval = v3::Interval::From(Bytes::from_static(&[0]));
    let delete = v3::DeleteRange { interval, previous: false };
    apply(&mut state, Body::V3(v3::Write::DeleteRange(delete)));
    apply(&mut state, Body::ClusterVersion("3.5.0".into()));
    let file = write(&mut state, &mut core::iter::empty());
    let hex: alloc::string::String = file.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = [
        "420000002477e3ef0171756f7272610001090000000000000003000000000000000300000000",
        "000000ffffffffffffffff000000000000000000000105332e352e3000002a36fe9c9717",
        "370000000406323002020200012e020000000000000002000000000000000100000000000000",
        "0000000000000000010000006b767676767676767676030000",
        "1c000000986df50003010100000000000000000000000000000002010000000000000000",
        "19000000913aab620403000000000000000100000000000000794877964471dafd",
    ];
    assert_eq!(hex, golden.concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A loaded checkpoint is the state it was taken of, whatever was applied meanwhile, however
    /// far removals had come, and it goes on as the original does.
    #[test]
    fn a_checkpoint_is_the_state_it_was_taken_of(
        before in prop::collection::vec(any_body(), 0..40),
        later in prop::collection::vec(any_body(), 0..20),
        slice in 1..4_usize,
        piece in 1..200_usize,
    ) {
        let mut original = State::new(slice);
        let mut twin = State::new(usize::MAX);
        for body in &before {
            apply(&mut original, body.clone());
            apply(&mut twin, body.clone());
        }
        let file = write(&mut original, &mut later.iter().cloned());
        let (at, mut loaded) = load(&file, piece).expect("the checkpoint is whole");
        prop_assert_eq!(at, AT);
        prop_assert_eq!(loaded.hash(), twin.hash());
        prop_assert_eq!(loaded.bytes(), twin.bytes());
        prop_assert_eq!(loaded.membership(), twin.membership());
        prop_assert_eq!(answers(&mut loaded), answers(&mut twin));
        for body in later {
            apply(&mut loaded, body.clone());
            apply(&mut twin, body);
        }
        prop_assert_eq!(answers(&mut loaded), answers(&mut twin));
        prop_assert_eq!(loaded.hash(), twin.hash());
    }

    #[test]
    fn no_damage_goes_unseen(
        bodies in prop::collection::vec(any_body(), 0..20),
        place: prop::sample::Index,
        bit in 0..8_u8,
        cut: prop::sample::Index,
    ) {
        let mut state = State::new(10);
        bodies.into_iter().for_each(|body| apply(&mut state, body));
        let file = write(&mut state, &mut core::iter::empty());
        let mut damaged = file.clone();
        damaged[place.index(file.len())] ^= 1_u8 << bit;
        prop_assert!(load(&damaged, 100).is_err());
        prop_assert!(load(&file[..cut.index(file.len())], 100).is_err());
        let doubled = [&file[..], &file[..]].concat();
        prop_assert!(load(&doubled, 100).is_err());
    }

    /// Also where the checksums match.
    #[test]
    fn no_bytes_make_the_loader_panic(
        chunks in prop::collection::vec((0..5_u8, prop::collection::vec(any::<u8>(), 0..60)), 0..6),
        keep in 0..4_usize,
    ) {
        let mut state = State::new(10);
        apply(&mut state, Body::V3(v3::Write::Put(put(b'a', b'b'))));
            let mut writer = state.begin_checkpoint(AT).expect("nothing is blocked");
        let mut file = Vec::new();
        for _ in 0..keep {
            file.extend(writer.next_chunk(&mut state).into_iter().flatten());
        }
        writer.abandon(&mut state);
        for (kind, content) in chunks {
            let payload = [&[kind][..], &content].concat();
            file.put_u32(u32::try_from(payload.len()).expect("the payload is short"));
            file.put_u32(CASTAGNOLI.checksum(&payload));
            file.put_bytes(&payload);
        }
        prop_assert!(load(&file, 1000).is_err());
    }
}
