//! Opens connections to other members, beside the reactor's thread.
//!
//! Resolving a name may block for as long as a name server likes, so each attempt has a short-lived
//! thread of its own; the host asks for one at a time per peer. Names are resolved anew each time:
//! a member that moved is found again. A TLS handshake is part of an attempt.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::Waker;
use quorra_net::host::ConnectionId;
use quorra_net::tls::Filter;

use super::socket::Socket;
use crate::client::{self, Carrier};
use crate::tls::{self, ClientTls};
use crate::urls::{Scheme, Url};

/// A connection that an attempt has opened.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) socket: Socket,
    pub(super) filter: Option<Box<Filter>>,
    /// What the other side has said already.
    pub(super) early: Vec<u8>,
}

/// What came of an attempt at a URL.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: ConnectionId,
    pub(super) url: String,
    pub(super) result: io::Result<Dialed>,
}

/// The attempts that are under way.
#[derive(Debug)]
pub(super) struct Dialer {
    under_way: BTreeSet<ConnectionId>,
    sender: Sender<Attempt>,
    receiver: Receiver<Attempt>,
    waker: Arc<Waker>,
    timeout: Duration,
    /// None trusts the system's authorities.
    tls: Option<ClientTls>,
}

impl Dialer {
    /// A dialer that gives each address, and each handshake, `timeout`, and wakes the reactor with
    /// each result.
    pub(super) fn new(waker: Arc<Waker>, timeout: Duration, tls: Option<ClientTls>) -> Self {
        let (sender, receiver) = channel();
        Self { under_way: BTreeSet::new(), sender, receiver, waker, timeout, tls }
    }

    /// Starts an attempt.
    pub(super) fn dial(&mut self, id: ConnectionId, url: String) {
        self.under_way.insert(id);
        let (sender, waker) = (self.sender.clone(), self.waker.clone());
        let (timeout, tls, target) = (self.timeout, self.tls.clone(), url.clone());
        let attempt = move || {
            let result = connect(&target, timeout, tls.as_ref());
            // Both fail only when the reactor is gone.
            let _gone = sender.send(Attempt { id, url: target, result });
            let _gone = waker.wake();
        };
        let thread = std::thread::Builder::new().name("dialer".into()).spawn(attempt);
        if let Err(error) = thread {
            let failed = Attempt { id, url, result: Err(error) };
            self.sender.send(failed).expect("the receiver is a field beside the sender");
        }
    }

    /// Forgets an attempt; false if there is none of that id.
    pub(super) fn forget(&mut self, id: ConnectionId) -> bool {
        self.under_way.remove(&id)
    }

    /// The next attempt that is over and was not forgotten.
    pub(super) fn next(&mut self) -> Option<Attempt> {
        loop {
            let attempt = self.receiver.try_recv().ok()?;
            if self.under_way.remove(&attempt.id) {
                return Some(attempt);
            }
        }
    }
}

fn connect(url: &str, timeout: Duration, tls: Option<&ClientTls>) -> io::Result<Dialed> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    let carrier = match url.scheme {
        Scheme::Http | Scheme::Https => Carrier::Tcp(connect_tcp(&url, timeout)?),
        Scheme::Unix | Scheme::Unixs => Carrier::Unix(UnixStream::connect(&url.address)?),
    };
    let mut socket = client::Socket { carrier, deadline: Some(Instant::now() + timeout) };
    let session = client::shake_hands(&mut socket, tls, &url)?;
    let mut filter = session.map(|session| Box::new(Filter::new(*session)));
    let mut early = Vec::new();
    if let Some(filter) = &mut filter {
        filter.take_plaintext(&mut early).map_err(|error| io::Error::other(tls::reason(&error)))?;
    }
    let socket = match socket.carrier {
        Carrier::Tcp(stream) => {
            stream.set_nonblocking(true)?;
            Socket::tcp(mio::net::TcpStream::from_std(stream))
        }
        Carrier::Unix(stream) => {
            stream.set_nonblocking(true)?;
            Socket::Unix(mio::net::UnixStream::from_std(stream))
        }
    };
    Ok(Dialed { socket, filter, early })
}

/// Tries the name's addresses in turn.
fn connect_tcp(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in url.resolve()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
