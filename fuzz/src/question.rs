//! What the APIs make of a request.

use bytes::Bytes;
use quorra_core::replica::{self, Replica};
use quorra_core::store::command::{Body, Command, Identity};
use quorra_core::time::{Instant, Now, WallTime};
use quorra_net::api::{Outcome, Service, View};
use quorra_net::host::{Options, Statistics};
use quorra_net::http::{Headers, Method, Request};

use crate::{command, member};

const NOW: Now = Now { monotonic: Instant(1 << 40), wall: WallTime(1_700_000_000_000_000_000) };

/// A member that is asked, and never answers.
pub(crate) struct Asked {
    service: Service,
    replica: Replica,
    options: Options,
    statistics: Statistics,
}

/// What follows from a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// The replica is asked this.
    Question(Box<replica::Request>),
    /// The answer is there: its status.
    Status(u16),
}

impl Asked {
    pub(crate) fn new() -> Self {
        let options = member::options(1);
        Self {
            service: Service::new(&options),
            replica: member::replica(NOW),
            options,
            statistics: Statistics::default(),
        }
    }

    /// Begins a request. A change that is asked for survives its way through the log.
    pub(crate) fn begin(&self, request: &Request) -> Answer {
        let Self { service, replica, options, statistics } = self;
        let view = View { replica, options, statistics, identity: None, now: NOW };
        match service.begin(request, view) {
            (Outcome::Respond(response), None) => Answer::Status(response.status),
            (Outcome::Run(_), Some(_)) => Answer::Status(200),
            (Outcome::Ask(question), Some(_)) => {
                check(&question);
                Answer::Question(question)
            }
            (outcome, call) => panic!("no request begins so: {outcome:?}, {call:?}"),
        }
    }
}

fn check(question: &replica::Request) {
    let body = match question {
        replica::Request::V2Write(write) => Body::V2(write.clone()),
        replica::Request::V3Write(write) => Body::V3(write.clone()),
        _ => return,
    };
    let (identity, stamp) = (Identity::default(), WallTime(0));
    command::check(&Command { identity, stamp, user: Bytes::new(), body });
}

/// A request as a connection would give it. No content type is no field.
pub(crate) fn request(method: &[u8], target: &[u8], media_type: &[u8], body: Bytes) -> Request {
    let mut headers = Headers::default();
    if !media_type.is_empty() {
        assert!(headers.push(b"Content-Type", media_type), "inputs are short");
    }
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], Some(Bytes::copy_from_slice(&target[mark + 1..]))),
        None => (target, None),
    };
    Request {
        method: Method::of(method),
        path: Bytes::copy_from_slice(path),
        query,
        headers,
        body,
        oversized: false,
        secure: false,
        rpc: false,
    }
}

/// A gRPC call with its first message.
pub(crate) fn call(path: &str, message: Bytes) -> Request {
    Request { rpc: true, ..request(b"POST", path.as_bytes(), b"application/grpc", message) }
}
