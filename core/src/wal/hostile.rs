//! Recovery of arbitrary bytes, for the fuzzer and for properties.

use alloc::vec::Vec;

use bytes::Bytes;

use super::record;
use super::{Found, Recovered, Recovery, RecoveryError, Step};
use crate::disk::File;
use crate::identity::Incarnation;
use crate::raft::{Entry, Position};

/// Recovers a log from the content of its segments, the first of which has the sequence `first`:
/// the committed entries behind `checkpoint`, and the rest.
///
/// # Errors
/// As [`Recovery`].
pub fn recover_from_bytes(
    first: u64,
    segments: &[Bytes],
    checkpoint: Position,
    segment_bytes: u64,
) -> Result<(Vec<Entry>, Recovered), RecoveryError> {
    let files = || (first..).zip(segments);
    let length = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let found: Vec<Found> = files()
        .map(|(sequence, bytes)| Found { file: File::Segment(sequence), length: length(bytes) })
        .collect();
    let mut recovery = Recovery::new(&found, checkpoint, Incarnation(u64::MAX), segment_bytes)?;
    let (mut committed, mut answer) = (Vec::new(), None);
    loop {
        match recovery.next(answer.take())? {
            Step::Committed(entries) => committed.extend(entries),
            Step::Done(recovered) => return Ok((committed, *recovered)),
            Step::Read(read) => {
                let file = files().find(|(sequence, _)| File::Segment(*sequence) == read.file);
                answer = file.and_then(|(_, bytes)| part(bytes, read.offset, read.length));
            }
        }
    }
}

/// Makes the records' checksums right again after damage, so that recovery meets the rules that
/// lie behind them. Entries keep their own checksums.
#[must_use]
pub fn reseal(first: u64, segments: &[Bytes]) -> Vec<Bytes> {
    let mut chain = (0, 0);
    let sealed = (first..).zip(segments).map(|(segment, bytes)| {
        let (sealed, end) = record::reseal(bytes, segment, chain);
        chain = end;
        Bytes::from(sealed)
    });
    sealed.collect()
}

fn part(bytes: &Bytes, offset: u64, length: u64) -> Option<Bytes> {
    let from = usize::try_from(offset).ok().filter(|from| *from <= bytes.len())?;
    let length = usize::try_from(length).ok()?;
    Some(bytes.slice(from..from.saturating_add(length).min(bytes.len())))
}
