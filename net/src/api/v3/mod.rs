//! The v3 API: what a call asks, and how its answer is told.
//!
//! A call comes over gRPC or, as JSON, by the gateway; `Format` is all the difference. It is
//! parsed into a question that cannot be nonsense (module `parse`), and its answer is written from
//! what the store hands out. Every error has its code and its text in one place (`errors`).

mod call;
mod cluster;
mod errors;
mod method;
mod parse;

pub(super) use call::{Format, begin_as};
pub(super) use method::Method;
pub(crate) use method::methods;

use super::{Begun, View, front};
use crate::grpc::{Code, Status};
use crate::http::Request;
use method::Unknown;

/// Begins a gRPC call.
pub fn begin(request: &Request, view: View<'_>) -> Begun {
    match Method::of_call(&request.path) {
        Ok(method) => begin_as(Format::Grpc, method, request, view),
        Err(unknown) => front::respond(unimplemented(&request.path, &unknown).response()),
    }
}

/// As grpc-go words it.
fn unimplemented(path: &[u8], unknown: &Unknown) -> Status {
    let text = match unknown {
        Unknown::Malformed => {
            format!("malformed method name: {:?}", String::from_utf8_lossy(path))
        }
        Unknown::Service(service) => format!("unknown service {service}"),
        Unknown::Method { service, method } => {
            format!("unknown method {method} for service {service}")
        }
    };
    Status::new(Code::Unimplemented, text)
}
