//! Whom to believe: authorities, what they have revoked, and which names are allowed.
//!
//! rustls verifies chains, times, purposes and revocation lists. Two things come on top of it, for
//! either direction: flags that allow only certain names, and a certificate that is itself listed
//! as trusted although it is an authority's (what `openssl req -x509` makes), which Go accepts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use quorra_net::tls::{identity, is_in_force};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::{Protocol, files};

/// What the other side's certificate is held against.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    pub(super) trusted_ca_file: Option<PathBuf>,
    pub(super) crl_file: Option<PathBuf>,
    pub(super) names: AllowedNames,
}

/// The names that flags allow; empty lists allow all.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedNames {
    pub(super) common: Vec<String>,
    pub(super) hosts: Vec<String>,
}

/// Beside the chain: the names that are allowed, and certificates that are trusted themselves.
#[derive(Debug)]
struct Checks {
    names: AllowedNames,
    listed: Vec<CertificateDer<'static>>,
}

/// A certificate that was verified and still is not wanted.
#[derive(Debug)]
struct NotAllowed(String);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAllowed {}

impl Demands {
    /// A verifier of those who connect.
    pub(super) fn of_clients(
        &self,
        protocol: &Protocol,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let (roots, checks) = self.read()?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, protocol.provider());
        if let Some(path) = &self.crl_file {
            let lists = files::revocation_lists(path)?;
            builder = builder.with_crls(lists).allow_unknown_revocation_status();
        }
        let chain = builder.build().map_err(|error| self.unusable(&error))?;
        Ok(Arc::new(ClientVerifier { chain, checks }))
    }

    /// A verifier of those whom this process connects to.
    pub(super) fn of_servers(
        &self,
        protocol: &Protocol,
    ) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let (roots, checks) = self.read()?;
        let mut builder = WebPkiServerVerifier::builder_with_provider(roots, protocol.provider());
        if let Some(path) = &self.crl_file {
            let lists = files::revocation_lists(path)?;
            builder = builder.with_crls(lists).allow_unknown_revocation_status();
        }
        let chain = builder.build().map_err(|error| self.unusable(&error))?;
        Ok(Arc::new(ServerVerifier { chain, checks }))
    }

    fn unusable(&self, error: &dyn fmt::Display) -> String {
        let file = self.crl_file.as_ref().or(self.trusted_ca_file.as_ref());
        match file {
            Some(path) => format!("{}: {error}", path.display()),
            None => error.to_string(),
        }
    }

    fn read(&self) -> Result<(Arc<RootCertStore>, Checks), String> {
        let listed = match &self.trusted_ca_file {
            Some(path) => files::authorities(path)?,
            None => system_authorities()?,
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(listed.iter().cloned());
        // A system's authorities sign; none of them is a server or a client itself.
        let listed = if self.trusted_ca_file.is_some() { listed } else { Vec::new() };
        Ok((Arc::new(roots), Checks { names: self.names.clone(), listed }))
    }
}

fn system_authorities() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    match (found.certs.is_empty(), found.errors.first()) {
        (false, _) => Ok(found.certs),
        (true, Some(error)) => Err(format!("cannot read the system's authorities: {error}")),
        (true, None) => Err("the system has no trusted authorities".into()),
    }
}

impl Checks {
    /// Takes an authority's own certificate although rustls does not take it for an end entity's,
    /// if it is listed itself. Any other verdict stays.
    fn mend(
        &self,
        verdict: Error,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !is_of_authority(&verdict) {
            return Err(verdict);
        }
        match self.listed.iter().any(|listed| listed == certificate) {
            true if is_in_force(certificate, now.as_secs()) => Ok(()),
            true => Err(Error::InvalidCertificate(CertificateError::Expired)),
            false => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let refused = |reason: String| {
            let reason = NotAllowed(format!("client certificate authentication failed: {reason}"));
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
        };
        let AllowedNames { common, hosts } = &self.names;
        if !common.is_empty() {
            let name = identity(certificate).unwrap_or_default().common_name;
            if !common.contains(&name) {
                return Err(refused(format!("the common name {name:?} is not allowed")));
            }
        }
        if !hosts.is_empty() && !hosts.iter().any(|host| is_valid_for(certificate, host)) {
            return Err(refused(format!("it is not valid for {}", hosts.join(" or "))));
        }
        Ok(())
    }
}

/// Whether the verdict is that an authority's certificate was shown by an end entity.
fn is_of_authority(verdict: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = verdict else {
        return false;
    };
    matches!(inner.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Whether a certificate names that host or address.
fn is_valid_for(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
}

#[derive(Debug)]
struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    checks: Checks,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = match self.chain.verify_client_cert(end_entity, intermediates, now) {
            Err(verdict) => {
                self.checks.mend(verdict, end_entity, now)?;
                ClientCertVerified::assertion()
            }
            Ok(verified) => verified,
        };
        self.checks.check_names(end_entity).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct ServerVerifier {
    chain: Arc<WebPkiServerVerifier>,
    checks: Checks,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let verified = match verdict {
            Err(verdict) => {
                self.checks.mend(verdict, end_entity, now)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                ServerCertVerified::assertion()
            }
            Ok(verified) => verified,
        };
        self.checks.check_names(end_entity).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Believes everybody: for servers that sign their own certificates, and for those who ask for it.
#[derive(Debug)]
pub(super) struct Credulous(pub(super) Protocol);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.0.provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.0.provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider().signature_verification_algorithms.supported_schemes()
    }
}
