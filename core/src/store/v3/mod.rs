//! The v3 store: a multi-version map of keys to values.
//!
//! Every write makes a new *version* of a key; nothing is overwritten. One counter, the main
//! *revision*, numbers the transactions that change something, and each version knows the revision
//! that made it, so that the store can be read as it was at any revision since the last compaction.
//!
//! ```text
//! revision   2: put a=1   3: put a=2   4: delete a   5: put a=3
//!
//! history    chunk of [2: put a=1] [3: put a=2] [4: removal of a] [5: put a=3]
//! key index  a -> 2 3 4 | 5
//! ```
//!
//! A request meets the parts in this order: `txn` (is it nonsense?), `evaluation` (what does it do,
//! and does it fail?) with `decision` (which list of a transaction is taken), `content` (history
//! and key index, changed together), and `assembly` where parts of its answer come later.
//! `snapshot` writes the store down and reads it back.
//!
//! **Nothing here takes long.** A call visits at most as many keys as one slice allows. What needs
//! more is worked off by [`Store::work`], and does not hold up what comes later:
//! - a read is pinned to a place in the history, and later writes do not move it;
//! - a removal takes effect as a whole at its place, and is carried out key by key later (module
//!   `removal`);
//! - only conditions over many keys, and the search for the first key that a removal can end,
//!   have to be finished before the next write is applied ([`Store::is_blocked`]).
//!
//! **The invariant**: answers, revisions and hashes are a function of the sequence of writes. Where
//! work was cut into slices can never be seen.

mod assembly;
mod blocks;
mod content;
mod decision;
mod evaluation;
mod history;
mod key_index;
mod page;
mod reading;
mod record;
mod records;
mod removal;
mod request;
mod revision;
mod snapshot;
mod statistics;
pub mod txn;
mod walk;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;

pub use blocks::Blocks;
pub use record::Record;
pub use records::Records;
pub use request::{
    Answer, Compare, CompareResult, CompareTarget, DeleteRange, Error, Interval, LeaseId, Op, Put,
    Range, RangeAnswer, SortOrder, SortTarget, Txn, Write,
};
pub use revision::Revision;
pub use snapshot::{Loader, Snapshot};
pub use statistics::Statistics;

use super::WorkId;
use assembly::{Assembly, Hole};
use content::Content;
use decision::Decision;
use evaluation::{Carried, Evaluation, Task};
use statistics::Operations;

/// How many blocks of answers a slice looks at to find one that came back.
const LENT_PER_SLICE: usize = 16;

/// The outcome of a request that is finished.
pub type Finished = Result<Answer, Error>;

/// The store.
///
/// # Invariants
/// - While a write is blocked, no other is applied.
/// - Every task either fills a hole of an assembly, or is a removal, which goes on for its own
///   sake, or a read that was cancelled and lets go of what it has gathered.
#[derive(Debug)]
pub struct Store {
    content: Content,
    slice_keys: usize,
    blocked: Option<Blocked>,
    tasks: VecDeque<Queued>,
    assemblies: BTreeMap<WorkId, Assembly>,
    /// The blocks of long answers. Somebody may still be reading them; the last handle is here.
    lent: VecDeque<Rc<Vec<Record>>>,
    /// A block came back when it was looked at last: others may have.
    is_reclaiming: bool,
}

#[derive(Debug)]
struct Blocked {
    work: WorkId,
    evaluation: Evaluation,
    is_cancelled: bool,
}

#[derive(Debug)]
struct Queued {
    work: WorkId,
    hole: Hole,
    task: Task,
}

impl Store {
    /// A fresh store, at revision 1. A slice of long work visits `slice_keys` keys.
    #[must_use]
    pub fn new(slice_keys: usize) -> Self {
        Self::with_content(Content::new(), slice_keys)
    }

    fn with_content(content: Content, slice_keys: usize) -> Self {
        assert!(slice_keys > 0, "a slice makes progress");
        Self {
            content,
            slice_keys,
            blocked: None,
            tasks: VecDeque::new(),
            assemblies: BTreeMap::new(),
            lent: VecDeque::new(),
            is_reclaiming: false,
        }
    }

    /// Applies a write. Without an outcome it is long, and [`Self::work`] will tell the outcome
    /// under this id.
    pub fn apply(&mut self, write: Write, work: WorkId) -> Option<Finished> {
        assert!(!self.is_blocked(), "writes are applied one after another");
        let evaluation = match write {
            Write::Put(put) => return Some(self.apply_put(&put)),
            Write::DeleteRange(delete) => Evaluation::of_delete_range(delete),
            Write::Txn(txn) => Evaluation::of_txn(txn, &self.content),
        };
        let mut keys = self.slice_keys;
        let blocked = Blocked { work, evaluation, is_cancelled: false };
        self.evaluate(blocked, &mut keys)
    }

