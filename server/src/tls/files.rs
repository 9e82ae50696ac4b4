//! What TLS files hold. Every error names its file.

use std::fs;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The largest file that is read: a bundle of all the web's authorities has a quarter of a MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("open {}: {error}", path.display());
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{}: the file is too large ({length} bytes)", path.display()));
    }
    fs::read(path).map_err(failed)
}

fn malformed(path: &Path, what: &str, error: &Error) -> String {
    match error {
        Error::NoItemsFound => format!("{}: no {what} found in the file", path.display()),
        error => format!("{}: {error}", path.display()),
    }
}

/// The chain of a PEM file, the own certificate first.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(path, "PEM certificate", &error))?;
    match chain.is_empty() {
        true => Err(malformed(path, "PEM certificate", &Error::NoItemsFound)),
        false => Ok(chain),
    }
}

/// The first private key of a PEM file: PKCS #8, PKCS #1 or SEC 1.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| malformed(path, "PEM private key", &error))
}

/// The authorities of a PEM bundle. What is no usable certificate is an error: an authority that
/// is missing would be noticed by whoever it has signed, and late.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let authorities = certificates(path)?;
    let mut roots = RootCertStore::empty();
    for authority in &authorities {
        roots
            .add(authority.clone())
            .map_err(|error| format!("{}: unusable certificate: {error}", path.display()))?;
    }
    Ok(authorities)
}

/// The revocation lists of a file, PEM or DER.
pub(super) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(path)?;
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(path, "revocation list", &error))?;
    match lists.is_empty() {
        true => Err(malformed(path, "revocation list", &Error::NoItemsFound)),
        false => Ok(lists),
    }
}
