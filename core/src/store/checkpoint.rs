//! The state as a file: what a member starts from, and what a follower is sent.
//!
//! ```text
//! chunk    length (4)  CRC-32C (4)  payload: kind (1), content
//! file     header | v3 keys ... | v2 items ... | trailer
//! ```
//!
//! The *header* says which state it is: the entry behind which it stands, the membership, the v3
//! revision. Chunks of about a MiB follow: the v3 store key by key (its revision is pinned, so it
//! may go on changing), then the v2 store (which keeps what it changes until it is written). The
//! *trailer* counts what came before and has the state's hash, which the loader computes anew from
//! what it has read: a checkpoint is either the state that was written, or refused.

use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use super::state::{Particulars, State};
use super::{v2, v3};
use crate::codec::{DecodeError, Reader, Write};
use crate::limits::{CHECKPOINT_CHUNK_BYTES, ENTRY_BYTES_MAX};
use crate::raft::{CASTAGNOLI, Index, Position, Term};

/// What a checkpoint begins with, behind its first chunk's front.
const MAGIC: &[u8; 8] = b"quorra\0\x01";

/// Length and checksum in front of a chunk's payload.
const FRONT_BYTES: usize = 8;
/// A chunk is closed when it is full; the last item may be as large as an entry.
const CHUNK_BYTES_MAX: usize = CHECKPOINT_CHUNK_BYTES + 2 * ENTRY_BYTES_MAX;
/// The v2 store hands out so many items before the chunk's size is looked at.
const V2_ITEMS: usize = 16;

mod kind {
    pub(super) const HEADER: u8 = 1;
    pub(super) const V3: u8 = 2;
    pub(super) const V2: u8 = 3;
    pub(super) const TRAILER: u8 = 4;
}

/// Pulls a checkpoint out of a state that goes on changing.
///
/// It must be pulled to its end, or abandoned: until then the state keeps what it needs.
#[derive(Debug)]
pub struct Writer {
    stage: Stage,
    v3: v3::Snapshot,
    /// Of everything but the v3 store, and of the v3 store where it was known at the start.
    hashes: (u64, Option<u64>),
    /// The chunk that is being filled, front included.
    chunk: Vec<u8>,
    chunks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    V3,
    V2,
    End,
}

impl Writer {
    pub(super) fn new(
        at: Position,
        particulars: &Particulars,
        v3: v3::Snapshot,
        hashes: (u64, Option<u64>),
    ) -> Self {
        let mut chunk = Vec::new();
        open_chunk(&mut chunk, kind::HEADER);
        chunk.put_bytes(MAGIC);
        chunk.put_u64(at.index.0);
        chunk.put_u64(at.term.0);
        chunk.put_i64(v3.revision());
        chunk.put_i64(v3.compact_revision());
        particulars.write(&mut chunk);
        Self { stage: Stage::V3, v3, hashes, chunk, chunks: 0 }
    }

    /// The next bytes; an empty block while a chunk is being filled, `None` behind the last one.
    pub fn next_chunk(&mut self, state: &mut State) -> Option<Bytes> {
        let is_header = self.chunk.get(FRONT_BYTES) == Some(&kind::HEADER);
        let is_complete = match self.stage {
            _ if is_header => true,
            Stage::V3 => self.fill_v3(state),
            Stage::V2 => self.fill_v2(state),
            Stage::End => return None,
        };
        if !is_complete && self.chunk.len() < CHECKPOINT_CHUNK_BYTES {
            return Some(Bytes::new());
        }
        let mut out = self.close_chunk();
        match self.stage {
            _ if is_header => open_chunk(&mut self.chunk, kind::V3),
            Stage::V3 if is_complete => {
                self.check_v3();
                self.stage = Stage::V2;
                open_chunk(&mut self.chunk, kind::V2);
            }
            Stage::V3 => open_chunk(&mut self.chunk, kind::V3),
            Stage::V2 if is_complete => {
                state.v2_mut().end_checkpoint();
                self.stage = Stage::End;
                out.extend_from_slice(&self.trailer());
            }
            Stage::V2 => open_chunk(&mut self.chunk, kind::V2),
            Stage::End => {}
        }
        Some(out.into())
    }

