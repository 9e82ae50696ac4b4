//! The store's answers as protobuf messages behind a gRPC prefix.
//!
//! A message says how long its parts are before they come, so everything is sized first, then
//! written. Sizes and writers stand side by side and must agree; the tests hold them to it.

use bytes::BytesMut;
use quorra_core::store::v3::{Answer, RangeAnswer, Record};

use super::pieces::{PieceWriter, Place};
use super::wire::{delimited_bytes, number_bytes, put_delimited, put_number, put_text};
use crate::grpc;
use crate::http::Body;

/// `etcdserverpb.ResponseHeader`; what is zero is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster.
    pub cluster: u64,
    /// Who answers.
    pub member: u64,
    /// The store's revision.
    pub revision: i64,
    /// The present term.
    pub term: u64,
}

impl Header {
    /// The header of an operation's answer within a transaction's: nothing but the revision, and
    /// not even that for a transaction (as in etcd).
    #[must_use]
    pub fn within(answer: &Answer) -> Self {
        let revision = match answer {
            Answer::Range(RangeAnswer { revision, .. })
            | Answer::Put { revision, .. }
            | Answer::DeleteRange { revision, .. } => *revision,
            Answer::Txn { .. } => 0,
        };
        Self { revision, ..Self::default() }
    }

    fn bytes(&self) -> usize {
        number_bytes(self.cluster)
            + number_bytes(self.member)
            + number_bytes(self.revision as u64)
            + number_bytes(self.term)
    }

    fn put(&self, out: &mut BytesMut) {
        put_delimited(out, 1, self.bytes());
        put_number(out, 1, self.cluster);
        put_number(out, 2, self.member);
        put_number(out, 3, self.revision as u64);
        put_number(out, 4, self.term);
    }
}

/// Encodes an answer with this header, its gRPC prefix included.
#[must_use]
pub fn answer(header: &Header, answer: Answer) -> Body {
    let bytes = answer_bytes(header, &answer);
    let whole = grpc::PREFIX_BYTES + bytes;
    let mut writer = PieceWriter::new(whole, put_record);
    grpc::put_prefix(&mut writer.out, bytes);
    put_answer(&mut writer, header, answer);
    writer.finish(Some(whole))
}

fn answer_bytes(header: &Header, answer: &Answer) -> usize {
    let content = match answer {
        Answer::Range(range) => {
            range.records.message_bytes(range.keys_only)
                + number_bytes(range.more.into())
                + number_bytes(range.count)
        }
        Answer::Put { previous, .. } => {
            previous.as_ref().map_or(0, |record| delimited_bytes(record.message_bytes(false)))
        }
        Answer::DeleteRange { deleted, previous, .. } => {
            number_bytes(*deleted) + previous.message_bytes(false)
        }
        Answer::Txn { succeeded, answers, .. } => {
            let ops = answers.iter().map(|answer| delimited_bytes(op_bytes(answer)));
            number_bytes((*succeeded).into()) + ops.sum::<usize>()
        }
    };
    delimited_bytes(header.bytes()) + content
}

/// An `etcdserverpb.ResponseOp`.
fn op_bytes(answer: &Answer) -> usize {
    delimited_bytes(answer_bytes(&Header::within(answer), answer))
}

fn put_answer(writer: &mut PieceWriter, header: &Header, answer: Answer) {
    header.put(&mut writer.out);
    match answer {
        Answer::Range(range) => {
            writer.records(2, range.records, range.keys_only);
            put_number(&mut writer.out, 3, range.more.into());
            put_number(&mut writer.out, 4, range.count);
        }
        Answer::Put { previous, .. } => {
            writer.records(2, previous.into_iter().collect(), false);
        }
        Answer::DeleteRange { deleted, previous, .. } => {
            put_number(&mut writer.out, 2, deleted);
            writer.records(3, previous, false);
        }
        Answer::Txn { succeeded, answers, .. } => {
            put_number(&mut writer.out, 2, succeeded.into());
            answers.into_iter().for_each(|answer| put_op(writer, answer));
        }
    }
}

fn put_op(writer: &mut PieceWriter, answer: Answer) {
    let field = match answer {
        Answer::Range(_) => 1,
        Answer::Put { .. } => 2,
        Answer::DeleteRange { .. } => 3,
        Answer::Txn { .. } => 4,
    };
    let header = Header::within(&answer);
    put_delimited(&mut writer.out, 3, op_bytes(&answer));
    put_delimited(&mut writer.out, field, answer_bytes(&header, &answer));
    put_answer(writer, &header, answer);
}

