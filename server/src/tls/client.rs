//! What dialing does: the authorities that servers are verified by, and the certificate that is
//! shown to those who ask.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::authority::{AllowedNames, Credulous, Demands};
use super::reloading::Reloading;
use super::server::pair_error;
use super::settings::Settings;
use super::{Protocol, files};

/// A client's side of one connection, before its handshake.
pub type ClientSession = ClientConnection;

/// Whom a client trusts, and what it shows; the default trusts the system's authorities and shows
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsOptions {
    /// The authorities of servers (`--cacert`); none are the system's.
    pub trusted_ca_file: Option<PathBuf>,
    /// The own chain (`--cert`).
    pub cert_file: Option<PathBuf>,
    /// Its key (`--key`).
    pub key_file: Option<PathBuf>,
    /// Servers are not verified at all (`--insecure-skip-tls-verify`).
    pub insecure_skip_verify: bool,
    /// The name that every server must have instead of its URL's host.
    pub server_name: Option<String>,
    /// What the authorities have revoked.
    pub crl_file: Option<PathBuf>,
    /// Common names of which a server must have one; none allows all.
    pub allowed_common_names: Vec<String>,
    /// Names for one of which a server's certificate must be valid as well; none allows all.
    pub allowed_host_names: Vec<String>,
    /// What may be agreed on.
    pub protocol: Protocol,
}

/// The TLS of whoever dials. Its files are read again when they change.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<Reloading<ClientConfig>>,
    server_name: Option<String>,
}

impl ClientTls {
    /// Reads all files. The error is the user's to read.
    pub fn new(options: ClientTlsOptions) -> Result<Self, String> {
        if options.cert_file.is_some() != options.key_file.is_some() {
            return Err("a certificate and its key must be given together".into());
        }
        let files =
            [&options.trusted_ca_file, &options.cert_file, &options.key_file, &options.crl_file];
        let files = files.into_iter().flatten().cloned().collect();
        let server_name = options.server_name.clone();
        let config =
            Reloading::new("of outgoing connections", files, move || configuration(&options))?;
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// How members dial each other.
    pub fn of_peers(settings: &Settings) -> Result<Self, String> {
        let own = (settings.client_cert_file.clone(), settings.client_key_file.clone());
        let (cert_file, key_file) = match own {
            (None, None) => (settings.cert_file.clone(), settings.key_file.clone()),
            chosen => chosen,
        };
        Self::new(ClientTlsOptions {
            trusted_ca_file: settings.trusted_ca_file.clone(),
            cert_file,
            key_file,
            insecure_skip_verify: settings.self_signed,
            server_name: None,
            crl_file: settings.crl_file.clone(),
            allowed_common_names: settings.allowed_common_names.clone(),
            allowed_host_names: settings.allowed_host_names.clone(),
            protocol: settings.protocol.clone(),
        })
    }

    /// The same, but every server must have this name whatever its URL says (etcd asks for the
    /// domain's name of members that were found by DNS).
    #[must_use]
    pub fn with_server_name(mut self, name: String) -> Self {
        self.server_name = Some(name);
        self
    }

    /// A session with the server of that name or address.
    pub fn begin(&self, host: &str) -> io::Result<ClientSession> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_string()).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("tls: {name:?}: {error}"))
        })?;
        ClientConnection::new(self.config.current(), name).map_err(io::Error::other)
    }
}

fn configuration(options: &ClientTlsOptions) -> Result<ClientConfig, String> {
    let protocol = &options.protocol;
    let builder = ClientConfig::builder_with_provider(protocol.provider())
        .with_protocol_versions(protocol.versions())
        .map_err(|error| error.to_string())?
        .dangerous();
    let builder = if options.insecure_skip_verify {
        builder.with_custom_certificate_verifier(Arc::new(Credulous(protocol.clone())))
    } else {
        let demands = Demands {
            trusted_ca_file: options.trusted_ca_file.clone(),
            crl_file: options.crl_file.clone(),
            names: AllowedNames {
                common: options.allowed_common_names.clone(),
                hosts: options.allowed_host_names.clone(),
            },
        };
        builder.with_custom_certificate_verifier(demands.of_servers(protocol)?)
    };
    let mut config = match (&options.cert_file, &options.key_file) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(files::certificates(certificate)?, files::key(key)?)
            .map_err(|error| pair_error(certificate, key, &error))?,
        _ => builder.with_no_client_auth(),
    };
    // A resumed session would not be verified again.
    config.resumption = Resumption::disabled();
    Ok(config)
}
