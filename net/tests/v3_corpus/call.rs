//! One exchange with a member, by each of the ways to its v3 API; answers look as the corpus has
//! them.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::member::Member;
use super::wire::Wire;

/// For how many milliseconds of virtual time an answer is waited for.
const PATIENCE: usize = 10_000;

/// A POST by HTTP/1.1 on a connection of its own.
pub(crate) fn json(member: &mut Member, path: &str, body: &str) -> Value {
    let connection = member.connect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: member\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    member.send(connection, [head.as_bytes(), body.as_bytes()].concat().as_slice());
    let mut answer = Vec::new();
    for _ in 0..PATIENCE {
        answer.extend(member.take(connection));
        if let Some(value) = parsed(&answer) {
            return value;
        }
        member.pass();
    }
    panic!("no answer to {path}: {:?}", String::from_utf8_lossy(&answer));
}

/// The answer, once all of it has come.
fn parsed(answer: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(answer).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n")?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let document = match field("content-length") {
        Some(length) => (length.parse() == Ok(body.len())).then(|| body.to_owned())?,
        None => dechunked(body)?,
    };
    let status: u16 = head[9..12].parse().expect("a status is a number");
    let content: Value = serde_json::from_str(&document).expect("the gateway answers JSON");
    let kind = field("content-type").unwrap_or_default();
    Some(if status == 200 {
        json!({"http": status, "content_type": kind, "code": 0, "response": content})
    } else {
        let (code, message) = (&content["code"], &content["message"]);
        json!({"http": status, "content_type": kind, "code": code, "message": message})
    })
}

fn dechunked(mut body: &str) -> Option<String> {
    let mut document = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).expect("a chunk has a length");
        document.push_str(rest.get(..length)?);
        body = rest.get(length + 2..)?;
        if length == 0 {
            return Some(document);
        }
    }
}

/// A gRPC call by h2's client on a connection of its own.
pub(crate) fn grpc(member: &mut Member, wire: &Wire, path: &str, request: &Value) -> Value {
    let (asked, answered) = wire.method(path);
    let message = wire.encode(asked, request);
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).expect("a short message"));
    body.put_slice(&message);
    let answer = Client::connect(member).call(member, path, body.freeze());
    let status = |fields: &http::HeaderMap| {
        let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
        let code: i32 = text("grpc-status")?.parse().ok()?;
        Some((code, text("grpc-message").unwrap_or_default().to_owned()))
    };
    let ended = status(&answer.trailers).or_else(|| status(&answer.fields));
    let (code, message) = ended.expect("every call has a status");
    if code != 0 {
        return json!({"code": code, "message": message});
    }
    let content = wire.decode(answered, &answer.body[5..]);
    json!({"code": 0, "message": message, "response": content})
}

/// What a call was answered.
struct Answer {
    fields: http::HeaderMap,
    body: BytesMut,
    trailers: http::HeaderMap,
}

/// h2's client over a pipe in memory, polled by hand.
struct Client {
    connection: u64,
    pipe: Pipe,
    driver: h2::client::Connection<Pipe>,
    requests: h2::client::SendRequest<Bytes>,
}

impl Client {
    fn connect(member: &mut Member) -> Self {
        let pipe = Pipe::default();
        let mut handshake = Box::pin(h2::client::handshake(pipe.clone()));
        let Poll::Ready(Ok((requests, driver))) = handshake.as_mut().poll(&mut context()) else {
            panic!("a handshake over memory is at once");
        };
        Self { connection: member.connect(), pipe, driver, requests }
    }

    /// Carries bytes in both directions; virtual time passes.
    fn turn(&mut self, member: &mut Member) {
        let polled = Pin::new(&mut self.driver).poll(&mut context());
        assert!(polled.is_pending(), "the client keeps its connection: {polled:?}");
        let output = std::mem::take(&mut self.pipe.0.borrow_mut().sent);
        member.send(self.connection, &output);
        member.pass();
        let input = member.take(self.connection);
        self.pipe.0.borrow_mut().received.extend_from_slice(&input);
    }

    fn call(mut self, member: &mut Member, path: &str, message: Bytes) -> Answer {
        let request = http::Request::post(format!("http://member{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a valid request");
        let (mut response, mut stream) =
            self.requests.send_request(request, false).expect("room for a stream");
        stream.send_data(message, true).expect("an open stream");
        let response = loop {
            self.turn(member);
            if let Poll::Ready(response) = Pin::new(&mut response).poll(&mut context()) {
                break response.expect("an answer");
            }
        };
        let (head, mut content) = response.into_parts();
        let mut body = BytesMut::new();
        loop {
            while let Poll::Ready(Some(Ok(data))) = content.poll_data(&mut context()) {
                content.flow_control().release_capacity(data.len()).expect("just received");
                body.put_slice(&data);
            }
            if let Poll::Ready(trailers) = content.poll_trailers(&mut context()) {
                let trailers = trailers.ok().flatten().unwrap_or_default();
                return Answer { fields: head.headers, body, trailers };
            }
            self.turn(member);
        }
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Both directions of a client's connection.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<Traffic>>);

#[derive(Default)]
struct Traffic {
    sent: Vec<u8>,
    received: BytesMut,
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let received = &mut self.0.borrow_mut().received;
        if received.is_empty() {
            return Poll::Pending;
        }
        let bytes = buffer.remaining().min(received.len());
        buffer.put_slice(&received.split_to(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().sent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
