//! A decoder with a planted mistake, to prove that the harness finds mistakes.

/// Sums length-prefixed blocks, and believes the lengths: it must fail on mutations of a corpus
/// that is well-formed.
pub fn run(bytes: &[u8]) {
    let mut rest = bytes;
    let mut sum = 0_u64;
    while let [length, behind @ ..] = rest {
        let (block, after) = behind.split_at(usize::from(*length));
        sum = block.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
        rest = after;
    }
    std::hint::black_box(sum);
}
