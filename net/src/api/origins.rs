//! Cross-origin requests: which origins browsers may call from, and what they are told.

use bytes::Bytes;

use crate::http::{Request, Response};

/// `--cors`.
#[derive(Debug)]
pub(crate) struct Origins {
    /// None allows every origin.
    listed: Option<Vec<String>>,
}

impl Origins {
    /// As the flag says; nothing or `*` allows every origin.
    pub(crate) fn new(list: &[String]) -> Self {
        let all = list.is_empty() || list.iter().any(|entry| entry == "*");
        Self { listed: (!all).then(|| list.to_vec()) }
    }

    /// The origin that is told to be allowed, if the request's is.
    pub(crate) fn allowed(&self, request: &Request) -> Option<Bytes> {
        let Some(listed) = &self.listed else { return Some(Bytes::from_static(b"*")) };
        let origin = request.headers.first("origin")?;
        let known = listed.iter().any(|entry| entry.as_bytes() == origin);
        known.then(|| Bytes::copy_from_slice(origin))
    }
}

/// Adds etcd's fields for an allowed origin to an answer.
pub(crate) fn allow(response: &mut Response, origin: &Bytes) {
    response.headers.extend([
        ("Access-Control-Allow-Methods", Bytes::from_static(b"POST, GET, OPTIONS, PUT, DELETE")),
        ("Access-Control-Allow-Origin", origin.clone()),
        (
            "Access-Control-Allow-Headers",
            Bytes::from_static(b"accept, content-type, authorization"),
        ),
    ]);
}