/// Appends a `mvccpb.KeyValue`.
fn put_record(out: &mut BytesMut, record: &Record, place: Place) {
    put_delimited(out, place.field, record.message_bytes(place.keys_only));
    put_text(out, 1, record.key());
    put_number(out, 2, record.create_revision() as u64);
    put_number(out, 3, record.mod_revision() as u64);
    put_number(out, 4, record.version() as u64);
    if !place.keys_only {
        put_text(out, 5, record.value());
    }
    put_number(out, 6, record.lease() as u64);
}

#[cfg(test)]
mod tests {
    use quorra_core::store::v3::Records;

    use super::*;

    fn encoded(header: &Header, given: Answer) -> BytesMut {
        let mut out = BytesMut::new();
        match answer(header, given) {
            Body::Full(bytes) => out.extend_from_slice(&bytes),
            Body::Lazy(mut body) => {
                let bytes = body.remaining().expect("protobuf knows its length");
                while body.fill(&mut out, 1000) {
                    assert_eq!(body.remaining(), Some(bytes - out.len() as u64));
                }
                assert_eq!(body.remaining(), Some(0));
            }
            Body::Stream | Body::Sized(_) => panic!("answers are not streams"),
        }
        let length = u32::from_be_bytes([out[1], out[2], out[3], out[4]]) as usize;
        assert_eq!(out.len(), grpc::PREFIX_BYTES + length, "the prefix tells the length");
        out.split_off(grpc::PREFIX_BYTES)
    }

    fn record(key: &[u8], value: &[u8]) -> Record {
        Record::new(2, 300, 1, 0, key, value)
    }

    const KEY_VALUE: &[u8] = b"\x0a\x01a\x10\x02\x18\xac\x02\x20\x01\x2a\x01b";

    #[test]
    fn bytes_of_a_range() {
        let range = RangeAnswer {
            revision: 5,
            records: Records::from_iter([record(b"a", b"b")]),
            keys_only: false,
            more: true,
            count: 7,
        };
        let header = Header { cluster: 1, member: 2, revision: 5, term: 3 };
        let expected =
            [b"\x0a\x08\x08\x01\x10\x02\x18\x05\x20\x03\x12\x0d", KEY_VALUE, b"\x18\x01\x20\x07"];
        assert_eq!(encoded(&header, Answer::Range(range)), expected.concat());
    }

    #[test]
    fn bytes_of_a_transaction() {
        let nested = Answer::Txn { revision: 9, succeeded: false, answers: Vec::new() };
        let put = Answer::Put { revision: 9, previous: Some(record(b"a", b"b")) };
        let delete = Answer::DeleteRange {
            revision: 9,
            deleted: 1,
            previous: Records::from_iter([record(b"a", b"b")]),
        };
        let txn = Answer::Txn { revision: 9, succeeded: true, answers: vec![nested, put, delete] };
        let expected = [
            b"\x0a\x02\x18\x09\x10\x01",
            // A nested transaction has an empty header; what is false is left out.
            &b"\x1a\x04\x22\x02\x0a\x00"[..],
            b"\x1a\x15\x12\x13\x0a\x02\x18\x09\x12\x0d",
            KEY_VALUE,
            b"\x1a\x17\x1a\x15\x0a\x02\x18\x09\x10\x01\x1a\x0d",
            KEY_VALUE,
        ];
        let header = Header { revision: 9, ..Header::default() };
        assert_eq!(encoded(&header, txn), expected.concat());
    }

    #[test]
    fn large_answers_are_encoded_as_they_are_read() {
        let value = [b'v'; 900];
        let ranges = |count: u64| RangeAnswer {
            revision: 5,
            records: (0..count).map(|n| record(&n.to_be_bytes(), &value)).collect(),
            keys_only: false,
            more: false,
            count,
        };
        let header = Header { revision: 5, ..Header::default() };
        let large = Answer::Range(ranges(1000));
        assert!(matches!(answer(&header, large.clone()), Body::Lazy(_)));
        let alone = encoded(&header, large.clone());
        let txn = Answer::Txn { revision: 5, succeeded: false, answers: vec![large] };
        let within = encoded(&header, txn);
        assert!(within.ends_with(&alone));
    }
}
