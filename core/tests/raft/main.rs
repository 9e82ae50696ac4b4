//! Raft from outside: golden scripts and random schedules, on a cluster of bare [`Raft`]s whose
//! wires, disks and clock the test holds in its hands.
//!
//! [`Raft`]: quorra_core::raft::Raft

mod cluster;
mod describe;
mod schedule;
mod script;
mod witness;
