//! How fast commands are committed and applied by three members in memory, disks that answer at
//! once included: `cargo bench -p quorra-core --bench commit`.
//!
//! `KEYS=10000` changes the number of commands, each a put of 32 + 256 bytes. All three members
//! run on one thread, so a command's cost is that of the whole cluster.

#[expect(dead_code, reason = "made for the tests of the replica, which need more of it")]
#[path = "../tests/replica/cluster.rs"]
mod cluster;

use std::time::Instant;

use bytes::Bytes;
use cluster::Cluster;
use quorra_core::limits;
use quorra_core::replica::{Input, Request, RequestId};
use quorra_core::store::v3::{Put, Write};

fn main() {
    let commands = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(200_000);
    for batch in [1, 16, 256] {
        commit(commands, batch);
    }
}

fn put(number: u64) -> Request {
    Request::V3Write(Write::Put(Put {
        key: Bytes::from(format!("{:032}", number % 10_000)),
        value: Some(Bytes::from(vec![b'v'; 256])),
        lease: Some(None),
        previous: false,
    }))
}

/// Commits so many commands, `batch` of them in each turn of the leader.
fn commit(commands: u64, batch: u64) {
    let mut cluster = Cluster::new(3);
    cluster.is_checked = false;
    cluster.checkpoint_log_bytes = limits::CHECKPOINT_LOG_BYTES_MIN;
    cluster.start_all();
    let leader = cluster.leader().expect("a started cluster has a leader");
    let turns = commands.div_ceil(batch);
    let start = Instant::now();
    for turn in 0..turns {
        for number in 0..batch {
            let id = RequestId(turn * batch + number);
            cluster.input(leader, Input::Request(id, put(id.0)));
        }
        cluster.input(leader, Input::Flush);
        cluster.wait(|cluster| cluster.replies.len() as u64 == batch);
        let is_fine = |replies: &Vec<_>| matches!(&replies[..], [reply] if is_done(reply));
        assert!(cluster.replies.values().all(is_fine), "each is answered once, with success");
        cluster.replies.clear();
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / (turns * batch) as f64;
    println!("{:<44} {each:>9.2} us each", format!("commit by three members, {batch} in a turn"));
}

fn is_done(reply: &quorra_core::replica::Reply) -> bool {
    reply.outcome.is_ok()
}
