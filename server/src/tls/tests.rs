//! Handshakes in memory: who takes whose certificate.

use std::fs;
use std::path::{Path, PathBuf};

use quorra_net::host::{Listener, Security};
use quorra_net::tls::Filter;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::*;
use crate::data_dir::tests::Scratch;

/// Certificates in a directory of their own. `own` is signed by the authority `ca`; `lone` is its
/// own authority, which is what `openssl req -x509` makes, and `past` is one whose time is over.
struct Wardrobe(Scratch);

impl Wardrobe {
    fn new(test: &str) -> Self {
        let wardrobe = Self(Scratch::new(test));
        fs::create_dir_all(&wardrobe.0.0).expect("a directory of the test's own");
        let authority = |name: &str, from_year| {
            let mut made = CertificateParams::new(["localhost".to_string()]).expect("a name");
            made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            made.distinguished_name.push(DnType::CommonName, name);
            made.not_before = date_time_ymd(from_year, 1, 1);
            made.not_after = date_time_ymd(from_year + 50, 1, 1);
            let key = KeyPair::generate().expect("the system has randomness");
            wardrobe.put(name, &made.self_signed(&key).expect("good parameters").pem(), &key);
            Issuer::new(made, key)
        };
        authority("lone", 2020);
        authority("past", 1960);
        let issuer = authority("ca", 2020);
        let mut made = CertificateParams::new(["localhost".to_string()]).expect("a name");
        made.distinguished_name.push(DnType::CommonName, "own");
        made.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate = made.signed_by(&key, &issuer).expect("good parameters");
        wardrobe.put("own", &certificate.pem(), &key);
        wardrobe
    }

    fn put(&self, name: &str, certificate: &str, key: &KeyPair) {
        fs::write(self.certificate(name), certificate).expect("a file");
        fs::write(self.key(name), key.serialize_pem()).expect("a file");
    }

    fn path(&self) -> &Path {
        &self.0.0
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.key"))
    }

    /// A side that shows one certificate and trusts another.
    fn settings(&self, shows: &str, trusts: &str) -> Settings {
        Settings {
            cert_file: Some(self.certificate(shows)),
            key_file: Some(self.key(shows)),
            trusted_ca_file: Some(self.certificate(trusts)),
            client_cert_auth: true,
            ..Settings::default()
        }
    }
}

/// All that one filter has to say to the other.
fn carry(from: &mut Filter, to: &mut Filter) -> Result<(), String> {
    let mut wire = Vec::new();
    while from.has_output() {
        from.write_to(&mut wire).expect("memory takes everything");
    }
    to.receive(&wire, &mut Vec::new()).map_err(|error| reason(&error))
}

/// What the two sides make of each other: what the host would be told, or who said no, and why.
fn meet(server: &Settings, client: &Settings) -> Result<Security, (&'static str, String)> {
    let server = ServerTls::new(Listener::Peer, server).expect("good files");
    let client = ClientTls::of_peers(client).expect("good files");
    let mut left = Filter::new(client.begin("localhost").expect("a good name"));
    let mut right = server.begin().expect("a good configuration");
    while left.is_handshaking() || right.is_handshaking() {
        carry(&mut left, &mut right).map_err(|reason| ("server", reason))?;
        carry(&mut right, &mut left).map_err(|reason| ("client", reason))?;
    }
    Ok(server.security(&right))
}

fn refusal(server: &Settings, client: &Settings) -> String {
    let (by, reason) = meet(server, client).expect_err("one of them must refuse");
    format!("{by}: {reason}")
}

#[test]
fn who_is_signed_by_a_trusted_authority_is_who_it_says() {
    let wardrobe = Wardrobe::new("tls-signed");
    let own = wardrobe.settings("own", "ca");
    let security = meet(&own, &own).expect("they trust each other");
    let identity = security.identity().expect("it had to show a certificate");
    assert_eq!(
        (&*identity.common_name, &identity.dns_names[..]),
        ("own", &["localhost".into()][..])
    );
    let anonymous = Settings { client_cert_auth: false, ..own.clone() };
    let security = meet(&anonymous, &own).expect("authorities demand a certificate, too");
    assert_eq!(security, Security::Tls(None), "but it names no user");
}

#[test]
fn strangers_are_refused_by_either_side() {
    let wardrobe = Wardrobe::new("tls-strangers");
    let (own, lone) = (wardrobe.settings("own", "ca"), wardrobe.settings("lone", "ca"));
    let unknown = "tls: certificate signed by unknown authority";
    assert_eq!(refusal(&own, &lone), format!("server: {unknown}"));
    assert_eq!(refusal(&lone, &own), format!("client: {unknown}"));
    let nobody = Settings { cert_file: None, key_file: None, ..own.clone() };
    assert_eq!(refusal(&own, &nobody), "server: tls: client didn't provide a certificate");
}

