//! Everything that commands have made, and the one place where they are applied.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::checkpoint::Writer;
use super::command::{self, Body, Command, Identity};
use super::listings::Listings;
use super::membership::{Change, Member, Membership, Refusal};
use super::v2::auth::{Access, Caller, Claim};
use super::{hash, v2, v3};
use crate::codec::{DecodeError, Reader, Write};
use crate::identity::{ClusterId, MemberId};
use crate::raft::{Configuration, Entry, EntryKind, Position};
use crate::time::WallTime;

/// Applies writes whoever asked for them, which is wrong: to show that the simulator finds it.
const PLANTED_UNJUDGED_WRITE: bool = cfg!(feature = "planted-unjudged-write");

/// Names a command or read that is worked off in slices. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// What a command did, or why it did nothing: the same on every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a v2 write.
    V2(Result<Rc<v2::Event>, v2::Error>),
    /// Of a change of v2 users and roles.
    V2Auth(Result<v2::auth::Answer, v2::auth::Refusal>),
    /// Of a v3 write.
    V3(Result<v3::Answer, v3::Error>),
    /// Of a change of the membership: the members after it.
    Members(Result<Vec<Member>, Refusal>),
    /// Of what has nothing to say.
    Done,
    /// It took effect, but its answer is still being worked out; see [`State::work`].
    Later(WorkId),
}

/// An applied entry.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Whose command it was; none for an empty entry.
    pub identity: Option<Identity>,
    /// See there.
    pub outcome: Outcome,
    /// The configuration after it, for a configuration entry.
    pub configuration: Option<Configuration>,
}

/// The replicated state of a member.
///
/// # Invariants
/// - It is a function of the applied entries: not of reads, slices, or checkpoints taken.
/// - `stamp` never goes back, though a new leader's clock may.
#[derive(Debug)]
pub struct State {
    v2: v2::Store,
    v3: v3::Store,
    membership: Membership,
    cluster_version: Option<String>,
    stamp: WallTime,
    /// v2 nodes whose time is up until then are being removed.
    expiring: Option<WallTime>,
    listings: Listings,
    next_work: u64,
    slice_keys: usize,
}

/// The parts of a state that a checkpoint holds beside the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Particulars {
    pub(super) membership: Membership,
    pub(super) cluster_version: Option<String>,
    pub(super) stamp: WallTime,
}

impl Particulars {
    /// Their own layout, in checkpoints.
    pub(super) fn write(&self, out: &mut impl Write) {
        out.put_u64(self.membership.cluster.0);
        out.put_count(self.membership.members.len());
        self.membership.members.values().for_each(|member| command::put_member(out, member));
        out.put_count(self.membership.removed.len());
        self.membership.removed.iter().for_each(|id| out.put_u64(id.0));
        out.put_flag(self.cluster_version.is_some());
        if let Some(version) = &self.cluster_version {
            out.put_block(version.as_bytes());
        }
        out.put_i64(self.stamp.0);
    }

    /// The counterpart of [`Self::write`].
    pub(super) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut membership =
            Membership { cluster: ClusterId(reader.u64()?), ..Membership::default() };
        for _ in 0..reader.count()? {
            let member = command::read_member(reader)?;
            membership.members.insert(member.id, member);
        }
        for _ in 0..reader.count()? {
            membership.removed.insert(MemberId(reader.u64()?));
        }
        let cluster_version = if reader.flag()? { Some(command::read_text(reader)?) } else { None };
        Ok(Self { membership, cluster_version, stamp: WallTime(reader.i64()?) })
    }
}

impl State {
    /// Before the first command. A slice of long work visits `slice_keys` keys.
    #[must_use]
    pub fn new(slice_keys: usize) -> Self {
        let stores = (v2::Store::new(), v3::Store::new(slice_keys));
        Self::restored(stores, Particulars::default(), slice_keys)
    }

    /// What a checkpoint holds.
    pub(super) fn restored(
        (v2, v3): (v2::Store, v3::Store),
        particulars: Particulars,
        slice_keys: usize,
    ) -> Self {
        let Particulars { membership, cluster_version, stamp } = particulars;
        Self {
            v2,
            v3,
            membership,
            cluster_version,
            stamp,
            expiring: None,
            listings: Listings::default(),
            next_work: 0,
            slice_keys,
        }
    }

    pub(super) fn particulars(&self) -> Particulars {
        Particulars {
            membership: self.membership.clone(),
            cluster_version: self.cluster_version.clone(),
            stamp: self.stamp,
        }
    }

    /// Tells which cluster this is the state of, for a state that begins without a checkpoint.
    pub fn found_cluster(&mut self, cluster: ClusterId) {
        let known = self.membership.cluster;
        assert!(
            known == ClusterId::default() || known == cluster,
            "a state belongs to one cluster"
        );
        self.membership.cluster = cluster;
    }

