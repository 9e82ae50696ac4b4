//! Opens connections to other members, beside the reactor's thread.
//!
//! Resolving a name may block for as long as a name server likes, so each attempt has a short-lived
//! thread of its own; the host asks for one at a time per peer. Names are resolved anew each time:
//! a member that moved is found again.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mio::Waker;
use quorra_net::host::ConnectionId;

use crate::urls::Url;

/// The attempts that are under way.
#[derive(Debug)]
pub(super) struct Dialer {
    under_way: BTreeSet<ConnectionId>,
    sender: Sender<(ConnectionId, io::Result<TcpStream>)>,
    receiver: Receiver<(ConnectionId, io::Result<TcpStream>)>,
    waker: Arc<Waker>,
    timeout: Duration,
}

impl Dialer {
    /// A dialer that gives each address `timeout`, and wakes the reactor with each result.
    pub(super) fn new(waker: Arc<Waker>, timeout: Duration) -> Self {
        let (sender, receiver) = channel();
        Self { under_way: BTreeSet::new(), sender, receiver, waker, timeout }
    }

    /// Starts an attempt.
    pub(super) fn dial(&mut self, id: ConnectionId, url: String) {
        self.under_way.insert(id);
        let (sender, waker, timeout) = (self.sender.clone(), self.waker.clone(), self.timeout);
        let attempt = move || {
            // Both fail only when the reactor is gone.
            let _gone = sender.send((id, connect(&url, timeout)));
            let _gone = waker.wake();
        };
        let thread = std::thread::Builder::new().name("dialer".into()).spawn(attempt);
        if let Err(error) = thread {
            self.sender.send((id, Err(error))).expect("the receiver is a field beside the sender");
        }
    }

    /// Forgets an attempt; false if there is none of that id.
    pub(super) fn forget(&mut self, id: ConnectionId) -> bool {
        self.under_way.remove(&id)
    }

    /// The next result of an attempt that was not forgotten.
    pub(super) fn next(&mut self) -> Option<(ConnectionId, io::Result<TcpStream>)> {
        loop {
            let (id, result) = self.receiver.try_recv().ok()?;
            if self.under_way.remove(&id) {
                return Some((id, result));
            }
        }
    }
}

/// Tries the name's addresses in turn.
fn connect(url: &str, timeout: Duration) -> io::Result<TcpStream> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in url.resolve()? {
        let opened = TcpStream::connect_timeout(&address, timeout)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
        match opened {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
