//! Counting: what a majority has reached, and how an election stands.
//!
//! Any two majorities of one set share a member; everything that Raft promises rests on that. Of
//! five members that hold the log up to 9, 7, 7, 4 and 2, a majority (three) holds it up to 7.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::identity::MemberId;

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// A majority granted its vote.
    Won,
    /// A majority cannot be had any more.
    Lost,
    /// It depends on those who have not answered.
    Open,
}

/// The smallest number of members that is more than half of them.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// The greatest value that a majority has reached, given each voter's value; none without voters.
pub(super) fn reached<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    let place = sorted.len().checked_sub(majority(sorted.len()))?;
    sorted.get(place).copied()
}

/// Counts votes; those of strangers and learners do not count.
pub(super) fn tally(voters: &BTreeSet<MemberId>, votes: &BTreeMap<MemberId, bool>) -> Tally {
    let given = |wanted| voters.iter().filter(|voter| votes.get(voter) == Some(&wanted)).count();
    let (granted, refused) = (given(true), given(false));
    assert!(granted + refused <= voters.len(), "a voter votes once");
    if granted >= majority(voters.len()) {
        Tally::Won
    } else if voters.len() - refused < majority(voters.len()) {
        Tally::Lost
    } else {
        Tally::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tries every value: which is the greatest that more than half have?
    fn reached_by_trying(values: &[u64]) -> Option<u64> {
        let has = |wanted| values.iter().filter(|&&value| value >= wanted).count();
        values.iter().copied().filter(|&value| has(value) * 2 > values.len()).max()
    }

    /// Lets the silent vote in every possible way: are all outcomes the same?
    fn tally_by_trying(voters: &BTreeSet<MemberId>, votes: &BTreeMap<MemberId, bool>) -> Tally {
        let silent: Vec<_> = voters.iter().filter(|voter| !votes.contains_key(voter)).collect();
        let granted = voters.iter().filter(|voter| votes.get(voter) == Some(&true)).count();
        let wins = (0_u32..1 << silent.len())
            .filter(|ways| (granted + ways.count_ones() as usize) * 2 > voters.len())
            .count();
        match wins {
            0 => Tally::Lost,
            wins if wins == 1 << silent.len() => Tally::Won,
            _ => Tally::Open,
        }
    }

    proptest! {
        #[test]
        fn reached_agrees_with_its_twin(values in prop::collection::vec(0_u64..6, 0..8)) {
            prop_assert_eq!(reached(values.iter().copied()), reached_by_trying(&values));
        }

        #[test]
        fn tally_agrees_with_its_twin(
            voters in prop::collection::btree_set((1_u64..8).prop_map(MemberId), 0..8),
            votes in prop::collection::btree_map((1_u64..10).prop_map(MemberId), any::<bool>(), 0..9),
        ) {
            prop_assert_eq!(tally(&voters, &votes), tally_by_trying(&voters, &votes));
        }

        #[test]
        fn majorities_of_neighbouring_configurations_share_a_member(members in 1_usize..100) {
            prop_assert!(majority(members) * 2 > members);
            prop_assert!(majority(members) + majority(members + 1) > members + 1);
        }
    }
}
