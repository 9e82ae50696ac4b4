//! How a member goes: because it is asked to, because it was removed, or because it must.

use super::{Effect, Effects, Failure, Replica, StopReason};
use crate::raft::RoleName;
use crate::time::Duration;

/// How long a member that was asked to go tries to hand leadership over.
pub(super) const HANDOVER_TIME: Duration = Duration::from_secs(1);

impl Replica {
    pub(super) fn on_stop(&mut self) {
        if self.stopping_since.is_none() {
            self.stopping_since = Some(self.now.monotonic);
            // A member that cannot hand over simply goes; the others elect.
            let _ = self.raft.transfer(self.now.monotonic, None, &mut self.out);
        }
    }

    /// A member that was removed goes, but a leader not before a majority knows of it (or it has
    /// waited for that long enough).
    pub(super) fn advance_removal(&mut self, effects: &mut Effects) {
        let Some(since) = self.removed_since else { return };
        let leads = self.raft.role() == RoleName::Leader;
        let patient = self.now.monotonic.since(since) < self.options.raft.election_timeout;
        if !(leads && patient) {
            self.stop(StopReason::Removed, effects);
        }
    }

    pub(super) fn advance_stop(&mut self, effects: &mut Effects) {
        let Some(since) = self.stopping_since else { return };
        let alone = self.machine.state().membership().members.len() <= 1;
        let leads = self.raft.role() == RoleName::Leader;
        let patient = self.now.monotonic.since(since) < HANDOVER_TIME;
        if !(leads && patient && !alone) {
            self.stop(StopReason::Asked, effects);
        }
    }

    pub(super) fn stop(&mut self, reason: StopReason, effects: &mut Effects) {
        if self.stopped {
            return;
        }
        let reads = self.reads.drain().into_iter().chain(self.early.release());
        let waiting = self.proposals.writes.drain().into_iter().chain(reads.map(|read| read.id));
        let at_jobs = self.jobs.drain().into_iter().chain(self.credentials.drain());
        for request in waiting.chain(at_jobs) {
            self.reply(request, Err(Failure::Stopped), effects);
        }
        self.stopped = true;
        effects.push(Effect::Stop(reason));
    }
}
