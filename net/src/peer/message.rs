//! What members say once they have greeted each other, as frames and back.
//!
//! What carries payloads has its own layout, in which an entry keeps the checksum that its maker
//! gave it; everything else is small and goes through `control`.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::as_conversions))]

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISCSI, Crc, Table};
use quorra_core::codec::{DecodeError, Reader, Write};
use quorra_core::identity::Incarnation;
use quorra_core::raft::{
    self, Entry, EntryKind, Index, ReadContext, SnapshotChunk, SnapshotId, Term,
};
use quorra_core::replica::{Failure, Message};
use serde::{Deserialize, Serialize};

use super::control;
use super::frame::{self, Frame, Kind};

const CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The messages without payload; see [`raft::Message`] for what they mean.
#[derive(Serialize, Deserialize)]
enum Control {
    RequestVote { term: Term, pre: bool, transfer: bool, last_index: Index, last_term: Term },
    Vote { term: Term, pre: bool, granted: bool },
    Appended { term: Term, match_index: Index },
    Rejected { term: Term, prev_index: Index, hint_index: Index, hint_term: Term },
    Heartbeat { term: Term, commit_index: Index, round: u64 },
    HeartbeatAnswer { term: Term, round: u64 },
    ReadIndex { term: Term, contexts: Vec<ReadContext> },
    ReadIndexAnswer { term: Term, contexts: Vec<ReadContext>, index: Option<Index> },
    ChunkAnswer { term: Term, snapshot: SnapshotId, received: Option<u64>, installed: bool },
    TimeoutNow { term: Term },
    Refuse { counter: u64, incarnation: Incarnation, failure: Failure },
}

/// Appends a message as one frame.
pub fn encode(message: Message, out: &mut BytesMut) {
    use raft::Message as Raft;
    let small = match message {
        Message::Forward(command) => {
            return frame::put(out, Kind::Forward, |out| out.put_bytes(&command));
        }
        Message::Refuse { counter, incarnation, failure } => {
            Control::Refuse { counter, incarnation, failure }
        }
        Message::Raft(Raft::Append { term, prev_index, prev_term, commit_index, entries }) => {
            return frame::put(out, Kind::Append, |out| {
                [term.0, prev_index.0, prev_term.0, commit_index.0]
                    .into_iter()
                    .for_each(|number| out.put_u64(number));
                put_entries(out, &entries);
            });
        }
        Message::Raft(Raft::Chunk { term, chunk }) => {
            return frame::put(out, Kind::Chunk, |out| put_chunk(out, term, &chunk));
        }
        Message::Raft(Raft::RequestVote { term, pre, transfer, last_index, last_term }) => {
            Control::RequestVote { term, pre, transfer, last_index, last_term }
        }
        Message::Raft(Raft::Vote { term, pre, granted }) => Control::Vote { term, pre, granted },
        Message::Raft(Raft::Appended { term, match_index }) => {
            Control::Appended { term, match_index }
        }
        Message::Raft(Raft::Rejected { term, prev_index, hint_index, hint_term }) => {
            Control::Rejected { term, prev_index, hint_index, hint_term }
        }
        Message::Raft(Raft::Heartbeat { term, commit_index, round }) => {
            Control::Heartbeat { term, commit_index, round }
        }
        Message::Raft(Raft::HeartbeatAnswer { term, round }) => {
            Control::HeartbeatAnswer { term, round }
        }
        Message::Raft(Raft::ReadIndex { term, contexts }) => Control::ReadIndex { term, contexts },
        Message::Raft(Raft::ReadIndexAnswer { term, contexts, index }) => {
            Control::ReadIndexAnswer { term, contexts, index }
        }
        Message::Raft(Raft::ChunkAnswer { term, snapshot, received, installed }) => {
            Control::ChunkAnswer { term, snapshot, received, installed }
        }
        Message::Raft(Raft::TimeoutNow { term }) => Control::TimeoutNow { term },
    };
    frame::put(out, Kind::Control, |out| control::put(out, &small));
}

/// The message that a frame carries; none for a ping.
///
/// # Errors
/// When the content is not what its kind demands, or an entry or chunk is not what its maker made.
pub fn decode(frame: Frame) -> Result<Option<Message>, DecodeError> {
    match frame.kind {
        Kind::Ping => Ok(None),
        Kind::Forward => Ok(Some(Message::Forward(frame.content))),
        Kind::Append => read_append(Reader::new(frame.content)).map(Some),
        Kind::Chunk => read_chunk(Reader::new(frame.content)).map(Some),
        Kind::Control => control::get(&frame.content).map(|control| Some(of_control(control))),
        Kind::Hello | Kind::Welcome | Kind::Refused => {
            Err(DecodeError { rule: "a greeting after the handshake", offset: 0 })
        }
    }
}

