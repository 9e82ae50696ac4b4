//! HPACK's Huffman code (RFC 7541, appendix B).
//!
//! The code is canonical: sorted by length and then by symbol, the codes count upwards. So the
//! lengths alone define it, and a symbol is found by comparing the next 32 bits with the upper
//! bound of each length. The usual characters have five to seven bits: one to three comparisons.

use super::Malformed;

/// The length of each symbol's code; the last is the end of the string, which never appears.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const SYMBOLS: usize = 257;
const END_OF_STRING: u16 = 256;
const BITS_MAX: usize = 30;

/// All codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The length.
    bits: u32,
    /// The first code of this length, left-aligned in 32 bits.
    first: u64,
    /// Above the last code of this length, left-aligned in 32 bits.
    limit: u64,
    /// Where its symbols begin in [`SORTED`].
    offset: usize,
}

/// The symbols by length, then by value.
const SORTED: [u16; SYMBOLS] = sorted();
/// One row for each length from 1 to 30; lengths without a code have an empty row.
const ROWS: [Row; BITS_MAX] = rows();

const fn sorted() -> [u16; SYMBOLS] {
    let mut sorted = [0; SYMBOLS];
    let (mut filled, mut bits) = (0, 1);
    while bits <= BITS_MAX {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                sorted[filled] = symbol as u16;
                filled += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    assert!(filled == SYMBOLS, "every symbol has a code");
    sorted
}

const fn rows() -> [Row; BITS_MAX] {
    let mut rows = [Row { bits: 0, first: 0, limit: 0, offset: 0 }; BITS_MAX];
    let (mut code, mut offset, mut bits) = (0u64, 0, 1);
    while bits <= BITS_MAX {
        let mut codes = 0;
        while offset + codes < SYMBOLS && LENGTHS[SORTED[offset + codes] as usize] as usize == bits
        {
            codes += 1;
        }
        let limit = code + ((codes as u64) << (32 - bits));
        rows[bits - 1] = Row { bits: bits as u32, first: code, limit, offset };
        code = limit;
        offset += codes;
        bits += 1;
    }
    assert!(code == 1 << 32, "the code is complete");
    rows
}

/// Appends the text behind an encoded string.
pub(super) fn decode(encoded: &[u8], text: &mut Vec<u8>) -> Result<(), Malformed> {
    text.reserve(encoded.len() * 2);
    let mut input = encoded.iter();
    let (mut window, mut bits) = (0u64, 0u32);
    loop {
        while bits <= 32 {
            let Some(byte) = input.next() else { break };
            window = (window << 8) | u64::from(*byte);
            bits += 8;
        }
        let ahead = if bits >= 32 { window >> (bits - 32) } else { window << (32 - bits) };
        let ahead = ahead & 0xffff_ffff;
        // No code is shorter than five bits (RFC 7541, appendix B).
        let Some(row) = ROWS[4..].iter().find(|row| ahead < row.limit) else {
            return Err(Malformed::Huffman);
        };
        if row.bits > bits {
            return padding(window, bits);
        }
        let symbol = SORTED[row.offset + ((ahead - row.first) >> (32 - row.bits)) as usize];
        if symbol == END_OF_STRING {
            return Err(Malformed::Huffman);
        }
        text.push(symbol as u8);
        bits -= row.bits;
    }
}

/// What is left must be fewer than eight bits, all ones (RFC 7541, 5.2).
fn padding(window: u64, bits: u32) -> Result<(), Malformed> {
    let ones = (1u64 << bits) - 1;
    if bits < 8 && window & ones == ones { Ok(()) } else { Err(Malformed::Huffman) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        decode(encoded, &mut text).map(|()| text)
    }

    /// RFC 7541, appendix C.4 and C.6.
    #[test]
    fn strings_of_the_standard() {
        let rows: [(&[u8], &str); 4] = [
            (
                b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
                "www.example.com",
            ),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ];
        for (encoded, text) in rows {
            assert_eq!(decoded(encoded).as_deref(), Ok(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn padding_is_short_and_all_ones() {
        // 'a' is 00011; three ones pad it, anything else does not.
        assert_eq!(decoded(&[0b0001_1111]).as_deref(), Ok(&b"a"[..]));
        assert_eq!(decoded(&[0b0001_1110]), Err(Malformed::Huffman));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(Malformed::Huffman));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Malformed::Huffman));
    }
}
