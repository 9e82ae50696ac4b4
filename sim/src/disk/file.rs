//! One file: the platter's bytes and, in order, the writes above them.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::chance::Chance;

/// What a disk writes at once or not at all.
const SECTOR_BYTES: u64 = 512;

/// What is written.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Bytes(Bytes),
    Zeros(u64),
}

impl Data {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(length) => *length,
        }
    }

    fn slice(&self, from: u64, to: u64) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.slice(position(from)..position(to))),
            Self::Zeros(_) => Self::Zeros(to - from),
        }
    }
}

#[derive(Clone, Debug)]
struct Patch {
    offset: u64,
    data: Data,
}

impl Patch {
    fn end(&self) -> u64 {
        self.offset + self.data.length()
    }

    /// The part within a sector.
    fn within(&self, sector: u64) -> Option<Self> {
        let from = self.offset.max(sector * SECTOR_BYTES);
        let to = self.end().min((sector + 1) * SECTOR_BYTES);
        let data = || self.data.slice(from - self.offset, to - self.offset);
        (from < to).then(|| Self { offset: from, data: data() })
    }

    fn apply(&self, content: &mut Vec<u8>) {
        let (from, to) = (position(self.offset), position(self.end()));
        if content.len() < to {
            content.resize(to, 0);
        }
        match &self.data {
            Data::Bytes(bytes) => content[from..to].copy_from_slice(bytes),
            Data::Zeros(_) => content[from..to].fill(0),
        }
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files fit memory")
}

/// A file's content.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    synced: Vec<u8>,
    unsynced: Vec<Patch>,
}

impl Image {
    pub(super) fn write(&mut self, offset: u64, data: Data) {
        self.unsynced.push(Patch { offset, data });
    }

    pub(super) fn sync(&mut self) {
        for patch in std::mem::take(&mut self.unsynced) {
            patch.apply(&mut self.synced);
        }
    }

    pub(super) fn length(&self) -> u64 {
        let written = self.unsynced.iter().map(Patch::end).max().unwrap_or(0);
        written.max(self.synced.len() as u64)
    }

    pub(super) fn read(&self, offset: u64, length: u64) -> Bytes {
        let end = self.length().min(offset.saturating_add(length));
        if offset >= end {
            return Bytes::new();
        }
        let mut content = Vec::new();
        let synced = self.synced.get(position(offset)..).unwrap_or(&[]);
        content.extend_from_slice(&synced[..synced.len().min(position(end - offset))]);
        content.resize(position(end - offset), 0);
        for patch in &self.unsynced {
            let (from, to) = (patch.offset.max(offset), patch.end().min(end));
            if from < to {
                let data = patch.data.slice(from - patch.offset, to - patch.offset);
                Patch { offset: from - offset, data }.apply(&mut content);
            }
        }
        content.into()
    }

    /// The synced part alone.
    pub(super) fn platter(&self) -> Self {
        Self { synced: self.synced.clone(), unsynced: Vec::new() }
    }

    /// Keeps, of each sector, a prefix of the writes to it; each further one `keep` times in 1,000.
    pub(super) fn lose_power(&mut self, keep: u64, chance: &mut Chance) {
        let patches = std::mem::take(&mut self.unsynced);
        let end = patches.iter().map(Patch::end).max().unwrap_or(0);
        let sectors: BTreeSet<u64> = patches
            .iter()
            .filter(|patch| patch.offset < patch.end())
            .flat_map(|patch| patch.offset / SECTOR_BYTES..=(patch.end() - 1) / SECTOR_BYTES)
            .collect();
        for sector in sectors {
            let parts = patches.iter().filter_map(|patch| patch.within(sector));
            parts.take_while(|_| chance.per_mille(keep)).for_each(|part| {
                part.apply(&mut self.synced);
            });
        }
        if chance.per_mille(250) && self.synced.len() < position(end) {
            self.synced.resize(position(end), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sees_writes_in_order_and_holes_as_zeros() {
        let mut image = Image::default();
        image.write(2, Data::Bytes(Bytes::from_static(b"abc")));
        image.sync();
        image.write(3, Data::Bytes(Bytes::from_static(b"XY")));
        image.write(4, Data::Zeros(1));
        assert_eq!(image.read(0, 9), &b"\0\0aX\0"[..]);
        assert_eq!(image.read(3, 1), "X");
        assert_eq!(image.read(7, 1), "");
        assert_eq!(image.length(), 5);
    }

    #[test]
    fn a_sector_never_holds_a_later_write_without_an_earlier_one() {
        for seed in 0..300 {
            let mut image = Image::default();
            image.write(0, Data::Bytes(Bytes::from_static(b"1")));
            image.write(1, Data::Bytes(Bytes::from_static(b"2")));
            image.write(511, Data::Bytes(Bytes::from_static(b"34")));
            image.lose_power(500, &mut Chance::new(seed));
            let content = image.read(0, 1_024);
            let at = |offset: usize| content.get(offset).copied().unwrap_or(0) != 0;
            assert!(at(0) || !at(1), "the second write needs the first");
            assert!(at(1) || !at(511), "the third write's first half needs both");
        }
    }

    #[test]
    fn a_write_over_two_sectors_can_be_torn_both_ways() {
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            let mut image = Image::default();
            image.write(510, Data::Bytes(Bytes::from_static(b"abcd")));
            image.lose_power(500, &mut Chance::new(seed));
            let content = image.read(510, 4);
            seen.insert((content.starts_with(b"ab"), content.ends_with(b"cd")));
        }
        assert_eq!(seen.len(), 4);
    }
}
