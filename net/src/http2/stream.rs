//! One request and its answer.

use super::incoming::Incoming;
use super::sender::Outgoing;
use crate::http::{Method, Request};

/// A stream, from its head until both sides have ended it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) incoming: Incoming,
    /// None until the answer has begun.
    pub(super) outgoing: Option<Outgoing>,
    /// What the peer takes on this stream.
    pub(super) window: i64,
    pub(super) receiving: ReceiveWindow,
    /// It stands in the queue of those that can send.
    pub(super) ready: bool,
    /// The request was handed out: what happens to the stream must be told.
    pub(super) told: bool,
    /// Only the head is answered (HEAD).
    pub(super) head_only: bool,
    pub(super) rpc: bool,
}

impl Stream {
    /// The window of each stream: a message of any usual size needs no update.
    pub(super) const WINDOW: u32 = 4 << 20;

    /// A stream whose request has begun.
    pub(super) fn new(request: Request, body_bytes_max: usize, window: i64) -> Self {
        let (head_only, rpc) = (request.method == Method::Head, request.rpc);
        let incoming = Incoming::new(request, body_bytes_max);
        Self { incoming, head_only, rpc, ..Self::refused(true, window) }
    }

    /// A stream that is answered without its request.
    pub(super) fn refused(open: bool, window: i64) -> Self {
        Self {
            incoming: if open { Incoming::Ignored } else { Incoming::Ended },
            outgoing: None,
            window,
            receiving: ReceiveWindow::new(Self::WINDOW),
            ready: false,
            told: false,
            head_only: false,
            rpc: true,
        }
    }
}

/// What the peer may send us (RFC 9113, 5.2): opened again when half of it is used.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    bytes_max: u32,
    /// Received, and not given back yet.
    received: u32,
}

/// The peer has sent more than it may.
#[derive(Debug)]
pub(super) struct Exceeded;

impl ReceiveWindow {
    pub(super) fn new(bytes_max: u32) -> Self {
        Self { bytes_max, received: 0 }
    }

    /// So many bytes came; says by how many the window is to be opened again, if it is.
    pub(super) fn take(&mut self, bytes: u32) -> Result<Option<u32>, Exceeded> {
        self.received += bytes;
        if self.received > self.bytes_max {
            return Err(Exceeded);
        }
        let used = self.received >= self.bytes_max / 2;
        Ok(used.then(|| std::mem::take(&mut self.received)))
    }
}
