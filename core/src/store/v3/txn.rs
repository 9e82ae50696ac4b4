//! The checks of a transaction that need no store: how many operations, and which keys twice.
//!
//! They are made where a request enters, and look at both lists of every transaction, taken or
//! not.

use alloc::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Interval, Op, Txn};
use crate::limits::TXN_DEPTH_MAX;

/// Why a transaction is nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// A list is longer than allowed, or transactions nest too deep.
    TooManyOps,
    /// A key is put twice, or put and removed.
    DuplicateKey,
}

/// Checks a transaction whose lists may have `ops_max` operations (`--max-txn-ops`): first the
/// sizes, depth first, then the keys.
///
/// # Errors
/// See [`Nonsense`].
pub fn check(txn: &Txn, ops_max: usize) -> Result<(), Nonsense> {
    check_sizes(txn, ops_max, TXN_DEPTH_MAX)?;
    check_keys(txn)
}

/// Checks only that no key is written twice. The depth must have been checked.
///
/// # Errors
/// [`Nonsense::DuplicateKey`]
pub fn check_keys(txn: &Txn) -> Result<(), Nonsense> {
    Written::of(&txn.success)?;
    Written::of(&txn.failure)?;
    Ok(())
}

/// A nested transaction may have what its parent's longest list leaves.
fn check_sizes(txn: &Txn, ops_max: usize, depth_max: usize) -> Result<(), Nonsense> {
    let longest = txn.compares.len().max(txn.success.len()).max(txn.failure.len());
    let rest = ops_max.checked_sub(longest).ok_or(Nonsense::TooManyOps)?;
    let depth_max = depth_max.checked_sub(1).ok_or(Nonsense::TooManyOps)?;
    txn.success.iter().chain(&txn.failure).try_for_each(|op| match op {
        Op::Txn(nested) => check_sizes(nested, rest, depth_max),
        Op::Range(_) | Op::Put(_) | Op::DeleteRange(_) => Ok(()),
    })
}

/// What a list may write.
#[derive(Debug, Default)]
struct Written<'a> {
    puts: BTreeSet<&'a Bytes>,
    removed: Union<'a>,
}

impl<'a> Written<'a> {
    /// etcd's rule, in etcd's order: the list's own removals, then the nested transactions one by
    /// one, then the list's own puts; whatever is put must not be put or removed already. (So a
    /// nested transaction may remove what one before it has put.)
    fn of(ops: &'a [Op]) -> Result<Self, Nonsense> {
        let mut written = Self::default();
        for op in ops {
            if let Op::DeleteRange(delete) = op {
                written.removed.insert(&delete.interval);
            }
        }
        for op in ops {
            if let Op::Txn(nested) = op {
                written.join_either(Self::of(&nested.success)?, Self::of(&nested.failure)?)?;
            }
        }
        for op in ops {
            if let Op::Put(put) = op
                && (written.removed.contains(&put.key) || !written.puts.insert(&put.key))
            {
                return Err(Nonsense::DuplicateKey);
            }
        }
        Ok(written)
    }

    /// Joins what one or the other list of a nested transaction writes; both may put one key.
    fn join_either(&mut self, success: Self, failure: Self) -> Result<(), Nonsense> {
        let is_written =
            |key: &&Bytes| self.puts.contains(*key) || self.removed.contains(key.as_ref());
        if success.puts.iter().chain(&failure.puts).any(is_written) {
            return Err(Nonsense::DuplicateKey);
        }
        for nested in [success, failure] {
            self.puts.extend(nested.puts);
            nested.removed.parts.into_iter().for_each(|(start, end)| self.removed.add(start, end));
        }
        Ok(())
    }
}

/// A union of intervals, as disjoint parts: where each starts and ends.
#[derive(Debug, Default)]
struct Union<'a> {
    parts: BTreeMap<&'a [u8], End<'a>>,
}

/// Where a part ends, in ascending order: at a key, which belongs to the part or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End<'a>(&'a [u8], bool);

impl<'a> Union<'a> {
    fn insert(&mut self, interval: &'a Interval) {
        match interval {
            Interval::Key(key) => self.add(key, End(key, true)),
            Interval::Between(start, end) if start < end => self.add(start, End(end, false)),
            // etcd compares the zero byte that means "and all above" as if it were a key, so that
            // such a removal is empty to this rule (recorded: `txn-duplicate-key`).
            Interval::Between(..) | Interval::From(_) => {}
        }
    }

