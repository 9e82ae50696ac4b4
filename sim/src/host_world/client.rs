//! Clients: each keeps a connection to some member, asks over it, and remembers what it was told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorra_core::replica::{Request, Response};
use quorra_core::store::v2::ErrorKind;
use quorra_core::store::v3;
use quorra_net::host::Listener;

use super::step::Step;
use super::talk::{Call, Fields, Heard, Talk, Token};
use super::wires::{Owner, Read, WireId, Written};
use super::{Event, Guest, HostWorld, http1, http2, v2, v3 as words};
use crate::callers;
use crate::chance::{Chance, nanos};
use crate::check::{Verdict, require};
use crate::history::Outcome;

/// Which API a client speaks, and over which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Keys, members and health over HTTP/1.1.
    V2,
    /// gRPC over HTTP/2.
    V3,
    /// The v3 API's JSON gateway over HTTP/1.1.
    Gateway,
}

impl Dialect {
    /// The request in this dialect, if it can be said.
    fn call(self, request: &Request) -> Option<Call> {
        let v3 = matches!(
            request,
            Request::V3Range { .. } | Request::V3ReadTxn { .. } | Request::V3Write(_)
        );
        match self {
            Self::V2 => (!v3).then(|| v2::call(request)),
            Self::V3 => {
                let said = v3 || matches!(request, Request::Members { .. });
                said.then(|| words::call(request))
            }
            Self::Gateway => words::gateway_call(request),
        }
    }
}

/// A call that is not answered yet.
#[derive(Debug)]
struct Open {
    operation: usize,
    request: Request,
    /// The client gives up then.
    until: u64,
    /// What the member had told anyone before.
    told: (i64, u64),
    status: u16,
    fields: Fields,
    body: BytesMut,
}

/// A connection from a client's side.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) seat: usize,
    pub(super) wire: WireId,
    pub(super) talk: Talk,
    /// The member takes no more calls.
    last: bool,
    calls: BTreeMap<Token, Open>,
}

/// A client of one dialect.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) dialect: Dialect,
    /// How many answers it got.
    pub(super) served: usize,
    /// How many calls it has open at once.
    depth: usize,
    pub(super) line: Option<Line>,
    /// It stays with this member, and asks only what must succeed.
    pub(super) probes: Option<usize>,
    asked: Token,
}

impl Client {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let dialects = [Dialect::V2, Dialect::V2, Dialect::V3, Dialect::V3, Dialect::Gateway];
        let (dialect, depth) = (chance.pick(&dialects), chance.pick(&[1, 1, 2, 5]));
        Self { dialect, served: 0, depth, line: None, probes: None, asked: 0 }
    }

    /// One that shows whether a member works.
    pub(super) fn probing(seat: usize, dialect: Dialect) -> Self {
        Self { dialect, served: 0, depth: 1, line: None, probes: Some(seat), asked: 0 }
    }
}

impl HostWorld {
    /// A guest waits a while, then goes on.
    pub(super) fn rest(&mut self, guest: usize, most: Duration) {
        let wait = self.chance.between(1, nanos(most).max(1));
        self.wait(guest, self.now + wait);
    }

    /// A guest goes on then, unless it is disturbed before.
    pub(super) fn wait(&mut self, guest: usize, until: u64) {
        self.epochs[guest] += 1;
        self.queue.push(until, Event::Client(guest, self.epochs[guest]));
    }

    /// A guest's own time has come.
    pub(super) fn on_guest(&mut self, guest: usize) -> Verdict {
        match &self.guests[guest] {
            Guest::Client(_) => self.on_client(guest),
            Guest::Watcher(_) => self.on_watcher(guest),
            Guest::Hostile(_) => {
                self.on_hostile(guest);
                Ok(())
            }
            Guest::Operator(_) => {
                self.on_operator(guest);
                Ok(())
            }
        }
    }

