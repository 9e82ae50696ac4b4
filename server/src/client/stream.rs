//! What carries a request to a server: a connection of the operating system's, and TLS over it
//! where the URL says so.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::ClientError;
use crate::tls::{self, ClientSession, ClientTls, ClientTlsOptions};
use crate::urls::{Scheme, Url};

/// An open connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    tls: Option<Box<ClientSession>>,
}

/// A blocking socket: no read or write lasts longer than to the deadline.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) carrier: Carrier,
    pub(crate) deadline: Option<Instant>,
}

/// A connection of the operating system's.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = remaining(self.deadline)?;
        match &mut self.carrier {
            Carrier::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(bytes)),
            Carrier::Unix(stream) => {
                stream.set_read_timeout(left).and_then(|()| stream.read(bytes))
            }
        }
        .map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = remaining(self.deadline)?;
        match &mut self.carrier {
            Carrier::Tcp(stream) => {
                stream.set_write_timeout(left).and_then(|()| stream.write(bytes))
            }
            Carrier::Unix(stream) => {
                stream.set_write_timeout(left).and_then(|()| stream.write(bytes))
            }
        }
        .map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Connects to where the URL points, trying all of its addresses. `None` waits for as long as
    /// the system does; no TLS of the caller's is one that trusts the system's authorities.
    pub(super) fn connect(
        url: &Url,
        tls: Option<&ClientTls>,
        deadline: Option<Instant>,
    ) -> Result<Self, ClientError> {
        let carrier = match url.scheme {
            Scheme::Http | Scheme::Https => Carrier::Tcp(connect_tcp(url, deadline)?),
            Scheme::Unix | Scheme::Unixs => {
                let stream = UnixStream::connect(&url.address);
                Carrier::Unix(stream.map_err(|error| dial_error(&url.address, error))?)
            }
        };
        let mut socket = Socket { carrier, deadline };
        let tls = shake_hands(&mut socket, tls, url);
        Ok(Self { tls: tls.map_err(|error| dial_error(&url.address, error))?, socket })
    }

    /// Begins TLS with a server that a proxy has opened a tunnel to.
    pub(super) fn secure(
        &mut self,
        url: &Url,
        deadline: Option<Instant>,
    ) -> Result<(), ClientError> {
        if self.tls.is_some() {
            return Err(ClientError::Malformed("a tunnel needs a proxy without TLS"));
        }
        self.socket.deadline = deadline;
        let session = shake_hands(&mut self.socket, None, url);
        self.tls = session.map_err(|error| dial_error(&url.address, error))?;
        Ok(())
    }

    /// Whether a server has left an idle connection alone: it was neither closed nor written to.
    pub(super) fn is_idle(&self) -> bool {
        // The standard library cannot look into a unix socket: none is used twice.
        let Carrier::Tcp(stream) = &self.socket.carrier else { return false };
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
        self.socket.deadline = deadline;
        match &mut self.tls {
            None => self.socket.read(bytes),
            Some(session) => rustls::Stream::new(&mut **session, &mut self.socket)
                .read(bytes)
                .map_err(tls::readable),
        }
    }

    /// Writes all of it before the deadline.
    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
        self.socket.deadline = deadline;
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(session) => {
                let mut stream = rustls::Stream::new(&mut **session, &mut self.socket);
                let written = stream.write_all(bytes).and_then(|()| stream.flush());
                written.map_err(tls::readable)
            }
        }
    }
}

fn dial_error(target: &str, error: io::Error) -> ClientError {
    ClientError::Dial(target.to_string(), error)
}

fn connect_tcp(url: &Url, deadline: Option<Instant>) -> Result<TcpStream, ClientError> {
    let nowhere = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut last = dial_error(&url.address, nowhere);
    for address in url.resolve().map_err(|error| dial_error(&url.address, error))? {
        let connected = match remaining(deadline) {
            Ok(Some(left)) => TcpStream::connect_timeout(&address, left),
            Ok(None) => TcpStream::connect(address),
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = dial_error(&address.to_string(), error),
        }
    }
    Err(last)
}

/// The whole handshake with the server at a URL; none if the URL does not ask for TLS.
pub(crate) fn shake_hands(
    socket: &mut Socket,
    tls: Option<&ClientTls>,
    url: &Url,
) -> io::Result<Option<Box<ClientSession>>> {
    let host = match url.scheme {
        Scheme::Http | Scheme::Unix => return Ok(None),
        Scheme::Https => url.host(),
        // A path is no name; what listens there is on this machine.
        Scheme::Unixs => "localhost",
    };
    let mut session = match tls {
        Some(tls) => tls.begin(host)?,
        None => {
            ClientTls::new(ClientTlsOptions::default()).map_err(io::Error::other)?.begin(host)?
        }
    };
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(socket) {
            // The alert says why, behind other records; whether it arrives is the server's loss.
            while session.wants_write() && session.write_tls(socket).is_ok_and(|count| count > 0) {}
            return Err(tls::readable(error));
        }
    }
    Ok(Some(Box::new(session)))
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
