//! One client's connection: its protocol, once that is known, and the calls that wait on it.
//! What a call is is up to the machine: a host's are [`Waiting`].

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use quorra_core::replica::RequestId;
use quorra_core::time::{Duration, Instant, Now};

use super::{Listener, Security};
use crate::api::Call;
use crate::http::{Limits, Protocol, StreamId};
use crate::{http1, http2, peer};

/// How long a client may take nothing of what waits for it.
const STALL_MAX: Duration = Duration::from_secs(60);
/// How long whoever connects to a peer listener may take to say anything. Clients may take as long
/// as they like: idle connections are theirs to keep.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(10);

/// How a client begins that speaks TLS: with a handshake record (RFC 8446, 5.1).
const TLS_RECORD: u8 = 22;

/// An accepted connection that does not speak our peer protocol.
#[derive(Debug)]
pub(crate) struct Connection<C> {
    pub(crate) listener: Listener,
    /// Where from, for logs.
    remote: Box<str>,
    pub(crate) security: Security,
    pub(crate) calls: BTreeMap<StreamId, C>,
    pub(crate) half_closed: bool,
    /// The driver was told to stop reading.
    pub(crate) paused: bool,
    /// It stands in the queue of those that have more to do.
    pub(crate) queued: bool,
    /// It stands in the list of those that have output.
    pub(crate) writable: bool,
    /// The driver was told to close it: only its output matters.
    pub(crate) closing: bool,
    /// For when a timer is set.
    pub(crate) timer: Option<Instant>,
    state: State,
    opened: Instant,
    /// When output was taken last, or began to wait; none while none waits.
    taken: Option<Instant>,
}

/// A call that is not over.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) call: Call,
    /// What it asked the replica and has not been answered for good.
    pub(super) request: Option<RequestId>,
    /// A watch: its request is answered more than once.
    pub(super) watching: bool,
    pub(super) deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// The first bytes decide.
    Sniffing(BytesMut),
    Http1(Box<http1::Connection>),
    Http2(Box<http2::Connection>),
}

/// What the first bytes have told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// HTTP, or not known yet.
    Stays,
    /// Another member: these bytes are the beginning.
    Peer(BytesMut),
    /// TLS, which is not spoken here: a line for the log. It is answered as HTTP that makes no
    /// sense.
    Tls(String),
}

impl<C> Connection<C> {
    pub(crate) fn new(listener: Listener, remote: &str, security: Security, now: Now) -> Self {
        Self {
            listener,
            remote: remote.into(),
            security,
            calls: BTreeMap::new(),
            half_closed: false,
            paused: false,
            queued: false,
            writable: false,
            closing: false,
            timer: None,
            state: State::Sniffing(BytesMut::new()),
            opened: now.monotonic,
            taken: None,
        }
    }

    /// These bytes came in.
    pub(crate) fn receive(&mut self, now: Now, limits: Limits, bytes: &[u8]) -> Sniffed {
        let State::Sniffing(seen) = &mut self.state else {
            if let Some(protocol) = self.protocol() {
                protocol.receive(now, bytes);
            }
            return Sniffed::Stays;
        };
        seen.extend_from_slice(bytes);
        match self.listener {
            Listener::Peer if peer::is_magic_so_far(seen) => {
                return Sniffed::Peer(std::mem::take(seen));
            }
            Listener::Client | Listener::Metrics
                if seen.len() < http2::PREFACE.len() && http2::PREFACE.starts_with(seen) =>
            {
                return Sniffed::Stays;
            }
            _ => {}
        }
        let seen = std::mem::take(seen);
        let is_http2 = self.listener != Listener::Peer && seen.starts_with(http2::PREFACE);
        let secure = self.security.is_secure();
        self.state = if is_http2 {
            State::Http2(Box::new(http2::Connection::new(limits, secure, now)))
        } else {
            State::Http1(Box::new(http1::Connection::new(limits, secure)))
        };
        if let Some(protocol) = self.protocol() {
            protocol.receive(now, &seen);
        }
        if seen.first() != Some(&TLS_RECORD) {
            return Sniffed::Stays;
        }
        Sniffed::Tls(format!("rejected {}: it speaks TLS where plain text is spoken", self.remote))
    }