    /// A guest's connection is open, can be read or written, or is broken.
    pub(super) fn on_guest_wire(&mut self, guest: usize, wire: WireId) -> Verdict {
        match &self.guests[guest] {
            Guest::Client(client) => {
                if client.line.as_ref().is_some_and(|line| line.wire == wire) {
                    self.converse(guest)?;
                }
                Ok(())
            }
            Guest::Watcher(_) => self.on_watcher_wire(guest, wire),
            Guest::Hostile(_) => {
                self.on_hostile_wire(guest, wire);
                Ok(())
            }
            Guest::Operator(_) => {
                self.on_operator_wire(guest, wire);
                Ok(())
            }
        }
    }

    /// Begins a connection to a member.
    pub(super) fn call_up(&mut self, guest: usize, seat: usize, listener: Listener) -> WireId {
        let place = self.members.len() + guest;
        let owner = Owner::Client(guest);
        let wire = self.wires.dial((place, owner), (seat, Owner::Member(seat, 0)), listener);
        self.trace.record(self.now, &Step::Calls { client: guest, seat, wire });
        wire
    }

    fn client(&mut self, guest: usize) -> &mut Client {
        match &mut self.guests[guest] {
            Guest::Client(client) => client,
            _ => unreachable!("guests keep their kind"),
        }
    }

    fn on_client(&mut self, guest: usize) -> Verdict {
        let now = self.now;
        let client = self.client(guest);
        if client.line.is_none() {
            if !self.troubled && self.client(guest).probes.is_none() {
                return Ok(());
            }
            self.open_line(guest);
            self.rest(guest, Duration::from_secs(3));
            return Ok(());
        }
        let late: Vec<Token> = client
            .line
            .iter()
            .flat_map(|line| &line.calls)
            .filter(|(_, open)| open.until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            self.give_up(guest, token);
        }
        self.ask_more(guest);
        self.converse(guest)?;
        if self.client(guest).line.is_some() && self.troubled && self.chance.per_mille(15) {
            self.leave(guest);
        }
        self.plan(guest);
        Ok(())
    }

    /// When the client looks up next.
    fn plan(&mut self, guest: usize) {
        let think = self.now + self.chance.between(1, nanos(self.swarm.think_max));
        let client = self.client(guest);
        let full = client.line.as_ref().filter(|line| line.calls.len() >= client.depth);
        let due = full.and_then(|line| line.calls.values().map(|open| open.until).min());
        self.wait(guest, due.unwrap_or(think).max(self.now + 1));
    }

    fn open_line(&mut self, guest: usize) {
        let seat = self.client(guest).probes;
        let seat = seat.unwrap_or_else(|| self.chance.index(self.members.len()));
        let wire = self.call_up(guest, seat, Listener::Client);
        let granted = self.chance.pick(&[1_000, 65_535]);
        let client = self.client(guest);
        let talk = match client.dialect {
            Dialect::V3 => Talk::Http2(http2::Talk::new(granted)),
            _ => Talk::Http1(http1::Talk::default()),
        };
        client.line = Some(Line { seat, wire, talk, last: false, calls: BTreeMap::new() });
    }

    /// Puts as many calls on the line as the client keeps open.
    fn ask_more(&mut self, guest: usize) {
        loop {
            let probes = self.client(guest).probes.is_some();
            if !self.troubled && !probes {
                return;
            }
            let client = self.client(guest);
            if probes && client.served > 0 {
                return;
            }
            let (dialect, depth) = (client.dialect, client.depth);
            let Some(line) = &client.line else { return };
            if line.calls.len() >= depth || line.last {
                return;
            }
            let (seat, token) = (line.seat, client.asked);
            client.asked += 1;
            let (request, call) = self.question(dialect, probes);
            let operation = self.history.begin(seat, self.now, request.clone());
            let asked = Step::Asked { client: guest, operation, request: &request };
            self.trace.record(self.now, &asked);
            let patience = self.chance.between(300_000_000, 12_000_000_000);
            let patience = if probes { 15_000_000_000 } else { patience };
            let open = Open {
                operation,
                request,
                until: self.now + patience,
                told: self.members[seat].told,
                status: 0,
                fields: Vec::new(),
                body: BytesMut::new(),
            };
            if let Some(line) = &mut self.client(guest).line {
                line.talk.ask(token, &call);
                line.calls.insert(token, open);
            }
        }
    }