    fn apply_put(&mut self, put: &Put) -> Finished {
        let mut operations = Operations::default();
        let checked = evaluation::check_put(put, &self.content, &mut operations);
        if checked.is_ok() {
            operations = Operations::of_put(put);
        }
        self.content.statistics.count(operations);
        checked?;
        self.content.history.begin();
        Ok(evaluation::carry_out_put(put, &mut self.content))
    }

    /// Goes on with a write; it stays blocked if the slice does not suffice.
    fn evaluate(&mut self, mut blocked: Blocked, keys: &mut usize) -> Option<Finished> {
        match blocked.evaluation.advance(&mut self.content, keys) {
            Some(Ok(carried)) => {
                let answer = self.assemble(blocked.work, carried)?;
                Some(Ok(answer))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.blocked = Some(blocked);
                None
            }
        }
    }

    /// The answer, if it has no holes; else they are filled by tasks.
    fn assemble(&mut self, work: WorkId, carried: Carried) -> Option<Answer> {
        if carried.tasks.is_empty() {
            return Some(carried.answer);
        }
        let assembly = Assembly::new(carried.answer, carried.tasks.len());
        let before = self.assemblies.insert(work, assembly);
        assert!(before.is_none(), "work ids are not reused");
        let queued = carried.tasks.into_iter().map(|(hole, task)| Queued { work, hole, task });
        self.tasks.extend(queued);
        None
    }

    /// Reads at the present revision, or at the range's own. Without an answer the read is long,
    /// and [`Self::work`] will answer it under this id.
    pub fn range(&mut self, range: &Range, work: WorkId) -> Option<Finished> {
        self.content.statistics.count(Operations::reads(1));
        let content = &self.content;
        if range.revision > 0
            && let Err(error) = evaluation::check_revision(range.revision, self.revision(), content)
        {
            return Some(Err(error));
        }
        let mut keys = self.slice_keys;
        let present = content.history.newest();
        let (answer, task) = evaluation::read(range.clone(), present, content, &mut keys);
        let tasks = task.map(|task| (Hole::new(), task)).into_iter().collect();
        self.assemble(work, Carried { answer, tasks }).map(Ok)
    }

    /// Carries out a transaction that changes nothing. Without an outcome it is long, and
    /// [`Self::work`] will tell the outcome under this id.
    pub fn read_txn(&mut self, txn: &Txn, work: WorkId) -> Option<Finished> {
        let decision = Decision::new(txn.clone(), evaluation::now(&self.content));
        let mut keys = self.slice_keys;
        self.decide(Queued { work, hole: Hole::new(), task: Task::Decide(decision) }, &mut keys)
    }

    /// Goes on with the conditions of a transaction that only reads.
    fn decide(&mut self, mut queued: Queued, keys: &mut usize) -> Option<Finished> {
        let Task::Decide(decision) = &mut queued.task else {
            panic!("only a read-only transaction is decided");
        };
        if !decision.advance(&self.content, keys) {
            self.tasks.push_back(queued);
            return None;
        }
        let Task::Decide(decision) = queued.task else {
            panic!("the task was a decision a moment ago");
        };
        let at = decision.at();
        let operations = Operations::reads(decision.compared());
        let steps = decision.finish();
        if let Err(error) = evaluation::check_ranges(&steps, at.main, &self.content) {
            self.content.statistics.count(operations);
            return Some(Err(error));
        }
        self.content.statistics.count(operations.with(&steps));
        let carried = evaluation::carry_out_reads(steps, at, &self.content, keys);
        self.assemble(queued.work, carried).map(Ok)
    }

    /// Works off one slice. What got finished comes back.
    pub fn work(&mut self) -> Vec<(WorkId, Finished)> {
        self.reclaim();
        let mut keys = self.slice_keys;
        let mut finished = Vec::new();
        if let Some(blocked) = self.blocked.take() {
            let (work, is_cancelled) = (blocked.work, blocked.is_cancelled);
            let outcome = self.evaluate(blocked, &mut keys);
            finished.extend(outcome.map(|outcome| (work, outcome)));
            if is_cancelled {
                finished.clear();
                self.assemblies.remove(&work);
            }
        }
        while keys > 0
            && let Some(queued) = self.tasks.pop_front()
        {
            let work = queued.work;
            let outcome = self.continue_task(queued, &mut keys);
            finished.extend(outcome.map(|outcome| (work, outcome)));
        }
        finished
    }