fn of_control(control: Control) -> Message {
    use raft::Message as Raft;
    Message::Raft(match control {
        Control::Refuse { counter, incarnation, failure } => {
            return Message::Refuse { counter, incarnation, failure };
        }
        Control::RequestVote { term, pre, transfer, last_index, last_term } => {
            Raft::RequestVote { term, pre, transfer, last_index, last_term }
        }
        Control::Vote { term, pre, granted } => Raft::Vote { term, pre, granted },
        Control::Appended { term, match_index } => Raft::Appended { term, match_index },
        Control::Rejected { term, prev_index, hint_index, hint_term } => {
            Raft::Rejected { term, prev_index, hint_index, hint_term }
        }
        Control::Heartbeat { term, commit_index, round } => {
            Raft::Heartbeat { term, commit_index, round }
        }
        Control::HeartbeatAnswer { term, round } => Raft::HeartbeatAnswer { term, round },
        Control::ReadIndex { term, contexts } => Raft::ReadIndex { term, contexts },
        Control::ReadIndexAnswer { term, contexts, index } => {
            Raft::ReadIndexAnswer { term, contexts, index }
        }
        Control::ChunkAnswer { term, snapshot, received, installed } => {
            Raft::ChunkAnswer { term, snapshot, received, installed }
        }
        Control::TimeoutNow { term } => Raft::TimeoutNow { term },
    })
}

fn put_entries(out: &mut BytesMut, entries: &[Entry]) {
    let payloads: usize = entries.iter().map(|entry| entry.payload.len()).sum();
    out.reserve(payloads.saturating_add(entries.len().saturating_mul(32)));
    out.put_count(entries.len());
    for entry in entries {
        out.put_u64(entry.term.0);
        out.put_u64(entry.index.0);
        out.put_byte(entry.kind.code());
        out.put_u32(entry.checksum);
        out.put_block(&entry.payload);
    }
}

fn read_append(mut reader: Reader) -> Result<Message, DecodeError> {
    let term = Term(reader.u64()?);
    let prev_index = Index(reader.u64()?);
    let prev_term = Term(reader.u64()?);
    let commit_index = Index(reader.u64()?);
    let count = reader.count()?;
    // Each entry takes at least 22 bytes, so a count cannot make this larger than the frame.
    let mut entries = Vec::with_capacity(count.min(reader.remaining() / 22));
    let mut before = prev_index.0;
    for _ in 0..count {
        let entry = read_entry(&mut reader)?;
        if before.checked_add(1) != Some(entry.index.0) {
            return Err(reader.error("the entries of an append have a gap"));
        }
        before = entry.index.0;
        entries.push(entry);
    }
    reader.end()?;
    Ok(Message::Raft(raft::Message::Append { term, prev_index, prev_term, commit_index, entries }))
}

fn read_entry(reader: &mut Reader) -> Result<Entry, DecodeError> {
    let (term, index) = (Term(reader.u64()?), Index(reader.u64()?));
    let kind = EntryKind::of_code(reader.u8()?);
    let kind = kind.ok_or_else(|| reader.error("an entry of unknown kind"))?;
    let checksum = reader.u32()?;
    let payload = reader.block()?;
    let entry = Entry { term, index, kind, payload, checksum };
    if entry.is_intact() {
        Ok(entry)
    } else {
        Err(reader.error("the checksum of an entry does not hold"))
    }
}

fn put_chunk(out: &mut BytesMut, term: Term, chunk: &SnapshotChunk) {
    let SnapshotChunk { snapshot, offset, total, checksum, bytes } = chunk;
    [term.0, snapshot.index.0, snapshot.term.0, *offset, *total]
        .into_iter()
        .for_each(|number| out.put_u64(number));
    out.put_u32(*checksum);
    out.put_block(bytes);
}

