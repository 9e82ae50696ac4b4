//! Why a log cannot be used.

use core::fmt;

use crate::disk::File;

/// Why a log cannot be used. Nothing on disk has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// There is no segment, though a checkpoint exists: term and vote are lost, so the member
    /// might vote twice. It must be removed from the cluster and added as a new one.
    NoLog,
    /// A file does not hold what it must, and it is not a torn tail.
    Corrupt {
        /// Which.
        file: File,
        /// In bytes from its start.
        offset: u64,
        /// The rule that is broken, in a few words.
        reason: &'static str,
    },
    /// The file was written by a later version of Quorra.
    Version(File),
    /// The file could not be read, or not to the end that was listed.
    Unreadable(File),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLog => f.write_str(
                "the log is gone, and with it the member's vote: remove the member from the \
                 cluster and add it again with an empty data directory",
            ),
            Self::Corrupt { file, offset, reason } => {
                write!(f, "{file} is corrupt at offset {offset}: {reason}")
            }
            Self::Version(file) => write!(f, "{file} was written by a later version of Quorra"),
            Self::Unreadable(file) => write!(f, "{file} cannot be read"),
        }
    }
}

impl core::error::Error for RecoveryError {}
