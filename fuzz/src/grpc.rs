//! gRPC: the frame around messages, and the messages of the v3 API.

use std::fmt::Debug;

use bytes::Bytes;
use prost::Message;
use quorra_net::grpc::{self, MessageReader, Refusal};
use quorra_net::proto;

use crate::pieces;
use crate::question::{Asked, call};

const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Any split of the bytes gives the same messages. Each is read as a request of every method: what
/// can be decoded comes back when it is encoded again, and is answered or becomes a question.
pub fn run(bytes: &[u8]) {
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&pieces::split(bytes)), "any split gives the same messages");
    let (messages, _) = whole;
    let asked = Asked::new();
    for message in messages {
        check::<proto::RangeRequest>(&message);
        check::<proto::PutRequest>(&message);
        check::<proto::DeleteRangeRequest>(&message);
        check::<proto::TxnRequest>(&message);
        for method in ["KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "Cluster/MemberList"] {
            let path = format!("/etcdserverpb.{method}");
            asked.begin(&call(&path, message.clone()));
        }
    }
    std::hint::black_box(grpc::timeout(bytes));
}

fn read(pieces: &[&[u8]]) -> (Vec<Bytes>, Option<Refusal>) {
    let (mut reader, mut messages) = (MessageReader::default(), Vec::new());
    for piece in pieces {
        let told = reader.read(piece, MESSAGE_BYTES_MAX, |message| messages.push(message));
        if let Err(refusal) = told {
            return (messages, Some(refusal));
        }
        assert!(reader.pending_bytes() < MESSAGE_BYTES_MAX + 5, "what waits is bounded");
    }
    (messages, None)
}

fn check<M: Message + Default + PartialEq + Debug>(bytes: &Bytes) {
    let Ok(message) = M::decode(bytes.clone()) else { return };
    let again = M::decode(&message.encode_to_vec()[..]);
    assert_eq!(again, Ok(message), "what is encoded is decoded");
}
