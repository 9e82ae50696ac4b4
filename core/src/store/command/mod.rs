//! Replicated commands and their byte layout.
//!
//! ```text
//! offset  0  1        9            17       25     33
//!         | version | member | incarnation | counter | stamp | user | tag | body |
//! ```
//!
//! The front has fixed offsets, so that a leader can recognise who forwarded a command and put its
//! own clock's stamp in without decoding the rest. What follows is lengths and values as
//! [`crate::codec`] writes them; a decoded command shares its keys and values with the entry.
//!
//! A member only ever proposes commands of the layout that the replicated cluster version allows;
//! there is one layout so far.

mod v2;
mod v2_auth;
mod v3;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::membership::{Change, Member};
use crate::codec::{DecodeError, Reader, Write};
use crate::identity::{Incarnation, MemberId};
use crate::raft::EntryKind;
use crate::time::WallTime;

/// The layout that this build writes.
const VERSION: u8 = 1;
/// Where the leader's stamp lies: behind the version and the identity.
const STAMP_OFFSET: usize = 1 + 3 * 8;
/// The fixed front: version, identity and stamp.
const FRONT_BYTES: usize = STAMP_OFFSET + 8;

/// By what a proposer recognises its own command when it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Whose client asked for it.
    pub member: MemberId,
    /// In which life of that member.
    pub incarnation: Incarnation,
    /// Unique within that life.
    pub counter: u64,
}

/// What a command changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The v3 store.
    V3(super::v3::Write),
    /// The v2 store.
    V2(super::v2::Write),
    /// v2 users and roles.
    V2Auth(super::v2::auth::Change),
    /// Removes the v2 nodes whose time is up at the command's stamp (`SYNC`).
    V2Sync,
    /// A member tells its name and where clients reach it.
    Publish {
        /// Whose.
        member: MemberId,
        /// `--name`
        name: String,
        /// `--advertise-client-urls`
        client_urls: Vec<String>,
    },
    /// The smallest version of all members, as they found it, `3.5.0` say.
    ClusterVersion(String),
    /// The membership; travels in entries of kind `Configuration`.
    Membership(Change),
}

/// A decoded command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who asked.
    pub identity: Identity,
    /// The leader's wall clock when it appended the command.
    pub stamp: WallTime,
    /// On whose behalf ([`Claim`](super::v2::auth::Claim)); empty if nobody was asked, because
    /// authentication was off.
    pub user: Bytes,
    /// What changes.
    pub body: Body,
}

impl Command {
    /// The command as an entry's payload, in one allocation of the exact size.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut size = Measure(0);
        self.write(&mut size);
        let mut out = Vec::with_capacity(size.0);
        self.write(&mut out);
        assert_eq!(out.len(), size.0, "a command is measured as it is written");
        out.into()
    }

    fn write(&self, out: &mut impl Write) {
        out.put_byte(VERSION);
        out.put_u64(self.identity.member.0);
        out.put_u64(self.identity.incarnation.0);
        out.put_u64(self.identity.counter);
        out.put_i64(self.stamp.0);
        out.put_block(&self.user);
        self.body.write(out);
    }

    /// Reads a payload. The command's keys and values share its memory.
    ///
    /// # Errors
    /// When the payload is of another layout, or malformed.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != VERSION {
            return Err(reader.error("a command of an unknown version"));
        }
        let identity = read_identity(&mut reader)?;
        let stamp = WallTime(reader.i64()?);
        let user = reader.block()?;
        let body = Body::read(&mut reader)?;
        reader.end()?;
        Ok(Self { identity, stamp, user, body })
    }
}

/// The kind of entry that a command travels in.
#[must_use]
pub fn entry_kind(body: &Body) -> EntryKind {
    match body {
        Body::Membership(_) => EntryKind::Configuration,
        _ => EntryKind::Command,
    }
}

/// Who asked for an encoded command.
///
/// # Errors
/// When the payload is of another layout, or too short.
pub fn identity_of(payload: &Bytes) -> Result<Identity, DecodeError> {
    let mut reader = Reader::new(payload.clone());
    if reader.u8()? != VERSION {
        return Err(reader.error("a command of an unknown version"));
    }
    read_identity(&mut reader)
}

/// The same encoded command with the leader's stamp. In place, unless the payload is shared.
///
/// # Errors
/// When the payload is of another layout, or too short.
pub fn stamped(payload: Bytes, stamp: WallTime) -> Result<Bytes, DecodeError> {
    if payload.first() != Some(&VERSION) {
        return Err(DecodeError { rule: "a command of an unknown version", offset: 0 });
    }
    let mut payload =
        payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    match payload.get_mut(STAMP_OFFSET..FRONT_BYTES) {
        Some(place) => place.copy_from_slice(&stamp.0.to_le_bytes()),
        None => return Err(DecodeError { rule: "a command ends in its front", offset: 0 }),
    }
    Ok(payload.freeze())
}

fn read_identity(reader: &mut Reader) -> Result<Identity, DecodeError> {
    Ok(Identity {
        member: MemberId(reader.u64()?),
        incarnation: Incarnation(reader.u64()?),
        counter: reader.u64()?,
    })
}

