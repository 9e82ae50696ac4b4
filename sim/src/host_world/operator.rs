//! The operator: changes the members over HTTP, starts those that were added, and replaces those
//! that lost their disk.
//!
//! A seat is a machine; its member may change. Whoever was removed, or lost its disk, never comes
//! back: the machine is used again by a new member with a new id, which joins as with
//! `--initial-cluster-state existing`: it is told its id and its cluster by the members that run,
//! and nothing else.

use bytes::Bytes;
use quorra_core::identity::MemberId;
use quorra_core::store::membership::{Member as Identity, Membership};
use quorra_net::host::Listener;

use super::event::Event;
use super::step::Step;
use super::wires::{Read, WireId, Written};
use super::{Guest, HostWorld};
use crate::callers;
use crate::chance::nanos;
use crate::core_world::member::Standing;
use crate::disk::{Condition, Crash, Disk};
use crate::faults::Fault;
use crate::options::Plant;

/// How often the operator looks after the machines.
const ROUND: u64 = 50_000_000;
/// How long an answer is waited for: longer than a member waits for its cluster.
const PATIENCE: u64 = 15_000_000_000;
/// A disk may be lost while this many vote: the others are still a majority, and can replace it.
const VOTERS_MIN: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Operator {
    line: Option<Errand>,
    /// Something goes wrong, or is changed, then.
    next: u64,
    /// Removals that may or may not come about.
    doubts: usize,
    home: bool,
}

/// A request under way.
#[derive(Debug)]
struct Errand {
    wire: WireId,
    text: Bytes,
    removes: bool,
    until: u64,
}

/// One change, as a request.
struct Wish {
    method: &'static str,
    path: String,
    body: String,
}

impl Wish {
    fn add(url: &str, learner: bool) -> Self {
        let (method, urls) = ("POST", format!("\"peerURLs\":[\"{url}\"]"));
        match learner {
            true => {
                let (path, body) =
                    ("/v3/cluster/member/add", format!("{{{urls},\"isLearner\":true}}"));
                Self { method, path: path.into(), body }
            }
            false => Self { method, path: "/v2/members".into(), body: format!("{{{urls}}}") },
        }
    }

    fn promote(id: MemberId) -> Self {
        let (path, body) = ("/v3/cluster/member/promote", format!("{{\"ID\":\"{}\"}}", id.0));
        Self { method: "POST", path: path.into(), body }
    }

    fn remove(id: MemberId) -> Self {
        Self { method: "DELETE", path: format!("/v2/members/{id}"), body: String::new() }
    }

    fn text(&self, authorization: Option<&str>) -> Bytes {
        let Self { method, path, body } = self;
        let length = body.len();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n");
        if let Some(authorization) = authorization {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .into()
    }
}

impl HostWorld {
    fn operator(&mut self, guest: usize) -> &mut Operator {
        match &mut self.guests[guest] {
            Guest::Operator(operator) => operator,
            _ => unreachable!("guests keep their kind"),
        }
    }

    /// One round.
    pub(super) fn on_operator(&mut self, guest: usize) {
        self.tend_machines();
        let now = self.now;
        if self.operator(guest).line.as_ref().is_some_and(|errand| errand.until <= now) {
            self.end_errand(guest, false);
        }
        let operator = self.operator(guest);
        if operator.line.is_none() && !operator.home {
            let due = operator.next <= now;
            if let Some((seat, wish)) = self.wish(guest, due) {
                self.send_errand(guest, seat, &wish);
            }
        }
        self.wait(guest, now + ROUND);
    }

    /// Goes for good.
    pub(super) fn send_operator_home(&mut self, guest: usize) {
        self.operator(guest).home = true;
        self.end_errand(guest, false);
    }

    // --- Wishes.

    /// What to ask, and whom.
    fn wish(&mut self, guest: usize, due: bool) -> Option<(usize, Wish)> {
        let running = self.running();
        if running.is_empty() {
            return None;
        }
        let victim = self.chance.pick(&running);
        let leader = self.leader();
        if let Some(wish) = self.replacement() {
            return Some((leader.unwrap_or(victim), wish));
        }
        if !due || !self.troubled {
            return None;
        }
        let mean = *self.swarm.faults.get(&Fault::Membership)?;
        let pause = self.chance.between(0, 2 * nanos(mean));
        self.operator(guest).next = self.now + pause;
        let draw = self.chance.between(0, 13);
        let wish = match draw {
            10..13 => {
                self.lose_disk(guest, victim);
                None
            }
            13 => {
                self.use_again();
                None
            }
            _ => self.random_wish(victim, draw),
        };
        let asked = leader.filter(|_| draw.is_multiple_of(2)).unwrap_or(victim);
        wish.map(|wish| (asked, wish))
    }

    fn random_wish(&mut self, victim: usize, draw: u64) -> Option<Wish> {
        let membership = self.members[victim].replica()?.membership();
        let members: Vec<MemberId> = membership.members.keys().copied().collect();
        let learners = membership.members.values().filter(|member| member.is_learner);
        let learners: Vec<MemberId> = learners.map(|member| member.id).collect();
        let spares = self.members.iter().filter(|member| member.standing == Standing::Spare);
        let spares: Vec<String> = spares.map(|spare| spare.identity.peer_urls[0].clone()).collect();
        match draw {
            0..5 if !spares.is_empty() => {
                let url = &spares[self.chance.index(spares.len())];
                Some(Wish::add(url, self.chance.per_mille(500)))
            }
            5..8 if !learners.is_empty() => Some(Wish::promote(self.chance.pick(&learners))),
            8..10 if members.len() > 2 && !self.is_replacing() => {
                Some(Wish::remove(self.chance.pick(&members)))
            }
            _ => None,
        }
    }

