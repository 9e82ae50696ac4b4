//! Where a member listens and how it dials, as its flags say.
//!
//! All files that will be needed are read before anything is listened at: what is wrong with a
//! certificate is an error of the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorra_net::host::Listener;

use crate::flags::Config;
use crate::reactor::{Listening, Secure};
use crate::tls::{ClientTls, ServerTls, Settings, self_signed};
use crate::urls::{Scheme, Url};

/// Where the data directory keeps certificates of the member's own making (etcd).
const FIXTURES: &str = "fixtures";

/// The TLS of a member.
#[derive(Debug)]
pub struct MemberTls {
    clients: Option<Arc<ServerTls>>,
    peers: Option<Arc<ServerTls>>,
    /// How it dials other members; none trusts the system's authorities.
    pub dialing: Option<ClientTls>,
}

impl MemberTls {
    /// Reads certificates; makes those that the flags want made below `root`.
    pub fn read(config: &Config, root: &Path) -> Result<Self, String> {
        let security = &config.security;
        let years = security.self_signed_years;
        let own = |settings: &Settings, wanted: bool, name: &str, urls: &[Url]| {
            let directory = root.join(FIXTURES).join(name);
            with_own(settings, wanted, &directory, urls, years)
        };
        let client_urls = &config.listen_client_urls;
        let peer_urls = &config.listen_peer_urls;
        let clients = own(&security.clients, security.client_auto_tls, "client", client_urls)?;
        let peers = own(&security.peers, security.peer_auto_tls, "peer", peer_urls)?;
        let for_clients = [&client_urls[..], &config.listen_metrics_urls].concat();
        check_clients(&clients, &for_clients)?;
        check_peers(&peers, peer_urls)?;
        let server = |kind, settings: &Settings, urls: &[Url]| {
            let wanted = urls.iter().any(|url| url.scheme.is_secure());
            wanted.then(|| ServerTls::new(kind, settings).map(Arc::new)).transpose()
        };
        Ok(Self {
            clients: server(Listener::Client, &clients, &for_clients)?,
            peers: server(Listener::Peer, &peers, peer_urls)?,
            dialing: dialing(&peers)?.map(|tls| match &config.service_records {
                // Authorities of everybody's know the domain, not its members (etcd).
                Some(records) if peers.trusted_ca_file.is_none() => {
                    tls.with_server_name(records.domain.clone())
                }
                _ => tls,
            }),
        })
    }

    /// The same of a proxy, which has no peers, and dials members as their clients do: with the
    /// clients' certificates, or with the peers' if there are none (etcd).
    pub fn of_proxy(config: &Config, root: &Path) -> Result<Self, String> {
        let security = &config.security;
        let urls = &config.listen_client_urls;
        let directory = root.join(FIXTURES).join("client");
        let years = security.self_signed_years;
        let clients =
            with_own(&security.clients, security.client_auto_tls, &directory, urls, years)?;
        check_clients(&clients, urls)?;
        let as_client = if clients.is_empty() { &security.peers } else { &clients };
        let dials = Settings {
            self_signed: security.client_auto_tls || security.peer_auto_tls,
            // What clients' certificates must be does not count for members'.
            allowed_host_names: Vec::new(),
            ..as_client.clone()
        };
        let wanted = urls.iter().any(|url| url.scheme.is_secure());
        let server = wanted.then(|| ServerTls::new(Listener::Client, &clients).map(Arc::new));
        Ok(Self { clients: server.transpose()?, peers: None, dialing: dialing(&dials)? })
    }

    /// Listens at every URL of that kind.
    pub fn listen(&self, config: &Config, kind: Listener) -> Result<Vec<Listening>, String> {
        let (tls, urls) = match kind {
            Listener::Client => (&self.clients, &config.listen_client_urls),
            Listener::Peer => (&self.peers, &config.listen_peer_urls),
            Listener::Metrics => (&self.clients, &config.listen_metrics_urls),
        };
        let bind = |place: Place<'_>| {
            let secure = tls.clone().filter(|_| place.secure);
            let secure = secure.map(|tls| Secure { tls, takes_plain: place.plain });
            Listening::bind(place.url, kind, secure)
        };
        places(urls).into_values().map(bind).collect()
    }
}

