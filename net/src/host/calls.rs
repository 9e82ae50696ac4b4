//! Requests on their way: from a connection's events to the replica, and back as answers.

use std::collections::BTreeSet;

use quorra_core::replica::{self, Reply, RequestId, Response};
use quorra_core::time::{Instant, Now};

use super::connection::{Connection, Waiting};
use super::{Action, ConnectionId, Host, Level, Listener, Measured, Owner};
use crate::api::{Errand, Outcome, View};
use crate::http::{Body, Event, Request, StreamId};

/// How many events of one connection a turn takes.
const EVENTS_PER_TURN: usize = 64;

impl Host {
    /// Takes what a connection has: as many events as a turn allows it.
    pub(super) fn advance(&mut self, now: Now, id: ConnectionId) {
        self.advancing = Some(id);
        let goes_on = self.take_events(now, id);
        self.advancing = None;
        if goes_on {
            self.settle(now, id);
        }
    }

    /// Whether the connection is still there afterwards, and open.
    fn take_events(&mut self, now: Now, id: ConnectionId) -> bool {
        for _ in 0..EVENTS_PER_TURN {
            let Some(connection) = self.connections.get_mut(&id) else { return false };
            if connection.closing {
                return false;
            }
            let Some(event) = connection.protocol().and_then(|protocol| protocol.next_event(now))
            else {
                return true;
            };
            self.on_event(now, id, event);
            self.drain(now);
        }
        self.enqueue(id);
        true
    }

    /// Has a connection that holds more events looked at again, in this turn's flush or in the
    /// next turn.
    pub(super) fn enqueue(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.queued
            && !connection.closing
            && connection.protocol().is_some_and(|protocol| protocol.has_event())
        {
            connection.queued = true;
            self.ready.push_back(id);
        }
    }

    /// After anything that may have changed a connection: names its output to the driver, pauses
    /// it, closes it, sets its timer.
    pub(super) fn settle(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(protocol) = connection.protocol() else { return };
        let (full, done) = (protocol.is_full(), protocol.is_done());
        let has_output = !protocol.output().is_empty();
        if has_output && !connection.writable {
            connection.writable = true;
            connection.output_waits(now);
            self.writable.push(id);
        }
        if done && !connection.closing {
            return self.close(now, id);
        }
        if full != connection.paused && !connection.closing {
            connection.paused = full;
            self.actions.push_back(Action::Pause(id, full));
        }
        set_timer(&mut self.timers, id, connection);
    }

