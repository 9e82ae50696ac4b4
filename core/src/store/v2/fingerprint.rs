//! A 64-bit digest of a node, for the sum by which members compare their states.
//!
//! Not against forgery: it finds a member whose state went wrong, and every member computes it
//! from the same committed commands. Multiplying and folding takes one step for eight bytes.

use super::tree::{Content, Node};

/// Odd, with its bits well spread; any such number would do.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const SEED: u64 = 0x51_7c_c1_b7_27_22_0a_95;

/// Digests a number on its own.
pub(super) fn of_index(index: u64) -> u64 {
    fold(fold(SEED, index), MULTIPLIER)
}

/// Digests a node with the path that leads to it.
pub(super) fn of_node(path: &[u8], node: &Node) -> u64 {
    let mut state = feed(SEED, path);
    state = match &node.content {
        Content::File(value) => feed(fold(state, 1), value),
        Content::Directory(_) => fold(state, 2),
    };
    state = match node.expiration {
        Some(time) => fold(fold(state, 3), u64::from_le_bytes(time.0.to_le_bytes())),
        None => fold(state, 4),
    };
    fold(fold(state, node.modified_index), node.created_index)
}

fn feed(mut state: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state = fold(state, u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(fold(state, u64::from_le_bytes(last)), bytes.len() as u64)
}

/// The two halves of a product, folded; the rotation keeps a zero from swallowing what follows.
fn fold(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(MULTIPLIER);
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
}
