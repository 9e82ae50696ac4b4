//! Members and client URLs by service records: `--discovery-srv`.
//!
//! A domain tells of members behind TLS by `_etcd-server-ssl._tcp`, and of others by
//! `_etcd-server._tcp`; both are asked for, and what they tell is put together. Clients look for
//! `_etcd-client-ssl._tcp` and `_etcd-client._tcp`. With `--discovery-srv-name NAME` each of the
//! first labels ends in `-NAME`.
//!
//! Records do not name members. A member knows itself by its addresses and gives the others
//! numbers; that is enough, because ids are made of URLs alone. Unlike etcd 3.4, which never gets
//! to the second lookup unless the first one fails and then returns that failure, the numbers go
//! on through both lookups, and a target that is in both counts once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{DnsError, Resolver};
use crate::flags::ServiceRecords;
use crate::urls::{Scheme, Url};

/// The two lookups: the label's ending, and what is spoken there.
const LOOKUPS: [(&str, Scheme); 2] = [("-ssl", Scheme::Https), ("", Scheme::Http)];

fn record(service: &str, ending: &str, records: &ServiceRecords) -> String {
    let ServiceRecords { domain, name } = records;
    let name = if name.is_empty() { String::new() } else { format!("-{name}") };
    format!("_{service}{ending}{name}._tcp.{domain}")
}

fn url(scheme: Scheme, host: &str, port: u16) -> Url {
    Url { scheme, address: format!("{host}:{port}") }
}

/// The client URLs that a domain tells of, those behind TLS first.
///
/// # Errors
/// Both lookups failed, and why.
pub fn client_endpoints(resolver: &Resolver, records: &ServiceRecords) -> Result<Vec<Url>, String> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for (ending, scheme) in LOOKUPS {
        match resolver.services(&record("etcd-client", ending, records)) {
            Ok(services) => {
                found.extend(services.iter().map(|each| url(scheme, &each.host, each.port)));
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    match found.is_empty() {
        true => Err(format!("dns lookup errors: {}", errors.join(" and "))),
        false => Ok(found),
    }
}

/// The members that a domain tells of, as `--initial-cluster` would have them; the one at an
/// address of `own` under `name`, the others under numbers.
///
/// # Errors
/// Why there is nobody at all.
pub fn server_cluster(
    resolver: &Resolver,
    records: &ServiceRecords,
    name: &str,
    own: &[Url],
) -> Result<String, String> {
    let mut naming = Naming::new(name, own)?;
    let mut errors = Vec::new();
    for (ending, scheme) in LOOKUPS {
        let label = format!("_etcd-server{ending}");
        let queried =
            |error: DnsError| format!("error querying DNS SRV records for {label} {error}");
        match resolver.services(&record("etcd-server", ending, records)).map_err(queried) {
            Ok(services) => {
                for each in services {
                    if let Err(error) = naming.add(&label, url(scheme, &each.host, each.port)) {
                        log::error!("{error}");
                        errors.push(error);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    match naming.found.is_empty() {
        true => Err(errors.join("; ")),
        false => Ok(naming.found.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>().join(",")),
    }
}

/// Gives each target a name.
struct Naming<'a> {
    name: &'a str,
    /// This member's URLs by all of their addresses.
    own: BTreeMap<SocketAddr, &'a Url>,
    numbers: usize,
    /// What stands behind the scheme, and the entry of the list.
    found: Vec<(String, String)>,
}

impl<'a> Naming<'a> {
    fn new(name: &'a str, own: &'a [Url]) -> Result<Self, String> {
        let mut addresses = BTreeMap::new();
        for url in own {
            let resolved =
                url.resolve().map_err(|error| format!("cannot resolve {url}: {error}"))?;
            addresses.extend(resolved.into_iter().map(|address| (address, url)));
        }
        Ok(Self { name, own: addresses, numbers: 0, found: Vec::new() })
    }

    fn add(&mut self, label: &str, target: Url) -> Result<(), String> {
        if self.found.iter().any(|(address, _)| *address == target.address) {
            return Ok(());
        }
        let resolved =
            target.resolve().map_err(|error| format!("cannot resolve {target}: {error}"))?;
        let own = resolved.iter().find_map(|address| self.own.get(address));
        let entry = match own {
            Some(own) if own.scheme != target.scheme => {
                return Err(format!(
                    "bootstrap at {target} from DNS for {label} has scheme mismatch with expected \
                     peer {own}"
                ));
            }
            Some(_) => format!("{}={target}", self.name),
            None => format!("{}={target}", self.next_number()),
        };
        log::info!("got bootstrap from DNS for {label} at {entry}");
        self.found.push((target.address, entry));
        Ok(())
    }

    /// The next number that is not this member's own name.
    fn next_number(&mut self) -> usize {
        if self.numbers.to_string() == self.name {
            self.numbers += 1;
        }
        self.numbers += 1;
        self.numbers - 1
    }
}
