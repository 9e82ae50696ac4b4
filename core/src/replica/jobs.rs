//! Jobs of this member's clients: what a driver does with what the core must not have.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{JobId, RequestId};

/// # Invariants
/// - Each waiting request has one job, and ids of jobs are never reused.
#[derive(Default)]
pub(super) struct Jobs {
    waiting: BTreeMap<JobId, RequestId>,
    begun: u64,
}

impl Jobs {
    /// How many requests wait for a job.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// An id for a job that somebody else waits for.
    pub(super) fn next_id(&mut self) -> JobId {
        self.begun += 1;
        JobId(self.begun)
    }

    /// A job for this request.
    pub(super) fn begin(&mut self, request: RequestId) -> JobId {
        let id = self.next_id();
        self.waiting.insert(id, request);
        id
    }

    /// The job is done: who waited for it, unless that client has gone.
    pub(super) fn finish(&mut self, id: JobId) -> Option<RequestId> {
        self.waiting.remove(&id)
    }

    /// The client has gone; the job's result will be dropped.
    pub(super) fn cancel(&mut self, request: RequestId) {
        self.waiting.retain(|_, waiting| *waiting != request);
    }

    /// Gives up all of them.
    pub(super) fn drain(&mut self) -> Vec<RequestId> {
        core::mem::take(&mut self.waiting).into_values().collect()
    }
}
