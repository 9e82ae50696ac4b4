//! Random schedules: whatever happens in whatever order, the [`Witness`] stays content, and when
//! the faults end the cluster agrees.
//!
//! [`Witness`]: crate::witness::Witness

use bytes::Bytes;
use proptest::prelude::*;
use quorra_core::identity::MemberId;
use quorra_core::raft::{EntryKind, Index, Message, Options, ReadContext, RoleName};
use quorra_core::random::Random;
use quorra_core::time::Duration;

use crate::cluster::{Cluster, parse_configuration};

/// What happens in a run, as one number a step: it is easily shrunk.
fn perform(cluster: &mut Cluster, choice: u64) {
    let mut random = Random::new(choice);
    let members: Vec<MemberId> = cluster.nodes.keys().copied().collect();
    let pick = |random: &mut Random| members[random.below(members.len() as u64) as usize];
    let (member, other) = (pick(&mut random), pick(&mut random));
    match random.below(100) {
        0..40 => deliver_one(cluster, &mut random),
        40..55 => {
            cluster.durable(member, None);
        }
        55..65 => {
            cluster.now = cluster.now + Duration::from_millis(random.below(400));
            cluster.give(member, |raft, now, out| raft.tick(now, out));
        }
        65..78 => {
            let payload = Bytes::from(random.below(1000).to_string());
            cluster.give(member, |raft, _, _| {
                let _ = raft.propose(EntryKind::Command, payload);
            });
        }
        78..82 => change(cluster, member, &mut random),
        82..86 => read(cluster, member),
        86..88 => lose_some(cluster, &mut random),
        88..90 => {
            cluster.crash(member);
            cluster.start(member);
        }
        90..92 => cluster.give(member, |raft, now, out| {
            let _ = raft.transfer(now, Some(other), out);
        }),
        92..94 => {
            let up = random.below(2) == 0;
            cluster.give(member, |raft, now, out| raft.reachable(now, other, up, out));
        }
        94..96 => cluster.compact(member, Index(random.below(50))),
        96..98 => serve_snapshot(cluster, member, other),
        _ => {
            cluster.answer_reads(member);
        }
    }
}

/// Delivers one message, not always the first, now and then twice.
fn deliver_one(cluster: &mut Cluster, random: &mut Random) {
    if cluster.wire.is_empty() {
        return;
    }
    let reach = cluster.wire.len().min(if random.below(4) == 0 { 16 } else { 1 });
    let place = random.below(reach as u64) as usize;
    let (from, to, message) = if random.below(20) == 0 {
        cluster.wire[place].clone()
    } else {
        cluster.wire.remove(place)
    };
    cluster.give(to, |raft, now, out| raft.step(now, from, message, out));
}

fn lose_some(cluster: &mut Cluster, random: &mut Random) {
    cluster.wire.retain(|_| random.below(3) > 0);
}

fn read(cluster: &mut Cluster, member: MemberId) {
    let node = cluster.nodes.get_mut(&member).expect("it was picked");
    node.context += 1;
    let context = ReadContext(node.context);
    cluster.read(member, context);
}

/// One member leaves or returns; members 1 and 2 stay voters.
fn change(cluster: &mut Cluster, member: MemberId, random: &mut Random) {
    let texts = ["1,2,3/", "1,2/", "1,2/3", "1,2,3,4/", "1,2,3/4", "1,2,3,4,5/"];
    let text = texts[random.below(texts.len() as u64) as usize];
    let node = &cluster.nodes[&member];
    let wanted = parse_configuration(text.as_bytes());
    let present = node.configuration().voters.clone();
    if present.symmetric_difference(&wanted.voters).count() > 1 {
        return;
    }
    cluster.give(member, |raft, _, _| {
        let _ = raft.propose(EntryKind::Configuration, Bytes::from(text));
    });
}

