//! What `net/url` makes of a URL, as far as addresses of members go.

use super::quoted;

/// What a URL is made of. One that is opaque (`http:a`) has neither host nor path.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Url<'a> {
    /// As it was given.
    pub(in crate::api) scheme: &'a str,
    /// The authority, with a user if one is named.
    pub(in crate::api) authority: &'a str,
    /// Whether anything follows the authority.
    pub(in crate::api) goes_on: bool,
}

/// Takes a URL apart.
///
/// # Errors
/// What Go says of one that is none.
pub(in crate::api) fn parse(whole: &str) -> Result<Url<'_>, String> {
    let (text, fragment) = cut(whole, '#');
    let reason = |reason: String| format!("parse {}: {reason}", quoted(text.as_bytes()));
    let (scheme, authority, path, query) = split(text).map_err(reason)?;
    check_authority(authority).and_then(|()| check_escapes(path, false)).map_err(reason)?;
    let goes_on = !path.is_empty() || query.is_some() || fragment.is_some();
    Ok(Url { scheme, authority, goes_on })
}

/// Scheme, authority, path and query.
fn split(text: &str) -> Result<(&str, &str, &str, Option<&str>), String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (scheme, rest) = scheme(text)?;
    let (rest, query) = cut(rest, '?');
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            return Ok((scheme, "", "", query));
        }
        if cut(rest, '/').0.contains(':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let behind =
        rest.strip_prefix("//").filter(|rest| !scheme.is_empty() || !rest.starts_with('/'));
    let (authority, path) = match behind {
        Some(behind) => behind.split_at(behind.find('/').unwrap_or(behind.len())),
        None => ("", rest),
    };
    Ok((scheme, authority, path, query))
}

/// The scheme, if there is one, and what follows its colon.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    let is_other = |(place, byte): (usize, char)| {
        let further = byte.is_ascii_digit() || matches!(byte, '+' | '-' | '.');
        !(byte.is_ascii_alphabetic() || place > 0 && further)
    };
    match text.char_indices().position(is_other) {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme".to_owned()),
        Some(end) if text[end..].starts_with(':') => Ok((&text[..end], &text[end + 1..])),
        _ => Ok(("", text)),
    }
}

fn check_authority(authority: &str) -> Result<(), String> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(fits) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let port = match host.strip_prefix('[') {
        Some(address) => address.rsplit_once(']').ok_or("missing ']' in host")?.1,
        None => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !port.is_empty() && (digits == port || !digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("invalid port {} after host", quoted(port.as_bytes())));
    }
    check_escapes(host, true)
}

/// Whether every percent sign begins an escape, which in a host stands for a byte beyond ASCII, and
/// whether a host has only such characters as hosts have.
fn check_escapes(text: &str, is_host: bool) -> Result<(), String> {
    let bytes = text.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        let in_host = byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(byte);
        if *byte == b'%' {
            let escape = &bytes[place..bytes.len().min(place + 3)];
            let is_hex = escape.len() == 3 && escape[1..].iter().all(u8::is_ascii_hexdigit);
            if !is_hex || is_host && matches!(escape[1], b'0'..=b'7') && escape != b"%25" {
                return Err(format!("invalid URL escape {}", quoted(escape)));
            }
        } else if is_host && byte.is_ascii() && !in_host {
            return Err(format!("invalid character {} in host name", quoted(&[*byte])));
        }
    }
    Ok(())
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_as_go_takes_them_apart() {
        let rows = [
            ("http://a:1", ("http", "a:1", false)),
            ("HTTP://[::1]:1/", ("HTTP", "[::1]:1", true)),
            ("http://a:1?q", ("http", "a:1", true)),
            ("http://a:1#f", ("http", "a:1", true)),
            ("http://u:p@a:", ("http", "u:p@a:", false)),
            ("http:a:1", ("http", "", false)),
            ("//a:1/b", ("", "a:1", true)),
            ("a", ("", "", true)),
            ("", ("", "", false)),
            ("http://%e4:1", ("http", "%e4:1", false)),
        ];
        for (text, (scheme, authority, goes_on)) in rows {
            assert_eq!(parse(text), Ok(Url { scheme, authority, goes_on }), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_in_gos_words() {
        let rows = [
            ("127.0.0.1:1", r#""127.0.0.1:1": first path segment in URL cannot contain colon"#),
            (":", r#"":": missing protocol scheme"#),
            ("http://a:x", r#""http://a:x": invalid port ":x" after host"#),
            ("http://[::1]x", r#""http://[::1]x": invalid port "x" after host"#),
            ("http://[::1", r#""http://[::1": missing ']' in host"#),
            ("http://a b:1", r#""http://a b:1": invalid character " " in host name"#),
            ("http://%zz:1", r#""http://%zz:1": invalid URL escape "%zz""#),
            ("http://%41:1", r#""http://%41:1": invalid URL escape "%41""#),
            ("http://a:1/%", r#""http://a:1/%": invalid URL escape "%""#),
            ("http://u[@a:1", r#""http://u[@a:1": net/url: invalid userinfo"#),
            ("\0", r#""\x00": net/url: invalid control character in URL"#),
            ("http://a\t:1#b", r#""http://a\t:1": net/url: invalid control character in URL"#),
        ];
        for (text, reason) in rows {
            assert_eq!(parse(text), Err(format!("parse {reason}")), "{text}");
        }
    }
}
