//! The replicated commands and their versioned byte layout.

use crate::identity::{Incarnation, MemberId};

/// By what a proposer recognises its command when it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The proposer.
    pub member: MemberId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// Counts the commands of that start.
    pub counter: u64,
}
