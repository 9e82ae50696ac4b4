//! Members that come, go, move and are replaced while the cluster serves.

use std::fs;

use quorra::client::{self, Answer, Request};
use quorra::urls::Url;
use serde_json::{Value, json};

use crate::api::Api;
use crate::cluster::{Cluster, Directory, Member, REQUEST_TIMEOUT, free_urls, wait_for};
use crate::etcdctl::{etcdctl, is_installed};

fn ask(member: &Member, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let content_type = "application/json";
    let request = Request { method, path, content_type, body: body.as_bytes() };
    client::exchange(&member.client, &request, REQUEST_TIMEOUT).expect("a running member answers")
}

/// Adds a member as soon as the cluster is healthy enough for it; its id.
fn add(cluster: &Cluster, through: usize, peer: &Url) -> String {
    let body = json!({"peerURLs": [peer.to_string()]});
    wait_for("the cluster to take a member", || {
        let answer = ask(&cluster.members[through], "POST", "/v2/members", &body);
        assert!(matches!(answer.status, 201 | 500), "{} {}", answer.status, answer.text());
        let added: Value = serde_json::from_slice(&answer.body).ok()?;
        added["id"].as_str().map(str::to_string).filter(|_| answer.status == 201)
    })
}

fn remove(member: &Member, id: &str) {
    wait_for("the cluster to let a member go", || {
        let answer = ask(member, "DELETE", &format!("/v2/members/{id}"), &Value::Null);
        assert!(matches!(answer.status, 204 | 500), "{} {}", answer.status, answer.text());
        (answer.status == 204).then_some(())
    });
}

fn id_of(member: &Member, name: &str) -> String {
    let members = member.json("/v2/members").expect("a running member lists them");
    let named =
        members["members"].as_array().and_then(|all| all.iter().find(|m| m["name"] == name));
    let id = named.and_then(|named| named["id"].as_str());
    id.unwrap_or_else(|| panic!("{name} is not in {members}")).to_string()
}

/// `NAME=URL,..` of these members.
fn list<'a>(members: impl IntoIterator<Item = &'a Member>) -> String {
    let pairs: Vec<_> = members.into_iter().map(|m| format!("{}={}", m.name, m.peer)).collect();
    pairs.join(",")
}

/// A member that joins the others.
fn newcomer(cluster: &Cluster, name: &str, client: &Url, peer: &Url) -> Member {
    let others = list(&cluster.members);
    let all = format!("{others}{}{name}={peer}", if others.is_empty() { "" } else { "," });
    Member::new(cluster.path(), name, client, peer).with(&[
        "--initial-cluster",
        &all,
        "--initial-cluster-state",
        "existing",
    ])
}

fn has_no_log(member: &Member) -> bool {
    fs::read_dir(member.data_dir.join("wal")).map_or(true, |mut files| files.next().is_none())
}

/// Waits until a member has this key on its own.
fn wait_for_key(member: &Member, key: &str) {
    let (directory, _) = key.rsplit_once('/').expect("keys of these tests have a prefix");
    wait_for(&format!("{key} on {}", member.name), || {
        let pairs = Api::V3.local_pairs(member, &format!("{directory}/"))?;
        pairs.contains_key(key).then_some(())
    });
}

#[test]
fn an_added_member_joins_serves_and_goes_for_good_when_removed() {
    let mut cluster = Cluster::start("join", 1);
    for count in 0..50 {
        Api::V3.put(&cluster.members[0], &format!("before/{count}"), "x").expect("it is healthy");
    }
    let urls = free_urls(2);
    let id = add(&cluster, 0, &urls[1]);
    let mut joining = newcomer(&cluster, "late", &urls[0], &urls[1]);
    // It may die before anything of the log has come.
    joining.start();
    wait_for("the newcomer's log", || joining.data_dir.join("wal").exists().then_some(()));
    joining.kill();
    joining.start();
    joining.wait_until_healthy();
    wait_for_key(&joining, "before/49");
    Api::V2.put(&joining, "through/it", "x").expect("it forwards writes");
    assert_eq!(id_of(&cluster.members[0], "late"), id);

    let endpoint = &cluster.members[0];
    remove(endpoint, &id);
    assert_eq!(joining.wait_for_end().code(), Some(0));
    assert!(joining.log().contains("removed from"), "{}", joining.log());
    Api::V3.put(endpoint, "after/1", "x").expect("the other goes on alone");
    joining.start();
    assert_eq!(joining.wait_for_end().code(), Some(0), "the others told it");
    let again = ask(endpoint, "DELETE", &format!("/v2/members/{id}"), &Value::Null);
    assert_eq!(again.status, 410, "{}", again.text());
    cluster.members.iter_mut().for_each(Member::kill);
}

