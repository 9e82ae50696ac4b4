//! What comes in on one stream: the body of a request, or the messages of a call.

use bytes::{Bytes, BytesMut};

use crate::grpc::{MessageReader, Refusal};
use crate::http::{Event, Request, StreamId};

/// What a stream has received, and what may still come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A plain request, which is told when its body is complete.
    Body {
        /// Its head.
        head: Box<Request>,
        /// What has come.
        body: BytesMut,
        /// The most that may come.
        bytes_max: usize,
    },
    /// A gRPC call, which is told at its first message.
    Call {
        /// Its head, until the first message came.
        head: Option<Box<Request>>,
        /// The message that is not complete yet.
        reader: MessageReader,
    },
    /// Whatever comes is dropped: the answer does not need it.
    Ignored,
    /// The client has ended its side.
    Ended,
}

/// What a stream's bytes amount to.
#[derive(Debug)]
pub(super) enum Told {
    /// The request, or the call with its first message.
    Request(Request),
    /// A further message.
    Message(Bytes),
    /// The call's last message has come.
    End,
}

impl Incoming {
    /// What follows this head.
    pub(super) fn new(head: Request, bytes_max: usize) -> Self {
        let head = Box::new(head);
        if head.rpc {
            return Self::Call { head: Some(head), reader: MessageReader::default() };
        }
        Self::Body { head, body: BytesMut::new(), bytes_max }
    }

    /// Bytes that are kept: a head is, until it is told.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Body { head, body, .. } => request_bytes(head) + body.len(),
            Self::Call { head, reader } => {
                head.as_deref().map_or(0, request_bytes) + reader.pending_bytes()
            }
            Self::Ignored | Self::Ended => 0,
        }
    }

    /// More bytes came.
    pub(super) fn data(
        &mut self,
        bytes: &[u8],
        message_bytes_max: usize,
        mut tell: impl FnMut(Told),
    ) -> Result<(), Refusal> {
        match self {
            Self::Body { head, body, bytes_max } => {
                head.oversized |= body.len() + bytes.len() > *bytes_max;
                if head.oversized {
                    body.clear();
                } else {
                    body.extend_from_slice(bytes);
                }
                Ok(())
            }
            Self::Call { head, reader } => {
                reader.read(bytes, message_bytes_max, |message| match head.take() {
                    Some(mut request) => {
                        request.body = message;
                        tell(Told::Request(*request));
                    }
                    None => tell(Told::Message(message)),
                })
            }
            Self::Ignored | Self::Ended => Ok(()),
        }
    }

    /// The client has ended its side.
    pub(super) fn end(&mut self, mut tell: impl FnMut(Told)) -> Result<(), Refusal> {
        match std::mem::replace(self, Self::Ended) {
            Self::Body { mut head, body, .. } => {
                head.body = body.freeze();
                tell(Told::Request(*head));
            }
            Self::Call { reader, .. } if reader.pending_bytes() > 0 => {
                return Err(Refusal::Truncated);
            }
            Self::Call { head: Some(_), .. } => return Err(Refusal::Missing),
            Self::Call { .. } => tell(Told::End),
            Self::Ignored | Self::Ended => {}
        }
        Ok(())
    }
}

/// The event that tells it.
pub(super) fn event(id: u32, told: Told) -> Event {
    let id = StreamId(id);
    match told {
        Told::Request(request) => Event::Request(id, request),
        Told::Message(message) => Event::Message(id, message),
        Told::End => Event::End(id),
    }
}

/// What an event holds that waits to be handed out, itself included.
pub(super) fn event_bytes(event: &Event) -> usize {
    size_of::<Event>()
        + match event {
            Event::Request(_, request) => request_bytes(request),
            Event::Message(_, message) => message.len(),
            Event::End(_) | Event::Cancelled(_) => 0,
        }
}

/// What a request holds. A few bytes of HPACK may stand for a megabyte of fields.
fn request_bytes(request: &Request) -> usize {
    let Request { path, query, headers, body, .. } = request;
    path.len() + query.as_ref().map_or(0, Bytes::len) + headers.bytes() + body.len()
}
