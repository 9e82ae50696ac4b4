//! Whom a certificate names.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner};
use x509_cert::der::asn1::{BmpString, ObjectIdentifier};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::host::Identity;

/// X.520, 6.2.2.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The names in a certificate that was verified; none if it cannot be read.
#[must_use]
pub fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let certificate = CertificateInner::<Raw>::from_der(certificate).ok()?;
    let subject = certificate.tbs_certificate;
    let mut identity = Identity { common_name: common_name(&subject), ..Identity::default() };
    for name in alternative_names(&subject) {
        match name {
            GeneralName::DnsName(name) => identity.dns_names.push(name.to_string()),
            GeneralName::IpAddress(octets) => identity.addresses.extend(address(octets.as_bytes())),
            _ => {}
        }
    }
    Some(identity)
}

/// The last common name of the subject counts, as in Go.
fn common_name(subject: &TbsCertificateInner<Raw>) -> String {
    let attributes = subject.subject.0.iter().flat_map(|set| set.0.iter());
    let names = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
    names.filter_map(text).next_back().unwrap_or_default()
}

fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = &attribute.value;
    match value.tag() {
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|text| text.to_string()),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString => {
            String::from_utf8(value.value().to_vec()).ok()
        }
        _ => None,
    }
}

fn alternative_names(subject: &TbsCertificateInner<Raw>) -> Vec<GeneralName> {
    match subject.get::<SubjectAltName>() {
        Ok(Some((_, names))) => names.0,
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Whether a certificate is in force at that time, in seconds since 1970; false if it cannot be
/// read.
#[must_use]
pub fn is_in_force(certificate: &CertificateDer<'_>, at: u64) -> bool {
    CertificateInner::<Raw>::from_der(certificate).is_ok_and(|certificate| {
        let validity = certificate.tbs_certificate.validity;
        let from = validity.not_before.to_unix_duration().as_secs();
        (from..=validity.not_after.to_unix_duration().as_secs()).contains(&at)
    })
}
