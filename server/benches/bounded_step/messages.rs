//! The protobuf messages of the cases, written by hand: fields of bytes, and flags.

const KEY: &[u8] = b"bench/";
/// Behind every key that begins with [`KEY`].
const RANGE_END: &[u8] = b"bench0";

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).expect("requests are small");
    assert!(length < 128, "a length of one byte");
    out.extend([field << 3 | 2, length]);
    out.extend(bytes);
}

fn put_flag(out: &mut Vec<u8>, field: u8, flag: bool) {
    out.extend([field << 3, u8::from(flag)]);
}

fn interval() -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, KEY);
    put_bytes(&mut out, 2, RANGE_END);
    out
}

/// `RangeRequest` of all keys.
pub(crate) fn range(count_only: bool) -> Vec<u8> {
    let mut out = interval();
    put_flag(&mut out, 9, count_only);
    out
}

/// `TxnRequest` that reads all keys and writes one.
pub(crate) fn reading_txn() -> Vec<u8> {
    let mut put = Vec::new();
    put_bytes(&mut put, 1, b"read");
    put_bytes(&mut put, 2, b"all");
    txn(&[(1, range(false)), (2, put)])
}

/// `TxnRequest` that deletes all keys.
pub(crate) fn deleting_txn(previous: bool) -> Vec<u8> {
    let mut delete = interval();
    put_flag(&mut delete, 3, previous);
    txn(&[(3, delete)])
}

/// A transaction of these `RequestOp`s.
fn txn(operations: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, message) in operations {
        let mut operation = Vec::new();
        put_bytes(&mut operation, *field, message);
        put_bytes(&mut out, 2, &operation);
    }
    out
}