    fn fill_v3(&mut self, state: &State) -> bool {
        self.v3.advance(state.v3(), state.slice_keys(), CHECKPOINT_CHUNK_BYTES, &mut self.chunk)
    }

    fn fill_v2(&mut self, state: &mut State) -> bool {
        let mut items = state.slice_keys();
        while items > 0 && self.chunk.len() < CHECKPOINT_CHUNK_BYTES {
            let limit = items.min(V2_ITEMS);
            if state.v2_mut().next_items(limit, &mut self.chunk) == 0 {
                return true;
            }
            items -= limit;
        }
        false
    }

    /// What was written key by key is what the store took it for, where the store knew.
    fn check_v3(&self) {
        if let Some(hash) = self.hashes.1 {
            assert!(hash == self.v3.hash(), "a snapshot has the hash of the store it is of");
        }
    }

    fn trailer(&mut self) -> Vec<u8> {
        open_chunk(&mut self.chunk, kind::TRAILER);
        self.chunk.put_u64(self.chunks);
        self.chunk.put_u64(self.v3.keys());
        self.chunk.put_u64(self.hashes.0.wrapping_add(self.v3.hash()));
        self.close_chunk()
    }

    fn close_chunk(&mut self) -> Vec<u8> {
        let mut chunk = core::mem::take(&mut self.chunk);
        let (front, payload) = chunk.split_at_mut(FRONT_BYTES);
        let length = u32::try_from(payload.len()).expect("a chunk is smaller than 4 GiB");
        front[..4].copy_from_slice(&length.to_le_bytes());
        front[4..].copy_from_slice(&CASTAGNOLI.checksum(payload).to_le_bytes());
        self.chunks += 1;
        chunk
    }

    /// Whether the last chunk was handed out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::End
    }

    /// Gives it up; the state need keep nothing for it any more.
    pub fn abandon(self, state: &mut State) {
        if self.stage != Stage::End {
            state.v2_mut().end_checkpoint();
        }
    }
}

fn open_chunk(chunk: &mut Vec<u8>, kind: u8) {
    assert!(chunk.is_empty(), "a chunk is closed before the next one is opened");
    chunk.put_bytes(&[0; FRONT_BYTES]);
    chunk.put_byte(kind);
}

/// Makes a state of a checkpoint's bytes, fed in any pieces.
#[derive(Debug)]
pub struct Loader {
    slice_keys: usize,
    /// What was fed and is not yet a whole chunk.
    fed: BytesMut,
    chunks: u64,
    head: Option<Head>,
    v3: Option<v3::Loader>,
    v2: Option<v2::Loader>,
    trailer: Option<Trailer>,
}

#[derive(Debug)]
struct Head {
    at: Position,
    particulars: Particulars,
}

#[derive(Clone, Copy, Debug)]
struct Trailer {
    keys: u64,
    hash: u64,
}

impl Loader {
    /// Before the first byte.
    #[must_use]
    pub fn new(slice_keys: usize) -> Self {
        Self {
            slice_keys,
            fed: BytesMut::new(),
            chunks: 0,
            head: None,
            v3: None,
            v2: None,
            trailer: None,
        }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When they are not those of a checkpoint. Nothing more can be fed then.
    pub fn feed(&mut self, bytes: Bytes) -> Result<(), DecodeError> {
        self.fed.extend_from_slice(&bytes);
        while let Some(payload) = self.take_chunk()? {
            self.load(payload)?;
            self.chunks += 1;
        }
        Ok(())
    }

    /// How many of the bytes that were fed are not understood yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.fed.len()
    }

