//! One connection of the reactor: its socket, and what is known of its readiness.
//!
//! The invariant of edge-triggered polling: the system tells of readiness once, so it is
//! remembered here until the socket itself denies it (`WouldBlock`, or a read or write that came
//! back short).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Write};

use mio::event::Event;
use mio::{Interest, Registry, Token};
use quorra_core::time::Now;
use quorra_net::host::{ConnectionId, Machine};
use quorra_net::tls::{self, Filter};

use super::socket::Socket;

/// What one connection may read in a turn.
const RECEIVED_BYTES_MAX: usize = 64 << 10;

/// What one connection may write in a turn before others are served.
const SENT_BYTES_MAX: usize = 256 << 10;

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

/// Room for what is read at once, shared by all connections.
#[derive(Debug)]
pub(super) struct Buffers {
    wire: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { wire: vec![0; RECEIVED_BYTES_MAX], plaintext: Vec::new() }
    }
}

/// What came of reading.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Nothing for now.
    Nothing,
    /// The other side sends no more.
    End,
    /// The connection is broken.
    Broken,
    /// The other side broke the rules of TLS, or says that this side did.
    Refused(rustls::Error),
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
    /// What lies between the wire and the host, if anything does.
    filter: Option<Box<Filter>>,
    /// Who is at the other end, for complaints about its TLS.
    remote: String,
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
        secured: Option<(Box<Filter>, String)>,
        id: ConnectionId,
        peer: bool,
        registry: &Registry,
    ) -> io::Result<Self> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        registry.register(socket.source(), token(id), interests)?;
        let (filter, remote) = secured.unzip();
        Ok(Self {
            socket,
            has_output: filter.as_ref().is_some_and(|filter| filter.has_output()),
            filter,
            remote: remote.unwrap_or_default(),
            phase: Phase::Open,
            peer,
            queued: false,
            paused: false,
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
        let ended_inside = || self.filter.as_ref().is_some_and(|filter| filter.has_ended());
        wanted && !self.ended && (self.readable || ended_inside())
    }

    /// Reads once.
    pub(super) fn receive<'a>(&mut self, buffers: &'a mut Buffers) -> Received<'a> {
        let room = match &self.filter {
            None => RECEIVED_BYTES_MAX,
            Some(filter) if filter.has_ended() => {
                self.ended = true;
                return Received::End;
            }
            Some(_) => tls::RECEIVED_BYTES_MAX,
        };
        loop {
            match self.socket.read(&mut buffers.wire[..room]) {
                Ok(0) => {
                    self.ended = true;
                    // TLS says that it ends: this was cut off, and what is missing is unknown.
                    let cut = self.filter.is_some();
                    return if cut { Received::Broken } else { Received::End };
                }
                Ok(count) => {
                    // A short read has emptied the socket: the next byte is a new edge.
                    self.readable = count == room || self.ending;
                    return self.decrypt(buffers, count);
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

    /// Who is at the other end of a connection with TLS.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// What so many bytes from the wire say.
    fn decrypt<'a>(&mut self, buffers: &'a mut Buffers, count: usize) -> Received<'a> {
        let wire = &buffers.wire[..count];
        let Some(filter) = self.filter.as_mut().filter(|_| self.phase == Phase::Open) else {
            return Received::Bytes(wire);
        };
        buffers.plaintext.clear();
        let outcome = filter.receive(wire, &mut buffers.plaintext);
        self.has_output |= filter.has_output();
        match outcome {
            Err(error) => {
                // The alert says why; whether it still arrives is the other side's loss.
                let _unread = filter.write_to(&mut self.socket);
                Received::Refused(error)
            }
            Ok(()) if buffers.plaintext.is_empty() => Received::Nothing,
            Ok(()) => Received::Bytes(&buffers.plaintext),
        }
    }

    /// Writes the host's output straight from the host's buffer.
    pub(super) fn send(&mut self, host: &mut impl Machine, id: ConnectionId, now: Now) -> Sent {
        if self.filter.is_some() {
            return self.send_encrypted(host, id, now);
        }
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

    /// Writes the host's output as ciphertext: all of what one record after the other has made,
    /// before more is taken from the host.
    fn send_encrypted(&mut self, host: &mut impl Machine, id: ConnectionId, now: Now) -> Sent {
        let Some(filter) = &mut self.filter else { return Sent::All };
        let mut sent = 0;
        self.has_output = true;
        loop {
            while filter.has_output() {
                if !self.writable {
                    return Sent::Blocked;
                }
                match filter.write_to(&mut self.socket) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.writable = false;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Sent::Broken,
                }
            }
            let output = host.output(id);
            if output.is_empty() {
                if self.phase == Phase::Closing && !filter.is_closed() {
                    filter.close();
                    continue;
                }
                self.has_output = false;
                return Sent::All;
            }
            if sent >= SENT_BYTES_MAX {
                return Sent::More;
            }
            let count = filter.send(output);
            host.written(now, id, count);
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
