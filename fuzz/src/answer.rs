//! What an endpoint answers: the client's side of HTTP/1.1, and a proxy that passes it on.

use bytes::BytesMut;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::host::{Action, ConnectionId, Input, Listener, Machine, Security};
use quorra_net::http::{Headers, Method};
use quorra_net::http1::client::{Connection, Event, Head, Malformed, Question};
use quorra_net::proxy::{Options, Proxy};

use crate::pieces;

const CLIENT: ConnectionId = ConnectionId(0);
const CLIENT_URL: &str = "http://127.0.0.1:1";

/// Any split of an answer means the same, and a proxy keeps its invariants whatever it is told.
pub fn run(bytes: &[u8]) {
    for method in [Method::Get, Method::Head] {
        let whole = read(&method, &[bytes]);
        let cut = read(&method, &pieces::split(bytes));
        assert!(whole == cut, "any split of the input gives the same answer");
    }
    let members = members();
    pass_on(&[members.as_bytes()], &pieces::split(bytes));
    pass_on(&pieces::split(bytes), &[]);
}

/// An answer, put together; what came before an error does not count.
fn read(method: &Method, pieces: &[&[u8]]) -> Result<(Option<Head>, BytesMut, bool), Malformed> {
    let mut connection = Connection::new();
    let headers = Headers::default();
    connection.ask(Question { method, path: b"/", query: None, headers: &headers, body: b"" });
    connection.output().clear();
    let (mut head, mut body, mut over) = (None, BytesMut::new(), false);
    let mut take = |event: Event| match event {
        Event::Head(found) => head = Some(found),
        Event::Data(bytes) => body.extend_from_slice(&bytes),
        Event::End => over = true,
    };
    for piece in pieces {
        connection.receive(piece);
        while let Some(event) = connection.next_event()? {
            take(event);
        }
    }
    connection.ended()?.into_iter().for_each(&mut take);
    Ok((head, body, over))
}

fn members() -> String {
    let body = format!(r#"[{{"id":1,"peerURLs":["http://p:1"],"clientURLs":["{CLIENT_URL}"]}}]"#);
    let head = "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 1\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A proxy whose peer tells it `members`, and whose endpoint answers `answer` to a client.
fn pass_on(members: &[&[u8]], answer: &[&[u8]]) {
    let options = Options {
        read_only: false,
        failure_wait: Duration::from_secs(5),
        refresh_interval: Duration::from_secs(30),
        write_timeout: Duration::from_secs(5),
        read_timeout: Duration::ZERO,
        cors: Vec::new(),
        connections_max: 10,
        seed: 1,
    };
    let now = Now { monotonic: Instant(1 << 40), wall: WallTime(0) };
    let proxy = Proxy::new(options, vec!["http://p:1".to_owned()], now);
    let mut driver = Driver { proxy, now, dialed: None };
    driver.input(Input::Tick);
    driver.tell(members);
    let (listener, security) = (Listener::Client, Security::Plain);
    driver.input(Input::Accepted { connection: CLIENT, listener, remote: "10.0.0.1:1", security });
    driver.input(Input::Received(CLIENT, b"GET /v2/keys/a HTTP/1.1\r\nHost: h\r\n\r\n"));
    driver.tell(answer);
    driver.now.monotonic = now.monotonic + Duration::from_secs(60);
    driver.input(Input::Tick);
    driver.input(Input::Closed(CLIENT));
}

struct Driver {
    proxy: Proxy,
    now: Now,
    /// The connection that was asked for last.
    dialed: Option<ConnectionId>,
}

impl Driver {
    /// Opens the connection that was asked for, and lets its other side say this and go.
    fn tell(&mut self, pieces: &[&[u8]]) {
        let Some(id) = self.dialed.take() else { return };
        self.input(Input::Connected(id));
        for piece in pieces {
            self.input(Input::Received(id, piece));
        }
        self.input(Input::HalfClosed(id));
    }

    fn input(&mut self, input: Input<'_>) {
        self.proxy.input(self.now, input);
        self.proxy.input(self.now, Input::Flush);
        while let Some(action) = self.proxy.next_action() {
            match action {
                Action::Write(id) => {
                    let length = self.proxy.output(id).len();
                    self.proxy.written(self.now, id, length);
                }
                Action::Connect(id, _) => self.dialed = Some(id),
                _ => {}
            }
        }
        self.proxy.check();
    }
}
