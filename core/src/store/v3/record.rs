//! One version of one key, in one allocation.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::codec::Write;

/// A version of a key: a shared handle to one compact block (header, key, value).
///
/// Clones are cheap and keep the block alive, so a large answer can be encoded while the store
/// moves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Rc<[u8]>);

const HEADER_BYTES: usize = 4 * 8 + 4;

impl Record {
    /// Copies key and value into a new block.
    #[must_use]
    pub fn new(
        create_revision: i64,
        mod_revision: i64,
        version: i64,
        lease: i64,
        key: &[u8],
        value: &[u8],
    ) -> Self {
        let mut block = Vec::with_capacity(HEADER_BYTES + key.len() + value.len());
        block.put_i64(create_revision);
        block.put_i64(mod_revision);
        block.put_i64(version);
        block.put_i64(lease);
        block.put_u32(u32::try_from(key.len()).expect("a key is smaller than an entry"));
        block.put_bytes(key);
        block.put_bytes(value);
        Self(block.into())
    }

    fn number(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight bytes"))
    }

    fn key_bytes(&self) -> usize {
        u32::from_le_bytes(self.0[32..36].try_into().expect("four bytes")) as usize
    }

    /// The revision that created the key.
    #[must_use]
    pub fn create_revision(&self) -> i64 {
        self.number(0)
    }

    /// The revision of this version.
    #[must_use]
    pub fn mod_revision(&self) -> i64 {
        self.number(8)
    }

    /// How often the key was put since its creation.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.number(16)
    }

    /// The attached lease, or zero.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.number(24)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0[HEADER_BYTES..HEADER_BYTES + self.key_bytes()]
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.0[HEADER_BYTES + self.key_bytes()..]
    }
}
