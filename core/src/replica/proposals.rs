//! Commands on their way into the log: proposed by a leader, forwarded by a follower, parked while
//! nobody leads.

use bytes::Bytes;

use super::peers::Peers;
use super::writes::Writes;
use super::{Effect, Effects, Failure, Message, Options, RequestId, admission};
use crate::identity::{Incarnation, MemberId};
use crate::limits;
use crate::raft::{EntryKind, Raft, Refused, RoleName};
use crate::store::command::{self, Body, Command};
use crate::store::membership::{Change, Membership, Refusal};
use crate::time::{Duration, Instant, Now};

/// What a request may take beside two election timeouts (etcd).
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// When a request that begins now has taken too long (etcd).
pub(super) fn deadline(now: Now, options: &Options) -> Instant {
    now.monotonic + REQUEST_TIME + options.raft.election_timeout * 2
}

/// What proposing needs beside the table of waiting clients.
pub(super) struct Way<'a> {
    pub(super) now: Now,
    pub(super) options: &'a Options,
    pub(super) raft: &'a mut Raft,
    pub(super) peers: &'a Peers,
    pub(super) membership: &'a Membership,
    pub(super) effects: &'a mut Effects,
}

impl Way<'_> {
    /// What only the leader can say of a change.
    fn refuse_change(&self, payload: &Bytes) -> Option<Refusal> {
        if self.raft.role() != RoleName::Leader {
            return None;
        }
        match Command::decode(payload.clone()).ok()?.body {
            Body::Membership(Change::Promote(id)) => {
                admission::refuse_promotion(self.raft, self.options, self.membership, id)
            }
            _ => None,
        }
    }
}

/// A client that must be told at once.
pub(super) type Told = Option<(RequestId, Failure)>;

/// The commands of this member's clients. Each goes into the log at most once.
pub(super) struct Proposals {
    pub(super) writes: Writes,
}

impl Proposals {
    pub(super) fn new(member: MemberId, incarnation: Incarnation) -> Self {
        Self { writes: Writes::new(member, incarnation) }
    }

    /// Proposes a command, or passes it on. Without a request the member asks on its own behalf.
    pub(super) fn begin(
        &mut self,
        request: Option<RequestId>,
        user: Bytes,
        body: Body,
        way: &mut Way<'_>,
    ) -> Told {
        let limit = admission::bytes_max(way.options, &body);
        let deadline = deadline(way.now, way.options);
        let identity = self.writes.open(request, way.now.monotonic, deadline);
        let kind = command::entry_kind(&body);
        let command = Command { identity, stamp: way.now.wall, user, body };
        let payload = command.encode();
        if payload.len() > limit {
            return self.refuse(identity.counter, Failure::TooLarge);
        }
        if self.writes.bytes() + payload.len() > limits::WAITING_BYTES_MAX {
            return self.refuse(identity.counter, Failure::TooManyRequests);
        }
        self.writes.weigh(identity.counter, payload.len());
        self.propose(identity.counter, kind, payload, way)
    }

    fn propose(
        &mut self,
        counter: u64,
        kind: EntryKind,
        payload: Bytes,
        way: &mut Way<'_>,
    ) -> Told {
        if kind == EntryKind::Configuration
            && let Some(refusal) = way.refuse_change(&payload)
        {
            return self.refuse(counter, Failure::Membership(refusal));
        }
        match way.raft.propose(kind, payload.clone()) {
            Ok(_) => None,
            Err(Refused::NotLeader) => {
                match way.raft.leader().filter(|leader| way.peers.is_connected(*leader)) {
                    Some(leader) => {
                        way.effects.push(Effect::Send(leader, Message::Forward(payload)));
                    }
                    None => self.writes.park(counter, kind, payload),
                }
                None
            }
            Err(Refused::Transferring | Refused::ChangePending) => {
                self.writes.park(counter, kind, payload);
                None
            }
            Err(Refused::Overloaded) => self.refuse(counter, Failure::TooManyRequests),
            Err(Refused::BadTransferee) => unreachable!("a proposal has no transferee"),
        }
    }

    /// A command of this start was refused before it reached the log.
    pub(super) fn refuse(&mut self, counter: u64, failure: Failure) -> Told {
        self.writes.refuse(counter).flatten().map(|request| (request, failure))
    }

    /// Commands that waited for a leader are proposed again, with a stamp of now.
    pub(super) fn retry(&mut self, way: &mut Way<'_>) -> alloc::vec::Vec<(RequestId, Failure)> {
        if !self.writes.has_parked() || way.raft.leader().is_none() {
            return alloc::vec::Vec::new();
        }
        let parked = self.writes.unpark().into_iter();
        let again = parked.filter_map(|(counter, kind, payload)| {
            let stamped = command::stamped(payload, way.now.wall);
            self.propose(counter, kind, stamped.expect("this member encoded it"), way)
        });
        again.collect()
    }
}

/// A follower's command. It is understood here before it can reach the log: an entry that no
/// member understands would stop them all. Whoever is no member (yet) writes nothing.
pub(super) fn on_forward(from: MemberId, payload: Bytes, way: &mut Way<'_>) {
    let Ok(Command { identity, body, .. }) = Command::decode(payload.clone()) else { return };
    if identity.member != from {
        return;
    }
    let kind = command::entry_kind(&body);
    drop(body);
    let refusal = (kind == EntryKind::Configuration).then(|| way.refuse_change(&payload)).flatten();
    let Ok(stamped) = command::stamped(payload, way.now.wall) else { return };
    let proposed = match refusal {
        _ if !way.membership.members.contains_key(&from) => Err(Failure::LeaderChanged),
        Some(refusal) => Err(Failure::Membership(refusal)),
        None => way.raft.propose(kind, stamped).map_err(failure_of),
    };
    let Err(failure) = proposed else { return };
    let (counter, incarnation) = (identity.counter, identity.incarnation);
    way.effects.push(Effect::Send(from, Message::Refuse { counter, incarnation, failure }));
}

/// What a member whose command was forwarded is told.
fn failure_of(refused: Refused) -> Failure {
    match refused {
        Refused::Overloaded => Failure::TooManyRequests,
        Refused::NotLeader | Refused::Transferring => Failure::LeaderChanged,
        Refused::ChangePending => Failure::Membership(Refusal::Unhealthy),
        Refused::BadTransferee => unreachable!("a proposal has no transferee"),
    }
}
