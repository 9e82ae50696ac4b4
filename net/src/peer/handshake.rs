//! Who is there: the first words on a connection between members, and why they may be refused.

use std::fmt;

use bytes::{Bytes, BytesMut};
use quorra_core::codec::DecodeError;
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::raft::{Index, Position, Term};
use quorra_core::store::membership::Membership;
use serde::{Deserialize, Serialize};

use super::control;
use super::frame::{self, Kind};

/// What our connections begin with; no HTTP request begins so.
pub const MAGIC: [u8; 8] = *b"\0quorra\n";
/// The protocol's version, behind the magic. Others are refused.
pub(super) const VERSION: u32 = 1;
/// Magic and version.
pub(super) const PREFACE_BYTES: usize = MAGIC.len() + 4;

/// Whether these first bytes may become [`MAGIC`].
#[must_use]
pub fn is_magic_so_far(bytes: &[u8]) -> bool {
    bytes.iter().zip(&MAGIC).all(|(byte, expected)| byte == expected)
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Votes, heartbeats, entries, small commands.
    Control,
    /// Snapshots, large commands.
    Bulk,
}

/// The side that opens introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's cluster.
    pub cluster: ClusterId,
    /// The sender.
    pub from: MemberId,
    /// Whom it means to reach.
    pub to: MemberId,
    /// Which start of the sender this is.
    pub incarnation: Incarnation,
    /// What the connection is for.
    pub lane: Lane,
    /// The term of the highest entry that the receiver ever acknowledged to the sender.
    pub mark_term: Term,
    /// And its index.
    pub mark_index: Index,
    /// Where the sender is reached, for a receiver whose log does not tell yet.
    pub urls: Vec<String>,
}

/// The side that accepts does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Which start of the accepting member this is.
    pub incarnation: Incarnation,
    /// The term of the highest entry that the opener ever acknowledged to it.
    pub mark_term: Term,
    /// And its index.
    pub mark_index: Index,
}

/// Or it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It speaks only this version.
    Version(u32),
    /// It belongs to this cluster.
    Cluster(ClusterId),
    /// It is this member.
    Member(MemberId),
    /// It knows no such member (yet).
    Unknown,
    /// The opener was removed from the cluster.
    Removed,
    /// A later start of the opener was heard already.
    Incarnation(Incarnation),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "only protocol version {version} is spoken"),
            Self::Cluster(cluster) => write!(f, "cluster ID mismatch: this is cluster {cluster}"),
            Self::Member(member) => write!(f, "member ID mismatch: this is member {member}"),
            Self::Unknown => f.write_str("the member is not known here"),
            Self::Removed => f.write_str("the member has been permanently removed"),
            Self::Incarnation(seen) => {
                write!(f, "a later start of the member was seen: incarnation {}", seen.0)
            }
        }
    }
}

impl Hello {
    /// The highest entry that the receiver ever acknowledged to the sender.
    #[must_use]
    pub fn mark(&self) -> Position {
        Position { term: self.mark_term, index: self.mark_index }
    }

    /// Appends magic, version and the hello.
    pub(super) fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        frame::put(out, Kind::Hello, |out| control::put(out, self));
    }

    pub(super) fn get(content: &Bytes) -> Result<Self, DecodeError> {
        control::get(content)
    }

    /// Whether a member accepts it. `seen` is the newest start of the opener heard before.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(
        &self,
        me: MemberId,
        membership: &Membership,
        seen: Option<Incarnation>,
    ) -> Result<(), Refusal> {
        if self.cluster != membership.cluster {
            return Err(Refusal::Cluster(membership.cluster));
        }
        if self.to != me || self.from == me {
            return Err(Refusal::Member(me));
        }
        if membership.removed.contains(&self.from) {
            return Err(Refusal::Removed);
        }
        if !membership.members.contains_key(&self.from) {
            return Err(Refusal::Unknown);
        }
        match seen {
            Some(seen) if seen > self.incarnation => Err(Refusal::Incarnation(seen)),
            _ => Ok(()),
        }
    }
}

impl Welcome {
    /// The highest entry that the opener ever acknowledged to the accepting member.
    #[must_use]
    pub fn mark(&self) -> Position {
        Position { term: self.mark_term, index: self.mark_index }
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        frame::put(out, Kind::Welcome, |out| control::put(out, self));
    }

    pub(super) fn get(content: &Bytes) -> Result<Self, DecodeError> {
        control::get(content)
    }
}

impl Refusal {
    pub(super) fn put(self, out: &mut BytesMut) {
        frame::put(out, Kind::Refused, |out| control::put(out, &self));
    }

    pub(super) fn get(content: &Bytes) -> Result<Self, DecodeError> {
        control::get(content)
    }
}

/// The version behind the magic, once both are there.
pub(super) fn take_preface(input: &mut BytesMut) -> Result<Option<u32>, DecodeError> {
    if !is_magic_so_far(input) {
        return Err(DecodeError { rule: "a peer connection begins with our magic", offset: 0 });
    }
    if input.len() < PREFACE_BYTES {
        return Ok(None);
    }
    let preface = input.split_to(PREFACE_BYTES);
    let version = preface.last_chunk().expect("the preface ends with four bytes of version");
    Ok(Some(u32::from_le_bytes(*version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorra_core::store::membership::Member;

    #[test]
    fn strangers_are_told_why_they_are_refused() {
        let member = |id| Member {
            id: MemberId(id),
            name: String::new(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            is_learner: false,
        };
        let mut membership = Membership { cluster: ClusterId(7), ..Membership::default() };
        membership.members.insert(MemberId(1), member(1));
        membership.members.insert(MemberId(2), member(2));
        membership.removed.insert(MemberId(3));
        let valid = Hello {
            cluster: ClusterId(7),
            from: MemberId(2),
            to: MemberId(1),
            incarnation: Incarnation(5),
            lane: Lane::Control,
            mark_term: Term(0),
            mark_index: Index(0),
            urls: Vec::new(),
        };
        let like = |change: fn(&mut Hello)| {
            let mut hello = valid.clone();
            change(&mut hello);
            hello
        };
        let rows = [
            (valid.clone(), Ok(())),
            (like(|it| it.cluster = ClusterId(8)), Err(Refusal::Cluster(ClusterId(7)))),
            (like(|it| it.to = MemberId(9)), Err(Refusal::Member(MemberId(1)))),
            (like(|it| it.from = MemberId(1)), Err(Refusal::Member(MemberId(1)))),
            (like(|it| it.from = MemberId(3)), Err(Refusal::Removed)),
            (like(|it| it.from = MemberId(4)), Err(Refusal::Unknown)),
            (like(|it| it.incarnation = Incarnation(3)), Err(Refusal::Incarnation(Incarnation(4)))),
        ];
        for (hello, expected) in rows {
            let found = hello.check(MemberId(1), &membership, Some(Incarnation(4)));
            assert_eq!(found, expected, "{hello:?}");
        }
    }
}
