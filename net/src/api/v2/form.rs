//! What a v2 request carries beside its path: the fields of its query and of its form body.
//!
//! Parsed as Go's `net/http` parses them, with its texts for what is malformed, because etcd
//! passes those texts on. A body's fields come before the query's, and the first of a name wins.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::media;
use crate::api::go;
use crate::http::{Method, Request};

/// The fields, decoded, in the order in which they count.
#[derive(Debug, Default)]
pub(super) struct Form<'a> {
    fields: Vec<Field<'a>>,
}

/// A name and a value.
type Field<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Form<'a> {
    /// Parses both places.
    ///
    /// # Errors
    /// The text of the first thing that is wrong; a wrong body comes before a wrong query.
    pub(super) fn parse(request: &'a Request) -> Result<Self, String> {
        let mut form = Self::default();
        let mut wrong = None;
        if matches!(request.method, Method::Put | Method::Post) {
            wrong = form.parse_body(request);
        }
        let query = form.parse_fields(request.query.as_deref().unwrap_or_default());
        match wrong.or(query) {
            Some(text) => Err(text),
            None => Ok(form),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value of a name.
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields.find(|(field, _)| field[..] == *name.as_bytes()).map(|(_, value)| &value[..])
    }

    /// A body counts only if its media type is that of a form. One whose parameters are malformed
    /// is read and refused.
    fn parse_body(&mut self, request: &'a Request) -> Option<String> {
        let field = request.headers.first("content-type").unwrap_or_default();
        let (name, wrong) = media::parse(field);
        if name != b"application/x-www-form-urlencoded" {
            return wrong.map(str::to_owned);
        }
        if request.oversized {
            return Some("http: POST too large".to_owned());
        }
        let inner = self.parse_fields(&request.body);
        wrong.map(str::to_owned).or(inner)
    }

    /// Adds all fields that can be read, and tells what is wrong with the others: the first bad
    /// escape, unless a later field has a semicolon.
    fn parse_fields(&mut self, text: &'a [u8]) -> Option<String> {
        let mut wrong = None;
        let mut rest = text;
        while !rest.is_empty() {
            let (field, behind) = cut(rest, b'&');
            rest = behind;
            if field.is_empty() {
                continue;
            }
            if memchr(b';', field).is_some() {
                wrong = Some("invalid semicolon separator in query".to_owned());
                continue;
            }
            let (name, value) = cut(field, b'=');
            match unescape(name).and_then(|name| Ok((name, unescape(value)?))) {
                Ok(field) => self.fields.push(field),
                Err(escape) => {
                    wrong.get_or_insert_with(|| bad_escape(escape));
                }
            }
        }
        wrong
    }
}

/// What stands before the first separator and behind it; nothing behind if there is none.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let Some(place) = memchr(separator, text) else { return (text, &[]) };
    (&text[..place], &text[place + 1..])
}

/// Resolves percent escapes, and plus signs to blanks. The error is the bad escape.
fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, &[u8]> {
    if memchr2(b'%', b'+', text).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        match (byte, behind) {
            (b'%', [high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                plain.push(hex(*high) << 4 | hex(*low));
                rest = &behind[2..];
            }
            (b'%', _) => return Err(&rest[..rest.len().min(3)]),
            (b'+', _) => {
                plain.push(b' ');
                rest = behind;
            }
            _ => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    Ok(Cow::Owned(plain))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn bad_escape(escape: &[u8]) -> String {
    format!("invalid URL escape {}", go::quoted(escape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v2::tests::request;

    #[test]
    fn malformed_forms_are_told_in_the_words_of_go() {
        let form = "application/x-www-form-urlencoded";
        let rows = [
            ("a=%zz", "", form, "invalid URL escape \"%zz\""),
            ("a=%2", "", form, "invalid URL escape \"%2\""),
            ("%=1&b=%q\"q", "", form, "invalid URL escape \"%\""),
            ("a=1;b=2", "", form, "invalid semicolon separator in query"),
            ("a=%zz&b;c", "", form, "invalid semicolon separator in query"),
            ("a=%zz", "b=%yy", form, "invalid URL escape \"%yy\""),
            ("", "a=1", "application/", "mime: expected token after slash"),
            ("", "a=1", "a b", "mime: expected slash after first token"),
            ("", "a=1", ";x=1", "mime: no media type"),
            ("", "a=%zz", "application/x-www-form-urlencoded; x", "mime: invalid media parameter"),
        ];
        for (query, body, media_type, text) in rows {
            let request = request("PUT", "/v2/keys/a", query, media_type, body);
            assert_eq!(Form::parse(&request).err().as_deref(), Some(text));
        }
    }

    #[test]
    fn a_body_counts_first_and_only_as_a_form() {
        let rows = [
            ("PUT", "application/x-www-form-urlencoded", Some("body")),
            ("PUT", "Application/X-WWW-Form-Urlencoded; charset=utf-8", Some("body")),
            ("POST", "application/x-www-form-urlencoded;", Some("body")),
            ("PUT", "application/json", Some("query")),
            ("PUT", "", Some("query")),
            ("PUT", "multipart/form-data; boundary=x", Some("query")),
            ("GET", "application/x-www-form-urlencoded", Some("query")),
            ("DELETE", "application/x-www-form-urlencoded", Some("query")),
        ];
        for (method, media_type, expected) in rows {
            let request = request(method, "/v2/keys/a", "value=query", media_type, "value=body");
            let form = Form::parse(&request).expect("nothing is malformed");
            assert_eq!(form.first("value"), expected.map(str::as_bytes), "{method} {media_type}");
            assert_eq!(form.first("Value"), None, "names are case-sensitive");
        }
    }

    #[test]
    fn escapes_and_plus_signs_are_resolved() {
        let request = request("GET", "/", "a+b=%ff%00+x%2B&&c", "", "");
        let form = Form::parse(&request).expect("nothing is malformed");
        assert_eq!(form.first("a b"), Some(&b"\xff\x00 x+"[..]));
        assert_eq!(form.first("c"), Some(&b""[..]));
    }

    #[test]
    fn a_body_over_the_limit_is_refused_if_it_is_a_form() {
        let mut request = request("PUT", "/v2/keys/a", "", "application/x-www-form-urlencoded", "");
        request.oversized = true;
        assert_eq!(Form::parse(&request).err().as_deref(), Some("http: POST too large"));
    }
}