    /// Applies a committed entry.
    ///
    /// # Errors
    /// When this build does not understand the command: the member must stop.
    pub fn apply(&mut self, entry: &Entry) -> Result<Applied, DecodeError> {
        assert!(!self.is_blocked(), "entries are applied one after another");
        assert!(!self.is_listing(), "a listing shows one state");
        if entry.kind == EntryKind::Empty {
            return Ok(Applied { identity: None, outcome: Outcome::Done, configuration: None });
        }
        let command = Command::decode(entry.payload.clone())?;
        if command::entry_kind(&command.body) != entry.kind {
            return Err(DecodeError { rule: "a command in an entry of another kind", offset: 0 });
        }
        self.stamp = self.stamp.max(command.stamp);
        let claim = Claim::decode(&command.user);
        let outcome = self.carry_out(command.body, claim.as_ref());
        let is_configuration = entry.kind == EntryKind::Configuration;
        let configuration = is_configuration.then(|| self.membership.configuration());
        Ok(Applied { identity: Some(command.identity), outcome, configuration })
    }

    fn carry_out(&mut self, body: Body, claim: Option<&Claim>) -> Outcome {
        match body {
            Body::V3(write) => {
                let work = self.new_work();
                self.v3.apply(write, work).map_or(Outcome::Later(work), Outcome::V3)
            }
            Body::V2(write) => Outcome::V2(self.write_v2(&write, claim)),
            Body::V2Auth(change) => Outcome::V2Auth(self.change_auth(&change, claim)),
            Body::V2Sync => {
                self.expiring = Some(self.stamp);
                self.expire();
                Outcome::Done
            }
            Body::Publish { member, name, client_urls } => {
                self.publish(member, name, client_urls);
                Outcome::Done
            }
            Body::ClusterVersion(version) => {
                self.v2.touch_as(v2::Action::Set);
                self.cluster_version = Some(version);
                Outcome::Done
            }
            Body::Membership(_) if claim.is_some_and(|claim| !self.is_administrator(claim)) => {
                Outcome::V2Auth(Err(v2::auth::Refusal::NotPermitted))
            }
            Body::Membership(change) => Outcome::Members(self.change_members(change)),
        }
    }

    /// Whoever was not asked for a name counts as a guest, if that matters by now.
    fn write_v2(
        &mut self,
        write: &v2::Write,
        claim: Option<&Claim>,
    ) -> Result<Rc<v2::Event>, v2::Error> {
        if !PLANTED_UNJUDGED_WRITE {
            self.v2.authorize(claim, write.path(), Access::Write)?;
        }
        self.v2.apply(write, self.stamp)
    }

    fn change_auth(
        &mut self,
        change: &v2::auth::Change,
        claim: Option<&Claim>,
    ) -> Result<v2::auth::Answer, v2::auth::Refusal> {
        let caller = claim.map_or(&Caller::Guest, |claim| &claim.caller);
        if !self.v2.auth().permits_administration(caller) {
            return Err(v2::auth::Refusal::NotPermitted);
        }
        self.v2.change_auth(change)
    }

    fn is_administrator(&self, claim: &Claim) -> bool {
        self.v2.auth().permits_administration(&claim.caller)
    }

    fn new_work(&mut self) -> WorkId {
        let work = WorkId(self.next_work);
        self.next_work += 1;
        work
    }

    /// A member that was removed meanwhile publishes in vain (etcd).
    fn publish(&mut self, member: MemberId, name: String, client_urls: Vec<String>) {
        if let Some(member) = self.membership.members.get_mut(&member) {
            member.name = name;
            member.client_urls = client_urls;
            self.v2.touch_as(v2::Action::Set);
        }
    }

    /// etcd writes members to hidden nodes of its v2 store. Each such write takes an index: one,
    /// but two for a removal, which also leaves a node that remembers it.
    fn change_members(&mut self, change: Change) -> Result<Vec<Member>, Refusal> {
        let actions: &[_] = match &change {
            Change::Add(_) => &[v2::Action::Create],
            Change::Update(..) | Change::Promote(_) => &[v2::Action::Update],
            Change::Remove(_) => &[v2::Action::Delete, v2::Action::Create],
        };
        self.membership.change(change)?;
        for action in actions {
            self.v2.touch_as(*action);
        }
        Ok(self.membership.members.values().cloned().collect())
    }

    /// Goes on removing v2 nodes whose time is up.
    fn expire(&mut self) {
        if let Some(cutoff) = self.expiring
            && self.v2.expire(cutoff, self.slice_keys)
        {
            self.expiring = None;
        }
    }

