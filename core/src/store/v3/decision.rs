//! Which operations of a transaction are carried out: its conditions, evaluated in slices.
//!
//! All conditions, those of nested transactions too, look at the state before the transaction
//! (etcd). So they are decided first, and what is left is a flat list of steps.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::content::Content;
use super::walk::{Progress, Walk};
use super::{
    Compare, CompareResult, CompareTarget, DeleteRange, Op, Put, Range, Record, Revision, Txn,
};

/// One step of a decided transaction.
#[derive(Debug)]
pub(super) enum Step {
    Range(Range),
    Put(Put),
    DeleteRange(DeleteRange),
    /// A transaction's list begins: the answers up to its end are its answers.
    Begin {
        succeeded: bool,
    },
    /// The innermost list that began ends.
    End,
}

/// A transaction whose conditions are being evaluated.
#[derive(Debug)]
pub(super) struct Decision {
    at: Revision,
    steps: Vec<Step>,
    /// What is left of the lists around the present place.
    lists: Vec<vec::IntoIter<Op>>,
    /// The transaction whose conditions are evaluated now.
    open: Option<Conditions>,
    /// How many conditions were looked at.
    compared: u64,
}

#[derive(Debug)]
struct Conditions {
    compares: vec::IntoIter<Compare>,
    current: Option<Condition>,
    success: Vec<Op>,
    failure: Vec<Op>,
    /// How many comparisons were looked at: none behind one that does not hold.
    compared: u64,
}

#[derive(Debug)]
struct Condition {
    compare: Compare,
    walk: Walk,
    holds: bool,
    is_absent: bool,
}

impl Decision {
    /// Of the state at `at`.
    pub(super) fn new(txn: Txn, at: Revision) -> Self {
        let open = Some(Conditions::new(txn));
        Self { at, steps: Vec::new(), lists: Vec::new(), open, compared: 0 }
    }

    /// Visits at most `keys` more keys; true when everything is decided.
    pub(super) fn advance(&mut self, content: &Content, keys: &mut usize) -> bool {
        loop {
            if let Some(conditions) = &mut self.open {
                let Some(succeeded) = conditions.advance(content, self.at, keys) else {
                    return false;
                };
                let Conditions { success, failure, compared, .. } =
                    self.open.take().expect("conditions are open");
                self.compared += compared;
                self.steps.push(Step::Begin { succeeded });
                self.lists.push(if succeeded { success } else { failure }.into_iter());
            }
            let Some(list) = self.lists.last_mut() else { return true };
            match list.next() {
                Some(Op::Range(range)) => self.steps.push(Step::Range(range)),
                Some(Op::Put(put)) => self.steps.push(Step::Put(put)),
                Some(Op::DeleteRange(delete)) => self.steps.push(Step::DeleteRange(delete)),
                Some(Op::Txn(txn)) => self.open = Some(Conditions::new(txn)),
                None => {
                    self.lists.pop();
                    self.steps.push(Step::End);
                }
            }
        }
    }

    /// The place whose state is looked at.
    pub(super) fn at(&self) -> Revision {
        self.at
    }

    /// How many conditions it took, so far.
    pub(super) fn compared(&self) -> u64 {
        self.compared
    }

    /// What is to be done, once everything is decided.
    pub(super) fn finish(self) -> Vec<Step> {
        assert!(self.lists.is_empty() && self.open.is_none(), "a decision is complete");
        self.steps
    }
}

impl Conditions {
    fn new(txn: Txn) -> Self {
        Self {
            compares: txn.compares.into_iter(),
            current: None,
            success: txn.success,
            failure: txn.failure,
            compared: 0,
        }
    }

    /// Whether all conditions hold, once that is known.
    fn advance(&mut self, content: &Content, at: Revision, keys: &mut usize) -> Option<bool> {
        loop {
            if self.current.is_none() {
                self.current = self.compares.next().map(Condition::new);
            }
            let Some(condition) = &mut self.current else { return Some(true) };
            let holds = condition.advance(content, at, keys)?;
            self.compared += 1;
            if !holds {
                return Some(false);
            }
            self.current = None;
        }
    }
}

impl Condition {
    fn new(compare: Compare) -> Self {
        let walk = Walk::new(compare.interval.clone());
        Self { compare, walk, holds: true, is_absent: true }
    }

    fn advance(&mut self, content: &Content, at: Revision, keys: &mut usize) -> Option<bool> {
        let Self { compare, walk, holds, is_absent } = self;
        let progress = walk.advance(content, at, keys, |place| {
            *is_absent = false;
            *holds = holds_for(compare, Some(content.history.record(place)));
            *holds
        });
        match progress {
            Progress::Paused => None,
            Progress::Finished if *is_absent => Some(holds_for(compare, None)),
            Progress::Finished | Progress::Stopped => Some(*holds),
        }
    }
}

/// Whether a comparison holds for a version. An absent key has zeros, but no value: a comparison
/// of values fails for it, whichever it is (etcd).
fn holds_for(compare: &Compare, record: Option<&Record>) -> bool {
    let number = |read: fn(&Record) -> i64, given: &i64| record.map_or(0, read).cmp(given);
    let order = match &compare.target {
        CompareTarget::Version(given) => number(Record::version, given),
        CompareTarget::Create(given) => number(Record::create_revision, given),
        CompareTarget::Mod(given) => number(Record::mod_revision, given),
        CompareTarget::Lease(given) => number(Record::lease, given),
        CompareTarget::Value(given) => match record {
            Some(record) => record.value().cmp(given),
            None => return false,
        },
    };
    match compare.result {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
        CompareResult::NotEqual => order != Ordering::Equal,
    }
}
