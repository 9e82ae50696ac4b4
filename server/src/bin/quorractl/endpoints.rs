//! Where the servers are: flags, environment, SRV records.

use std::fmt;

use quorra::urls::Url;

use crate::flags::Flags;

/// A server's client URL, and the path below which it serves both APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where to connect.
    pub(crate) url: Url,
    /// Without a slash at its end; empty for all but servers behind a gateway.
    pub(crate) base: String,
    /// As it was given.
    pub(crate) text: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Endpoint {
    /// Reads an endpoint. Without a scheme it is that one; without a port it is the scheme's.
    pub(crate) fn parse(text: &str, default_scheme: &str) -> Result<Self, String> {
        let text = text.trim();
        let full = match text.contains("://") {
            true => text.to_string(),
            false => format!("{default_scheme}://{text}"),
        };
        let (scheme, rest) = full.split_once("://").expect("a scheme was put before it");
        if scheme.starts_with("unix") {
            let url = Url::parse(&full)?;
            return Ok(Self { url, base: String::new(), text: text.to_string() });
        }
        let (authority, base) = match rest.find('/') {
            Some(slash) => (&rest[..slash], rest[slash..].trim_end_matches('/')),
            None => (rest, ""),
        };
        if authority.is_empty() {
            return Err(format!("the endpoint {text:?} has no host"));
        }
        let ported = authority.rsplit(']').next().is_some_and(|behind| behind.contains(':'));
        let port = match scheme {
            _ if ported => "",
            "https" => ":443",
            _ => ":80",
        };
        let url = Url::parse(&format!("{scheme}://{authority}{port}"))?;
        Ok(Self { url, base: base.to_string(), text: text.to_string() })
    }

    /// The endpoint as a whole URL.
    pub(crate) fn full(&self) -> String {
        match self.text.contains("://") {
            true => self.text.clone(),
            false => format!("{}{}", self.url, self.base),
        }
    }
}

/// The endpoints that flags and environment name; empty if they name none.
pub(crate) fn given<'a>(flags: &Flags<'a>) -> Vec<&'a str> {
    let text = flags
        .text_or("endpoints", &["ENDPOINTS"])
        .or_else(|| flags.text_or("endpoint", &["ENDPOINT"]))
        .or_else(|| flags.text_or("peers", &["PEERS"]));
    text.map(|text| text.split(',').collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_people_write_them() {
        let rows = [
            ("127.0.0.1:2379", "http", "http://127.0.0.1:2379", ""),
            ("localhost:2379", "https", "https://localhost:2379", ""),
            ("http://host", "https", "http://host:80", ""),
            ("https://host/", "http", "https://host:443", ""),
            ("http://[::1]", "http", "http://[::1]:80", ""),
            ("http://host:1/etcd/", "http", "http://host:1", "/etcd"),
        ];
        for (text, scheme, url, base) in rows {
            let endpoint = Endpoint::parse(text, scheme).expect(text);
            assert_eq!((endpoint.url.to_string().as_str(), endpoint.base.as_str()), (url, base));
            assert_eq!(endpoint.to_string(), text);
        }
        for wrong in ["", "http://", "ftp://a:1", "http://a:b"] {
            assert!(Endpoint::parse(wrong, "http").is_err(), "{wrong}");
        }
    }
}
