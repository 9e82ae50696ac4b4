//! HTTP/1.1, the client's side: requests out, answers in; bytes both.
//!
//! The one idea: a connection carries one request at a time, and its answer is handed on as it
//! comes: head, pieces, end. Only an unfinished head or line is kept, so an answer of any size
//! costs no more than what was received at once.
//!
//! Bytes whose meaning is in doubt end the connection (RFC 9112, 6.3), as on the server's side:
//! who guessed where an answer ends could give one client the answer to another one's request.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::body::{Body, Progress};
use super::head::{self, Framing, Refusal};
use super::write;
use crate::http::{Headers, Method};

/// The largest head of an answer, informational ones in front of it included.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most fields of an answer.
const FIELDS_MAX: usize = 128;

/// A request; it is written at once and in full.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What to do.
    pub method: &'a Method,
    /// Percent-encoded, without the query.
    pub path: &'a [u8],
    /// Behind the question mark.
    pub query: Option<&'a [u8]>,
    /// All fields but the body's length.
    pub headers: &'a Headers,
    /// May be empty.
    pub body: &'a [u8],
}

/// An answer's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code; never an informational one.
    pub status: u16,
    /// All fields, as they came.
    pub headers: Headers,
    /// What the body's length is said to be; for HEAD it would have been.
    pub length: Option<u64>,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer begins.
    Head(Head),
    /// More of its body; never empty.
    Data(Bytes),
    /// It is over.
    End,
}

/// What came is not an answer, or not of this request: the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed answer: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<Refusal> for Malformed {
    fn from(refusal: Refusal) -> Self {
        Self(if refusal.detail.is_empty() { "bad head" } else { refusal.detail })
    }
}

/// The client's side of one connection.
#[derive(Debug)]
pub struct Connection {
    state: State,
    input: BytesMut,
    /// How much of the input was searched for the end of a head.
    scanned: usize,
    /// Bytes of informational heads before the one that is due.
    informational: usize,
    output: BytesMut,
    /// Whether the present answer leaves the connection open.
    keep_alive: bool,
}

#[derive(Debug)]
enum State {
    /// No answer is due.
    Idle,
    /// An answer's head is due; whether the request was HEAD.
    Head(bool),
    /// Inside a body that tells its end.
    Body(Body),
    /// Inside a body that ends with the connection.
    Rest,
}

