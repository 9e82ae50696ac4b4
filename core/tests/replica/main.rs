//! Whole replicas, driven by messages, with a disk that answers at once. Faults are the
//! simulator's business; here each test tells one story.

mod cluster;
mod members;

use bytes::Bytes;
use cluster::Cluster;
use quorra_core::disk::File;
use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::raft::{self, Entry, EntryKind, Index, Position, Term};
use quorra_core::replica::{
    Effect, Effects, Failure, Input, Job, JobResult, Message, Reply, Request, RequestId, Response,
    StopReason,
};
use quorra_core::store::v3::{self, Answer, Interval, Put, Range, Write};
use quorra_core::store::{State, v2};

fn put(key: &str, value: &[u8]) -> Request {
    Request::V3Write(Write::Put(Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value)),
        lease: Some(None),
        previous: false,
    }))
}

fn range(key: &str, serializable: bool) -> Request {
    let range = Range {
        interval: Interval::Key(Bytes::copy_from_slice(key.as_bytes())),
        limit: 0,
        revision: 0,
        order: v3::SortOrder::None,
        target: v3::SortTarget::Key,
        keys_only: false,
        count_only: false,
        mod_revisions: (0, 0),
        create_revisions: (0, 0),
    };
    Request::V3Range { range, serializable }
}

fn set(path: &str, value: &str, ttl: Option<u64>) -> Request {
    Request::V2Write(v2::Write::Set {
        path: v2::Path::clean(path.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        directory: false,
        ttl,
        refresh: false,
    })
}

fn get(path: &str) -> Request {
    let path = v2::Path::clean(path.as_bytes());
    Request::V2Get { get: v2::Get { path, recursive: false, sorted: true }, quorum: true }
}

fn value_of(reply: &Reply) -> Option<Vec<u8>> {
    match &reply.outcome {
        Ok(Response::V3(Ok(Answer::Range(range)))) => {
            range.records.first().map(|record| record.value().to_vec())
        }
        other => panic!("not the answer to a range: {other:?}"),
    }
}

fn put_revision(reply: &Reply) -> i64 {
    match &reply.outcome {
        Ok(Response::V3(Ok(Answer::Put { revision, .. }))) => *revision,
        other => panic!("not the answer to a put: {other:?}"),
    }
}

#[test]
fn a_single_member_serves_and_remembers() {
    let mut cluster = Cluster::started(1);
    let one = MemberId(1);
    assert_eq!(put_revision(&cluster.call(one, put("a", b"1"))), 2);
    assert_eq!(value_of(&cluster.call(one, range("a", false))), Some(b"1".to_vec()));
    cluster.kill(one);
    cluster.start(one);
    assert_eq!(value_of(&cluster.call(one, range("a", true))), Some(b"1".to_vec()));
    assert_eq!(put_revision(&cluster.call(one, put("a", b"2"))), 3);
}

#[test]
fn every_member_takes_writes_and_reads_of_both_apis() {
    let mut cluster = Cluster::started(3);
    for id in 1..=3 {
        let key = format!("k{id}");
        put_revision(&cluster.call(MemberId(id), put(&key, key.as_bytes())));
        let reply = cluster.call(MemberId(id), set(&key, "v", None));
        assert!(matches!(reply.outcome, Ok(Response::V2(Ok(_)))), "{reply:?}");
    }
    for (id, key) in [(1, "k3"), (2, "k1"), (3, "k2")] {
        let read = cluster.call(MemberId(id), range(key, false));
        assert_eq!(value_of(&read), Some(key.as_bytes().to_vec()));
        assert!(matches!(cluster.call(MemberId(id), get(key)).outcome, Ok(Response::V2(Ok(_)))));
    }
    let hash =
        |c: &Cluster, id| c.nodes[&MemberId(id)].replica.as_ref().and_then(|r| r.state_hash());
    cluster.wait(|c| hash(c, 1) == hash(c, 2) && hash(c, 2) == hash(c, 3));
}

#[test]
fn a_secret_is_the_drivers_and_goes_to_who_asked() {
    let mut cluster = Cluster::started(1);
    let replica = cluster.nodes.get_mut(&MemberId(1)).expect("it was started");
    let (now, replica) = (cluster.now, replica.replica.as_mut().expect("it runs"));
    let mut jobs = Vec::new();
    for request in [RequestId(1 << 40), RequestId(1 << 41)] {
        let mut effects = Effects::new();
        replica.step(now, Input::Request(request, Request::Secret(4)), &mut effects);
        match effects.pop() {
            Some(Effect::Job(id, Job::Secret(4))) => jobs.push(id),
            other => panic!("not the job: {other:?}"),
        }
    }
    replica.step(now, Input::Cancel(RequestId(1 << 40)), &mut Effects::new());
    let mut effects = Effects::new();
    for job in jobs {
        let secret = JobResult::Secret(Bytes::from_static(b"abcd"));
        replica.step(now, Input::Job(job, secret), &mut effects);
    }
    match effects.pop() {
        Some(Effect::Reply(RequestId(id), Reply { outcome: Ok(Response::Secret(secret)), .. })) => {
            assert_eq!((id, &secret[..]), (1 << 41, &b"abcd"[..]));
        }
        other => panic!("not the secret: {other:?}"),
    }
    assert!(effects.is_empty(), "a client that has gone is answered nothing");
}

#[test]
fn the_loss_of_the_leader_loses_nothing() {
    let mut cluster = Cluster::started(3);
    let old = cluster.leader().expect("it was started");
    put_revision(&cluster.call(old, put("a", b"1")));
    cluster.kill(old);
    let survivor = *cluster.nodes.keys().find(|id| **id != old).expect("three members");
    assert_eq!(put_revision(&cluster.call(survivor, put("b", b"2"))), 3);
    cluster.start(old);
    assert_eq!(value_of(&cluster.call(old, range("b", false))), Some(b"2".to_vec()));
}

#[test]
fn all_members_restart_with_what_was_acknowledged() {
    let mut cluster = Cluster::started(3);
    for n in 0..300 {
        let id = MemberId(n % 3 + 1);
        put_revision(&cluster.call(id, put(&format!("k{n}"), &[7; 1000])));
    }
    for id in 1..=3 {
        cluster.kill(MemberId(id));
    }
    for id in 1..=3 {
        cluster.start(MemberId(id));
    }
    for n in 0..300 {
        let read = cluster.call(MemberId(n % 3 + 1), range(&format!("k{n}"), false));
        assert_eq!(value_of(&read), Some(vec![7; 1000]));
    }
}

#[test]
fn a_member_far_behind_is_sent_a_snapshot() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader().expect("it was started");
    let behind = *cluster.nodes.keys().find(|id| **id != leader).expect("three members");
    cluster.kill(behind);
    for n in 0..1000 {
        put_revision(&cluster.call(leader, put(&format!("k{n}"), &[7; 1000])));
    }
    cluster.start(behind);
    let applied = |c: &Cluster, id: &MemberId| {
        c.nodes[id].replica.as_ref().map(|replica| replica.status().applied_index)
    };
    cluster.wait(|c| applied(c, &behind) == applied(c, &leader));
    assert_eq!(value_of(&cluster.call(behind, range("k999", false))), Some(vec![7; 1000]));
    cluster.kill(behind);
    cluster.start(behind);
    assert_eq!(value_of(&cluster.call(behind, range("k999", false))), Some(vec![7; 1000]));
}

