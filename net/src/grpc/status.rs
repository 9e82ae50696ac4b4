//! What came of a call.

use std::borrow::Cow;

use bytes::Bytes;

use super::CONTENT_TYPE;
use crate::http::Response;

/// gRPC's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are gRPC's and say all there is to say")]
pub enum Code {
    Ok = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The names of all codes, as grpc-go writes them.
    pub const NAMES: [&'static str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];

    /// The code as it is written.
    #[must_use]
    pub fn digits(self) -> &'static str {
        const DIGITS: [&str; 17] = [
            "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
            "16",
        ];
        DIGITS[self as usize]
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Never [`Code::Ok`].
    pub code: Code,
    /// For people, and for clients that compare texts.
    pub message: Cow<'static, str>,
}

impl Status {
    /// A failure.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The trailers that say so.
    #[must_use]
    pub fn trailers(&self) -> Vec<(&'static str, Bytes)> {
        vec![
            ("grpc-status", Bytes::from_static(self.code.digits().as_bytes())),
            ("grpc-message", percent_encoded(&self.message)),
        ]
    }

    /// The answer that says so and nothing else (trailers-only).
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = Response::new(200, Bytes::new())
            .with("content-type", Bytes::from_static(CONTENT_TYPE.as_bytes()));
        response.headers.extend(self.trailers());
        response
    }
}

/// A message as a header's value: what is not printable ASCII, and `%`, as `%XX`.
fn percent_encoded(message: &str) -> Bytes {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'%';
    if message.bytes().all(plain) {
        return Bytes::copy_from_slice(message.as_bytes());
    }
    let mut encoded = Vec::with_capacity(message.len() * 3);
    for byte in message.bytes() {
        if plain(byte) {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        let rows = [
            ("etcdserver: no leader", "etcdserver: no leader"),
            ("50%", "50%25"),
            ("a\nb", "a%0Ab"),
            ("\u{e9}", "%C3%A9"),
            ("", ""),
        ];
        for (message, encoded) in rows {
            assert_eq!(percent_encoded(message), encoded.as_bytes());
        }
    }
}
