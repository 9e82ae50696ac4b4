//! How far a follower is, and what may be sent to it.
//!
//! ```text
//!             an append is rejected, the connection is lost
//!           +------------------------------------------------+
//!           v                                                |
//!       [ Probe ] --- an append is acknowledged ---> [ Replicate ]
//!        ^     |                                             |
//!        |     | its next entry is below the log's base      |
//!        |     v                                             |
//!       [ Install ] <----------------------------------------+
//! ```
//!
//! *Probe*: one append at a time, until the place where the logs agree is found. *Replicate*:
//! appends are pipelined within a window of messages and bytes. *Install*: a snapshot is on its
//! way; no appends.

use alloc::collections::VecDeque;

use super::{Index, Options, Position};
use crate::time::Instant;

/// Appends in flight: the last index and the bytes of each.
#[derive(Debug, Default)]
pub(super) struct Window {
    messages: VecDeque<(Index, usize)>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Flow {
    /// One at a time.
    Probe {
        /// One is in flight, or retrying must wait for the next heartbeat.
        paused: bool,
    },
    /// Pipelined.
    Replicate(Window),
    /// Waits for a snapshot.
    Install,
}

/// See the module.
///
/// # Invariants
/// - `match_index < next_index`.
/// - `match_index` never goes back, but for a follower that lost its disk's content and says so
///   right after it came back.
#[derive(Debug)]
pub(super) struct Progress {
    /// The follower holds the log up to here, durably.
    pub(super) match_index: Index,
    /// What is sent next.
    pub(super) next_index: Index,
    /// When anything in this term was heard from it.
    pub(super) heard_at: Instant,
    /// The last heartbeat round that it answered.
    pub(super) round: u64,
    /// The committed index that it was told last.
    pub(super) told_commit: Index,
    /// The disk is being read for it.
    pub(super) reading: bool,
    /// An entry that a read from disk ended with, and its term: what lies behind it may be in
    /// another file, so it is asked for on its own.
    pub(super) read_up_to: Option<Position>,
    flow: Flow,
    returned: bool,
    match_at_beat: Index,
    next_at_beat: Index,
}

impl Progress {
    /// Nothing is known of the follower but that it may have what the leader has.
    pub(super) fn new(last: Index, now: Instant) -> Self {
        Self {
            match_index: Index(0),
            next_index: last.next(),
            heard_at: now,
            round: 0,
            told_commit: Index(0),
            reading: false,
            read_up_to: None,
            flow: Flow::Probe { paused: false },
            returned: false,
            match_at_beat: Index(0),
            next_at_beat: Index(0),
        }
    }

    /// Whether another append may be sent.
    pub(super) fn is_open(&self, options: &Options) -> bool {
        match &self.flow {
            Flow::Probe { paused } => !paused && !self.reading,
            Flow::Replicate(window) => {
                !self.reading
                    && window.messages.len() < options.inflight_messages_max
                    && window.bytes < options.inflight_bytes_max
            }
            Flow::Install => false,
        }
    }

    /// Whether an append must be sent even if it is empty.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.flow, Flow::Probe { .. })
    }

    /// Whether a snapshot is on its way.
    pub(super) fn is_installing(&self) -> bool {
        matches!(self.flow, Flow::Install)
    }

    /// An append with entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.flow {
            Flow::Probe { paused } => *paused = true,
            Flow::Replicate(window) => {
                assert!(last >= self.next_index, "an append in the window carries entries");
                window.messages.push_back((last, bytes));
                window.bytes += bytes;
                self.next_index = last.next();
            }
            Flow::Install => unreachable!("nothing is sent while a snapshot is installed"),
        }
    }

    /// The follower holds the log up to `index`. Whether that is news.
    pub(super) fn acknowledged(&mut self, index: Index, base: Index) -> bool {
        let is_news = index > self.match_index;
        self.returned = false;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index.next());
        match &mut self.flow {
            Flow::Replicate(window) => {
                while let Some(&(last, bytes)) = window.messages.front()
                    && last <= self.match_index
                {
                    window.messages.pop_front();
                    window.bytes -= bytes;
                }
            }
            Flow::Install if self.match_index < base => {}
            Flow::Probe { .. } | Flow::Install => {
                self.next_index = self.match_index.next();
                self.flow = Flow::Replicate(Window::default());
            }
        }
        is_news
    }

    /// The follower lacks the entry at `prev_index`; the logs may agree up to `agreement`.
    /// A rejection of anything but the newest attempt is stale.
    pub(super) fn rejected(&mut self, prev_index: Index, agreement: Index) {
        let is_stale = match &self.flow {
            Flow::Probe { .. } => prev_index != self.next_index.previous(),
            Flow::Replicate(_) => prev_index <= self.match_index,
            Flow::Install => true,
        };
        let is_loss = self.returned && prev_index <= self.match_index;
        if is_stale && !is_loss {
            return;
        }
        if is_loss {
            self.match_index = agreement.min(prev_index.previous());
            self.match_at_beat = self.match_at_beat.min(self.match_index);
        }
        let next = agreement.next().min(prev_index).max(self.match_index.next());
        self.next_index = next;
        self.flow = Flow::Probe { paused: false };
    }

    /// What is in flight may be lost: start over behind what is known.
    pub(super) fn lost(&mut self) {
        if !self.is_installing() {
            self.probe(false);
        }
    }

    /// The connection is up again; the follower may have restarted, even with an older disk.
    pub(super) fn came_back(&mut self) {
        self.returned = true;
        self.lost();
    }

    /// Nothing can be sent for now; try again at the next heartbeat.
    pub(super) fn pause(&mut self) {
        self.probe(true);
    }

    /// A snapshot is to be sent.
    pub(super) fn install(&mut self) {
        self.flow = Flow::Install;
    }

    /// A heartbeat goes out: retries what was paused. True if acknowledgements are overdue:
    /// appends were in flight for a whole interval without any, so that they, or the answers to
    /// them, may be lost. An empty append finds out.
    pub(super) fn beat(&mut self) -> bool {
        let was_waiting = self.match_at_beat.next() < self.next_at_beat;
        let is_silent = was_waiting && self.match_at_beat == self.match_index;
        self.match_at_beat = self.match_index;
        self.next_at_beat = self.next_index;
        match &mut self.flow {
            Flow::Probe { paused } => {
                *paused = false;
                false
            }
            Flow::Replicate(_) => is_silent,
            Flow::Install => false,
        }
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, options: &Options, last: Index) {
        assert!(self.match_index < self.next_index, "what is acknowledged is not sent again");
        assert!(self.next_index <= last.next(), "only what exists is sent");
        if let Flow::Replicate(window) = &self.flow {
            let bytes: usize = window.messages.iter().map(|(_, bytes)| bytes).sum();
            assert!(bytes == window.bytes, "the window's bytes are counted");
            assert!(window.messages.len() <= options.inflight_messages_max, "within the window");
        }
    }

    /// A probe goes on where it is; after anything else it starts behind what is known.
    fn probe(&mut self, paused: bool) {
        if !self.is_probing() {
            self.next_index = self.match_index.next();
        }
        self.flow = Flow::Probe { paused };
    }
}
