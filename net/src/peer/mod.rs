//! How members talk to each other: a handshake, then checksummed frames.
//!
//! The one idea: each member opens its own connections to every other member, two of them, and
//! speaks only on those; on the ones that it accepted it only listens, but for the answer to the
//! handshake. The *control* lane carries votes, heartbeats and entries, the *bulk* lane snapshots
//! and large forwarded commands, so that a heartbeat never queues behind bulk.
//!
//! ```text
//! opens:    magic, version, Hello { cluster, from, to, incarnation, lane, mark }
//! accepts:                                    Welcome { incarnation, mark }, or Refused { why }
//! opens:    frame, frame, ...  (a ping when there is nothing to say)
//! ```
//!
//! The invariant: whatever the other side sends, a length is checked before memory is taken for
//! it, a frame's checksum before it is read, and an entry's checksum before it is believed. A
//! connection that breaks a rule is closed: the sender opens another one.
//!
//! Losing a message is allowed (Raft repairs it), changing or repeating one on a connection is not.

mod control;
mod frame;
mod handshake;
mod links;
mod message;

pub use frame::{FRAME_HEADER_BYTES, Frame, Kind, next as next_frame, reseal};
pub use handshake::{Hello, Lane, MAGIC, Refusal, Welcome, is_magic_so_far};
pub use links::{Links, Marks, Order};
pub use message::{decode, encode};
