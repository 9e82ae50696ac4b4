//! Carrying out one write.
//!
//! What a write does is known before it does anything: its conditions are decided, its checks are
//! made, and it is known whether anything changes at all, so that a failing write leaves no trace
//! and a write without effect takes no revision. Only this part can hold up the writes behind it,
//! and only where a condition or a removal looks at many keys. The rest is carried out at once, up
//! to long reads and removals, which become [`Task`]s.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::assembly::{Builder, Hole};
use super::content::Content;
use super::decision::{Decision, Step};
use super::history::{Removed, Slot};
use super::reading::Reading;
use super::removal::{Ended, Removal};
use super::statistics::Operations;
use super::walk::{Progress, Walk};
use super::{Answer, DeleteRange, Error, Put, Range, Records, Revision, Txn};
use crate::limits::REMOVALS_PENDING_MAX;

/// A part of an answer that is worked off in slices.
#[derive(Debug)]
pub(super) enum Task {
    /// A long read.
    Read(Reading),
    /// The pending removal at this place.
    Remove(Revision),
    /// The conditions of a transaction that only reads.
    Decide(Decision),
}

/// An answer, and the parts of it that come later.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) answer: Answer,
    pub(super) tasks: Vec<(Hole, Task)>,
}

/// A write that is not yet carried out.
#[derive(Debug)]
pub(super) enum Evaluation {
    /// Its conditions are being evaluated.
    Decide(Box<Decision>),
    /// It is being found out whether it changes anything.
    Search(Search),
}

impl Evaluation {
    pub(super) fn of_txn(txn: Txn, content: &Content) -> Self {
        Self::Decide(Box::new(Decision::new(txn, now(content))))
    }

    pub(super) fn of_delete_range(delete: DeleteRange) -> Self {
        Self::Search(Search::new(alloc::vec![Step::DeleteRange(delete)]))
    }

    /// Visits at most `keys` more keys; the outcome, once the write is carried out.
    pub(super) fn advance(
        &mut self,
        content: &mut Content,
        keys: &mut usize,
    ) -> Option<Result<Carried, Error>> {
        if let Self::Decide(decision) = self {
            if !decision.advance(content, keys) {
                return None;
            }
            let empty = Self::Search(Search::new(Vec::new()));
            let Self::Decide(decision) = core::mem::replace(self, empty) else {
                panic!("the decision was there a moment ago");
            };
            let mut operations = Operations::reads(decision.compared());
            let steps = decision.finish();
            let checked = check_txn(&steps, content, &mut operations);
            content.statistics.count(operations);
            if let Err(error) = checked {
                return Some(Err(error));
            }
            *self = Self::Search(Search::new(steps));
        }
        let Self::Search(search) = self else { panic!("what is decided is searched") };
        if !search.advance(content, keys) || content.removals.len() >= REMOVALS_PENDING_MAX {
            return None;
        }
        let steps = core::mem::take(&mut search.steps);
        content.statistics.count(Operations::default().with(&steps));
        Some(Ok(carry_out(steps, search.next, content, keys)))
    }
}

/// Everything that was applied.
pub(super) fn now(content: &Content) -> Revision {
    Revision::end_of(content.history.revision())
}

/// Looks for the first step that changes something.
#[derive(Debug)]
pub(super) struct Search {
    steps: Vec<Step>,
    next: usize,
    walk: Option<Walk>,
    is_over: bool,
}

impl Search {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps, next: 0, walk: None, is_over: false }
    }

    /// Visits at most `keys` more keys; true when `next` is the first step that changes
    /// something, or behind the last one.
    fn advance(&mut self, content: &Content, keys: &mut usize) -> bool {
        self.is_over = self.is_over || self.find(content, keys);
        self.is_over
    }

    fn find(&mut self, content: &Content, keys: &mut usize) -> bool {
        while let Some(step) = self.steps.get(self.next) {
            match step {
                Step::Put(_) => return true,
                Step::DeleteRange(delete) => {
                    let walk = self.walk.get_or_insert_with(|| Walk::new(delete.interval.clone()));
                    match walk.advance(content, now(content), keys, |_| false) {
                        Progress::Paused => return false,
                        Progress::Stopped => return true,
                        Progress::Finished => self.walk = None,
                    }
                }
                Step::Range(_) | Step::Begin { .. } | Step::End => {}
            }
            self.next += 1;
        }
        true
    }
}

/// Carries the steps out; the first change is made by the step `first_change`.
fn carry_out(
    steps: Vec<Step>,
    first_change: usize,
    content: &mut Content,
    keys: &mut usize,
) -> Carried {
    let mut builder = Builder::default();
    let mut tasks = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        if number == first_change {
            content.history.begin();
        }
        let revision = content.history.revision();
        match step {
            Step::Begin { succeeded } => builder.begin(succeeded),
            Step::End => builder.end(revision),
            Step::Put(put) => builder.add(carry_out_put(&put, content)),
            Step::DeleteRange(_) if number < first_change => {
                builder.add(Answer::DeleteRange {
                    revision,
                    deleted: 0,
                    previous: Records::default(),
                });
            }
            Step::DeleteRange(delete) => {
                let (answer, task) = carry_out_delete_range(delete, content, keys);
                tasks.extend(task.map(|task| (builder.hole(), task)));
                builder.add(answer);
            }
            Step::Range(range) => {
                let (answer, task) = read(range, content.history.newest(), content, keys);
                tasks.extend(task.map(|task| (builder.hole(), task)));
                builder.add(answer);
            }
        }
    }
    Carried { answer: builder.finish(), tasks }
}