    /// Drops a block of an answer that was sent, or that nobody waits for any more.
    fn reclaim(&mut self) {
        self.is_reclaiming = false;
        for _ in 0..self.lent.len().min(LENT_PER_SLICE) {
            let Some(block) = self.lent.pop_front() else { return };
            if Rc::strong_count(&block) == 1 {
                self.is_reclaiming = true;
                return;
            }
            self.lent.push_back(block);
        }
    }

    /// Goes on with a task; behind all others, if the slice does not suffice.
    fn continue_task(&mut self, mut queued: Queued, keys: &mut usize) -> Option<Finished> {
        let part = match &mut queued.task {
            Task::Decide(_) => return self.decide(queued, keys),
            Task::Read(reading) => {
                let is_wanted = self.assemblies.contains_key(&queued.work);
                reading.advance(&self.content, is_wanted, keys)
            }
            Task::Remove(place) => {
                let mut removal = self.content.removals.take(*place);
                let is_complete = self.content.remove(*place, &mut removal, keys);
                self.content.removals.insert(*place, removal);
                is_complete
            }
        };
        if !part {
            self.tasks.push_back(queued);
            return None;
        }
        let answer = match queued.task {
            Task::Decide(_) => panic!("a decision went on above"),
            Task::Read(reading) => Answer::Range(reading.finish()),
            Task::Remove(place) => {
                let removal = self.content.removals.take(place);
                evaluation::complete(place, removal, &mut self.content)
            }
        };
        if let Answer::Range(RangeAnswer { records, .. })
        | Answer::DeleteRange { previous: records, .. } = &answer
        {
            self.lent.extend(records.full().iter().cloned());
        }
        let assembly = self.assemblies.get_mut(&queued.work)?;
        let whole = assembly.fill(&queued.hole, answer)?;
        self.assemblies.remove(&queued.work);
        Some(Ok(whole))
    }

    /// Whether [`Self::work`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.blocked.is_some() || !self.tasks.is_empty() || self.is_reclaiming
    }

    /// Whether [`Self::work`] may find memory to give back, though it has nothing to do.
    #[must_use]
    pub fn has_lent(&self) -> bool {
        !self.lent.is_empty()
    }

    /// Whether a write must be finished by [`Self::work`] before the next one is applied.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Nobody waits for this any more: a read is dropped, a write loses its answer only. What was
    /// gathered goes in slices.
    pub fn cancel(&mut self, work: WorkId) {
        self.assemblies.remove(&work);
        let Self { tasks, content, lent, .. } = self;
        tasks.retain(|queued| match queued.task {
            _ if queued.work != work => true,
            Task::Remove(place) => {
                let answered = content.removals.cancel_answer(place);
                lent.extend(answered.iter().flat_map(|records| records.full()).cloned());
                true
            }
            Task::Read(_) => true,
            Task::Decide(_) => false,
        });
        if let Some(blocked) = &mut self.blocked
            && blocked.work == work
        {
            blocked.is_cancelled = true;
        }
    }

    /// Drops a slice of a store that nobody needs any more. Whether nothing large is left.
    pub(super) fn dismantle(&mut self) -> bool {
        let Content { index, history, .. } = &mut self.content;
        index.dismantle(self.slice_keys) && history.dismantle(self.slice_keys)
    }

    /// The main revision of the newest change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.content.history.revision()
    }

    /// Reads below it fail; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.content.compact_revision
    }

    /// An estimate of the memory that versions and tombstones take, equal on every member that
    /// has no removals pending.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.content.history.bytes()
    }

    /// How many keys have a version or a tombstone.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.content.index.len()
    }

    /// What this member was asked for.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.content.statistics
    }

    /// The hash of what is alive, equal on every member at the same log index; none while a
    /// removal is being carried out.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        self.content.hash()
    }

    /// Panics if an invariant is broken; for the simulator and the fuzzer.
    pub fn check(&self) {
        let is_removal = |queued: &&Queued| matches!(queued.task, Task::Remove(_));
        let removals = self.tasks.iter().filter(is_removal).count();
        assert!(removals == self.content.removals.len(), "every pending removal is worked off");
        self.content.check();
    }
}

#[cfg(test)]
mod tests;
