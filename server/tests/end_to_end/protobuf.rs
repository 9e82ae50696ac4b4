//! Protobuf as text, without knowing the message: for transcripts of what tools print.
//!
//! A line for each field: its number, and its value. What has a length is a message between braces
//! if it can be read as one, else bytes, quoted: so a short text may be taken for a message.

use std::fmt::Write as _;

/// The fields of a message; none if the bytes are no message.
pub(crate) fn text(message: &[u8]) -> Option<String> {
    let mut text = String::new();
    fields(message, "", &mut text)?;
    Some(text)
}

fn fields(mut message: &[u8], indent: &str, text: &mut String) -> Option<()> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let field = key >> 3;
        match key & 7 {
            _ if field == 0 => return None,
            0 => writeln!(text, "{indent}{field}: {}", varint(&mut message)?).ok()?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (content, rest) = message.split_at_checked(length)?;
                message = rest;
                let mut below = String::new();
                let bytes = content.escape_ascii();
                match fields(content, &format!("{indent}  "), &mut below) {
                    Some(()) => write!(text, "{indent}{field} {{\n{below}{indent}}}\n").ok()?,
                    None => writeln!(text, "{indent}{field}: \"{bytes}\"").ok()?,
                }
            }
            // etcd's messages have no numbers of a fixed size.
            _ => return None,
        }
    }
    Some(())
}

/// Takes a number from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[test]
fn messages_are_read_without_their_definition() {
    let message = b"\x0a\x05\x08\xac\x02\x18\x05\x12\x03abc\x18\x01";
    let expected = "1 {\n  1: 300\n  3: 5\n}\n2: \"abc\"\n3: 1\n";
    assert_eq!(text(message).as_deref(), Some(expected));
    for broken in [&b"\x08"[..], b"\x0a\x02a", b"\x00\x01", b"\x08\x01\n", b"\x09"] {
        assert_eq!(text(broken), None, "{broken:?}");
    }
}
