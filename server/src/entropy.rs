//! True randomness, for seeds and secrets: the system's generator.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;

/// The open generator.
#[derive(Debug)]
pub struct Entropy {
    file: File,
}

impl Entropy {
    /// Opens the generator.
    pub fn open() -> io::Result<Self> {
        Ok(Self { file: File::open("/dev/urandom")? })
    }

    /// A seed for one start of a member.
    pub fn seed(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// As many bytes that nobody can guess.
    pub fn secret(&mut self, length: usize) -> io::Result<Bytes> {
        let mut secret = vec![0; length];
        self.file.read_exact(&mut secret)?;
        Ok(secret.into())
    }
}
