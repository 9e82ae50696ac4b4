//! The seeds in our own formats are what our own encoders write: a format that changes takes its
//! corpus along. `QUORRA_SEEDS=write cargo test -p quorra-fuzz` writes them anew.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::iter;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use quorra_core::codec::Write;
use quorra_core::disk::{DiskOp, File};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{self, Entry, EntryKind, HardState, Index, LogBatch, Position, Term};
use quorra_core::replica::{Failure, Message};
use quorra_core::store::command::{self, Body, Command, Identity};
use quorra_core::store::membership::{Change, Member, Membership};
use quorra_core::store::v2::auth;
use quorra_core::store::{State, v2, v3};
use quorra_core::time::{Instant, WallTime};
use quorra_core::wal::{self, Wal};
use quorra_net::host::ConnectionId;
use quorra_net::peer::{self, Links};

const SEGMENT_BYTES: u64 = 4 << 10;

#[test]
fn seeds_are_what_our_own_encoders_write() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, bytes) in seeds() {
        let path = folder.join(&name);
        if env::var_os("QUORRA_SEEDS").is_some() {
            fs::write(&path, bytes).expect("the corpus can be written");
        } else {
            let found = fs::read(&path).expect("a seed is part of the corpus");
            assert!(found == bytes, "{name} is not what is written today");
        }
    }
}

fn seeds() -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    for (name, body) in bodies() {
        seeds.insert(format!("command/seed-{name}"), blocks([encoded(body)]));
    }
    let all = bodies().into_values().map(encoded);
    seeds.insert("command/seed-all".to_owned(), blocks(all));
    seeds.insert("checkpoint/seed-empty".to_owned(), checkpoint(0, ClusterId(7)));
    seeds.insert("checkpoint/seed-full".to_owned(), checkpoint(usize::MAX, ClusterId(7)));
    for (name, bytes) in logs() {
        seeds.insert(format!("log/seed-{name}"), bytes);
    }
    for (name, message) in messages() {
        let mut out = BytesMut::new();
        peer::encode(message, &mut out);
        seeds.insert(format!("peer/seed-{name}"), out.to_vec());
    }
    for (name, script) in scripts() {
        seeds.insert(format!("replica/seed-{name}"), blocks(script));
    }
    let (hello, welcome) = handshake();
    seeds.insert("peer/seed-hello".to_owned(), hello);
    seeds.insert("peer/seed-welcome".to_owned(), welcome);
    seeds
}

fn blocks(blocks: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    blocks.into_iter().for_each(|block| out.put_block(&block));
    out
}

fn encoded(body: Body) -> Bytes {
    let identity = Identity { member: MemberId(1), incarnation: Incarnation(1), counter: 2 };
    let stamp = WallTime(1_700_000_000_000_000_000);
    Command { identity, stamp, user: Bytes::new(), body }.encode()
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// One of each kind, and for the stores a few that build upon each other.
fn bodies() -> BTreeMap<&'static str, Body> {
    let delete =
        v3::DeleteRange { interval: v3::Interval::Between(text("a"), text("c")), previous: true };
    let range = v3::Range {
        interval: v3::Interval::From(text("a")),
        limit: 2,
        revision: 0,
        order: v3::SortOrder::Descend,
        target: v3::SortTarget::Value,
        keys_only: false,
        count_only: false,
        mod_revisions: (0, 0),
        create_revisions: (0, 9),
    };
    let inner = v3::Txn { failure: vec![v3::Op::Put(put("d", "4"))], ..v3::Txn::default() };
    let txn = v3::Txn {
        compares: vec![v3::Compare {
            interval: v3::Interval::Key(text("b")),
            result: v3::CompareResult::NotEqual,
            target: v3::CompareTarget::Value(text("x")),
        }],
        success: vec![
            v3::Op::Put(put("e", "5")),
            v3::Op::DeleteRange(delete.clone()),
            v3::Op::Range(range),
            v3::Op::Txn(inner),
        ],
        failure: vec![],
    };
    let membership = |change| Body::Membership(change);
    let member = |id| Member {
        id: MemberId(id),
        name: "one".to_owned(),
        peer_urls: vec!["http://1".to_owned()],
        client_urls: vec![],
        is_learner: id != 1,
    };
    BTreeMap::from([
        ("1-put", Body::V3(v3::Write::Put(put("a", "1")))),
        ("2-put", Body::V3(v3::Write::Put(put("b", "2")))),
        ("3-txn", Body::V3(v3::Write::Txn(txn))),
        ("4-delete", Body::V3(v3::Write::DeleteRange(delete))),
        ("5-v2-set", Body::V2(set("/d/e", Some(5)))),
        ("6-v2-set-hidden", Body::V2(set("/_d/e", None))),
        ("7-v2-sync", Body::V2Sync),
        ("8-version", Body::ClusterVersion("3.5.0".to_owned())),
        ("9-add", membership(Change::Add(member(1)))),
        ("a-add-learner", membership(Change::Add(member(2)))),
        ("b-publish", publish()),
        ("c-update", membership(Change::Update(MemberId(1), vec!["http://2".to_owned()]))),
        ("d-promote", membership(Change::Promote(MemberId(2)))),
        ("e-remove", membership(Change::Remove(MemberId(2)))),
        ("f-auth-user", Body::V2Auth(user("root"))),
        ("g-auth-role", Body::V2Auth(auth::Change::CreateRole("r".to_owned(), permissions()))),
        ("h-auth-grant", Body::V2Auth(grant("root", "r"))),
        ("i-auth-enable", Body::V2Auth(auth::Change::Enable)),
    ])
}

