//! A disk in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskOp, DiskRead, File};
use quorra_core::wal::Found;

/// The files of one member; every write is durable at once.
#[derive(Default)]
pub(crate) struct Disk {
    files: BTreeMap<File, Vec<u8>>,
    /// Not published yet: a restart does not see them.
    temporary: BTreeMap<File, Vec<u8>>,
}

impl Disk {
    /// What a restart finds.
    pub(crate) fn found(&self) -> Vec<Found> {
        let length = |content: &Vec<u8>| content.len().try_into().expect("sizes fit 64 bits");
        self.files
            .iter()
            .map(|(file, content)| Found { file: *file, length: length(content) })
            .collect()
    }

    pub(crate) fn perform(&mut self, operation: DiskOp) {
        match operation {
            DiskOp::Create(file) => drop(self.temporary.insert(file, Vec::new())),
            DiskOp::Write { file, offset, bytes } => self.put(file, offset, &bytes),
            DiskOp::Zero { file, offset, length } => self.put(file, offset, &vec![0; size(length)]),
            DiskOp::Publish(file) => {
                let content = self.temporary.remove(&file).expect("only what exists is published");
                self.files.insert(file, content);
            }
            DiskOp::Remove(file) => {
                self.files.remove(&file);
                self.temporary.remove(&file);
            }
        }
    }

    fn put(&mut self, file: File, offset: u64, bytes: &[u8]) {
        let content = match self.files.get_mut(&file) {
            Some(content) => content,
            None => self.temporary.get_mut(&file).expect("only what exists is written"),
        };
        let (start, end) = (size(offset), size(offset) + bytes.len());
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(bytes);
    }

    pub(crate) fn read(&self, place: DiskRead) -> Result<Bytes, DiskFailure> {
        let content = self.files.get(&place.file).ok_or(DiskFailure::Io)?;
        let start = size(place.offset).min(content.len());
        let end = start.saturating_add(size(place.length)).min(content.len());
        Ok(Bytes::copy_from_slice(&content[start..end]))
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a size fits the memory")
}
