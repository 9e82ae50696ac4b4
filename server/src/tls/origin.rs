//! Whether a peer comes from where its certificate says: etcd's flag to turn that off is
//! `--peer-skip-client-san-verification`. Blocks on name servers.

use std::net::{IpAddr, ToSocketAddrs};

use quorra_net::host::Identity;

/// A certificate with DNS names is taken from an address only if one of the address's names is
/// among them or below one of the wildcards, or if one of them has the address.
pub(crate) fn check(address: IpAddr, names: &Identity) -> Result<(), String> {
    if names.dns_names.is_empty() {
        let valid: Vec<_> = names.addresses.iter().map(IpAddr::to_string).collect();
        return Err(format!("x509: certificate is valid for {}, not {address}", valid.join(", ")));
    }
    let own = dns_lookup::lookup_addr(&address);
    if own.as_ref().is_ok_and(|own| names.dns_names.iter().any(|name| covers(name, own))) {
        return Ok(());
    }
    let has_address = |name: &&String| {
        let found = (name.as_str(), 0).to_socket_addrs();
        found.is_ok_and(|mut found| found.any(|found| found.ip() == address))
    };
    if names.dns_names.iter().filter(|name| !name.starts_with("*.")).any(|name| has_address(&name))
    {
        return Ok(());
    }
    let reason = own.err().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(format!("tls: \"{address}\" does not match any of DNSNames {:?}{reason}", names.dns_names))
}

fn covers(name: &str, own: &str) -> bool {
    let own = own.trim_end_matches('.');
    match name.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => own.ends_with(suffix),
        _ => own == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_comes_from_where_its_certificate_says() {
        let names = |dns: &[&str], addresses: &[[u8; 4]]| Identity {
            dns_names: dns.iter().map(|name| (*name).to_string()).collect(),
            addresses: addresses.iter().map(|octets| IpAddr::from(*octets)).collect(),
            ..Identity::default()
        };
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(check(loopback, &names(&["localhost"], &[])), Ok(()));
        assert_eq!(
            check(loopback, &names(&[], &[[10, 0, 0, 1]])),
            Err("x509: certificate is valid for 10.0.0.1, not 127.0.0.1".into())
        );
        let error = check(loopback, &names(&["a.invalid"], &[[10, 0, 0, 1]]));
        let error = error.expect_err("RFC 6761: nobody has that name");
        assert!(error.starts_with("tls: \"127.0.0.1\" does not match any of DNSNames"), "{error}");
    }

    #[test]
    fn wildcards_cover_what_is_below_them() {
        assert!(covers("*.b.example", "a.b.example."));
        assert!(covers("a.b.example", "a.b.example"));
        assert!(!covers("*.b.example", "b.example"));
        assert!(!covers("*", "a"), "only a whole label is a wildcard");
    }
}