    /// The protocol, once it is known.
    pub(crate) fn protocol(&mut self) -> Option<&mut dyn Protocol> {
        match &mut self.state {
            State::Sniffing(_) => None,
            State::Http1(connection) => Some(&mut **connection),
            State::Http2(connection) => Some(&mut **connection),
        }
    }

    pub(crate) fn output(&mut self) -> &[u8] {
        match self.protocol() {
            Some(protocol) => protocol.output(),
            None => &[],
        }
    }

    /// That much of the output was taken; more is made where something waits for room.
    pub(crate) fn written(&mut self, now: Now, bytes: usize) {
        if let Some(protocol) = self.protocol() {
            let output = protocol.output();
            output.advance(bytes.min(output.len()));
            protocol.pump();
        }
        self.taken = (!self.output().is_empty()).then_some(now.monotonic);
    }

    /// There is output, perhaps since just now.
    pub(crate) fn output_waits(&mut self, now: Now) {
        self.taken.get_or_insert(now.monotonic);
    }

    /// When something is due, if anything is.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        let stall = self.taken.map(|taken| taken + STALL_MAX);
        if matches!(self.state, State::Sniffing(_)) {
            let peer = self.listener == Listener::Peer;
            return peer.then(|| self.opened + PEER_SILENCE_MAX);
        }
        let closing = self.closing;
        let own = self.protocol().filter(|_| !closing).and_then(|protocol| protocol.deadline());
        stall.into_iter().chain(own).min()
    }

    /// Whether its reader has taken nothing, or a member has said nothing, for too long.
    pub(crate) fn has_stalled(&self, now: Now) -> bool {
        let silent = matches!(self.state, State::Sniffing(_))
            && self.listener == Listener::Peer
            && self.opened + PEER_SILENCE_MAX <= now.monotonic;
        silent || self.taken.is_some_and(|taken| taken + STALL_MAX <= now.monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniff(listener: Listener, bytes: &[u8]) -> (Sniffed, &'static str) {
        let now = Now::default();
        let mut connection = Connection::<()>::new(listener, "test", Security::Plain, now);
        let mut sniffed = Sniffed::Stays;
        for byte in bytes {
            sniffed = connection.receive(now, Limits::new(1_000), &[*byte]);
            if sniffed != Sniffed::Stays {
                break;
            }
        }
        let state = match connection.state {
            State::Sniffing(_) => "sniffing",
            State::Http1(_) => "http1",
            State::Http2(_) => "http2",
        };
        (sniffed, state)
    }

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        let client = Listener::Client;
        assert_eq!(sniff(client, b"").1, "sniffing");
        assert_eq!(sniff(client, b"PR").1, "sniffing");
        assert_eq!(sniff(client, b"PUT").1, "http1");
        assert_eq!(sniff(client, b"GET / ").1, "http1");
        assert_eq!(sniff(client, http2::PREFACE).1, "http2");
        assert_eq!(sniff(client, &peer::MAGIC).1, "http1", "peers have a listener of their own");
        assert_eq!(sniff(Listener::Peer, b"GET").1, "http1");
        for listener in [client, Listener::Peer] {
            let (sniffed, state) = sniff(listener, &[22, 3, 1]);
            assert!(matches!(sniffed, Sniffed::Tls(_)) && state == "http1", "{sniffed:?}");
        }
        let (sniffed, _) = sniff(Listener::Peer, &peer::MAGIC);
        assert_eq!(sniffed, Sniffed::Peer(BytesMut::from(&peer::MAGIC[..1])));
    }
}
