//! The data directory of a proxy: `proxy/cluster`, in etcd's format, which either may take over.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data_dir::{self, DataDirError};

/// Why a proxy cannot use a data directory.
#[derive(Debug)]
pub enum DirectoryError {
    /// As for a member's.
    DataDir(DataDirError),
    /// The list holds something else.
    List(PathBuf),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(error) => error.fmt(f),
            Self::List(path) => write!(
                f,
                "{} does not hold a list of peer URLs: remove it to go by the flags",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}

impl From<DataDirError> for DirectoryError {
    fn from(error: DataDirError) -> Self {
        Self::DataDir(error)
    }
}

/// An opened directory; locked until it is dropped.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    _lock: fs::File,
}

impl Directory {
    /// The peer URLs that an earlier proxy has kept below this data directory. Changes nothing.
    ///
    /// # Errors
    /// A list that cannot be read, which is no reason to fall back to flags in silence.
    pub fn kept(root: &Path) -> Result<Option<Vec<String>>, DirectoryError> {
        let path = root.join("proxy/cluster");
        match fs::read(&path) {
            Ok(text) => read(&text).map(Some).ok_or(DirectoryError::List(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DataDirError::Io(path, error).into()),
        }
    }

    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn open(root: &Path) -> Result<Self, DirectoryError> {
        data_dir::make(root)?;
        let lock = data_dir::lock(root)?;
        let folder = root.join("proxy");
        data_dir::make(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Keeps these peer URLs in place of the ones before.
    ///
    /// # Errors
    /// The operating system's; the list before is still there then.
    pub fn keep(&self, peer_urls: &[String]) -> io::Result<()> {
        let text = serde_json::json!({ "PeerURLs": peer_urls }).to_string();
        let new = self.folder.join("cluster.bak");
        data_dir::write_synced(&new, &text)?;
        fs::rename(&new, self.folder.join("cluster"))?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

fn read(text: &[u8]) -> Option<Vec<String>> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let urls = document.get("PeerURLs")?.as_array()?;
    let urls: Vec<_> = urls.iter().map(|url| url.as_str().map(str::to_owned)).collect();
    urls.into_iter().collect::<Option<Vec<_>>>().filter(|urls| !urls.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::tests::Scratch;

    #[test]
    fn the_list_is_kept_and_a_damaged_one_is_not_taken_for_none() {
        let scratch = Scratch::new("proxy-list");
        assert_eq!(Directory::kept(&scratch.0).expect("nothing is there"), None);
        let directory = Directory::open(&scratch.0).expect("it is free");
        assert_eq!(Directory::kept(&scratch.0).expect("nothing is kept"), None);
        for urls in [["http://a:1", "http://b:1"], ["http://a:1", "http://c:1"]] {
            let urls = urls.map(str::to_owned);
            directory.keep(&urls).expect("it can be written");
            assert_eq!(Directory::kept(&scratch.0).expect("as etcd's"), Some(urls.to_vec()));
        }
        let path = scratch.0.join("proxy/cluster");
        let text = fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, r#"{"PeerURLs":["http://a:1","http://c:1"]}"#);
        for damaged in ["", "{}", r#"{"PeerURLs":[1]}"#, r#"{"PeerURLs":[]}"#] {
            fs::write(&path, damaged).expect("it can be written");
            let refused = Directory::kept(&scratch.0).expect_err("that is no list");
            assert!(refused.to_string().contains("remove it"), "{refused}");
        }
    }
}
