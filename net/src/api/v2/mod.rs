//! The v2 API: `/v2/...`.

use super::{Begun, View, front};
use crate::http::Request;

/// Begins a request below `/v2/`. `path` is decoded and clean; routes and methods are checked here.
pub fn begin(_request: &Request, _path: &[u8], _view: View<'_>) -> Begun {
    front::respond(front::not_found())
}