    /// Closes a connection once its output is written. Its calls are over.
    pub(super) fn close(&mut self, now: Now, id: ConnectionId) {
        self.end_calls(now, id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.closing = true;
        self.actions.push_back(Action::Close { connection: id, at_once: false });
        if connection.output().is_empty() {
            self.remove(now, id);
        } else {
            set_timer(&mut self.timers, id, connection);
        }
    }

    /// Closes a connection and drops its output.
    pub(super) fn close_at_once(&mut self, now: Now, id: ConnectionId) {
        self.remove(now, id);
        self.actions.push_back(Action::Close { connection: id, at_once: true });
    }

    /// Forgets a connection: nothing of it stays behind, here or in the replica.
    pub(super) fn remove(&mut self, now: Now, id: ConnectionId) {
        self.end_calls(now, id);
        if let Some(timer) = self.connections.remove(&id).and_then(|gone| gone.timer) {
            self.timers.remove(&(timer, id));
        }
    }

    fn end_calls(&mut self, now: Now, id: ConnectionId) {
        while let Some(stream) =
            self.connections.get(&id).and_then(|c| c.calls.keys().next().copied())
        {
            self.end_call(now, id, stream);
        }
    }

    /// A call is over: what it asked and was not answered for good is cancelled.
    fn end_call(&mut self, now: Now, id: ConnectionId, stream: StreamId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(over) = connection.calls.remove(&stream) else { return };
        if let Some(deadline) = over.deadline {
            self.call_deadlines.remove(&(deadline, id, stream));
        }
        if let Some(request) = over.request {
            self.owners.remove(&request);
            self.step(now, replica::Input::Cancel(request));
        }
    }

    fn on_event(&mut self, now: Now, id: ConnectionId, event: Event) {
        match event {
            Event::Request(stream, request) => self.begin(now, id, stream, &request),
            Event::Message(stream, message) => {
                self.tell(now, id, stream, |call, view| call.call.on_message(message, view));
            }
            Event::End(stream) => self.tell(now, id, stream, |call, view| call.call.on_end(view)),
            Event::Cancelled(stream) => self.end_call(now, id, stream),
        }
    }

    fn begin(&mut self, now: Now, id: ConnectionId, stream: StreamId, request: &Request) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let view = View {
            replica: &self.replica,
            options: &self.options,
            statistics: &self.statistics,
            identity: connection.security.identity(),
            now,
        };
        let (outcome, call) = match connection.listener {
            Listener::Client => self.service.begin(request, view),
            Listener::Peer => self.service.begin_peer(request, view),
            Listener::Metrics => self.service.begin_metrics(request, view),
        };
        if connection.listener == Listener::Peer && request.path.starts_with(b"/raft") {
            let line = "an etcd member tried to connect: etcd members cannot join".to_owned();
            self.log(Level::Warn, line);
        }
        if let Some(call) = call {
            let deadline = call.deadline();
            let waiting = Waiting { call, request: None, watching: false, deadline };
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.calls.insert(stream, waiting);
            }
            if let Some(deadline) = deadline {
                self.call_deadlines.insert((deadline, id, stream));
            }
        }
        self.carry_out(now, id, stream, outcome);
    }

    /// Tells a call something, and carries out what follows.
    fn tell(
        &mut self,
        now: Now,
        id: ConnectionId,
        stream: StreamId,
        tell: impl FnOnce(&mut Waiting, View<'_>) -> Outcome,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(call) = connection.calls.get_mut(&stream) else { return };
        let view = View {
            replica: &self.replica,
            options: &self.options,
            statistics: &self.statistics,
            identity: connection.security.identity(),
            now,
        };
        let outcome = tell(call, view);
        self.carry_out(now, id, stream, outcome);
    }

    fn carry_out(&mut self, now: Now, id: ConnectionId, stream: StreamId, outcome: Outcome) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(protocol) = connection.protocol() else { return };
        match outcome {
            Outcome::Respond(response) => {
                let streams = matches!(response.body, Body::Stream);
                protocol.respond(now, stream, response);
                if !streams {
                    self.end_call(now, id, stream);
                }
            }
            Outcome::Data(bytes) => {
                protocol.data(stream, bytes);
                if protocol.backlog(stream) > self.limits.output_bytes {
                    let line = "closed the connection of a watcher that is too slow".to_owned();
                    self.log(Level::Warn, line);
                    self.close_at_once(now, id);
                }
            }
            Outcome::End(trailers) => {
                protocol.end(stream, trailers);
                self.end_call(now, id, stream);
            }
            Outcome::Ask(request) => {
                let request = self.ask(now, Owner::Call(id, stream), *request);
                let connection = self.connections.get_mut(&id);
                if let Some(call) = connection.and_then(|found| found.calls.get_mut(&stream)) {
                    assert!(call.request.is_none(), "a call asks one thing at a time");
                    call.request = Some(request);
                }
            }
            Outcome::Run(errand) => self.run(now, id, stream, errand),
            Outcome::Wait => {}
        }
    }

    /// Has the driver do something, and tells the call when it is done.
    fn run(&mut self, now: Now, id: ConnectionId, stream: StreamId, errand: Errand) {
        match errand {
            Errand::LogLevel(level) => {
                self.actions.push_back(Action::LogLevel(level));
                self.tell(now, id, stream, |call, view| call.call.on_errand(view));
            }
            Errand::Measure => {
                if self.measuring.is_empty() {
                    self.actions.push_back(Action::Measure);
                }
                self.measuring.push((id, stream));
            }
        }
    }

    pub(super) fn on_measured(&mut self, now: Now, measured: Measured) {
        self.statistics.measured = measured;
        for (id, stream) in std::mem::take(&mut self.measuring) {
            self.tell(now, id, stream, |call, view| call.call.on_errand(view));
            self.enqueue(id);
            self.settle(now, id);
        }
    }

    /// Hands a request to the replica. Its reply comes by an effect, later.
    pub(super) fn ask(&mut self, now: Now, owner: Owner, request: replica::Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.owners.insert(id, owner);
        self.step(now, replica::Input::Request(id, request));
        id
    }

    pub(super) fn on_reply(&mut self, now: Now, request: RequestId, reply: Reply) {
        match self.owners.get(&request).copied() {
            Some(Owner::Publish) => {
                self.owners.remove(&request);
                if self.on_published(now.monotonic, reply.outcome.is_ok()) {
                    self.actions.push_back(Action::Ready);
                }
            }
            Some(Owner::Call(id, stream)) => self.on_call_reply(now, request, id, stream, reply),
            None => {}
        }
    }

    fn on_call_reply(
        &mut self,
        now: Now,
        request: RequestId,
        id: ConnectionId,
        stream: StreamId,
        reply: Reply,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(call) = connection.calls.get_mut(&stream) else { return };
        let more = match &reply.outcome {
            Ok(Response::V2Watching) => true,
            Ok(Response::V2Event(_)) => call.watching,
            _ => false,
        };
        call.watching = more;
        if more && connection.half_closed {
            return self.close(now, id);
        }
        if reply.outcome.is_err() {
            self.statistics.proposals_failed += 1;
        }
        if !more {
            call.request = None;
            self.owners.remove(&request);
        }
        self.tell(now, id, stream, |call, view| call.call.on_reply(reply, view));
        // A request behind it may go on now, and its answer joins this turn's batch.
        if self.advancing != Some(id) {
            self.enqueue(id);
            self.settle(now, id);
        }
    }

    /// Tells the calls whose time is up.
    pub(super) fn expire_calls(&mut self, now: Now) {
        while let Some((at, id, stream)) = self.call_deadlines.first().copied() {
            if at > now.monotonic {
                return;
            }
            self.call_deadlines.remove(&(at, id, stream));
            self.tell(now, id, stream, |call, view| {
                call.deadline = None;
                call.call.on_deadline(view)
            });
            let connection = self.connections.get(&id);
            if connection.is_some_and(|found| found.calls.contains_key(&stream)) {
                self.close_at_once(now, id);
            } else {
                self.enqueue(id);
                self.settle(now, id);
            }
        }
    }
}

/// Makes sure that a connection's next deadline is seen. A timer that comes too early costs less
/// than moving it with every byte: it is set again then.
pub(super) fn set_timer(
    timers: &mut BTreeSet<(Instant, ConnectionId)>,
    id: ConnectionId,
    connection: &mut Connection<Waiting>,
) {
    if let Some(deadline) = connection.deadline()
        && connection.timer.is_none_or(|timer| deadline < timer)
    {
        if let Some(timer) = connection.timer.replace(deadline) {
            timers.remove(&(timer, id));
        }
        timers.insert((deadline, id));
    }
}
