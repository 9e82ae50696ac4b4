//! Certificates that the tests make themselves.

use std::fs;
use std::path::{Path, PathBuf};

use quorra::tls::{ClientTls, ClientTlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    /// The paths below a directory, whether there are files or not.
    pub(crate) fn at(directory: &Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        }
    }

    /// Flags that name them, with `prefix` before the names.
    pub(crate) fn flags(&self, prefix: &str) -> Vec<String> {
        vec![
            format!("--{prefix}cert-file={}", self.certificate.display()),
            format!("--{prefix}key-file={}", self.key.display()),
        ]
    }
}

/// What a certificate says of its subject.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) common_name: &'static str,
    pub(crate) hosts: &'static [&'static str],
    pub(crate) serial: u64,
    pub(crate) expired: bool,
}

/// A good certificate for whoever is on this machine.
pub(crate) const LOCAL: Subject =
    Subject { common_name: "local", hosts: &["127.0.0.1", "localhost"], serial: 1, expired: false };

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut made = CertificateParams::default();
        made.distinguished_name.push(DnType::CommonName, name);
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        made.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("the system has randomness");
        let pem = made.self_signed(&key).expect("good parameters").pem();
        Self { issuer: Issuer::new(made, key), pem }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate and puts it where `pair` says; each file changes at once.
    pub(crate) fn issue(&self, subject: &Subject, pair: &Pair) {
        let hosts: Vec<_> = subject.hosts.iter().map(|host| (*host).to_string()).collect();
        let mut made = CertificateParams::new(hosts).expect("good names");
        made.distinguished_name.push(DnType::CommonName, subject.common_name);
        made.serial_number = Some(SerialNumber::from(subject.serial));
        made.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if subject.expired {
            made.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate = made.signed_by(&key, &self.issuer).expect("good parameters");
        replace(&pair.key, &key.serialize_pem());
        replace(&pair.certificate, &certificate.pem());
    }

    /// A list of revoked certificates.
    pub(crate) fn revoke(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("good parameters");
        list.pem().expect("a list is text")
    }
}

/// Puts a new file in the place of the old one, so that nobody reads half of it.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the test's directory takes files");
    fs::rename(&new, path).expect("a rename within a directory");
}

/// A client that trusts the authority in that file and shows the certificate, if there is one.
pub(crate) fn client(ca: &Path, pair: Option<&Pair>) -> ClientTls {
    ClientTls::new(ClientTlsOptions {
        trusted_ca_file: Some(ca.to_path_buf()),
        cert_file: pair.map(|pair| pair.certificate.clone()),
        key_file: pair.map(|pair| pair.key.clone()),
        ..ClientTlsOptions::default()
    })
    .expect("the files were just made")
}
