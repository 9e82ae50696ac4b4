//! What Go's standard library says of bad input, word for word: etcd hands these texts on to its
//! clients.

pub(super) mod json;
pub(super) mod url;

use std::fmt::Write;

/// Bytes as `strconv.Quote` prints them.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            put_character(&mut out, character);
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes all");
        }
    }
    out.push('"');
    out
}

fn put_character(out: &mut String, character: char) {
    let short = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        '\0'..='\u{1f}' | '\u{7f}' => {
            return write!(out, "\\x{:02x}", u32::from(character)).expect("a string takes all");
        }
        '\u{80}'..='\u{a0}' | '\u{ad}' => {
            return write!(out, "\\u{:04x}", u32::from(character)).expect("a string takes all");
        }
        other => return out.push(other),
    };
    out.push_str(short);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_quoted_as_go_quotes_them() {
        let rows: [(&[u8], &str); 4] = [
            (b"a'b\"\\", r#""a'b\"\\""#),
            (b"\0\x07\x08\x0b\x0c\n\r\t\x1f\x7f", r#""\x00\a\b\v\f\n\r\t\x1f\x7f""#),
            ("\u{e9}\u{85}\u{ad}".as_bytes(), "\"\u{e9}\\u0085\\u00ad\""),
            (b"\xff", r#""\xff""#),
        ];
        for (bytes, expected) in rows {
            assert_eq!(quoted(bytes), expected);
        }
    }
}
