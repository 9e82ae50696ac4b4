//! The sockets that accept connections.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use quorra_net::host::Listener;

use crate::urls::Url;

/// What one listener may accept in a turn before others are served.
const ACCEPTED_MAX: usize = 128;

/// A listening socket; its readiness is remembered until it is denied.
#[derive(Debug)]
pub struct Listening {
    socket: TcpListener,
    kind: Listener,
    ready: bool,
}

impl Listening {
    /// Listens at a URL. The error is the operator's to read.
    pub fn bind(url: &Url, kind: Listener) -> Result<Self, String> {
        let address = url.bind_address()?;
        let socket = TcpListener::bind(address)
            .map_err(|error| format!("listen tcp {address}: bind: {error}"))?;
        Ok(Self { socket, kind, ready: false })
    }

    /// What the socket is for.
    pub(super) fn kind(&self) -> Listener {
        self.kind
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The system says that somebody waits.
    pub(super) fn on_event(&mut self) {
        self.ready = true;
    }

    /// Whether somebody may be waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Those who wait; the second is the error that came behind them, if one did. It keeps the
    /// readiness: without descriptors the waiting ones are taken later.
    pub(super) fn accept(&mut self) -> (Vec<(TcpStream, SocketAddr)>, Option<io::Error>) {
        let mut accepted = Vec::new();
        while self.ready && accepted.len() < ACCEPTED_MAX {
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
