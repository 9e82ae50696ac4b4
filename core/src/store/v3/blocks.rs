//! A list that grows without ever moving what it holds.
//!
//! A vector that doubles copies everything in one go: for a million entries that is a pause of many
//! milliseconds. Here entries lie in blocks of a fixed size, so that adding one costs no more than
//! a block.
//!
//! Letting go of a million entries takes as long. So blocks are shared: whoever keeps a handle to
//! each block of a list decides when its entries are dropped (see [`super::Store::work`]), and the
//! list itself goes quickly, wherever that happens.

use alloc::rc::Rc;
use alloc::vec::{self, Vec};
use core::iter::{Chain, FlatMap};
use core::ops::{Index, IndexMut};

/// Entries in a full block.
const BLOCK_ENTRIES: usize = if cfg!(test) { 4 } else { 4_096 };

/// A list in blocks.
///
/// # Invariants
/// - Every block in `full` has `BLOCK_ENTRIES` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks<T> {
    full: Vec<Rc<Vec<T>>>,
    /// What comes behind them. A short list is nothing else.
    open: Vec<T>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
    }
}

impl<T> Blocks<T> {
    /// Adds an entry behind the others.
    pub(super) fn push(&mut self, entry: T) {
        if self.open.len() == BLOCK_ENTRIES {
            self.full.push(Rc::new(core::mem::take(&mut self.open)));
        }
        self.open.push(entry);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full.len() * BLOCK_ENTRIES + self.open.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.full.first().map_or(&self.open, Rc::as_ref).first()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.full.iter().flat_map(|block| block.iter()).chain(&self.open)
    }

    /// The last one, to be changed.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.open.last_mut()
    }

    /// Drops the last one; of a block that is shared, the handle. Whether there was one.
    pub(super) fn pop(&mut self) -> bool {
        let was_there = self.open.pop().is_some();
        while self.open.is_empty()
            && let Some(full) = self.full.pop()
        {
            self.open = Rc::try_unwrap(full).unwrap_or_default();
        }
        was_there
    }

    /// The full blocks.
    pub(super) fn full(&self) -> &[Rc<Vec<T>>] {
        &self.full
    }

    /// Gives back what memory was taken in advance.
    pub(super) fn shrink_to_fit(&mut self) {
        self.open.shrink_to_fit();
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        let (block, at) = (at / BLOCK_ENTRIES, at % BLOCK_ENTRIES);
        &self.full.get(block).map_or(&self.open, Rc::as_ref)[at]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        let (block, at) = (at / BLOCK_ENTRIES, at % BLOCK_ENTRIES);
        let full = self.full.get_mut(block);
        let shared = "what is changed is not shared";
        &mut full.map_or(&mut self.open, |full| Rc::get_mut(full).expect(shared))[at]
    }
}

/// The entries of full blocks; a shared block is copied when its turn comes.
type Full<T> = FlatMap<vec::IntoIter<Rc<Vec<T>>>, Vec<T>, fn(Rc<Vec<T>>) -> Vec<T>>;

impl<T: Clone> IntoIterator for Blocks<T> {
    type Item = T;
    type IntoIter = Chain<Full<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let take: fn(Rc<Vec<T>>) -> Vec<T> = Rc::unwrap_or_clone;
        self.full.into_iter().flat_map(take).chain(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around the ends of blocks it is what a vector would be.
    #[test]
    fn it_is_a_list() {
        for length in [0, 1, 2, BLOCK_ENTRIES, BLOCK_ENTRIES + 1, 3 * BLOCK_ENTRIES - 1] {
            let mut blocks = Blocks::default();
            (0..length).for_each(|entry| blocks.push(entry));
            assert_eq!((blocks.len(), blocks.is_empty()), (length, length == 0));
            assert_eq!(blocks.first(), (length > 0).then_some(&0));
            assert!(blocks.iter().copied().eq(0..length));
            assert!((0..length).all(|at| blocks[at] == at));
            if let Some(last) = length.checked_sub(1) {
                blocks[last] += 7;
                assert_eq!(blocks.iter().last(), Some(&(last + 7)));
            }
            assert_eq!(blocks.clone().into_iter().count(), length);
            for left in (0..length).rev() {
                assert!(blocks.pop());
                assert_eq!((blocks.len(), blocks.is_empty()), (left, left == 0));
            }
            assert!(!blocks.pop() && blocks.last_mut().is_none());
        }
    }
}
