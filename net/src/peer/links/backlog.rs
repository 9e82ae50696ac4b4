//! The entries that wait in a connection's output.
//!
//! A leader sends again what is not acknowledged. On a slow link the first copy may not have left
//! yet: a second one behind it would tell the peer nothing, and would only keep heartbeats waiting.
//! A connection loses nothing while it lives, so repeats of what still waits are dropped.

use std::collections::VecDeque;

use quorra_core::raft::{self, Index, Term};
use quorra_core::replica::Message;

/// Consecutive entries, as the leader of a term has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    term: Term,
    first: Index,
    last: Index,
}

impl Span {
    /// The entries of a message, if it carries any.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let Message::Raft(raft::Message::Append { term, entries, .. }) = message else {
            return None;
        };
        let (first, last) = (entries.first()?.index, entries.last()?.index);
        Some(Self { term: *term, first, last })
    }

    fn holds(&self, other: &Self) -> bool {
        self.term == other.term && self.first <= other.first && other.last <= self.last
    }
}

/// What waits, in the order of its bytes.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Bytes that were ever taken.
    taken: u64,
    /// With the bytes that will have been taken when all of it is gone.
    spans: VecDeque<(u64, Span)>,
}

impl Backlog {
    /// Whether all of these entries wait already, in one message.
    pub(super) fn holds(&self, span: &Span) -> bool {
        self.spans.iter().any(|(_, waiting)| waiting.holds(span))
    }

    /// These entries wait now, at the end of so many bytes.
    pub(super) fn add(&mut self, span: Span, waiting_bytes: usize) {
        self.spans.push_back((self.taken + waiting_bytes as u64, span));
    }

    /// That many bytes were taken.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        while self.spans.front().is_some_and(|(end, _)| *end <= self.taken) {
            self.spans.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(term: u64, first: u64, last: u64) -> Span {
        Span { term: Term(term), first: Index(first), last: Index(last) }
    }

    /// A follower behind a slow link was sent the same 88 entries with every heartbeat, faster
    /// than the link could carry them: eleven megabytes waited, and heartbeats behind them.
    #[test]
    fn entries_are_held_until_their_last_byte_is_taken() {
        let mut backlog = Backlog::default();
        backlog.add(span(2, 5, 9), 100);
        assert!(backlog.holds(&span(2, 5, 9)) && backlog.holds(&span(2, 6, 7)));
        for other in [span(3, 5, 9), span(2, 4, 9), span(2, 5, 10)] {
            assert!(!backlog.holds(&other), "{other:?} brings something new");
        }
        backlog.take(99);
        assert!(backlog.holds(&span(2, 5, 9)));
        backlog.add(span(2, 10, 10), 31);
        backlog.take(1);
        assert!(!backlog.holds(&span(2, 5, 9)) && backlog.holds(&span(2, 10, 10)));
        backlog.take(30);
        assert!(!backlog.holds(&span(2, 10, 10)));
    }
}
