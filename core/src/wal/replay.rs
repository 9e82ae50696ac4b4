//! What the records of a log amount to: overwritten entries resolved, the committed ones released
//! as soon as they are known to be, the rest held back.
//!
//! The invariant: an entry that was released is never taken back. It was committed, so whatever
//! would overwrite it is an error, not a newer truth.

#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::record::{NUMBER_MAX, RecordHeader};
use crate::raft::{Entry, HardState, Index, Position, Term};

/// The log, read from its first record on.
///
/// # Invariants
/// - `held` follows `released` or the checkpoint without a gap, and ends at `last` if not empty.
/// - `released <= committed <= last`, each in the log's own indexes.
#[derive(Debug)]
pub(super) struct Replay {
    checkpoint: Position,
    hard_state: HardState,
    base: Position,
    /// Entries up to here are not in the log.
    floor: Index,
    last: Position,
    /// The term of the log's entry at the checkpoint's index.
    checkpoint_term: Option<Term>,
    committed: Index,
    released: Index,
    held: VecDeque<Entry>,
    begun: bool,
}

/// The end of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) hard_state: HardState,
    /// What the log was last reset to.
    pub(super) base: Position,
    pub(super) last: Position,
    pub(super) commit_index: Index,
    /// Entries behind `commit_index`.
    pub(super) uncommitted: Vec<Entry>,
    /// The checkpoint is newer than the log and not on it: the log counts no more.
    pub(super) void: bool,
}

impl Replay {
    /// Replays on top of the newest checkpoint.
    pub(super) fn new(checkpoint: Position) -> Self {
        Self {
            checkpoint,
            hard_state: HardState::default(),
            base: Position::default(),
            floor: Index(0),
            last: Position::default(),
            checkpoint_term: None,
            committed: Index(0),
            released: checkpoint.index,
            held: VecDeque::new(),
            begun: false,
        }
    }

    /// Takes the next record; an error is the broken rule.
    pub(super) fn accept(
        &mut self,
        header: &RecordHeader,
        entries: Vec<Entry>,
    ) -> Result<(), &'static str> {
        self.begin(header)?;
        self.vote(header.hard_state)?;
        if header.reset {
            self.reset(header.base)?;
        } else if header.base != self.base {
            return Err("the log's base changed without a reset");
        }
        if header.previous_index > self.last.index {
            return Err("entries are missing before a record");
        }
        if !entries.is_empty() {
            self.overwrite(header.previous_index)?;
        }
        for entry in entries {
            self.push(entry)?;
        }
        if self.last.index.0 > NUMBER_MAX {
            return Err("an index exceeds every log");
        }
        if self.last.term > header.hard_state.term {
            return Err("an entry's term exceeds the member's");
        }
        self.committed = self.committed.max(header.commit_index.min(self.last.index));
        Ok(())
    }

    /// The first record tells where the log begins.
    fn begin(&mut self, header: &RecordHeader) -> Result<(), &'static str> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        if header.previous_index < header.base.index {
            return Err("the log begins below its base");
        }
        self.base = header.base;
        self.floor = header.previous_index;
        self.last.index = header.previous_index;
        if self.last.index == header.base.index {
            self.last.term = header.base.term;
        }
        if self.checkpoint.index == header.base.index {
            self.checkpoint_term = Some(header.base.term);
        }
        Ok(())
    }

    /// Raft paper, figure 2: terms only grow, and a vote stands for its term.
    fn vote(&mut self, next: HardState) -> Result<(), &'static str> {
        let present = self.hard_state;
        if next.term < present.term {
            return Err("the term goes back");
        }
        if next.term.0 > NUMBER_MAX {
            return Err("a term exceeds every election");
        }
        let changed = present.vote.is_some() && present.vote != next.vote;
        if next.term == present.term && changed {
            return Err("the vote changes within a term");
        }
        self.hard_state = next;
        Ok(())
    }

    fn reset(&mut self, base: Position) -> Result<(), &'static str> {
        if self.checkpoint.index < base.index {
            return Err("the log was reset to a checkpoint that is not there");
        }
        if self.released > self.checkpoint.index {
            return Err("the log was reset below a committed entry");
        }
        self.held.clear();
        self.base = base;
        self.last = base;
        self.floor = base.index;
        self.committed = base.index;
        self.checkpoint_term = (self.checkpoint.index == base.index).then_some(base.term);
        Ok(())
    }

    /// Everything behind `index` is replaced.
    fn overwrite(&mut self, index: Index) -> Result<(), &'static str> {
        if index < self.base.index {
            return Err("a record overwrites the log's base");
        }
        if index >= self.last.index {
            return Ok(());
        }
        if index < self.committed {
            return Err("a record overwrites a committed entry");
        }
        while self.held.back().is_some_and(|entry| entry.index > index) {
            self.held.pop_back();
        }
        if index < self.checkpoint.index {
            self.checkpoint_term = None;
        }
        self.floor = self.floor.min(index);
        let term = self.held.back().map_or(Term(0), |entry| entry.term);
        self.last = Position { term, index };
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), &'static str> {
        if entry.term < self.last.term {
            return Err("the terms of entries go back");
        }
        self.last = Position { term: entry.term, index: entry.index };
        if entry.index == self.checkpoint.index {
            self.checkpoint_term = Some(entry.term);
        }
        if entry.index > self.checkpoint.index {
            self.held.push_back(entry);
        }
        Ok(())
    }

    /// Whether the log leads through the checkpoint. At the floor it does without being asked:
    /// what was cut off the log was committed and covered by a checkpoint.
    fn is_joined(&self) -> bool {
        let term_agrees = self.checkpoint_term.is_none_or(|term| term == self.checkpoint.term);
        let at_floor = self.floor == self.checkpoint.index;
        term_agrees && (at_floor || self.checkpoint_term.is_some())
    }

    /// Entries that are known to be committed and were not released before, in order.
    pub(super) fn release(&mut self) -> Result<Vec<Entry>, &'static str> {
        if self.committed <= self.released || self.floor > self.checkpoint.index {
            return Ok(Vec::new());
        }
        if !self.is_joined() {
            return Err("the committed log contradicts the checkpoint");
        }
        let count = self.held.partition_point(|entry| entry.index <= self.committed);
        self.released = self.committed;
        Ok(self.held.drain(..count).collect())
    }

    /// The log has no more records. Everything committed must have been released.
    pub(super) fn end(self) -> Result<End, &'static str> {
        if self.begun && self.floor > self.checkpoint.index {
            return Err("the log begins behind what the newest checkpoint covers");
        }
        let void = self.last.index < self.checkpoint.index || !self.is_joined();
        // A log that ends at its floor does not know that entry's term; the checkpoint does.
        let at_checkpoint = self.last.index == self.checkpoint.index;
        let end = End {
            hard_state: self.hard_state,
            base: self.base,
            last: if at_checkpoint { self.checkpoint } else { self.last },
            commit_index: self.committed.max(self.checkpoint.index),
            uncommitted: self.held.into(),
            void,
        };
        if !void {
            return Ok(end);
        }
        // The checkpoint may have become durable before the term that it was received in. Nobody
        // was told of a vote in that term: votes are durable first.
        let hard_state = if self.hard_state.term < self.checkpoint.term {
            HardState { term: self.checkpoint.term, vote: None }
        } else {
            self.hard_state
        };
        let (base, last) = (self.checkpoint, self.checkpoint);
        Ok(End { hard_state, base, last, uncommitted: Vec::new(), ..end })
    }
}
