//! Members and clients that find each other by DNS: a real name server, in a network of its own
//! where it is the system's.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::cluster::Directory;

/// Makes a room with its own loopback, its own `/etc/resolv.conf` and its own processes, which all
/// go with it; two ways, for root and for others.
const ROOMS: [&[&str]; 2] = [
    &["--net", "--mount", "--pid", "--fork", "--kill-child"],
    &["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"],
];

/// What every script begins with: a name server for `example.test`, with three members in it.
const PREPARE: &str = r#"
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up
echo "nameserver 127.0.0.1" > resolv.conf
mount --bind resolv.conf /etc/resolv.conf
servers=; clients=; hosts=
for i in 4 5; do hosts="$hosts --host-record=m$i.example.test,127.0.0.1$i"; done
for i in 1 2 3; do
  hosts="$hosts --host-record=m$i.example.test,127.0.0.1$i"
  servers="$servers --srv-host=_etcd-server$ENDING._tcp.example.test,m$i.example.test,2380"
  clients="$clients --srv-host=_etcd-client$ENDING._tcp.example.test,m$i.example.test,2379"
done
dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= \
  --listen-address=127.0.0.1 --bind-interfaces $hosts $servers $clients 2>dnsmasq.log &
for attempt in $(seq 100); do
  ! getent hosts m1.example.test >/dev/null || break
  sleep 0.1
done
start() { # NUMBER FLAG..
  i=$1; shift
  "$QUORRA" --name m$i --data-dir m$i --listen-peer-urls $SCHEME://127.0.0.1$i:2380 \
    --listen-client-urls $SCHEME://127.0.0.1$i:2379 \
    --initial-advertise-peer-urls $SCHEME://m$i.example.test:2380 \
    --advertise-client-urls $SCHEME://m$i.example.test:2379 "$@" 2>m$i.log &
}
"#;

/// Whether rooms can be made here, and how; it says why not otherwise.
fn room() -> Option<&'static [&'static str]> {
    let has = |program: &str| {
        let script = format!("PATH=$PATH:/usr/sbin:/sbin; command -v {program}");
        let found = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    for program in ["dnsmasq", "ip", "unshare", "curl"] {
        if !has(program) {
            eprintln!(
                "skipped: {program} is not installed (dnsmasq-base, iproute2, util-linux, curl)"
            );
            return None;
        }
    }
    let permitted = |flags: &&&[&str]| {
        let tried =
            Command::new("unshare").args(**flags).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = ROOMS.iter().find(permitted).copied();
    if found.is_none() {
        eprintln!("skipped: this system permits no namespaces");
    }
    found
}

/// Runs a script behind [`PREPARE`] in a room, and shows what it and its members said if it fails.
fn run(room: &[&str], directory: &Directory, ending: &str, script: &str) -> Output {
    let output = Command::new("unshare")
        .args(room)
        .args(["sh", "-c", &format!("{PREPARE}{script}")])
        .current_dir(directory.path())
        .env("QUORRA", env!("CARGO_BIN_EXE_quorra"))
        .env("QUORRACTL", env!("CARGO_BIN_EXE_quorractl"))
        .env("ENDING", ending)
        .env("SCHEME", if ending.is_empty() { "http" } else { "https" })
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    if !output.status.success() {
        eprintln!("--- {}", String::from_utf8_lossy(&output.stderr));
        for log in ["m1.log", "m2.log", "m3.log", "m4.log", "dnsmasq.log"] {
            let text = fs::read_to_string(directory.path().join(log)).unwrap_or_default();
            eprintln!("--- {log}:\n{text}");
        }
    }
    output
}

const FORM: &str = r#"
for i in 1 2 3; do start $i --discovery-srv example.test; done
start 4 --discovery-srv example.test --proxy on
for i in 1 2 3 4; do
  curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors --max-time 60 \
    http://m$i.example.test:2379/health >/dev/null
done
curl --silent --fail http://m1.example.test:2379/v2/keys/formed -XPUT -d value=x >/dev/null
curl --silent --fail "http://m3.example.test:2379/v2/keys/formed?quorum=true"
curl --silent --fail http://m4.example.test:2379/v2/members
"$QUORRACTL" --insecure-discovery --discovery-srv example.test member list
! "$QUORRACTL" --discovery-srv example.test member list
! "$QUORRACTL" --discovery-srv nowhere.test member list
"#;

#[test]
fn three_members_form_by_service_records() {
    let Some(room) = room() else { return };
    let directory = Directory::new("dns");
    let output = run(room, &directory, "", FORM);
    assert!(output.status.success(), "the script fails");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(r#""value":"x""#), "{said}");
    for i in 1..=3 {
        assert!(
            said.contains(&format!(r#""peerURLs":["http://m{i}.example.test:2380"]"#)),
            "{said}"
        );
    }
}

#[test]
fn a_domain_without_this_member_is_refused_before_anything_is_written() {
    let Some(room) = room() else { return };
    let directory = Directory::new("dns-stranger");
    let script = r#"
start 4 --discovery-srv example.test; wait $! && exit 1
grep -q 'cannot find local etcd member \\"m4\\" in SRV records' m4.log
start 5 --discovery-srv nowhere.test; wait $! && exit 1
grep -q 'lookup _etcd-server-ssl._tcp.nowhere.test on 127.0.0.1:53' m5.log
grep -q 'lookup _etcd-server._tcp.nowhere.test on 127.0.0.1:53' m5.log
test ! -e m4/wal && test ! -e m5/wal
"#;
    let output = run(room, &directory, "", script);
    assert!(output.status.success(), "the script fails");
}
