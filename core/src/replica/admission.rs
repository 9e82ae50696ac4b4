//! What is refused before it costs anything: too large, too much, no space, or unsafe.

use super::peers::Peers;
use super::{Failure, Options, Request};
use crate::identity::MemberId;
use crate::limits;
use crate::raft::{Raft, RoleName};
use crate::store::State;
use crate::store::command::Body;
use crate::store::membership::{Change, Membership, Refusal};
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
    match request {
        Request::V2Write(_) | Request::V3Write(_) if view.log_is_full => Some(Failure::NoSpace),
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
    match request {
        Request::Publish { .. } | Request::V2Watch(_) => true,
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
    match request {
        Request::V2Get { quorum, .. } => *quorum,
        Request::V3Range { serializable, .. } | Request::V3ReadTxn { serializable, .. } => {
            !serializable
        }
        Request::Members { linearizable } => *linearizable,
        Request::Barrier => true,
        _ => false,
    }
}

/// The largest encoded command. v2 forms have a limit of their own, at the HTTP door.
pub(super) fn bytes_max(options: &Options, body: &Body) -> usize {
    match body {
        Body::V3(_) => options.request_bytes_max,
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

/// The checks that depend on who is connected; the others are made at apply, where every member
/// finds the same.
fn refuse_change(view: &View<'_>, change: &Change) -> Option<Failure> {
    let membership = view.state.membership();
    let refusal = match change {
        Change::Promote(id) => refuse_promotion(view, membership, *id),
        Change::Add(_) | Change::Remove(_) if view.options.strict_reconfig_check => {
            refuse_strictly(view, membership, change)
        }
        _ => None,
    };
    refusal.map(Failure::Membership)
}

/// A learner must have nearly all of the leader's log (etcd: 90 %).
fn refuse_promotion(view: &View<'_>, membership: &Membership, id: MemberId) -> Option<Refusal> {
    let Some(member) = membership.members.get(&id) else { return Some(Refusal::NotFound) };
    if !member.is_learner {
        return Some(Refusal::NotLearner);
    }
    if view.raft.role() != RoleName::Leader {
        return None;
    }
    let matched = view.raft.match_index(id).map_or(0, |index| index.0);
    let ready = matched * 10 >= view.raft.last().index.0 * 9;
    (!ready).then_some(Refusal::LearnerNotReady)
}

/// `--strict-reconfig-check`: enough started voters must remain for a quorum of the new set, and
/// every started voter must be connected.
fn refuse_strictly(view: &View<'_>, membership: &Membership, change: &Change) -> Option<Refusal> {
    let voters = || membership.members.values().filter(|member| !member.is_learner);
    let started = |without: Option<MemberId>| {
        voters().filter(|m| !m.name.is_empty() && Some(m.id) != without).count()
    };
    let (active, size) = match change {
        Change::Add(member) if member.is_learner => return None,
        Change::Add(_) => (started(None), voters().count() + 1),
        Change::Remove(id) => {
            let target = membership.members.get(id)?;
            if target.is_learner {
                return None;
            }
            (started(Some(*id)), voters().count() - 1)
        }
        Change::Update(..) | Change::Promote(_) => return None,
    };
    if size > 0 && active < size / 2 + 1 {
        return Some(Refusal::NotEnoughStarted);
    }
    let is_up =
        |id: MemberId| id == view.member || view.peers.connected_for(view.now, id, HEALTHY_AFTER);
    let up = voters().filter(|member| is_up(member.id)).count();
    let quorum = voters().count() / 2 + 1;
    (matches!(change, Change::Add(_)) && up < quorum).then_some(Refusal::Unhealthy)
}