/// How others are dialed. Without a certificate and without authorities there is nothing to read.
fn dialing(settings: &Settings) -> Result<Option<ClientTls>, String> {
    let wanted = !settings.is_empty() || settings.trusted_ca_file.is_some() || settings.self_signed;
    wanted.then(|| ClientTls::of_peers(settings)).transpose()
}

/// What is spoken at one address: as in etcd, plain text and TLS may share it.
struct Place<'a> {
    url: &'a Url,
    secure: bool,
    plain: bool,
}

/// Unix sockets and TCP never share a place.
fn places(urls: &[Url]) -> BTreeMap<(bool, &str), Place<'_>> {
    let mut places = BTreeMap::new();
    for url in urls {
        let is_unix = matches!(url.scheme, Scheme::Unix | Scheme::Unixs);
        let place = places.entry((is_unix, url.address.as_str())).or_insert(Place {
            url,
            secure: false,
            plain: false,
        });
        place.secure |= url.scheme.is_secure();
        place.plain |= !url.scheme.is_secure();
    }
    places
}

/// The settings, with a certificate of the member's own making if one is wanted and none given.
fn with_own(
    settings: &Settings,
    wanted: bool,
    directory: &Path,
    urls: &[Url],
    years: u32,
) -> Result<Settings, String> {
    let mut settings = settings.clone();
    if !wanted {
        return Ok(settings);
    }
    if !settings.is_empty() {
        log::warn!("ignoring auto TLS since certificates are given");
        return Ok(settings);
    }
    let tcp = urls.iter().filter(|url| matches!(url.scheme, Scheme::Http | Scheme::Https));
    let hosts: Vec<_> = tcp.map(|url| url.host().to_string()).collect();
    let (certificate, key): (PathBuf, PathBuf) = self_signed(directory, &hosts, years)?;
    settings.cert_file = Some(certificate);
    settings.key_file = Some(key);
    settings.self_signed = true;
    Ok(settings)
}

/// The words of errors and warnings are etcd's.
fn check_clients(settings: &Settings, urls: &[Url]) -> Result<(), String> {
    for url in urls {
        if !url.scheme.is_secure() && !settings.is_empty() {
            log::warn!(
                "The scheme of client url {url} is HTTP while peer key/cert files are presented. \
                 Ignored key/cert files."
            );
        }
        if !url.scheme.is_secure() && settings.client_cert_auth {
            log::warn!(
                "The scheme of client url {url} is HTTP while client cert auth \
                 (--client-cert-auth) is enabled. Ignored client cert auth for this url."
            );
        }
        if url.scheme.is_secure() && settings.is_empty() {
            return Err(format!(
                "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} \
                 with HTTPS scheme"
            ));
        }
    }
    Ok(())
}

fn check_peers(settings: &Settings, urls: &[Url]) -> Result<(), String> {
    for url in urls {
        if !url.scheme.is_secure() && !settings.is_empty() {
            log::warn!(
                "The scheme of peer url {url} is HTTP while peer key/cert files are presented. \
                 Ignored peer key/cert files."
            );
        }
        if !url.scheme.is_secure() && settings.client_cert_auth {
            log::warn!(
                "The scheme of peer url {url} is HTTP while client cert auth \
                 (--peer-client-cert-auth) is enabled. Ignored client cert auth for this url."
            );
        }
        if url.scheme.is_secure() && settings.is_empty() {
            return Err(format!(
                "cannot listen on TLS for {}: KeyFile and CertFile are not presented",
                url.address
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_and_tls_share_an_address() {
        let urls = "https://127.0.0.1:1,http://127.0.0.1:1,unix://127.0.0.1:1,unixs:///a";
        let urls = Url::parse_list(urls).expect("good URLs");
        let found: Vec<_> = places(&urls)
            .into_iter()
            .map(|((is_unix, address), place)| (is_unix, address, place.secure, place.plain))
            .collect();
        assert_eq!(
            found,
            [
                (false, "127.0.0.1:1", true, true),
                (true, "/a", true, false),
                (true, "127.0.0.1:1", false, true),
            ]
        );
    }
}
