//! How Go's standard library writes and reads what etcdctl prints and takes: scripts that read
//! etcdctl's output keep working only if every quote and escape is the same.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// A document as `encoding/json` writes it: characters that mean something to HTML are escaped.
pub(crate) fn json(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Json);
    document.serialize(&mut serializer).expect("memory takes all bytes, and all keys are text");
    String::from_utf8(bytes).expect("JSON is text")
}

/// The escapes of `encoding/json`.
struct Json;

impl Formatter for Json {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = fragment;
        let special = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        while let Some(at) = plain.find(special) {
            let character = plain[at..].chars().next().expect("one was found there");
            writer.write_all(&plain.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            plain = &plain[at + character.len_utf8()..];
        }
        writer.write_all(plain.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// Bytes as `%q` writes them.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            quote_character(character, &mut quoted);
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

fn quote_character(character: char, quoted: &mut String) {
    let code = u32::from(character);
    match character {
        '"' | '\\' => quoted.extend(['\\', character]),
        '\x07' => quoted.push_str("\\a"),
        '\x08' => quoted.push_str("\\b"),
        '\x0b' => quoted.push_str("\\v"),
        '\x0c' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        ' ' => quoted.push(' '),
        _ if code < 0x20 || code == 0x7f => quoted.push_str(&format!("\\x{code:02x}")),
        _ if (character.is_control() || character.is_whitespace()) && code < 0x1_0000 => {
            quoted.push_str(&format!("\\u{code:04x}"));
        }
        _ => quoted.push(character),
    }
}

/// Reads a quoted string as `%q` does when it scans; what stands behind it is left over.
pub(crate) fn unquote(text: &str) -> Option<(Vec<u8>, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (inside, rest) = raw.split_once('`')?;
        return Some((inside.as_bytes().to_vec(), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    loop {
        let character = rest.chars().next()?;
        rest = &rest[character.len_utf8()..];
        match character {
            '"' => return Some((bytes, rest)),
            '\n' => return None,
            '\\' => rest = unescape(rest, &mut bytes)?,
            _ => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads an escape behind its backslash.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    let simple = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
            return rest.get(2..);
        }
        '0'..='7' => {
            bytes.push(u8::from_str_radix(text.get(..3)?, 8).ok()?);
            return text.get(3..);
        }
        'u' | 'U' => {
            let digits = if kind == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
            bytes.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(digits..);
        }
        _ => return None,
    };
    bytes.push(simple);
    Some(rest)
}

/// `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_string()),
    }
}

/// `time.ParseDuration`, without negative ones: `300ms`, `1.5s`, `2h45m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || "not a duration such as 5s, 300ms or 1m30s".to_string();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(malformed()),
        };
        rest = &rest[end..];
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| malformed())?;
        total = total.checked_add(part).ok_or_else(malformed)?;
    }
    if text.is_empty() { Err(malformed()) } else { Ok(total) }
}

/// The system's reason in the words of Go's `syscall`: lower case, without its number.
pub(crate) fn system_error(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return "i/o timeout".to_string();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(characters)
        .collect()
}

/// Escapes what `url.QueryEscape` escapes; a space becomes a plus.
pub(crate) fn escape_query(text: &str) -> String {
    escape(text, b"-_.~").replace("%20", "+")
}

/// Escapes what a path must not contain, as `url.URL` writes it.
pub(crate) fn escape_path(path: &str) -> String {
    escape(path, b"-_.~$&+,/:;=@")
}

fn escape(text: &str, plain: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// A path with single slashes and without `.` and `..`; a slash at its end stays.
pub(crate) fn clean_path(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

/// A size as `humanize.Bytes` writes it: powers of a thousand, one decimal below ten.
pub(crate) fn humanize(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let exponent = bytes.ilog(1000);
    let unit = UNITS[usize::try_from(exponent).expect("a power of a thousand below 2^64")];
    let scaled = (bytes as f64 / 1000_f64.powi(exponent.cast_signed()) * 10.0 + 0.5).floor() / 10.0;
    if scaled < 10.0 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_go_escapes_it() {
        assert_eq!(
            json(&"a<b>&\u{8}\u{c}\n\u{2028}\""),
            r#""a\u003cb\u003e\u0026\u0008\u000c\n\u2028\"""#
        );
    }

    #[test]
    fn quoted_strings_are_gos_and_read_back() {
        let rows: [(&[u8], &str); 4] = [
            (b"plain", r#""plain""#),
            (b"\x00\x07 \"\\\n\x7f", r#""\x00\a \"\\\n\x7f""#),
            (b"\xff\xc3\xa9", "\"\\xff\u{e9}\""),
            ("\u{a0}".as_bytes(), r#""\u00a0""#),
        ];
        for (bytes, quoted) in rows {
            assert_eq!(quote(bytes), quoted);
            assert_eq!(unquote(quoted), Some((bytes.to_vec(), "")), "{quoted}");
        }
        assert_eq!(unquote("`a\\` rest"), Some((b"a\\".to_vec(), " rest")));
        for broken in ["", "a", "\"a", r#""\"#, r#""\q""#, r#""\xg0""#, r#""\u12""#] {
            assert_eq!(unquote(broken), None, "{broken}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("300ms"), Ok(Duration::from_millis(300)));
        for wrong in ["", "5", "s", "-1s", "1x", "1s5"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_cleaned_and_escaped() {
        let rows = [("/v2/keys//a/./b/../c", "/v2/keys/a/c"), ("", "/"), ("/a//", "/a/")];
        for (path, clean) in rows {
            assert_eq!(clean_path(path), clean);
        }
        assert_eq!(escape_path("/a b\u{e9}?#%"), "/a%20b%C3%A9%3F%23%25");
        assert_eq!(escape_query("a b&c=d/"), "a+b%26c%3Dd%2F");
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        let rows = [(9, "9 B"), (20_480, "20 kB"), (999, "999 B"), (1_000_000, "1.0 MB")];
        for (bytes, text) in rows {
            assert_eq!(humanize(bytes), text);
        }
    }
}