fn user(name: &str) -> auth::Change {
    let hash = Some(auth::PasswordHash("$2a$10$hash".to_owned()));
    auth::Change::PutUser { name: name.to_owned(), hash, has_list: false }
}

fn permissions() -> auth::Permissions {
    auth::Permissions { read: Some(vec!["/*".to_owned()]), write: None }
}

fn grant(user: &str, role: &str) -> auth::Change {
    let (grant, revoke) = (vec![role.to_owned()], vec![]);
    auth::Change::UpdateUser { name: user.to_owned(), hash: None, grant, revoke }
}

fn put(key: &'static str, value: &'static str) -> v3::Put {
    v3::Put { key: text(key), value: Some(text(value)), lease: Some(None), previous: false }
}

fn set(path: &str, ttl: Option<u64>) -> v2::Write {
    let path = v2::Path::clean(path.as_bytes());
    v2::Write::Set { path, value: text("v"), directory: false, ttl, refresh: false }
}

fn publish() -> Body {
    let client_urls = vec!["http://127.0.0.1:2379".to_owned()];
    Body::Publish { member: MemberId(1), name: "one".to_owned(), client_urls }
}

/// A checkpoint of that cluster behind so many commands.
fn checkpoint(commands: usize, cluster: ClusterId) -> Vec<u8> {
    let mut state = State::new(10);
    state.found_cluster(cluster);
    for (index, body) in (1..).map(Index).zip(bodies().into_values().take(commands)) {
        let kind = command::entry_kind(&body);
        state.apply(&Entry::new(Term(1), index, kind, encoded(body))).expect("it is known");
        while state.has_work() {
            state.work();
        }
    }
    let at = Position { term: Term(1), index: Index(9) };
    let mut writer = state.begin_checkpoint(at).expect("nothing is under way");
    iter::from_fn(|| writer.next_chunk(&mut state)).flatten().collect()
}

/// Logs of one segment and of two; the space behind the last record is left out.
fn logs() -> BTreeMap<&'static str, Vec<u8>> {
    let batch = |from: u64, to: u64, term, payload| LogBatch {
        hard_state: Some(HardState { term: Term(term), vote: Some(MemberId(1)) }),
        entries: (from..=to).map(|index| entry(term, index, payload)).collect(),
        commit_index: Index(from - 1),
        ..LogBatch::default()
    };
    let reset = Position { term: Term(4), index: Index(50) };
    let voids = LogBatch { reset: Some(reset), commit_index: Index(50), ..LogBatch::default() };
    BTreeMap::from([
        ("empty", log(&[])),
        ("three", log(&[batch(1, 3, 1, 10), batch(4, 4, 1, 0), batch(5, 6, 1, 100)])),
        ("overwritten", log(&[batch(1, 5, 1, 8), batch(3, 4, 2, 8), batch(4, 4, 3, 8)])),
        ("reset", log(&[batch(1, 5, 1, 8), voids, batch(51, 53, 4, 8)])),
        ("segments", log(&[batch(1, 2, 1, 9), batch(3, 4, 1, 1_800), batch(5, 5, 1, 4)])),
    ])
}