#[test]
fn a_member_added_by_etcdctl_joins_with_what_etcdctl_prints() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start("etcdctl-add", 1);
    let urls = free_urls(2);
    let endpoint = cluster.members[0].client.to_string();
    let told = etcdctl("2", &endpoint, &["member", "add", "late", &urls[1].to_string()], "");
    let value = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is not in {told}")).trim_matches('"').to_string()
    };
    let (list, state) = (value("ETCD_INITIAL_CLUSTER"), value("ETCD_INITIAL_CLUSTER_STATE"));
    let mut late = Member::new(cluster.path(), &value("ETCD_NAME"), &urls[0], &urls[1]).with(&[
        "--initial-cluster",
        &list,
        "--initial-cluster-state",
        &state,
    ]);
    late.start();
    late.wait_until_healthy();
    let listed = etcdctl("2", &endpoint, &["member", "list"], "");
    assert!(listed.contains(&format!("name=late peerURLs={} clientURLs={}", urls[1], urls[0])));
    let id = id_of(&late, "late");
    let same = urls[1].to_string();
    let updated = etcdctl("2", &endpoint, &["member", "update", &id, &same], "");
    assert!(updated.contains(&format!("Updated member with ID {id}")), "{updated}");
    remove(&cluster.members[0], &id);
    assert_eq!(late.wait_for_end().code(), Some(0));
}

/// A log that grows past what a member keeps of it: the newcomer needs a snapshot.
#[test]
fn a_newcomer_catches_up_by_a_snapshot() {
    let cluster = Cluster::new("snapshot", 1);
    let mut cluster = cluster.with(&["--snapshot-count", "1"]);
    cluster.members[0].start();
    cluster.members[0].wait_until_healthy();
    // Beyond the size of the log at which a checkpoint is written.
    let value = "x".repeat(1 << 20);
    let writer = &cluster.members[0];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let value = &value;
            scope.spawn(move || {
                for count in 0..70 {
                    let key = format!("big/{thread}-{}", count % 4);
                    Api::V3.put(writer, &key, value).expect("it is healthy");
                }
            });
        }
    });
    wait_for("the checkpoint", || {
        let snap = fs::read_dir(writer.data_dir.join("snap")).ok()?;
        let mut names = snap.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with(".snap")).then_some(())
    });
    wait_for("the log's first segment to go", || {
        let first = writer.data_dir.join("wal/0000000000000001.wal");
        (!first.exists()).then_some(())
    });
    let urls = free_urls(2);
    add(&cluster, 0, &urls[1]);
    let mut late = newcomer(&cluster, "late", &urls[0], &urls[1]);
    late.start();
    late.wait_until_healthy();
    wait_for_key(&late, "big/3-3");
    let pairs = Api::V3.local_pairs(&late, "big/").expect("it is healthy");
    assert_eq!(pairs.len(), 16);
    assert!(pairs.values().all(|found| *found == value));
}

#[test]
fn a_dead_member_is_replaced_at_its_own_address() {
    let mut cluster = Cluster::start("replace", 3);
    let dead = (cluster.wait_for_leader() + 1) % 3;
    let mut dead = cluster.members.remove(dead);
    dead.kill();
    let old = id_of(&cluster.members[0], &dead.name);
    remove(&cluster.members[0], &old);
    fs::remove_dir_all(&dead.data_dir).expect("the member is dead");
    let new = add(&cluster, 1, &dead.peer);
    assert_ne!(old, new, "ids never come back");
    let mut replacement = newcomer(&cluster, &dead.name, &dead.client, &dead.peer);
    replacement.start();
    replacement.wait_until_healthy();
    Api::V3.put(&replacement, "k/1", "v").expect("it writes");
    // The cluster can lose another one now.
    cluster.members[0].kill();
    wait_for("a write without the third", || Api::V3.put(&replacement, "k/2", "v").ok());
}

#[test]
fn a_leader_can_be_removed_through_itself() {
    let mut cluster = Cluster::start("remove-leader", 3);
    let leader = cluster.wait_for_leader();
    let mut leader = cluster.members.remove(leader);
    let id = id_of(&leader, &leader.name);
    wait_for("the leader to take its leave", || {
        let answer = ask(&leader, "DELETE", &format!("/v2/members/{id}"), &Value::Null);
        (answer.status == 204).then_some(())
    });
    assert_eq!(leader.wait_for_end().code(), Some(0));
    for survivor in &cluster.members {
        wait_for("the survivors' writes", || Api::V2.put(survivor, "after", "x").ok());
        assert_eq!(
            survivor.json("/v2/members").map(|all| all["members"].as_array().map(Vec::len)),
            Some(Some(2))
        );
    }
}

