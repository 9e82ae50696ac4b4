//! The data directory: who may use it, and what is in it.
//!
//! ```text
//! NAME.quorra/     0700
//!   lock           held while a member runs
//!   incarnation    the number of the last start
//!   wal/           0000000000000001.wal ...     the log's segments
//!   snap/          0000000000000abc.snap ...    checkpoints, by the index that they cover
//!   proxy/         cluster                      of a proxy, which has none of the others
//! ```
//!
//! The invariant: one process at a time uses a directory, and what it reads at its start is
//! durable: a process may have died with data in the page cache only, so every file is synced
//! before it is listed.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quorra_core::disk::{DiskRead, File};
use quorra_core::identity::Incarnation;
use quorra_core::time::WallTime;
use quorra_core::wal::Found;

const SUBDIRECTORIES: [&str; 2] = ["wal", "snap"];

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// It holds etcd's own data.
    Etcd(PathBuf),
    /// Another process uses it.
    Locked(PathBuf),
    /// It holds data of a member and of a proxy.
    Both(PathBuf),
    /// The file that counts starts holds something else.
    Incarnation(PathBuf),
    /// The operating system refused.
    Io(PathBuf, io::Error),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Etcd(path) => write!(
                f,
                "{} holds data of etcd (member/). A member started on it would begin an empty \
                 cluster beside that data: give another --data-dir, and bring the data over with \
                 \"etcdctl snapshot save\" and \"quorractl import\"",
                path.display()
            ),
            Self::Both(path) => write!(
                f,
                "invalid datadir {}: both member and proxy directories exist. Remove proxy/ to \
                 start the member, or give the proxy another --data-dir",
                path.display()
            ),
            Self::Locked(path) => write!(f, "{} is in use by another process", path.display()),
            Self::Incarnation(path) => write!(f, "{} does not hold a number", path.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {}

/// Names the path that an error of the operating system is about.
fn at<T>(path: &Path, outcome: io::Result<T>) -> Result<T, DataDirError> {
    outcome.map_err(|error| DataDirError::Io(path.to_path_buf(), error))
}

/// What a data directory was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing yet.
    None,
    /// A member.
    Member,
    /// A proxy.
    Proxy,
}

impl Purpose {
    /// What the directory holds; nothing of it is changed. A member that died before it had
    /// anything to lose counts as none.
    ///
    /// # Errors
    /// When it holds both.
    pub fn of(root: &Path) -> Result<Self, DataDirError> {
        let holds = |name: &str| {
            fs::read_dir(root.join(name)).is_ok_and(|mut entries| entries.next().is_some())
        };
        let member = ["member", "incarnation"].iter().any(|name| root.join(name).exists())
            || SUBDIRECTORIES.into_iter().any(holds);
        match (member, root.join("proxy").exists()) {
            (true, true) => Err(DataDirError::Both(root.to_path_buf())),
            (true, false) => Ok(Self::Member),
            (false, true) => Ok(Self::Proxy),
            (false, false) => Ok(Self::None),
        }
    }
}

/// An opened data directory; locked until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: fs::File,
}

impl DataDir {
    /// Makes the directory if it is not there, locks it, and removes abandoned temporary files.
    /// The places for data come with the first start that is counted.
    ///
    /// # Errors
    /// See [`DataDirError`]; nothing was changed if it holds etcd's data.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        if root.join("member").exists() {
            return Err(DataDirError::Etcd(root.to_path_buf()));
        }
        make(root)?;
        let lock = lock(root)?;
        for path in SUBDIRECTORIES.map(|name| root.join(name)) {
            if path.is_dir() {
                remove_temporaries(&path)?;
            }
        }
        sync_directory(root)?;
        Ok(Self { root: root.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The segments and checkpoints, each of them synced. Files with other names are not ours and
    /// are left alone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn found(&self) -> Result<Vec<Found>, DataDirError> {
        let mut found = Vec::new();
        for name in SUBDIRECTORIES {
            let directory = self.root.join(name);
            if !directory.is_dir() {
                continue;
            }
            for entry in at(&directory, fs::read_dir(&directory))? {
                let path = at(&directory, entry)?.path();
                let Some(file) = named(&path) else { continue };
                let length = at(&path, sync(&path))?;
                found.push(Found { file, length });
            }
            sync_directory(&directory)?;
        }
        found.sort_unstable_by_key(|found| found.file);
        Ok(found)
    }

    /// Reads a part of a published file: less than asked for only at its end.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read(&self, wanted: DiskRead) -> Result<Bytes, DataDirError> {
        at(&self.root.join(wanted.file.to_string()), crate::disk::read(&self.root, wanted))
    }

    /// Numbers this start: above every earlier one of this directory, durable before it is
    /// returned, as are the places for data.
    ///
    /// The number is no less than the milliseconds since 1970. The other members and the log may
    /// remember starts that the directory does not: those of one that was wiped, or is an older
    /// copy. Were a number used twice, an entry of the forgotten start would be taken for the
    /// outcome of a request of this one, and the peers would refuse it as the older of two.
    ///
    /// # Errors
    /// The operating system's, or a damaged file.
    pub fn next_incarnation(&self, now: WallTime) -> Result<Incarnation, DataDirError> {
        for name in SUBDIRECTORIES {
            make(&self.root.join(name))?;
        }
        let path = self.root.join("incarnation");
        let previous = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0_u64),
            Err(error) => return Err(DataDirError::Io(path, error)),
        };
        let Some(next) = previous.and_then(|previous| previous.checked_add(1)) else {
            return Err(DataDirError::Incarnation(path));
        };
        let next = next.max(u64::try_from(now.0 / 1_000_000).unwrap_or(0));
        let temporary = path.with_extension("tmp");
        at(&temporary, write_synced(&temporary, &format!("{next}\n")))?;
        at(&path, fs::rename(&temporary, &path))?;
        sync_directory(&self.root)?;
        Ok(Incarnation(next))
    }
}

