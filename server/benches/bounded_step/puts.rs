//! The small puts that go on during a case, and how long each of them takes.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::json::{self, Connection};

/// Clients in a closed loop.
const CLIENTS: usize = 4;

const WARMING_UP: u8 = 0;
const RECORDING: u8 = 1;
const OVER: u8 = 2;

/// Switches the record on when the case begins.
pub(crate) struct Recording {
    phase: AtomicU8,
    started: std::sync::OnceLock<Instant>,
}

impl Recording {
    pub(crate) fn start(&self) {
        self.started.get_or_init(Instant::now);
        self.phase.store(RECORDING, Ordering::SeqCst);
    }
}

/// What was seen of a case.
pub(crate) struct Measured {
    pub(crate) took: Duration,
    /// In ascending order.
    latencies: Vec<Duration>,
}

impl Measured {
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this share of the puts does not exceed; zero without any.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let position = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(position.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Puts on every member, twice as much on the leader, while `work` runs; counts the puts that
/// begin between `work`'s call to [`Recording::start`] and its end.
pub(crate) fn during(cluster: &Cluster, leader: usize, work: impl FnOnce(&Recording)) -> Measured {
    let recording =
        Recording { phase: AtomicU8::new(WARMING_UP), started: std::sync::OnceLock::new() };
    let members = cluster.members.len();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let address = &cluster.members[(leader + client) % members].client.address;
                let recording = &recording;
                scope.spawn(move || put_until_over(address, client, recording))
            })
            .collect();
        // Connections are open and paths are warm before anything counts.
        std::thread::sleep(Duration::from_millis(100));
        work(&recording);
        recording.phase.store(OVER, Ordering::SeqCst);
        let took = recording.started.get().map(Instant::elapsed).unwrap_or_default();
        let joined = clients.into_iter().map(|client| client.join().expect("a client goes on"));
        let mut latencies: Vec<Duration> = joined.flatten().collect();
        latencies.sort_unstable();
        Measured { took, latencies }
    })
}

fn put_until_over(address: &str, client: usize, recording: &Recording) -> Vec<Duration> {
    let mut connection = Connection::open(address);
    let (key, value) = (json::bytes(format!("small/{client}").as_bytes()), json::bytes(b"value"));
    let body = format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}");
    let mut latencies = Vec::new();
    loop {
        let phase = recording.phase.load(Ordering::SeqCst);
        if phase == OVER {
            return latencies;
        }
        let start = Instant::now();
        connection.ask("/v3/kv/put", &body);
        if phase == RECORDING {
            latencies.push(start.elapsed());
        }
    }
}
