//! The steps of a core world, as its trace tells them.

use std::fmt;

use quorra_core::disk::Lane;
use quorra_core::raft;
use quorra_core::replica::{Message, StopReason};

use crate::disk::{Answer, Crash};
use crate::faults::Fault;
use crate::network::Partition;

/// A message in a few numbers.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Summary {
    kind: &'static str,
    term: u64,
    numbers: [u64; 3],
}

impl Summary {
    pub(super) fn of(message: &Message) -> Self {
        let told = |kind, term: raft::Term, numbers| Self { kind, term: term.0, numbers };
        match message {
            Message::Forward(payload) => {
                told("Forward", raft::Term(0), [payload.len() as u64, 0, 0])
            }
            Message::Refuse { counter, .. } => told("Refuse", raft::Term(0), [*counter, 0, 0]),
            Message::Raft(message) => Self::of_raft(message),
        }
    }

    fn of_raft(message: &raft::Message) -> Self {
        use raft::Message as M;
        let told = |kind, term: &raft::Term, numbers| Self { kind, term: term.0, numbers };
        match message {
            M::RequestVote { term, pre, last_index, last_term, .. } => {
                let kind = if *pre { "RequestPreVote" } else { "RequestVote" };
                told(kind, term, [last_index.0, last_term.0, 0])
            }
            M::Vote { term, pre, granted } => {
                let kind = if *pre { "PreVote" } else { "Vote" };
                told(kind, term, [u64::from(*granted), 0, 0])
            }
            M::Append { term, prev_index, commit_index, entries, .. } => {
                told("Append", term, [prev_index.0, entries.len() as u64, commit_index.0])
            }
            M::Appended { term, match_index } => told("Appended", term, [match_index.0, 0, 0]),
            M::Rejected { term, prev_index, hint_index, .. } => {
                told("Rejected", term, [prev_index.0, hint_index.0, 0])
            }
            M::Heartbeat { term, commit_index, round } => {
                told("Heartbeat", term, [commit_index.0, *round, 0])
            }
            M::HeartbeatAnswer { term, round } => told("HeartbeatAnswer", term, [*round, 0, 0]),
            M::ReadIndex { term, contexts } => {
                told("ReadIndex", term, [contexts.len() as u64, 0, 0])
            }
            M::ReadIndexAnswer { term, contexts, index } => {
                let index = index.map_or(0, |index| index.0);
                told("ReadIndexAnswer", term, [contexts.len() as u64, index, 0])
            }
            M::Chunk { term, chunk } => {
                told("Chunk", term, [chunk.snapshot.index.0, chunk.offset, chunk.total])
            }
            M::ChunkAnswer { term, snapshot, received, installed } => {
                let received = received.unwrap_or(u64::MAX);
                told("ChunkAnswer", term, [snapshot.index.0, received, u64::from(*installed)])
            }
            M::TimeoutNow { term } => told("TimeoutNow", term, [0, 0, 0]),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.numbers;
        write!(f, "{} term={} {a} {b} {c}", self.kind, self.term)
    }
}

/// What happened.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Sent { from: usize, to: usize, message: Summary, copies: usize },
    Arrived { from: usize, to: usize, message: Summary },
    Submitted { seat: usize, lane: Lane, ticket: u64, operations: usize },
    Disk { seat: usize, lane: Lane, answer: Answer },
    Read { seat: usize, bytes: u64 },
    Asked { seat: usize, operation: usize, request: &'a dyn fmt::Debug },
    Told { seat: usize, operation: usize, reply: &'a dyn fmt::Debug },
    Shows { seat: usize, term: u64, leads: bool, commit: u64, applied: u64, hash: u64 },
    Notice { seat: usize, notice: raft::Notice },
    Started { seat: usize, incarnation: u64, applied: u64 },
    Crashed { seat: usize, how: Crash },
    Stopped { seat: usize, reason: StopReason },
    Connected { a: usize, b: usize, up: bool },
    Wiped { seat: usize },
    Renewed { seat: usize },
    Struck(Fault),
    Parted(Partition),
    Phase(&'static str),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { from, to, message, copies } => {
                write!(f, "m{from} sends to m{to} x{copies}: {message}")
            }
            Self::Arrived { from, to, message } => write!(f, "m{to} hears m{from}: {message}"),
            Self::Submitted { seat, lane, ticket, operations } => {
                write!(f, "m{seat} submits {lane:?} ticket {ticket}: {operations} operations")
            }
            Self::Disk { seat, lane, answer } => match answer.failure {
                None => write!(f, "m{seat} {lane:?} durable up to {}", answer.ticket),
                Some(failure) => {
                    write!(f, "m{seat} {lane:?} {} failed: {failure:?}", answer.ticket)
                }
            },
            Self::Read { seat, bytes } => write!(f, "m{seat} has read {bytes} bytes"),
            Self::Asked { seat, operation, request } => {
                write!(f, "m{seat} is asked #{operation}: {request:?}")
            }
            Self::Told { seat, operation, reply } => {
                write!(f, "m{seat} answers #{operation}: {reply:?}")
            }
            Self::Shows { seat, term, leads, commit, applied, hash } => {
                let role = if *leads { " leads" } else { "" };
                write!(f, "m{seat}{role} term={term} commit={commit} applied={applied} {hash:016x}")
            }
            Self::Notice { seat, notice } => write!(f, "m{seat} notes {notice:?}"),
            Self::Started { seat, incarnation, applied } => {
                write!(f, "m{seat} starts, incarnation {incarnation}, applied {applied}")
            }
            Self::Crashed { seat, how } => write!(f, "m{seat} crashes: {how:?}"),
            Self::Stopped { seat, reason } => write!(f, "m{seat} stops: {reason:?}"),
            Self::Connected { a, b, up } => {
                write!(f, "m{a} and m{b} {}", if *up { "connect" } else { "disconnect" })
            }
            Self::Wiped { seat } => write!(f, "m{seat} has lost its disk"),
            Self::Renewed { seat } => write!(f, "m{seat} is a new member now"),
            Self::Struck(fault) => write!(f, "--- fault: {fault:?}"),
            Self::Parted(partition) => write!(f, "--- partition: {partition:?}"),
            Self::Phase(phase) => write!(f, "=== {phase}"),
        }
    }
}

impl std::hash::Hash for Step<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Sent { from, to, message, copies } => (from, to, message, copies).hash(state),
            Self::Arrived { from, to, message } => (from, to, message).hash(state),
            Self::Submitted { seat, lane, ticket, operations } => {
                (seat, *lane == Lane::Log, ticket, operations).hash(state);
            }
            Self::Disk { seat, lane, answer } => (seat, *lane == Lane::Log, answer).hash(state),
            Self::Read { seat, bytes } => (seat, bytes).hash(state),
            Self::Asked { seat, operation, .. } | Self::Told { seat, operation, .. } => {
                (seat, operation).hash(state);
            }
            Self::Shows { seat, term, leads, commit, applied, hash } => {
                (seat, term, leads, commit, applied, hash).hash(state);
            }
            Self::Notice { seat, .. } | Self::Stopped { seat, .. } => seat.hash(state),
            Self::Started { seat, incarnation, applied } => {
                (seat, incarnation, applied).hash(state);
            }
            Self::Crashed { seat, how } => (seat, how).hash(state),
            Self::Connected { a, b, up } => (a, b, up).hash(state),
            Self::Wiped { seat } | Self::Renewed { seat } => seat.hash(state),
            Self::Struck(fault) => fault.hash(state),
            Self::Parted(partition) => partition.hash(state),
            Self::Phase(phase) => phase.hash(state),
        }
    }
}
