//! Whoever has no good certificate gets nothing, and both sides say why.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::*;

/// Certificates that are no good, and what a member says of each.
fn bad_certificates(fortress: &Fortress) -> Vec<(&'static str, Option<Pair>, &'static str)> {
    let stranger = Authority::new("stranger");
    let make = |name: &str, authority: &Authority, subject: &Subject| {
        let pair = Pair::at(&fortress.directory, name);
        authority.issue(subject, &pair);
        Some(pair)
    };
    let own = &fortress.authority;
    vec![
        ("none", None, "didn't provide a certificate"),
        ("a stranger's", make("stranger", &stranger, &LOCAL), "unknown authority"),
        ("expired", make("expired", own, &Subject { expired: true, ..LOCAL }), "expired"),
        ("revoked", make("revoked", own, &Subject { serial: REVOKED, ..LOCAL }), "revoked"),
    ]
}

#[test]
fn clients_and_peers_without_a_good_certificate_get_nothing() {
    let fortress = Fortress::start("tls-refusals");
    let member = &fortress.cluster.members[0];
    for (what, pair, reason) in bad_certificates(&fortress) {
        let tls = client(&fortress.ca, pair.as_ref());
        for (url, path) in [(&member.client, "/v2/keys/"), (&member.peer, "/members")] {
            let before = member.log().len();
            assert!(get(&fortress.tls, url, path).is_ok(), "a good certificate is taken at {url}");
            let refused = get(&tls, url, path);
            assert!(refused.is_err(), "{what} at {url}: {refused:?}");
            wait_for(&format!("{what} to be told in the log of {url}"), || {
                let log = member.log();
                let new = log[before..].to_lowercase();
                (new.contains("rejected connection") && new.contains(&reason.to_lowercase()))
                    .then_some(())
            });
        }
    }
}

#[test]
fn a_member_with_a_strangers_certificate_is_refused_with_the_reason_in_both_logs() {
    let mut fortress = Fortress::new("tls-stranger");
    let stranger = Authority::new("stranger");
    let pair = Pair::at(&fortress.directory, "stranger");
    stranger.issue(&LOCAL, &pair);
    let third = &mut fortress.cluster.members[2];
    third.add_flags(&pair.flags("peer-"));
    fortress.cluster.members.iter_mut().for_each(Member::start);
    let [first, second, third] = &fortress.cluster.members[..] else { panic!("three members") };
    first.wait_until_healthy();
    second.wait_until_healthy();
    wait_for("the stranger to learn that it is refused", || {
        let log = third.log();
        (log.contains(
            "remote error: tls: unknown certificate authority (the other side does not know our \
             certificate's authority)",
        ) && log.contains(&first.peer.to_string()))
        .then_some(())
    });
    wait_for("the others to say whom they refuse", || {
        let log = first.log();
        (log.contains("rejected connection") && log.contains("unknown authority")).then_some(())
    });
    wait_for("the others to say that they do not know the stranger", || {
        let log = first.log();
        (log.contains("cannot connect to a peer") && log.contains(&third.peer.to_string()))
            .then_some(())
    });
    assert!(!third.is_healthy());
}

#[test]
fn a_member_whose_name_is_not_allowed_hears_so_from_those_who_dial_it() {
    let mut fortress = Fortress::new("tls-dialed");
    let pair = Pair::at(&fortress.directory, "other");
    let other = Subject { common_name: "other", ..LOCAL };
    fortress.authority.issue(&other, &pair);
    let [first, _, third] = &mut fortress.cluster.members[..] else { panic!("three members") };
    first.add_flags(&[format!("--peer-cert-allowed-cn={}", LOCAL.common_name)]);
    third.add_flags(&pair.flags("peer-"));
    first.start();
    third.start();
    wait_for("the dialed member to hear the alert of the one who dials", || {
        let log = third.log();
        (log.contains("rejected connection") && log.contains("remote error: tls: bad certificate"))
            .then_some(())
    });
}

#[test]
fn names_that_are_not_allowed_are_refused() {
    let mut fortress = Fortress::new("tls-names");
    let member = &mut fortress.cluster.members[0];
    let alone = format!("--initial-cluster={}={}", member.name, member.peer);
    member.add_flags(&[
        alone,
        "--client-cert-allowed-hostname=localhost,admin.example".into(),
        "--peer-cert-allowed-cn=member".into(),
    ]);
    member.start();
    member.wait_until_healthy();
    let other = Pair::at(&fortress.directory, "other");
    fortress.authority.issue(&Subject { hosts: &["127.0.0.1"], ..LOCAL }, &other);
    let tls = client(&fortress.ca, Some(&other));
    assert!(get(&tls, &member.client, "/health").is_err(), "it is not valid for localhost");
    assert!(get(&tls, &member.peer, "/members").is_err(), "it is not called member");
    for reason in [
        "it is not valid for localhost or admin.example",
        "the common name \\\"local\\\" is not allowed",
    ] {
        wait_for(reason, || member.log().contains(reason).then_some(()));
    }
    // A peer's certificate counts only where it says that it comes from; a client's does anywhere.
    let far = Pair::at(&fortress.directory, "far");
    let subject = Subject { common_name: "member", hosts: &["192.0.2.1"], ..LOCAL };
    fortress.authority.issue(&subject, &far);
    assert!(get(&client(&fortress.ca, Some(&far)), &member.peer, "/members").is_err());
    let reason = "certificate is valid for 192.0.2.1, not 127.0.0.1";
    wait_for(reason, || member.log().contains(reason).then_some(()));
}

