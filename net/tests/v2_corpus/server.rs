//! What a scenario is replayed against: a member in memory here, servers on sockets in
//! `server/tests/v2_profiles`.

use quorra_net::http::{Headers, Request};

/// Counts the requests of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestNumber(pub(crate) u64);

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// The server under test.
    Main,
    /// The member behind it, if it is a proxy; else the same.
    Direct,
    /// The member at this client URL.
    At(&'a str),
}

/// What was answered so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) begun: bool,
    pub(crate) ended: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.first(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// A server, and the time that it lives in.
pub(crate) trait Server {
    /// Begins a request.
    fn ask(&mut self, target: Target<'_>, request: &Request) -> RequestNumber;

    /// What was answered so far.
    fn answer(&self, number: RequestNumber) -> &Answer;

    /// The same; the request is over.
    fn take(&mut self, number: RequestNumber) -> Answer;

    /// Waits for the head of an answer.
    fn settle(&mut self, number: RequestNumber);

    /// Waits for the end of an answer; false if it does not come.
    fn finish(&mut self, number: RequestNumber) -> bool;

    /// Lets milliseconds pass.
    fn pass(&mut self, milliseconds: u64);

    /// The wall time in nanoseconds.
    fn wall(&self) -> i64;
}
