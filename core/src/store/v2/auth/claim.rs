//! On whose behalf a key is read or written, as far as permission depends on it.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::codec::Write;

const IS_USER: u8 = 1;
const HAS_SLASH: u8 = 2;
const IS_RECURSIVE: u8 = 4;
/// Always set, so that a claim is never taken for none.
const IS_CLAIM: u8 = 8;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who did not say.
    Guest,
    /// A user of this name, who has proved it.
    User(Bytes),
}

/// Who asks, and what of the request a [`Path`](crate::store::v2::Path) does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub caller: Caller,
    /// The key was given with a slash behind it; patterns are compared with what was given.
    pub slash: bool,
    /// `recursive` was asked for: only patterns that end in `*` count then, but not for guests.
    pub recursive: bool,
}

impl Claim {
    /// A claim as a command carries it.
    ///
    /// ```text
    /// offset  0       1
    ///         | flags | the user's name |
    /// ```
    #[must_use]
    pub fn encode(claim: Option<&Self>) -> Bytes {
        let Some(claim) = claim else { return Bytes::new() };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let name: &[u8] = match &claim.caller {
            Caller::Guest => &[],
            Caller::User(name) => name,
        };
        let is_user = matches!(claim.caller, Caller::User(_));
        let mut out = Vec::with_capacity(1 + name.len());
        out.put_byte(
            IS_CLAIM
                | flag(is_user, IS_USER)
                | flag(claim.slash, HAS_SLASH)
                | flag(claim.recursive, IS_RECURSIVE),
        );
        out.put_bytes(name);
        out.into()
    }

    /// The counterpart of [`Self::encode`]. Any bytes are some claim; a name that is none of a
    /// user's is permitted nothing.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let flags = *bytes.first()?;
        let is = |flag: u8| flags & flag != 0;
        let caller = if is(IS_USER) { Caller::User(bytes.slice(1..)) } else { Caller::Guest };
        Some(Self { caller, slash: is(HAS_SLASH), recursive: is(IS_RECURSIVE) })
    }
}
