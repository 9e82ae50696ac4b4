//! Members and clients that find each other by DNS: a real name server, in a network of its own
//! where it is the system's.

use std::fs;
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::binaries;
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
/// `ending` is `-ssl` if members and clients are behind TLS.
fn run(room: &[&str], directory: &Directory, ending: &str, script: &str) -> Output {
    let output = Command::new("unshare")
        .args(room)
        .args(["sh", "-c", &format!("{PREPARE}{script}")])
        .current_dir(directory.path())
        .env("QUORRA", binaries::quorra())
        .env("QUORRACTL", binaries::quorractl())
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

/// Forms three members, which are given these flags too, and asks them.
const FORM: &str = r#"
for i in 1 2 3; do start $i --discovery-srv example.test $FLAGS; done
start 4 --discovery-srv example.test --proxy on $FLAGS
ask() { # NUMBER PATH ARGUMENT..
  i=$1 path=$2; shift 2
  curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors --max-time 60 "$@" \
    "$SCHEME://m$i.example.test:2379$path"
}
for i in 1 2 3 4; do ask $i /health >/dev/null; done
ask 1 /v2/keys/formed -XPUT -d value=x >/dev/null
ask 3 "/v2/keys/formed?quorum=true"
ask 4 /v2/members
"#;

/// Finds the members as a client.
const CONTROL: &str = r#"
ETCDCTL_API=3 "$QUORRACTL" --discovery-srv example.test member list
export ETCDCTL_API=2
"$QUORRACTL" --insecure-discovery --discovery-srv example.test member list
"$QUORRACTL" --discovery-srv example.test member list && exit 1
"$QUORRACTL" --discovery-srv nowhere.test member list && exit 1
true
"#;

#[test]
fn three_members_form_by_service_records() {
    let Some(room) = room() else { return };
    let directory = Directory::new("dns");
    let output = run(room, &directory, "", &format!("FLAGS=\n{FORM}{CONTROL}"));
    let said = formed(&output, "http");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("ignoring discovered insecure endpoint"), "{errors}");
    let lookup = "dns lookup errors: lookup _etcd-client-ssl._tcp.nowhere.test on 127.0.0.1:53";
    assert!(errors.contains(lookup), "{errors}");
    for i in 1..=3 {
        assert!(said.contains(&format!("name=m{i} peerURLs=http://m{i}.")), "{said}");
        assert!(said.contains(&format!(", started, m{i}, http://m{i}.")), "{said}");
    }
}

/// What [`FORM`] said, once it was looked at.
fn formed(output: &Output, scheme: &str) -> String {
    assert!(output.status.success(), "the script fails");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(r#""value":"x""#), "{said}");
    for i in 1..=3 {
        let peer = format!(r#""peerURLs":["{scheme}://m{i}.example.test:2380"]"#);
        assert!(said.contains(&peer), "{said}");
    }
    said
}

/// Makes an authority, and a certificate for these hosts, as `ca.pem`, `own.pem` and `own.key`.
fn certify(directory: &Directory, hosts: &[&str]) {
    let write = |name: &str, text: String| {
        fs::write(directory.path().join(name), text).expect("the test's directory takes files");
    };
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let key = KeyPair::generate().expect("the system has randomness");
    write("ca.pem", authority.self_signed(&key).expect("good parameters").pem());
    let issuer = Issuer::new(authority, key);
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_string()).collect();
    let own = CertificateParams::new(hosts).expect("good names");
    let key = KeyPair::generate().expect("the system has randomness");
    write("own.pem", own.signed_by(&key, &issuer).expect("good parameters").pem());
    write("own.key", key.serialize_pem());
}

#[test]
fn three_members_form_by_service_records_over_tls() {
    let Some(room) = room() else { return };
    let directory = Directory::new("dns-tls");
    let names = ["m1", "m2", "m3", "m4"].map(|name| format!("{name}.example.test"));
    let mut hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    // Where members dial from.
    hosts.push("127.0.0.1");
    certify(&directory, &hosts);
    let flags = "export CURL_CA_BUNDLE=ca.pem SSL_CERT_FILE=ca.pem\n\
                 own='--cert-file own.pem --key-file own.key'\n\
                 peer='--peer-cert-file own.pem --peer-key-file own.key'\n\
                 trust='--peer-trusted-ca-file ca.pem --peer-client-cert-auth'\n\
                 FLAGS=\"$own $peer $trust\"\n";
    formed(&run(room, &directory, "-ssl", &format!("{flags}{FORM}")), "https");
}

#[test]
fn members_found_by_dns_must_have_the_domains_name_if_nobody_says_whom_to_trust() {
    let Some(room) = room() else { return };
    let script = r#"
export CURL_CA_BUNDLE=ca.pem SSL_CERT_FILE=ca.pem
FLAGS="--auto-tls --peer-cert-file own.pem --peer-key-file own.key"
for i in 1 2 3; do start $i --discovery-srv example.test $FLAGS; done
for i in 1 2 3; do
  curl --silent --insecure --retry 60 --retry-delay 1 --retry-connrefused --max-time 60 \
    https://m$i.example.test:2379/version >/dev/null
done
"#;
    let healthy = "for attempt in $(seq 100); do\n\
                   curl --silent --insecure --fail https://m1.example.test:2379/health && exit 0\n\
                   sleep 0.1\ndone; exit 1\n";
    let stranger = "for attempt in $(seq 100); do\n\
                    ! grep -q 'not valid for name' m1.log m2.log m3.log || exit 0\n\
                    sleep 0.1\ndone; exit 1\n";
    for (test, host, outcome) in
        [("dns-domain", "example.test", healthy), ("dns-host", "m1.example.test", stranger)]
    {
        let directory = Directory::new(test);
        certify(&directory, &[host]);
        let output = run(room, &directory, "-ssl", &format!("{script}{outcome}"));
        assert!(output.status.success(), "{host}: the script fails");
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