    /// Works off one slice of whatever is unfinished; what got finished comes back.
    pub fn work(&mut self) -> Vec<(WorkId, Outcome)> {
        self.expire();
        self.v2.work(self.slice_keys);
        let listed = self.listings.advance(&self.v2, self.slice_keys);
        let finished = self.v3.work().into_iter();
        let finished = finished.map(|(work, outcome)| (work, Outcome::V3(outcome)));
        finished.chain(listed.map(|(work, outcome)| (work, Outcome::V2(outcome)))).collect()
    }

    /// Whether [`Self::work`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.expiring.is_some()
            || self.v2.has_work()
            || self.v3.has_work()
            || self.listings.has_work()
    }

    /// Whether [`Self::work`] may find memory to give back, though it has nothing to do.
    #[must_use]
    pub fn has_lent(&self) -> bool {
        self.v3.has_lent()
    }

    /// Whether a write must be finished by [`Self::work`] before the next entry is applied.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.expiring.is_some() || self.v3.is_blocked()
    }

    /// Whether a long v2 read must be finished by [`Self::work`] before the next entry is applied.
    /// Everything that was applied shows all the same.
    #[must_use]
    pub fn is_listing(&self) -> bool {
        self.listings.is_under_way()
    }

    /// Nobody waits for this any more: a read is dropped, a write loses its answer only.
    pub fn cancel(&mut self, work: WorkId) {
        self.listings.cancel(work);
        self.v3.cancel(work);
    }

    /// Reads at the present revision (or the range's own); `Later` when it is long.
    pub fn range(&mut self, range: &v3::Range) -> Outcome {
        let work = self.new_work();
        self.v3.range(range, work).map_or(Outcome::Later(work), Outcome::V3)
    }

    /// Carries out a transaction that changes nothing.
    pub fn read_txn(&mut self, txn: &v3::Txn) -> Outcome {
        let work = self.new_work();
        self.v3.read_txn(txn, work).map_or(Outcome::Later(work), Outcome::V3)
    }

    /// Reads a v2 node; `Later` when its directory is large.
    pub fn v2_get(&mut self, get: &v2::Get, claim: Option<&Claim>) -> Outcome {
        let permitted = self.v2.authorize(claim, &get.path, Access::Read);
        match permitted.and_then(|()| self.v2.get(get, self.slice_keys)) {
            Ok(v2::Read::Whole(event)) => Outcome::V2(Ok(event)),
            Ok(v2::Read::Paused(listing)) => {
                let work = self.new_work();
                self.listings.add(work, listing, get, claim);
                Outcome::Later(work)
            }
            Err(error) => Outcome::V2(Err(error)),
        }
    }

    /// The v2 store, for statistics.
    #[must_use]
    pub fn v2(&self) -> &v2::Store {
        &self.v2
    }

    /// The v2 store, for watches and statistics: what is no part of the replicated state.
    pub fn v2_mut(&mut self) -> &mut v2::Store {
        &mut self.v2
    }

    /// The v3 store, for checkpoints and the simulator's checkers.
    #[must_use]
    pub fn v3(&self) -> &v3::Store {
        &self.v3
    }

    /// The v3 store's revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.v3.revision()
    }

    /// The members.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Who votes and who learns, by the membership.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        self.membership.configuration()
    }

    /// The replicated cluster version, once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        self.cluster_version.as_deref()
    }

    /// The logical size, in bytes: what the quota counts and a checkpoint would hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.v2.bytes() + self.v3.bytes()
    }

    /// The hash of everything replicated, equal on every member at the same index; none while a
    /// removal is being carried out.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        if self.is_blocked() {
            return None;
        }
        Some(self.v3.hash()?.wrapping_add(self.hash_beside_v3()))
    }

    fn hash_beside_v3(&self) -> u64 {
        let version = self.cluster_version.as_deref().unwrap_or_default();
        let rest = hash::of_block(version.as_bytes()).wrapping_add(self.membership.hash());
        self.v2.hash().wrapping_add(rest)
    }

    /// Begins a checkpoint of the state as it is, which is that after the entry at `at`; none
    /// while something blocks it.
    pub fn begin_checkpoint(&mut self, at: Position) -> Option<Writer> {
        if self.is_blocked() {
            return None;
        }
        let v3 = v3::Snapshot::of(&self.v3);
        let hashes = (self.hash_beside_v3(), self.v3.hash());
        self.v2.begin_checkpoint();
        Some(Writer::new(at, &self.particulars(), v3, hashes))
    }

    /// Takes a state apart that nobody needs any more, a slice at a time: to drop millions of keys
    /// in one go takes long. True when nothing large is left. No other method may be called any
    /// more.
    pub fn dismantle(&mut self) -> bool {
        self.v2.dismantle(self.slice_keys) && self.v3.dismantle()
    }

    /// Keys that a slice of long work visits.
    pub(super) fn slice_keys(&self) -> usize {
        self.slice_keys
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.v2.check();
        self.v3.check();
        self.membership.check();
    }
}

#[cfg(test)]
mod tests;
