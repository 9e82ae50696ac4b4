//! Which header fields pass a proxy, and which end at it.

use crate::http::{Headers, Request};

/// Fields that are about one connection (RFC 9110, 7.6.1; etcd's list among them).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// The fields of a request as an endpoint gets them. `remote` is the client's address; `authority`
/// stands in for a host that the client did not name.
pub(super) fn of_request(request: &Request, remote: Option<&str>, authority: &str) -> Headers {
    let own = |name: &[u8]| {
        // The whole body is sent at once, with its length.
        is(name, "content-length") || is(name, "expect") || is(name, "x-forwarded-for")
    };
    let mut passed = passing(&request.headers, own);
    if request.headers.first("host").is_none() {
        passed.push(b"Host", authority.as_bytes());
    }
    let before = request.headers.all("x-forwarded-for");
    let chain: Vec<&[u8]> = before.chain(remote.map(str::as_bytes)).collect();
    if !chain.is_empty() {
        passed.push(b"X-Forwarded-For", &chain.join(&b", "[..]));
    }
    passed
}

/// The fields of an answer as the client gets them; length and date are the connection's.
pub(super) fn of_answer(headers: &Headers) -> Headers {
    passing(headers, |name| is(name, "content-length") || is(name, "date"))
}

/// The address without the port, as it is told to endpoints; none for a unix socket.
pub(super) fn address(remote: &str) -> Option<String> {
    let (host, port) = remote.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// What is not about one connection and not `dropped`.
fn passing(headers: &Headers, dropped: impl Fn(&[u8]) -> bool) -> Headers {
    let named: Vec<&[u8]> = headers
        .all("connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let mut passed = Headers::default();
    for (name, value) in headers.iter() {
        let ends_here = HOP_BY_HOP.iter().any(|field| is(name, field))
            || named.iter().any(|field| name.eq_ignore_ascii_case(field));
        if !ends_here && !dropped(name) {
            passed.push(name, value);
        }
    }
    passed
}

fn is(name: &[u8], field: &str) -> bool {
    name.eq_ignore_ascii_case(field.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::Method;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    fn request(fields: &[(&str, &str)]) -> Request {
        Request {
            method: Method::Get,
            path: Bytes::from_static(b"/"),
            query: None,
            headers: headers(fields),
            body: Bytes::new(),
            oversized: false,
            secure: false,
            rpc: false,
        }
    }

    #[test]
    fn what_is_about_one_connection_ends_at_the_proxy() {
        let given = request(&[
            ("Host", "h"),
            ("Connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Expect", "100-continue"),
            ("Proxy-Authorization", "x"),
            ("Content-Length", "3"),
            ("Authorization", "Basic x"),
            ("X-Etcd-Foo", "y"),
        ]);
        let expected = [
            ("Host", "h"),
            ("Authorization", "Basic x"),
            ("X-Etcd-Foo", "y"),
            ("X-Forwarded-For", "10.0.0.1"),
        ];
        assert_eq!(of_request(&given, Some("10.0.0.1"), "e:1"), headers(&expected));
        let answer = [("Date", "now"), ("Content-Length", "3"), ("Connection", "a"), ("A", "b")];
        assert_eq!(of_answer(&headers(&answer)), headers(&[]));
        assert_eq!(of_answer(&headers(&[("Access", "*")])), headers(&[("Access", "*")]));
    }

    #[test]
    fn the_chain_of_proxies_grows_by_the_client() {
        let given = request(&[("X-Forwarded-For", "a, b"), ("X-Forwarded-For", "c")]);
        let expected = [("Host", "e:1"), ("X-Forwarded-For", "a, b, c, ::1")];
        let remote = address("[::1]:4000");
        assert_eq!(of_request(&given, remote.as_deref(), "e:1"), headers(&expected));
        assert_eq!(address("/run/socket"), None);
        assert_eq!(address("10.0.0.1:4000").as_deref(), Some("10.0.0.1"));
    }
}
