//! What the flags of one side, clients' or peers', say about TLS.

use std::path::{Path, PathBuf};

use super::Protocol;

/// Where the certificates lie, and what is demanded of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The own chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// What is shown instead when this side dials.
    pub client_cert_file: Option<PathBuf>,
    /// Its key.
    pub client_key_file: Option<PathBuf>,
    /// The authorities that may have signed the other side's certificate; none are the system's.
    pub trusted_ca_file: Option<PathBuf>,
    /// What those authorities have revoked.
    pub crl_file: Option<PathBuf>,
    /// Whoever connects must show a certificate, and is who it names.
    pub client_cert_auth: bool,
    /// Common names of which the other side must have one; none allows all.
    pub allowed_common_names: Vec<String>,
    /// Names for one of which the other side's certificate must be valid; none allows all.
    pub allowed_host_names: Vec<String>,
    /// A certificate that names hosts is taken only from one of them.
    pub checks_address: bool,
    /// The own certificate is signed by nobody else, and so are the other members': they are not
    /// verified when dialing.
    pub self_signed: bool,
    /// What may be agreed on.
    pub protocol: Protocol,
}

impl Settings {
    /// Whether there is no certificate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cert_file.is_none() && self.key_file.is_none()
    }

    /// Whether whoever connects must show a certificate. As in etcd, authorities demand one too.
    #[must_use]
    pub fn demands_certificate(&self) -> bool {
        self.client_cert_auth || self.trusted_ca_file.is_some()
    }

    /// What flags cannot mean together. The texts are etcd's.
    pub fn check(&self) -> Result<(), String> {
        if !self.allowed_common_names.is_empty() && !self.allowed_host_names.is_empty() {
            return Err(format!(
                "AllowedCN and AllowedHostname are mutually exclusive (cn={:?}, hostname={:?})",
                self.allowed_common_names.join(","),
                self.allowed_host_names.join(",")
            ));
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return Err(format!(
                "ClientKeyFile and ClientCertFile must both be present or both absent: key: {}, \
                 cert: {}]",
                display(self.client_key_file.as_deref()),
                display(self.client_cert_file.as_deref())
            ));
        }
        Ok(())
    }

    /// The files of the own certificate and its key: neither is of any use alone.
    pub(super) fn pair(&self) -> Result<(PathBuf, PathBuf), String> {
        match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => Ok((certificate.clone(), key.clone())),
            (certificate, key) => Err(format!(
                "KeyFile and CertFile must both be present[key: {}, cert: {}]",
                display(key.as_deref()),
                display(certificate.as_deref())
            )),
        }
    }
}

fn display(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}
