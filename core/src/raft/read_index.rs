//! Linearizable reads without the log (thesis, 6.4).
//!
//! A read may be answered from a state that holds everything committed before the read was asked
//! for. The leader knows the committed index, but it may have been deposed without knowing. So it
//! notes the index, and then asks a majority, by a heartbeat *round that starts after the read was
//! asked for*, whether it still leads. All reads of one turn share one round.
//!
//! A new leader does not know what its predecessors committed until an entry of its own term is
//! committed; reads wait for that. When leadership ends, they fail.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Index, Output, ReadContext, ReadReady};
use crate::identity::MemberId;
use crate::time::{Duration, Instant};

/// Rounds under way; above that, reads wait for the next.
const ROUNDS_MAX: usize = 256;
/// Reads that wait, in all; above that, they fail at once.
const READS_MAX: usize = 1 << 16;

/// Reads that were asked for together, by this member or a follower.
#[derive(Debug)]
pub(super) struct Ask {
    /// The follower; none for this member's own.
    pub(super) from: Option<MemberId>,
    /// As it names them.
    pub(super) contexts: Vec<ReadContext>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    index: Index,
    asks: Vec<Ask>,
}

/// A leader's reads.
///
/// # Invariants
/// - Rounds ascend; so do their indexes.
/// - A read is in `waiting` or in one round, until it is confirmed or fails.
#[derive(Debug, Default)]
pub(super) struct Reads {
    waiting: Vec<Ask>,
    rounds: VecDeque<Round>,
    count: usize,
}

impl Reads {
    /// Takes reads; gives them back when there are too many already.
    pub(super) fn ask(&mut self, ask: Ask) -> Result<(), Ask> {
        if self.count + ask.contexts.len() > READS_MAX {
            return Err(ask);
        }
        self.count += ask.contexts.len();
        self.waiting.push(ask);
        Ok(())
    }

    /// Whether a round should start.
    pub(super) fn want_round(&self) -> bool {
        !self.waiting.is_empty() && self.rounds.len() < ROUNDS_MAX
    }

    /// A round starts now, for all reads that wait.
    pub(super) fn start(&mut self, number: u64, index: Index) {
        assert!(self.rounds.back().is_none_or(|last| last.number < number), "rounds ascend");
        assert!(
            self.rounds.back().is_none_or(|last| last.index <= index),
            "commit never goes back"
        );
        let asks = core::mem::take(&mut self.waiting);
        self.rounds.push_back(Round { number, index, asks });
    }

    /// A majority followed in this round, so it did in those before it as well: what was asked
    /// before they started may be answered.
    pub(super) fn confirm(&mut self, number: u64) -> Vec<(Ask, Index)> {
        let mut confirmed = Vec::new();
        while self.rounds.front().is_some_and(|round| round.number <= number) {
            let round = self.rounds.pop_front().expect("the loop saw it");
            for ask in round.asks {
                self.count -= ask.contexts.len();
                confirmed.push((ask, round.index));
            }
        }
        confirmed
    }

    /// Leadership has ended.
    pub(super) fn abandon(self) -> impl Iterator<Item = Ask> {
        self.rounds.into_iter().flat_map(|round| round.asks).chain(self.waiting)
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self, newest: u64) {
        assert!(self.rounds.iter().map(|round| round.number).is_sorted(), "rounds ascend");
        assert!(self.rounds.back().is_none_or(|round| round.number <= newest), "they were begun");
        assert!(self.rounds.len() <= ROUNDS_MAX, "rounds are bounded");
        assert!(self.count <= READS_MAX, "reads are bounded");
    }
}

/// A follower's reads that its leader was asked about.
#[derive(Debug, Default)]
pub(super) struct Forwarded {
    until: BTreeMap<ReadContext, Instant>,
    next_expiry: Option<Instant>,
}

impl Forwarded {
    /// These go to the leader; without an answer they fail when `patience` is over.
    pub(super) fn add(&mut self, contexts: &[ReadContext], now: Instant, patience: Duration) {
        let until = now + patience;
        self.until.extend(contexts.iter().map(|&context| (context, until)));
        self.next_expiry = self.next_expiry.or(Some(until));
    }

    /// How many more may be added.
    pub(super) fn room(&self) -> usize {
        READS_MAX - self.until.len().min(READS_MAX)
    }

    /// The leader has answered; what was not asked, or has failed meanwhile, is ignored.
    pub(super) fn answer(
        &mut self,
        contexts: Vec<ReadContext>,
        index: Option<Index>,
        out: &mut Output,
    ) {
        let asked = contexts.into_iter().filter(|context| self.until.remove(context).is_some());
        out.reads.extend(asked.map(|context| ReadReady { context, index }));
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_expiry
    }

    /// Fails what was not answered in time.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Output) {
        if self.next_expiry.is_none_or(|expiry| expiry > now) {
            return;
        }
        self.until.retain(|&context, &mut until| {
            if until <= now {
                out.reads.push(ReadReady { context, index: None });
            }
            until > now
        });
        self.next_expiry = self.until.values().min().copied();
    }

    /// Fails everything: the leader is lost.
    pub(super) fn fail(&mut self, out: &mut Output) {
        self.next_expiry = None;
        let lost = core::mem::take(&mut self.until).into_keys();
        out.reads.extend(lost.map(|context| ReadReady { context, index: None }));
    }
}
