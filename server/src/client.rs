//! A small blocking HTTP/1.1 client: one request, one answer, one connection.
//!
//! For what asks before or beside a member: bootstrap, `quorractl`, and tests. Every exchange has
//! one deadline for all of it, and an answer has a bound.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::urls::Url;

/// The largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

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
    /// The system's reason; a timeout is `TimedOut`.
    Io(io::Error),
    /// What came is not HTTP, or too much of it.
    Malformed(&'static str),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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

/// Asks for a path and waits for the whole answer.
pub fn get(url: &Url, path: &str, timeout: Duration) -> Result<Answer, ClientError> {
    exchange(url, &Request { method: "GET", path, content_type: "", body: b"" }, timeout)
}

/// Sends a request and waits for the whole answer.
pub fn exchange(
    url: &Url,
    request: &Request<'_>,
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(url, deadline)?;
    let content_type = match request.content_type {
        "" => String::new(),
        name => format!("Content-Type: {name}\r\n"),
    };
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{content_type}Content-Length: {}\r\n\r\n",
        request.method,
        request.path,
        url.address,
        request.body.len()
    );
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(&[head.as_bytes(), request.body].concat())?;
    let mut incoming = Incoming { stream, deadline, bytes: Vec::new() };
    incoming.answer(request.method == "HEAD")
}

fn connect(url: &Url, deadline: Instant) -> Result<TcpStream, ClientError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in url.resolve()? {
        match TcpStream::connect_timeout(&address, remaining(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn remaining(deadline: Instant) -> Result<Duration, io::Error> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(io::Error::new(io::ErrorKind::TimedOut, "timed out")),
    }
}

/// The bytes of an answer as they come.
struct Incoming {
    stream: TcpStream,
    deadline: Instant,
    bytes: Vec<u8>,
}

impl Incoming {
    /// Takes in more bytes; false at the end.
    fn more(&mut self) -> Result<bool, ClientError> {
        if self.bytes.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Malformed("the answer is too large"));
        }
        self.stream.set_read_timeout(Some(remaining(self.deadline)?))?;
        let mut chunk = [0; 16 << 10];
        let count = self.stream.read(&mut chunk).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "timed out"),
            _ => error,
        })?;
        self.bytes.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// Takes in bytes until there are that many; false if they end before.
    fn fill(&mut self, count: usize) -> Result<bool, ClientError> {
        while self.bytes.len() < count {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes a line and its end.
    fn line(&mut self) -> Result<String, ClientError> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.bytes.len() > HEAD_BYTES_MAX || !self.more()? {
                return Err(ClientError::Malformed("the answer's head does not end"));
            }
        }
    }

    fn answer(&mut self, head_only: bool) -> Result<Answer, ClientError> {
        let status_line = self.line()?;
        let status = status_line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .ok_or(ClientError::Malformed("the answer is not HTTP/1"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').ok_or(ClientError::Malformed("a header has no colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !head_only && status != 204 {
            answer.body = self.body(&answer)?;
        }
        Ok(answer)
    }

    fn body(&mut self, answer: &Answer) -> Result<Vec<u8>, ClientError> {
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks();
        }
        let Some(length) = answer.header("content-length") else {
            while self.more()? {}
            return Ok(std::mem::take(&mut self.bytes));
        };
        let length = length.parse().map_err(|_| ClientError::Malformed("a length is no number"))?;
        self.take(length)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16)
                .map_err(|_| ClientError::Malformed("a chunk's size is no number"))?;
            if size == 0 {
                return Ok(body);
            }
            if body.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Malformed("the answer is too large"));
            }
            body.extend(self.take(size)?);
            self.line()?;
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, ClientError> {
        if count > ANSWER_BYTES_MAX || !self.fill(count)? {
            return Err(ClientError::Malformed("the answer ends too early"));
        }
        let rest = self.bytes.split_off(count);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }
}

#[cfg(test)]
mod tests {
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
}
