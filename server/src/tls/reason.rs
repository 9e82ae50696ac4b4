//! Why TLS has failed, in words for the log.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// The reason in one line. Where Go's has become a word that operators search for, it is Go's.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => "tls: client didn't provide a certificate".into(),
        Error::InvalidCertificate(error) => format!("tls: {}", of_certificate(error)),
        Error::AlertReceived(alert) => format!("remote error: tls: {}", of_alert(*alert)),
        error => format!("tls: {error}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".into(),
        CertificateError::Revoked => "the certificate is revoked".into(),
        CertificateError::BadSignature => {
            "the certificate's signature is not its authority's".into()
        }
        CertificateError::Other(other) => other.0.to_string(),
        error => error.to_string(),
    }
}

/// Go's name of the alert, and what it means here.
fn of_alert(alert: AlertDescription) -> String {
    let (name, meaning) = match alert {
        AlertDescription::UnknownCA => {
            ("unknown certificate authority", "does not know our certificate's authority")
        }
        AlertDescription::CertificateRequired => ("certificate required", "demands a certificate"),
        AlertDescription::CertificateExpired => {
            ("expired certificate", "finds our certificate expired")
        }
        AlertDescription::CertificateRevoked => {
            ("revoked certificate", "finds our certificate revoked")
        }
        // Go knows no other alert for a certificate that it does not like.
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            ("bad certificate", "does not take our certificate")
        }
        _ => return format!("received fatal alert: {alert:?}"),
    };
    format!("{name} (the other side {meaning})")
}

/// The same reason in an error that carried one.
pub(crate) fn readable(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(inner) => io::Error::new(error.kind(), reason(inner)),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_inside_of_what_carries_them() {
        let inner = Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        assert_eq!(
            readable(error).to_string(),
            "remote error: tls: certificate required (the other side demands a certificate)"
        );
        let plain = io::Error::new(io::ErrorKind::TimedOut, "timed out");
        assert_eq!(readable(plain).to_string(), "timed out");
    }

    #[test]
    fn certificates_are_refused_in_words() {
        let reason = |error| reason(&Error::InvalidCertificate(error));
        assert_eq!(
            reason(CertificateError::UnknownIssuer),
            "tls: certificate signed by unknown authority"
        );
        assert!(reason(CertificateError::Expired).contains("Expired"));
    }
}
