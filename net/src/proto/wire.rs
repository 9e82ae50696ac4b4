//! Protobuf's wire format, as far as answers need it: sizes, and writers that match them.
//!
//! Zero values are left out (proto3), by sizes and writers alike.

use bytes::{BufMut, BytesMut};
use quorra_core::codec::varint_bytes;

/// Appends a varint.
pub(super) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Bytes of a number field with a one-byte key.
pub(super) fn number_bytes(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_bytes(value) }
}

/// Appends a number field with this number (below 16).
pub(super) fn put_number(out: &mut BytesMut, field: u8, value: u64) {
    if value != 0 {
        out.put_u8(field << 3);
        put_varint(out, value);
    }
}

/// Bytes of a present field with a length and a one-byte key.
pub(super) fn delimited_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes as u64) + bytes
}

/// Appends what stands in front of a delimited field's content.
pub(super) fn put_delimited(out: &mut BytesMut, field: u8, bytes: usize) {
    out.put_u8(field << 3 | 2);
    put_varint(out, bytes as u64);
}

/// Appends a text field.
pub(super) fn put_text(out: &mut BytesMut, field: u8, text: &[u8]) {
    if !text.is_empty() {
        put_delimited(out, field, text.len());
        out.put_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_is_written() {
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]);
        for value in edges {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_bytes(value), "{value}");
            out.clear();
            put_number(&mut out, 4, value);
            assert_eq!(out.len(), number_bytes(value), "{value}");
        }
    }
}