    /// What a member that lost its disk needs next.
    fn replacement(&self) -> Option<Wish> {
        self.members.iter().find_map(|member| match member.standing {
            Standing::Wiped => Some(Wish::remove(member.identity.id)),
            Standing::Spare if member.replaces => {
                Some(Wish::add(&member.identity.peer_urls[0], false))
            }
            _ => None,
        })
    }

    // --- Machines.

    /// Whether a member that lost its disk is not replaced yet.
    pub(super) fn is_replacing(&self) -> bool {
        self.members.iter().any(|member| member.standing == Standing::Wiped || member.replaces)
    }

    /// What the first running member says of whom this asks for.
    fn shown<T>(&self, ask: impl Fn(&Membership) -> Option<T>) -> Option<T> {
        let running = self.running().into_iter();
        let mut replicas = running.filter_map(|seat| self.members[seat].replica());
        replicas.find_map(|replica| ask(replica.membership()))
    }

    fn tend_machines(&mut self) {
        for seat in 0..self.members.len() {
            let Identity { id, peer_urls, .. } = self.members[seat].identity.clone();
            match self.members[seat].standing {
                Standing::Spare => {
                    let retired = &self.members[seat].retired;
                    let added = self.shown(|membership| {
                        let mut members = membership.members.values();
                        let own = members.find(|member| member.peer_urls == peer_urls);
                        own.map(|own| own.id).filter(|id| !retired.contains(id))
                    });
                    if let Some(added) = added {
                        self.join(seat, added);
                    }
                }
                Standing::Wiped => {
                    let removed = |membership: &Membership| membership.removed.contains(&id);
                    if self.shown(|membership| removed(membership).then_some(())).is_some() {
                        self.retire(seat);
                        self.members[seat].replaces = true;
                    }
                }
                Standing::Member | Standing::Removed => {}
            }
        }
    }

    fn join(&mut self, seat: usize, id: MemberId) {
        let member = &mut self.members[seat];
        member.identity.id = id;
        member.founder = false;
        member.replaces = false;
        member.told = (0, 0);
        member.standing = Standing::Member;
        self.trace.record(self.now, &Step::Joins { seat });
        self.queue.push(self.now + 1, Event::Start(seat));
    }

    /// The machine is free for a new member.
    fn retire(&mut self, seat: usize) {
        self.empty_disk(seat);
        let member = &mut self.members[seat];
        member.retired.push(member.identity.id);
        member.standing = Standing::Spare;
    }

    fn empty_disk(&mut self, seat: usize) {
        let latency = self.members[seat].disk.condition.latency;
        let condition = Condition { latency, full: false, failing: false };
        self.members[seat].disk = Disk::new(condition, self.chance.fork());
    }

    fn use_again(&mut self) {
        let removed = self.members.iter().position(|m| m.standing == Standing::Removed);
        if let Some(seat) = removed {
            self.retire(seat);
        }
    }

    /// A machine burns down with its disk, unless the cluster could not do without it.
    fn lose_disk(&mut self, guest: usize, seat: usize) {
        let doubts = self.operator(guest).doubts;
        let Some(replica) = self.members[seat].replica() else { return };
        let members = &replica.membership().members;
        let voters = members.values().filter(|member| !member.is_learner).count();
        let is_member = members.contains_key(&self.members[seat].identity.id);
        if voters < VOTERS_MIN || !is_member || doubts > 0 || self.is_replacing() {
            return;
        }
        self.crash(seat, Crash::Power);
        self.trace.record(self.now, &Step::Wiped { seat });
        self.empty_disk(seat);
        if self.plant == Some(Plant::WipedReturns) {
            let back = self.now + self.chance.between(1_000_000, 1_000_000_000);
            return self.queue.push(back, Event::Start(seat));
        }
        self.members[seat].standing = Standing::Wiped;
    }

    // --- Errands.

    fn send_errand(&mut self, guest: usize, seat: usize, wish: &Wish) {
        let wire = self.call_up(guest, seat, Listener::Client);
        self.trace.record(self.now, &Step::Wishes { seat, what: &wish.path });
        let (removes, until) = (wish.method == "DELETE", self.now + PATIENCE);
        let authorization = self.callers.as_ref().map(|_| callers::root_authorization());
        let text = wish.text(authorization.as_deref());
        self.operator(guest).line = Some(Errand { wire, text, removes, until });
        self.on_operator_wire(guest, wire);
    }

    /// The operator's connection can be read or written, or is broken.
    pub(super) fn on_operator_wire(&mut self, guest: usize, wire: WireId) {
        let Guest::Operator(operator) = &mut self.guests[guest] else { return };
        let Some(errand) = operator.line.as_mut().filter(|errand| errand.wire == wire) else {
            return;
        };
        match self.wires.write(wire, 0, &errand.text) {
            Written::Taken(count) => drop(errand.text.split_to(count)),
            Written::Blocked => {}
            Written::Broken => return self.end_errand(guest, false),
        }
        match self.wires.read(wire, 0, 64 << 10) {
            Read::Bytes(answer) => {
                // An internal error may be that of a member that did not wait for the outcome.
                let is_sure =
                    [&b"HTTP/1.1 2"[..], b"HTTP/1.1 4"].iter().any(|s| answer.starts_with(s));
                self.end_errand(guest, is_sure);
            }
            Read::Nothing => {}
            Read::End | Read::Broken => self.end_errand(guest, false),
        }
    }

    fn end_errand(&mut self, guest: usize, is_sure: bool) {
        let operator = self.operator(guest);
        let Some(errand) = operator.line.take() else { return };
        operator.doubts += usize::from(errand.removes && !is_sure);
        self.wires.close(errand.wire, 0);
    }
}
