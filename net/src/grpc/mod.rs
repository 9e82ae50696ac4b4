//! What gRPC adds to HTTP/2: messages with a prefix, a status behind the answer, a time limit.
//!
//! A call is a POST to `/service/Method` whose body is a sequence of messages, each behind five
//! bytes: a flag for compression and the length. The answer's HTTP status is always 200; what came
//! of the call stands in the trailers. Requests in a compressed encoding are refused by name.

mod message;
mod status;
mod timeout;

pub use message::{MessageReader, PREFIX_BYTES, Refusal, put_prefix};
pub use status::{Code, Status};
pub use timeout::timeout;

use bytes::Bytes;

use crate::http::{Body, Response};

/// The content type of every answer, and the beginning of every request's.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Whether a request of this content type is a call: gRPC's, alone or with a subtype behind it.
#[must_use]
pub fn is_content_type(value: &[u8]) -> bool {
    let rest = value.strip_prefix(CONTENT_TYPE.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The answer to a call that succeeded; the body holds messages with their prefixes.
#[must_use]
pub fn respond(body: Body) -> Response {
    Response {
        status: 200,
        headers: vec![("content-type", Bytes::from_static(CONTENT_TYPE.as_bytes()))],
        forwarded: None,
        body,
        trailers: vec![("grpc-status", Bytes::from_static(b"0"))],
    }
}
