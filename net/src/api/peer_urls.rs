//! Peer URLs as clients give them to both APIs: etcd's rules and words.
//!
//! Stricter than etcd in what nobody could ever connect to: a port is a number of 16 bits, and
//! there is neither a user nor a query.

use super::go;

/// URLs that one member may have.
const URLS_MAX: usize = 64;
/// The longest URL: names are at most 253 bytes long (RFC 1035), sockets' paths 108.
const URL_BYTES_MAX: usize = 512;

/// The URLs trimmed and sorted, as a member's id is hashed over them.
///
/// # Errors
/// What etcd says of the first URL that is none: it needs a scheme, an address with a port, and
/// nothing behind it.
pub(super) fn checked(urls: &[String]) -> Result<Vec<String>, String> {
    if urls.is_empty() {
        return Err("no valid URLs given".to_owned());
    }
    if urls.len() > URLS_MAX {
        return Err(format!("more than {URLS_MAX} URLs given"));
    }
    let mut checked = urls.iter().map(|url| one(url.trim())).collect::<Result<Vec<_>, _>>()?;
    checked.sort();
    Ok(checked)
}

fn one(url: &str) -> Result<String, String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("URL is longer than {URL_BYTES_MAX} bytes"));
    }
    let parts = go::url::parse(url)?;
    let scheme = parts.scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https" | "unix" | "unixs") {
        return Err(format!("URL scheme must be http, https, unix, or unixs: {url}"));
    }
    if !has_port(parts.authority) {
        return Err(format!(r#"URL address does not have the form "host:port": {url}"#));
    }
    if parts.goes_on {
        return Err(format!("URL must not contain a path: {url}"));
    }
    Ok(format!("{scheme}://{}", parts.authority))
}

/// Whether an authority ends with a port; only an address in brackets may hold colons of its own.
fn has_port(authority: &str) -> bool {
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_trimmed_and_sorted_or_refused_with_etcds_words() {
        let check = |urls: &[&str]| {
            let given: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            checked(&given)
        };
        let good = check(&[" http://b:2", "HTTPS://[::1]:1 "]);
        assert_eq!(good.expect("good URLs"), ["http://b:2", "https://[::1]:1"]);
        let rows: [(&[&str], &str); 11] = [
            (&[], "no valid URLs given"),
            (&["a:1"], "URL scheme must be http, https, unix, or unixs: a:1"),
            (&["1:1"], r#"parse "1:1": first path segment in URL cannot contain colon"#),
            (&["ftp://a:1"], "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            (&["http://a"], r#"URL address does not have the form "host:port": http://a"#),
            (&["http:a:1"], r#"URL address does not have the form "host:port": http:a:1"#),
            (
                &["http://a:65536"],
                r#"URL address does not have the form "host:port": http://a:65536"#,
            ),
            (&["http://::1"], r#"URL address does not have the form "host:port": http://::1"#),
            (&["http://a:1/"], "URL must not contain a path: http://a:1/"),
            (&["http://a:1?b"], "URL must not contain a path: http://a:1?b"),
            (&["http://a b:1"], r#"parse "http://a b:1": invalid character " " in host name"#),
        ];
        for (urls, refusal) in rows {
            assert_eq!(check(urls).expect_err(refusal), refusal);
        }
    }
}
