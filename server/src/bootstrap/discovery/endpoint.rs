//! `--discovery`: where the discovery service is, and which directory there is the cluster's.

use std::fmt;

use crate::urls::{Scheme, Url};

/// A discovery URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The server.
    pub(super) server: Url,
    /// The token's directory as a path there, without a slash at its end.
    pub(super) directory: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.server, self.directory)
    }
}

impl Endpoint {
    /// Reads an absolute URL; a missing port is that of the scheme.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (server, rest) = split(text)?;
        let path = rest.split(['?', '#']).next().unwrap_or(rest);
        Ok(Self { server, directory: path.trim_end_matches('/').to_string() })
    }

    /// Where a `Location` leads: another server, or a path on this one.
    pub(super) fn redirected(&self, location: &str) -> Result<(Url, String), String> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok((self.server.clone(), location.to_string()));
        }
        let (server, rest) = split(location)?;
        let path = if rest.starts_with('/') { rest.to_string() } else { format!("/{rest}") };
        Ok((server, path))
    }
}

/// A proxy's URL; one without a scheme is taken for `http` (as Go does with `HTTP_PROXY`).
pub(super) fn proxy(text: &str) -> Result<Url, String> {
    let named = text.starts_with("http://") || text.starts_with("https://");
    let url = if named { text.to_string() } else { format!("http://{text}") };
    split(&url)
        .map(|(server, _)| server)
        .map_err(|reason| format!("invalid proxy address {text:?}: {reason}"))
}

/// The server of an `http` or `https` URL, and what stands behind it.
fn split(text: &str) -> Result<(Url, &str), String> {
    let refused = || format!("{text:?} is not an http or https URL");
    let (name, rest) = text.split_once("://").ok_or_else(refused)?;
    let (scheme, port) = match name {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        _ => return Err(refused()),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let address = if has_port { authority.to_string() } else { format!("{authority}:{port}") };
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
    let good = Url::parse(&format!("{name}://{address}")).is_ok()
        && !address.starts_with(':')
        && address.bytes().all(plain);
    good.then_some((Url { scheme, address }, rest)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("http://h:1/v2/keys/x/t", "http://h:1", "/v2/keys/x/t"),
            ("https://discovery.etcd.io/t", "https://discovery.etcd.io:443", "/t"),
            ("http://[::1]/t/", "http://[::1]:80", "/t"),
            ("http://[::1]:9/t//", "http://[::1]:9", "/t"),
            ("http://h:1/t?x=1", "http://h:1", "/t"),
            ("http://h:1", "http://h:1", ""),
        ];
        for (text, server, directory) in rows {
            let endpoint = Endpoint::parse(text).expect(text);
            let found = (endpoint.server.to_string(), endpoint.directory);
            assert_eq!(found, (server.to_string(), directory.to_string()), "{text}");
        }
        for text in ["", "foo", "foo/t", "ftp://h/t", "http://", "http:///t", "http://u@h/t"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn redirects_lead_to_paths_and_to_other_servers() {
        let endpoint = Endpoint::parse("http://h:1/t").expect("a good URL");
        let rows = [
            ("/u?x=1", Some(("http://h:1", "/u?x=1"))),
            ("http://g/u", Some(("http://g:80", "/u"))),
            ("http://g:2?x", Some(("http://g:2", "/?x"))),
            ("//g/u", None),
            ("u", None),
        ];
        for (location, expected) in rows {
            let found = endpoint.redirected(location).ok();
            let expected = expected.map(|(url, path)| (url.to_string(), path.to_string()));
            assert_eq!(found.map(|(url, path)| (url.to_string(), path)), expected, "{location}");
        }
    }

    #[test]
    fn proxies_may_come_without_a_scheme() {
        for text in ["p:3128", "http://p:3128", "http://p:3128/"] {
            assert_eq!(proxy(text).map(|url| url.to_string()), Ok("http://p:3128".into()));
        }
        assert!(proxy(":::").expect_err("no host").starts_with("invalid proxy address \":::\": "));
    }
}
