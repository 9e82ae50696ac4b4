//! Versions and cipher suites, by the names that etcd's flags have for them.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, ProtocolVersion, SupportedProtocolVersion};

/// A version of TLS that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl Version {
    /// Reads a flag's value; empty is none. The error is etcd's.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        match text {
            "" => Ok(None),
            "TLS1.2" => Ok(Some(Self::Tls12)),
            "TLS1.3" => Ok(Some(Self::Tls13)),
            _ => Err(format!("unexpected TLS version {text:?} (must be one of: TLS1.2, TLS1.3)")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS1.2",
            Self::Tls13 => "TLS1.3",
        }
    }
}

/// What may be agreed on with the other side.
#[derive(Clone, Debug)]
pub struct Protocol {
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: Arc<CryptoProvider>,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            versions: vec![&rustls::version::TLS12, &rustls::version::TLS13],
            provider: Arc::new(ring::default_provider()),
        }
    }
}

impl PartialEq for Protocol {
    fn eq(&self, other: &Self) -> bool {
        self.versions == other.versions
            && self.provider.cipher_suites == other.provider.cipher_suites
    }
}

impl Eq for Protocol {}

impl Protocol {
    /// Between these versions, with these suites of TLS 1.2; no suites are all. Those of TLS 1.3
    /// cannot be chosen in etcd; here they can: if any is named, only the named ones count.
    pub fn new(
        least: Option<Version>,
        most: Option<Version>,
        suites: &[String],
    ) -> Result<Self, String> {
        let (least, most) = (least.unwrap_or(Version::Tls12), most.unwrap_or(Version::Tls13));
        if least > most {
            return Err(format!(
                "min version ({}) is greater than max version ({})",
                least.name(),
                most.name()
            ));
        }
        if least == Version::Tls13 && !suites.is_empty() {
            return Err("cipher suites cannot be configured when only TLS1.3 is enabled".into());
        }
        let mut protocol = Self::default();
        if !suites.is_empty() {
            protocol.provider = Arc::new(with_suites(suites)?);
        }
        let has_tls12 = protocol
            .provider
            .cipher_suites
            .iter()
            .any(|suite| suite.version().version == ProtocolVersion::TLSv1_2);
        protocol.versions.retain(|version| match version.version {
            ProtocolVersion::TLSv1_2 => least == Version::Tls12 && has_tls12,
            _ => most == Version::Tls13,
        });
        match protocol.versions.is_empty() {
            true => Err("no cipher suite of TLS1.2 was given, and --tls-max-version forbids \
                         TLS1.3"
                .into()),
            false => Ok(protocol),
        }
    }

    pub(super) fn versions(&self) -> &[&'static SupportedProtocolVersion] {
        &self.versions
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }
}

/// Go's (and IANA's) names: those of TLS 1.3 begin with `TLS13` in rustls only. Go has kept two
/// older names beside the right ones.
fn is_named(suite: CipherSuite, name: &str) -> bool {
    let Some(own) = suite.as_str() else { return false };
    let right = own.replacen("TLS13_", "TLS_", 1);
    right == name || (name.ends_with("_POLY1305") && right == format!("{name}_SHA256"))
}

fn with_suites(names: &[String]) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    let known = provider.cipher_suites.clone();
    for name in names {
        if !known.iter().any(|suite| is_named(suite.suite(), name)) {
            let all: Vec<_> = known
                .iter()
                .filter_map(|suite| suite.suite().as_str())
                .map(|name| name.replacen("TLS13_", "TLS_", 1))
                .collect();
            return Err(format!(
                "unexpected TLS cipher suite {name:?}; quorra has {}",
                all.join(", ")
            ));
        }
    }
    let named = |suite: CipherSuite| names.iter().any(|name| is_named(suite, name));
    let is_tls13 = |version| version == ProtocolVersion::TLSv1_3;
    let tls13_is_chosen =
        known.iter().any(|suite| is_tls13(suite.version().version) && named(suite.suite()));
    provider.cipher_suites.retain(|suite| {
        named(suite.suite()) || (is_tls13(suite.version().version) && !tls13_is_chosen)
    });
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(names: &[&str]) -> Result<Vec<&'static str>, String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_string()).collect();
        let protocol = Protocol::new(None, None, &names)?;
        let suites = protocol.provider.cipher_suites.iter();
        Ok(suites.filter_map(|suite| suite.suite().as_str()).collect())
    }

    #[test]
    fn suites_have_gos_names() {
        assert_eq!(
            suites(&[
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ]),
            Ok(vec![
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_AES_128_GCM_SHA256",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ])
        );
        assert_eq!(suites(&["TLS_AES_128_GCM_SHA256"]), Ok(vec!["TLS13_AES_128_GCM_SHA256"]));
        let error = suites(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).expect_err("no forward secrecy");
        assert!(error.starts_with("unexpected TLS cipher suite \"TLS_RSA_WITH_AES_128_CBC_SHA\""));
        assert!(error.contains("quorra has TLS_AES_256_GCM_SHA384, "), "{error}");
    }

    #[test]
    fn versions_have_a_range() {
        let versions = |least: &str, most: &str| {
            Protocol::new(Version::parse(least)?, Version::parse(most)?, &[])
                .map(|protocol| protocol.versions.len())
        };
        assert_eq!(versions("", ""), Ok(2));
        assert_eq!(versions("TLS1.2", "TLS1.2"), Ok(1));
        assert_eq!(versions("TLS1.3", ""), Ok(1));
        for (least, most, error) in [
            ("TLS1.3", "TLS1.2", "min version (TLS1.3) is greater than max version (TLS1.2)"),
            ("SSL3", "", "unexpected TLS version \"SSL3\" (must be one of: TLS1.2, TLS1.3)"),
        ] {
            assert_eq!(versions(least, most), Err(error.into()));
        }
        let suite = ["TLS_AES_128_GCM_SHA256".to_string()];
        assert!(Protocol::new(Some(Version::Tls13), None, &suite).is_err());
        assert!(Protocol::new(None, Some(Version::Tls12), &suite).is_err());
    }
}
