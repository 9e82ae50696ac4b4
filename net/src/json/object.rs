//! How objects are written: field by field, straight into the output.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

/// An object that is being written. Fields that are zero are left out.
pub(super) struct Object<'a> {
    pub(super) out: &'a mut BytesMut,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(super) fn open(out: &'a mut BytesMut) -> Self {
        out.put_u8(b'{');
        Self { out, empty: true }
    }

    /// Closes it.
    pub(super) fn close(self) {
        self.out.put_u8(b'}');
    }

    /// A field's name; its value must follow.
    pub(super) fn name(&mut self, name: &str) -> &mut BytesMut {
        self.out.put_slice(if self.empty { b"\"" } else { b",\"" });
        self.out.put_slice(name.as_bytes());
        self.out.put_slice(b"\":");
        self.empty = false;
        self.out
    }

    /// A 64-bit number, as text.
    pub(super) fn number(&mut self, name: &str, value: i64) {
        if value != 0 {
            write!(self.name(name), "\"{value}\"").expect("a buffer grows");
        }
    }

    /// The same without a sign.
    pub(super) fn unsigned(&mut self, name: &str, value: u64) {
        if value != 0 {
            write!(self.name(name), "\"{value}\"").expect("a buffer grows");
        }
    }

    /// A truth.
    pub(super) fn truth(&mut self, name: &str, value: bool) {
        if value {
            self.name(name).put_slice(b"true");
        }
    }

    /// Bytes, as base64.
    pub(super) fn bytes(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            put_base64(self.name(name), value);
        }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            put_text(self.name(name), value);
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            list(self.name(name), values, |out, text| put_text(out, text));
        }
    }
}

/// Writes a list.
pub(super) fn list<T>(out: &mut BytesMut, values: &[T], mut put: impl FnMut(&mut BytesMut, &T)) {
    let mut before = b'[';
    for value in values {
        out.put_u8(before);
        put(out, value);
        before = b',';
    }
    if values.is_empty() {
        out.put_u8(b'[');
    }
    out.put_u8(b']');
}

/// Writes a text with its quotes and escapes.
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    let quoted = serde_json::to_string(text).expect("text is always JSON");
    out.put_slice(quoted.as_bytes());
}

fn put_base64(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u8(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    assert_eq!(written, Ok(out.len() - start), "base64 has four bytes for three");
    out.put_u8(b'"');
}
