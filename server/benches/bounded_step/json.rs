//! The JSON gateway, and the v2 API, by HTTP/1.1 on connections that are kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A connection that asks one thing after another.
pub(crate) struct Connection {
    address: String,
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the member listens");
        stream.set_nodelay(true).expect("a socket takes an option");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes a timeout");
        Self { address: address.to_string(), reader: BufReader::new(stream) }
    }

    fn send(&mut self, method: &str, path: &str, body: &str) {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let content_type = if path.starts_with("/v2/") { form } else { "" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.reader.get_mut().write_all(request.as_bytes()).expect("the member reads");
    }

    /// Reads the head; how long the body is, if that is told.
    fn head(&mut self) -> Option<usize> {
        let mut length = None;
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("the member answers");
        assert!(line.starts_with("HTTP/1.1 20"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.reader.read_line(&mut line).expect("a head is whole");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim_end().parse().ok();
            }
        }
        length
    }

    /// Asks the gateway, and waits for a small answer.
    pub(crate) fn ask(&mut self, path: &str, body: &str) -> Vec<u8> {
        self.send("POST", path, body);
        self.answer()
    }

    /// Sets a key of the v2 store.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.send("PUT", &format!("/v2/keys/{key}"), &format!("value={value}"));
        self.answer();
    }

    fn answer(&mut self) -> Vec<u8> {
        let length = self.head().expect("a small answer tells its length");
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer).expect("an answer is whole");
        answer
    }
}

/// Bytes, as the gateway writes them.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads all keys; how many bytes that took, the ends of the chunks included.
pub(crate) fn range_of_all(address: &str) -> usize {
    let mut connection = Connection::open(address);
    let (key, end) = (bytes(b"bench/"), bytes(b"bench0"));
    connection.send(
        "POST",
        "/v3/kv/range",
        &format!("{{\"key\":\"{key}\",\"range_end\":\"{end}\"}}"),
    );
    if let Some(length) = connection.head() {
        return length;
    }
    let mut whole = 0;
    let mut chunk = Vec::new();
    loop {
        let mut size = String::new();
        connection.reader.read_line(&mut size).expect("a chunk has a size");
        let length = usize::from_str_radix(size.trim_end(), 16).expect("a size is a number");
        chunk.resize(length + 2, 0);
        connection.reader.read_exact(&mut chunk).expect("a chunk is whole");
        whole += length;
        if length == 0 {
            return whole;
        }
    }
}

/// A member's present term.
pub(crate) fn term(address: &str) -> u64 {
    number(&status(address)["header"]["raft_term"])
}

/// How far a member has applied the log.
pub(crate) fn applied(address: &str) -> u64 {
    number(&status(address)["raftAppliedIndex"])
}

fn status(address: &str) -> Value {
    let answer = Connection::open(address).ask("/v3/maintenance/status", "{}");
    serde_json::from_slice(&answer).expect("the gateway answers in JSON")
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().expect("64-bit numbers are text in the gateway's JSON");
    text.parse().expect("digits")
}
