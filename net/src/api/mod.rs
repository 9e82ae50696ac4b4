//! Both APIs: what a request means, and how its answer reads.
//!
//! A request enters [`Service::begin`] once. It is answered at once, or turned into a question to
//! the replica beside an [`Exchange`] that waits for the reply. An exchange is given each reply
//! to its questions and says what follows; it holds nothing of the connection.

pub mod discovery;
pub mod front;
pub mod gateway;
mod go;
mod metrics;
pub(crate) mod origins;
mod peer_urls;
mod plain;
pub mod v2;
pub mod v3;

use bytes::Bytes;
use quorra_core::replica::{self, Replica};
use quorra_core::time::{Instant, Now};

pub use front::{Call, Service};

use crate::host::Identity;
use crate::host::Level;
use crate::http::Response;

/// What an API can see of its member without asking.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The member's own state, read only.
    pub replica: &'a Replica,
    /// The member's flags.
    pub options: &'a crate::host::Options,
    /// What the host counts.
    pub statistics: &'a crate::host::Statistics,
    /// Whom the client's certificate names, where clients must show one (`--client-cert-auth`).
    pub identity: Option<&'a Identity>,
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
    /// The streamed body is over, with these trailers. The exchange is over.
    End(Vec<(&'static str, Bytes)>),
    /// Ask the replica this, and wait.
    Ask(Box<replica::Request>),
    /// Have the driver do this; [`Exchange::on_errand`] hears when it is done.
    Run(Errand),
    /// Wait for another reply.
    Wait,
}

/// What an API can have a driver do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Write only lines to the log that matter as much as this, or more.
    LogLevel(Level),
    /// Measure the process: `Statistics::measured` is new then.
    Measure,
}

/// How a request begins: what follows at once, and who hears the replies. An outcome that is not
/// a whole answer needs an exchange.
pub type Begun = (Outcome, Option<Box<dyn Exchange>>);

/// A request that waits for the replica. It is dropped when it is over, when its client has gone
/// and when its connection is closed; the host then cancels what it has asked.
pub trait Exchange: std::fmt::Debug {
    /// The replica says this to what was asked.
    fn on_reply(&mut self, reply: replica::Reply, view: View<'_>) -> Outcome;

    /// What [`Outcome::Run`] wanted is done.
    fn on_errand(&mut self, _view: View<'_>) -> Outcome {
        Outcome::Wait
    }

    /// A gRPC call's client sent a further message.
    fn on_message(&mut self, _message: Bytes, _view: View<'_>) -> Outcome {
        Outcome::Wait
    }

    /// A gRPC call's client will send no more.
    fn on_end(&mut self, _view: View<'_>) -> Outcome {
        Outcome::Wait
    }

    /// When [`Self::on_deadline`] is wanted; asked once, after the exchange began.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The time is up: the last thing that is asked of an exchange. Anything but an answer or an
    /// end abandons the client.
    fn on_deadline(&mut self, _view: View<'_>) -> Outcome {
        Outcome::Wait
    }
}
