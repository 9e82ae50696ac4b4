//! Answers on their way out: what a stream has to send goes when there is room for it.
//!
//! A stream that could not send everything stands in the connection's queue, once, until it can.

use bytes::Bytes;

use super::Connection;
use crate::http::{Body, Response};
use crate::http2::frame::ErrorCode;
use crate::http2::incoming::Incoming;
use crate::http2::sender::{self, Outgoing, Progress};

impl Connection {
    /// Puts a stream that has something to send into the queue.
    pub(super) fn make_ready(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.outgoing.is_some() && !stream.ready {
            stream.ready = true;
            self.ready.push_back(id);
        }
    }

    /// Sends the head of an answer, and as much of its body as goes at once.
    pub(super) fn answer(&mut self, id: u32, response: Response) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        assert!(stream.outgoing.is_none(), "a stream is answered once");
        self.keepalive.on_sent();
        let Response { status, headers, forwarded, body, trailers } = response;
        let length = match &body {
            Body::Full(bytes) if !stream.rpc => Some(bytes.len() as u64),
            Body::Sized(bytes) => Some(*bytes),
            _ => None,
        };
        let empty = matches!(&body, Body::Full(bytes) if bytes.is_empty());
        let ends = stream.head_only || (empty && trailers.is_empty());
        self.sender.head(id, status, &headers, forwarded.as_deref(), length, ends);
        if ends {
            return self.finish(id);
        }
        let outgoing = match body {
            Body::Full(bytes) if self.sender.has_room(bytes.len(), stream.window) => {
                self.sender.whole(id, &bytes, &trailers);
                return self.finish(id);
            }
            Body::Full(bytes) => Outgoing::full(bytes, trailers),
            Body::Lazy(body) => Outgoing::lazy(body, trailers),
            Body::Stream | Body::Sized(_) => Outgoing::stream(),
        };
        self.waiting_bytes += outgoing.bytes();
        self.large_answers += usize::from(outgoing.is_large());
        stream.outgoing = Some(outgoing);
        self.advance(id);
    }

    /// Lets a stream send, if there is room, and keeps its place in the queue.
    pub(super) fn advance(&mut self, id: u32) {
        let room = self.sender.output.len() < sender::OUTPUT_BYTES_TARGET;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(outgoing) = &mut stream.outgoing else { return };
        if !room || stream.ready {
            return self.make_ready(id);
        }
        self.waiting_bytes -= outgoing.bytes();
        let progress = outgoing.advance(id, &mut stream.window, &mut self.sender);
        self.waiting_bytes += outgoing.bytes();
        match progress {
            Progress::More => self.make_ready(id),
            Progress::Finished => self.finish(id),
            Progress::Idle | Progress::Blocked => {}
        }
    }

    /// The answer is complete.
    fn finish(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.held_bytes -= stream.incoming.bytes();
        self.large_answers -= usize::from(stream.outgoing.is_some_and(|it| it.is_large()));
        if !matches!(stream.incoming, Incoming::Ended) {
            // The rest of the request is not wanted (RFC 9113, 8.1).
            self.sender.reset(id, ErrorCode::NoError);
        }
    }

    /// Ends a streamed answer.
    pub(super) fn end_with(&mut self, id: u32, trailers: Vec<(&'static str, Bytes)>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(outgoing) = &mut stream.outgoing else { return };
        outgoing.end(trailers);
        self.keepalive.on_sent();
        self.advance(id);
    }
}
