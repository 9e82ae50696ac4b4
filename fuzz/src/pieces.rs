//! How one input becomes several.

use bytes::Bytes;
use quorra_core::codec::Reader;
use quorra_core::random::Random;

/// A seed that the bytes themselves decide (FNV-1a), so that an input says everything.
pub(crate) fn seed(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The bytes in pieces as a network might deliver them; none is empty.
pub(crate) fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut random = Random::new(seed(bytes));
    // Mostly single bytes in one run, mostly large pieces in another.
    let most = 1 << random.below(8);
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = usize::try_from(1 + random.below(most)).expect("at most 128");
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// The input as a row of blocks, each behind its varint length; what is no block is the last one.
pub(crate) fn blocks(bytes: &[u8]) -> Vec<Bytes> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let mut blocks = Vec::new();
    while reader.remaining() > 0 {
        let mut ahead = reader.clone();
        match ahead.block() {
            Ok(block) => {
                blocks.push(block);
                reader = ahead;
            }
            Err(_) => blocks.extend(reader.bytes(reader.remaining())),
        }
    }
    blocks
}