mod tag {
    pub(super) const V3_PUT: u8 = 1;
    pub(super) const V3_DELETE_RANGE: u8 = 2;
    pub(super) const V3_TXN: u8 = 3;
    pub(super) const V2_WRITE: u8 = 4;
    pub(super) const V2_SYNC: u8 = 5;
    pub(super) const PUBLISH: u8 = 6;
    pub(super) const CLUSTER_VERSION: u8 = 7;
    pub(super) const MEMBER_ADD: u8 = 8;
    pub(super) const MEMBER_REMOVE: u8 = 9;
    pub(super) const MEMBER_UPDATE: u8 = 10;
    pub(super) const MEMBER_PROMOTE: u8 = 11;
    pub(super) const V2_AUTH: u8 = 12;
}

impl Body {
    fn write(&self, out: &mut impl Write) {
        match self {
            Self::V3(write) => v3::put_write(out, write),
            Self::V2(write) => {
                out.put_byte(tag::V2_WRITE);
                v2::put_write(out, write);
            }
            Self::V2Auth(change) => {
                out.put_byte(tag::V2_AUTH);
                v2_auth::put_change(out, change);
            }
            Self::V2Sync => out.put_byte(tag::V2_SYNC),
            Self::Publish { member, name, client_urls } => {
                out.put_byte(tag::PUBLISH);
                out.put_u64(member.0);
                out.put_block(name.as_bytes());
                put_texts(out, client_urls);
            }
            Self::ClusterVersion(version) => {
                out.put_byte(tag::CLUSTER_VERSION);
                out.put_block(version.as_bytes());
            }
            Self::Membership(change) => put_change(out, change),
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            tag::V3_PUT => Self::V3(super::v3::Write::Put(v3::read_put(reader)?)),
            tag::V3_DELETE_RANGE => {
                Self::V3(super::v3::Write::DeleteRange(v3::read_delete_range(reader)?))
            }
            tag::V3_TXN => Self::V3(super::v3::Write::Txn(v3::read_txn(reader, 0)?)),
            tag::V2_WRITE => Self::V2(v2::read_write(reader)?),
            tag::V2_AUTH => Self::V2Auth(v2_auth::read_change(reader)?),
            tag::V2_SYNC => Self::V2Sync,
            tag::PUBLISH => Self::Publish {
                member: MemberId(reader.u64()?),
                name: read_text(reader)?,
                client_urls: read_texts(reader)?,
            },
            tag::CLUSTER_VERSION => Self::ClusterVersion(read_text(reader)?),
            tag::MEMBER_ADD => Self::Membership(Change::Add(read_member(reader)?)),
            tag::MEMBER_REMOVE => Self::Membership(Change::Remove(MemberId(reader.u64()?))),
            tag::MEMBER_UPDATE => {
                Self::Membership(Change::Update(MemberId(reader.u64()?), read_texts(reader)?))
            }
            tag::MEMBER_PROMOTE => Self::Membership(Change::Promote(MemberId(reader.u64()?))),
            _ => return Err(reader.error("a command of an unknown kind")),
        })
    }
}

fn put_change(out: &mut impl Write, change: &Change) {
    match change {
        Change::Add(member) => {
            out.put_byte(tag::MEMBER_ADD);
            put_member(out, member);
        }
        Change::Remove(id) => {
            out.put_byte(tag::MEMBER_REMOVE);
            out.put_u64(id.0);
        }
        Change::Update(id, peer_urls) => {
            out.put_byte(tag::MEMBER_UPDATE);
            out.put_u64(id.0);
            put_texts(out, peer_urls);
        }
        Change::Promote(id) => {
            out.put_byte(tag::MEMBER_PROMOTE);
            out.put_u64(id.0);
        }
    }
}

/// A member's own layout; checkpoints use it as well.
pub(super) fn put_member(out: &mut impl Write, member: &Member) {
    out.put_u64(member.id.0);
    out.put_block(member.name.as_bytes());
    put_texts(out, &member.peer_urls);
    put_texts(out, &member.client_urls);
    out.put_flag(member.is_learner);
}

/// The counterpart of [`put_member`].
pub(super) fn read_member(reader: &mut Reader) -> Result<Member, DecodeError> {
    Ok(Member {
        id: MemberId(reader.u64()?),
        name: read_text(reader)?,
        peer_urls: read_texts(reader)?,
        client_urls: read_texts(reader)?,
        is_learner: reader.flag()?,
    })
}

fn put_texts(out: &mut impl Write, texts: &[String]) {
    out.put_count(texts.len());
    texts.iter().for_each(|text| out.put_block(text.as_bytes()));
}

fn read_texts(reader: &mut Reader) -> Result<Vec<String>, DecodeError> {
    let count = reader.count()?;
    (0..count).map(|_| read_text(reader)).collect()
}

/// A length and that much UTF-8.
pub(super) fn read_text(reader: &mut Reader) -> Result<String, DecodeError> {
    let bytes = reader.block()?;
    match core::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(reader.error("a text is not UTF-8")),
    }
}

/// Counts the bytes that are written to it.
struct Measure(usize);

impl Write for Measure {
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

#[cfg(test)]
mod tests;
