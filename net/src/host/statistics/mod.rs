//! What a host counts, for `/metrics` and `/v2/stats`.
//!
//! Counting is adding to an integer; names and text are made when somebody asks (`api::metrics`).
//! Requests are counted by the APIs that know what they are. They see their host read-only, so
//! what is theirs to count lies in cells.

mod histogram;
mod peer;
mod rate;
mod requests;

use std::collections::BTreeMap;

use quorra_core::identity::MemberId;
use quorra_core::raft;
use quorra_core::replica::Message;
use quorra_core::time::{Duration, Instant, WallTime};

pub use histogram::Histogram;
pub use peer::{Latency, Peer};
pub use rate::Rate;
pub use requests::{Calls, Counter, KeysCount, KeysMethod, REFUSALS, Requests};

/// What a member counts since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How often another leader became known.
    pub leader_changes: u64,
    /// Bytes that came from clients.
    pub client_received: u64,
    /// Bytes that went to clients.
    pub client_sent: u64,
    /// When the host was made.
    pub started: WallTime,
    /// When the present leader became known.
    pub leader_since: WallTime,
    /// Append messages that came from peers.
    pub appends_received: u64,
    /// Append messages that went to peers.
    pub appends_sent: u64,
    /// How fast appends come.
    pub receiving: Rate,
    /// How fast appends go.
    pub sending: Rate,
    /// Changes and confirmed reads of clients that failed on their way through the log.
    pub proposals_failed: u64,
    /// The other members.
    pub peers: BTreeMap<MemberId, Peer>,
    /// What the APIs count.
    pub requests: Requests,
    /// What the driver has measured last.
    pub measured: Measured,
}

/// What only the operating system knows of a member: see `Action::Measure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Processor time of the process, user and system.
    pub processor_time: Duration,
    /// Memory of the process that is in use.
    pub resident_bytes: u64,
    /// Memory of the process that has an address.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// When the process was started.
    pub started: WallTime,
    /// How long writing and syncing a batch of the log took.
    pub log_syncs: Histogram,
    /// How long a sync of the bulk lane took.
    pub bulk_syncs: Histogram,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            processor_time: Duration::ZERO,
            resident_bytes: 0,
            virtual_bytes: 0,
            descriptors: 0,
            started: WallTime::default(),
            log_syncs: Histogram::of_disk(),
            bulk_syncs: Histogram::of_disk(),
        }
    }
}

impl Statistics {
    /// A message went to a peer.
    pub(super) fn sent(&mut self, now: Instant, to: MemberId, message: &Message) {
        let Message::Raft(message) = message else { return };
        if let Some(bytes) = append_bytes(message) {
            self.appends_sent += 1;
            self.sending.count(now, bytes);
        }
        self.peers.entry(to).or_default().sent(now, message);
    }

    /// A message came from a peer.
    pub(super) fn received(&mut self, now: Instant, from: MemberId, message: &Message) {
        let Message::Raft(message) = message else { return };
        if let Some(bytes) = append_bytes(message) {
            self.appends_received += 1;
            self.receiving.count(now, bytes);
        }
        self.peers.entry(from).or_default().received(now, message);
    }
}

/// About how many bytes an append is on the wire.
fn append_bytes(message: &raft::Message) -> Option<u64> {
    const HEAD_BYTES: usize = 40;
    let raft::Message::Append { entries, .. } = message else { return None };
    let entries = entries.iter().map(|entry| entry.payload.len() + HEAD_BYTES);
    Some((entries.sum::<usize>() + HEAD_BYTES) as u64)
}
