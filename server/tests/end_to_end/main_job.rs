//! The product's main job: three members lose no acknowledged write, whoever is killed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api::{Api, Pairs};
use crate::cluster::{Cluster, Member, PATIENCE, wait_for};

/// How long the cluster may be without acknowledging after its leader was killed.
const FAILOVER_MAX: Duration = Duration::from_secs(3);
/// The same, when the terms show that a vote was split.
const SPLIT_FAILOVER_MAX: Duration = Duration::from_secs(5);
/// Writers of each API.
const WRITERS: usize = 2;
/// Keeps a writer, with its connection for each write, from using up the machine's ports.
const WRITER_PAUSE: Duration = Duration::from_millis(4);

/// What was acknowledged, by API.
type Acknowledged = Mutex<BTreeMap<Api, Pairs>>;

/// `QUORRA_ROUNDS=20` for a long run.
fn rounds() -> usize {
    std::env::var("QUORRA_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

#[test]
fn acknowledged_writes_survive_the_death_of_every_member() {
    let mut cluster = Cluster::start("main-job", 3);
    let acknowledged = Acknowledged::default();
    for round in 0..rounds() {
        kill_the_leader_under_load(&mut cluster, &acknowledged, round);
        cluster.members.iter_mut().for_each(Member::kill);
        cluster.members.iter_mut().for_each(Member::start);
        cluster.members.iter().for_each(Member::wait_until_healthy);
        check_all(&cluster, &acknowledged, round);
    }
}

fn kill_the_leader_under_load(cluster: &mut Cluster, acknowledged: &Acknowledged, round: usize) {
    let leader = cluster.wait_for_leader();
    let mut victim = cluster.members.remove(leader);
    let survivors = &cluster.members;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS * 2 {
            let stop = &stop;
            scope.spawn(move || write(survivors, acknowledged, stop, round, writer));
        }
        // The load is real before the leader goes.
        let before = count(acknowledged);
        wait_for("writes before the kill", || (count(acknowledged) > before + 50).then_some(()));
        let term = Api::V2.put(&survivors[0], "terms/before", "x").expect("the cluster is whole");
        victim.kill();
        let (took, term_after) = first_write_after_a_kill(survivors);
        let split = term_after > term + 1;
        let allowed = if split { SPLIT_FAILOVER_MAX } else { FAILOVER_MAX };
        println!("round {round}: acknowledged again after {took:?} (split vote: {split})");
        assert!(took <= allowed, "round {round}: {took:?} without a leader, {allowed:?} allowed");
        victim.start();
        victim.wait_until_healthy();
        stop.store(true, Ordering::Relaxed);
    });
    cluster.members.insert(leader, victim);
}

/// How long it took until a write that began after the kill was acknowledged, and in which term.
fn first_write_after_a_kill(survivors: &[Member]) -> (Duration, u64) {
    let start = Instant::now();
    let done = Mutex::new(None);
    std::thread::scope(|scope| {
        for survivor in survivors {
            let done = &done;
            scope.spawn(move || {
                while done.lock().expect("nobody panics holding it").is_none() {
                    if let Ok(term) = Api::V2.put(survivor, "terms/after", "x") {
                        let mut first = done.lock().expect("nobody panics holding it");
                        first.get_or_insert((start.elapsed(), term));
                    }
                    assert!(start.elapsed() < PATIENCE, "no write is acknowledged any more");
                }
            });
        }
    });
    done.into_inner().expect("nobody panicked").expect("the threads end once it is set")
}

/// Writes keys of its own, each once, and notes those that were acknowledged.
fn write(
    members: &[Member],
    acknowledged: &Acknowledged,
    stop: &AtomicBool,
    round: usize,
    writer: usize,
) {
    let api = if writer < WRITERS { Api::V2 } else { Api::V3 };
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let member = &members[count % members.len()];
        let (key, value) =
            (format!("load/{round}-{writer}-{count}"), format!("{round}.{writer}.{count}"));
        if api.put(member, &key, &value).is_ok() {
            let mut acknowledged = acknowledged.lock().expect("nobody panics holding it");
            acknowledged.entry(api).or_default().insert(key, value);
        }
        std::thread::sleep(WRITER_PAUSE);
    }
}

fn count(acknowledged: &Acknowledged) -> usize {
    acknowledged.lock().expect("nobody panics holding it").values().map(BTreeMap::len).sum()
}

/// Every acknowledged write of both APIs is on every member.
fn check_all(cluster: &Cluster, acknowledged: &Acknowledged, round: usize) {
    let acknowledged = acknowledged.lock().expect("nobody panics holding it");
    for member in &cluster.members {
        for (api, expected) in acknowledged.iter() {
            wait_for("a quorum read", || api.quorum_read(member, "load/").then_some(()));
            let found = api.local_pairs(member, "load/").expect("a healthy member reads");
            let lost: Vec<_> =
                expected.iter().filter(|(key, value)| found.get(*key) != Some(value)).collect();
            assert!(
                lost.is_empty(),
                "round {round}: {} lacks {} of {} acknowledged {api:?} writes, such as {:?}",
                member.name,
                lost.len(),
                expected.len(),
                lost.first()
            );
        }
    }
}
