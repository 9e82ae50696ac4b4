//! The steps of a host world, as its trace tells them.

use std::fmt;

use quorra_core::disk::Lane;
use quorra_core::raft;
use quorra_core::replica::StopReason;

use super::wires::WireId;
use crate::disk::{Answer, Crash};
use crate::faults::Fault;
use crate::network::Partition;

/// What happened.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Accepted { seat: usize, wire: WireId, peer: bool },
    Received { seat: usize, wire: WireId, bytes: &'a [u8] },
    Wrote { seat: usize, wire: WireId, bytes: &'a [u8] },
    Dialed { seat: usize, wire: WireId, to: usize },
    Submitted { seat: usize, lane: Lane, ticket: u64, operations: usize },
    Disk { seat: usize, lane: Lane, answer: Answer },
    Shows { seat: usize, term: u64, leads: bool, commit: u64, applied: u64, hash: u64 },
    Notice { seat: usize, notice: raft::Notice },
    Logged { seat: usize, line: &'a str },
    Started { seat: usize, incarnation: u64, applied: u64 },
    Crashed { seat: usize, how: Crash },
    Stopped { seat: usize, reason: StopReason },
    Calls { client: usize, seat: usize, wire: WireId },
    Asked { client: usize, operation: usize, request: &'a dyn fmt::Debug },
    Told { client: usize, operation: usize, outcome: &'a dyn fmt::Debug },
    Leaves { client: usize, how: &'static str },
    Heard { client: usize, index: u64, key: &'a str },
    Wishes { seat: usize, what: &'a str },
    Wiped { seat: usize },
    Joins { seat: usize },
    Struck(Fault),
    Parted(Partition),
    Phase(&'static str),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { seat, wire, peer } => {
                write!(f, "m{seat} accepts w{wire}{}", if *peer { " of a peer" } else { "" })
            }
            Self::Received { seat, wire, bytes } => {
                write!(f, "m{seat} reads {} bytes from w{wire}", bytes.len())
            }
            Self::Wrote { seat, wire, bytes } => {
                write!(f, "m{seat} writes {} bytes to w{wire}", bytes.len())
            }
            Self::Dialed { seat, wire, to } => write!(f, "m{seat} calls m{to}: w{wire}"),
            Self::Submitted { seat, lane, ticket, operations } => {
                write!(f, "m{seat} submits {lane:?} ticket {ticket}: {operations} operations")
            }
            Self::Disk { seat, lane, answer } => match answer.failure {
                None => write!(f, "m{seat} {lane:?} durable up to {}", answer.ticket),
                Some(failure) => {
                    write!(f, "m{seat} {lane:?} {} failed: {failure:?}", answer.ticket)
                }
            },
            Self::Shows { seat, term, leads, commit, applied, hash } => {
                let role = if *leads { " leads" } else { "" };
                write!(f, "m{seat}{role} term={term} commit={commit} applied={applied} {hash:016x}")
            }
            Self::Notice { seat, notice } => write!(f, "m{seat} notes {notice:?}"),
            Self::Logged { seat, line } => write!(f, "m{seat} logs: {line}"),
            Self::Started { seat, incarnation, applied } => {
                write!(f, "m{seat} starts, incarnation {incarnation}, applied {applied}")
            }
            Self::Crashed { seat, how } => write!(f, "m{seat} crashes: {how:?}"),
            Self::Stopped { seat, reason } => write!(f, "m{seat} stops: {reason:?}"),
            Self::Calls { client, seat, wire } => write!(f, "c{client} calls m{seat}: w{wire}"),
            Self::Asked { client, operation, request } => {
                write!(f, "c{client} asks #{operation}: {request:?}")
            }
            Self::Told { client, operation, outcome } => {
                write!(f, "c{client} is told #{operation}: {outcome:?}")
            }
            Self::Leaves { client, how } => write!(f, "c{client} leaves: {how}"),
            Self::Heard { client, index, key } => write!(f, "c{client} hears {index} of {key}"),
            Self::Wishes { seat, what } => write!(f, "the operator asks m{seat}: {what}"),
            Self::Wiped { seat } => write!(f, "m{seat} has lost its disk"),
            Self::Joins { seat } => write!(f, "m{seat} is a new member now"),
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
            Self::Accepted { seat, wire, peer } => (seat, wire, peer).hash(state),
            Self::Received { seat, wire, bytes } | Self::Wrote { seat, wire, bytes } => {
                (seat, wire, bytes).hash(state);
            }
            Self::Dialed { seat, wire, to } => (seat, wire, to).hash(state),
            Self::Submitted { seat, lane, ticket, operations } => {
                (seat, *lane == Lane::Log, ticket, operations).hash(state);
            }
            Self::Disk { seat, lane, answer } => (seat, *lane == Lane::Log, answer).hash(state),
            Self::Shows { seat, term, leads, commit, applied, hash } => {
                (seat, term, leads, commit, applied, hash).hash(state);
            }
            Self::Notice { seat, .. } | Self::Stopped { seat, .. } => seat.hash(state),
            Self::Logged { seat, line } => (seat, line).hash(state),
            Self::Started { seat, incarnation, applied } => {
                (seat, incarnation, applied).hash(state);
            }
            Self::Crashed { seat, how } => (seat, how).hash(state),
            Self::Calls { client, seat, wire } => (client, seat, wire).hash(state),
            Self::Asked { client, operation, .. } | Self::Told { client, operation, .. } => {
                (client, operation).hash(state);
            }
            Self::Leaves { client, how } => (client, how).hash(state),
            Self::Heard { client, index, key } => (client, index, key).hash(state),
            Self::Wishes { seat, what } => (seat, what).hash(state),
            Self::Wiped { seat } | Self::Joins { seat } => seat.hash(state),
            Self::Struck(fault) => fault.hash(state),
            Self::Parted(partition) => partition.hash(state),
            Self::Phase(phase) => phase.hash(state),
        }
    }
}
