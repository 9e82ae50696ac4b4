//! JSON exactly as Go's encoder writes it: compact, fields in the order of the structs, and `<`,
//! `>`, `&`, U+2028, U+2029 escaped. Bytes that are not UTF-8 become `\ufffd`, one each.
//!
//! Written by hand, into one buffer and in one pass: this is the hot path of a v2 read.

use bytes::{BufMut, Bytes, BytesMut};
use quorra_core::store::v2::{Action, Event, NodeView};
use quorra_core::time::WallTime;

/// Longer than any node without its key and value.
const NODE_BYTES: usize = 160;
const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
const NANOS: i64 = 1_000_000_000;

/// The body of an answer: one line. A read is of the present: `now`.
pub(super) fn event(event: &Event, without_nodes: bool, now: WallTime) -> BytesMut {
    let at = event.at.unwrap_or(now);
    let mut out = BytesMut::with_capacity(size_hint(event));
    put_raw(&mut out, "{\"action\":\"");
    put_raw(&mut out, action_name(event.action));
    put_raw(&mut out, "\"");
    if !without_nodes {
        put_raw(&mut out, ",\"node\":");
        put_node(&mut out, &event.node, at);
        if let Some(previous) = &event.previous {
            put_raw(&mut out, ",\"prevNode\":");
            put_node(&mut out, previous, at);
        }
    }
    put_raw(&mut out, "}\n");
    out
}

fn size_hint(event: &Event) -> usize {
    let size = |node: &NodeView| {
        let value = node.value.as_ref().map_or(0, Bytes::len);
        NODE_BYTES + node.path.as_bytes().len() + value
    };
    let previous = event.previous.as_ref().map_or(0, |node| size(node));
    let nodes: usize = event.node.nodes.iter().map(size).sum();
    32 + size(&event.node) + previous + nodes
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Get => "get",
        Action::Set => "set",
        Action::Create => "create",
        Action::Update => "update",
        Action::CompareAndSwap => "compareAndSwap",
        Action::Delete => "delete",
        Action::CompareAndDelete => "compareAndDelete",
        Action::Expire => "expire",
    }
}

/// Writes a node and all that it lists. Zero and empty fields are left out, as by `omitempty`;
/// an empty value is not, for Go has a pointer there. The loop keeps its own stack: a listing may
/// be as deep as paths are.
fn put_node(out: &mut BytesMut, node: &NodeView, at: WallTime) {
    put_head(out, node, at);
    if node.nodes.is_empty() {
        put_tail(out, node);
        return;
    }
    let mut levels = vec![(node, node.nodes.iter())];
    while let Some((parent, nodes)) = levels.last_mut() {
        let is_first = nodes.len() == parent.nodes.len();
        if let Some(child) = nodes.next() {
            let separator = match (is_first, out.ends_with(b"{")) {
                (true, true) => "\"nodes\":[",
                (true, false) => ",\"nodes\":[",
                (false, _) => ",",
            };
            put_raw(out, separator);
            put_head(out, child, at);
            levels.push((child, child.nodes.iter()));
            continue;
        }
        if !parent.nodes.is_empty() {
            put_raw(out, "]");
        }
        put_tail(out, parent);
        levels.pop();
    }
}

/// A node's fields before its list.
fn put_head(out: &mut BytesMut, node: &NodeView, at: WallTime) {
    put_raw(out, "{");
    if !node.path.is_root() {
        put_name(out, "key");
        put_string(out, node.path.as_bytes());
    }
    if let Some(value) = &node.value {
        put_name(out, "value");
        put_string(out, value);
    }
    if node.directory {
        put_name(out, "dir");
        put_raw(out, "true");
    }
    if let Some(expiration) = node.expiration {
        put_name(out, "expiration");
        put_raw(out, "\"");
        put_time(out, expiration);
        put_raw(out, "\"");
        let ttl = seconds_left(expiration, at);
        if ttl != 0 {
            put_name(out, "ttl");
            if ttl < 0 {
                put_raw(out, "-");
            }
            put_number(out, ttl.unsigned_abs());
        }
    }
}

