//! One connection of the reactor: its socket, and what is known of its readiness.
//!
//! The invariant of edge-triggered polling: the system tells of readiness once, so it is
//! remembered here until the socket itself denies it (`WouldBlock`, or a read or write that came
//! back short).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::{Event, Source};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use quorra_core::time::Now;
use quorra_net::host::{ConnectionId, Machine};

/// What one connection may write in a turn before others are served.
const SENT_BYTES_MAX: usize = 1 << 20;

/// What carries a connection's bytes.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP, with small segments sent at once.
    Tcp(TcpStream),
}

impl Socket {
    /// Takes a socket over from the accepting or dialing side.
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // A socket that is already gone refuses; its first read tells.
        let _gone = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Bytes go both ways.
    Open,
    /// The host is done with it: what is left of its output is written, nothing more is read.
    Closing,
    /// All is written; what still comes is dropped, so that the other side is not cut off from
    /// the answer that it may not have read yet (RFC 9112, 9.6).
    Lingering,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// That many bytes are in the buffer.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side sends no more.
    End,
    /// The connection is broken.
    Broken,
}

/// What came of writing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All that the host had.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// There is more, but it is the turn of others.
    More,
    /// The connection is broken.
    Broken,
}

/// The reactor's connections by their ids.
pub(super) type Connections = HashMap<ConnectionId, Connection, BuildHasherDefault<IdHasher>>;

/// Hashes ids. They are counted, not chosen by strangers: one multiplication spreads them.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        // The table takes bits from both ends; the product's high half is the well-mixed one.
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A connection that the host knows.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    pub(super) phase: Phase,
    /// Whether it is served before clients.
    pub(super) peer: bool,
    /// Whether it stands in a queue of ready connections.
    pub(super) queued: bool,
    /// Whether the host wants nothing from it for now.
    pub(super) paused: bool,
    /// Whether the host has output for it.
    pub(super) has_output: bool,
    readable: bool,
    writable: bool,
    /// The system said that no more will come: reads go on until they say so as well.
    ending: bool,
    /// The other side's end was read.
    pub(super) ended: bool,
}

impl Connection {
    /// An open connection, registered under its own id.
    pub(super) fn open(
        mut socket: Socket,
        id: ConnectionId,
        peer: bool,
        registry: &Registry,
    ) -> io::Result<Self> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        registry.register(socket.source(), token(id), interests)?;
        Ok(Self {
            socket,
            phase: Phase::Open,
            peer,
            queued: false,
            paused: false,
            has_output: false,
            readable: false,
            writable: true,
            ending: false,
            ended: false,
        })
    }

    /// Remembers what the system tells; false if the connection is broken.
    pub(super) fn on_event(&mut self, event: &Event) -> bool {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        if event.is_read_closed() {
            self.readable = true;
            self.ending = true;
        }
        !event.is_error()
    }

    /// Whether serving it now could get anywhere.
    pub(super) fn is_ready(&self) -> bool {
        self.wants_read() || (self.has_output && self.writable)
    }

    /// Whether it should be read from.
    pub(super) fn wants_read(&self) -> bool {
        let wanted = match self.phase {
            Phase::Open => !self.paused,
            Phase::Closing => false,
            Phase::Lingering => true,
        };
        wanted && self.readable && !self.ended
    }

    /// Reads once.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Received::End;
                }
                Ok(count) => {
                    // A short read has emptied the socket: the next byte is a new edge.
                    self.readable = count == buffer.len() || self.ending;
                    return Received::Bytes(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Received::Nothing;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Received::Broken,
            }
        }
    }

    /// Writes the host's output straight from the host's buffer.
    pub(super) fn send(&mut self, host: &mut impl Machine, id: ConnectionId, now: Now) -> Sent {
        let mut sent = 0;
        loop {
            let output = host.output(id);
            self.has_output = !output.is_empty();
            if !self.has_output {
                return Sent::All;
            }
            if !self.writable {
                return Sent::Blocked;
            }
            if sent >= SENT_BYTES_MAX {
                return Sent::More;
            }
            match self.socket.write(output) {
                Ok(count) => {
                    self.writable = count == output.len();
                    sent += count;
                    host.written(now, id, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Sent::Broken,
            }
        }
    }

    /// Tells the other side that all was written; false if nothing more can come from it.
    pub(super) fn linger(&mut self) -> bool {
        self.phase = Phase::Lingering;
        !self.ended && self.socket.shutdown_write().is_ok()
    }
}

/// A connection's id is its token: neither is ever reused, so no event finds the wrong one.
pub(super) fn token(id: ConnectionId) -> Token {
    Token(usize::try_from(id.0).expect("fewer connections than addresses"))
}
