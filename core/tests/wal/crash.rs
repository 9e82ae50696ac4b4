//! Any history of batches, crashes and cuts: what was durable is found, and nothing that never
//! was.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorra_core::disk::File;
use quorra_core::raft::{Entry, HardState, Index, LogBatch, Position, Term};
use quorra_core::random::Random;
use quorra_core::wal::{RecoveryError, recover_from_bytes, reseal};

use crate::model::{Disk, SEGMENT_BYTES, Writer, batch, entry, hard_state, position};

#[derive(Clone, Debug)]
enum Action {
    Append { back: u64, count: u64, payload: usize, new_term: bool },
    Vote,
    Sync,
    Commit(u64),
    CloseGap,
    Checkpoint { keep: u64 },
    Install { ahead: u64 },
    Die,
    PowerCut { seed: u64, piece: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0_u64..6, 1_u64..8, 0_usize..3_000, any::<bool>()).prop_map(
            |(back, count, payload, new_term)| Action::Append { back, count, payload, new_term }
        ),
        1 => Just(Action::Vote),
        5 => Just(Action::Sync),
        4 => (0_u64..10).prop_map(Action::Commit),
        2 => Just(Action::CloseGap),
        1 => (0_u64..20).prop_map(|keep| Action::Checkpoint { keep }),
        1 => (1_u64..20).prop_map(|ahead| Action::Install { ahead }),
        1 => Just(Action::Die),
        2 => (any::<u64>(), 1_u64..700).prop_map(|(seed, piece)| Action::PowerCut { seed, piece }),
    ]
}

/// What a log says.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    hard_state: HardState,
    last: Position,
    entries: BTreeMap<Index, Entry>,
}

impl State {
    fn apply(&mut self, batch: &LogBatch) {
        self.hard_state = batch.hard_state.unwrap_or(self.hard_state);
        if let Some(base) = batch.reset {
            self.last = base;
            self.entries.clear();
        }
        for entry in &batch.entries {
            self.entries.split_off(&entry.index);
            self.entries.insert(entry.index, entry.clone());
            self.last = Position { term: entry.term, index: entry.index };
        }
    }

    fn term_at(&self, index: Index) -> Term {
        self.entries.get(&index).map_or(self.last.term, |entry| entry.term)
    }
}

/// A member whose every past state is remembered until it cannot be recovered any more.
struct World {
    writer: Writer,
    /// The states that recovery may find; the first one is durable, the last is the present.
    states: Vec<State>,
    commit: Index,
    checkpoint: Position,
}

impl World {
    fn new() -> Self {
        let writer = Writer::new();
        let (states, commit) = (vec![State::default()], Index(0));
        Self { writer, states, commit, checkpoint: Position::default() }
    }

    fn present(&self) -> &State {
        self.states.last().expect("there is always a state")
    }

    fn append(&mut self, mut batch: LogBatch) {
        batch.commit_index = self.commit;
        let mut next = self.present().clone();
        next.apply(&batch);
        self.writer.append(&batch);
        self.states.push(next);
    }

    fn sync(&mut self) {
        self.writer.sync();
        self.states.drain(..self.states.len() - 1);
    }