/// A node's fields behind its list.
fn put_tail(out: &mut BytesMut, node: &NodeView) {
    for (name, index) in
        [("modifiedIndex", node.modified_index), ("createdIndex", node.created_index)]
    {
        if index != 0 {
            put_name(out, name);
            put_number(out, index);
        }
    }
    put_raw(out, "}");
}

/// The name of the next field of an object, behind a comma unless it is the first.
fn put_name(out: &mut BytesMut, name: &str) {
    put_raw(out, if out.ends_with(b"{") { "\"" } else { ",\"" });
    put_raw(out, name);
    put_raw(out, "\":");
}

/// What is left of a TTL, rounded up; towards zero once it is overdue, as in etcd.
fn seconds_left(expiration: WallTime, at: WallTime) -> i64 {
    let left = expiration.0.saturating_sub(at.0);
    left / NANOS + i64::from(left % NANOS > 0)
}

/// Writes bytes that need no escape.
pub(super) fn put_raw(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Writes a decimal number.
pub(super) fn put_number(out: &mut BytesMut, number: u64) {
    let mut digits = [0; 20];
    out.extend_from_slice(decimal(number, &mut digits));
}

/// Writes a hexadecimal number without leading zeros, as ids are written.
pub(super) fn put_hexadecimal(out: &mut BytesMut, number: u64) {
    let digits = (number | 1).ilog2() / 4;
    for digit in (0..=digits).rev() {
        let nibble = usize::try_from(number >> (4 * digit) & 15).expect("four bits");
        out.put_u8(HEXADECIMAL[nibble]);
    }
}

/// A decimal number.
pub(super) fn number(number: u64) -> Bytes {
    let mut digits = [0; 20];
    Bytes::copy_from_slice(decimal(number, &mut digits))
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).expect("a digit fits a byte");
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// Writes a string with its quotes. Runs of plain bytes are copied whole.
pub(super) fn put_string(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b'"');
    if text.is_ascii() {
        put_ascii(out, text);
    } else {
        for chunk in text.utf8_chunks() {
            put_valid(out, chunk.valid());
            chunk.invalid().iter().for_each(|_| put_raw(out, "\\ufffd"));
        }
    }
    out.put_u8(b'"');
}

fn put_valid(out: &mut BytesMut, text: &str) {
    // U+2028 and U+2029, which are no line ends in JSON but are in JavaScript.
    let mut rest = text;
    while let Some(place) = rest.find(['\u{2028}', '\u{2029}']) {
        let (plain, behind) = rest.split_at(place);
        put_ascii(out, plain.as_bytes());
        let is_first = behind.starts_with('\u{2028}');
        put_raw(out, if is_first { "\\u2028" } else { "\\u2029" });
        rest = behind.get(3..).unwrap_or_default();
    }
    put_ascii(out, rest.as_bytes());
}

/// Writes bytes of which those below 128 may need an escape.
fn put_ascii(out: &mut BytesMut, text: &[u8]) {
    let mut rest = text;
    while let Some(place) = first_escaped(rest) {
        let (plain, behind) = rest.split_at(place);
        out.extend_from_slice(plain);
        put_escape(out, behind[0]);
        rest = &behind[1..];
    }
    out.extend_from_slice(rest);
}

/// Where the first byte is that needs an escape. Whole blocks are looked at without a branch for
/// each byte, which compiles to vector instructions.
fn first_escaped(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<32>();
    let has_escape = |block: &&[u8; 32]| block.iter().fold(false, |any, byte| any | escaped(*byte));
    let plain = 32 * blocks.iter().take_while(|block| !has_escape(block)).count();
    text[plain..].iter().position(|byte| escaped(*byte)).map(|place| plain + place)
}

fn escaped(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
}

