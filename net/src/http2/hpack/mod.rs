//! HPACK, the header compression of HTTP/2 (RFC 7541).
//!
//! The decoder keeps the dynamic table that the peer writes. The encoder keeps nothing: it uses
//! the static table and literals only, so that answers do not depend on what was sent before.

mod huffman;
mod table;

use bytes::{BufMut, BytesMut};

use table::{DynamicTable, STATIC};

/// Why a header block cannot be understood. The connection ends: the table is out of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The block ends within a field.
    Truncated,
    /// An integer is larger than anything here can be.
    Integer,
    /// No entry has that index.
    Index,
    /// A Huffman code that is not one.
    Huffman,
    /// The table is resized beyond what was allowed, or behind a field.
    TableSize,
}

impl Malformed {
    /// For whoever looks into it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Truncated => "header block is truncated",
            Self::Integer => "header block has too large an integer",
            Self::Index => "header index is unknown",
            Self::Huffman => "header string is not Huffman code",
            Self::TableSize => "header table is resized wrongly",
        }
    }
}

/// Reads header blocks.
#[derive(Debug, Default)]
pub struct Decoder {
    table: DynamicTable,
    /// The literal that is being read; kept for its memory.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Reads one block and hands over its fields in order.
    ///
    /// # Errors
    /// When it breaks a rule of HPACK; what came before it may have been handed over.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let mut input = Input(block);
        let mut fields = 0usize;
        while let Some(first) = input.peek() {
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                let (name, value) = entry(&self.table, index).ok_or(Malformed::Index)?;
                field(name, value);
            } else if first & 0xe0 == 0x20 {
                // A size update stands before the fields (RFC 7541, 4.2).
                let bytes = input.integer(5)?;
                if fields > 0 || !self.table.resize(bytes) {
                    return Err(Malformed::TableSize);
                }
                continue;
            } else {
                self.literal(&mut input, first & 0x40 != 0)?;
                field(&self.name, &self.value);
            }
            fields += 1;
        }
        Ok(())
    }

    /// Reads a literal field, which may be one to remember (RFC 7541, 6.2).
    fn literal(&mut self, input: &mut Input<'_>, remember: bool) -> Result<(), Malformed> {
        self.name.clear();
        self.value.clear();
        match input.integer(if remember { 6 } else { 4 })? {
            0 => input.string(&mut self.name)?,
            index => {
                let (name, _) = entry(&self.table, index).ok_or(Malformed::Index)?;
                self.name.extend_from_slice(name);
            }
        }
        input.string(&mut self.value)?;
        if remember {
            self.table.insert(&self.name, &self.value);
        }
        Ok(())
    }
}

/// The field with this index in the common address space of both tables (RFC 7541, 2.3.3).
fn entry(table: &DynamicTable, index: usize) -> Option<(&[u8], &[u8])> {
    let index = index.checked_sub(1)?;
    match STATIC.get(index) {
        Some((name, value)) => Some((name.as_bytes(), value.as_bytes())),
        None => table.entry(index - STATIC.len()),
    }
}

/// What is left of a header block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// An integer with a prefix of that many bits (RFC 7541, 5.1), below 2^28.
    fn integer(&mut self, prefix: u32) -> Result<usize, Malformed> {
        let mask = (1usize << prefix) - 1;
        let mut value = usize::from(self.byte()?) & mask;
        if value < mask {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Integer)
    }

    /// Appends a string (RFC 7541, 5.2).
    fn string(&mut self, text: &mut Vec<u8>) -> Result<(), Malformed> {
        let huffman = self.peek().ok_or(Malformed::Truncated)? & 0x80 != 0;
        let bytes = self.integer(7)?;
        let encoded = self.take(bytes)?;
        if huffman {
            return huffman::decode(encoded, text);
        }
        text.extend_from_slice(encoded);
        Ok(())
    }
}

/// Appends a `:status`.
pub(super) fn encode_status(status: u16, out: &mut BytesMut) {
    match status {
        200 => out.put_u8(0x88),
        204 => out.put_u8(0x89),
        400 => out.put_u8(0x8c),
        404 => out.put_u8(0x8d),
        500 => out.put_u8(0x8e),
        status => {
            // A literal with the name of entry 8.
            out.put_u8(0x08);
            encode_string(status.to_string().as_bytes(), out);
        }
    }
}

/// Appends a field; names are sent in lower case (RFC 9113, 8.2.1).
pub(super) fn encode_field(name: impl AsRef<[u8]>, value: &[u8], out: &mut BytesMut) {
    const CONTENT_TYPE: usize = 31;
    let name = name.as_ref();
    if name.eq_ignore_ascii_case(b"content-type") {
        encode_integer(CONTENT_TYPE, 4, 0, out);
    } else {
        out.put_u8(0);
        encode_integer(name.len(), 7, 0, out);
        out.extend(name.iter().map(u8::to_ascii_lowercase));
    }
    encode_string(value, out);
}

fn encode_string(text: &[u8], out: &mut BytesMut) {
    encode_integer(text.len(), 7, 0, out);
    out.put_slice(text);
}

fn encode_integer(value: usize, prefix: u32, pattern: u8, out: &mut BytesMut) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields = Vec::new();
        decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    /// RFC 7541, appendix C.4: three requests on one connection share the table.
    #[test]
    fn requests_of_the_standard() {
        let mut decoder = Decoder::default();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        let third = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        let authority = pair(":authority", "www.example.com");
        assert_eq!(
            fields(&mut decoder, first),
            Ok(vec![
                pair(":method", "GET"),
                pair(":scheme", "http"),
                pair(":path", "/"),
                authority.clone(),
            ])
        );
        assert_eq!(
            fields(&mut decoder, second),
            Ok(vec![
                pair(":method", "GET"),
                pair(":scheme", "http"),
                pair(":path", "/"),
                authority.clone(),
                pair("cache-control", "no-cache"),
            ])
        );
        assert_eq!(
            fields(&mut decoder, third),
            Ok(vec![
                pair(":method", "GET"),
                pair(":scheme", "https"),
                pair(":path", "/index.html"),
                authority,
                pair("custom-key", "custom-value"),
            ])
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        let rows: [(&[u8], Malformed); 6] = [
            (b"\x80", Malformed::Index),
            (b"\xc0", Malformed::Index),
            (b"\x40\x03ab", Malformed::Truncated),
            (b"\x40", Malformed::Truncated),
            (b"\xff\xff\xff\xff\xff\xff\x01", Malformed::Integer),
            (b"\x82\x20", Malformed::TableSize),
        ];
        for (block, malformed) in rows {
            assert_eq!(fields(&mut Decoder::default(), block), Err(malformed), "{block:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            status in 100u16..600, name in "[a-z-]{1,20}", value in "[ -~]{0,300}",
        ) {
            let mut block = BytesMut::new();
            encode_status(status, &mut block);
            encode_field(&name, value.as_bytes(), &mut block);
            encode_field("Content-Type", value.as_bytes(), &mut block);
            let expected = vec![
                (":status".to_string(), status.to_string()),
                (name, value.clone()),
                ("content-type".to_string(), value),
            ];
            prop_assert_eq!(fields(&mut Decoder::default(), &block), Ok(expected));
        }

        #[test]
        fn no_block_is_a_panic(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)) {
            let mut decoder = Decoder::default();
            for block in blocks {
                let _ = decoder.decode(&block, |_, _| {});
            }
        }
    }
}