fn entry(term: u64, index: u64, payload: usize) -> Entry {
    Entry::new(Term(term), Index(index), EntryKind::Command, vec![7; payload].into())
}

fn log(batches: &[LogBatch]) -> Vec<u8> {
    let identity =
        wal::Identity { cluster: ClusterId(7), member: MemberId(1), incarnation: Incarnation(1) };
    let mut wal = Wal::create(identity, SEGMENT_BYTES);
    let mut files = BTreeMap::new();
    for (appends, batch) in (1..).zip(batches) {
        let space = wal.space_of(batch);
        prepare(&mut wal, space, &mut files);
        wal.append(batch).into_iter().for_each(|operation| perform(&mut files, operation));
        wal.durable(appends);
    }
    prepare(&mut wal, 0, &mut files);
    blocks(files.into_values().map(Bytes::from))
}

fn prepare(wal: &mut Wal, wanted: u64, files: &mut BTreeMap<File, Vec<u8>>) {
    loop {
        let operations = wal.prepare(wanted);
        if operations.is_empty() {
            return;
        }
        operations.into_iter().for_each(|operation| perform(files, operation));
        wal.prepared();
    }
}

fn perform(files: &mut BTreeMap<File, Vec<u8>>, operation: DiskOp) {
    match operation {
        DiskOp::Create(file) => drop(files.insert(file, Vec::new())),
        DiskOp::Write { file, offset, bytes } => {
            let content = files.entry(file).or_default();
            let start = usize::try_from(offset).expect("seeds are small");
            content.resize(content.len().max(start + bytes.len()), 0);
            content[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        DiskOp::Zero { .. } | DiskOp::Publish(_) | DiskOp::Remove(_) => {}
    }
}

/// What members say to each other.
fn messages() -> BTreeMap<&'static str, Message> {
    let (term, index) = (Term(3), Index(7));
    // The bytes for which every CRC-32C is documented.
    let (bytes, checksum) = (text("123456789"), 0xe306_9283);
    let snapshot = raft::SnapshotId { term, index };
    let chunk = raft::SnapshotChunk { snapshot, offset: 0, total: 100, checksum, bytes };
    let append = raft::Message::Append {
        term,
        prev_index: index,
        prev_term: Term(2),
        commit_index: Index(6),
        entries: vec![entry(3, 8, 4), entry(3, 9, 0)],
    };
    let vote = raft::Message::RequestVote {
        term,
        pre: true,
        transfer: false,
        last_index: index,
        last_term: term,
    };
    let refuse =
        Message::Refuse { counter: 5, incarnation: Incarnation(1), failure: Failure::TooLarge };
    BTreeMap::from([
        ("chunk", Message::Raft(raft::Message::Chunk { term, chunk })),
        ("append", Message::Raft(append)),
        ("request-vote", Message::Raft(vote)),
        ("timeout-now", Message::Raft(raft::Message::TimeoutNow { term })),
        ("forward", Message::Forward(encoded(Body::V2Sync))),
        ("refuse", refuse),
    ])
}

/// What a member says that opens a connection, and what the other one answers; a few words follow.
fn handshake() -> (Vec<u8>, Vec<u8>) {
    let (now, mark) = (Instant(1), |_| Position { term: Term(1), index: Index(1) });
    let (opened, accepted) = (ConnectionId(1), ConnectionId(2));
    let links = |me| {
        let mut links = Links::new(MemberId(me), Incarnation(3), me);
        links.set_members(now, &membership());
        links
    };
    let (mut caller, mut listener) = (links(2), links(1));
    caller.connected(now, opened, &mark);
    let mut hello = caller.output(opened).to_vec();
    listener.accept(now, accepted);
    listener.receive(now, accepted, &hello, &mark);
    let welcome = listener.output(accepted).to_vec();
    assert!(!welcome.is_empty(), "the caller is welcome");
    for message in messages().into_values() {
        let mut out = BytesMut::new();
        peer::encode(message, &mut out);
        hello.extend(out);
    }
    (hello, welcome)
}

fn membership() -> Membership {
    let mut membership = Membership { cluster: ClusterId(7), ..Membership::default() };
    for id in [MemberId(1), MemberId(2)] {
        let member = Member {
            id,
            name: String::new(),
            peer_urls: vec![format!("http://{id}")],
            client_urls: vec![],
            is_learner: false,
        };
        membership.members.insert(id, member);
    }
    membership
}

/// What happens to a replica: see `quorra_fuzz::replica`.
fn scripts() -> BTreeMap<&'static str, Vec<Bytes>> {
    let later = || Bytes::from_static(&[0, 255]);
    let slow_disk = || Bytes::from_static(&[4, 1]);
    let disk = || Bytes::from_static(&[5]);
    let put = || Bytes::from_static(&[2, b'a']);
    let range = || Bytes::from_static(&[3, b'a']);
    let vote = |pre| hear(raft::Message::Vote { term: Term(2), pre, granted: true });
    let appended =
        |index| hear(raft::Message::Appended { term: Term(2), match_index: Index(index) });
    let answer = |round| hear(raft::Message::HeartbeatAnswer { term: Term(2), round });
    let lead = [later(), later(), vote(true), vote(false), appended(4)];
    let serve = [put(), appended(5), put(), range(), answer(1), answer(2), answer(3), appended(6)];
    let lose = [heartbeat(3, 4), append(3, 4, 2)];
    let follow = [append(2, 3, 1), append(2, 4, 2), heartbeat(2, 5), range(), put()];
    let conflict = [append(2, 3, 1), append(2, 4, 2), append(3, 4, 2), append(3, 5, 3)];
    let wait = [slow_disk(), append(2, 3, 1), heartbeat(2, 4), disk(), append(2, 4, 2), disk()];
    BTreeMap::from([
        ("lead", [&lead[..], &serve].concat()),
        ("lead-then-follow", [&lead[..], &serve, &lose].concat()),
        ("follow", follow.to_vec()),
        ("conflict", conflict.to_vec()),
        ("slow-disk", wait.to_vec()),
        ("snapshot", install(ClusterId::of(&[MemberId(1), MemberId(2), MemberId(3)]))),
        ("snapshot-foreign", install(ClusterId(7))),
        ("campaign", vec![later(), request_vote(5), later(), request_vote(6), timeout_now(6)]),
        ("words", messages().into_values().map(hear_all).collect()),
    ])
}