fn put_escape(out: &mut BytesMut, byte: u8) {
    match byte {
        b'"' => put_raw(out, "\\\""),
        b'\\' => put_raw(out, "\\\\"),
        b'\n' => put_raw(out, "\\n"),
        b'\r' => put_raw(out, "\\r"),
        b'\t' => put_raw(out, "\\t"),
        other => {
            put_raw(out, "\\u00");
            out.put_u8(HEXADECIMAL[usize::from(other >> 4)]);
            out.put_u8(HEXADECIMAL[usize::from(other & 15)]);
        }
    }
}

/// Writes RFC 3339 in UTC, the fraction without trailing zeros.
pub(super) fn put_time(out: &mut BytesMut, time: WallTime) {
    let (seconds, nanos) = (time.0.div_euclid(NANOS), time.0.rem_euclid(NANOS));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos > 0 {
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    put_raw(out, &text);
    put_raw(out, "Z");
}

/// The civil date of a day counted from 1970-01-01 (Gregorian; years of any sign).
///
/// A year begins in March here, so that the leap day is its last, and 400 years have 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &[u8]) -> String {
        let mut out = BytesMut::new();
        put_string(&mut out, text);
        String::from_utf8(out.to_vec()).expect("JSON is UTF-8")
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let rows: [(&[u8], &str); 9] = [
            (b"", r#""""#),
            (b"plain /x\x7f", "\"plain /x\x7f\""),
            (b"<a href=\"x\">&\\", r#""\u003ca href=\"x\"\u003e\u0026\\""#),
            (b"\n\r\t\x00\x08\x0c\x1f", r#""\n\r\t\u0000\u0008\u000c\u001f""#),
            ("h\u{e9}\u{20ac}\u{1f600}".as_bytes(), "\"h\u{e9}\u{20ac}\u{1f600}\""),
            ("a\u{2028}b\u{2029}".as_bytes(), r#""a\u2028b\u2029""#),
            (b"\xff\xfe x\x80", r#""\ufffd\ufffd x\ufffd""#),
            (b"\xe2\x82x", r#""\ufffd\ufffdx""#),
            ("\u{fffd}".as_bytes(), "\"\u{fffd}\""),
        ];
        for (text, expected) in rows {
            assert_eq!(string(text), expected);
        }
    }

    #[test]
    fn hexadecimal_numbers_have_no_leading_zeros() {
        for number in [0, 1, 0xf, 0x10, 0x0cdf_8181_94e3_a8c3, u64::MAX] {
            let mut out = BytesMut::new();
            put_hexadecimal(&mut out, number);
            assert_eq!(out, format!("{number:x}").as_bytes());
        }
    }

    #[test]
    fn times_are_trimmed_utc() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (1_420_164_245_600_000_000, "2015-01-02T02:04:05.6Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        ];
        for (nanos, expected) in rows {
            let mut out = BytesMut::new();
            put_time(&mut out, WallTime(nanos));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn ttls_are_rounded_up_until_they_are_overdue() {
        let rows = [
            (NANOS * 5, 5),
            (NANOS * 5 - 1, 5),
            (NANOS * 4 + 1, 5),
            (1, 1),
            (0, 0),
            (-1, 0),
            (-NANOS, -1),
            (-NANOS * 2 + 1, -1),
        ];
        for (left, expected) in rows {
            assert_eq!(seconds_left(WallTime(7 + left), WallTime(7)), expected, "{left} ns");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_string_reads_back(text: Vec<u8>) {
            let read: String = serde_json::from_str(&string(&text)).expect("it is JSON");
            let mut expected = String::new();
            for chunk in text.utf8_chunks() {
                expected.push_str(chunk.valid());
                chunk.invalid().iter().for_each(|_| expected.push('\u{fffd}'));
            }
            proptest::prop_assert_eq!(read, expected);
        }

        #[test]
        fn numbers_are_decimal(value: u64) {
            proptest::prop_assert_eq!(number(value), Bytes::from(value.to_string()));
        }
    }
}
