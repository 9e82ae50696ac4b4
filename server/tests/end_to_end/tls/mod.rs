//! TLS between members and with clients: who gets in, who does not, and what may change meanwhile.

mod authority;
mod refusals;
mod storm;
mod swap;
mod tools;

use std::path::{Path, PathBuf};

use quorra::client::{self, Answer, ClientError, Request};
use quorra::tls::ClientTls;
use quorra::urls::{Scheme, Url};

use crate::cluster::{Cluster, Member, REQUEST_TIMEOUT, wait_for};
use authority::{Authority, LOCAL, Pair, Subject, client, replace};

/// Three members that demand certificates of everybody, and one client that has one.
pub(crate) struct Fortress {
    pub(crate) cluster: Cluster,
    pub(crate) directory: PathBuf,
    pub(crate) authority: Authority,
    /// What the authority has revoked.
    pub(crate) revoked: PathBuf,
    pub(crate) ca: PathBuf,
    pub(crate) tls: ClientTls,
}

/// The serial number that the fortress's authority has revoked.
const REVOKED: u64 = 13;

impl Fortress {
    /// A cluster that was never started.
    pub(crate) fn new(test: &str) -> Self {
        let mut cluster = Cluster::secured(test, 3);
        let directory = cluster.path().to_path_buf();
        let authority = Authority::new("castellan");
        let (ca, revoked) = (directory.join("ca.pem"), directory.join("revoked.pem"));
        replace(&ca, authority.pem());
        replace(&revoked, &authority.revoke(&[REVOKED]));
        let own = Pair::at(&directory, "client");
        authority.issue(&Subject { common_name: "client", ..LOCAL }, &own);
        let tls = client(&ca, Some(&own));
        for (serial, member) in (100..).zip(&mut cluster.members) {
            let pair = Pair::at(&directory, &member.name);
            authority.issue(&Subject { common_name: "member", serial, ..LOCAL }, &pair);
            member.add_flags(&flags("", &pair, &ca, &revoked));
            member.add_flags(&flags("peer-", &pair, &ca, &revoked));
            member.tls = Some(tls.clone());
        }
        Self { cluster, directory, authority, revoked, ca, tls }
    }

    /// A started, healthy cluster.
    pub(crate) fn start(test: &str) -> Self {
        let mut fortress = Self::new(test);
        fortress.cluster.members.iter_mut().for_each(Member::start);
        fortress.cluster.members.iter().for_each(Member::wait_until_healthy);
        fortress
    }
}

/// The flags of one side.
pub(crate) fn flags(prefix: &str, pair: &Pair, ca: &Path, revoked: &Path) -> Vec<String> {
    let mut flags = pair.flags(prefix);
    let list = if prefix.is_empty() { "client-crl-file" } else { "peer-crl-file" };
    flags.push(format!("--{prefix}client-cert-auth"));
    flags.push(format!("--{prefix}trusted-ca-file={}", ca.display()));
    flags.push(format!("--{list}={}", revoked.display()));
    flags
}

/// A request on a connection of its own.
pub(crate) fn get(tls: &ClientTls, url: &Url, path: &str) -> Result<Answer, ClientError> {
    let request = Request { method: "GET", path, content_type: "", body: b"" };
    client::exchange_by(Some(tls), url, &request, REQUEST_TIMEOUT)
}

/// Writes a key.
pub(crate) fn put(tls: &ClientTls, url: &Url, key: &str) -> Result<Answer, ClientError> {
    let request = Request {
        method: "PUT",
        path: &format!("/v2/keys/{key}"),
        content_type: "application/x-www-form-urlencoded",
        body: b"value=1",
    };
    client::exchange_by(Some(tls), url, &request, REQUEST_TIMEOUT)
}

#[test]
fn three_members_with_certificates_survive_the_loss_of_their_leader() {
    let mut fortress = Fortress::start("tls-loss");
    let leader = fortress.cluster.wait_for_leader();
    let url = fortress.cluster.members[leader].client.clone();
    assert_eq!(put(&fortress.tls, &url, "a").expect("an answer").status, 201);
    fortress.cluster.members[leader].kill();
    let next = fortress.cluster.wait_for_leader();
    let url = fortress.cluster.members[next].client.clone();
    let answer = get(&fortress.tls, &url, "/v2/keys/a").expect("an answer");
    assert!(answer.text().contains("\"value\":\"1\""), "{}", answer.text());
    fortress.cluster.members[leader].start();
    fortress.cluster.members[leader].wait_until_healthy();
}