/// Answers the reads of a decided transaction that changes nothing, all at the place that its
/// conditions were decided at.
pub(super) fn carry_out_reads(
    steps: Vec<Step>,
    at: Revision,
    content: &Content,
    keys: &mut usize,
) -> Carried {
    let mut builder = Builder::default();
    let mut tasks = Vec::new();
    for step in steps {
        match step {
            Step::Begin { succeeded } => builder.begin(succeeded),
            Step::End => builder.end(at.main),
            Step::Range(range) => {
                let (answer, task) = read(range, at, content, keys);
                tasks.extend(task.map(|task| (builder.hole(), task)));
                builder.add(answer);
            }
            Step::Put(_) | Step::DeleteRange(_) => panic!("a read-only transaction writes nothing"),
        }
    }
    Carried { answer: builder.finish(), tasks }
}

/// Writes a key at the open revision.
pub(super) fn carry_out_put(put: &Put, content: &mut Content) -> Answer {
    let before = content.put(put);
    Answer::Put { revision: content.history.revision(), previous: before.filter(|_| put.previous) }
}

fn carry_out_delete_range(
    delete: DeleteRange,
    content: &mut Content,
    keys: &mut usize,
) -> (Answer, Option<Task>) {
    let place = content.history.push(Slot::Removal(Removed::default().into()));
    let mut removal = Removal::new(delete.interval, delete.previous);
    if content.remove(place, &mut removal, keys) {
        return (complete(place, removal, content), None);
    }
    content.removals.insert(place, removal);
    let hole =
        Answer::DeleteRange { revision: place.main, deleted: 0, previous: Records::default() };
    (hole, Some(Task::Remove(place)))
}

/// Writes a removal that was carried out on all keys into the history.
pub(super) fn complete(place: Revision, removal: Removal, content: &mut Content) -> Answer {
    let Ended { records, answered } = removal.ended;
    let deleted = records.len() as u64;
    content.history.complete(place, records);
    let previous = answered.unwrap_or_default();
    Answer::DeleteRange { revision: place.main, deleted, previous }
}

/// Reads at once what fits the slice: at the range's own revision, or at `present`.
pub(super) fn read(
    range: Range,
    present: Revision,
    content: &Content,
    keys: &mut usize,
) -> (Answer, Option<Task>) {
    let at = if range.revision > 0 { Revision::end_of(range.revision) } else { present };
    let mut reading = Reading::new(range, at, present.main, content, keys);
    if reading.advance(content, true, keys) {
        (Answer::Range(reading.finish()), None)
    } else {
        (Answer::Range(super::RangeAnswer::default()), Some(Task::Read(reading)))
    }
}

/// The checks of a put by itself, in etcd's order. What they read is added to the operations.
pub(super) fn check_put(
    put: &Put,
    content: &Content,
    operations: &mut Operations,
) -> Result<(), Error> {
    check_lease(put)?;
    check_key(put, content, operations)
}

/// The checks of a transaction, on the state before it: all puts come before all reads (etcd).
fn check_txn(steps: &[Step], content: &Content, operations: &mut Operations) -> Result<(), Error> {
    check_puts(steps, content, operations)?;
    check_ranges(steps, now(content).main, content)
}

/// The checks of a transaction's puts, on the state before it.
fn check_puts(steps: &[Step], content: &Content, operations: &mut Operations) -> Result<(), Error> {
    steps.iter().try_for_each(|step| match step {
        Step::Put(put) => check_key(put, content, operations).and_then(|()| check_lease(put)),
        _ => Ok(()),
    })
}

fn check_key(put: &Put, content: &Content, operations: &mut Operations) -> Result<(), Error> {
    if !put.needs_key() {
        return Ok(());
    }
    operations.add_read();
    content.find(&put.key, now(content)).map(drop).ok_or(Error::KeyNotFound)
}

/// No lease was ever granted: every one is unknown.
fn check_lease(put: &Put) -> Result<(), Error> {
    match put.lease {
        Some(Some(_)) => Err(Error::LeaseNotFound),
        Some(None) | None => Ok(()),
    }
}

/// The checks of a transaction's reads, on the state before it. Unlike a read by itself, a
/// negative revision is not the present (etcd).
pub(super) fn check_ranges(steps: &[Step], present: i64, content: &Content) -> Result<(), Error> {
    steps.iter().try_for_each(|step| match step {
        Step::Range(range) if range.revision != 0 => {
            check_revision(range.revision, present, content)
        }
        _ => Ok(()),
    })
}

/// Whether a revision can be read when `present` is the newest.
pub(super) fn check_revision(revision: i64, present: i64, content: &Content) -> Result<(), Error> {
    if revision > present {
        Err(Error::FutureRevision)
    } else if revision < content.compact_revision {
        Err(Error::Compacted)
    } else {
        Ok(())
    }
}
