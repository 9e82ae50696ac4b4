//! A small blocking HTTP/1.1 client, over TCP, TLS and unix sockets: one request, one answer.
//!
//! For what asks before or beside a member: bootstrap, `quorractl`, and tests. [`get`] and
//! [`exchange`] use a connection once; a [`Client`] keeps its connections between requests. What
//! waits has [`Limits`], and an answer has a bound.

mod incoming;
mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use incoming::Incoming;
use stream::Stream;
pub(crate) use stream::{Carrier, Socket, shake_hands};

use crate::tls::ClientTls;
use crate::urls::{Scheme, Url};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields in their order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first field of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nothing listens there, or nothing answers: the address, and the system's reason.
    Dial(String, io::Error),
    /// The system's reason; a timeout is `TimedOut`.
    Io(io::Error),
    /// What came is not HTTP, or too much of it.
    Malformed(&'static str),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(address, error) => write!(f, "dial {address}: {error}"),
            Self::Io(error) => error.fmt(f),
            Self::Malformed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A request with a body; an empty content type sends none.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET` and the like.
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// Of the body.
    pub content_type: &'a str,
    /// May be empty.
    pub body: &'a [u8],
}

/// When an exchange must have come how far; `None` is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Connected, and the answer's head is here.
    pub head: Option<Instant>,
    /// All of the answer is here.
    pub whole: Option<Instant>,
}

impl Limits {
    /// All of it within that time from now.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self { head: None, whole: Some(Instant::now() + timeout) }
    }

    /// The earlier of the two.
    fn until_head(self) -> Option<Instant> {
        [self.head, self.whole].into_iter().flatten().min()
    }
}

/// Asks for a path and waits for the whole answer.
pub fn get(url: &Url, path: &str, timeout: Duration) -> Result<Answer, ClientError> {
    exchange(url, &Request { method: "GET", path, content_type: "", body: b"" }, timeout)
}

/// Sends a request and waits for the whole answer, on a connection of its own. A server behind TLS
/// must be known to the system's authorities.
pub fn exchange(
    url: &Url,
    request: &Request<'_>,
    timeout: Duration,
) -> Result<Answer, ClientError> {
    exchange_by(None, url, request, timeout)
}

/// Sends a request and waits for the whole answer, on a connection of its own; `tls` says whom to
/// trust, and what to show, if the URL asks for TLS. None is the system's authorities, and nothing.
pub fn exchange_by(
    tls: Option<&ClientTls>,
    url: &Url,
    request: &Request<'_>,
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let limits = Limits::within(timeout);
    let mut stream = Stream::connect(url, tls, limits.until_head())?;
    stream.write_all(&encode(url, request, "Connection: close\r\n"), limits.whole)?;
    let (answer, _) = Incoming::new(&mut stream).answer(request.method == "HEAD", limits)?;
    Ok(answer)
}

/// Sends a request and waits for the whole answer, through an HTTP proxy if there is one: it is
/// asked for the whole URL (RFC 9112, 3.2.2), or for a tunnel to a server behind TLS (RFC 9110,
/// 9.3.6).
pub fn exchange_through(
    proxy: Option<&Url>,
    url: &Url,
    request: &Request<'_>,
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let Some(proxy) = proxy else { return exchange(url, request, timeout) };
    let limits = Limits::within(timeout);
    let mut stream = Stream::connect(proxy, None, limits.until_head())?;
    let whole = format!("{url}{}", request.path);
    let mut path = whole.as_str();
    if url.scheme == Scheme::Https {
        let target = url.address.as_str();
        let connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(connect.as_bytes(), limits.whole)?;
        let (answer, _) = Incoming::new(&mut stream).answer(true, limits)?;
        if answer.status != 200 {
            return Err(ClientError::Malformed("the proxy refuses a tunnel to the server"));
        }
        stream.secure(url, limits.until_head())?;
        path = request.path;
    }
    let request = Request { path, ..*request };
    stream.write_all(&encode(url, &request, "Connection: close\r\n"), limits.whole)?;
    let (answer, _) = Incoming::new(&mut stream).answer(request.method == "HEAD", limits)?;
    Ok(answer)
}

/// A request as it is sent; `fields` are whole lines beside those that every request has.
fn encode(url: &Url, request: &Request<'_>, fields: &str) -> Vec<u8> {
    let content_type = match request.content_type {
        "" => String::new(),
        name => format!("Content-Type: {name}\r\n"),
    };
    let host = match url.scheme {
        Scheme::Http | Scheme::Https => url.address.as_str(),
        Scheme::Unix | Scheme::Unixs => "localhost",
    };
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\n{fields}{content_type}Content-Length: {}\r\n\r\n",
        request.method,
        request.path,
        request.body.len()
    );
    [head.as_bytes(), request.body].concat()
}

/// A client of several servers that keeps a connection to each open between requests.
#[derive(Debug)]
pub struct Client {
    connect_timeout: Duration,
    authorization: Option<String>,
    tls: Option<ClientTls>,
    idle: BTreeMap<Url, Stream>,
}

impl Client {
    /// One that has no connection yet. Connecting is bounded by the timeout and by each request's
    /// limits.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        Self { connect_timeout, authorization: None, tls: None, idle: BTreeMap::new() }
    }

    /// Sends this as `Authorization` with every request from now on.
    pub fn authorize(&mut self, authorization: String) {
        self.authorization = Some(authorization);
    }

    /// Trusts and shows this from now on; without, the system's authorities and nothing.
    pub fn secure(&mut self, tls: ClientTls) {
        self.tls = Some(tls);
    }

    /// Sends a request and waits for the whole answer.
    pub fn exchange(
        &mut self,
        url: &Url,
        request: &Request<'_>,
        limits: Limits,
    ) -> Result<Answer, ClientError> {
        if let Some(stream) = self.idle.remove(url).filter(Stream::is_idle) {
            match self.ask(stream, url, request, limits) {
                // The server closed it while the request was under way; it saw none of it.
                Err((_, false)) if request.method == "GET" => {}
                outcome => return outcome.map_err(|(error, _)| error),
            }
        }
        let patience = Some(Instant::now() + self.connect_timeout);
        let deadline = [patience, limits.until_head()].into_iter().flatten().min();
        let stream = Stream::connect(url, self.tls.as_ref(), deadline)?;
        self.ask(stream, url, request, limits).map_err(|(error, _)| error)
    }

    /// Uses a connection, and keeps it if it can be used again. With an error: whether any of the
    /// answer came.
    fn ask(
        &mut self,
        mut stream: Stream,
        url: &Url,
        request: &Request<'_>,
        limits: Limits,
    ) -> Result<Answer, (ClientError, bool)> {
        let authorization = match &self.authorization {
            Some(value) => format!("Authorization: {value}\r\n"),
            None => String::new(),
        };
        stream
            .write_all(&encode(url, request, &authorization), limits.until_head())
            .map_err(|error| (error.into(), false))?;
        let mut incoming = Incoming::new(&mut stream);
        let (answer, reusable) = incoming
            .answer(request.method == "HEAD", limits)
            .map_err(|error| (error, incoming.began))?;
        if reusable {
            self.idle.insert(url.clone(), stream);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// What the client makes of an answer that a server sends before it closes.
    fn answer_to(sent: &'static str) -> Result<Answer, ClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the client connects");
            let mut request = [0; 1024];
            let _some = stream.read(&mut request).expect("the client asks");
            stream.write_all(sent.as_bytes()).expect("the client reads");
        });
        let url = Url::parse(&format!("http://{address}")).expect("a good URL");
        let answer = get(&url, "/", Duration::from_secs(10));
        server.join().expect("the server does not panic");
        answer
    }

    #[test]
    fn bodies_end_by_length_by_chunks_and_by_the_connection() {
        for sent in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            let answer = answer_to(sent).expect(sent);
            assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{sent}");
        }
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for sent in ["", "SSH-2.0\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"] {
            assert!(answer_to(sent).is_err(), "{sent}");
        }
    }

    /// Answers that many requests a connection, `answers` altogether; counts the connections.
    fn serve(listener: &TcpListener, answers: usize, per_connection: usize) -> usize {
        let mut connections = 0;
        let mut left = answers;
        while left > 0 {
            let (mut stream, _) = listener.accept().expect("the client connects");
            connections += 1;
            for _ in 0..per_connection.min(left) {
                let mut request = [0; 1024];
                let _some = stream.read(&mut request).expect("the client asks");
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).expect("the client reads");
                left -= 1;
            }
        }
        connections
    }

    #[test]
    fn a_connection_serves_several_requests_and_is_replaced_when_the_server_closes_it() {
        for (per_connection, connections) in [(4, 1), (2, 2), (1, 4)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
            let address = listener.local_addr().expect("a bound socket has an address");
            let server = std::thread::spawn(move || serve(&listener, 4, per_connection));
            let url = Url::parse(&format!("http://{address}")).expect("a good URL");
            let mut client = Client::new(Duration::from_secs(10));
            let request = Request { method: "GET", path: "/", content_type: "", body: b"" };
            for _ in 0..4 {
                let limits = Limits::within(Duration::from_secs(10));
                let answer = client.exchange(&url, &request, limits).expect("an answer");
                assert_eq!(answer.text(), "ok");
            }
            let used = server.join().expect("the server does not panic");
            assert_eq!(used, connections, "{per_connection} requests a connection");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let answer = answer_to(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        );
        assert_eq!(answer.expect("an answer").text(), "hello");
    }

    #[test]
    fn a_proxy_is_asked_for_the_whole_url_and_for_tunnels() {
        for (url, expected, error) in [
            ("http://h:1", "GET http://h:1/a?b HTTP/1.1\r\nHost: h:1\r\n", None),
            (
                "https://h:1",
                "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n",
                Some("the proxy refuses a tunnel to the server"),
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
            let address = listener.local_addr().expect("a bound socket has an address");
            let proxy = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("the client connects");
                let mut request = [0; 1024];
                let count = stream.read(&mut request).expect("the client asks");
                let answer = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
                stream.write_all(answer).expect("the client reads");
                String::from_utf8_lossy(&request[..count]).into_owned()
            });
            let [url, through] = [url, &format!("http://{address}")]
                .map(|text| Url::parse(text).expect("a good URL"));
            let request = Request { method: "GET", path: "/a?b", content_type: "", body: b"" };
            let patience = Duration::from_secs(10);
            let answer = exchange_through(Some(&through), &url, &request, patience);
            let asked = proxy.join().expect("the proxy does not panic");
            assert!(asked.starts_with(expected), "{asked}");
            match error {
                None => assert_eq!(answer.expect("an answer").status, 403),
                Some(error) => {
                    assert_eq!(answer.expect_err("no tunnel").to_string(), error);
                }
            }
        }
    }

    #[test]
    fn an_address_where_nobody_listens_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        drop(listener);
        let url = Url::parse(&format!("http://{address}")).expect("a good URL");
        match get(&url, "/", Duration::from_secs(10)) {
            Err(ClientError::Dial(dialed, error)) => {
                assert_eq!(dialed, address.to_string());
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    }
}
