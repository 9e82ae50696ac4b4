//! What both APIs need before they ask: a client with its certificates, and endpoints by name.

use std::time::Duration;

use quorra::client::{Client, ClientError};

use crate::endpoints::Endpoint;
use crate::flags::Flags;
use crate::go;

/// A client as the flags want it.
pub(crate) fn client(flags: &Flags<'_>, connect_timeout: Duration) -> Result<Client, String> {
    if has_certificates(flags) {
        return Err("TLS is not built yet".to_string());
    }
    Ok(Client::new(connect_timeout))
}

/// Whether endpoints without a scheme are https.
pub(crate) fn wants_tls(flags: &Flags<'_>) -> Result<bool, String> {
    let insecure = flags.bool_or("insecure-transport", "INSECURE_TRANSPORT")?;
    Ok(has_certificates(flags) || insecure == Some(false))
}

/// Whether flags or environment name any certificate.
fn has_certificates(flags: &Flags<'_>) -> bool {
    let files = [("cacert", "CA_FILE"), ("cert", "CERT_FILE"), ("key", "KEY_FILE")];
    files
        .iter()
        .any(|(flag, other)| flags.text_or(flag, &[&flag.to_ascii_uppercase(), other]).is_some())
}

/// The endpoints that a domain's SRV records name; none if no domain was given.
pub(crate) fn discover(flags: &Flags<'_>, _insecure: bool) -> Result<Vec<Endpoint>, String> {
    match flags.text_or("discovery-srv", &["DISCOVERY_SRV"]) {
        Some(_) => Err("--discovery-srv is not built yet".to_string()),
        None => Ok(Vec::new()),
    }
}

/// The client's error in the words of Go's.
pub(crate) fn describe(error: &ClientError) -> String {
    match error {
        ClientError::Dial(address, error) => {
            format!("dial tcp {address}: {}", dial_reason(error))
        }
        ClientError::Io(error) => go::system_error(error),
        ClientError::Malformed(reason) => (*reason).to_string(),
    }
}

fn dial_reason(error: &std::io::Error) -> String {
    let reason = go::system_error(error);
    match error.raw_os_error() {
        Some(_) => format!("connect: {reason}"),
        None => reason,
    }
}
