//! Servers on sockets: each request has a connection of its own, read without blocking, so that
//! any number of watches can wait beside each other on one thread.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorra::urls::Url;
use quorra_net::http::{Headers, Request};
use quorra_net::http1::client::{Connection, Event, Question};

use crate::server::{Answer, RequestNumber, Server, Target};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at the sockets.
const PAUSE: Duration = Duration::from_millis(1);

/// The server under test, and the one behind it.
pub(crate) struct Wire {
    main: Url,
    direct: Url,
    requests: BTreeMap<RequestNumber, Pending>,
    asked: u64,
}

struct Pending {
    stream: TcpStream,
    connection: Connection,
    answer: Answer,
}

impl Wire {
    pub(crate) fn new(main: &Url, direct: &Url) -> Self {
        let (main, direct) = (main.clone(), direct.clone());
        Self { main, direct, requests: BTreeMap::new(), asked: 0 }
    }

    /// Reads what has come on all connections.
    fn look(&mut self) {
        self.requests.values_mut().for_each(Pending::look);
        std::thread::sleep(PAUSE);
    }

    fn wait(&mut self, number: RequestNumber, until: impl Fn(&Answer) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !until(self.answer(number)) {
            if Instant::now() > deadline {
                return false;
            }
            self.look();
        }
        true
    }
}

impl Server for Wire {
    fn ask(&mut self, target: Target<'_>, request: &Request) -> RequestNumber {
        let url = match target {
            Target::Main => self.main.clone(),
            Target::Direct => self.direct.clone(),
            Target::At(url) => Url::parse(url).expect("members tell URLs"),
        };
        self.asked += 1;
        let number = RequestNumber(self.asked);
        self.requests.insert(number, Pending::begin(&url, request));
        number
    }

    fn answer(&self, number: RequestNumber) -> &Answer {
        &self.requests[&number].answer
    }

    fn take(&mut self, number: RequestNumber) -> Answer {
        self.requests.remove(&number).expect("it was asked").answer
    }

    fn settle(&mut self, number: RequestNumber) {
        assert!(self.wait(number, |answer| answer.begun), "a request is answered");
    }

    fn finish(&mut self, number: RequestNumber) -> bool {
        self.wait(number, |answer| answer.ended)
    }

    fn pass(&mut self, milliseconds: u64) {
        let deadline = Instant::now() + Duration::from_millis(milliseconds);
        while Instant::now() < deadline {
            self.look();
        }
    }

    fn wall(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        i64::try_from(since.as_nanos()).expect("it is earlier than 2262")
    }
}

impl Pending {
    fn begin(url: &Url, request: &Request) -> Self {
        let mut stream = TcpStream::connect(&url.address).expect("the server listens");
        let mut headers = Headers::default();
        if request.headers.first("host").is_none() {
            headers.push(b"Host", url.address.as_bytes());
        }
        for (name, value) in request.headers.iter() {
            headers.push(name, value);
        }
        let mut connection = Connection::new();
        connection.ask(Question {
            method: &request.method,
            path: &request.path,
            query: request.query.as_deref(),
            headers: &headers,
            body: &request.body,
        });
        stream.write_all(connection.output()).expect("the server reads");
        connection.output().clear();
        stream.set_nonblocking(true).expect("a socket can be told");
        Self { stream, connection, answer: Answer::default() }
    }

    /// Reads what has come.
    fn look(&mut self) {
        let mut buffer = [0; 16 << 10];
        while !self.answer.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    let last = self.connection.ended().expect("an answer is not broken off");
                    last.into_iter().for_each(|event| self.on_event(event));
                    return;
                }
                Ok(count) => self.connection.receive(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a server's connection breaks: {error}"),
            }
            while let Some(event) = self.connection.next_event().expect("an answer is HTTP") {
                self.on_event(event);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Head(head) => {
                self.answer.begun = true;
                self.answer.status = head.status;
                self.answer.headers = head.headers;
            }
            Event::Data(bytes) => self.answer.body.extend_from_slice(&bytes),
            Event::End => self.answer.ended = true,
        }
    }
}
