//! What is refused before it costs anything: too large, too much, no space, or unsafe.

use super::peers::Peers;
use super::{Failure, Options, Request};
use crate::identity::MemberId;
use crate::limits;
use crate::raft::{Raft, RoleName};
use crate::store::State;
use crate::store::command::Body;
use crate::store::membership::{Change, Member, Membership, Refusal};
use crate::store::v3;
use crate::time::{Duration, Instant};

/// How long members must have been connected before the membership may change (etcd).
const HEALTHY_AFTER: Duration = Duration::from_secs(5);
/// What etcd adds to the size of each key that is put.
const PUT_OVERHEAD_BYTES: u64 = 256;

/// What the decision depends on.
pub(super) struct View<'a> {
    pub(super) now: Instant,
    pub(super) options: &'a Options,
    pub(super) state: &'a State,
    pub(super) member: MemberId,
    pub(super) peers: &'a Peers,
    pub(super) raft: &'a Raft,
    pub(super) waiting: usize,
    pub(super) log_is_full: bool,
    pub(super) watches_are_full: bool,
    pub(super) stopping: bool,
}

/// Why a request is not even begun, if so.
pub(super) fn refuse(view: &View<'_>, request: &Request) -> Option<Failure> {
    if view.stopping {
        return Some(Failure::Stopped);
    }
    if view.waiting >= limits::REQUESTS_PENDING_MAX {
        return Some(Failure::TooManyRequests);
    }
    if is_learner(view) && !is_allowed_on_learner(request) {
        return Some(Failure::Learner);
    }
    match request.asked() {
        Request::V2Write(_) | Request::V2Auth { .. } | Request::V3Write(_) if view.log_is_full => {
            Some(Failure::NoSpace)
        }
        Request::V2Watch(_) if view.watches_are_full => Some(Failure::TooManyRequests),
        Request::V3Write(write) => refuse_over_quota(view, write),
        Request::ChangeMembership(change) => refuse_change(view, change),
        Request::TransferLeadership(target) => refuse_transfer(view, *target),
        _ => None,
    }
}

fn is_learner(view: &View<'_>) -> bool {
    view.state.membership().members.get(&view.member).is_some_and(|member| member.is_learner)
}

fn is_allowed_on_learner(request: &Request) -> bool {
    match request.asked() {
        Request::Publish { .. }
        | Request::V2Watch(_)
        | Request::Authenticate { .. }
        | Request::CaughtUp => true,
        read => is_read(read) && !is_linearizable(read),
    }
}

fn is_read(request: &Request) -> bool {
    matches!(
        request,
        Request::V2Get { .. }
            | Request::V3Range { .. }
            | Request::V3ReadTxn { .. }
            | Request::Members { .. }
            | Request::Barrier
    )
}

/// Whether a read must be as new as its request.
pub(super) fn is_linearizable(request: &Request) -> bool {
    match request.asked() {
        Request::V2Get { quorum, .. } => *quorum,
        Request::V3Range { serializable, .. } | Request::V3ReadTxn { serializable, .. } => {
            !serializable
        }
        Request::Members { linearizable } => *linearizable,
        Request::Barrier => true,
        _ => false,
    }
}

/// The largest encoded command. What clients may send is limited at the door, where v3 requests
/// are measured as etcd measures them; our form of one may be somewhat longer.
pub(super) fn bytes_max(options: &Options, body: &Body) -> usize {
    match body {
        Body::V3(_) => options.request_bytes_max.saturating_add(limits::REQUEST_OVERHEAD_BYTES),
        _ => limits::ENTRY_BYTES_MAX,
    }
}

fn refuse_over_quota(view: &View<'_>, write: &v3::Write) -> Option<Failure> {
    let quota = view.options.quota_bytes?;
    let cost = put_cost(write);
    (cost > 0 && view.state.bytes() + cost >= quota).then_some(Failure::NoSpace)
}

/// What a write may add: for a transaction, the dearer of its two lists.
fn put_cost(write: &v3::Write) -> u64 {
    match write {
        v3::Write::Put(put) => cost_of_put(put),
        v3::Write::DeleteRange(_) => 0,
        v3::Write::Txn(txn) => cost_of_txn(txn),
    }
}

fn cost_of_put(put: &v3::Put) -> u64 {
    let value = put.value.as_ref().map_or(0, |value| value.len());
    (put.key.len() + value) as u64 + PUT_OVERHEAD_BYTES
}

fn cost_of_txn(txn: &v3::Txn) -> u64 {
    let list = |ops: &[v3::Op]| ops.iter().map(cost_of_op).sum::<u64>();
    list(&txn.success).max(list(&txn.failure))
}

