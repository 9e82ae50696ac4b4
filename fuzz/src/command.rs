//! Replicated commands, as entries and checkpoints carry them and peers forward them.

use std::iter;

use bytes::Bytes;
use quorra_core::raft::{Entry, Index, Position, Term};
use quorra_core::store::State;
use quorra_core::store::checkpoint::Loader;
use quorra_core::store::command::{self, Command};
use quorra_core::time::WallTime;

use crate::pieces;

/// Work is cut small, so that much of it is unfinished when the next thing happens.
const SLICE_KEYS: usize = 3;

/// Each block is a command. What can be decoded comes back when it is encoded again; it is
/// applied, and the state's rules hold; a checkpoint of the state is the state.
pub fn run(bytes: &[u8]) {
    let mut state = State::new(SLICE_KEYS);
    for (index, payload) in (1..).map(Index).zip(pieces::blocks(bytes)) {
        apply(&mut state, index, payload);
    }
    let at = Position { term: Term(1), index: Index(1) };
    let mut writer = state.begin_checkpoint(at).expect("nothing is under way");
    let mut loader = Loader::new(SLICE_KEYS);
    for chunk in iter::from_fn(|| writer.next_chunk(&mut state)) {
        loader.feed(chunk).expect("a checkpoint is read as it was written");
    }
    let (_, loaded) = loader.finish().expect("a checkpoint is whole");
    loaded.check();
    assert_eq!(loaded.hash(), state.hash(), "a checkpoint is the state it was taken of");
}

fn apply(state: &mut State, index: Index, payload: Bytes) {
    let stamped = command::stamped(payload.clone(), WallTime(7));
    let Ok(command) = Command::decode(payload.clone()) else { return };
    assert_eq!(command::identity_of(&payload), Ok(command.identity), "both read the identity");
    check(&command);
    let stamped = stamped.and_then(Command::decode).expect("a stamp leaves the rest alone");
    assert_eq!(stamped.stamp, WallTime(7), "the stamp is the leader's");
    let kind = command::entry_kind(&command.body);
    state.apply(&Entry::new(Term(1), index, kind, payload)).expect("the command was decoded");
    while state.has_work() {
        state.work();
    }
    state.check();
}

/// A command comes back as it was.
pub(crate) fn check(command: &Command) {
    let again = Command::decode(command.encode());
    assert_eq!(again.as_ref(), Ok(command), "what is encoded is decoded");
}
