//! The v3 API as JSON over HTTP: the paths below `/v3/`, and how answers and errors look there.

use bytes::Bytes;

use super::front::{plain_error, respond};
use super::v3::{self, Format};
use super::{Begun, View};
use crate::grpc::{Code, Status};
use crate::http::{Body, Method, Request, Response};
use crate::json;

/// Begins a request below `/v3/`. `path` is decoded and clean.
pub fn begin(request: &Request, path: &[u8], view: View<'_>) -> Begun {
    let method = path.strip_prefix(b"/v3").and_then(v3::Method::of_path);
    let Some(method) = method else {
        return respond(plain_error(404, "Not Found"));
    };
    if request.method != Method::Post {
        // Unlike the v2 API, the gateway does not say which method is allowed.
        return respond(plain_error(405, "Method Not Allowed"));
    }
    if request.oversized {
        let text = "grpc: received message larger than max";
        return respond(failed(&Status::new(Code::ResourceExhausted, text)));
    }
    v3::begin_as(Format::Json, method, request, view)
}

/// The answer to a call that succeeded.
pub(super) fn succeeded(body: Body) -> Response {
    const JSON: Bytes = Bytes::from_static(b"application/json");
    const GRPC: Bytes = Bytes::from_static(b"application/grpc");
    Response { body, ..Response::new(200, Bytes::new()) }
        .with("Content-Type", JSON)
        .with("Grpc-Metadata-Content-Type", GRPC)
}

/// The answer to a call that failed.
pub(super) fn failed(status: &Status) -> Response {
    Response::new(http_status(status.code), json::error(status))
        .with("Content-Type", &b"application/json"[..])
}

/// HTTP's status for gRPC's, as the gateway up to 3.5 has it.
fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Canceled => 408,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unauthenticated => 401,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}