#[test]
fn without_a_quorum_a_write_times_out_and_a_local_read_is_answered() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader().expect("it was started");
    put_revision(&cluster.call(leader, put("a", b"1")));
    let others: Vec<MemberId> = cluster.nodes.keys().copied().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| cluster.kill(*id));
    let reply = cluster.call(leader, put("a", b"2"));
    assert!(matches!(reply.outcome, Err(Failure::Timeout)), "{reply:?}");
    assert_eq!(value_of(&cluster.call(leader, range("a", true))), Some(b"1".to_vec()));
}

#[test]
fn a_ttl_ends_through_the_log() {
    let mut cluster = Cluster::started(3);
    cluster.call(MemberId(1), set("/short", "v", Some(1)));
    let gone = |reply: &Reply| matches!(reply.outcome, Ok(Response::V2(Err(_))));
    assert!(!gone(&cluster.call(MemberId(2), get("/short"))));
    let end = cluster.now.monotonic.0 + 3_000_000_000;
    cluster.wait(|c| c.now.monotonic.0 > end);
    assert!(gone(&cluster.call(MemberId(2), get("/short"))));
}

#[test]
fn a_write_behind_a_long_listing_is_not_in_it() {
    let mut cluster = Cluster::started(1);
    let one = MemberId(1);
    for number in 0..250 {
        cluster.call(one, set(&format!("/d/{number}"), "v", None));
    }
    let (listing, write) =
        (cluster.ask(one, get("/d")), cluster.ask(one, set("/d/new", "v", None)));
    cluster.wait(|c| c.replies.contains_key(&listing) && c.replies.contains_key(&write));
    let event = |request| match &cluster.replies[request][0].outcome {
        Ok(Response::V2(Ok(event))) => event.clone(),
        other => panic!("not an event: {other:?}"),
    };
    let (listing, write) = (event(&listing), event(&write));
    assert_eq!((listing.node.nodes.len(), listing.index + 1), (250, write.index));
}

#[test]
fn a_member_that_is_asked_to_go_hands_over_first() {
    let mut cluster = Cluster::started(3);
    let old = cluster.leader().expect("it was started");
    cluster.input(old, Input::Stop);
    cluster.wait(|c| c.nodes[&old].stopped.is_some());
    assert_eq!(cluster.nodes[&old].stopped, Some(StopReason::Asked));
    let since = cluster.now.monotonic;
    cluster.wait(|c| c.leader().is_some());
    assert!(cluster.now.monotonic.0 - since.0 < 100_000_000, "nobody waited for a timeout");
}

