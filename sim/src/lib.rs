//! The deterministic simulator: whole clusters through partitions, crashes and power cuts, one
//! seed a world.
//!
//! The one idea: a member is a function of its inputs, so a world that makes up every input from
//! one seed can be lived through again, step by step, on any machine. Two worlds share faults,
//! workloads, models and checkers: the [`core_world`] drives replicas by messages, the
//! [`host_world`] drives whole hosts by the bytes of their connections.
//!
//! The invariant: a seed fixes the world. Nothing here reads a clock, an address, a hash map's
//! order or the machine's randomness; [`trace::Trace`] sums up every step, so that two runs can be
//! compared by one number.
//!
//! Deliberately absent: any knowledge of how a member works inside. The worlds know the doors, the
//! checkers know what a correct cluster shows.

pub mod callers;
pub mod chance;
pub mod check;
pub mod core_world;
pub mod disk;
pub mod faults;
pub mod history;
pub mod host_world;
pub mod model;
pub mod network;
pub mod options;
mod queue;
pub mod runner;
pub mod trace;
pub mod workload;
