//! The gateway's bodies: the v3 API's messages as JSON.

use std::fmt::Debug;

use bytes::Bytes;
use prost::Message;
use quorra_net::json;
use quorra_net::proto;

use crate::question::{Answer, Asked, call, request};

/// A body that can be read says the same as protobuf: it comes back when it is encoded and decoded,
/// and the gateway asks what gRPC asks.
pub fn run(bytes: &[u8]) {
    let asked = Asked::new();
    let same = |path: &str, method: &str, message: Option<Vec<u8>>| {
        let body = Bytes::copy_from_slice(bytes);
        let by_json = asked.begin(&request(b"POST", path.as_bytes(), b"", body));
        if let Some(message) = message {
            match (by_json, asked.begin(&call(method, message.into()))) {
                (Answer::Status(_), Answer::Status(_)) => {}
                (by_json, by_grpc) => assert_eq!(by_json, by_grpc, "both ways ask the same"),
            }
        }
    };
    let range = read(json::read::<proto::RangeRequest>(bytes));
    same("/v3/kv/range", "/etcdserverpb.KV/Range", range);
    let put = read(json::read::<proto::PutRequest>(bytes));
    same("/v3/kv/put", "/etcdserverpb.KV/Put", put);
    let delete = read(json::read::<proto::DeleteRangeRequest>(bytes));
    same("/v3/kv/deleterange", "/etcdserverpb.KV/DeleteRange", delete);
    let txn = read(json::read::<proto::TxnRequest>(bytes));
    same("/v3/kv/txn", "/etcdserverpb.KV/Txn", txn);
    same("/v3/cluster/member/list", "", None);
    same("/v3/maintenance/status", "", None);
}

/// The message's bytes.
fn read<M: Message + Default + PartialEq + Debug>(read: Result<M, String>) -> Option<Vec<u8>> {
    let message = read.ok()?;
    let bytes = message.encode_to_vec();
    let again = M::decode(&bytes[..]);
    assert_eq!(again.as_ref(), Ok(&message), "what is encoded is decoded");
    Some(bytes)
}