/// A checkpoint of another cluster, copied into a data directory, once broke an assertion at the
/// start; and one that a peer sent was installed, and did so at the next start.
#[test]
#[should_panic(expected = "snap/0000000000000001.snap belongs to another cluster")]
fn a_checkpoint_of_another_cluster_is_refused() {
    let mut cluster = Cluster::started(1);
    let mut foreign = State::new(10);
    foreign.found_cluster(ClusterId(9));
    let at = Position { term: Term(1), index: Index(1) };
    let mut writer = foreign.begin_checkpoint(at).expect("nothing is under way");
    let chunks = std::iter::from_fn(|| writer.next_chunk(&mut foreign));
    let file = chunks.flatten().collect();
    let node = cluster.nodes.get_mut(&MemberId(1)).expect("it is a member");
    node.files.insert(File::Checkpoint(1), file);
    cluster.start(MemberId(1));
}

/// The log behind a damaged checkpoint was named as what is corrupt, not the checkpoint.
#[test]
#[should_panic(expected = ".snap is corrupt at offset 0: a checkpoint's chunk does not match its \
                           checksum; without it, wal/")]
fn a_damaged_checkpoint_that_the_log_needs_is_named() {
    let mut cluster = Cluster::started(1);
    let member = MemberId(1);
    for n in 0..1000 {
        put_revision(&cluster.call(member, put(&format!("k{n}"), &[7; 1000])));
    }
    cluster.kill(member);
    let node = cluster.nodes.get_mut(&member).expect("it is a member");
    let first_segment = node.files.keys().find(|file| matches!(file, File::Segment(_)));
    assert!(first_segment > Some(&File::Segment(1)), "the log begins behind a checkpoint");
    for (file, bytes) in &mut node.files {
        if matches!(file, File::Checkpoint(_)) {
            bytes[20] ^= 1;
        }
    }
    cluster.start(member);
}

/// An idle log is closed by an empty batch, which also tells what is committed. It once named the
/// commit index of that very moment: an entry that a new leader had just replaced in memory, and
/// committed, was still the old one on disk, and a crash then made that one the committed one.
#[test]
fn an_empty_batch_commits_nothing_that_is_about_to_be_replaced() {
    let (one, old_leader, new_leader) = (MemberId(1), MemberId(2), MemberId(3));
    let mut cluster = Cluster::new(3);
    cluster.start(one);
    cluster.input(one, Input::Flush);
    let append = |term: u64, commit: u64| {
        let entry = Entry::new(Term(term), Index(4), EntryKind::Empty, Bytes::new());
        Message::Raft(raft::Message::Append {
            term: Term(term),
            prev_index: Index(3),
            prev_term: Term(1),
            commit_index: Index(commit),
            entries: vec![entry],
        })
    };
    cluster.input(one, Input::Peer(old_leader, append(2, 3)));
    cluster.input(one, Input::Flush);
    cluster.now.monotonic.0 += 200_000_000;
    cluster.input(one, Input::Peer(new_leader, append(3, 4)));

    let (now, mut effects) = (cluster.now, Effects::new());
    let node = cluster.nodes.get_mut(&one).expect("it is a member");
    node.replica.as_mut().expect("it runs").step(now, Input::Tick, &mut effects);
    while let Some(effect) = effects.pop() {
        if let Effect::Disk(_, _, ops) = effect {
            node.write(ops);
        }
    }
    cluster.kill(one);
    cluster.start(one);
    let status = cluster.nodes[&one].replica.as_ref().map(|replica| replica.status());
    assert_eq!(status.map(|status| status.applied_index), Some(Index(3)));
}

/// What a late acknowledgement names may have been replaced since: the member that sent it was
/// then told, at its next handshake, of an entry that it never had, and no longer voted.
#[test]
fn an_acknowledgement_of_an_older_term_is_not_held_against_its_member() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader().expect("it was started");
    let behind = *cluster.nodes.keys().find(|id| **id != leader).expect("three members");
    cluster.kill(behind);
    put_revision(&cluster.call(leader, put("a", b"1")));
    let replica = |c: &Cluster| c.nodes[&leader].replica.as_ref().expect("it runs").status();
    let remembered = |c: &Cluster| {
        c.nodes[&leader].replica.as_ref().map(|replica| replica.acknowledged_by(behind))
    };
    let (before, status) = (remembered(&cluster), replica(&cluster));
    for (term, is_news) in [(Term(status.term.0 - 1), false), (status.term, true)] {
        let late = raft::Message::Appended { term, match_index: status.commit_index };
        cluster.input(leader, Input::Peer(behind, Message::Raft(late)));
        assert_eq!(remembered(&cluster) != before, is_news, "{term}");
    }
}