fn cost_of_op(op: &v3::Op) -> u64 {
    match op {
        v3::Op::Put(put) => cost_of_put(put),
        v3::Op::Txn(txn) => cost_of_txn(txn),
        v3::Op::Range(_) | v3::Op::DeleteRange(_) => 0,
    }
}

fn refuse_transfer(view: &View<'_>, target: MemberId) -> Option<Failure> {
    let members = &view.state.membership().members;
    if view.raft.role() != RoleName::Leader {
        return Some(Failure::NotLeader);
    }
    let votes = members.get(&target).is_some_and(|member| !member.is_learner);
    (!votes).then_some(Failure::BadTransferee)
}

/// The checks that depend on who is connected to this member; whether a learner is ready its leader
/// decides, and the others are made at apply, where every member finds the same.
fn refuse_change(view: &View<'_>, change: &Change) -> Option<Failure> {
    let membership = view.state.membership();
    let refusal = match change {
        Change::Add(_) | Change::Remove(_) if view.options.strict_reconfig_check => {
            refuse_strictly(view, membership, change)
        }
        _ => None,
    };
    refusal.map(Failure::Membership)
}

/// A learner must have nearly all of the log (etcd: 90 %) before it is promoted. Only a leader can
/// tell, and is asked when it proposes.
pub(super) fn refuse_promotion(
    raft: &Raft,
    options: &Options,
    membership: &Membership,
    id: MemberId,
) -> Option<Refusal> {
    let Some(member) = membership.members.get(&id) else { return Some(Refusal::NotFound) };
    if !member.is_learner {
        return Some(Refusal::NotLearner);
    }
    let matched = raft.match_index(id).map_or(0, |index| index.0);
    if matched * 10 < raft.last().index.0 * 9 {
        return Some(Refusal::LearnerNotReady);
    }
    // The learner has the log, so it has started.
    let started = started_voters(membership, None) + 1;
    let enough = started >= majority(voters(membership).count() + 1);
    (options.strict_reconfig_check && !enough).then_some(Refusal::NotEnoughStarted)
}

fn voters(membership: &Membership) -> impl Iterator<Item = &Member> {
    membership.members.values().filter(|member| !member.is_learner)
}

fn started_voters(membership: &Membership, without: Option<MemberId>) -> usize {
    voters(membership).filter(|m| !m.name.is_empty() && Some(m.id) != without).count()
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// `--strict-reconfig-check`: enough started voters for a quorum of the new set, and enough of
/// them connected.
fn refuse_strictly(view: &View<'_>, membership: &Membership, change: &Change) -> Option<Refusal> {
    match change {
        Change::Add(member) => refuse_addition(view, membership, member.is_learner),
        Change::Remove(id) => {
            let target = membership.members.get(id).filter(|target| !target.is_learner)?;
            refuse_removal(view, membership, target.id)
        }
        Change::Update(..) | Change::Promote(_) => None,
    }
}

fn refuse_addition(view: &View<'_>, membership: &Membership, learner: bool) -> Option<Refusal> {
    let (started, size) = (started_voters(membership, None), voters(membership).count());
    // A single member may always get a second one: that is how a cluster begins again from it.
    let is_single = started == 1 && size == 1;
    if !learner && !is_single && started < majority(size + 1) {
        return Some(Refusal::NotEnoughStarted);
    }
    let up = voters(membership).filter(|member| view.is_up(member.id)).count();
    (up < majority(size)).then_some(Refusal::Unhealthy)
}

/// Who is down already may go: no quorum counts on it.
fn refuse_removal(view: &View<'_>, membership: &Membership, id: MemberId) -> Option<Refusal> {
    let size_after = voters(membership).count() - 1;
    if started_voters(membership, Some(id)) < majority(size_after) {
        return Some(Refusal::NotEnoughStarted);
    }
    if id != view.member && !view.peers.is_connected(id) {
        return None;
    }
    let others = voters(membership).filter(|member| member.id != id);
    let up = others.filter(|member| view.is_up(member.id)).count();
    (up < majority(size_after)).then_some(Refusal::Unhealthy)
}

/// Whether every voter has been connected for long enough.
pub(super) fn connects_all(view: &View<'_>) -> bool {
    voters(view.state.membership()).all(|member| view.is_up(member.id))
}

impl View<'_> {
    fn is_up(&self, id: MemberId) -> bool {
        id == self.member || self.peers.connected_for(self.now, id, HEALTHY_AFTER)
    }
}
