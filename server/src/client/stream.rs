//! What carries a request to a server: a connection of the operating system's.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::ClientError;
use crate::urls::{Scheme, Url};

/// An open connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Connects to where the URL points, trying all of its addresses. `None` waits for as long as
    /// the system does.
    pub(super) fn connect(url: &Url, deadline: Option<Instant>) -> Result<Self, ClientError> {
        let failed = |target: &str, error| ClientError::Dial(target.to_string(), error);
        match url.scheme {
            Scheme::Http => {}
            Scheme::Unix => {
                let stream = UnixStream::connect(&url.address);
                return stream.map(Self::Unix).map_err(|error| failed(&url.address, error));
            }
            Scheme::Https | Scheme::Unixs => {
                return Err(ClientError::Malformed("this client cannot speak TLS"));
            }
        }
        let mut last = ClientError::Dial(
            url.address.clone(),
            io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        );
        for address in url.resolve().map_err(|error| failed(&url.address, error))? {
            let connected = match remaining(deadline) {
                Ok(Some(left)) => TcpStream::connect_timeout(&address, left),
                Ok(None) => TcpStream::connect(address),
                Err(error) => Err(error),
            };
            match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self::Tcp(stream));
                }
                Err(error) => last = failed(&address.to_string(), error),
            }
        }
        Err(last)
    }

    /// Whether a server has left an idle connection alone: it was neither closed nor written to.
    pub(super) fn is_idle(&self) -> bool {
        // The standard library cannot look into a unix socket: none is used twice.
        let Self::Tcp(stream) = self else { return false };
        let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        stream.set_nonblocking(false).is_ok()
            && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads what has come, and waits for some of it no longer than to the deadline.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let left = remaining(deadline)?;
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(bytes)),
            Self::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(bytes)),
        }
        .map_err(timed_out)
    }

    /// Writes all of it; the deadline is for each of the system's writes.
    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
        let left = remaining(deadline)?;
        match self {
            Self::Tcp(stream) => {
                stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes))
            }
            Self::Unix(stream) => {
                stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes))
            }
        }
        .map_err(timed_out)
    }
}

/// The time until then; `None` is for ever.
fn remaining(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(Some(left)),
        _ => Err(io::Error::new(io::ErrorKind::TimedOut, "timed out")),
    }
}

/// The system says of a blocking socket that ran out of time that it would block.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "timed out"),
        _ => error,
    }
}
