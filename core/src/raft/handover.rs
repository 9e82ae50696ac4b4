//! Handing leadership over (thesis, 3.10).
//!
//! The leader stops taking proposals, waits until the target holds its whole log, and orders it to
//! campaign at once; the others grant such a campaign their votes although their leader lives. It
//! is over after one election timeout in any case, and proposals are taken again.

use crate::identity::MemberId;
use crate::time::Instant;

/// A handover under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// To whom.
    pub(super) target: MemberId,
    /// When it has failed.
    pub(super) deadline: Instant,
    /// Whether the target was ordered to campaign.
    pub(super) is_ordered: bool,
}

/// A leader that was removed from the configuration and stays only until the others know.
///
/// Without it, the survivor of a two-member cluster could hold the change without ever learning
/// that it is committed, and wait for the removed member's vote for good (etcd-io/etcd#10563).
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// A majority's answer to this heartbeat round means that they know.
    pub(super) round: u64,
    /// When it leaves in any case.
    pub(super) deadline: Instant,
}
