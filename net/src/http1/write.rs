//! Answers as HTTP/1.1 bytes, appended to a connection's output at once.

use bytes::{Bytes, BytesMut};

use super::client::Question;
use super::head::Refusal;
use crate::http::{Headers, Method};

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// So many bytes.
    Length(u64),
    /// In chunks, until an empty one.
    Chunked,
    /// With the connection.
    Close,
    /// There is none, nor a length (RFC 9110, 8.6).
    None,
}

/// What is written before a body.
pub(super) struct HeadLine<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a [(&'static str, Bytes)],
    pub(super) forwarded: Option<&'a Headers>,
    pub(super) delimiter: Delimiter,
    pub(super) date: &'a str,
    /// Said only where the version's default is another.
    pub(super) connection: Option<&'static str>,
}

impl HeadLine<'_> {
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.reserve(256);
        out.extend_from_slice(b"HTTP/1.1 ");
        put_decimal(out, u64::from(self.status));
        out.extend_from_slice(b" ");
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in self.headers {
            put_field(out, name.as_bytes(), value);
        }
        for (name, value) in self.forwarded.into_iter().flat_map(Headers::iter) {
            put_field(out, name, value);
        }
        put_field(out, b"Date", self.date.as_bytes());
        if let Some(connection) = self.connection {
            put_field(out, b"Connection", connection.as_bytes());
        }
        match self.delimiter {
            Delimiter::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                put_decimal(out, length);
                out.extend_from_slice(b"\r\n\r\n");
            }
            Delimiter::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            Delimiter::Close | Delimiter::None => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// A whole request, as a client sends it.
pub(super) fn put_question(out: &mut BytesMut, question: Question<'_>) {
    let Question { method, path, query, headers, body } = question;
    out.reserve(256 + body.len());
    out.extend_from_slice(method.token());
    out.extend_from_slice(b" ");
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.extend_from_slice(b"?");
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers.iter() {
        put_field(out, name, value);
    }
    // A method that usually has a body says so when it has none (RFC 9110, 8.6).
    if !body.is_empty() || matches!(method, Method::Put | Method::Post | Method::Patch) {
        out.extend_from_slice(b"Content-Length: ");
        put_decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Go's answer to a request that it cannot serve. The connection closes behind it.
pub(super) fn put_refusal(out: &mut BytesMut, refusal: Refusal) {
    let Refusal { status, detail } = refusal;
    let separator = if detail.is_empty() { "" } else { ": " };
    let body = format!("{status} {}{separator}{detail}", reason(status));
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        reason(status),
        body.len(),
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// One chunk; nothing for no bytes, because an empty chunk would end the body.
pub(super) fn put_chunk(out: &mut BytesMut, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body.
pub(super) fn put_last_chunk(out: &mut BytesMut) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// A field. A line break inside a value would start another field: it becomes a blank, as in Go.
fn put_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    if memchr::memchr2(b'\r', b'\n', value).is_some() {
        let safe = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        out.extend(value.iter().map(safe));
    } else {
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\r\n");
}

fn put_decimal(out: &mut BytesMut, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(value % 10).expect("a decimal digit fits a byte");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Go's words for a status.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_in_full() {
        for value in [0, 7, 10, 1_234_567, u64::MAX] {
            let mut out = BytesMut::new();
            put_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn a_value_cannot_start_another_field() {
        let mut out = BytesMut::new();
        put_field(&mut out, b"Location", b"/a\r\nSet-Cookie: b");
        assert_eq!(out, &b"Location: /a  Set-Cookie: b\r\n"[..]);
    }
}