    /// A request that can be said in a dialect.
    fn question(&mut self, dialect: Dialect, probes: bool) -> (Request, Call) {
        loop {
            let request = match (probes, dialect) {
                (true, Dialect::V2) => self.workload.v2_probe(),
                (true, _) => self.workload.probe(),
                (false, _) => self.workload.draw(),
            };
            if let Some(call) = dialect.call(&request) {
                return match &mut self.callers {
                    Some(callers) if dialect == Dialect::V2 => {
                        let request = match probes {
                            true => callers::as_root(request),
                            false => callers.speak_over_http(request),
                        };
                        let authorization = callers.authorization(&request);
                        let call = Call { authorization, ..v2::call(&request) };
                        (request, call)
                    }
                    _ => (request, call),
                };
            }
        }
    }

    /// Writes and reads what there is.
    fn converse(&mut self, guest: usize) -> Verdict {
        while let Some(line) = &mut self.client(guest).line {
            let (wire, output) = (line.wire, line.talk.output().split());
            match self.wires.write(wire, 0, &output) {
                Written::Taken(count) => self.keep(guest, output, count),
                Written::Blocked => self.keep(guest, output, 0),
                Written::Broken => {
                    self.hang_up(guest, "broken");
                    return Ok(());
                }
            }
            match self.wires.read(wire, 0, 64 << 10) {
                Read::Bytes(bytes) => self.hear(guest, &bytes)?,
                Read::Nothing => return Ok(()),
                Read::End | Read::Broken => {
                    self.hang_up(guest, "ended");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Puts back what was not taken.
    fn keep(&mut self, guest: usize, mut output: BytesMut, taken: usize) {
        let rest = output.split_off(taken);
        if let Some(line) = &mut self.client(guest).line {
            assert!(line.talk.output().is_empty(), "nothing was said meanwhile");
            *line.talk.output() = rest;
        }
    }

    fn hear(&mut self, guest: usize, bytes: &Bytes) -> Verdict {
        let Some(line) = &mut self.client(guest).line else { return Ok(()) };
        for heard in line.talk.hear(bytes)? {
            self.on_heard(guest, heard)?;
        }
        Ok(())
    }

    fn on_heard(&mut self, guest: usize, heard: Heard) -> Verdict {
        let Some(line) = &mut self.client(guest).line else { return Ok(()) };
        match heard {
            Heard::Head(token, status, fields) => {
                if let Some(open) = line.calls.get_mut(&token) {
                    (open.status, open.fields) = (status, fields);
                }
            }
            Heard::Body(token, bytes) => {
                if let Some(open) = line.calls.get_mut(&token) {
                    open.body.extend_from_slice(&bytes);
                }
            }
            Heard::End(token, trailers) => return self.on_answer(guest, token, &trailers),
            Heard::Cancelled(token) => self.give_up(guest, token),
            Heard::Last => line.last = true,
        }
        Ok(())
    }

    fn on_answer(&mut self, guest: usize, token: Token, trailers: &Fields) -> Verdict {
        let client = self.client(guest);
        let dialect = client.dialect;
        let Some(line) = &mut client.line else { return Ok(()) };
        let Some(open) = line.calls.remove(&token) else { return Ok(()) };
        let seat = line.seat;
        let body = open.body.freeze();
        let outcome = match dialect {
            Dialect::V2 => v2::outcome(&open.request, open.status, &open.fields, &body),
            Dialect::Gateway => words::gateway_outcome(&open.request, open.status, &body),
            Dialect::V3 => {
                let fields = if trailers.is_empty() { &open.fields } else { trailers };
                words::outcome(&open.request, &body, fields)
            }
        }?;
        self.keeps_up(seat, open.told, &outcome)?;
        let operation = open.operation;
        let told = Step::Told { client: guest, operation, outcome: &outcome };
        self.trace.record(self.now, &told);
        self.client(guest).served += usize::from(Self::serves(&outcome));
        self.history.end(operation, self.now, outcome);
        if self.epochs[guest] > 0 {
            self.plan(guest);
        }
        Ok(())
    }

    /// A member never shows less than it had shown to anyone before, restarts included.
    fn keeps_up(&mut self, seat: usize, before: (i64, u64), outcome: &Outcome) -> Verdict {
        let Outcome::Answered(_, response) = outcome else { return Ok(()) };
        let (revision, index) = match &**response {
            Response::V3(Ok(answer)) => (revision_of(answer), u64::MAX),
            Response::V2(Ok(event)) => (i64::MAX, event.index),
            // Whoever is denied is not told of any index.
            Response::V2(Err(error)) if error.kind == ErrorKind::Unauthorized => return Ok(()),
            Response::V2(Err(error)) => (i64::MAX, error.index),
            _ => return Ok(()),
        };
        require(revision >= before.0 && index >= before.1, || {
            format!("m{seat} shows revision {revision}, v2 index {index} after {before:?}")
        })?;
        let told = &mut self.members[seat].told;
        told.0 = if revision < i64::MAX { told.0.max(revision) } else { told.0 };
        told.1 = if index < u64::MAX { told.1.max(index) } else { told.1 };
        Ok(())
    }

    /// The client does not wait for this answer any longer.
    fn give_up(&mut self, guest: usize, token: Token) {
        let Some(line) = &mut self.client(guest).line else { return };
        if line.talk.cancel(token) {
            if let Some(open) = line.calls.remove(&token) {
                self.lose(guest, open.operation);
            }
        } else if line.calls.contains_key(&token) {
            self.leave(guest);
        }
    }

    fn lose(&mut self, client: usize, operation: usize) {
        let outcome = Outcome::Lost;
        self.trace.record(self.now, &Step::Told { client, operation, outcome: &outcome });
        self.history.end(operation, self.now, outcome);
    }

    /// The client goes away in the middle of everything.
    pub(super) fn leave(&mut self, guest: usize) {
        let Some(wire) = self.client(guest).line.as_ref().map(|line| line.wire) else { return };
        let how = self.chance.pick(&["closes", "resets", "vanishes"]);
        match how {
            "closes" => self.wires.close(wire, 0),
            "resets" => self.wires.reset(wire, 0),
            _ => self.wires.vanish(wire, 0),
        }
        self.forget_line(guest, how);
    }

    fn hang_up(&mut self, guest: usize, why: &'static str) {
        if let Some(line) = &self.client(guest).line {
            let wire = line.wire;
            self.wires.close(wire, 0);
            self.forget_line(guest, why);
        }
    }

    fn forget_line(&mut self, guest: usize, how: &'static str) {
        let Some(line) = self.client(guest).line.take() else { return };
        self.trace.record(self.now, &Step::Leaves { client: guest, how });
        for open in line.calls.into_values() {
            self.lose(guest, open.operation);
        }
        self.rest(guest, self.swarm.think_max);
    }

    /// Operations of a client that are open.
    pub(super) fn open_calls(&self, guest: usize) -> usize {
        match &self.guests[guest] {
            Guest::Client(client) => client.line.as_ref().map_or(0, |line| line.calls.len()),
            _ => 0,
        }
    }
}

fn revision_of(answer: &v3::Answer) -> i64 {
    match answer {
        v3::Answer::Range(range) => range.revision,
        v3::Answer::Put { revision, .. }
        | v3::Answer::DeleteRange { revision, .. }
        | v3::Answer::Txn { revision, .. } => *revision,
    }
}
