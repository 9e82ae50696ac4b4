//! A value made from files, and made anew when they change.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The files are looked at no more often than this.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The value, and what it was made from.
///
/// # Invariants
/// - There is always a value: the first one that cannot be made is an error of the start, a later
///   one leaves the value as it was.
/// - A change is tried once, however often it is looked at; the next change is tried again.
pub(super) struct Reloading<T> {
    what: String,
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    made: Mutex<Made<T>>,
}

struct Made<T> {
    value: Arc<T>,
    /// As the files looked just before they were read last.
    stamps: Vec<Option<Stamp>>,
    checked: Instant,
}

/// What tells one content of a file from another without reading it. A file that is replaced, as
/// by a rename or through a symbolic link, has another inode; one that is rewritten, other times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("what", &self.what).field("files", &self.files).finish()
    }
}

impl<T> Reloading<T> {
    /// Makes the first value. `what` it is stands in the log when a later one replaces it.
    pub(super) fn new(
        what: impl Into<String>,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let stamps = stamps(&files);
        let value = Arc::new(make()?);
        let made = Mutex::new(Made { value, stamps, checked: Instant::now() });
        Ok(Self { what: what.into(), files, make: Box::new(make), made })
    }

    /// The value of the files as they are now, or were a second ago.
    pub(super) fn current(&self) -> Arc<T> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.checked.elapsed() >= CHECK_INTERVAL {
            made.checked = Instant::now();
            self.refresh(&mut made);
        }
        made.value.clone()
    }

    fn refresh(&self, made: &mut Made<T>) {
        let stamps = stamps(&self.files);
        if stamps == made.stamps {
            return;
        }
        made.stamps = stamps;
        match (self.make)() {
            Ok(value) => {
                made.value = Arc::new(value);
                log::info!(tls = self.what.as_str(); "read the changed TLS files");
            }
            Err(error) => log::error!(
                tls = self.what.as_str(), error = error.as_str();
                "cannot use the changed TLS files: what was read before stays in use"
            ),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            device: found.dev(),
            inode: found.ino(),
            length: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a file, which must not be empty.
    fn text(path: PathBuf) -> Result<Reloading<String>, String> {
        let files = vec![path.clone()];
        Reloading::new("a text", files, move || match fs::read_to_string(&path) {
            Ok(text) if !text.is_empty() => Ok(text),
            Ok(_) => Err("empty".into()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// As if the last look had been long ago.
    fn later(text: &Reloading<String>) -> Arc<String> {
        let mut made = text.made.lock().expect("no other thread");
        made.checked -= CHECK_INTERVAL;
        drop(made);
        text.current()
    }

    #[test]
    fn a_changed_file_counts_and_a_broken_one_does_not() {
        let directory = std::env::temp_dir().join(format!("quorra-reload-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for temporary files");
        let path = directory.join("file");
        assert!(text(path.clone()).is_err(), "there is no first value");
        fs::write(&path, "a").expect("a file");
        let text = text(path.clone()).expect("a first value");
        fs::write(&path, "bc").expect("a file");
        assert_eq!(*text.current(), "a", "it was looked at just now");
        assert_eq!(*later(&text), "bc");
        fs::write(&path, "").expect("a file");
        assert_eq!(*later(&text), "bc", "what cannot be used changes nothing");
        fs::remove_file(&path).expect("the file");
        assert_eq!(*later(&text), "bc");
        fs::write(directory.join("next"), "de").expect("a file");
        fs::rename(directory.join("next"), &path).expect("a rename");
        assert_eq!(*later(&text), "de");
        fs::remove_dir_all(&directory).expect("a directory of our own");
    }
}
