//! The replicated state: what committed commands have made of it.
//!
//! Two stores that share nothing but the log: [`v2`], a tree of files and directories with one
//! index, and [`v3`], a flat multi-version map with revisions; beside them the [`membership`].
//! All of it is a pure function of the sequence of commands; time enters only as the leader's
//! stamp in a command.

pub mod checkpoint;
pub mod command;
mod hash;
mod listings;
pub mod membership;
mod state;
pub mod v2;
pub mod v3;

pub use state::{Applied, Outcome, State, WorkId};