#[test]
fn what_is_no_handshake_is_sent_away_and_told() {
    let fortress = Fortress::start("tls-garbage");
    let member = &fortress.cluster.members[0];
    let said = |url: &Url, bytes: &[u8]| {
        let mut stream = TcpStream::connect(&url.address).expect("the member listens");
        stream.set_read_timeout(Some(REQUEST_TIMEOUT)).expect("a time");
        stream.write_all(bytes).expect("the member reads");
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is closed"),
        }
        answer
    };
    let plain = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    for url in [&member.client, &member.peer] {
        assert_eq!(
            String::from_utf8_lossy(&said(url, plain)),
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        );
        said(url, b"\x00\x01garbage");
        said(url, b"\x16\x03\x01\x00\x05hello, this is no hello");
        // A handshake that breaks off.
        let mut stream = TcpStream::connect(&url.address).expect("the member listens");
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").expect("the member reads");
    }
    for reason in [
        "client sent an HTTP request to an HTTPS server",
        "first record does not look like a TLS handshake",
        "tls: received corrupt message",
        "it went before the handshake was over",
    ] {
        wait_for(reason, || (member.log().matches(reason).count() >= 2).then_some(()));
    }
    assert!(member.is_healthy());
}

#[test]
fn tls_on_a_listener_for_plain_text_is_told() {
    let cluster = Cluster::start("tls-on-plain", 1);
    let member = &cluster.members[0];
    let ca = cluster.path().join("ca.pem");
    replace(&ca, Authority::new("castellan").pem());
    for plain in [&member.client, &member.peer] {
        let secure = Url { scheme: Scheme::Https, ..plain.clone() };
        assert!(get(&client(&ca, None), &secure, "/health").is_err());
    }
    let reason = "it speaks TLS where plain text is spoken";
    wait_for(reason, || (member.log().matches(reason).count() >= 2).then_some(()));
}

#[test]
fn a_start_with_certificates_that_are_no_good_says_why_and_leaves_no_member_behind() {
    let mut fortress = Fortress::new("tls-start");
    let directory = fortress.directory.clone();
    let at = |name: &str| directory.join(name).display().to_string();
    fortress.authority.issue(&LOCAL, &Pair::at(&directory, "other"));
    fs::write(directory.join("empty"), "").expect("a file");
    fs::write(directory.join("torn"), &fortress.authority.pem()[..200]).expect("a file");
    let rows = [
        (format!("--cert-file={}", at("absent")), "absent: No such file or directory"),
        (format!("--cert-file={}", at("empty")), "empty: no PEM certificate found in the file"),
        (format!("--cert-file={}", at("torn")), "missing section end marker"),
        (format!("--key-file={}", at("empty")), "empty: no PEM private key found in the file"),
        (format!("--key-file={}", at("other.key")), "private key does not match public key"),
        ("--key-file=".to_string(), "KeyFile and CertFile must both be present[key: , cert: "),
        (format!("--trusted-ca-file={}", at("empty")), "empty: no PEM certificate found"),
        (format!("--client-crl-file={}", at("empty")), "empty: no revocation list found"),
        (format!("--client-crl-file={}", at("ca.pem")), "ca.pem: no revocation list found"),
        (format!("--peer-key-file={}", at("absent")), "absent: No such file or directory"),
        ("--cipher-suites=TLS_RSA_WITH_RC4_128_SHA".into(), "unexpected TLS cipher suite"),
        ("--tls-min-version=TLS1.1".into(), "unexpected TLS version"),
    ];
    let member = &mut fortress.cluster.members[0];
    for (flag, reason) in rows {
        let before = member.log().len();
        member.start_with(std::slice::from_ref(&flag));
        let status = member.wait_for_end();
        assert_eq!(status.code(), Some(1), "{flag}");
        let log = member.log();
        assert!(log[before..].contains(reason), "{flag}: {}", &log[before..]);
        assert!(!member.data_dir.join("wal").exists(), "{flag}: nothing was begun");
    }
}
