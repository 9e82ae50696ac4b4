//! The messages of etcd's v3 API as JSON (proto3's mapping, as etcd 3.5's gateway speaks it).
//!
//! Reading and writing are streams: no tree of values is built. What is read may name fields in
//! either form (`range_end`, `rangeEnd`), give 64-bit numbers as text or as numbers and enums by
//! name or number; unknown fields are passed over and null is absent. What is written has names
//! with underscores, 64-bit numbers as text and bytes as padded base64, and leaves zeros out.

mod answer;
mod form;
mod member;
mod object;
mod request;

pub use answer::answer;
pub use member::{error, members, status};

use serde::Deserialize;

/// Reads a message. Nothing at all is the empty message, and so is null; what follows the first
/// document is ignored (as in etcd). Nesting is bounded by the reader (128 levels).
///
/// # Errors
/// A text for the client: what is wrong, and where.
pub fn read<'a, M: Default + Deserialize<'a>>(text: &'a [u8]) -> Result<M, String> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(M::default());
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let message = Option::<M>::deserialize(&mut reader);
    message.map(Option::unwrap_or_default).map_err(|error| error.to_string())
}
