//! The bulk lane: large writes that no client waits for, and what each of them was for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::disk::{DiskOp, Lane, Ticket};
use crate::replica::inbound::Attempt;
use crate::replica::{Effect, Effects};

/// What a batch of the bulk lane is for: decides what follows when it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Space for the log.
    Prepare,
    /// A part of the checkpoint that is being taken.
    Checkpoint,
    /// The checkpoint that is being taken is complete.
    CheckpointPublished,
    /// The snapshot that the leader sends, up to so many bytes.
    Received(Attempt, u64),
    /// The snapshot that the leader sent is complete.
    ReceivedPublished(Attempt),
    /// Files that are no longer needed.
    Removal,
}

/// # Invariants
/// - Batches become durable in the order of their tickets.
pub(super) struct BulkLane {
    next: Ticket,
    flight: VecDeque<(Ticket, Purpose)>,
}

impl BulkLane {
    pub(super) fn new() -> Self {
        Self { next: Ticket(1), flight: VecDeque::new() }
    }

    /// Submits operations, if there are any.
    pub(super) fn submit(&mut self, purpose: Purpose, ops: Vec<DiskOp>, effects: &mut Effects) {
        if ops.is_empty() {
            return;
        }
        let ticket = self.next;
        self.next = ticket.next();
        self.flight.push_back((ticket, purpose));
        effects.push(Effect::Disk(Lane::Bulk, ticket, ops));
    }

    /// How many batches of that purpose are under way.
    pub(super) fn in_flight(&self, purpose: Purpose) -> usize {
        self.flight.iter().filter(|(_, other)| *other == purpose).count()
    }

    /// The next purpose that is fulfilled by this ticket's durability.
    pub(super) fn durable(&mut self, ticket: Ticket) -> Option<Purpose> {
        assert!(ticket < self.next, "a disk answers only what it was asked");
        self.flight.pop_front_if(|(first, _)| *first <= ticket).map(|(_, purpose)| purpose)
    }

    /// What the batch of this ticket was for; it failed, those before it are durable.
    pub(super) fn failed(&mut self, ticket: Ticket) -> Option<Purpose> {
        let position = self.flight.iter().position(|(other, _)| *other == ticket)?;
        self.flight.remove(position).map(|(_, purpose)| purpose)
    }
}
