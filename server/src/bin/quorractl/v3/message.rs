//! The messages of the v3 API as a client sees them.
//!
//! They are read from the gateway's JSON (64-bit numbers as text, zeros left out) and written as
//! etcdctl's `-w json` has them (numbers as numbers, the names of Go's structs).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-bit number: text or a number when read, a number when written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Number<N>(pub(super) N);

/// With a sign.
pub(super) type Signed = Number<i64>;
/// Without.
pub(super) type Unsigned = Number<u64>;

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled<N> {
    Number(N),
    Text(String),
}

impl<'de, N: Deserialize<'de> + std::str::FromStr> Deserialize<'de> for Number<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Spelled::deserialize(deserializer)? {
            Spelled::Number(number) => Ok(Self(number)),
            Spelled::Text(text) => {
                text.parse().map(Self).map_err(|_| D::Error::custom("not a number"))
            }
        }
    }
}

/// Bytes, base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// Bytes as a request has them.
pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares messages whose fields may all be missing and are left out when they are zero.
macro_rules! messages {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default)]
        pub(super) struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "is_default")]
                pub(super) $field: $type,
            )*
        }
    )*};
}

messages! {
    /// What every answer begins with.
    Header {
        cluster_id: Unsigned,
        member_id: Unsigned,
        revision: Signed,
        raft_term: Unsigned,
    }
    /// A key and its value.
    KeyValue {
        key: Bytes,
        create_revision: Signed,
        mod_revision: Signed,
        version: Signed,
        value: Bytes,
        lease: Signed,
    }
    /// The answer to `Range`.
    RangeResponse {
        header: Option<Header>,
        kvs: Vec<KeyValue>,
        more: bool,
        count: Signed,
    }
    /// The answer to `Put`.
    PutResponse {
        header: Option<Header>,
        prev_kv: Option<KeyValue>,
    }
    /// The answer to `DeleteRange`.
    DeleteRangeResponse {
        header: Option<Header>,
        deleted: Signed,
        prev_kvs: Vec<KeyValue>,
    }
    /// The answer to `Txn`.
    TxnResponse {
        header: Option<Header>,
        succeeded: bool,
        responses: Vec<ResponseOp>,
    }
    /// A member of the cluster.
    Member {
        #[serde(rename = "ID")]
        id: Unsigned,
        name: String,
        #[serde(rename = "peerURLs")]
        peer_urls: Vec<String>,
        #[serde(rename = "clientURLs")]
        client_urls: Vec<String>,
        #[serde(rename = "isLearner")]
        is_learner: bool,
    }
    /// The answer to each change of the members, and to their listing.
    MembersResponse {
        header: Option<Header>,
        member: Option<Member>,
        members: Vec<Member>,
    }
    /// The answer to `Status`.
    StatusResponse {
        header: Option<Header>,
        version: String,
        #[serde(rename = "dbSize")]
        db_size: Signed,
        leader: Unsigned,
        #[serde(rename = "raftIndex")]
        raft_index: Unsigned,
        #[serde(rename = "raftTerm")]
        raft_term: Unsigned,
        #[serde(rename = "raftAppliedIndex")]
        raft_applied_index: Unsigned,
        errors: Vec<String>,
        #[serde(rename = "dbSizeInUse")]
        db_size_in_use: Signed,
        #[serde(rename = "isLearner")]
        is_learner: bool,
    }
}

/// The answer to one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) enum ResponseOp {
    #[serde(rename = "response_range")]
    Range(RangeResponse),
    #[serde(rename = "response_put")]
    Put(PutResponse),
    #[serde(rename = "response_delete_range")]
    DeleteRange(DeleteRangeResponse),
    #[serde(rename = "response_txn")]
    Txn(TxnResponse),
}

impl Serialize for ResponseOp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Go wraps the message into a field of its oneof's type.
        #[derive(Serialize)]
        enum Response<'a> {
            #[serde(rename = "ResponseRange")]
            Range(&'a RangeResponse),
            #[serde(rename = "ResponsePut")]
            Put(&'a PutResponse),
            #[serde(rename = "ResponseDeleteRange")]
            DeleteRange(&'a DeleteRangeResponse),
            #[serde(rename = "ResponseTxn")]
            Txn(&'a TxnResponse),
        }
        #[derive(Serialize)]
        struct Wrapped<'a> {
            #[serde(rename = "Response")]
            response: Response<'a>,
        }
        let response = match self {
            Self::Range(message) => Response::Range(message),
            Self::Put(message) => Response::Put(message),
            Self::DeleteRange(message) => Response::DeleteRange(message),
            Self::Txn(message) => Response::Txn(message),
        };
        Wrapped { response }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_json_becomes_gos() {
        let gateway = r#"{"header":{"cluster_id":"14841639068965178418","member_id":
            "10276657743932975437","revision":"6","raft_term":"2"},"succeeded":true,"responses":[
            {"response_put":{"header":{"revision":"6"}}},
            {"response_range":{"kvs":[{"key":"YQ==","create_revision":"2","value":"IA=="}],
            "count":"1"}}]}"#;
        let message: TxnResponse = serde_json::from_str(gateway).expect("an answer");
        assert_eq!(
            crate::go::json(&message),
            concat!(
                r#"{"header":{"cluster_id":14841639068965178418,"member_id":10276657743932975437,"#,
                r#""revision":6,"raft_term":2},"succeeded":true,"responses":[{"Response":"#,
                r#"{"ResponsePut":{"header":{"revision":6}}}},{"Response":{"ResponseRange":"#,
                r#"{"kvs":[{"key":"YQ==","create_revision":2,"value":"IA=="}],"count":1}}}]}"#
            )
        );
    }

    #[test]
    fn numbers_are_read_in_both_spellings() {
        for text in [r#"{"deleted":"3"}"#, r#"{"deleted":3}"#] {
            let message: DeleteRangeResponse = serde_json::from_str(text).expect(text);
            assert_eq!(message.deleted, Number(3));
        }
        for text in [r#"{"deleted":"x"}"#, r#"{"deleted":{}}"#, r#"{"kvs":[{"key":"!"}]}"#] {
            let message: Result<DeleteRangeResponse, _> = serde_json::from_str(text);
            let range: Result<RangeResponse, _> = serde_json::from_str(text);
            assert!(message.is_err() || range.is_err(), "{text}");
        }
    }
}
