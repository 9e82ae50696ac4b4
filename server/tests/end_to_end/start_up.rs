//! Starts that fail say why in one line; starts that succeed keep what they find; stops are clean.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::binaries;
use crate::cluster::{Cluster, Directory, Member, free_urls, wait_for};

/// The exit code and stderr of a start that must fail by itself.
fn failed_start(directory: &Directory, flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binaries::quorra())
        .current_dir(directory.path())
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .expect("the binary under test starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn flags_that_make_no_sense_stop_the_start_with_etcds_words() {
    let directory = Directory::new("flags");
    let rows: [(&[&str], i32, &str); 9] = [
        (&["--nonsense"], 2, "'--nonsense'"),
        (&["--heartbeat-interval", "abc"], 2, "parse error"),
        (
            &["--election-timeout", "400"],
            1,
            "error verifying flags, --election-timeout[400ms] should be at least as 5 times as \
             --heartbeat-interval[100ms]. See 'quorra --help'.",
        ),
        (
            &["--listen-peer-urls", "http://example.com:2380"],
            1,
            "expected IP in URL for binding (http://example.com:2380)",
        ),
        (
            &["--name", "x", "--initial-cluster", "y=http://localhost:2380"],
            1,
            "couldn't find local name \\\"x\\\" in the initial cluster configuration",
        ),
        (
            &["--initial-cluster", "default=http://127.0.0.1:1"],
            1,
            "--initial-cluster has default=http://127.0.0.1:1 but missing from \
             --initial-advertise-peer-urls=http://localhost:2380",
        ),
        (
            &["--initial-cluster", "default=http://localhost:2380,b=http://localhost:2380"],
            1,
            "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate \
             url",
        ),
        (
            &["--initial-cluster-state", "existing"],
            1,
            "cannot fetch cluster info from peer urls: could not retrieve cluster information \
             from the given URLs",
        ),
        (&["leftover"], 1, "'leftover' is not a valid flag"),
    ];
    for (flags, code, reason) in rows {
        let (found, stderr) = failed_start(&directory, flags);
        assert_eq!(found, Some(code), "{flags:?}: {stderr}");
        assert!(stderr.contains(reason), "{flags:?}: {stderr}");
        let log = fs::read_dir(directory.path().join("default.quorra/wal"));
        let empty = log.map_or(true, |mut files| files.next().is_none());
        assert!(empty, "{flags:?} left a log");
    }
}

#[test]
fn a_port_in_use_and_etcds_own_data_stop_the_start() {
    let directory = Directory::new("in-use");
    let urls = free_urls(2);
    let taken = TcpListener::bind(&urls[0].address).expect("the port was free just now");
    let mut member = Member::new(directory.path(), "a", &urls[0], &urls[1]);
    member.start();
    assert_eq!(member.wait_for_end().code(), Some(1));
    assert!(member.log().contains("bind: Address already in use"), "{}", member.log());
    drop(taken);

    let mut member = Member::new(directory.path(), "b", &urls[0], &urls[1]);
    fs::create_dir_all(member.data_dir.join("member/wal")).expect("the directory takes one");
    member.start();
    assert_eq!(member.wait_for_end().code(), Some(1));
    assert!(member.log().contains("etcd"), "{}", member.log());
}

#[test]
fn a_member_with_data_ignores_its_initial_flags_and_keeps_its_identity() {
    let directory = Directory::new("restart");
    let urls = free_urls(2);
    let mut member = Member::new(directory.path(), "default", &urls[0], &urls[1])
        .with(&["--initial-cluster", &format!("default={}", urls[1])]);
    member.start();
    member.wait_until_healthy();
    Api::V3.put(&member, "k/1", "v").expect("a healthy member writes");
    let members = member.json("/v2/members");
    assert_eq!(member.terminate().code(), Some(0));
    let mut member = member.with(&["--initial-cluster", "nonsense", "--initial-cluster-token=x"]);
    member.start();
    member.wait_until_healthy();
    assert_eq!(member.json("/v2/members"), members);
    let pairs = Api::V3.local_pairs(&member, "k/").expect("a healthy member reads");
    assert_eq!(pairs.get("k/1").map(String::as_str), Some("v"));
}

#[test]
fn a_member_whose_data_is_gone_is_not_bootstrapped_again() {
    let mut cluster = Cluster::start("wiped", 3);
    let member = &mut cluster.members[2];
    member.kill();
    fs::remove_dir_all(&member.data_dir).expect("the member is dead");
    member.start();
    assert_eq!(member.wait_for_end().code(), Some(1));
    assert!(member.log().contains("has already been bootstrapped"), "{}", member.log());
}

#[test]
fn a_member_of_another_cluster_is_refused_with_a_reason_in_both_logs() {
    let mut cluster = Cluster::new("foreign", 3);
    let stranger = cluster.members.pop().expect("there are three");
    let mut stranger = stranger.with(&["--initial-cluster-token", "another"]);
    cluster.members.iter_mut().for_each(Member::start);
    cluster.members.iter().for_each(Member::wait_until_healthy);
    stranger.start();
    for member in [&stranger, &cluster.members[0]] {
        wait_for("the refusal in the log", || {
            member.log().to_lowercase().contains("cluster id mismatch").then_some(())
        });
    }
    assert!(!stranger.is_healthy(), "a stranger must not find a leader");
}

#[test]
fn sigterm_hands_leadership_over_and_exits_with_zero() {
    let mut cluster = Cluster::start("sigterm", 3);
    let leader = cluster.wait_for_leader();
    let start = Instant::now();
    assert_eq!(cluster.members[leader].terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "stopping took {:?}", start.elapsed());
    let survivor = &cluster.members[(leader + 1) % 3];
    Api::V2.put(survivor, "after", "x").expect("the survivors have a leader already");
}

#[test]
fn a_config_file_with_a_mistake_stops_the_start_and_leaves_nothing() {
    let directory = Directory::new("config-mistakes");
    let (path, data_dir) = (directory.path().join("member.yml"), directory.path().join("data"));
    let rows = [
        ("nonsense: 1", "unknown key \"nonsense\""),
        ("name: b", "duplicate mapping key `name`"),
        ("heartbeat-interval: soon", "invalid value \"soon\" for heartbeat-interval"),
    ];
    for (mistake, reason) in rows {
        let text = format!("name: a\ndata-dir: {}\n{mistake}\n", data_dir.display());
        fs::write(&path, text).expect("the test's directory takes files");
        let file = path.display().to_string();
        let (code, stderr) = failed_start(&directory, &["--config-file", &file]);
        assert_eq!(code, Some(1), "{mistake}: {stderr}");
        let told = stderr.contains(&file) && stderr.contains(reason) && stderr.contains("line 3");
        assert!(told, "{mistake}: {stderr}");
        assert!(!data_dir.exists() && !directory.path().join("default.quorra").exists());
    }
}
