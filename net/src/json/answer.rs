//! The store's answers as JSON.

use bytes::{BufMut, BytesMut};
use quorra_core::store::v3::{Answer, Record, Records};

use super::object::Object;
use crate::http::Body;
use crate::proto::{Header, PieceWriter, Place};

/// What the frame of an answer takes, and a record beside its key and value, about.
const FRAME_BYTES: usize = 128;

/// Encodes an answer with this header.
#[must_use]
pub fn answer(header: &Header, answer: Answer) -> Body {
    let mut writer = PieceWriter::new(about_bytes(&answer), put_record);
    put_answer(&mut writer, header, answer);
    writer.finish(None)
}

/// How long an answer will be, about.
fn about_bytes(answer: &Answer) -> usize {
    match answer {
        Answer::Range(range) => records_bytes(&range.records, range.keys_only),
        Answer::Put { previous: None, .. } => FRAME_BYTES,
        Answer::Put { previous: Some(record), .. } => {
            2 * FRAME_BYTES + text_bytes(record.message_bytes(false))
        }
        Answer::DeleteRange { previous, .. } => records_bytes(previous, false),
        Answer::Txn { answers, .. } => FRAME_BYTES + answers.iter().map(about_bytes).sum::<usize>(),
    }
}

fn records_bytes(records: &Records, keys_only: bool) -> usize {
    FRAME_BYTES * (1 + records.len()) + text_bytes(records.message_bytes(keys_only))
}

/// Base64 has four bytes for three.
fn text_bytes(bytes: usize) -> usize {
    bytes * 4 / 3
}

fn put_answer(writer: &mut PieceWriter, header: &Header, answer: Answer) {
    writer.out.put_slice(b"{\"header\":");
    put_header(&mut writer.out, header);
    match answer {
        Answer::Range(range) => {
            put_records(writer, "kvs", range.records, range.keys_only);
            if range.more {
                writer.out.put_slice(b",\"more\":true");
            }
            put_count(&mut writer.out, "count", range.count);
        }
        Answer::Put { previous, .. } => {
            if let Some(record) = previous {
                writer.out.put_slice(b",\"prev_kv\":");
                put_pair(&mut writer.out, &record, false);
            }
        }
        Answer::DeleteRange { deleted, previous, .. } => {
            put_count(&mut writer.out, "deleted", deleted);
            put_records(writer, "prev_kvs", previous, false);
        }
        Answer::Txn { succeeded, answers, .. } => {
            if succeeded {
                writer.out.put_slice(b",\"succeeded\":true");
            }
            put_ops(writer, answers);
        }
    }
    writer.out.put_u8(b'}');
}

fn put_ops(writer: &mut PieceWriter, answers: Vec<Answer>) {
    if answers.is_empty() {
        return;
    }
    let mut before = ",\"responses\":[";
    for answer in answers {
        writer.out.put_slice(before.as_bytes());
        before = ",";
        writer.out.put_slice(match answer {
            Answer::Range(_) => b"{\"response_range\":",
            Answer::Put { .. } => b"{\"response_put\":",
            Answer::DeleteRange { .. } => b"{\"response_delete_range\":",
            Answer::Txn { .. } => b"{\"response_txn\":",
        });
        put_answer(writer, &Header::within(&answer), answer);
        writer.out.put_u8(b'}');
    }
    writer.out.put_u8(b']');
}

/// Writes a header; it is there even when it is empty.
pub(super) fn put_header(out: &mut BytesMut, header: &Header) {
    let mut object = Object::open(out);
    object.unsigned("cluster_id", header.cluster);
    object.unsigned("member_id", header.member);
    object.number("revision", header.revision);
    object.unsigned("raft_term", header.term);
    object.close();
}

/// A number behind other fields.
fn put_count(out: &mut BytesMut, name: &str, count: u64) {
    if count > 0 {
        out.put_slice(format!(",\"{name}\":\"{count}\"").as_bytes());
    }
}

