//! What listeners do: the own certificate, and what is demanded of those who connect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorra_net::host::{Identity, Listener, Security};
use quorra_net::tls::{Filter, identity};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

use super::authority::{AllowedNames, Demands};
use super::files;
use super::reloading::Reloading;
use super::settings::Settings;

/// The TLS of a listener.
#[derive(Debug)]
pub struct ServerTls {
    config: Reloading<ServerConfig>,
    /// Whether the host is told whom certificates name.
    names_users: bool,
    /// Whether a certificate that names hosts is taken only from one of them.
    checks_address: bool,
}

impl ServerTls {
    /// Reads all files. The error is the operator's to read.
    pub fn new(kind: Listener, settings: &Settings) -> Result<Self, String> {
        settings.check()?;
        let (certificate, key) = settings.pair()?;
        let of = settings.clone();
        let make = move || configuration(kind, &of, (&certificate, &key));
        let what = match kind {
            Listener::Client => "of clients' listeners",
            Listener::Metrics => "of the listeners for metrics",
            Listener::Peer => "of peers' listeners",
        };
        let files = [
            &settings.cert_file,
            &settings.key_file,
            &settings.trusted_ca_file,
            &settings.crl_file,
        ];
        Ok(Self {
            config: Reloading::new(what, files.into_iter().flatten().cloned().collect(), make)?,
            names_users: settings.client_cert_auth,
            checks_address: settings.checks_address,
        })
    }

    /// The filter of a connection that was just accepted.
    pub(crate) fn begin(&self) -> Result<Filter, rustls::Error> {
        ServerConnection::new(self.config.current()).map(Filter::new)
    }

    /// What the host is told of a connection whose handshake is over.
    pub(crate) fn security(&self, filter: &Filter) -> Security {
        let certificate = filter.certificate().filter(|_| self.names_users);
        Security::Tls(certificate.map(|found| identity(found).unwrap_or_default()))
    }

    /// The names that the address of a connection must be held against, if there are any.
    pub(crate) fn names_of_origin(&self, filter: &Filter) -> Option<Identity> {
        let names = filter.certificate().filter(|_| self.checks_address).and_then(identity)?;
        let any = !names.dns_names.is_empty() || !names.addresses.is_empty();
        any.then_some(names)
    }
}

fn configuration(
    kind: Listener,
    settings: &Settings,
    (certificate, key): (&PathBuf, &PathBuf),
) -> Result<ServerConfig, String> {
    let protocol = &settings.protocol;
    let builder = ServerConfig::builder_with_provider(protocol.provider())
        .with_protocol_versions(protocol.versions())
        .map_err(|error| error.to_string())?;
    let builder = if settings.demands_certificate() {
        let demands = Demands {
            trusted_ca_file: settings.trusted_ca_file.clone(),
            crl_file: settings.crl_file.clone(),
            names: AllowedNames {
                common: settings.allowed_common_names.clone(),
                hosts: settings.allowed_host_names.clone(),
            },
        };
        builder.with_client_cert_verifier(demands.of_clients(protocol)?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(files::certificates(certificate)?, files::key(key)?)
        .map_err(|error| pair_error(certificate, key, &error))?;
    config.alpn_protocols = match kind {
        Listener::Client => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Listener::Peer | Listener::Metrics => vec![b"http/1.1".to_vec()],
    };
    // A resumed session would not be verified again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Why a certificate and a key are of no use together.
pub(super) fn pair_error(certificate: &Path, key: &Path, error: &rustls::Error) -> String {
    let files = format!("{}, {}", certificate.display(), key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("tls: private key does not match public key ({files})")
        }
        error => format!("tls: {error} ({files})"),
    }
}
