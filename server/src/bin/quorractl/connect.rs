//! What both APIs need before they ask: a client with its certificates, and endpoints by name.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use quorra::client::{Client, ClientError};
use quorra::dns::{self, Resolver};
use quorra::flags::ServiceRecords;
use quorra::tls::{ClientTls, ClientTlsOptions};
use quorra::urls::Url;

use crate::endpoints::Endpoint;
use crate::flags::Flags;
use crate::go;

/// A client that trusts and shows what the flags name; `server_name` is whom every server must be,
/// if not whom its URL names.
pub(crate) fn client(
    flags: &Flags<'_>,
    connect_timeout: Duration,
    server_name: Option<String>,
) -> Result<Client, String> {
    let mut client = Client::new(connect_timeout);
    let skips = flags.bool_or("insecure-skip-tls-verify", "INSECURE_SKIP_TLS_VERIFY")?;
    if has_certificates(flags) || skips == Some(true) || server_name.is_some() {
        client.secure(ClientTls::new(ClientTlsOptions {
            trusted_ca_file: file(flags, "cacert", "CA_FILE"),
            cert_file: file(flags, "cert", "CERT_FILE"),
            key_file: file(flags, "key", "KEY_FILE"),
            insecure_skip_verify: skips.unwrap_or_default(),
            server_name,
            ..ClientTlsOptions::default()
        })?);
    }
    Ok(client)
}

/// A file that a flag names, or its variable under the name of either etcdctl.
fn file(flags: &Flags<'_>, flag: &str, variable: &str) -> Option<PathBuf> {
    flags.text_or(flag, &[&flag.to_ascii_uppercase(), variable]).map(PathBuf::from)
}

/// Whether endpoints without a scheme are https.
pub(crate) fn wants_tls(flags: &Flags<'_>) -> Result<bool, String> {
    let insecure = flags.bool_or("insecure-transport", "INSECURE_TRANSPORT")?;
    Ok(has_certificates(flags) || insecure == Some(false))
}

/// Whether flags or environment name any certificate.
fn has_certificates(flags: &Flags<'_>) -> bool {
    let files = [("cacert", "CA_FILE"), ("cert", "CERT_FILE"), ("key", "KEY_FILE")];
    files.iter().any(|(flag, variable)| file(flags, flag, variable).is_some())
}

/// What a domain's SRV records say.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    /// Where to ask; empty if no domain was given, or none of its endpoints may be used.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The name that servers must have: the domain's, unless what it says is taken on trust.
    pub(crate) server_name: Option<String>,
}

/// Looks the endpoints up if flags or environment name a domain. Unless `insecure`, only those
/// behind TLS are taken.
pub(crate) fn discover(flags: &Flags<'_>, insecure: bool) -> Result<Discovered, String> {
    let Some(domain) = flags.text_or("discovery-srv", &["DISCOVERY_SRV"]) else {
        return Ok(Discovered::default());
    };
    let name = flags.text_or("discovery-srv-name", &["DISCOVERY_SRV_NAME"]).unwrap_or_default();
    let records = ServiceRecords { domain: domain.to_string(), name: name.to_string() };
    let found = dns::client_endpoints(&Resolver::system(), &records)?;
    let mut endpoints = Vec::new();
    for url in found.iter().map(Url::to_string) {
        match insecure || url.starts_with("https://") {
            true => endpoints.push(Endpoint::parse(&url, "https")?),
            false => eprintln!("ignoring discovered insecure endpoint {url:?}"),
        }
    }
    Ok(Discovered { endpoints, server_name: (!insecure).then_some(records.domain) })
}

/// Whether the server was reached, but one side does not trust the other.
pub(crate) fn is_distrust(error: &ClientError) -> bool {
    match error {
        // So the TLS of a stream reports whatever is wrong with it.
        ClientError::Dial(_, error) | ClientError::Io(error) => {
            error.kind() == io::ErrorKind::InvalidData
        }
        ClientError::Malformed(_) => false,
    }
}

/// The client's error in the words of Go's.
pub(crate) fn describe(error: &ClientError) -> String {
    match error {
        ClientError::Dial(address, reason) if is_distrust(error) => {
            format!("tls: {address}: {reason}")
        }
        ClientError::Io(reason) if is_distrust(error) => format!("tls: {reason}"),
        ClientError::Dial(address, error) => format!("dial tcp {address}: {}", dial_reason(error)),
        ClientError::Io(error) => go::system_error(error),
        ClientError::Malformed(reason) => (*reason).to_string(),
    }
}

fn dial_reason(error: &io::Error) -> String {
    let reason = go::system_error(error);
    match error.raw_os_error() {
        Some(_) => format!("connect: {reason}"),
        None => reason,
    }
}