/// Where a body ends.
enum End {
    None,
    Told(Framing),
    WithConnection,
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Connection {
    /// A connection that has just been opened.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Idle,
            input: BytesMut::new(),
            scanned: 0,
            informational: 0,
            output: BytesMut::new(),
            keep_alive: true,
        }
    }

    /// Asks. Only while [`Self::is_idle`].
    pub fn ask(&mut self, question: Question<'_>) {
        assert!(self.is_idle(), "a connection carries one request at a time");
        write::put_question(&mut self.output, question);
        self.informational = 0;
        self.state = State::Head(*question.method == Method::Head);
    }

    /// Bytes came in; [`Self::next_event`] is called until there is none.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next thing that came in.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn next_event(&mut self) -> Result<Option<Event>, Malformed> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle if self.input.is_empty() => Ok(None),
            State::Idle => Err(Malformed("bytes that nobody asked for")),
            State::Head(head_only) => self.next_head(head_only),
            State::Body(body) => self.next_piece(body),
            State::Rest => {
                self.state = State::Rest;
                let rest = self.input.split().freeze();
                Ok((!rest.is_empty()).then_some(Event::Data(rest)))
            }
        }
    }

    /// The other side sends no more: the end of an answer, or of a connection that owes none.
    ///
    /// # Errors
    /// An answer is cut off.
    pub fn ended(&mut self) -> Result<Option<Event>, Malformed> {
        self.keep_alive = false;
        match self.state {
            State::Idle => Ok(None),
            State::Rest => {
                self.state = State::Idle;
                Ok(Some(Event::End))
            }
            State::Head(_) | State::Body(_) => Err(Malformed("the answer ends too early")),
        }
    }

    /// What waits to be written; the driver takes written bytes off its front.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether no answer is due.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether nothing of an answer that is due has come yet.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Head(_)) && self.input.is_empty() && self.informational == 0
    }

    /// Whether another request may follow on this connection.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.is_idle() && self.keep_alive && self.input.is_empty() && self.output.is_empty()
    }

    fn next_head(&mut self, head_only: bool) -> Result<Option<Event>, Malformed> {
        loop {
            let room = HEAD_BYTES_MAX.saturating_sub(self.informational);
            let within = self.input.get(..room).unwrap_or(&self.input);
            let Some(length) = head::find_end(within, &mut self.scanned)? else {
                self.state = State::Head(head_only);
                let too_large = self.input.len() >= room;
                return if too_large { Err(Malformed("the head is too large")) } else { Ok(None) };
            };
            let bytes = self.input.split_to(length);
            if let Some((head, end)) = self.parse(&bytes, head_only)? {
                self.state = match end {
                    End::None => State::Body(Body::unbounded(Framing::Length(0))),
                    End::Told(framing) => State::Body(Body::unbounded(framing)),
                    End::WithConnection => State::Rest,
                };
                return Ok(Some(Event::Head(head)));
            }
            self.informational = self.informational.saturating_add(length);
        }
    }

    /// A head, and where its body ends; none if it is informational.
    fn parse(&mut self, bytes: &[u8], head_only: bool) -> Result<Option<(Head, End)>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let complete = answer.parse(bytes).is_ok_and(|status| status.is_complete());
        let (true, Some(status), Some(version)) = (complete, answer.code, answer.version) else {
            return Err(Malformed("bad head"));
        };
        match status {
            101 => return Err(Malformed("nobody asked for another protocol")),
            100..200 => return Ok(None),
            200..600 => {}
            _ => return Err(Malformed("bad status")),
        }
        let meaning = Meaning::of(answer.headers, version == 0)?;
        let bodiless = head_only || matches!(status, 204 | 304);
        let end = match (meaning.chunked, meaning.length) {
            _ if bodiless => End::None,
            (true, _) => End::Told(Framing::Chunked),
            (false, Some(length)) => End::Told(Framing::Length(length)),
            (false, None) => End::WithConnection,
        };
        self.keep_alive = meaning.keep_alive && !matches!(end, End::WithConnection);
        let text = answer.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
        let mut headers = Headers::with_capacity(answer.headers.len(), text);
        for field in &*answer.headers {
            headers.push(field.name.as_bytes(), field.value);
        }
        Ok(Some((Head { status, headers, length: meaning.length }, end)))
    }

    fn next_piece(&mut self, mut body: Body) -> Result<Option<Event>, Malformed> {
        let progress = body.advance(&mut self.input)?;
        let piece = body.take_bytes();
        if !piece.is_empty() {
            self.state = State::Body(body);
            return Ok(Some(Event::Data(piece.freeze())));
        }
        match progress {
            Progress::Complete => Ok(Some(Event::End)),
            Progress::Partial => {
                self.state = State::Body(body);
                Ok(None)
            }
            Progress::Oversized => unreachable!("this body has no limit"),
        }
    }
}