/// A leader sends its newest checkpoint whether it was asked or not.
fn serve_snapshot(cluster: &mut Cluster, member: MemberId, other: MemberId) {
    let raft = cluster.nodes[&member].raft.as_ref().expect("it is up");
    let has_any = cluster.nodes[&member].disk.base.index > Index(0);
    if raft.role() == RoleName::Leader && member != other && has_any {
        cluster.send_snapshot(member, other);
        cluster.give(member, |raft, _, _| raft.snapshot_sent(other, None));
    }
}

/// Ends all faults and lets time pass until everyone holds the same log.
fn heal(cluster: &mut Cluster) {
    let members: Vec<MemberId> = cluster.nodes.keys().copied().collect();
    for &member in &members {
        for &peer in &members {
            cluster.give(member, |raft, now, out| raft.reachable(now, peer, true, out));
        }
    }
    for round in 0.. {
        assert!(round < 600, "the cluster recovers:\n{}", describe(cluster));
        cluster.now = cluster.now + Duration::from_millis(100);
        for &member in &members {
            cluster.give(member, |raft, now, out| raft.tick(now, out));
        }
        if round < 590 {
            cluster.trace.clear();
        }
        cluster.stabilize();
        if round % 7 == 3 {
            members.iter().for_each(|&member| offer(cluster, member));
        }
        if round > 30 && agrees(cluster) {
            return;
        }
    }
}

