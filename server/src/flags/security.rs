//! What the flags say about TLS.

use std::path::PathBuf;

use super::config::Values;
use crate::tls::{Protocol, Settings, Version};

/// The flags of `--help`'s section "Security" that are about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Between clients and this member.
    pub clients: Settings,
    /// Between members.
    pub peers: Settings,
    /// `--auto-tls`
    pub client_auto_tls: bool,
    /// `--peer-auto-tls`
    pub peer_auto_tls: bool,
    /// `--self-signed-cert-validity`, in years.
    pub self_signed_years: u32,
}

impl Security {
    /// Reads the values and checks them against each other. Files are not looked at yet.
    pub(super) fn read(values: &Values<'_>) -> Result<Self, String> {
        let protocol = Protocol::new(
            Version::parse(&values.text("tls-min-version"))?,
            Version::parse(&values.text("tls-max-version"))?,
            &list(values, "cipher-suites"),
        )?;
        let clients = Settings {
            cert_file: file(values, "cert-file"),
            key_file: file(values, "key-file"),
            client_cert_file: file(values, "client-cert-file"),
            client_key_file: file(values, "client-key-file"),
            trusted_ca_file: file(values, "trusted-ca-file"),
            crl_file: file(values, "client-crl-file"),
            client_cert_auth: values.boolean("client-cert-auth"),
            allowed_common_names: Vec::new(),
            allowed_host_names: list(values, "client-cert-allowed-hostname"),
            // etcd takes a client from wherever it comes.
            checks_address: false,
            self_signed: false,
            protocol: protocol.clone(),
        };
        let skips_address = values.boolean("peer-skip-client-san-verification")
            || values.boolean("experimental-peer-skip-client-san-verification");
        let peers = Settings {
            cert_file: file(values, "peer-cert-file"),
            key_file: file(values, "peer-key-file"),
            client_cert_file: file(values, "peer-client-cert-file"),
            client_key_file: file(values, "peer-client-key-file"),
            trusted_ca_file: file(values, "peer-trusted-ca-file"),
            crl_file: file(values, "peer-crl-file"),
            client_cert_auth: values.boolean("peer-client-cert-auth"),
            allowed_common_names: list(values, "peer-cert-allowed-cn"),
            allowed_host_names: list(values, "peer-cert-allowed-hostname"),
            checks_address: !skips_address,
            self_signed: false,
            protocol,
        };
        clients.check()?;
        peers.check()?;
        let years = values.number("self-signed-cert-validity");
        Ok(Self {
            clients,
            peers,
            client_auto_tls: values.boolean("auto-tls"),
            peer_auto_tls: values.boolean("peer-auto-tls"),
            self_signed_years: u32::try_from(years)
                .ok()
                .filter(|years| *years > 0)
                .ok_or("selfSignedCertValidity is invalid,it should be greater than 0")?,
        })
    }
}

fn file(values: &Values<'_>, name: &str) -> Option<PathBuf> {
    Some(values.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from)
}

fn list(values: &Values<'_>, name: &str) -> Vec<String> {
    let text = values.text(name);
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_string).collect()
}