#[test]
fn a_certificate_that_is_listed_as_trusted_is_trusted_even_if_it_is_an_authoritys() {
    let wardrobe = Wardrobe::new("tls-listed");
    let lone = wardrobe.settings("lone", "lone");
    let security = meet(&lone, &lone).expect("both have it in their lists");
    assert_eq!(security.identity().map(|identity| &*identity.common_name), Some("lone"));
    let past = wardrobe.settings("past", "past");
    assert!(meet(&past, &past).is_err(), "its time is over");
}

#[test]
fn names_are_asked_of_servers_as_well() {
    let wardrobe = Wardrobe::new("tls-allowed");
    let own = wardrobe.settings("own", "ca");
    let named = |names: &[&str]| Settings {
        allowed_common_names: names.iter().map(|name| (*name).to_string()).collect(),
        ..own.clone()
    };
    assert!(meet(&named(&["a", "own"]), &named(&["own"])).is_ok());
    let reason = "tls: client certificate authentication failed: the common name \"own\" is not \
                  allowed";
    assert_eq!(refusal(&named(&["a"]), &own), format!("server: {reason}"));
    assert_eq!(refusal(&own, &named(&["a"])), format!("client: {reason}"));
}

#[test]
fn a_server_is_who_its_url_says_unless_nobody_asks() {
    let wardrobe = Wardrobe::new("tls-url");
    let own = wardrobe.settings("own", "ca");
    let server = ServerTls::new(Listener::Peer, &own).expect("good files");
    let client = |options| ClientTls::new(options).expect("good files");
    let meet = |client: &ClientTls, host: &str| {
        let mut left = Filter::new(client.begin(host).expect("a good name"));
        let mut right = server.begin().expect("a good configuration");
        carry(&mut left, &mut right)?;
        carry(&mut right, &mut left)
    };
    let trusting =
        ClientTlsOptions { trusted_ca_file: own.trusted_ca_file, ..ClientTlsOptions::default() };
    assert_eq!(meet(&client(trusting.clone()), "localhost"), Ok(()));
    let error = meet(&client(trusting.clone()), "b.example").expect_err("another name");
    assert!(error.contains("certificate not valid for name \"b.example\""), "{error}");
    let renamed = client(trusting).with_server_name("localhost".into());
    assert_eq!(meet(&renamed, "b.example"), Ok(()));
    let credulous = ClientTlsOptions { insecure_skip_verify: true, ..ClientTlsOptions::default() };
    assert_eq!(meet(&client(credulous), "b.example"), Ok(()));
}

#[test]
fn sides_without_a_version_or_a_suite_in_common_part() {
    let wardrobe = Wardrobe::new("tls-protocol");
    let own = wardrobe.settings("own", "ca");
    let only = |least, most, suites: &[&str]| {
        let suites: Vec<_> = suites.iter().map(|suite| (*suite).to_string()).collect();
        let protocol = Protocol::new(least, most, &suites).expect("a good choice");
        Settings { protocol, ..own.clone() }
    };
    let (old, new) = (only(None, Some(Version::Tls12), &[]), only(Some(Version::Tls13), None, &[]));
    assert!(meet(&old, &own).is_ok() && meet(&new, &own).is_ok());
    assert!(refusal(&old, &new).starts_with("server: tls: peer is incompatible"));
    let suite = |name| only(None, Some(Version::Tls12), &[name]);
    let (aes, chacha) = (
        suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        suite("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"),
    );
    assert!(meet(&aes, &aes).is_ok() && meet(&chacha, &own).is_ok());
    assert!(refusal(&aes, &chacha).starts_with("server: tls: peer is incompatible"));
}

#[test]
fn a_certificate_of_ones_own_is_made_once_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Scratch::new("tls-own");
    let directory = scratch.0.join("fixtures/client");
    let hosts = ["127.0.0.1".to_string(), "localhost".to_string()];
    let (certificate, key) = self_signed(&directory, &hosts, 1).expect("a certificate");
    let mode = fs::metadata(&key).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let made = fs::read(&certificate).expect("a certificate");
    self_signed(&directory, &hosts, 1).expect("the same");
    assert_eq!(fs::read(&certificate).expect("a certificate"), made);
    let settings = Settings {
        cert_file: Some(certificate),
        key_file: Some(key),
        self_signed: true,
        ..Settings::default()
    };
    assert_eq!(meet(&settings, &settings), Ok(Security::Tls(None)));
    assert!(self_signed(&directory, &hosts, 0).is_err());
}
