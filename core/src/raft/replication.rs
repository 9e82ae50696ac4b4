//! Sending a follower what it lacks: from memory, from disk, or a snapshot.

use alloc::vec::Vec;

use super::log::entry_bytes;
use super::progress::Progress;
use super::state::State;
use super::{Entry, Index, Message, Output, Position, Term};
use crate::identity::MemberId;

/// Where a follower's next entries are to be had.
enum Source {
    /// In the tail; the entry before them has this term.
    Memory(Term),
    /// On disk, from this index on.
    Disk(Index),
    /// Nowhere: they are below the log's base.
    Snapshot,
}

fn source(state: &State, progress: &Progress) -> Source {
    let next = progress.next_index;
    let previous = next.previous();
    let is_read = progress.read_up_to.is_some_and(|read| read.index == previous);
    match state.log.term(previous) {
        _ if previous < state.log.base().index => Source::Snapshot,
        Some(term) if next > state.log.before() => Source::Memory(term),
        Some(_) => Source::Disk(next),
        None if is_read => Source::Disk(next),
        None => Source::Disk(previous),
    }
}

/// Sends as many appends as the follower's window takes.
pub(super) fn replicate(
    state: &State,
    to: MemberId,
    progress: &mut Progress,
    round: u64,
    out: &mut Output,
) {
    while progress.is_open(&state.options)
        && (progress.is_probing() || progress.next_index <= state.log.last().index)
    {
        match source(state, progress) {
            Source::Memory(prev_term) => {
                let target = state.options.append_bytes_target;
                let (entries, bytes) = state.log.slice(progress.next_index, target);
                append(state, to, progress, (prev_term, entries, bytes), out);
            }
            Source::Disk(from) => {
                progress.reading = true;
                out.disk_reads.push((to, from, state.options.append_bytes_target));
            }
            Source::Snapshot => {
                progress.install();
                out.snapshots.push(to);
            }
        }
    }
    let news = state.commit_index.min(progress.match_index);
    if progress.told_commit < news && !progress.is_installing() {
        heartbeat(state, to, progress, round, out);
    }
}

/// Tells a follower that the leader lives, and what is committed of that which it holds.
pub(super) fn heartbeat(
    state: &State,
    to: MemberId,
    progress: &mut Progress,
    round: u64,
    out: &mut Output,
) {
    let commit_index = state.commit_index.min(progress.match_index);
    progress.told_commit = progress.told_commit.max(commit_index);
    state.order(to, Message::Heartbeat { term: state.term(), commit_index, round }, out);
}

/// Entries came from the disk. Only committed ones are taken: nothing else on disk is sure to
/// be in the log still.
pub(super) fn entries_read(
    state: &State,
    to: MemberId,
    progress: &mut Progress,
    entries: Vec<Entry>,
    out: &mut Output,
) {
    if !core::mem::take(&mut progress.reading) || progress.is_installing() {
        return;
    }
    let next = progress.next_index;
    let read = entries.iter().map(position);
    let previous = read.chain(progress.read_up_to).find(|at| at.index == next.previous());
    let prev_term = state.log.term(next.previous()).or_else(|| previous.map(|at| at.term));
    let mut wanted = Vec::new();
    let mut bytes = 0;
    for entry in entries.into_iter().filter(|entry| entry.index >= next) {
        let is_next = entry.index.0 == next.0 + wanted.len() as u64;
        let more = bytes + entry_bytes(&entry);
        let fits = wanted.is_empty() || more <= state.options.append_bytes_target;
        if !is_next || !fits || entry.index > state.commit_index {
            break;
        }
        bytes = more;
        wanted.push(entry);
    }
    match prev_term {
        Some(prev_term) if !wanted.is_empty() && progress.is_open(&state.options) => {
            progress.read_up_to = wanted.last().map(position);
            append(state, to, progress, (prev_term, wanted, bytes), out);
        }
        _ if previous.is_some() && progress.read_up_to != previous => {
            progress.read_up_to = previous;
        }
        _ => progress.pause(),
    }
}

fn position(entry: &Entry) -> Position {
    Position { term: entry.term, index: entry.index }
}

/// Asks a follower that has not acknowledged anything for a while where it is.
pub(super) fn inquire(state: &State, to: MemberId, progress: &mut Progress, out: &mut Output) {
    let prev_index = progress.next_index.previous();
    match state.log.term(prev_index) {
        None => progress.lost(),
        Some(prev_term) => {
            let commit_index = state.commit_index;
            let term = state.term();
            let entries = Vec::new();
            let inquiry = Message::Append { term, prev_index, prev_term, commit_index, entries };
            state.order(to, inquiry, out);
        }
    }
}

fn append(
    state: &State,
    to: MemberId,
    progress: &mut Progress,
    (prev_term, entries, bytes): (Term, Vec<Entry>, usize),
    out: &mut Output,
) {
    let prev_index = progress.next_index.previous();
    let last = entries.last().map_or(prev_index, |entry| entry.index);
    assert!(progress.is_probing() || last > prev_index, "an append in the window has entries");
    progress.sent(last, bytes);
    progress.told_commit = progress.told_commit.max(state.commit_index.min(last));
    let (term, commit_index) = (state.term(), state.commit_index);
    let message = Message::Append { term, prev_index, prev_term, commit_index, entries };
    state.order(to, message, out);
}
