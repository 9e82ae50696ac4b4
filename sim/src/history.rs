//! What clients asked, when, and what they were told.

use quorra_core::replica::{Failure, Header, Request, Response};
use quorra_core::store::v2::auth::Claim;

/// How an operation ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It has not ended.
    Open,
    /// With an answer.
    Answered(Header, Box<Response>),
    /// It was refused; it may still have happened unless [`is_definite`] says otherwise.
    Refused(Failure),
    /// Its member ended; it may have happened.
    Lost,
}

/// Whether a refusal promises that nothing happened and nothing will.
#[must_use]
pub fn is_definite(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::TooLarge | Failure::TooManyRequests | Failure::NoSpace | Failure::Membership(_)
    )
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which member was asked, by its seat.
    pub seat: usize,
    /// When it was sent, in virtual nanoseconds.
    pub started: u64,
    /// When the answer came.
    pub ended: u64,
    /// What was asked.
    pub request: Request,
    /// See [`History::behind_gates`].
    pub gated: bool,
    /// See there.
    pub outcome: Outcome,
}

impl Operation {
    /// On whose behalf the log may say that it was asked.
    #[must_use]
    pub fn claims(&self) -> Vec<Option<&Claim>> {
        let said = self.request.claim();
        if self.gated && said.is_some() { vec![said, None] } else { vec![said] }
    }
}

/// All operations of a run, in the order of their start.
#[derive(Debug, Default)]
pub struct History {
    gated: bool,
    operations: Vec<Operation>,
}

impl History {
    /// One of clients whose members stand behind gates: nobody is asked for a name there while
    /// v2's rules do not count, as far as the member knows.
    #[must_use]
    pub fn behind_gates() -> Self {
        Self { gated: true, operations: Vec::new() }
    }

    /// An operation begins; its number is returned.
    pub fn begin(&mut self, seat: usize, now: u64, request: Request) -> usize {
        let (started, ended) = (now, u64::MAX);
        let (gated, outcome) = (self.gated, Outcome::Open);
        self.operations.push(Operation { seat, started, ended, request, gated, outcome });
        self.operations.len() - 1
    }

    /// An operation ends.
    pub fn end(&mut self, operation: usize, now: u64, outcome: Outcome) {
        let operation = &mut self.operations[operation];
        assert!(matches!(operation.outcome, Outcome::Open), "an operation ends once");
        (operation.ended, operation.outcome) = (now, outcome);
    }

    /// All of them.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}
