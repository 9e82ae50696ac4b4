//! Everything that commands have made, and the one place where they are applied.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::codec::DecodeError;
use crate::raft::{Configuration, Entry};
use crate::store::membership::{Member, Membership, Refusal};
use crate::store::{v2, v3};

/// Names a command or read that is worked off in slices. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// What a command did, or why it did nothing: the same on every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a v2 write.
    V2(Result<Rc<v2::Event>, v2::Error>),
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
    pub identity: Option<super::command::Identity>,
    /// See there.
    pub outcome: Outcome,
    /// The configuration after it, for a configuration entry.
    pub configuration: Option<Configuration>,
}

/// The replicated state of a member.
pub struct State {}

impl State {
    /// Before the first command. A slice of long work visits `slice_keys` keys.
    #[must_use]
    pub fn new(_slice_keys: usize) -> Self {
        todo!()
    }

    /// Tells which cluster this is the state of, for a state that begins without a checkpoint.
    pub fn found_cluster(&mut self, _cluster: crate::identity::ClusterId) {
        todo!()
    }

    /// Whether a write must be finished by [`Self::work`] before the next entry is applied.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        todo!()
    }

    /// Who votes and who learns, by the membership.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        todo!()
    }

    /// Begins a checkpoint of the state as it is, which is that after the entry at `at`; none
    /// while something blocks it.
    pub fn begin_checkpoint(
        &mut self,
        _at: crate::raft::Position,
    ) -> Option<super::checkpoint::Writer> {
        todo!()
    }

    /// Applies a committed entry.
    ///
    /// # Errors
    /// When this build does not understand the command: the member must stop.
    pub fn apply(&mut self, _entry: &Entry) -> Result<Applied, DecodeError> {
        todo!()
    }

    /// Works off one slice of whatever is unfinished; what got finished comes back.
    pub fn work(&mut self) -> Vec<(WorkId, Outcome)> {
        todo!()
    }

    /// Whether [`Self::work`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        todo!()
    }

    /// Nobody waits for this any more: a read is dropped, a write loses its answer only.
    pub fn cancel(&mut self, _work: WorkId) {
        todo!()
    }

    /// Reads at the present revision (or the range's own); `Later` when it is long.
    pub fn range(&mut self, _range: &v3::Range) -> Outcome {
        todo!()
    }

    /// Carries out a transaction that changes nothing.
    pub fn read_txn(&mut self, _txn: &v3::Txn) -> Outcome {
        todo!()
    }

    /// Reads a v2 node; `Later` when it is long.
    pub fn v2_get(&mut self, _get: &v2::Get, _now: crate::time::WallTime) -> Outcome {
        todo!()
    }

    /// The v2 store, for watches and statistics.
    #[must_use]
    pub fn v2(&self) -> &v2::Store {
        todo!()
    }

    /// The v2 store, for watches and statistics.
    pub fn v2_mut(&mut self) -> &mut v2::Store {
        todo!()
    }

    /// The v3 store's revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        todo!()
    }

    /// The members.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        todo!()
    }

    /// The replicated cluster version, once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        todo!()
    }

    /// The logical size, in bytes: what the quota counts and a checkpoint would hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// The hash of everything replicated; equal on every member at the same index.
    #[must_use]
    pub fn hash(&self) -> u64 {
        todo!()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        todo!()
    }
}
