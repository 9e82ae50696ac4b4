//! serde and bincode, in this one module. Nothing durable is written with them: both sides of a
//! connection have agreed on the protocol's version first.

use bytes::{Bytes, BytesMut};
use quorra_core::codec::{DecodeError, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What decoding may allocate, whatever counts the bytes claim.
const DECODED_BYTES_MAX: usize = 4 << 20;

/// Appends a value.
pub(super) fn put<T: Serialize>(out: &mut BytesMut, value: &T) {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("plain data with derived serialisers can always be encoded");
    out.put_bytes(&bytes);
}

/// The value that fills `content` exactly.
pub(super) fn get<T: DeserializeOwned>(content: &Bytes) -> Result<T, DecodeError> {
    let configuration = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();
    match bincode::serde::decode_from_slice(content, configuration) {
        Ok((value, length)) if length == content.len() => Ok(value),
        Ok((_, length)) => {
            Err(DecodeError { rule: "bytes behind a control message", offset: length })
        }
        Err(_) => Err(DecodeError { rule: "a control message is malformed", offset: 0 }),
    }
}
