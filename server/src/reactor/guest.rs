//! Somebody at a TLS listener who has not shown yet who he is.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Instant;

use quorra_net::host::{Identity, Listener, Security};
use quorra_net::tls::Filter;

use super::handshakes::{self, Newcomer};
use super::listeners::Secure;
use super::socket::Socket;
use crate::tls;

/// The first byte of whatever speaks TLS: a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// What Go's server says to a client that speaks plain HTTP.
const PLAIN_ANSWER: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// What somebody who was refused may still say: who talks without end gets no more of the thread.
const DROPPED_BYTES_MAX: usize = 256 << 10;
/// How Go's server knows it.
const HTTP_BEGINNINGS: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];

/// One guest.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) socket: Socket,
    /// Which of the porch's listeners took it in.
    pub(super) listener: usize,
    pub(super) remote: String,
    /// When it must be gone from here.
    pub(super) until: Instant,
    stage: Stage,
    /// What it has said behind its handshake, or, in plain text, at all.
    early: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// It has said nothing.
    Silent,
    /// The handshake is under way.
    Shaking(Box<Filter>),
    /// It is over. Where the guest comes from may still be looked up.
    Shaken(Box<Filter>),
    /// It speaks plain text where that is allowed.
    Plain,
    /// It was refused: what it says is dropped, as long as it is not much. So much it was.
    Leaving(usize),
}

/// What came of a step.
#[derive(Debug)]
pub(super) enum Progress {
    /// It is the guest's turn.
    Waits,
    /// The handshake is over.
    Done,
    /// It speaks plain text, and may.
    Plain,
    /// It was told that it cannot stay, and may read why.
    Refused(String),
    /// It went without a word, as those do who only look whether somebody listens.
    Silent,
    /// It has gone, or is cut off.
    Gone(String),
}

impl Guest {
    /// Somebody who was just accepted.
    pub(super) fn new(socket: Socket, listener: usize, remote: String, until: Instant) -> Self {
        Self { socket, listener, remote, until, stage: Stage::Silent, early: Vec::new() }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving(_))
    }

    /// Where it comes from, if that is an address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        handshakes::address(&self.remote)
    }

    /// The names that its address must be held against.
    pub(super) fn names_of_origin(&self, secure: &Secure) -> Option<Identity> {
        match &self.stage {
            Stage::Shaken(filter) => secure.tls.names_of_origin(filter),
            _ => None,
        }
    }

    /// Goes as far as the socket lets it.
    pub(super) fn advance(&mut self, secure: &Secure, buffer: &mut [u8]) -> Progress {
        loop {
            if let Some(progress) = self.speak() {
                return progress;
            }
            match self.socket.read(buffer) {
                Ok(0) => return self.ended(),
                Ok(count) => {
                    if let Some(progress) = self.receive(secure, &buffer[..count]) {
                        return progress;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Progress::Gone(error.to_string()),
            }
        }
    }

    /// Says what is to be said; none if it is the guest's turn to speak.
    fn speak(&mut self) -> Option<Progress> {
        let filter = match &mut self.stage {
            Stage::Shaking(filter) => filter,
            Stage::Silent | Stage::Leaving(_) => return None,
            Stage::Shaken(_) | Stage::Plain => return Some(Progress::Waits),
        };
        if let Err(error) = flush(filter, &mut self.socket) {
            return Some(match error.kind() {
                io::ErrorKind::WouldBlock => Progress::Waits,
                _ => Progress::Gone(error.to_string()),
            });
        }
        if filter.is_handshaking() {
            return None;
        }
        let shaking = std::mem::replace(&mut self.stage, Stage::Silent);
        if let Stage::Shaking(filter) = shaking {
            self.stage = Stage::Shaken(filter);
        }
        Some(Progress::Done)
    }

    fn ended(&self) -> Progress {
        match &self.stage {
            Stage::Silent | Stage::Leaving(_) => Progress::Silent,
            Stage::Shaking(_) | Stage::Shaken(_) | Stage::Plain => {
                Progress::Gone("EOF: it went before the handshake was over".into())
            }
        }
    }

    /// What these bytes decide; none if it has more to say.
    fn receive(&mut self, secure: &Secure, bytes: &[u8]) -> Option<Progress> {
        if let Stage::Leaving(dropped) = &mut self.stage {
            *dropped = dropped.saturating_add(bytes.len());
            return (*dropped > DROPPED_BYTES_MAX).then_some(Progress::Silent);
        }
        if matches!(self.stage, Stage::Silent) {
            if bytes[0] != HANDSHAKE_RECORD {
                return Some(self.receive_plain(secure, bytes));
            }
            match secure.tls.begin() {
                Ok(filter) => self.stage = Stage::Shaking(Box::new(filter)),
                Err(error) => return Some(Progress::Gone(tls::reason(&error))),
            }
        }
        let Stage::Shaking(filter) = &mut self.stage else { return None };
        let error = filter.receive(bytes, &mut self.early).err()?;
        // The alert says why; whether it still arrives is the guest's loss.
        let _unread = flush(filter, &mut self.socket);
        self.leave();
        Some(Progress::Refused(tls::reason(&error)))
    }

    fn receive_plain(&mut self, secure: &Secure, bytes: &[u8]) -> Progress {
        if secure.takes_plain {
            self.stage = Stage::Plain;
            self.early.extend_from_slice(bytes);
            return Progress::Plain;
        }
        let is_http = HTTP_BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning));
        if is_http {
            let _unread = self.socket.write(PLAIN_ANSWER);
        }
        self.leave();
        Progress::Refused(match is_http {
            true => "tls: client sent an HTTP request to an HTTPS server".into(),
            false => "tls: first record does not look like a TLS handshake".into(),
        })
    }

    fn leave(&mut self) {
        self.stage = Stage::Leaving(0);
        // One that has gone already needs none.
        let _gone = self.socket.shutdown_write();
    }

    /// What the reactor takes over.
    pub(super) fn into_newcomer(self, listener: Listener, secure: &Secure) -> Newcomer {
        let filter = match self.stage {
            Stage::Shaken(filter) => Some(filter),
            _ => None,
        };
        let security = match &filter {
            Some(filter) => secure.tls.security(filter),
            None => Security::Plain,
        };
        let (socket, remote, early) = (self.socket, self.remote, self.early);
        Newcomer { socket, filter, listener, remote, security, early }
    }
}

/// Writes all the ciphertext that waits.
fn flush(filter: &mut Filter, socket: &mut Socket) -> io::Result<()> {
    while filter.has_output() {
        match filter.write_to(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => {
                written?;
            }
        }
    }
    Ok(())
}