#[test]
fn a_member_moves_to_another_address() {
    let mut cluster = Cluster::start("move", 3);
    let mover = (cluster.wait_for_leader() + 1) % 3;
    let mut mover = cluster.members.remove(mover);
    let id = id_of(&mover, &mover.name);
    let address = free_urls(1).remove(0);
    let body = json!({"peerURLs": [address.to_string()]});
    let answer = ask(&cluster.members[0], "PUT", &format!("/v2/members/{id}"), &body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    mover.kill();
    let mut mover = mover.with(&["--listen-peer-urls", &address.to_string()]);
    mover.start();
    mover.wait_until_healthy();
    Api::V3.put(&cluster.members[1], "k/moved", "v").expect("the others lead");
    wait_for_key(&mover, "k/moved");
}

#[test]
fn a_wiped_member_does_not_come_back_as_who_it_was() {
    let mut cluster = Cluster::start("wiped-existing", 3);
    let mut wiped = cluster.members.remove(2);
    wiped.kill();
    fs::remove_dir_all(&wiped.data_dir).expect("the member is dead");
    let mut wiped = wiped.with(&["--initial-cluster-state", "existing"]);
    wiped.start();
    assert_eq!(wiped.wait_for_end().code(), Some(1));
    assert!(wiped.log().contains("has already been bootstrapped"), "{}", wiped.log());
    assert!(has_no_log(&wiped));
}

#[test]
fn joining_with_a_wrong_list_says_what_is_wrong_before_anything_is_written() {
    let cluster = Cluster::start("wrong-list", 1);
    let urls = free_urls(3);
    add(&cluster, 0, &urls[1]);
    let (own, running) = (&urls[1], list(&cluster.members));
    let rows = [
        (running.clone(), "couldn't find local name \\\"late\\\" in the initial cluster"),
        (format!("late={own}"), "cannot fetch cluster info from peer urls"),
        (format!("{running},late={own},more={}", urls[2]), "member count is unequal"),
        (format!("{running},late={}", urls[2]), "PeerURLs: no match found for existing member"),
        (format!("{running},late={}", cluster.members[0].peer), "has duplicate url"),
    ];
    for (at, (given, reason)) in rows.iter().enumerate() {
        let directory = Directory::new(&format!("wrong-list-{at}"));
        let mut joining = Member::new(directory.path(), "late", &urls[0], own).with(&[
            "--initial-cluster",
            given,
            "--initial-cluster-state",
            "existing",
        ]);
        joining.start();
        assert_eq!(joining.wait_for_end().code(), Some(1), "{given}");
        assert!(joining.log().contains(reason), "{given}: {}", joining.log());
        assert!(has_no_log(&joining), "{given} left a log");
    }
}

#[test]
fn the_last_of_a_lost_cluster_begins_again_alone() {
    let mut cluster = Cluster::start("force-new", 3);
    Api::V2.put(&cluster.members[0], "kept", "v2").expect("it is healthy");
    Api::V3.put(&cluster.members[0], "kept/3", "v3").expect("it is healthy");
    let mut last = cluster.members.remove(cluster.wait_for_leader());
    let members = last.json("/v2/members").expect("it serves");
    let id = id_of(&last, &last.name);
    cluster.members.iter_mut().for_each(Member::kill);
    Api::V3.put(&last, "lost/1", "x").expect_err("nobody is left to agree");
    last.terminate();
    let mut last = last.with(&["--force-new-cluster"]);
    last.start();
    last.wait_until_healthy();
    assert_eq!(id_of(&last, &last.name), id, "among {members}");
    let alone = last.json("/v2/members").expect("it serves");
    assert_eq!(alone["members"].as_array().map(Vec::len), Some(1), "{alone}");
    let kept = Api::V3.local_pairs(&last, "kept/").expect("it serves");
    assert_eq!(kept.get("kept/3").map(String::as_str), Some("v3"));
    assert_eq!(Api::V3.local_pairs(&last, "lost/").map(|lost| lost.len()), Some(0));
    Api::V2.put(&last, "again", "x").expect("it needs nobody");
    // One of the others comes back: it learns that it belongs to it no more.
    let back = &mut cluster.members[0];
    back.start();
    assert_eq!(back.wait_for_end().code(), Some(0));
    assert!(back.log().contains("removed from"), "{}", back.log());
}

#[test]
fn a_learner_is_promoted_once_it_has_caught_up() {
    let cluster = Cluster::start("learner", 1);
    let urls = free_urls(2);
    let v3 = |path: &str, body: Value| {
        let answer = ask(&cluster.members[0], "POST", &format!("/v3/cluster/member/{path}"), &body);
        let body: Value = serde_json::from_slice(&answer.body).expect("the gateway speaks JSON");
        (answer.status, body)
    };
    let (status, added) = v3("add", json!({"peerURLs": [urls[1].to_string()], "isLearner": true}));
    assert_eq!(status, 200, "{added}");
    let id = added["member"]["ID"].clone();
    let (status, early) = v3("promote", json!({"ID": id}));
    assert_eq!((status, &early["code"]), (400, &json!(9)), "{early}");
    let mut learner = newcomer(&cluster, "learner", &urls[0], &urls[1]);
    learner.start();
    wait_for("the promotion", || (v3("promote", json!({"ID": id})).0 == 200).then_some(()));
    learner.wait_until_healthy();
    Api::V3.put(&learner, "k/1", "v").expect("it votes");
}
