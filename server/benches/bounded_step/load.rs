//! Keys for the cases to work on, and the checkpoints that writing them brings about.

use std::fmt::Write;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cluster::{Cluster, wait_for};
use crate::json::{self, Connection};

const CONNECTIONS: usize = 8;
/// Puts in one transaction.
const PUTS: usize = 100;
const VALUE: [u8; 256] = [b'v'; 256];

/// Puts all keys.
pub(crate) fn all(address: &str, keys: usize) {
    let next = AtomicUsize::new(0);
    write(address, |connection| {
        let first = next.fetch_add(PUTS, Ordering::Relaxed);
        let is_more = first < keys;
        if is_more {
            connection.ask("/v3/kv/txn", &transaction(first..(first + PUTS).min(keys)));
        }
        is_more
    });
}

/// Lets the log grow until the condition holds. A checkpoint is due when the log has outgrown the
/// state, so the state must not grow with it: one key of the v2 store, which keeps no history, is
/// set again and again.
pub(crate) fn log_until(address: &str, condition: impl Fn() -> bool + Sync) {
    let value = "v".repeat(64 << 10);
    write(address, |connection| {
        connection.set("filler", &value);
        !condition()
    });
}

fn write(address: &str, goes_on: impl Fn(&mut Connection) -> bool + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(address);
                while goes_on(&mut connection) {}
            });
        }
    });
}

fn transaction(keys: std::ops::Range<usize>) -> String {
    let value = json::bytes(&VALUE);
    let mut body = String::from("{\"success\":[");
    let first = keys.start;
    for key in keys {
        let comma = if key == first { "" } else { "," };
        let key = json::bytes(format!("bench/{key:026}").as_bytes());
        write!(body, "{comma}{{\"requestPut\":{{\"key\":\"{key}\",\"value\":\"{value}\"}}}}")
            .expect("a string takes any text");
    }
    body + "]}"
}

/// Whether some member is writing a checkpoint just now: it has a temporary file.
pub(crate) fn takes_checkpoint(cluster: &Cluster) -> bool {
    cluster.members.iter().any(|member| {
        let files = fs::read_dir(member.data_dir.join("snap")).into_iter().flatten().flatten();
        let mut names = files.map(|file| file.file_name());
        names.any(|name| name.to_string_lossy().ends_with(".tmp"))
    })
}

/// Waits until nobody writes a checkpoint any more.
pub(crate) fn wait_for_checkpoints(cluster: &Cluster) {
    wait_for("checkpoints to be complete", || (!takes_checkpoint(cluster)).then_some(()));
}

/// Waits until every member has applied the same, and nobody writes a checkpoint.
pub(crate) fn wait_until_quiet(cluster: &Cluster) {
    wait_for("the members to be even", || {
        let applied = |member: &crate::cluster::Member| json::applied(&member.client.address);
        let (first, others) = cluster.members.split_first()?;
        let index = applied(first);
        others.iter().all(|other| applied(other) == index).then_some(())
    });
    wait_for_checkpoints(cluster);
    // What the last case left to be dropped or removed is not the next one's.
    std::thread::sleep(Duration::from_millis(200));
}