    fn perform(&mut self, action: Action) {
        let present = self.present().clone();
        let term = present.hard_state.term.0;
        match action {
            Action::Append { back, count, payload, new_term } => {
                let last = present.last.index.0.saturating_sub(back).max(self.commit.0);
                let new_term = new_term || last < present.last.index.0;
                let term = (term + u64::from(new_term)).max(1);
                let mut batch = batch(term, last + 1, last + count, payload);
                batch.hard_state =
                    batch.hard_state.filter(|state| state.term != present.hard_state.term);
                self.append(batch);
            }
            Action::Vote => self.append(LogBatch {
                hard_state: Some(hard_state(term + 1, 3)),
                ..LogBatch::default()
            }),
            Action::Sync => self.sync(),
            Action::Commit(ahead) if self.states.len() == 1 => {
                self.commit = Index(self.commit.0 + ahead).min(present.last.index);
            }
            Action::Commit(_) => {}
            Action::CloseGap => {
                if let Some(batch) = self.writer.wal.close_gap(self.commit) {
                    self.append(batch);
                }
            }
            Action::Checkpoint { keep } => {
                let term = present.term_at(self.commit);
                if self.commit > self.checkpoint.index {
                    self.checkpoint = Position { term, index: self.commit };
                }
                self.writer.cut(self.checkpoint.index.0.saturating_sub(keep));
            }
            Action::Install { ahead } => {
                let index = Index(present.last.index.0.max(self.commit.0) + ahead);
                self.install(Position { term: Term(term.max(1)), index });
            }
            Action::Die => {
                self.writer.disk.sync();
                self.restart();
            }
            Action::PowerCut { seed, piece } => {
                self.writer.disk.power_cut(&mut Random::new(seed), piece);
                self.restart();
            }
        }
    }

    /// The checkpoint is durable at once, on its own lane; the reset is not.
    fn install(&mut self, base: Position) {
        self.checkpoint = base;
        self.commit = base.index;
        let hard_state = Some(HardState { term: base.term, ..self.present().hard_state });
        let hard_state = hard_state.filter(|_| self.present().hard_state.term < base.term);
        self.append(LogBatch { hard_state, reset: Some(base), ..LogBatch::default() });
    }

    fn restart(&mut self) {
        let (committed, recovered) =
            self.writer.disk.recover(self.checkpoint).expect("nothing durable was damaged");
        let again = self.writer.disk.recover(self.checkpoint).expect("it did once");
        assert_eq!((again.1.last, again.0.len()), (recovered.last, committed.len()));
        let found: Vec<Entry> = committed.iter().chain(&recovered.uncommitted).cloned().collect();
        assert!(recovered.commit_index <= self.commit, "commit is never invented");
        let behind = self.checkpoint.index.0 + 1;
        assert!(committed.iter().zip(behind..).all(|(entry, index)| entry.index.0 == index));
        assert_eq!(behind + committed.len() as u64, recovered.commit_index.0 + 1);
        let expected = |state: &State| -> Vec<Entry> {
            let joined = state.last.index >= self.checkpoint.index;
            let behind = state.entries.range(self.checkpoint.index.next()..);
            behind.filter(|_| joined).map(|(_, entry)| entry.clone()).collect()
        };
        let installed = |state: &State| match state.last.index < self.checkpoint.index {
            false => state.clone(),
            true => {
                let at_least = HardState { term: self.checkpoint.term, vote: None };
                let raised = state.hard_state.term < at_least.term;
                let hard_state = if raised { at_least } else { state.hard_state };
                State { hard_state, last: self.checkpoint, entries: BTreeMap::new() }
            }
        };
        let state = self
            .states
            .iter()
            .rev()
            .map(installed)
            .find(|state| state.hard_state == recovered.hard_state && expected(state) == found);
        let state = state.expect("recovery finds a state that was written");
        assert_eq!(state.last, recovered.last);
        self.states = vec![state];
        let disk = std::mem::take(&mut self.writer.disk);
        self.writer = Writer::resume(disk, recovered.wal);
    }

