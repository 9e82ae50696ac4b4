//! What a Quorra member *decides*: Raft, the log's format, both stores, membership, and
//! [`replica::Replica`], which ties them together.
//!
//! The one idea: everything here is a pure function of its inputs. A replica is told what happened
//! (time passed, a peer spoke, a client asked, the disk answered) and says what is to be done about
//! it. Nothing in this crate can name a clock, a socket, a file, a thread or a hash map's order,
//! because `#![no_std]` leaves them out; random choices come from a seed that is an input.
//!
//! The invariant: the same inputs give the same effects and the same state, on every machine.
//!
//! Deliberately absent: any wire format that clients see (`quorra-net`), and any way to reach an
//! operating system (`quorra-server`, `quorra-sim`).

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod codec;
pub mod disk;
pub mod identity;
pub mod limits;
pub mod raft;
pub mod random;
pub mod replica;
pub mod store;
pub mod time;
pub mod wal;
