//! A request's head: found, parsed, and refused where its meaning is in doubt.
//!
//! Two servers that read one byte sequence differently can be played against each other (request
//! smuggling), so framing is strict: lines end in CRLF, fields are not folded, and a body has one
//! length or none (RFC 9112, sections 2.2, 5.2 and 6.3).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::as_conversions))]

use std::mem::MaybeUninit;

use bytes::Bytes;

use crate::http::{Headers, Method};

/// Fields that are parsed without an allocation.
const FIELDS_USUAL: usize = 48;
/// The most fields of one head.
const FIELDS_MAX: usize = 4_096;

/// Why a request is not served, as a status and Go's few words behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: &'static str,
}

impl Refusal {
    pub(super) const HEAD_TOO_LARGE: Self = Self { status: 431, detail: "" };
    pub(super) const TIMEOUT: Self = Self { status: 408, detail: "" };

    pub(super) const fn bad(detail: &'static str) -> Self {
        Self { status: 400, detail }
    }
}

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; zero is no body.
    Length(u64),
    /// In chunks (RFC 9112, 7.1).
    Chunked,
}

/// A parsed head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: Bytes,
    pub(super) query: Option<Bytes>,
    pub(super) headers: Headers,
    pub(super) framing: Framing,
    /// HTTP/1.0: no chunks in the answer.
    pub(super) old: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// Looks for the empty line that ends a head. `scanned` says how much was looked at before, and is
/// moved on; it always stands at the start of a line or inside the last, unended one.
///
/// Returns the head's length with the empty line, if it is there.
pub(super) fn find_end(input: &[u8], scanned: &mut usize) -> Result<Option<usize>, Refusal> {
    let mut from = *scanned;
    while let Some(rest) = input.get(from..) {
        let Some(length) = memchr::memchr(b'\n', rest) else {
            *scanned = input.len();
            return Ok(None);
        };
        let newline = from.saturating_add(length);
        let before = input.get(..newline).unwrap_or_default();
        if !before.ends_with(b"\r") {
            return Err(Refusal::bad("line feed without carriage return"));
        }
        from = newline.saturating_add(1);
        if before.ends_with(b"\r\n\r") {
            *scanned = 0;
            return Ok(Some(from));
        }
    }
    *scanned = from;
    Ok(None)
}

/// Parses a head that [`find_end`] found.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_USUAL];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(_)) => head_of(&request),
        Ok(httparse::Status::Partial) => Err(Refusal::bad("")),
        Err(httparse::Error::TooManyHeaders) => parse_many(bytes),
        Err(httparse::Error::Token) => match with_escaped_target(bytes) {
            Some(head) => parse(&head),
            None => Err(refusal_of(httparse::Error::Token)),
        },
        Err(error) => Err(refusal_of(error)),
    }
}

/// The head with what is not ASCII in its target as percent escapes, which mean the same. Clients
/// send names as they are, Latin-1 as well (node-etcd), and Go's server takes every byte, but
/// httparse only UTF-8. None if there is nothing to escape.
fn with_escaped_target(bytes: &[u8]) -> Option<Vec<u8>> {
    let (line, fields) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    let (method, target) = line.split_at_checked(memchr::memchr(b' ', line)?)?;
    if target.is_ascii() {
        return None;
    }
    let mut out = method.to_vec();
    for byte in target {
        match byte {
            0x80.. => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.extend_from_slice(fields);
    Some(out)
}

fn parse_many(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut fields = vec![httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => head_of(&request),
        Ok(httparse::Status::Partial) => Err(Refusal::bad("")),
        Err(error) => Err(refusal_of(error)),
    }
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HEAD_TOO_LARGE,
        httparse::Error::Version => Refusal { status: 505, detail: "unsupported protocol version" },
        _ => Refusal::bad(""),
    }
}

fn head_of(request: &httparse::Request<'_, '_>) -> Result<Head, Refusal> {
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refusal::bad(""));
    };
    let target = Target::of(target.as_bytes())?;
    let meaning = Meaning::of(request.headers, version == 0)?;
    if !meaning.has_host && version == 1 {
        return Err(Refusal::bad("missing required Host header"));
    }
    let text = request.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
    let mut headers = Headers::with_capacity(request.headers.len(), text);
    if let Some(authority) = target.authority {
        headers.push(b"Host", authority);
    }
    let overridden = |name: &str| target.authority.is_some() && name.eq_ignore_ascii_case("host");
    for field in request.headers.iter().filter(|field| !overridden(field.name)) {
        headers.push(field.name.as_bytes(), field.value);
    }
    Ok(Head {
        method: Method::of(method.as_bytes()),
        path: Bytes::copy_from_slice(target.path),
        query: target.query.map(Bytes::copy_from_slice),
        headers,
        framing: meaning.framing()?,
        old: version == 0,
        keep_alive: meaning.keep_alive,
        expects_continue: meaning.expects_continue,
    })
}