fn put_records(writer: &mut PieceWriter, name: &str, records: Records, keys_only: bool) {
    if records.is_empty() {
        return;
    }
    writer.out.put_slice(format!(",\"{name}\":[").as_bytes());
    // JSON needs no field numbers.
    writer.records(0, records, keys_only);
    writer.out.put_u8(b']');
}

fn put_record(out: &mut BytesMut, record: &Record, place: Place) {
    if !place.first {
        out.put_u8(b',');
    }
    put_pair(out, record, place.keys_only);
}

fn put_pair(out: &mut BytesMut, record: &Record, keys_only: bool) {
    let mut object = Object::open(out);
    object.bytes("key", record.key());
    object.number("create_revision", record.create_revision());
    object.number("mod_revision", record.mod_revision());
    object.number("version", record.version());
    if !keys_only {
        object.bytes("value", record.value());
    }
    object.number("lease", record.lease());
    object.close();
}

#[cfg(test)]
mod tests {
    use quorra_core::store::v3::RangeAnswer;

    use super::*;

    fn text(header: &Header, given: Answer) -> String {
        let mut out = BytesMut::new();
        match answer(header, given) {
            Body::Full(bytes) => out.put_slice(&bytes),
            Body::Lazy(mut body) => while body.fill(&mut out, 100) {},
            Body::Stream | Body::Sized(_) => panic!("answers are not streams"),
        }
        String::from_utf8(out.to_vec()).expect("JSON is text")
    }

    fn record() -> Record {
        Record::new(2, 3, 2, -1, b"a", b"bc")
    }

    const PAIR: &str = r#"{"key":"YQ==","create_revision":"2","mod_revision":"3","version":"2","value":"YmM=","lease":"-1"}"#;

    #[test]
    fn a_transaction_reads_as_etcds() {
        let range = RangeAnswer {
            revision: 9,
            records: Records::from_iter([record(), record()]),
            keys_only: true,
            more: true,
            count: 3,
        };
        let answers = vec![
            Answer::Range(range),
            Answer::Range(RangeAnswer { revision: 9, ..Default::default() }),
            Answer::Put { revision: 9, previous: Some(record()) },
            Answer::DeleteRange {
                revision: 9,
                deleted: 1,
                previous: Records::from_iter([record()]),
            },
            Answer::Txn { revision: 9, succeeded: false, answers: Vec::new() },
        ];
        let header = Header { cluster: u64::MAX, member: 1, revision: 9, term: 2 };
        let key_only =
            r#"{"key":"YQ==","create_revision":"2","mod_revision":"3","version":"2","lease":"-1"}"#;
        let expected = [
            r#"{"header":{"cluster_id":"18446744073709551615","member_id":"1","#,
            r#""revision":"9","raft_term":"2"},"succeeded":true,"responses":["#,
            r#"{"response_range":{"header":{"revision":"9"},"kvs":["#,
            key_only,
            ",",
            key_only,
            r#"],"more":true,"count":"3"}},"#,
            r#"{"response_range":{"header":{"revision":"9"}}},"#,
            r#"{"response_put":{"header":{"revision":"9"},"prev_kv":"#,
            PAIR,
            r#"}},{"response_delete_range":{"header":{"revision":"9"},"deleted":"1","prev_kvs":["#,
            PAIR,
            r#"]}},{"response_txn":{"header":{}}}]}"#,
        ];
        let txn = Answer::Txn { revision: 9, succeeded: true, answers };
        assert_eq!(text(&header, txn), expected.concat());
    }

    #[test]
    fn large_answers_read_the_same() {
        let range = |count: u64| RangeAnswer {
            records: (0..count).map(|_| record()).collect(),
            count,
            ..Default::default()
        };
        let large = Answer::Range(range(5_000));
        assert!(matches!(answer(&Header::default(), large.clone()), Body::Lazy(_)));
        let pairs = vec![PAIR; 5_000].join(",");
        let expected = format!("{{\"header\":{{}},\"kvs\":[{pairs}],\"count\":\"5000\"}}");
        assert!(text(&Header::default(), large) == expected);
    }
}
