//! What a replica shows of itself: to answers, statistics and checkers. Nothing here changes it.

use super::{Header, Replica, Status, admission};
use crate::identity::MemberId;
use crate::raft::{Index, Position, Raft};
use crate::store::State;
use crate::store::membership::Membership;
use crate::time::Instant;

impl Replica {
    /// This member's own view of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.machine.state();
        let membership = state.membership();
        Status {
            cluster: membership.cluster,
            member: self.member,
            leader: self.raft.leader(),
            role: self.raft.role(),
            term: self.raft.term(),
            commit_index: self.raft.commit_index(),
            applied_index: self.machine.applied().index,
            state_bytes: state.bytes(),
            disk_bytes: self.storage.disk_bytes(),
            is_learner: membership.members.get(&self.member).is_some_and(|m| m.is_learner),
        }
    }

    /// What every answer tells beside its content, as of now.
    #[must_use]
    pub fn header(&self) -> Header {
        let state = self.machine.state();
        Header {
            term: self.raft.term(),
            commit_index: self.raft.commit_index(),
            revision: state.revision(),
            v2_index: state.v2().index(),
        }
    }

    /// Changes of this member's clients whose outcome is not known yet.
    #[must_use]
    pub fn writes_waiting(&self) -> usize {
        self.proposals.writes.len()
    }

    /// The members, as applied here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.machine.state().membership()
    }

    /// Whether `--strict-reconfig-check` lets a member be added as etcd 3.4 understands it: every
    /// voter has been connected for five seconds. Later releases, and
    /// [`Request::ChangeMembership`](super::Request::ChangeMembership), are content with a
    /// majority.
    #[must_use]
    pub fn passes_full_check(&self, now: Instant) -> bool {
        let view = admission::View { now, ..self.admission_view(0) };
        !self.options.strict_reconfig_check || admission::connects_all(&view)
    }

    /// The applied state, read only: for statistics and the simulator's checkers.
    #[must_use]
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The consensus state, read only: for the simulator's checkers.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The replicated cluster version (`3.5.0`), once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        self.machine.state().cluster_version()
    }

    /// The highest entry that this peer ever acknowledged to this member; told in handshakes, so
    /// that a member whose disk went back in time learns of it.
    #[must_use]
    pub fn acknowledged_by(&self, peer: MemberId) -> Position {
        self.peers.acknowledged_by(peer)
    }

    /// The applied index and the hash of the state there; none while long work is unfinished.
    #[must_use]
    pub fn state_hash(&self) -> Option<(Index, u64)> {
        Some((self.machine.applied().index, self.machine.state().hash()?))
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        self.raft.check();
        self.storage.check();
        self.machine.state().check();
        let durable = self.raft.applicable_index();
        assert!(self.machine.applied().index <= durable, "only durable entries are applied");
    }
}