/// A leader sends a snapshot, and goes on behind it.
fn install(cluster: ClusterId) -> Vec<Bytes> {
    vec![heartbeat(2, 3), snapshot(cluster), append(2, 9, 1), heartbeat(2, 10)]
}

fn hear(message: raft::Message) -> Bytes {
    hear_all(Message::Raft(message))
}

fn hear_all(message: Message) -> Bytes {
    let mut frame = BytesMut::new();
    peer::encode(message, &mut frame);
    [&[1], &frame[peer::FRAME_HEADER_BYTES..]].concat().into()
}

/// One entry behind `prev_index`, of the leader's own term.
fn append(term: u64, prev_index: u64, prev_term: u64) -> Bytes {
    let index = Index(prev_index + 1);
    let payload = encoded(Body::V3(v3::Write::Put(put("a", "1"))));
    let entry = match index.0 {
        4 => Entry::new(Term(term), index, EntryKind::Empty, Bytes::new()),
        _ => Entry::new(Term(term), index, EntryKind::Command, payload),
    };
    hear(raft::Message::Append {
        term: Term(term),
        prev_index: Index(prev_index),
        prev_term: Term(prev_term),
        commit_index: Index(prev_index),
        entries: vec![entry],
    })
}

fn heartbeat(term: u64, commit: u64) -> Bytes {
    let (term, commit_index) = (Term(term), Index(commit));
    hear(raft::Message::Heartbeat { term, commit_index, round: 1 })
}

fn request_vote(term: u64) -> Bytes {
    hear(raft::Message::RequestVote {
        term: Term(term),
        pre: false,
        transfer: false,
        last_index: Index(9),
        last_term: Term(1),
    })
}

fn timeout_now(term: u64) -> Bytes {
    hear(raft::Message::TimeoutNow { term: Term(term) })
}

fn snapshot(cluster: ClusterId) -> Bytes {
    let bytes = Bytes::from(checkpoint(usize::MAX, cluster));
    let (snapshot, checksum) = (raft::SnapshotId { term: Term(1), index: Index(9) }, crc(&bytes));
    let total = bytes.len().try_into().expect("seeds are small");
    let chunk = raft::SnapshotChunk { snapshot, offset: 0, total, checksum, bytes };
    hear(raft::Message::Chunk { term: Term(2), chunk })
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let shifted = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shifted(crc)))
}
