//! What the APIs count of their requests.

use std::cell::Cell;

use quorra_core::time::Duration;

use super::histogram::{Histogram, doubling};
use crate::api::v3;
use crate::grpc::Code;

/// A number that grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Once more.
    pub fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// How often.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// All that is counted of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// `/health` was asked and the member was healthy.
    pub healthy: Counter,
    /// `/health` was asked and the member was not healthy.
    pub unhealthy: Counter,
    /// Watches of v2 keys.
    pub watches: Counter,
    /// Requests for v2 keys by [`KeysMethod`].
    pub keys: [KeysCount; 6],
    /// Calls of v3 by their place in the list of methods.
    pub calls: Vec<Calls>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            healthy: Counter::default(),
            unhealthy: Counter::default(),
            watches: Counter::default(),
            keys: std::array::from_fn(|_| KeysCount::default()),
            calls: vec![Calls::default(); v3::methods().count()],
        }
    }
}

/// How etcd tells requests for v2 keys apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are HTTP's")]
pub enum KeysMethod {
    Get,
    /// GET with `quorum=true`.
    QuorumGet,
    Head,
    Put,
    Post,
    Delete,
}

impl KeysMethod {
    /// Each with its name.
    pub const NAMES: [&'static str; 6] = ["GET", "QGET", "HEAD", "PUT", "POST", "DELETE"];
}

/// The statuses by which requests for keys are refused.
pub const REFUSALS: [u16; 6] = [400, 401, 403, 404, 412, 500];

/// 500 us to 2 s (etcd).
static KEYS: [u64; 13] = doubling(500_000);

/// Requests for v2 keys of one method. What makes no sense is not counted (etcd).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysCount {
    /// All of them.
    pub received: Counter,
    /// Those refused with a status of [`REFUSALS`], in its order.
    pub refused: [Counter; 6],
    /// The others, but for watches: how long they took.
    pub successful: Histogram,
}

impl Default for KeysCount {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            refused: std::array::from_fn(|_| Counter::default()),
            successful: Histogram::new(&KEYS),
        }
    }
}

impl KeysCount {
    /// Answered with this status after so long.
    pub fn answered(&self, status: u16, took: Duration) {
        match REFUSALS.iter().position(|refusal| *refusal == status) {
            Some(place) => self.refused[place].count(),
            None => self.successful.count(took),
        }
    }
}

/// 5 ms to 10 s (Prometheus' own).
static CALLS: [u64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Calls of one method of v3, over gRPC and the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub started: Counter,
    /// Messages that came.
    pub received: Counter,
    /// Messages that went.
    pub sent: Counter,
    /// Those that are over, by their code.
    pub handled: [Counter; 17],
    /// How long they took.
    pub took: Histogram,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            handled: std::array::from_fn(|_| Counter::default()),
            took: Histogram::new(&CALLS),
        }
    }
}

impl Calls {
    /// A call begins, with its first message.
    pub fn begun(&self) {
        self.started.count();
        self.received.count();
    }

    /// A call of one answer is over after so long.
    pub fn ended(&self, code: Code, took: Duration) {
        if code == Code::Ok {
            self.sent.count();
        }
        self.handled[code as usize].count();
        self.took.count(took);
    }
}
