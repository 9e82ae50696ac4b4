//! The URLs that flags name: where to listen, and what to tell others.
//!
//! etcd's rules: a scheme, an address with a port, and nothing behind it. Lists are sorted and
//! free of doubles, because member ids are hashed over them.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// What is spoken at a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// TCP.
    Http,
    /// TLS over TCP.
    Https,
    /// A unix socket.
    Unix,
    /// TLS over a unix socket.
    Unixs,
}

impl Scheme {
    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Unix => "unix",
            Self::Unixs => "unixs",
        }
    }
}

/// A URL of a listener or of a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// What is spoken there.
    pub scheme: Scheme,
    /// `host:port`; for unix sockets the path.
    pub address: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.address)
    }
}

impl Url {
    /// Reads one URL; the error is etcd's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("URL scheme must be http, https, unix, or unixs: {text}");
        let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return Err(refused()),
        };
        if matches!(scheme, Scheme::Http | Scheme::Https) {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            if split_port(authority).is_none() {
                return Err(format!(r#"URL address does not have the form "host:port": {text}"#));
            }
            if authority.len() != rest.len() {
                return Err(format!("URL must not contain a path: {text}"));
            }
        }
        Ok(Self { scheme, address: rest.to_string() })
    }

    /// Reads a list separated by commas; sorted, each once.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let mut urls =
            text.split(',').map(|url| Self::parse(url.trim())).collect::<Result<Vec<_>, _>>()?;
        urls.sort_by_cached_key(Self::to_string);
        urls.dedup();
        Ok(urls)
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = split_port(&self.address).map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; zero for a unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        split_port(&self.address).map_or(0, |(_, port)| port)
    }

    /// The address to listen on: an IP or `localhost`, nothing that a name server could answer.
    pub fn bind_address(&self) -> Result<SocketAddr, String> {
        let refused = || format!("expected IP in URL for binding ({self})");
        let ip = match self.host() {
            "" => IpAddr::from([0, 0, 0, 0]),
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            host => host.parse().map_err(|_| refused())?,
        };
        Ok(SocketAddr::new(ip, self.port()))
    }

    /// Whether it can be listened at: a unix socket anywhere, TCP at an address.
    pub fn check_bindable(&self) -> Result<(), String> {
        match self.scheme {
            Scheme::Unix | Scheme::Unixs => Ok(()),
            Scheme::Http | Scheme::Https => self.bind_address().map(|_| ()),
        }
    }

    /// All the addresses that the host has just now, IPv4 first. Blocks on the name server.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = (self.host(), self.port()).to_socket_addrs()?.collect();
        addresses.sort_by_key(|address| (address.is_ipv6(), *address));
        addresses.dedup();
        Ok(addresses)
    }
}

fn split_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = !host.contains(':');
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if !bare && !bracketed {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// The URLs as text, joined by commas.
#[must_use]
pub fn join(urls: &[Url]) -> String {
    strings(urls).join(",")
}

/// The URLs as text.
#[must_use]
pub fn strings(urls: &[Url]) -> Vec<String> {
    urls.iter().map(Url::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_refused_with_etcds_words() {
        let rows = [
            ("127.0.0.1:2379", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:2379"),
            ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            ("http://a", r#"URL address does not have the form "host:port": http://a"#),
            ("http://a:b", r#"URL address does not have the form "host:port": http://a:b"#),
            ("http://::1:80", r#"URL address does not have the form "host:port": http://::1:80"#),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
        ];
        for (url, error) in rows {
            assert_eq!(Url::parse(url).expect_err(url), error);
        }
    }

    #[test]
    fn lists_are_sorted_and_free_of_doubles() {
        let urls = Url::parse_list("http://b:1, http://a:2,http://b:1").expect("a good list");
        assert_eq!(join(&urls), "http://a:2,http://b:1");
    }

    #[test]
    fn only_addresses_can_be_listened_on() {
        let bind = |url: &str| Url::parse(url).expect(url).bind_address();
        assert_eq!(bind("http://localhost:1"), Ok(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert_eq!(bind("http://[::1]:2").map(|address| address.to_string()), Ok("[::1]:2".into()));
        assert_eq!(bind("http://:3"), Ok(SocketAddr::from(([0, 0, 0, 0], 3))));
        assert_eq!(
            bind("http://example.com:4"),
            Err("expected IP in URL for binding (http://example.com:4)".into())
        );
    }
}
