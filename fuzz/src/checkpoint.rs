//! The checkpoint's loader: what a member starts from, and what a leader sends it.

use bytes::Bytes;
use quorra_core::codec::DecodeError;
use quorra_core::raft::Position;
use quorra_core::store::State;
use quorra_core::store::checkpoint::{self, Loader};

use crate::pieces;

/// The bytes as they are, and once more with checksums that hold: either they are refused, or the
/// state keeps its rules. Where they were cut makes no difference.
pub fn run(bytes: &[u8]) {
    check(bytes);
    check(&checkpoint::reseal(bytes));
}

fn check(bytes: &[u8]) {
    let (whole, cut) = (load(&[bytes]), load(&pieces::split(bytes)));
    match (whole, cut) {
        (Ok((at, state)), Ok((same, twin))) => {
            state.check();
            assert_eq!((at, state.hash()), (same, twin.hash()), "any split gives the same state");
        }
        (Err(_), Err(_)) => {}
        _ => panic!("any split of a checkpoint is loaded, or refused"),
    }
}

fn load(pieces: &[&[u8]]) -> Result<(Position, State), DecodeError> {
    let mut loader = Loader::new(3);
    for piece in pieces {
        loader.feed(Bytes::copy_from_slice(piece))?;
    }
    loader.finish()
}