/// A request target (RFC 9112, 3.2). One in absolute form overrides the host field.
struct Target<'a> {
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    fn of(target: &'a [u8]) -> Result<Self, Refusal> {
        let absolute =
            [&b"http://"[..], b"https://"].iter().find_map(|scheme| target.strip_prefix(*scheme));
        let (authority, rest) = match absolute {
            Some(rest) => {
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            None => (None, target),
        };
        let question = memchr::memchr(b'?', rest);
        let (path, query) = rest.split_at(question.unwrap_or(rest.len()));
        let path = if path.is_empty() && authority.is_some() { b"/" } else { path };
        if !path.starts_with(b"/") && path != b"*" {
            return Err(Refusal::bad("malformed request target"));
        }
        Ok(Self { authority, path, query: query.strip_prefix(b"?") })
    }
}

/// What the fields say that concern the connection.
struct Meaning {
    old: bool,
    keep_alive: bool,
    expects_continue: bool,
    has_host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Meaning {
    fn of(fields: &[httparse::Header<'_>], old: bool) -> Result<Self, Refusal> {
        let mut meaning = Self {
            old,
            keep_alive: !old,
            expects_continue: false,
            has_host: false,
            length: None,
            chunked: false,
        };
        for field in fields {
            // Few names have one of these lengths: most fields cost one comparison.
            match field.name.len() {
                4 | 6 | 10 | 14 | 17 => meaning.read(field)?,
                _ => {}
            }
        }
        Ok(meaning)
    }

    fn read(&mut self, field: &httparse::Header<'_>) -> Result<(), Refusal> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            if self.has_host {
                return Err(Refusal::bad("too many Host headers"));
            }
            self.has_host = true;
        } else if is("content-length") {
            self.read_length(field.value)?;
        } else if is("transfer-encoding") {
            self.read_encoding(field.value)?;
        } else if is("connection") {
            self.read_connection(field.value);
        } else if is("expect") {
            if !field.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal { status: 417, detail: "" });
            }
            self.expects_continue = !self.old;
        }
        Ok(())
    }

    fn read_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::bad("too many Content-Length headers"));
        }
        self.length = Some(length(value)?);
        Ok(())
    }

    fn read_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked {
            return Err(Refusal::bad("too many transfer encodings"));
        }
        if self.old {
            return Err(Refusal::bad("transfer encoding in an HTTP/1.0 request"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal { status: 501, detail: "unsupported transfer encoding" });
        }
        self.chunked = true;
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.old {
                self.keep_alive = true;
            }
        }
    }

    fn framing(&self) -> Result<Framing, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::bad("both Content-Length and Transfer-Encoding")),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// A body's length as a field tells it: decimal digits and nothing else.
pub(super) fn length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or(Refusal::bad("bad Content-Length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(text: &str) -> u16 {
        let mut scanned = 0;
        match find_end(text.as_bytes(), &mut scanned) {
            Err(refusal) => refusal.status,
            Ok(None) => 0,
            Ok(Some(end)) => match parse(&text.as_bytes()[..end]) {
                Ok(_) => 200,
                Err(refusal) => refusal.status,
            },
        }
    }

    #[test]
    fn doubtful_heads_are_refused() {
        let rows = [
            (200, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "GET / HTTP/1.0\r\n\r\n"),
            (200, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "GET http://a/b?c HTTP/1.1\r\nHost: z\r\n\r\n"),
            (200, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            (0, "GET / HTTP/1.1\r\nHost: a\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\nHost: a\n\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"),
            (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            (400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            (400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n"),
            (400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
            (400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
            (400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
            (
                400,
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            (400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (417, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"),
        ];
        for (status, text) in rows {
            assert_eq!(status_of(text), status, "{text:?}");
        }
    }

    #[test]
    fn an_absolute_target_overrides_the_host() {
        let head = parse(b"GET http://b:1?q HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is valid");
        assert_eq!(head.headers.all("host").collect::<Vec<_>>(), [b"b:1"]);
        assert_eq!((&head.path[..], head.query.as_deref()), (&b"/"[..], Some(&b"q"[..])));
    }

    #[test]
    fn targets_hold_any_byte_beyond_ascii() {
        let rows: [(&[u8], Option<&[u8]>); 5] = [
            ("GET /\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), Some("/\u{fc}".as_bytes())),
            (b"GET /\xfc?\xff HTTP/1.1\r\nHost: a\r\n\r\n", Some(b"/%fc")),
            (b"GET http://a/\xfc HTTP/1.1\r\nHost: a\r\n\r\n", Some(b"/%fc")),
            (b"G\xfc /\xfc HTTP/1.1\r\nHost: a\r\n\r\n", None),
            (b"GET /\xfc\x01 HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ];
        for (bytes, path) in rows {
            let found = parse(bytes).ok().map(|head| head.path);
            assert_eq!(found.as_deref(), path, "{bytes:?}");
        }
    }

    #[test]
    fn many_fields_are_taken_up_to_a_bound() {
        let with = |count: usize| {
            let fields = "a: b\r\n".repeat(count);
            parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
        };
        assert_eq!(with(2_000).expect("fits").headers.iter().count(), 2_001);
        assert_eq!(with(FIELDS_MAX).expect_err("too many").status, 431);
    }
}
