//! Both APIs in the few words that these tests need.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorra::client::{self, Request};
use serde_json::{Value, json};

use crate::cluster::{Member, REQUEST_TIMEOUT};

/// One of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    V2,
    V3,
}

/// Keys and values.
pub(crate) type Pairs = BTreeMap<String, String>;

impl Api {
    /// Writes a key; the term in which it was acknowledged (zero for v3, which may not say).
    pub(crate) fn put(self, member: &Member, key: &str, value: &str) -> Result<u64, String> {
        let (path, content_type, method, body) = match self {
            Self::V2 => (
                format!("/v2/keys/{key}"),
                "application/x-www-form-urlencoded",
                "PUT",
                format!("value={value}"),
            ),
            Self::V3 => (
                "/v3/kv/put".to_string(),
                "application/json",
                "POST",
                json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)}).to_string(),
            ),
        };
        let request = Request { method, path: &path, content_type, body: body.as_bytes() };
        let answer = client::exchange(&member.client, &request, REQUEST_TIMEOUT)
            .map_err(|error| error.to_string())?;
        if !matches!(answer.status, 200 | 201) {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        Ok(answer.header("x-raft-term").and_then(|term| term.parse().ok()).unwrap_or_default())
    }

    /// Everything below a prefix that ends in a slash, as this member alone has it.
    pub(crate) fn local_pairs(self, member: &Member, prefix: &str) -> Option<Pairs> {
        match self {
            Self::V2 => {
                let path = format!("/v2/keys/{}?recursive=true", prefix.trim_end_matches('/'));
                let mut pairs = Pairs::new();
                collect(&member.json(&path)?["node"], &mut pairs);
                Some(pairs)
            }
            Self::V3 => range(member, prefix, true),
        }
    }

    /// Reads through the cluster's quorum: afterwards the member has all that was acknowledged.
    pub(crate) fn quorum_read(self, member: &Member, prefix: &str) -> bool {
        match self {
            Self::V2 => member
                .json(&format!("/v2/keys/{}?quorum=true", prefix.trim_end_matches('/')))
                .is_some_and(|answer| answer["node"].is_object()),
            Self::V3 => range(member, prefix, false).is_some(),
        }
    }
}

fn collect(node: &Value, pairs: &mut Pairs) {
    if let (Some(key), Some(value)) = (node["key"].as_str(), node["value"].as_str()) {
        pairs.insert(key.trim_start_matches('/').to_string(), value.to_string());
    }
    for child in node["nodes"].as_array().into_iter().flatten() {
        collect(child, pairs);
    }
}

fn range(member: &Member, prefix: &str, serializable: bool) -> Option<Pairs> {
    // The byte behind the slash ends the range of its prefix.
    let end = format!("{}0", prefix.strip_suffix('/')?);
    let body = json!({
        "key": STANDARD.encode(prefix),
        "range_end": STANDARD.encode(end),
        "serializable": serializable,
    })
    .to_string();
    let request = Request {
        method: "POST",
        path: "/v3/kv/range",
        content_type: "application/json",
        body: body.as_bytes(),
    };
    let answer = client::exchange(&member.client, &request, REQUEST_TIMEOUT).ok()?;
    if answer.status != 200 {
        return None;
    }
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    let text = |value: &Value| -> Option<String> {
        String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()
    };
    let pairs = answer["kvs"].as_array().into_iter().flatten();
    pairs.map(|pair| Some((text(&pair["key"])?, text(&pair["value"])?))).collect()
}
