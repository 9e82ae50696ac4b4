//! Media types, as Go's `mime.ParseMediaType` reads them.

/// The lower-cased type without its parameters, and what is wrong with the field. No field is
/// Go's `application/octet-stream`.
pub(super) fn parse(field: &[u8]) -> (Vec<u8>, Option<&'static str>) {
    if field.is_empty() {
        return (b"application/octet-stream".to_vec(), None);
    }
    let end = field.iter().position(|byte| *byte == b';').unwrap_or(field.len());
    let (base, parameters) = field.split_at(end);
    let name = base.trim_ascii().to_ascii_lowercase();
    if let Some(wrong) = wrong_name(&name) {
        return (Vec::new(), Some(wrong));
    }
    match wrong_parameters(parameters) {
        Some(wrong @ "mime: duplicate parameter name") => (Vec::new(), Some(wrong)),
        wrong => (name, wrong),
    }
}

fn wrong_name(name: &[u8]) -> Option<&'static str> {
    let (first, rest) = token(name);
    if first.is_empty() {
        return Some("mime: no media type");
    }
    let Some(rest) = rest.strip_prefix(b"/") else {
        let nothing = rest.is_empty();
        return (!nothing).then_some("mime: expected slash after first token");
    };
    let (second, rest) = token(rest);
    if second.is_empty() {
        return Some("mime: expected token after slash");
    }
    (!rest.is_empty()).then_some("mime: unexpected content after media subtype")
}

fn wrong_parameters(text: &[u8]) -> Option<&'static str> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let Some((name, behind)) = parameter(rest) else {
            let only_semicolon = rest == b";";
            return (!only_semicolon).then_some("mime: invalid media parameter");
        };
        if names.contains(&name) {
            return Some("mime: duplicate parameter name");
        }
        names.push(name);
        rest = behind.trim_ascii();
    }
    None
}

/// The name of a parameter, and what is behind it.
fn parameter(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let text = text.strip_prefix(b";")?.trim_ascii_start();
    let (name, rest) = token(text);
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let behind = match rest.strip_prefix(b"\"") {
        Some(quoted) => behind_quoted(quoted)?,
        None => {
            let (value, behind) = token(rest);
            (!value.is_empty()).then_some(behind)?
        }
    };
    Some((name.to_ascii_lowercase(), behind))
}

/// What is behind a quoted string whose opening quote was taken.
fn behind_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut index = 0;
    loop {
        match text.get(index)? {
            b'"' => return text.get(index + 1..),
            b'\r' | b'\n' => return None,
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
}

/// The token at the start of a text (RFC 2045, 5.1), and the rest.
fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let special = |byte: &u8| b"()<>@,;:\\\"/[]?=".contains(byte);
    let outside = |byte: &u8| !byte.is_ascii_graphic() || special(byte);
    text.split_at(text.iter().position(outside).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_checked_as_go_checks_them() {
        let rows: [(&str, &str, Option<&str>); 10] = [
            ("", "application/octet-stream", None),
            ("Text/Plain", "text/plain", None),
            ("text", "text", None),
            (" text/plain ; a=b; c=\"d;\\\"e\"", "text/plain", None),
            ("text/plain;", "text/plain", None),
            ("text/plain; ;", "text/plain", Some("mime: invalid media parameter")),
            ("text/plain; a=\"b", "text/plain", Some("mime: invalid media parameter")),
            ("text/plain; a=1; A=2", "", Some("mime: duplicate parameter name")),
            ("text/pl ain", "", Some("mime: unexpected content after media subtype")),
            ("text/", "", Some("mime: expected token after slash")),
        ];
        for (field, name, wrong) in rows {
            let expected = (name.as_bytes().to_vec(), wrong);
            assert_eq!(parse(field.as_bytes()), expected, "{field}");
        }
    }
}