    /// Adds a part, together with all that it overlaps.
    fn add(&mut self, mut start: &'a [u8], mut end: End<'a>) {
        if let Some((&before, &its_end)) = self.parts.range(..=start).next_back()
            && End(start, true) <= its_end
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((&behind, &its_end)) = self.parts.range(start..).next()
            && End(behind, true) <= end
        {
            self.parts.remove(behind);
            end = end.max(its_end);
        }
        self.parts.insert(start, end);
    }

    fn contains(&self, key: &[u8]) -> bool {
        let part = self.parts.range(..=key).next_back();
        part.is_some_and(|(_, end)| End(key, true) <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compare, CompareResult, CompareTarget, DeleteRange, Put};
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn put(key: &'static str) -> Op {
        let (key, value) = (Bytes::from(key), Some(Bytes::new()));
        Op::Put(Put { key, value, lease: Some(None), previous: false })
    }

    fn delete(start: &'static str, end: &'static str) -> Op {
        let (start, end) = (Bytes::from(start), Bytes::from(end));
        let interval =
            if end.is_empty() { Interval::Key(start) } else { Interval::Between(start, end) };
        Op::DeleteRange(DeleteRange { interval, previous: false })
    }

    fn delete_from(start: &'static str) -> Op {
        let interval = Interval::From(Bytes::from(start));
        Op::DeleteRange(DeleteRange { interval, previous: false })
    }

    fn of(success: Vec<Op>, failure: Vec<Op>) -> Txn {
        Txn { compares: Vec::new(), success, failure }
    }

    fn nested(success: Vec<Op>, failure: Vec<Op>) -> Op {
        Op::Txn(of(success, failure))
    }

    #[test]
    fn keys_are_written_once() {
        let rows = [
            (vec![put("a"), put("b")], true),
            (vec![put("a"), put("a")], false),
            (vec![put("a"), delete("a", "")], false),
            (vec![delete("a", ""), put("a")], false),
            (vec![put("b"), delete("a", "c")], false),
            (vec![put("c"), delete("a", "c")], true),
            (vec![put("c"), delete_from("b")], true),
            (vec![put("a"), delete("b", "a")], true),
            (vec![delete("a", "c"), delete("b", "d"), delete_from("a")], true),
            (vec![delete("a", "c"), delete("e", "g"), delete("b", "f"), put("d")], false),
            (vec![nested(vec![put("a")], vec![put("a")])], true),
            (vec![nested(vec![put("a")], vec![delete("a", "")])], true),
            (vec![nested(vec![put("a")], vec![]), put("a")], false),
            (vec![nested(vec![], vec![put("a")]), put("a")], false),
            (vec![nested(vec![], vec![delete("a", "")]), put("a")], false),
            (vec![put("a"), nested(vec![delete("a", "")], vec![])], false),
            (vec![nested(vec![put("a")], vec![]), nested(vec![], vec![put("a")])], false),
            (vec![nested(vec![put("a")], vec![]), nested(vec![delete("a", "")], vec![])], true),
            (vec![nested(vec![delete("a", "")], vec![]), nested(vec![put("a")], vec![])], false),
        ];
        for (ops, is_fine) in rows {
            assert_eq!(check(&of(ops.clone(), vec![]), 10).is_ok(), is_fine, "{ops:?}");
            assert_eq!(check(&of(vec![], ops.clone()), 10).is_ok(), is_fine, "{ops:?}");
        }
    }

    #[test]
    fn the_longest_list_leaves_the_rest_to_nested_transactions() {
        let range = delete("x", "");
        let list = |count| vec![range.clone(); count];
        let compare = Compare {
            interval: Interval::From(Bytes::from("a")),
            target: CompareTarget::Version(1),
            result: CompareResult::Equal,
        };
        let with = |outer: usize, inner: usize| {
            let mut success = list(outer - 1);
            success.push(nested(list(inner), vec![]));
            of(success, vec![])
        };
        let rows = [
            (of(list(4), list(4)), true),
            (of(list(5), vec![]), false),
            (of(vec![], list(5)), false),
            (Txn { compares: vec![compare; 5], ..Txn::default() }, false),
            (with(2, 2), true),
            (with(2, 3), false),
            (with(4, 0), true),
            (with(4, 1), false),
        ];
        for (txn, is_fine) in rows {
            assert_eq!(check(&txn, 4).is_ok(), is_fine, "{txn:?}");
        }
    }

    #[test]
    fn transactions_nest_only_so_deep() {
        let nest = |depth| (1..depth).fold(Txn::default(), |txn, _| of(vec![Op::Txn(txn)], vec![]));
        assert_eq!(check(&nest(TXN_DEPTH_MAX), 1000), Ok(()));
        assert_eq!(check(&nest(TXN_DEPTH_MAX + 1), 1000), Err(Nonsense::TooManyOps));
    }
}
