//! Small puts go on while a member works on something large.
//!
//! ```sh
//! cargo bench -p quorra --bench bounded_step                  # three members, a million keys
//! MEMBERS=1 cargo bench -p quorra --bench bounded_step        # one member
//! KEYS=10000 cargo bench -p quorra --bench bounded_step       # seconds, to see that it runs
//! ```
//!
//! Members are processes of the release build on loopback. For each case a few clients put one
//! small value after another, on every member; what counts are the puts that begin while the case
//! is going on. Their 99th percentile is to stay below 20 ms, and nobody may call an election.

#[expect(dead_code, reason = "a bench needs no client")]
#[path = "../../tests/end_to_end/binaries.rs"]
mod binaries;
#[expect(dead_code, reason = "made for the end-to-end tests, which need more of it")]
#[path = "../../tests/end_to_end/cluster.rs"]
mod cluster;
mod grpc;
mod json;
mod load;
mod messages;
mod puts;

use std::time::{Duration, Instant};

use cluster::Cluster;
use grpc::Pace;
use puts::Measured;

/// What the 99th percentile of a small put may be.
const PUT_MAX: Duration = Duration::from_millis(20);
/// How fast the slow reader takes its answer.
const SLOW: Pace = Pace { bytes_per_second: 100 << 20 };

fn main() {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (members, keys) = (number("MEMBERS", 3), number("KEYS", 1_000_000));
    let cluster = Cluster::start("bounded-step", members);
    let bench = Bench { leader: cluster.wait_for_leader(), cluster, keys };
    println!("{members} members, {keys} keys of 32 + 256 bytes; small puts meanwhile, in ms");
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "case", "took", "puts", "median", "99th", "longest", "elections"
    );
    bench.run();
}

struct Bench {
    cluster: Cluster,
    leader: usize,
    keys: usize,
}

impl Bench {
    fn run(&self) {
        self.load();
        self.case("nothing else", || std::thread::sleep(Duration::from_secs(2)));
        self.case("count of all keys", || {
            let bytes = self.ask("Range", &messages::range(true), Pace::FAST);
            assert!(bytes < 100, "a count is a small answer");
        });
        let (range, read) = (messages::range(false), messages::reading_txn());
        let delete = |previous| messages::deleting_txn(previous);
        self.case("range of all keys, read slowly", || self.ask_all("Range", &range, SLOW));
        self.case("range of all keys, as JSON", || self.ask_json());
        self.case("transaction that reads all keys", || self.ask_all("Txn", &read, Pace::FAST));
        self.checkpoint();
        self.case("transaction that deletes all keys", || {
            let bytes = self.ask("Txn", &delete(false), Pace::FAST);
            assert!(bytes < 100, "how many were deleted is a small answer");
        });
        self.load();
        self.case("the same, with the deleted in the answer", || {
            self.ask_all("Txn", &delete(true), Pace::FAST);
        });
    }

    fn load(&self) {
        let start = Instant::now();
        let leader = &self.cluster.members[self.leader].client.address;
        load::all(leader, self.keys);
        load::wait_until_quiet(&self.cluster);
        println!("{:<44} {:>7.1}s", "(loading all keys)", start.elapsed().as_secs_f64());
    }

    /// Asks the leader; how many bytes it answers.
    fn ask(&self, method: &str, message: &[u8], pace: Pace) -> usize {
        grpc::call(&self.cluster.members[self.leader].client.address, method, message, pace)
    }

    fn ask_all(&self, method: &str, message: &[u8], pace: Pace) {
        let bytes = self.ask(method, message, pace);
        assert!(bytes >= self.keys * 288, "{bytes} bytes cannot hold all keys and values");
    }

    fn ask_json(&self) {
        let leader = &self.cluster.members[self.leader].client.address;
        let bytes = json::range_of_all(leader);
        assert!(bytes >= self.keys * 384, "{bytes} bytes cannot hold all keys and values");
    }

    /// The log grows until a checkpoint is due; the case is what every member then does.
    fn checkpoint(&self) {
        let leader = &self.cluster.members[self.leader].client.address;
        let terms = self.terms();
        let measured = puts::during(&self.cluster, self.leader, |recording| {
            load::log_until(leader, || load::takes_checkpoint(&self.cluster));
            recording.start();
            load::wait_for_checkpoints(&self.cluster);
        });
        report("checkpoint", &measured, self.terms() - terms);
        load::wait_until_quiet(&self.cluster);
    }

    fn case(&self, name: &str, work: impl FnOnce()) {
        let terms = self.terms();
        let measured = puts::during(&self.cluster, self.leader, |recording| {
            recording.start();
            work();
        });
        report(name, &measured, self.terms() - terms);
        load::wait_until_quiet(&self.cluster);
    }

    /// The newest term of any member: every election begins one.
    fn terms(&self) -> u64 {
        let terms = self.cluster.members.iter().map(|member| json::term(&member.client.address));
        terms.max().expect("a cluster has members")
    }
}

fn report(name: &str, measured: &Measured, elections: u64) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, high) = (measured.at(0.5), measured.at(0.99));
    let kept = measured.count() > 0 && high <= PUT_MAX && elections == 0;
    println!(
        "{name:<44} {:>7.1}s {:>8} {:>8.2} {:>8.2} {:>8.2} {elections:>10}{}",
        measured.took.as_secs_f64(),
        measured.count(),
        ms(median),
        ms(high),
        ms(measured.at(1.0)),
        if kept { "" } else { "  MISSED" }
    );
}
