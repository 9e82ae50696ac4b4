//! The sockets that accept connections.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use quorra_net::host::Listener;

use super::socket::Socket;
use crate::tls::{ClientTls, ServerTls};
use crate::urls::{Scheme, Url};

/// What one listener may accept in a turn before others are served.
pub(super) const ACCEPTED_MAX: usize = 128;
/// What Go calls the far end of a unix socket, which has no name.
const UNNAMED: &str = "@";

/// How a reactor and the world find each other.
#[derive(Debug)]
pub struct Network {
    /// Where to accept connections.
    pub listeners: Vec<Listening>,
    /// How many TLS handshakes each kind of listener may have under way.
    pub handshakes_max: usize,
    /// How many connections may be open at once, those that were answered and linger among them.
    pub connections_max: usize,
    /// Bounds connecting to each address of a peer, and each handshake with one.
    pub dial_timeout: Duration,
    /// Whom to trust when a peer's URL asks for TLS; none is the system's authorities.
    pub dial_tls: Option<ClientTls>,
}

/// A listening socket; its readiness is remembered until it is denied.
#[derive(Debug)]
pub struct Listening {
    socket: Server,
    kind: Listener,
    secure: Option<Secure>,
    ready: bool,
}

/// What a listener with TLS does.
#[derive(Debug)]
pub struct Secure {
    /// Its certificates.
    pub tls: Arc<ServerTls>,
    /// Whether it takes plain text as well: a first byte tells them apart.
    pub takes_plain: bool,
}

#[derive(Debug)]
enum Server {
    Tcp(TcpListener),
    /// With the path that goes when it goes.
    Unix(UnixListener, PathBuf),
}

impl Server {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener, _) => listener,
        }
    }

    fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().map(|(stream, remote)| (Socket::tcp(stream), remote.to_string()))
            }
            Self::Unix(listener, _) => {
                listener.accept().map(|(stream, _)| (Socket::Unix(stream), UNNAMED.to_string()))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A path that somebody has removed already is as good.
            let _absent = fs::remove_file(path);
        }
    }
}

impl Listening {
    /// Listens at a URL. The error is the operator's to read.
    pub fn bind(url: &Url, kind: Listener, secure: Option<Secure>) -> Result<Self, String> {
        let socket = match url.scheme {
            Scheme::Http | Scheme::Https => {
                let address = url.bind_address()?;
                TcpListener::bind(address)
                    .map(Server::Tcp)
                    .map_err(|error| format!("listen tcp {address}: bind: {error}"))?
            }
            Scheme::Unix | Scheme::Unixs => bind_unix(Path::new(&url.address))
                .map_err(|error| format!("listen unix {}: bind: {error}", url.address))?,
        };
        Ok(Self { socket, kind, secure, ready: false })
    }

    /// What the socket is for.
    pub(super) fn kind(&self) -> Listener {
        self.kind
    }

    /// Its TLS, if it has one.
    pub(super) fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.socket.source(), token, Interest::READABLE)
    }

    /// The system says that somebody waits.
    pub(super) fn on_event(&mut self) {
        self.ready = true;
    }

    /// Whether somebody may be waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Those who wait, so many at most, and where from; the second is the error that came behind
    /// them, if one did. It keeps the readiness: without descriptors the waiting ones are taken
    /// later.
    pub(super) fn accept(&mut self, most: usize) -> (Vec<(Socket, String)>, Option<io::Error>) {
        let mut accepted = Vec::new();
        while self.ready && accepted.len() < most {
            match self.socket.accept() {
                Ok(connection) => accepted.push(connection),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.ready = false,
                    // The one who waited has gone already.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return (accepted, Some(error)),
                },
            }
        }
        (accepted, None)
    }
}

/// Takes the place of a socket that a dead process has left; one that somebody listens at is not
/// touched.
fn bind_unix(path: &Path) -> io::Result<Server> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path).map(|listener| Server::Unix(listener, path.to_path_buf()))
}
