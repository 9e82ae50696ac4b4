//! Two filters over a wire that cuts as it likes.

use std::sync::Arc;

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::host::Identity;

fn certificate(parameters: CertificateParams) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("the system has randomness");
    let certificate = parameters.self_signed(&key).expect("good parameters");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of our own");
    (certificate.der().clone(), key)
}

fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_string()).collect();
    CertificateParams::new(names).expect("good names")
}

/// A client and a server that trusts nobody in particular.
fn pair() -> (Filter, Filter) {
    let (certificate, key) = certificate(named(&["localhost"]));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate of our own");
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has what they need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what they need")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    let name = ServerName::try_from("localhost").expect("a DNS name");
    let client = ClientConnection::new(Arc::new(client), name).expect("a good configuration");
    let server = ServerConnection::new(Arc::new(server)).expect("a good configuration");
    (Filter::new(client), Filter::new(server))
}

/// Carries all that one side has to say to the other, in pieces of these lengths.
fn carry(from: &mut Filter, to: &mut Filter, pieces: &mut impl Iterator<Item = usize>) -> Vec<u8> {
    let mut wire = Vec::new();
    while from.has_output() {
        from.write_to(&mut wire).expect("memory takes everything");
    }
    let mut plaintext = Vec::new();
    let mut rest = &wire[..];
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(pieces.next().unwrap_or(1).min(rest.len()));
        to.receive(piece, &mut plaintext).expect("what the other side has said");
        rest = later;
    }
    plaintext
}

fn shake_hands(client: &mut Filter, server: &mut Filter, pieces: &mut impl Iterator<Item = usize>) {
    while client.is_handshaking() || server.is_handshaking() {
        carry(client, server, pieces);
        carry(server, client, pieces);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_the_wire_cuts_the_other_side_reads_what_was_sent(
        pieces in prop::collection::vec(1_usize..20_000, 1..40),
        said in prop::collection::vec(any::<u8>(), 0..200_000),
    ) {
        let mut pieces = pieces.into_iter().cycle();
        let (mut client, mut server) = pair();
        shake_hands(&mut client, &mut server, &mut pieces);
        let mut rest = &said[..];
        let mut heard = Vec::new();
        while !rest.is_empty() {
            let taken = server.send(rest);
            prop_assert!(taken > 0 && taken <= SENT_BYTES_MAX, "no more than fits");
            rest = &rest[taken..];
            heard.extend(carry(&mut server, &mut client, &mut pieces));
        }
        prop_assert!(heard == said);
        prop_assert!(!client.has_ended());
        server.close();
        carry(&mut server, &mut client, &mut pieces);
        prop_assert!(client.has_ended());
    }

    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 1..4_000),
        shaken in any::<bool>(),
    ) {
        let (mut client, mut server) = pair();
        if shaken {
            shake_hands(&mut client, &mut server, &mut std::iter::repeat(9_999));
        }
        let mut plaintext = Vec::new();
        let _refused = server.receive(&bytes, &mut plaintext);
        prop_assert!(plaintext.is_empty(), "nothing comes of what no client has encrypted");
    }
}

#[test]
fn the_names_of_a_certificate_are_its_identity() {
    let mut parameters = named(&["a.example", "*.b.example"]);
    parameters.subject_alt_names.push(SanType::IpAddress([10, 0, 0, 1].into()));
    parameters.subject_alt_names.push(SanType::URI("spiffe://x".try_into().expect("ASCII")));
    parameters.distinguished_name.push(DnType::OrganizationName, "people");
    parameters.distinguished_name.push(DnType::CommonName, "J\u{f6}rg");
    let read = identity(&certificate(parameters).0).expect("a certificate");
    assert_eq!(
        read,
        Identity {
            common_name: "J\u{f6}rg".into(),
            dns_names: vec!["a.example".into(), "*.b.example".into()],
            addresses: vec![[10, 0, 0, 1].into()],
        }
    );
}

#[test]
fn a_certificate_without_names_is_an_identity_without_names() {
    let mut parameters = named(&[]);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    assert_eq!(identity(&certificate(parameters).0), Some(Identity::default()));
    assert_eq!(identity(&CertificateDer::from(vec![0x30, 3, 1, 2])), None);
}
