//! A certificate that a member signs itself (`--auto-tls`, `--peer-auto-tls`): it keeps listeners
//! out, not impostors.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quorra_net::tls::is_in_force;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::files;

const DAYS_PER_YEAR: i64 = 365;

/// The files of a certificate for these hosts and its key in `directory`; those that are there and
/// still in force are used again. `years` is how long a new one lasts.
pub fn self_signed(
    directory: &Path,
    hosts: &[String],
    years: u32,
) -> Result<(PathBuf, PathBuf), String> {
    let pair = (directory.join("cert.pem"), directory.join("key.pem"));
    if years == 0 {
        return Err("selfSignedCertValidity is invalid,it should be greater than 0".into());
    }
    if files::certificates(&pair.0).is_ok_and(|chain| is_in_force(&chain[0], now()))
        && files::key(&pair.1).is_ok()
    {
        return Ok(pair);
    }
    let failed = |error: rcgen::Error| format!("cannot make a certificate: {error}");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate =
        parameters(hosts, years).and_then(|made| made.self_signed(&key)).map_err(failed)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    write(&pair.0, &certificate.pem())?;
    write(&pair.1, &key.serialize_pem())?;
    log::info!(path:% = pair.0.display(); "created a self-signed certificate");
    Ok(pair)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

fn parameters(hosts: &[String], years: u32) -> Result<CertificateParams, rcgen::Error> {
    let mut made = CertificateParams::default();
    made.distinguished_name.remove(DnType::CommonName);
    made.distinguished_name.push(DnType::OrganizationName, "etcd");
    for host in hosts {
        made.subject_alt_names.push(match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    made.not_before = OffsetDateTime::now_utc();
    made.not_after = made.not_before + Duration::days(DAYS_PER_YEAR * i64::from(years));
    made.key_usages = vec![KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::DigitalSignature];
    made.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(made)
}

/// Writes a file that only its owner may read.
fn write(path: &Path, text: &str) -> Result<(), String> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}
