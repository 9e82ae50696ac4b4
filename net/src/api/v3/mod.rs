//! The v3 API over gRPC.

use super::{Begun, View, front};
use crate::http::Request;

/// Begins a gRPC call.
pub fn begin(_request: &Request, _view: View<'_>) -> Begun {
    front::respond(front::not_found())
}
