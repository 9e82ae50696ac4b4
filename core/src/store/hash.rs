//! A fast 64-bit hash of blocks, for comparing members; not against adversaries.
//!
//! Two words at a time, folded by one multiplication of 64 by 64 bits (the idea of wyhash by Wang
//! Yi). Sums of such hashes, modulo 2^64, do not depend on the order of their terms: that makes
//! the hash of a whole state cheap to keep.

const KEYS: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];

/// The hash of a block.
#[must_use]
pub(crate) fn of_block(block: &[u8]) -> u64 {
    let mut state = KEYS[2] ^ u64::try_from(block.len()).unwrap_or(u64::MAX);
    let (pairs, rest) = block.as_chunks::<16>();
    for pair in pairs {
        let (low, high) = pair.split_at(8);
        state = fold(word(low) ^ KEYS[0], word(high) ^ KEYS[1] ^ state);
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let (low, high) = last.split_at(8);
    fold(word(low) ^ KEYS[1], word(high) ^ KEYS[0] ^ state)
}

/// The hash of two numbers, in their order.
#[must_use]
pub(crate) fn of_pair(first: u64, second: u64) -> u64 {
    fold(fold(first ^ KEYS[0], KEYS[1]) ^ second, KEYS[2])
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a word has eight bytes"))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let [low, high] = [product & u128::from(u64::MAX), product >> 64]
        .map(|half| u64::try_from(half).expect("half of a 128-bit product"));
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    #[test]
    fn every_byte_and_the_length_count() {
        let blocks = (0..70).flat_map(|length| {
            let flat: Vec<u8> = alloc::vec![7; length];
            let flipped = (0..length).map(move |at| {
                let mut block: Vec<u8> = alloc::vec![7; length];
                block[at] ^= 1;
                block
            });
            core::iter::once(flat).chain(flipped)
        });
        let hashes: Vec<u64> = blocks.map(|block| of_block(&block)).collect();
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
        assert_ne!(of_pair(1, 2), of_pair(2, 1));
    }

    /// The hash is compared between members, which may run different builds.
    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(of_block(b""), 0x55ba_897d_2af3_577c);
        assert_eq!(of_block(b"0123456789abcdef0"), 0x6199_97e1_8b86_556e);
        assert_eq!(of_pair(1, 2), 0xaeda_fa7e_cca2_7e5e);
    }
}
