//! The state as a file: what a member starts from, and what a follower is sent.

use bytes::Bytes;

use super::State;
use crate::codec::DecodeError;
use crate::raft::Position;

/// Pulls a checkpoint out of a state that goes on changing.
pub struct Writer {}

impl Writer {
    /// Begins with the state as it is, which is that after the entry at `at`.
    pub(super) fn begin(_state: &mut State, _at: Position) -> Self {
        todo!()
    }

    /// The next bytes (none visible yet gives an empty block); `None` when it is complete.
    pub fn next_chunk(&mut self, _state: &mut State) -> Option<Bytes> {
        todo!()
    }

    /// Gives it up; the state need keep nothing for it any more.
    pub fn abandon(self, _state: &mut State) {
        todo!()
    }
}

/// Makes a state of a checkpoint's bytes, fed in any pieces.
pub struct Loader {}

impl Loader {
    /// Before the first byte.
    #[must_use]
    pub fn new(_slice_keys: usize) -> Self {
        todo!()
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When they are not those of a checkpoint.
    pub fn feed(&mut self, _bytes: Bytes) -> Result<(), DecodeError> {
        todo!()
    }

    /// The state, and the entry it stands behind.
    ///
    /// # Errors
    /// When something is missing.
    pub fn finish(self) -> Result<(Position, State), DecodeError> {
        todo!()
    }
}
