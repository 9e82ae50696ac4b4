//! How the trace prints what happens.

use std::fmt::Write as _;

use quorra_core::raft::{
    Configuration, Entry, EntryKind, LogBatch, Message, Notice, Position, ReadContext,
};

/// `index@term`.
pub(crate) fn position(position: Position) -> String {
    format!("{}@{}", position.index, position.term)
}

pub(crate) fn configuration(configuration: &Configuration) -> String {
    let list = |members: &std::collections::BTreeSet<_>| {
        members.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    format!("{}/{}", list(&configuration.voters), list(&configuration.learners))
}

fn entries(entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        let place = format!("{}@{}", entry.index, entry.term);
        let payload = String::from_utf8_lossy(&entry.payload).into_owned();
        match entry.kind {
            EntryKind::Empty => place,
            EntryKind::Command if payload.len() > 12 => format!("{place} ({} B)", payload.len()),
            EntryKind::Command => format!("{place} {payload}"),
            EntryKind::Configuration => format!("{place} members={payload}"),
        }
    };
    format!("[{}]", entries.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn contexts(contexts: &[ReadContext]) -> String {
    contexts.iter().map(|context| context.0.to_string()).collect::<Vec<_>>().join(",")
}

pub(crate) fn batch(batch: &LogBatch) -> String {
    let mut text = String::new();
    if let Some(state) = batch.hard_state {
        let vote = state.vote.map_or_else(|| "none".to_string(), |vote| vote.to_string());
        write!(text, " term={} vote={vote}", state.term).expect("a string takes everything");
    }
    if let Some(base) = batch.reset {
        write!(text, " reset={}", position(base)).expect("a string takes everything");
    }
    if !batch.entries.is_empty() {
        write!(text, " entries={}", entries(&batch.entries)).expect("a string takes everything");
    }
    format!("{text} commit={}", batch.commit_index)
}

pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::RequestVote { term, pre, transfer, last_index, last_term } => {
            let kind = if *pre { "PreVoteRequest" } else { "RequestVote" };
            let order = if *transfer { " transfer" } else { "" };
            format!("{kind} term={term} last={last_index}@{last_term}{order}")
        }
        Message::Vote { term, pre, granted } => {
            let kind = if *pre { "PreVote" } else { "Vote" };
            format!("{kind} term={term} {}", if *granted { "granted" } else { "refused" })
        }
        Message::Append { term, prev_index, prev_term, commit_index, entries: sent } => {
            let sent = entries(sent);
            format!("Append term={term} prev={prev_index}@{prev_term} commit={commit_index} {sent}")
        }
        Message::Appended { term, match_index } => {
            format!("Appended term={term} match={match_index}")
        }
        Message::Rejected { term, prev_index, hint_index, hint_term } => {
            format!("Rejected term={term} prev={prev_index} hint={hint_index}@{hint_term}")
        }
        Message::Heartbeat { term, commit_index, round } => {
            format!("Heartbeat term={term} commit={commit_index} round={round}")
        }
        Message::HeartbeatAnswer { term, round } => {
            format!("HeartbeatAnswer term={term} round={round}")
        }
        Message::ReadIndex { term, contexts: asked } => {
            format!("ReadIndex term={term} reads={}", contexts(asked))
        }
        Message::ReadIndexAnswer { term, contexts: asked, index } => {
            let index = index.map_or_else(|| "none".to_string(), |index| index.to_string());
            format!("ReadIndexAnswer term={term} reads={} index={index}", contexts(asked))
        }
        Message::Chunk { term, chunk } => {
            format!("Chunk term={term} snapshot={}", position(chunk.snapshot.position()))
        }
        Message::ChunkAnswer { term, snapshot, received, installed } => {
            let received = received.map_or_else(|| "none".to_string(), |bytes| bytes.to_string());
            let installed = if *installed { " installed" } else { "" };
            let snapshot = position(snapshot.position());
            format!("ChunkAnswer term={term} snapshot={snapshot} received={received}{installed}")
        }
        Message::TimeoutNow { term } => format!("TimeoutNow term={term}"),
    }
}

pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Role { term, role } => format!("is {role:?} in term {term}"),
        Notice::Leader { term, leader: Some(leader) } => format!("follows {leader} in term {term}"),
        Notice::Leader { term, leader: None } => format!("has no leader in term {term}"),
        Notice::SteppedDown { term, reason } => format!("resigns in term {term}: {reason}"),
        Notice::Misbehaved { peer, reason } => format!("drops a message of {peer}: {reason}"),
    }
}
