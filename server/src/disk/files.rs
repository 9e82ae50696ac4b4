//! Files of the data directory, kept open, and what can be done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quorra_core::disk::{DiskFailure, DiskRead, File};

/// Zeros are written in pieces of this size.
pub(super) const ZEROS: &[u8] = &[0; 256 << 10];

/// What the core is told of an error. Only a write that was refused outright for want of space is
/// harmless; the same error from a sync is not.
pub(super) fn failure_of(error: &io::Error) -> DiskFailure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskFailure::Full,
        _ => DiskFailure::Io,
    }
}

/// Reads a part of a published file.
///
/// # Errors
/// The operating system's.
pub fn read(root: &Path, wanted: DiskRead) -> io::Result<Bytes> {
    let file = fs::File::open(root.join(wanted.file.to_string()))?;
    let left = file.metadata()?.len().saturating_sub(wanted.offset);
    let length = usize::try_from(wanted.length.min(left)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, wanted.offset)?;
    Ok(bytes.into())
}

/// One lane's view of the data directory.
///
/// # Invariants
/// - Every file in `dirty` is in `open`: what was written is synced through the same handle.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    open: BTreeMap<File, fs::File>,
    dirty: BTreeSet<File>,
    /// How many files stay open when they are clean. A removed file's space is free only once
    /// it is closed.
    open_max: usize,
    syncs: Syncing,
}

/// Whether writes are waited for until they are on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// They are.
    Always,
    /// `--unsafe-no-fsync`: what is claimed about the disk is not true.
    Never,
}

impl Files {
    /// The same, but it waits for the disk only if that is wanted.
    pub(super) fn syncing(self, syncs: Syncing) -> Self {
        Self { syncs, ..self }
    }

    pub(super) fn open(root: &Path, open_max: usize) -> io::Result<Self> {
        let root = root.canonicalize()?;
        Ok(Self {
            root,
            open: BTreeMap::new(),
            dirty: BTreeSet::new(),
            open_max,
            syncs: Syncing::Always,
        })
    }

    fn published(&self, file: File) -> PathBuf {
        self.root.join(file.to_string())
    }

    fn temporary(&self, file: File) -> PathBuf {
        self.root.join(format!("{file}.tmp"))
    }

    /// The file under its name, or else its temporary one.
    fn handle(&mut self, file: File) -> io::Result<&fs::File> {
        if !self.open.contains_key(&file) {
            let published = OpenOptions::new().write(true).open(self.published(file));
            let opened = match published {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    OpenOptions::new().write(true).open(self.temporary(file))?
                }
                opened => opened?,
            };
            self.keep(file, opened);
        }
        self.open.get(&file).ok_or_else(|| io::Error::other("a file that was opened is open"))
    }

    fn keep(&mut self, file: File, opened: fs::File) {
        while self.open.len() >= self.open_max {
            let clean = self.open.keys().find(|kept| !self.dirty.contains(kept)).copied();
            let Some(clean) = clean else { break };
            self.open.remove(&clean);
        }
        self.open.insert(file, opened);
    }

    pub(super) fn create(&mut self, file: File) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let opened = options.open(self.temporary(file))?;
        self.keep(file, opened);
        self.dirty.insert(file);
        Ok(())
    }

    pub(super) fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle(file)?.write_all_at(bytes, offset)?;
        self.dirty.insert(file);
        Ok(())
    }

    /// Syncs everything that was written since the last time.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        for file in std::mem::take(&mut self.dirty) {
            if self.syncs == Syncing::Always {
                self.handle(file)?.sync_data()?;
            }
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, file: File) -> io::Result<()> {
        self.handle(file)?.sync_all()?;
        self.dirty.remove(&file);
        fs::rename(self.temporary(file), self.published(file))?;
        self.sync_directory(file)
    }

    pub(super) fn remove(&mut self, file: File) -> io::Result<()> {
        self.open.remove(&file);
        self.dirty.remove(&file);
        for path in [self.published(file), self.temporary(file)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync_directory(file)
    }

    fn sync_directory(&self, file: File) -> io::Result<()> {
        let path = self.published(file);
        fs::File::open(path.parent().unwrap_or(&self.root))?.sync_all()
    }
}
