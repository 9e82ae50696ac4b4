//! Both APIs: what a request means, and how its answer reads.
//!
//! A request enters [`Service::begin`] once. It is answered at once, or turned into a question to
//! the replica beside an [`Exchange`] that waits for the reply. An exchange is given each reply
//! to its question and says what follows; it holds nothing of the connection.

use bytes::Bytes;
use quorra_core::replica::{self, Replica};
use quorra_core::time::Now;

use crate::http::{Request, Response};

/// What an API can see of its member without asking.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The member's own state, read only.
    pub replica: &'a Replica,
    /// The present turn's time.
    pub now: Now,
}

/// What follows from a request or a reply.
#[derive(Debug)]
pub enum Outcome {
    /// The whole answer. The exchange is over unless the body is a stream.
    Respond(Response),
    /// More of a streamed body; sent at once.
    Data(Bytes),
    /// The streamed body is over, with these trailers.
    End(Vec<(&'static str, Bytes)>),
    /// Ask the replica this, and wait.
    Ask(Box<replica::Request>),
    /// Wait for another reply.
    Wait,
}
