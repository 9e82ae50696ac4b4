//! The TLS filter of a server: bytes of a stranger's, and of a client whose wire is disturbed. And
//! the names in certificates.

use std::sync::{Arc, LazyLock};

use quorra_net::tls::{Filter, identity, is_in_force};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::pieces;

/// What the client says when it is let.
const SAID: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// No handshake of ours takes more turns.
const TURNS_MAX: usize = 20;

struct Sides {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// A server with a certificate, and a client that trusts it.
static SIDES: LazyLock<Sides> = LazyLock::new(|| {
    let key = KeyPair::generate().expect("the system has randomness");
    let certificate = CertificateParams::new(["localhost".to_string()])
        .and_then(|parameters| parameters.self_signed(&key))
        .expect("good parameters");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of our own");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate of our own");
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has what they need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what they need")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they belong together");
    Sides { client: Arc::new(client), server: Arc::new(server) }
});

/// Nothing comes of what no client has encrypted, and of what one has said nothing else.
pub fn run(bytes: &[u8]) {
    let certificate = CertificateDer::from(bytes);
    let _names = (identity(&certificate), is_in_force(&certificate, 1 << 31));
    match bytes.split_first() {
        Some((0, rest)) => strange(rest),
        Some((_, rest)) => disturbed(rest),
        None => {}
    }
}

fn server() -> Filter {
    let server = ServerConnection::new(SIDES.server.clone());
    Filter::new(server.expect("a good configuration"))
}

fn client() -> Filter {
    let name = ServerName::try_from("localhost").expect("a DNS name");
    let client = ClientConnection::new(SIDES.client.clone(), name);
    Filter::new(client.expect("a good configuration"))
}

fn strange(bytes: &[u8]) {
    let mut server = server();
    let mut plaintext = Vec::new();
    for piece in pieces::split(bytes) {
        if server.receive(piece, &mut plaintext).is_err() {
            break;
        }
    }
    assert!(plaintext.is_empty(), "a stranger has no key");
    take_output(&mut server);
}

/// Each three bytes change one of those that the client sends: where, and how.
fn disturbed(bytes: &[u8]) {
    let disturbances: Vec<(usize, u8)> = bytes
        .chunks_exact(3)
        .map(|three| (usize::from(u16::from_be_bytes([three[0], three[1]])), three[2]))
        .collect();
    let (mut client, mut server) = (client(), server());
    let (mut heard, mut unheard, mut sent) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS_MAX {
        if !client.is_handshaking() && heard.is_empty() {
            client.send(SAID);
        }
        let mut wire = take_output(&mut client);
        for (offset, change) in &disturbances {
            if let Some(byte) = offset.checked_sub(sent).and_then(|at| wire.get_mut(at)) {
                *byte ^= change;
            }
        }
        sent += wire.len();
        if server.receive(&wire, &mut heard).is_err() {
            break;
        }
        let answer = take_output(&mut server);
        if client.receive(&answer, &mut unheard).is_err() || !heard.is_empty() {
            break;
        }
    }
    assert!(heard.is_empty() || heard == SAID, "what arrives is what was said");
    let undisturbed = disturbances.iter().all(|(_, change)| *change == 0);
    assert!(!undisturbed || heard == SAID, "what is not disturbed arrives");
}

fn take_output(filter: &mut Filter) -> Vec<u8> {
    let mut wire = Vec::new();
    while filter.has_output() {
        filter.write_to(&mut wire).expect("memory takes everything");
    }
    wire
}