/// What the fields of an answer say that concern the connection.
struct Meaning {
    keep_alive: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Meaning {
    fn of(fields: &[httparse::Header<'_>], old: bool) -> Result<Self, Malformed> {
        let mut meaning = Self { keep_alive: !old, length: None, chunked: false };
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                if meaning.length.replace(head::length(field.value)?).is_some() {
                    return Err(Malformed("too many Content-Length headers"));
                }
            } else if is("transfer-encoding") {
                if old || meaning.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("unsupported transfer encoding"));
                }
                meaning.chunked = true;
            } else if is("connection") {
                let mut options = field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                meaning.keep_alive &= !options.any(|it| it.eq_ignore_ascii_case(b"close"));
            }
        }
        match (meaning.chunked, meaning.length) {
            (true, Some(_)) => Err(Malformed("both Content-Length and Transfer-Encoding")),
            _ => Ok(meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(method: &Method) -> Connection {
        let mut connection = Connection::new();
        let headers = Headers::default();
        connection.ask(Question { method, path: b"/", query: None, headers: &headers, body: b"" });
        connection.output().clear();
        connection
    }

    /// The status and the body of an answer to GET that comes in pieces, and whether the
    /// connection can be used again; or what is wrong.
    fn read(pieces: &[&[u8]]) -> Result<(u16, String, bool), Malformed> {
        let mut connection = asked(&Method::Get);
        let (mut status, mut body, mut over) = (0, Vec::new(), false);
        let mut take = |event: Event| match event {
            Event::Head(head) => status = head.status,
            Event::Data(bytes) => body.extend_from_slice(&bytes),
            Event::End => over = true,
        };
        for piece in pieces {
            connection.receive(piece);
            while let Some(event) = connection.next_event()? {
                take(event);
            }
        }
        let reusable = connection.is_reusable();
        connection.ended()?.into_iter().for_each(&mut take);
        assert!(over, "an answer is over or malformed when its connection ends");
        Ok((status, String::from_utf8_lossy(&body).into_owned(), reusable))
    }

    #[test]
    fn a_question_is_written_as_a_request() {
        let mut connection = Connection::new();
        let mut headers = Headers::default();
        headers.push(b"Host", b"h:1");
        headers.push(b"X", b"a\r\nY: b");
        let mut question = Question {
            method: &Method::Put,
            path: b"/v2/keys/a%20b",
            query: Some(b"ttl=5"),
            headers: &headers,
            body: b"value=1",
        };
        connection.ask(question);
        let text = "PUT /v2/keys/a%20b?ttl=5 HTTP/1.1\r\nHost: h:1\r\nX: a  Y: b\r\n\
                    Content-Length: 7\r\n\r\nvalue=1";
        assert_eq!(connection.output(), text);
        (question.method, question.query, question.body) = (&Method::Get, None, b"");
        let mut connection = Connection::new();
        connection.ask(question);
        assert!(connection.output().ends_with(b"b\r\n\r\n"), "no length where no body is usual");
    }

    #[test]
    fn bodies_end_by_length_by_chunks_and_with_the_connection() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
            (
                "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: u\r\n\r\n",
                "hello",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello",
                "hello",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                "hi",
                true,
            ),
        ];
        for (text, body, reusable) in rows {
            let found = read(&[text.as_bytes()]);
            assert_eq!(found, Ok((200, body.to_owned(), reusable)), "{text:?}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let mut connection = asked(&Method::Head);
        connection.receive(head.as_bytes());
        let Ok(Some(Event::Head(head))) = connection.next_event() else { panic!("a head") };
        assert_eq!(head.length, Some(5));
        assert_eq!(connection.next_event(), Ok(Some(Event::End)));
        assert!(connection.is_reusable());
        for status in [204, 304] {
            let text = format!("HTTP/1.1 {status} \r\nContent-Length: 5\r\n\r\n");
            assert_eq!(read(&[text.as_bytes()]), Ok((status, String::new(), true)));
        }
    }

    #[test]
    fn doubtful_answers_end_the_connection() {
        let rows = [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 600 No\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ntoo short",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Len",
            "",
        ];
        for text in rows {
            assert!(read(&[text.as_bytes()]).is_err(), "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let field = format!("A: {}\r\n", "x".repeat(1_000));
        let endless = format!("HTTP/1.1 200 OK\r\n{}", field.repeat(HEAD_BYTES_MAX / 1_000 + 1));
        assert_eq!(read(&[endless.as_bytes()]), Err(Malformed("the head is too large")));
        let fields = "A: b\r\n".repeat(FIELDS_MAX + 1);
        let many = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(read(&[many.as_bytes()]), Err(Malformed("bad head")));
        let informational = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_BYTES_MAX / 20);
        assert_eq!(read(&[informational.as_bytes()]), Err(Malformed("the head is too large")));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_answer(cut in 0..200_usize, text in 0..3_usize) {
            let text = [
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: u\r\n\r\n",
                "HTTP/1.1 200 OK\r\nServer: s\r\n\r\nhello",
            ][text].as_bytes();
            let (first, second) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(read(&[first, second]), read(&[text]));
        }
    }
}
