//! Changes of the membership that are refused, and the last member of a lost cluster.

use quorra_core::identity::MemberId;
use quorra_core::raft::{self, Index};
use quorra_core::replica::{Failure, Input, Message, Request, Response};
use quorra_core::store::membership::{Change, Member, Refusal};
use quorra_core::time::Duration;

use crate::cluster::Cluster;
use crate::{put, put_revision, range, value_of};

fn change(cluster: &mut Cluster, through: MemberId, change: Change) -> Result<usize, Failure> {
    let reply = cluster.call(through, Request::ChangeMembership(change));
    reply.outcome.map(|response| match response {
        Response::Members(members) => members.len(),
        other => panic!("{other:?} does not answer a change"),
    })
}

fn refused(refusal: Refusal) -> Result<usize, Failure> {
    Err(Failure::Membership(refusal))
}

fn newcomer(is_learner: bool) -> Change {
    let (id, name, client_urls) = (MemberId(9), String::new(), Vec::new());
    let peer_urls = vec!["http://m9:2380".to_string()];
    Change::Add(Member { id, name, peer_urls, client_urls, is_learner })
}

fn pass(cluster: &mut Cluster, time: Duration) {
    let end = cluster.now.monotonic + time;
    cluster.wait(|cluster| cluster.now.monotonic >= end);
}

#[test]
fn strict_checks_keep_a_connected_quorum() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader().expect("it was started");
    let others: Vec<MemberId> = cluster.nodes.keys().copied().filter(|id| *id != leader).collect();
    for is_learner in [false, true] {
        let early = change(&mut cluster, leader, newcomer(is_learner));
        assert_eq!(early, refused(Refusal::Unhealthy), "connections must prove themselves");
    }
    pass(&mut cluster, Duration::from_secs(6));
    let now = cluster.now.monotonic;
    let full = |cluster: &Cluster| {
        cluster.nodes[&leader].replica.as_ref().is_some_and(|r| r.passes_full_check(now))
    };
    assert!(full(&cluster));
    cluster.kill(others[0]);
    assert!(!full(&cluster));
    let live = change(&mut cluster, leader, Change::Remove(others[1]));
    assert_eq!(live, refused(Refusal::Unhealthy), "it would cost the quorum");
    assert_eq!(change(&mut cluster, leader, Change::Remove(others[0])), Ok(2), "it is down");
    let gone = change(&mut cluster, leader, Change::Remove(others[0]));
    assert_eq!(gone, refused(Refusal::Removed));
    let unknown = change(&mut cluster, leader, Change::Promote(MemberId(7)));
    assert_eq!(unknown, refused(Refusal::NotFound));
    let through_a_follower = change(&mut cluster, others[1], Change::Promote(leader));
    assert_eq!(through_a_follower, refused(Refusal::NotLearner), "the leader decides");
}

#[test]
fn a_learner_is_promoted_when_it_has_nearly_the_whole_log() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader().expect("it was started");
    let follower = *cluster.nodes.keys().find(|id| **id != leader).expect("three members");
    pass(&mut cluster, Duration::from_secs(6));
    assert_eq!(change(&mut cluster, follower, newcomer(true)), Ok(4));
    let holds = |cluster: &mut Cluster, tenths: u64| {
        let replica = cluster.nodes[&leader].replica.as_ref().expect("it runs");
        let (term, last) = (replica.raft().term(), replica.raft().last().index.0);
        let told = raft::Message::Appended { term, match_index: Index(last * tenths / 10) };
        cluster.input(leader, Input::Peer(MemberId(9), Message::Raft(told)));
    };
    for through in [leader, follower] {
        holds(&mut cluster, 8);
        let early = change(&mut cluster, through, Change::Promote(MemberId(9)));
        assert_eq!(early, refused(Refusal::LearnerNotReady));
    }
    holds(&mut cluster, 10);
    assert_eq!(change(&mut cluster, follower, Change::Promote(MemberId(9))), Ok(4));
    let replica = cluster.nodes[&leader].replica.as_ref().expect("it runs");
    assert_eq!(replica.state().configuration().voters.len(), 4);
}

#[test]
fn the_last_of_a_lost_cluster_keeps_what_was_committed_and_nothing_else() {
    let mut cluster = Cluster::started(3);
    let last = cluster.leader().expect("it was started");
    put_revision(&cluster.call(last, put("kept", b"1")));
    pass(&mut cluster, Duration::from_secs(1));
    let others: Vec<MemberId> = cluster.nodes.keys().copied().filter(|id| *id != last).collect();
    others.iter().for_each(|id| cluster.kill(*id));
    let reply = cluster.call(last, put("uncommitted", b"2"));
    assert!(matches!(reply.outcome, Err(Failure::Timeout)), "{reply:?}");
    cluster.kill(last);
    cluster.alone = true;
    cluster.start(last);
    cluster.alone = false;
    for _ in 0..2 {
        cluster.wait(|cluster| cluster.leader() == Some(last));
        assert_eq!(value_of(&cluster.call(last, range("kept", false))), Some(b"1".to_vec()));
        assert_eq!(value_of(&cluster.call(last, range("uncommitted", false))), None);
        let replica = cluster.nodes[&last].replica.as_ref().expect("it runs");
        assert_eq!(replica.membership().members.keys().collect::<Vec<_>>(), [&last]);
        assert!(others.iter().all(|other| replica.membership().removed.contains(other)));
        cluster.kill(last);
        cluster.start(last);
    }
}
