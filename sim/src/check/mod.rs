//! What every correct cluster shows, whatever befalls it.
//!
//! Checkers see what members say and show, never how they came to it. [`consensus`] and
//! [`membership`] watch every message and every state while the world runs; [`replay`] and
//! [`real_time`] judge the clients' histories against the committed log afterwards, in linear time,
//! because the log is the witness of the order; [`search`] needs no witness, and is kept for small
//! samples.

pub mod consensus;
pub mod lifetimes;
pub mod membership;
pub mod real_time;
pub mod replay;
pub mod search;

use std::fmt;

/// A rule that a cluster broke, and how it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a rule held.
pub type Verdict = Result<(), Violation>;

/// Holds if `condition` does; `told` says how it broke.
pub fn require(condition: bool, told: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Violation(told())) }
}