fn read_chunk(mut reader: Reader) -> Result<Message, DecodeError> {
    let term = Term(reader.u64()?);
    let snapshot = SnapshotId { index: Index(reader.u64()?), term: Term(reader.u64()?) };
    let (offset, total) = (reader.u64()?, reader.u64()?);
    let checksum = reader.u32()?;
    let bytes: Bytes = reader.block()?;
    reader.end()?;
    if CASTAGNOLI.checksum(&bytes) != checksum {
        return Err(reader.error("the checksum of a snapshot chunk does not hold"));
    }
    let chunk = SnapshotChunk { snapshot, offset, total, checksum, bytes };
    Ok(Message::Raft(raft::Message::Chunk { term, chunk }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use raft::Message as Raft;

    fn index() -> impl Strategy<Value = Index> {
        (0_u64..u64::MAX / 2).prop_map(Index)
    }

    fn term() -> impl Strategy<Value = Term> {
        any::<u64>().prop_map(Term)
    }

    fn contexts() -> impl Strategy<Value = Vec<ReadContext>> {
        proptest::collection::vec(any::<u64>().prop_map(ReadContext), 0..9)
    }

    fn append() -> impl Strategy<Value = Raft> {
        let entry = (term(), 0_u8..3, any::<Vec<u8>>());
        (term(), index(), term(), index(), proptest::collection::vec(entry, 0..5)).prop_map(
            |(term, prev_index, prev_term, commit_index, entries)| {
                let entries = entries.into_iter().zip(prev_index.0 + 1..).map(|(entry, index)| {
                    let kind = EntryKind::of_code(entry.1).expect("there are three kinds");
                    Entry::new(entry.0, Index(index), kind, entry.2.into())
                });
                let entries = entries.collect();
                Raft::Append { term, prev_index, prev_term, commit_index, entries }
            },
        )
    }

    fn chunk() -> impl Strategy<Value = Raft> {
        (term(), index(), term(), any::<u64>(), any::<Vec<u8>>()).prop_map(
            |(term, index, snapshot_term, offset, bytes)| {
                let snapshot = SnapshotId { index, term: snapshot_term };
                let checksum = CASTAGNOLI.checksum(&bytes);
                let bytes = Bytes::from(bytes);
                let total = offset;
                let chunk = SnapshotChunk { snapshot, offset, total, checksum, bytes };
                Raft::Chunk { term, chunk }
            },
        )
    }

    fn message() -> impl Strategy<Value = Message> {
        let small = prop_oneof![
            (term(), any::<bool>(), any::<bool>(), index(), term()).prop_map(
                |(term, pre, transfer, last_index, last_term)| Raft::RequestVote {
                    term,
                    pre,
                    transfer,
                    last_index,
                    last_term
                }
            ),
            (term(), any::<bool>(), any::<bool>()).prop_map(|(term, pre, granted)| Raft::Vote {
                term,
                pre,
                granted
            }),
            (term(), index()).prop_map(|(term, match_index)| Raft::Appended { term, match_index }),
            (term(), index(), index(), term()).prop_map(
                |(term, prev_index, hint_index, hint_term)| Raft::Rejected {
                    term,
                    prev_index,
                    hint_index,
                    hint_term
                }
            ),
            (term(), index(), any::<u64>()).prop_map(|(term, commit_index, round)| {
                Raft::Heartbeat { term, commit_index, round }
            }),
            (term(), any::<u64>()).prop_map(|(term, round)| Raft::HeartbeatAnswer { term, round }),
            (term(), contexts()).prop_map(|(term, contexts)| Raft::ReadIndex { term, contexts }),
            (term(), contexts(), proptest::option::of(index())).prop_map(
                |(term, contexts, index)| Raft::ReadIndexAnswer { term, contexts, index }
            ),
            (term(), index(), proptest::option::of(any::<u64>()), any::<bool>()).prop_map(
                |(term, index, received, installed)| Raft::ChunkAnswer {
                    term,
                    snapshot: SnapshotId { index, term },
                    received,
                    installed
                }
            ),
            term().prop_map(|term| Raft::TimeoutNow { term }),
        ];
        prop_oneof![
            small.prop_map(Message::Raft),
            append().prop_map(Message::Raft),
            chunk().prop_map(Message::Raft),
            any::<Vec<u8>>().prop_map(|bytes| Message::Forward(bytes.into())),
            any::<(u64, u64)>().prop_map(|(counter, incarnation)| Message::Refuse {
                counter,
                incarnation: Incarnation(incarnation),
                failure: Failure::TooLarge
            }),
        ]
    }

    fn read(mut input: BytesMut) -> Result<Vec<Message>, DecodeError> {
        let mut found = Vec::new();
        while let Some(frame) = frame::next(&mut input, |_| true)? {
            found.extend(decode(frame)?);
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn what_is_sent_is_received(messages in proptest::collection::vec(message(), 0..5)) {
            let mut out = BytesMut::new();
            messages.iter().for_each(|message| encode(message.clone(), &mut out));
            prop_assert_eq!(read(out), Ok(messages));
        }

        #[test]
        fn no_content_makes_a_decoder_panic(code in 0_usize..5, content: Vec<u8>) {
            let kinds = [Kind::Ping, Kind::Control, Kind::Append, Kind::Chunk, Kind::Hello];
            drop(decode(Frame { kind: kinds[code], content: content.into() }));
        }
    }

    #[test]
    fn an_entry_that_is_not_its_makers_is_refused() {
        let mut entry = Entry::new(Term(1), Index(1), EntryKind::Command, Bytes::from_static(b"x"));
        entry.payload = Bytes::from_static(b"y");
        let append = Raft::Append {
            term: Term(1),
            prev_index: Index(0),
            prev_term: Term(0),
            commit_index: Index(0),
            entries: vec![entry],
        };
        let mut out = BytesMut::new();
        encode(Message::Raft(append), &mut out);
        assert_eq!(
            read(out).map_err(|error| error.rule),
            Err("the checksum of an entry does not hold")
        );
    }
}
