//! The records of an answer, measured as they are gathered.

use core::ops::Deref;

use super::{Blocks, Record};
use crate::codec::varint_bytes;

/// Versions in an answer, and how long they will be when they are sent.
///
/// etcd's messages tell the length of everything before its first byte. Nobody can walk over a
/// million records at once to find it out, so it is added up while they are gathered, a slice at a
/// time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    list: Blocks<Record>,
    /// Without values.
    message_bytes: usize,
    value_bytes: usize,
}

impl Records {
    /// Adds a version behind the others.
    pub fn push(&mut self, record: Record) {
        let (bare, whole) = (listed_bytes(&record, true), listed_bytes(&record, false));
        self.message_bytes += bare;
        self.value_bytes += whole - bare;
        self.list.push(record);
    }

    /// How long they are as a list of `mvccpb.KeyValue` in a message, each with what stands in
    /// front of it.
    #[must_use]
    pub fn message_bytes(&self, keys_only: bool) -> usize {
        self.message_bytes + if keys_only { 0 } else { self.value_bytes }
    }
}

impl Record {
    /// How long it is as a `mvccpb.KeyValue`: fields that are zero or empty are left out.
    #[must_use]
    pub fn message_bytes(&self, keys_only: bool) -> usize {
        let number = |number: i64| match number.cast_unsigned() {
            0 => 0,
            number => 1 + varint_bytes(number),
        };
        let text = |text: &[u8]| if text.is_empty() { 0 } else { delimited_bytes(text.len()) };
        text(self.key())
            + number(self.create_revision())
            + number(self.mod_revision())
            + number(self.version())
            + if keys_only { 0 } else { text(self.value()) }
            + number(self.lease())
    }
}

fn listed_bytes(record: &Record, keys_only: bool) -> usize {
    delimited_bytes(record.message_bytes(keys_only))
}

/// With a key of one byte and a length in front.
fn delimited_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes as u64) + bytes
}

impl Deref for Records {
    type Target = Blocks<Record>;

    fn deref(&self) -> &Blocks<Record> {
        &self.list
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut all = Self::default();
        records.into_iter().for_each(|record| all.push(record));
        all
    }
}

impl IntoIterator for Records {
    type Item = Record;
    type IntoIter = <Blocks<Record> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