#[test]
fn members_that_sign_their_own_certificates_form_a_cluster() {
    let mut cluster = Cluster::secured("tls-auto", 3);
    let directory = cluster.path().to_path_buf();
    for member in &mut cluster.members {
        member.add_flags(&["--auto-tls".into(), "--peer-auto-tls".into()]);
        let certificate = directory.join(&member.name).join("fixtures/client/cert.pem");
        member.start();
        wait_for("a certificate", || certificate.exists().then_some(()));
        // Whoever has the file may trust it.
        wait_for("all of it", || {
            let tls = quorra::tls::ClientTlsOptions {
                trusted_ca_file: Some(certificate.clone()),
                ..Default::default()
            };
            member.tls = ClientTls::new(tls).ok();
            member.tls.is_some().then_some(())
        });
    }
    cluster.members.iter().for_each(Member::wait_until_healthy);
    let member = &mut cluster.members[0];
    let certificate = directory.join(&member.name).join("fixtures/client/cert.pem");
    let before = std::fs::read(&certificate).expect("the certificate");
    member.kill();
    member.start();
    member.wait_until_healthy();
    assert_eq!(std::fs::read(&certificate).expect("the certificate"), before, "it is kept");
}

#[test]
fn plain_text_and_tls_tcp_and_unix_sockets_are_served_side_by_side() {
    let mut fortress = Fortress::new("tls-mixed");
    let directory = fortress.directory.clone();
    let member = &mut fortress.cluster.members[0];
    let secure = member.client.clone();
    let plain = Url { scheme: Scheme::Http, ..secure.clone() };
    let socket =
        |scheme, name: &str| Url { scheme, address: directory.join(name).display().to_string() };
    let (unix, unixs) = (socket(Scheme::Unix, "plain.sock"), socket(Scheme::Unixs, "tls.sock"));
    let all = [secure, plain, unix, unixs];
    let peer = &member.peer;
    let list = format!("--listen-client-urls={}", quorra::urls::join(&all));
    let alone = format!("--initial-cluster={}={peer}", member.name);
    member.add_flags(&[list, alone]);
    for _ in 0..2 {
        member.start();
        member.wait_until_healthy();
        for url in &all {
            let answer = get(&fortress.tls, url, "/health").expect("an answer");
            assert_eq!(answer.text(), "{\"health\":\"true\"}", "{url}");
        }
        // What is left of the sockets does not keep the next start from listening there.
        member.kill();
    }
}

#[test]
fn the_common_name_of_a_certificate_is_a_user() {
    let mut fortress = Fortress::new("tls-user");
    let root = Pair::at(&fortress.directory, "root");
    fortress.authority.issue(&Subject { common_name: "root", ..LOCAL }, &root);
    let root = client(&fortress.ca, Some(&root));
    let member = &mut fortress.cluster.members[0];
    member.add_flags(&[format!("--initial-cluster={}={}", member.name, member.peer)]);
    member.start();
    member.wait_until_healthy();
    let put = |path: &str, body: &[u8]| {
        let request = Request { method: "PUT", path, content_type: "application/json", body };
        let answer =
            client::exchange_by(Some(&fortress.tls), &member.client, &request, REQUEST_TIMEOUT);
        answer.expect("an answer").status
    };
    assert_eq!(put("/v2/auth/users/root", br#"{"user":"root","password":"secret"}"#), 201);
    assert_eq!(put("/v2/auth/enable", b""), 200);
    let users = |tls| get(tls, &member.client, "/v2/auth/users").expect("an answer").status;
    assert_eq!(users(&fortress.tls), 401, "there is no user of that name");
    assert_eq!(users(&root), 200, "a certificate is enough");
}

#[test]
fn a_proxy_stands_before_members_that_demand_certificates() {
    let fortress = Fortress::start("tls-proxy");
    let members = &fortress.cluster.members;
    let list: Vec<_> =
        members.iter().map(|member| format!("{}={}", member.name, member.peer)).collect();
    let urls = crate::cluster::free_urls(2);
    let secure = Url { scheme: Scheme::Https, ..urls[0].clone() };
    let mut proxy = Member::new(&fortress.directory, "proxy", &secure, &urls[1]).with(&[
        "--proxy",
        "on",
        "--initial-cluster",
        &list.join(","),
    ]);
    let pair = Pair::at(&fortress.directory, "proxy");
    fortress.authority.issue(&Subject { common_name: "proxy", ..LOCAL }, &pair);
    proxy.add_flags(&flags("", &pair, &fortress.ca, &fortress.revoked));
    proxy.start();
    wait_for("the proxy to pass a write on", || {
        let answer = put(&fortress.tls, &secure, "through").ok()?;
        (answer.status == 201).then_some(())
    });
    let answer = get(&fortress.tls, &members[0].client, "/v2/keys/through?quorum=true");
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(get(&client(&fortress.ca, None), &secure, "/v2/keys/").is_err(), "it demands one too");
}
