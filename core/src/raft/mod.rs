//! Raft: how a majority agrees on one log.
//!
//! Read this first; then `state`, the three roles, and `writes` with `claims`. The paper is
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended
//! Version)"; the thesis is Ongaro, "Consensus: Bridging Theory and Practice". Comments cite both.
//!
//! # The idea
//!
//! Every member holds a log of entries. One member, elected by a majority for a *term*, adds
//! entries and sends them to the others. What a majority holds durably is *committed*: it will be
//! in the log of every later leader, because a candidate needs the votes of a majority, any two
//! majorities share a member, and nobody votes for a log that is older than its own. Each member
//! applies committed entries in order, so all state machines go through the same states.
//!
//! A worked example. Five members; the leader of term 3 holds entries up to 9 durably, its
//! followers acknowledged 9, 7, 7 and 2. Sorted: 9 9 7 7 2. The third, 7, is what a majority
//! holds, and 7 is committed if entry 7 was made in term 3. If it was made in term 2, it is not
//! (paper, figure 8): it waits until an entry of term 3 behind it is held by a majority. This is
//! why a leader's first act is an empty entry.
//!
//! # The door
//!
//! [`Raft`] is a value that is told what happened and says what to do; it has no clock, no socket
//! and no disk. Its owner calls methods for what happened in a turn (messages, ticks, proposals,
//! tickets that came back), each of which adds to an [`Output`]; at the turn's end it calls
//! [`Raft::flush`], writes the [`LogBatch`] if there is one, and tells its ticket by
//! [`Raft::submitted`]. Everything in an `Output` may be carried out at once, in any order.
//!
//! ```text
//!   peers -- step -->  +-----------------------------+ -- messages, notices, reads -->
//!   time --- tick -->  |  State                      |
//!   clients  propose   |    log   writes   claims    | -- flush: LogBatch --> the log lane
//!            read_index|  Role                       |                             |
//!                      |    Follower Candidate Leader| <-- durable(ticket) --------+
//!                      +-----------------------------+ -- applicable_index --> apply
//! ```
//!
//! # Orders go at once, claims wait
//!
//! A leader's appends and heartbeats are *orders*: they leave while its own disk still works. A
//! message that promises something about this member's disk is a *claim*, and is held here until
//! the promise is true:
//!
//! | message | waits until durable |
//! | --- | --- |
//! | any | the term that it carries |
//! | granted vote | term and vote, which are one record |
//! | request for votes | the same, and the log that it boasts of |
//! | acknowledged append | names the last durable index, so that it is true whenever it is sent |
//! | installed snapshot | the log's reset |
//!
//! A leader counts itself only for what its disk has confirmed, and a candidate its own vote
//! likewise; so a cluster of one follows the same rules. When a log is cut, what tickets in flight
//! cover is cut with it (`writes`).
//!
//! # Elections
//!
//! Timeouts are drawn between one and two times the base. With pre-vote a member first asks whether
//! it would win, which changes nothing anywhere; so a member that was cut off does not disturb the
//! others when it returns. A member that heard its leader within the base timeout refuses everyone,
//! unless that leader ordered the election (`leader::handover`). A leader that hears no majority
//! for one timeout resigns, and so does one whose own disk is silent for as long. Whoever speaks in
//! an older term is told the present one, or lagging members could block each other.
//!
//! # Membership
//!
//! A [`Configuration`] comes into force when its entry is applied. Three rules make that safe, for
//! a configuration `C1` that replaces `C0`, and then `C2`:
//! - Changes differ by one member, so that majorities of neighbours meet; and a leader proposes
//!   `C2` only after it has applied `C1` and an entry of its own term.
//! - Commit does not pass an unapplied change: what is behind `C1` is counted by `C1`.
//! - Whoever knows that a change is committed does not campaign before it has applied it. A member
//!   that holds `C2` knows that `C1` is committed, since the append that brought `C2` said so, and
//!   its disk remembers it: the batch that holds `C2` names that committed index. So nobody wins
//!   by a majority of `C0` what `C2` could decide without them.
//!
//! # Who owns what
//!
//! | file | owns |
//! | --- | --- |
//! | `member` | the door; the term check that all roles share; changes of role |
//! | `role`, `follower`, `candidate`, `leader` | what each role does |
//! | `state` | what every role keeps |
//! | `log` | entries in memory, conflicts, the base |
//! | `writes`, `claims` | what is durable, and what waits for it |
//! | `ballot`, `quorum`, `configuration` | votes and counting |
//! | `progress`, `replication` | what followers have, and how they get the rest |
//! | `read_index` | linearizable reads without the log |
//! | `leader::handover` | giving leadership away |
//!
//! Left out: what entries mean, how snapshots are made and their chunks put together, connections,
//! joint consensus (no API of etcd can ask for it), and leases of leadership (reads never depend
//! on clocks).

mod ballot;
mod candidate;
mod claims;
mod configuration;
mod door;
mod entry;
mod follower;
mod leader;
mod log;
mod member;
mod message;
mod progress;
mod quorum;
mod read_index;
mod replication;
mod role;
mod state;
mod writes;

pub use configuration::Configuration;
pub use door::{
    HardState, LogBatch, Notice, Options, Output, Position, ReadReady, Refused, Restored, RoleName,
};
pub(crate) use entry::CASTAGNOLI;
pub use entry::{Entry, EntryKind, Index, Term};
pub use member::Raft;
pub use message::{Message, ReadContext, SnapshotChunk, SnapshotId};
