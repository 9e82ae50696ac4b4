//! The v3 API as JSON over HTTP.

use super::{Begun, View, front};
use crate::http::Request;

/// Begins a request below `/v3/`. `path` is decoded and clean.
pub fn begin(_request: &Request, _path: &[u8], _view: View<'_>) -> Begun {
    front::respond(front::not_found())
}
