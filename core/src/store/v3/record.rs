//! One version of one key, in one allocation.

use alloc::rc::Rc;

use crate::codec::DecodeError;

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
        let bytes = HEADER_BYTES + key.len() + value.len();
        let mut shared: Rc<[u8]> = core::iter::repeat_n(0, bytes).collect();
        let block = Rc::get_mut(&mut shared).expect("a new block has one handle");
        let (header, pair) = block.split_at_mut(HEADER_BYTES);
        let numbers = [create_revision, mod_revision, version, lease];
        for (place, number) in header.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let key_bytes = u32::try_from(key.len()).expect("a key is smaller than an entry");
        header[32..].copy_from_slice(&key_bytes.to_le_bytes());
        pair[..key.len()].copy_from_slice(key);
        pair[key.len()..].copy_from_slice(value);
        Self(shared)
    }

    /// Takes over a block that [`Self::block`] once was.
    ///
    /// # Errors
    /// When it cannot have been one.
    pub(crate) fn of_block(block: &[u8]) -> Result<Self, DecodeError> {
        let error = |rule| Err(DecodeError { rule, offset: 0 });
        let Some(length) = block.get(32..HEADER_BYTES) else {
            return error("a record ends in its header");
        };
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length == 0 || length > block.len() - HEADER_BYTES {
            return error("a record's key is empty, or longer than the record");
        }
        let record = Self(block.into());
        if record.create_revision() < 1 || record.mod_revision() < record.create_revision() {
            return error("a record's revisions are not ascending");
        }
        if record.version() < 1 {
            return error("a record's version is below one");
        }
        Ok(record)
    }

    /// Everything: header, key and value.
    pub(crate) fn block(&self) -> &[u8] {
        &self.0
    }

    /// The hash of everything.
    pub(crate) fn hash(&self) -> u64 {
        crate::store::hash::of_block(&self.0)
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