/// Where everyone is, and what happened of late.
fn describe(cluster: &Cluster) -> String {
    let nodes = cluster.nodes.iter().map(|(member, node)| {
        let base = node.disk.base.index;
        let (members, raft) = (node.configuration(), node.raft.as_ref().expect("it is up"));
        let (role, term, last) = (raft.role(), raft.term(), raft.last().index);
        let (commit, applicable) = (raft.commit_index(), raft.applicable_index());
        format!("{member} {role:?} {term} {base}..{last} {commit} {applicable} {members:?}")
    });
    nodes.chain(cluster.trace.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// The leader proposes something, and sends a checkpoint to whoever lags.
fn offer(cluster: &mut Cluster, member: MemberId) {
    let raft = cluster.nodes[&member].raft.as_ref().expect("it is up");
    if raft.role() != RoleName::Leader {
        return;
    }
    let base = cluster.nodes[&member].disk.base.index;
    let others = cluster.nodes[&member].configuration().others(member);
    let lagging: Vec<_> =
        others.filter(|&m| raft.match_index(m).is_none_or(|matched| matched < base)).collect();
    for to in lagging {
        cluster.send_snapshot(member, to);
        cluster.give(member, |raft, _, _| raft.snapshot_sent(to, None));
    }
    cluster.give(member, |raft, _, _| {
        let _ = raft.propose(EntryKind::Command, Bytes::from_static(b"after"));
    });
}

/// Whether there is one leader, and every member of its configuration has applied its log.
fn agrees(cluster: &Cluster) -> bool {
    let rafts = || cluster.nodes.iter().filter_map(|(m, node)| Some((*m, node.raft.as_ref()?)));
    let leaders = rafts().filter(|(_, raft)| raft.role() == RoleName::Leader);
    let Some((leader, leading)) = leaders.max_by_key(|(_, raft)| raft.term()) else { return false };
    let configuration = cluster.nodes[&leader].configuration();
    leading.commit_index() == leading.last().index
        && rafts().filter(|(member, _)| configuration.contains(*member)).all(|(_, raft)| {
            raft.applicable_index() == leading.commit_index() && raft.last() == leading.last()
        })
}

fn small(options: &mut Options) {
    options.inflight_messages_max = 2;
    options.append_bytes_target = 200;
    options.tail_bytes_max = 600;
    options.uncommitted_bytes_max = 2000;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_schedule_breaks_safety_and_faults_heal(
        seed: u64,
        five: bool,
        pre_vote: bool,
        is_small: bool,
        choices in prop::collection::vec(any::<u64>(), 100..1500),
    ) {
        let voters = if five { "1,2,3,4,5/" } else { "1,2,3/4" };
        let configuration = parse_configuration(voters.as_bytes());
        let mut cluster = Cluster::new(&configuration, seed >> 1, |options| {
            options.pre_vote = pre_vote;
            if is_small {
                small(options);
            }
        });
        for member in 1..=5 {
            if !configuration.contains(MemberId(member)) {
                cluster.add(MemberId(member), configuration.clone(), |_| {});
            }
        }
        for choice in choices {
            perform(&mut cluster, choice);
            cluster.trace.clear();
        }
        heal(&mut cluster);
    }
}

/// Whatever a hostile peer says, nothing panics.
#[derive(Clone, Copy, Debug)]
struct Hostile {
    kind: u8,
    numbers: [u64; 6],
}

impl Hostile {
    fn message(self) -> Message {
        use quorra_core::raft::{Entry, SnapshotChunk, SnapshotId, Term};
        let [a, b, c, d, e, f] = self.numbers;
        let (term, flag) = (Term(a), b % 2 == 0);
        let snapshot = SnapshotId { index: Index(c), term: Term(d) };
        match self.kind % 12 {
            0 => {
                let (last_index, last_term) = (Index(c), Term(d));
                Message::RequestVote {
                    term,
                    pre: flag,
                    transfer: e % 2 == 0,
                    last_index,
                    last_term,
                }
            }
            1 => Message::Vote { term, pre: flag, granted: e % 2 == 0 },
            2 => {
                let entry = |i: u64| {
                    let place = Index(c.wrapping_add(1 + i));
                    Entry::new(Term(e), place, EntryKind::Command, Bytes::new())
                };
                let entries = (0..f % 4).map(entry).collect();
                let (prev_index, prev_term, commit_index) = (Index(c), Term(d), Index(b));
                Message::Append { term, prev_index, prev_term, commit_index, entries }
            }
            3 => Message::Appended { term, match_index: Index(c) },
            4 => Message::Rejected {
                term,
                prev_index: Index(b),
                hint_index: Index(c),
                hint_term: Term(d),
            },
            5 => Message::Heartbeat { term, commit_index: Index(c), round: b },
            6 => Message::HeartbeatAnswer { term, round: b },
            7 => Message::ReadIndex { term, contexts: vec![ReadContext(b)] },
            8 => {
                let index = flag.then_some(Index(c));
                Message::ReadIndexAnswer { term, contexts: vec![ReadContext(e)], index }
            }
            9 => {
                let bytes = Bytes::new();
                let chunk = SnapshotChunk { snapshot, offset: e, total: f, checksum: 0, bytes };
                Message::Chunk { term, chunk }
            }
            10 => Message::ChunkAnswer { term, snapshot, received: None, installed: flag },
            _ => Message::TimeoutNow { term },
        }
    }
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let number = prop_oneof![8 => 0_u64..8, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    (any::<u8>(), prop::array::uniform6(number))
        .prop_map(|(kind, numbers)| Hostile { kind, numbers })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_message_makes_a_member_panic(
        messages in prop::collection::vec((2_u64..5, hostile(), 0_u8..8), 1..60),
    ) {
        use quorra_core::raft::{Output, Raft, Restored, HardState, Position};
        let restored = Restored {
            hard_state: HardState::default(),
            base: Position::default(),
            tail: Vec::new(),
            last: Position::default(),
            commit_index: Index(0),
            configuration: parse_configuration(b"1,2,3/4"),
            applied_index: Index(0),
        };
        let mut now = quorra_core::time::Instant(1);
        let options = crate::cluster::options(MemberId(1));
        let mut raft = Raft::new(options, restored, now, Random::new(1));
        let mut ticket = quorra_core::disk::Ticket(0);
        for (from, hostile, then) in messages {
            let mut out = Output::default();
            raft.step(now, MemberId(from), hostile.message(), &mut out);
            now = now + Duration::from_millis(u64::from(then) * 100);
            if then == 7 {
                raft.tick(now, &mut out);
            }
            if raft.flush(now, &mut out).is_some() {
                ticket = ticket.next();
                raft.submitted(ticket);
            }
            if then % 2 == 0 {
                raft.durable(now, ticket, &mut out);
            }
            raft.check();
        }
    }
}