/// A directory that nobody else may look into. An existing one keeps its mode.
pub(crate) fn make(path: &Path) -> Result<(), DataDirError> {
    if path.is_dir() {
        return Ok(());
    }
    at(path, DirBuilder::new().recursive(true).mode(0o700).create(path))?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_directory(parent),
        None => sync_directory(Path::new(".")),
    }
}

pub(crate) fn lock(root: &Path) -> Result<fs::File, DataDirError> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = at(&path, options.open(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::Locked(root.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(DataDirError::Io(path, error)),
    }
}

fn remove_temporaries(directory: &Path) -> Result<(), DataDirError> {
    for entry in at(directory, fs::read_dir(directory))? {
        let path = at(directory, entry)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            at(&path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// The file that bears this name, if it is exactly the one that the file would be given.
fn named(path: &Path) -> Option<File> {
    let stem = path.file_stem()?.to_str()?;
    let number = u64::from_str_radix(stem, 16).ok()?;
    let files = [File::Segment(number), File::Checkpoint(number)];
    files.into_iter().find(|file| path.ends_with(file.to_string()))
}

/// Makes a file durable as it is; its length.
fn sync(path: &Path) -> io::Result<u64> {
    let file = fs::File::open(path)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn sync_directory(path: &Path) -> Result<(), DataDirError> {
    at(path, fs::File::open(path).and_then(|directory| directory.sync_all()))
}

pub(crate) fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory of one test, removed with it.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let name = format!("quorra-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _absent = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _absent = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_directory_is_private_and_has_one_user() {
        let scratch = Scratch::new("one-user");
        let first = DataDir::open(&scratch.0).expect("it is free");
        let mode = fs::metadata(first.root()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let second = DataDir::open(&scratch.0).expect_err("it is in use");
        assert!(second.to_string().ends_with("is in use by another process"), "{second}");
        drop(first);
        DataDir::open(&scratch.0).expect("it is free again");
    }

    #[test]
    fn etcds_own_data_is_left_alone_and_the_import_is_named() {
        let scratch = Scratch::new("etcd");
        fs::create_dir_all(scratch.0.join("member/wal")).expect("it can be made");
        let refused = DataDir::open(&scratch.0).expect_err("it is etcd's");
        assert!(refused.to_string().contains("quorractl import"), "{refused}");
        assert!(!scratch.0.join("wal").exists());
    }

    #[test]
    fn a_directory_tells_what_it_was_used_for() {
        let scratch = Scratch::new("purpose");
        let purpose = || Purpose::of(&scratch.0);
        assert_eq!(purpose().expect("nothing is there"), Purpose::None);
        let member = DataDir::open(&scratch.0).expect("it is free");
        assert_eq!(purpose().expect("nothing to lose is there"), Purpose::None);
        fs::create_dir(scratch.0.join("proxy")).expect("it can be made");
        assert_eq!(purpose().expect("only a proxy's"), Purpose::Proxy);
        member.next_incarnation(WallTime(0)).expect("it can be counted");
        let refused = purpose().expect_err("both are there").to_string();
        assert!(refused.contains("both member and proxy directories exist"), "{refused}");
        fs::remove_dir(scratch.0.join("proxy")).expect("it is empty");
        assert_eq!(purpose().expect("only a member's"), Purpose::Member);
    }

    #[test]
    fn a_listing_holds_what_is_ours_and_drops_what_was_abandoned() {
        let scratch = Scratch::new("listing");
        let directory = DataDir::open(&scratch.0).expect("it is free");
        assert_eq!(directory.found().expect("nothing is not wrong"), []);
        directory.next_incarnation(WallTime(0)).expect("it can be counted");
        drop(directory);
        let names = [
            "wal/000000000000000b.wal",
            "wal/000000000000000c.wal.tmp",
            "wal/b.wal",
            "wal/notes.txt",
            "snap/0000000000000400.snap",
            "snap/000000000000000b.wal",
        ];
        for name in names {
            fs::write(scratch.0.join(name), name).expect("it can be written");
        }
        let directory = DataDir::open(&scratch.0).expect("it is free");
        let found = directory.found().expect("it can be listed");
        let expected = [
            Found { file: File::Segment(11), length: 24 },
            Found { file: File::Checkpoint(1024), length: 26 },
        ];
        assert_eq!(found, expected);
        assert!(!scratch.0.join("wal/000000000000000c.wal.tmp").exists());
        let read = DiskRead { file: File::Segment(11), offset: 20, length: 100 };
        assert_eq!(directory.read(read).expect("it is there"), ".wal");
    }

    #[test]
    fn every_start_has_a_number_of_its_own() {
        let scratch = Scratch::new("incarnation");
        let directory = DataDir::open(&scratch.0).expect("it is free");
        let count = |milliseconds: i64| {
            let now = WallTime(milliseconds * 1_000_000);
            directory.next_incarnation(now).expect("it can be counted")
        };
        for (milliseconds, expected) in [(0, 1), (1, 2), (500, 500), (500, 501), (-1, 502)] {
            assert_eq!(count(milliseconds), Incarnation(expected));
        }
        fs::remove_file(scratch.0.join("incarnation")).expect("it is there");
        assert_eq!(count(600), Incarnation(600), "also behind starts that it does not remember");
        drop(directory);
        fs::write(scratch.0.join("incarnation"), "many").expect("it can be written");
        let directory = DataDir::open(&scratch.0).expect("it is free");
        let refused = directory.next_incarnation(WallTime(0)).expect_err("that is no number");
        assert!(refused.to_string().ends_with("incarnation does not hold a number"));
    }
}