    /// The next whole chunk's payload.
    fn take_chunk(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let error = |rule| DecodeError { rule, offset: 0 };
        let Some((front, behind)) = self.fed.split_first_chunk::<FRONT_BYTES>() else {
            return Ok(None);
        };
        let [a, b, c, d, e, f, g, h] = *front;
        let checksum = u32::from_le_bytes([e, f, g, h]);
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > CHUNK_BYTES_MAX {
            return Err(error("a checkpoint's chunk is too long"));
        }
        let Some(payload) = behind.get(..length) else { return Ok(None) };
        if CASTAGNOLI.checksum(payload) != checksum {
            return Err(error("a checkpoint's chunk does not match its checksum"));
        }
        self.fed.advance(FRONT_BYTES);
        Ok(Some(self.fed.split_to(length).freeze()))
    }

    fn load(&mut self, payload: Bytes) -> Result<(), DecodeError> {
        let mut reader = Reader::new(payload);
        let kind = reader.u8()?;
        match (kind, &mut self.v3, &mut self.v2) {
            _ if self.trailer.is_some() => {
                Err(reader.error("a chunk behind a checkpoint's trailer"))
            }
            (kind::HEADER, None, None) => self.load_head(&mut reader),
            (kind::V3, Some(v3), None) => v3.load(&mut reader),
            (kind::V2, Some(_), None) => self.v2.insert(v2::Loader::new()).load(&mut reader),
            (kind::V2, Some(_), Some(v2)) => v2.load(&mut reader),
            (kind::TRAILER, Some(_), Some(_)) => self.load_trailer(&mut reader),
            _ => Err(reader.error("no such chunk at this place of a checkpoint")),
        }
    }

    fn load_head(&mut self, reader: &mut Reader) -> Result<(), DecodeError> {
        if reader.bytes(MAGIC.len())? != MAGIC[..] {
            return Err(reader.error("not a checkpoint, or one of an unknown version"));
        }
        let index = Index(reader.u64()?);
        let at = Position { term: Term(reader.u64()?), index };
        self.v3 = Some(v3::Loader::new(reader.i64()?, reader.i64()?)?);
        let particulars = Particulars::read(reader)?;
        self.head = Some(Head { at, particulars });
        reader.end()
    }

    fn load_trailer(&mut self, reader: &mut Reader) -> Result<(), DecodeError> {
        if reader.u64()? != self.chunks {
            return Err(reader.error("a checkpoint lacks chunks"));
        }
        self.trailer = Some(Trailer { keys: reader.u64()?, hash: reader.u64()? });
        reader.end()
    }

    /// The state, and the entry it stands behind.
    ///
    /// # Errors
    /// When something is missing, or the state is not the one that was written.
    pub fn finish(self) -> Result<(Position, State), DecodeError> {
        let error = |rule| DecodeError { rule, offset: 0 };
        let (Some(head), Some(v3), Some(v2), Some(trailer)) =
            (self.head, self.v3, self.v2, self.trailer)
        else {
            return Err(error("a checkpoint ends before its trailer"));
        };
        if !self.fed.is_empty() {
            return Err(error("bytes behind a checkpoint's trailer"));
        }
        if v3.keys() != trailer.keys {
            return Err(error("a checkpoint lacks keys"));
        }
        let Head { at, particulars } = head;
        let stores = (v2.finish()?, v3.finish(self.slice_keys)?);
        let state = State::restored(stores, particulars, self.slice_keys);
        if state.hash() != Some(trailer.hash) {
            return Err(error("a checkpoint's state does not have its hash"));
        }
        Ok((at, state))
    }
}

/// Makes the checksums of a checkpoint's chunks right again after damage, so that a loader meets
/// the rules that lie behind them; for the fuzzer. The trailer keeps its counts and its hash.
#[must_use]
pub fn reseal(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some((length, behind)) = rest.split_first_chunk() {
        let wanted = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let payload = behind.get(4..).and_then(|payload| payload.get(..wanted));
        let Some(payload) = payload else { break };
        out.put_bytes(length);
        out.put_u32(CASTAGNOLI.checksum(payload));
        out.put_bytes(payload);
        rest = bytes.get(out.len()..).unwrap_or_default();
    }
    out.put_bytes(rest);
    out
}

#[cfg(test)]
mod tests;