    /// Every entry that the present log holds on disk can be read back.
    fn check_reads(&mut self) {
        self.sync();
        let (wal, disk) = (&self.writer.wal, &self.writer.disk);
        let entries = &self.present().entries;
        let kept = entries.range(self.checkpoint.index.next()..);
        for (index, _) in kept {
            let read = wal.locate(*index, 10_000).expect("the log holds it");
            let found = wal.decode(read, disk.read(read), *index).expect("it is intact");
            assert_eq!(found.first().map(|entry| entry.index), Some(*index));
            for entry in found {
                assert_eq!(Some(&entry), entries.get(&entry.index));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn what_was_durable_is_recovered_and_nothing_is_invented(
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut world = World::new();
        for action in actions {
            world.perform(action);
            world.writer.wal.check();
        }
        world.check_reads();
        world.restart();
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..4),
    ) {
        let segments: Vec<bytes::Bytes> = segments.into_iter().map(Into::into).collect();
        let checkpoint = Position::default();
        let outcome = recover_from_bytes(1, &segments, checkpoint, SEGMENT_BYTES);
        prop_assert!(outcome.is_err(), "no random bytes are a log");
    }

    #[test]
    fn damage_behind_the_checksums_never_panics(
        hits in prop::collection::vec((any::<u64>(), any::<u64>(), 0_u32..64), 1..8),
        checkpoint in (0_u64..3, 0_u64..9),
    ) {
        let content = damaged_history().disk.files.remove(&File::Segment(1));
        let mut content = content.expect("it is there");
        for (place, value, shift) in hits {
            // Whole numbers are hit, in the records only, so that there is something to go on.
            let place = 64 + usize::try_from(place % 100).expect("it is small") * 8;
            content[place..place + 8].copy_from_slice(&(value >> shift).to_le_bytes());
        }
        let sealed = reseal(1, &[content.into()]);
        let checkpoint = position(checkpoint.0, checkpoint.1);
        if let Ok((_, recovered)) = recover_from_bytes(1, &sealed, checkpoint, SEGMENT_BYTES) {
            recovered.wal.check();
            let mut writer = Writer::resume(Disk::default(), recovered.wal);
            let term = recovered.hard_state.term.0.saturating_add(1);
            let next = recovered.last.index.0 + 1;
            writer.append_synced(&batch(term, next, next, 10));
            writer.wal.check();
        }
    }

    #[test]
    fn damage_never_panics_and_never_invents(
        hits in prop::collection::vec((any::<u64>(), any::<u8>()), 1..6),
    ) {
        let mut writer = damaged_history();
        let original = writer.disk.recover(Position::default()).expect("it is whole").0;
        let content = writer.disk.files.get_mut(&File::Segment(1)).expect("it is there");
        for (place, value) in hits {
            let place = usize::try_from(place % content.len() as u64).expect("it is small");
            content[place] = value;
        }
        if let Ok((committed, recovered)) = writer.disk.recover(Position::default()) {
            let found = committed.iter().chain(&recovered.uncommitted);
            prop_assert!(found.zip(&original).all(|(found, original)| found == original));
        }
    }
}

fn damaged_history() -> Writer {
    let mut writer = Writer::new();
    for index in 1..=5 {
        let entries = vec![entry(1, index, 40)];
        let hard_state = Some(hard_state(1, 2));
        let commit_index = Index(index);
        writer.append_synced(&LogBatch { hard_state, entries, commit_index, reset: None });
    }
    let gap = writer.wal.close_gap(Index(5)).expect("the last record is not vouched for");
    writer.append_synced(&gap);
    writer
}

#[test]
fn every_flipped_bit_below_a_promise_is_corruption() {
    let writer = damaged_history();
    let (committed, recovered) = writer.disk.recover(Position::default()).expect("it is whole");
    assert_eq!((committed.len(), recovered.dropped), (5, None));
    let file = File::Segment(1);
    let records = writer.disk.files.get(&file).expect("it is there");
    let end = records.iter().rposition(|byte| *byte != 0).expect("there are records");
    let promised = end.next_multiple_of(8) - 112;
    for bit in 0..promised * 8 {
        let mut disk = writer.disk.clone();
        disk.files.get_mut(&file).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
        let outcome = disk.recover(Position::default()).map(|_| ());
        let Err(RecoveryError::Corrupt { file: named, offset, .. }) = outcome else {
            panic!("bit {bit} was flipped unnoticed: {outcome:?}");
        };
        assert_eq!(named, file);
        assert!(offset <= bit as u64 / 8, "bit {bit} is said to be behind it, at {offset}");
    }
}
