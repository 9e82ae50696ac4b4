//! Requests for the tests of this API's parts.

use bytes::Bytes;

use crate::http::{Headers, Method, Request};

/// A request as a connection would give it. No content type is no field.
pub(super) fn request(
    method: &str,
    path: &str,
    query: &str,
    media_type: &str,
    body: &str,
) -> Request {
    let mut headers = Headers::default();
    if !media_type.is_empty() {
        assert!(headers.push(b"Content-Type", media_type.as_bytes()));
    }
    Request {
        method: Method::of(method.as_bytes()),
        path: Bytes::copy_from_slice(path.as_bytes()),
        query: (!query.is_empty()).then(|| Bytes::copy_from_slice(query.as_bytes())),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        oversized: false,
        secure: false,
        rpc: false,
    }
}
