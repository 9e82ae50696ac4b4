//! The real etcdctl against a cluster, where one is installed (`.ci/run` installs it).

use std::process::{Command, Stdio};

use quorra_core::identity::MemberId;

use crate::cluster::Cluster;

/// What etcdctl prints; a failure shows both of its streams.
pub(crate) fn etcdctl(api: &str, endpoints: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("etcdctl")
        .env("ETCDCTL_API", api)
        .arg(format!("--endpoints={endpoints}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("etcdctl was found before");
    let mut stdin = child.stdin.take().expect("it was piped");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("etcdctl reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "etcdctl {arguments:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

pub(crate) fn is_installed() -> bool {
    let version = Command::new("etcdctl").arg("--help").output().is_ok();
    if !version {
        eprintln!("etcdctl is not installed: its part is left out");
    }
    version
}

#[test]
fn etcdctl_finds_a_healthy_cluster_with_etcds_ids_and_one_leader() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start("etcdctl-v2", 3);
    let v2 = |arguments: &[&str]| etcdctl("2", &cluster.endpoints(), arguments, "");
    assert!(v2(&["cluster-health"]).contains("cluster is healthy"));
    let list = v2(&["member", "list"]);
    for member in &cluster.members {
        let id = MemberId::of_bootstrap(&[member.peer.to_string()], "etcd-cluster-1");
        let line = format!(
            "{id}: name={} peerURLs={} clientURLs={}",
            member.name, member.peer, member.client
        );
        assert!(list.contains(&line), "{line} is not in\n{list}");
    }
    assert_eq!(list.matches("isLeader=true").count(), 1, "{list}");
    assert_eq!(v2(&["set", "/message", "Hello"]), "Hello\n");
    assert_eq!(v2(&["get", "/message"]), "Hello\n");
}

#[test]
fn etcdctl_writes_and_reads_v3_through_every_member() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start("etcdctl-v3", 3);
    for member in &cluster.members {
        let endpoint = &member.client.address;
        let v3 = |arguments: &[&str]| etcdctl("3", endpoint, arguments, "");
        assert_eq!(v3(&["put", "key", &member.name]), "OK\n");
        assert_eq!(v3(&["get", "key"]), format!("key\n{}\n", member.name));
        let txn =
            format!("value(\"key\") = \"{}\"\n\nput key then\n\nput key else\n\n", member.name);
        assert!(etcdctl("3", endpoint, &["txn"], &txn).contains("SUCCESS"));
        assert_eq!(v3(&["get", "key", "--print-value-only"]), "then\n");
        assert_eq!(v3(&["del", "key"]), "1\n");
        assert_eq!(v3(&["member", "list"]).lines().count(), 3);
        assert!(v3(&["endpoint", "status", "-w", "table"]).contains(endpoint.as_str()));
    }
    // Its verdict goes to stderr in some releases: the exit code says enough.
    etcdctl("3", &cluster.endpoints(), &["endpoint", "health"], "");
}
