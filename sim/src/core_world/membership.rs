//! Operators: they change the members of the cluster, start those that were added, and replace
//! those that lost their disk.
//!
//! A seat is a machine; its member may change. Whoever was removed, or lost its disk, never comes
//! back: the machine is given a new member, with a new id and an empty disk, which joins.

use quorra_core::identity::MemberId;
use quorra_core::replica::Request;
use quorra_core::store::membership::{Change, Member as Identity, Membership};

use super::event::Event;
use super::member::Standing;
use super::step::Step;
use super::{CoreWorld, Waiting};
use crate::disk::{Condition, Crash, Disk};
use crate::options::Plant;

/// A disk may be lost while this many vote, whatever is under way: one that was lost, and one more
/// that a change may take, leave a majority of those that remain.
const VOTERS_SPARE: usize = 4;
/// And while this many vote, if no change is under way.
const VOTERS_MIN: usize = 3;

impl CoreWorld {
    /// Asks some member for one change (add a spare, promote, or remove), or loses a disk.
    pub(super) fn change_membership(&mut self, victim: usize) {
        let Some(replica) = self.members[victim].replica() else { return };
        let membership = replica.membership();
        let members: Vec<MemberId> = membership.members.keys().copied().collect();
        let learners: Vec<MemberId> =
            membership.members.values().filter(|m| m.is_learner).map(|m| m.id).collect();
        let spares = self.spares();
        let draw = self.chance.between(0, 15);
        let change = match draw {
            0..5 if !spares.is_empty() => {
                let spare = spares[self.chance.index(spares.len())].clone();
                Change::Add(Identity { is_learner: self.chance.per_mille(600), ..spare })
            }
            5..8 if !learners.is_empty() => Change::Promote(self.chance.pick(&learners)),
            8..10 if members.len() > 2 && !self.is_replacing() => {
                Change::Remove(self.chance.pick(&members))
            }
            10..14 => return self.lose_disk(victim),
            14.. => return self.renew_removed(),
            _ => return,
        };
        let asked = self.leader().filter(|_| draw.is_multiple_of(2)).unwrap_or(victim);
        self.ask(asked, Request::ChangeMembership(change), Waiting::Nemesis);
    }

    fn spares(&self) -> Vec<Identity> {
        let spares = self.members.iter().filter(|member| member.standing == Standing::Spare);
        spares.map(|member| member.identity.clone()).collect()
    }

    /// The membership of any running member that satisfies this.
    fn any_shows(&self, shows: impl Fn(&Membership) -> bool) -> bool {
        self.running().iter().any(|seat| {
            self.members[*seat].replica().is_some_and(|replica| shows(replica.membership()))
        })
    }

    /// Operators start members once some member shows that they were added.
    pub(super) fn start_added(&mut self) {
        for seat in 0..self.members.len() {
            let id = self.members[seat].id();
            let added = self.members[seat].standing == Standing::Spare
                && self.any_shows(|membership| membership.members.contains_key(&id));
            if added {
                self.members[seat].standing = Standing::Member;
                self.members[seat].replaces = false;
                self.queue.push(self.now + 1, Event::Start(seat));
            }
        }
    }

    // --- Disks that are lost.

    /// Whether a member that lost its disk is not replaced yet.
    pub(super) fn is_replacing(&self) -> bool {
        self.members.iter().any(|member| member.standing == Standing::Wiped || member.replaces)
    }

    /// A machine burns down with its disk, unless the cluster could not do without it.
    fn lose_disk(&mut self, seat: usize) {
        let Some(replica) = self.members[seat].replica() else { return };
        let members = &replica.membership().members;
        let voters = members.values().filter(|member| !member.is_learner).count();
        let is_member = members.contains_key(&self.members[seat].id());
        let changes = self.waiting.values().any(|(.., asked)| matches!(asked, Waiting::Nemesis));
        let enough = voters >= VOTERS_SPARE || voters >= VOTERS_MIN && self.is_quiet();
        if !enough || !is_member || changes || self.is_replacing() {
            return;
        }
        self.crash(seat, Crash::Power);
        self.empty_disk(seat);
        self.trace.record(self.now, &Step::Wiped { seat });
        if self.plant == Some(Plant::WipedReturns) {
            let back = self.now + self.chance.between(1_000_000, 1_000_000_000);
            return self.queue.push(back, Event::Start(seat));
        }
        self.members[seat].standing = Standing::Wiped;
    }

    /// Whether every member runs, and no log holds a change that may still come.
    fn is_quiet(&self) -> bool {
        self.members.iter().filter(|member| member.standing == Standing::Member).all(|member| {
            member.replica().is_some_and(|replica| {
                replica.raft().last().index == replica.status().applied_index
            })
        })
    }

    fn empty_disk(&mut self, seat: usize) {
        let condition =
            Condition { failing: false, full: false, ..self.members[seat].disk.condition };
        self.members[seat].disk = Disk::new(condition, self.chance.fork());
        self.members[seat].newest_vote = None;
    }

    /// Operators remove who lost its disk, and put a new member in its place.
    pub(super) fn replace_wiped(&mut self) {
        let open = self.waiting.values().any(|(.., asked)| matches!(asked, Waiting::Nemesis));
        for seat in 0..self.members.len() {
            let id = self.members[seat].id();
            let change = match self.members[seat].standing {
                Standing::Wiped if self.any_shows(|shown| shown.removed.contains(&id)) => {
                    self.renew(seat);
                    self.members[seat].replaces = true;
                    continue;
                }
                Standing::Wiped => Change::Remove(id),
                Standing::Spare if self.members[seat].replaces => {
                    Change::Add(self.members[seat].identity.clone())
                }
                _ => continue,
            };
            if let Some(leader) = self.leader().filter(|_| !open) {
                return self.ask(leader, Request::ChangeMembership(change), Waiting::Nemesis);
            }
        }
    }

    /// The machine of somebody who was removed is used again.
    fn renew_removed(&mut self) {
        let removed = self.members.iter().position(|m| m.standing == Standing::Removed);
        if let Some(seat) = removed {
            self.empty_disk(seat);
            self.renew(seat);
        }
    }

    /// A machine with an empty disk gets a new member, with an id that was never used.
    fn renew(&mut self, seat: usize) {
        self.renewals += 1;
        let member = &mut self.members[seat];
        member.identity.id = MemberId::of_added(&member.identity.peer_urls, self.renewals);
        member.standing = Standing::Spare;
        member.founder = false;
        self.seats.insert(member.identity.id, seat);
        self.trace.record(self.now, &Step::Renewed { seat });
    }
}
