//! How requests are read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::form::{Base64, Enum, Int64, Name, Names, Uint64};
use crate::proto::{
    Compare, CompareTarget, DeleteRangeRequest, MemberAddRequest, MemberListRequest,
    MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, PutRequest, RangeRequest,
    RequestOp, RequestOpKind, StatusRequest, TxnRequest,
};

/// Reads a message from an object: for each field its names, the form of its value and where the
/// value goes. Nothing but an object is a message.
macro_rules! message {
    ($message:ty { $($names:pat => $form:ty, $set:expr;)* }) => {
        impl<'de> Deserialize<'de> for $message {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $message;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        #[allow(unused_mut, reason = "some messages have no fields")]
                        let mut message = <$message>::default();
                        while let Some(name) = map.next_key::<Name<'de>>()? {
                            match &*name.0 {
                                $($names => {
                                    let set: fn(&mut $message, $form) = $set;
                                    if let Some(value) = map.next_value::<Option<$form>>()? {
                                        set(&mut message, value);
                                    }
                                })*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(message)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    };
}

macro_rules! names {
    ($type:ident: $($name:literal),+) => {
        struct $type;

        impl Names for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
        }
    };
}

names!(SortOrder: "NONE", "ASCEND", "DESCEND");
names!(SortTarget: "KEY", "VERSION", "CREATE", "MOD", "VALUE");
names!(Target: "VERSION", "CREATE", "MOD", "VALUE", "LEASE");
names!(Outcome: "EQUAL", "GREATER", "LESS", "NOT_EQUAL");

message!(RangeRequest {
    "key" => Base64, |it, value| it.key = value.0;
    "range_end" | "rangeEnd" => Base64, |it, value| it.range_end = value.0;
    "limit" => Int64, |it, value| it.limit = value.0;
    "revision" => Int64, |it, value| it.revision = value.0;
    "sort_order" | "sortOrder" => Enum<SortOrder>, |it, value| it.sort_order = value.0;
    "sort_target" | "sortTarget" => Enum<SortTarget>, |it, value| it.sort_target = value.0;
    "serializable" => bool, |it, value| it.serializable = value;
    "keys_only" | "keysOnly" => bool, |it, value| it.keys_only = value;
    "count_only" | "countOnly" => bool, |it, value| it.count_only = value;
    "min_mod_revision" | "minModRevision" => Int64, |it, value| it.min_mod_revision = value.0;
    "max_mod_revision" | "maxModRevision" => Int64, |it, value| it.max_mod_revision = value.0;
    "min_create_revision" | "minCreateRevision" => Int64,
        |it, value| it.min_create_revision = value.0;
    "max_create_revision" | "maxCreateRevision" => Int64,
        |it, value| it.max_create_revision = value.0;
});

message!(PutRequest {
    "key" => Base64, |it, value| it.key = value.0;
    "value" => Base64, |it, value| it.value = value.0;
    "lease" => Int64, |it, value| it.lease = value.0;
    "prev_kv" | "prevKv" => bool, |it, value| it.prev_kv = value;
    "ignore_value" | "ignoreValue" => bool, |it, value| it.ignore_value = value;
    "ignore_lease" | "ignoreLease" => bool, |it, value| it.ignore_lease = value;
});

message!(DeleteRangeRequest {
    "key" => Base64, |it, value| it.key = value.0;
    "range_end" | "rangeEnd" => Base64, |it, value| it.range_end = value.0;
    "prev_kv" | "prevKv" => bool, |it, value| it.prev_kv = value;
});

message!(TxnRequest {
    "compare" => Vec<Compare>, |it, value| it.compare = value;
    "success" => Vec<RequestOp>, |it, value| it.success = value;
    "failure" => Vec<RequestOp>, |it, value| it.failure = value;
});

message!(RequestOp {
    "request_range" | "requestRange" => RangeRequest,
        |it, value| it.request = Some(RequestOpKind::Range(value));
    "request_put" | "requestPut" => PutRequest,
        |it, value| it.request = Some(RequestOpKind::Put(value));
    "request_delete_range" | "requestDeleteRange" => DeleteRangeRequest,
        |it, value| it.request = Some(RequestOpKind::DeleteRange(value));
    "request_txn" | "requestTxn" => TxnRequest,
        |it, value| it.request = Some(RequestOpKind::Txn(value));
});

message!(Compare {
    "result" => Enum<Outcome>, |it, value| it.result = value.0;
    "target" => Enum<Target>, |it, value| it.target = value.0;
    "key" => Base64, |it, value| it.key = value.0;
    "version" => Int64, |it, value| it.target_union = Some(CompareTarget::Version(value.0));
    "create_revision" | "createRevision" => Int64,
        |it, value| it.target_union = Some(CompareTarget::CreateRevision(value.0));
    "mod_revision" | "modRevision" => Int64,
        |it, value| it.target_union = Some(CompareTarget::ModRevision(value.0));
    "value" => Base64, |it, value| it.target_union = Some(CompareTarget::Value(value.0));
    "lease" => Int64, |it, value| it.target_union = Some(CompareTarget::Lease(value.0));
    "range_end" | "rangeEnd" => Base64, |it, value| it.range_end = value.0;
});

message!(MemberListRequest {
    "linearizable" => bool, |it, value| it.linearizable = value;
});

message!(MemberAddRequest {
    "peerURLs" => Vec<String>, |it, value| it.peer_urls = value;
    "isLearner" => bool, |it, value| it.is_learner = value;
});

message!(MemberRemoveRequest {
    "ID" => Uint64, |it, value| it.id = value.0;
});

message!(MemberUpdateRequest {
    "ID" => Uint64, |it, value| it.id = value.0;
    "peerURLs" => Vec<String>, |it, value| it.peer_urls = value;
});

message!(MemberPromoteRequest {
    "ID" => Uint64, |it, value| it.id = value.0;
});

message!(StatusRequest {});

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn both_names_and_all_forms_are_read() {
        let range = RangeRequest {
            key: "a".into(),
            range_end: "z".into(),
            limit: 5,
            sort_order: 2,
            keys_only: true,
            ..Default::default()
        };
        let rows = [
            r#"{"key":"YQ==","range_end":"eg==","limit":5,"sort_order":2,"keys_only":true}"#,
            r#"{"key":"YQ==","rangeEnd":"eg==","limit":"5","sortOrder":"DESCEND","keysOnly":true}"#,
            r#" {"k\u0065y":"YQ==","rangeEnd":"eg==","limit":"5","sortOrder":"DESCEND",
                "keysOnly":true,"revision":null,"nope":{"a":[1,2]}} {"key":"another document"}"#,
        ];
        for text in rows {
            assert_eq!(read::<RangeRequest>(text.as_bytes()), Ok(range.clone()), "{text}");
        }
        for nothing in [" \n", "null", "null x"] {
            assert_eq!(read::<RangeRequest>(nothing.as_bytes()), Ok(RangeRequest::default()));
        }
        assert_eq!(read::<StatusRequest>(b"{\"x\":1}"), Ok(StatusRequest {}));
    }

    #[test]
    fn what_go_forgives_is_forgiven() {
        let bytes = ["YWI=", "YWJ=", "YW\\nI=", "YWI=\\r\\n"].map(|text| format!("\"{text}\""));
        for key in bytes.into_iter().chain(["[97, 98]".to_string()]) {
            let text = format!("{{\"key\":{key}}}");
            let range = read::<RangeRequest>(text.as_bytes());
            assert_eq!(range.map(|range| range.key), Ok("ab".into()), "{text}");
        }
        let range = read::<RangeRequest>(br#"{"limit":" 5 ","key":[]}"#);
        assert_eq!(range.map(|range| range.limit), Ok(5));
    }

    #[test]
    fn oneofs_lie_flat() {
        let text = r#"{"compare":[{"key":"YQ==","target":"MOD","result":"NOT_EQUAL",
            "mod_revision":"7"}],"success":[{"requestPut":{"key":"Yg=="}},{}],"failure":null}"#;
        let txn = read::<TxnRequest>(text.as_bytes()).expect("a transaction");
        let compare = &txn.compare[0];
        assert_eq!((compare.target, compare.result), (2, 3));
        assert_eq!(compare.target_union, Some(CompareTarget::ModRevision(7)));
        assert!(matches!(&txn.success[0].request, Some(RequestOpKind::Put(put)) if put.key == "b"));
        assert_eq!((txn.success.len(), txn.success[1].request.is_none()), (2, true));
    }

    #[test]
    fn nonsense_is_an_error() {
        let deep = format!("{}{}", r#"{"success":[{"request_txn":"#.repeat(100), "{}");
        let rows = [
            r#"{"key":"#,
            "[]",
            r#"{"key":"!!"}"#,
            r#"{"key":"YQ"}"#,
            r#"{"key":"YQ==="}"#,
            r#"{"key":"Y Q=="}"#,
            r#"{"key":123}"#,
            r#"{"key":[256]}"#,
            r#"{"limit":"+1"}"#,
            r#"{"limit":"01"}"#,
            r#"{"limit":"x"}"#,
            r#"{"limit":""}"#,
            r#"{"limit":1.5}"#,
            r#"{"limit":9223372036854775808}"#,
            r#"{"sort_order":"UP"}"#,
            r#"{"keys_only":"true"}"#,
            r#""str""#,
        ];
        for text in rows {
            assert!(read::<RangeRequest>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read::<TxnRequest>(deep.as_bytes()).is_err());
        assert!(read::<TxnRequest>(br#"{"success":[[]]}"#).is_err());
    }
}
