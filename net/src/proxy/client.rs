//! The clients of a proxy: their connections, and what is due on them.

use quorra_core::time::Now;

use super::exchange::{BACKLOG_BYTES_MAX, Place};
use super::{Action, ExchangeId, Proxy, Timer, fields};
use crate::host::connection::{Connection, Sniffed};
use crate::host::{ConnectionId, Level, Listener, Security};
use crate::http::{Event, Protocol, Response, StreamId};

/// How many events of one connection a turn takes.
const EVENTS_PER_TURN: usize = 64;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: Connection<ExchangeId>,
    /// Without the port; none for a unix socket.
    pub(super) address: Option<String>,
}

impl Client {
    pub(super) fn protocol(&mut self) -> Option<&mut dyn Protocol> {
        self.connection.protocol()
    }
}

impl Proxy {
    pub(super) fn on_accepted(
        &mut self,
        now: Now,
        id: ConnectionId,
        remote: &str,
        security: Security,
    ) {
        if self.clients.len() >= self.options.connections_max || self.stopping {
            let line = format!("refused {remote}: too many connections");
            self.actions.push_back(Action::Log(Level::Warn, line));
            self.actions.push_back(Action::Close { connection: id, at_once: true });
            return;
        }
        let connection = Connection::new(Listener::Client, remote, security, now);
        self.clients.insert(id, Client { connection, address: fields::address(remote) });
    }

    pub(super) fn on_client_received(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.connection.closing {
            return;
        }
        match client.connection.receive(now, self.limits, bytes) {
            Sniffed::Stays => self.advance(now, id),
            Sniffed::Tls(line) => {
                self.actions.push_back(Action::Log(Level::Warn, line));
                self.advance(now, id);
            }
            Sniffed::Peer(_) => unreachable!("only a peer listener meets members"),
        }
    }

    /// Nobody would notice that a watcher has gone: whoever sends no more has left (as to Go's
    /// server).
    pub(super) fn on_client_half_closed(&mut self, now: Now, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.connection.half_closed = true;
        if !client.connection.calls.is_empty() {
            return self.close_client(now, id);
        }
        match client.protocol() {
            Some(protocol) => protocol.half_closed(),
            None => return self.close_client(now, id),
        }
        self.advance(now, id);
    }

    /// Takes what a connection has: as many events as a turn allows it.
    pub(super) fn advance(&mut self, now: Now, id: ConnectionId) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(client) = self.clients.get_mut(&id) else { return };
            if client.connection.closing {
                return;
            }
            let Some(event) = client.protocol().and_then(|protocol| protocol.next_event(now))
            else {
                return self.settle_client(now, id);
            };
            match event {
                Event::Request(stream, request) => self.begin(now, id, stream, request),
                Event::Cancelled(stream) => self.cancel_stream(id, stream),
                // Only of gRPC calls, which were refused.
                Event::Message(..) | Event::End(_) => {}
            }
        }
        self.settle_client(now, id);
    }

    fn cancel_stream(&mut self, id: ConnectionId, stream: StreamId) {
        let calls = self.clients.get(&id).map(|client| &client.connection.calls);
        if let Some(exchange) = calls.and_then(|calls| calls.get(&stream)).copied() {
            self.cancel(exchange);
        }
    }

    /// Answers in place of an endpoint.
    pub(super) fn respond(
        &mut self,
        now: Now,
        id: ConnectionId,
        stream: StreamId,
        response: Response,
    ) {
        if let Some(protocol) = self.client_protocol(id) {
            protocol.respond(now, stream, response);
            self.settle_client(now, id);
        }
    }

    pub(super) fn client_protocol(&mut self, id: ConnectionId) -> Option<&mut dyn Protocol> {
        let client = self.clients.get_mut(&id).filter(|client| !client.connection.closing);
        client.and_then(Client::protocol)
    }

    /// After anything that may have changed a connection: names its output to the driver, pauses
    /// it, closes it, sets its timer, and has it looked at again if it holds more.
    pub(super) fn settle_client(&mut self, now: Now, id: ConnectionId) {
        let Some(Client { connection, .. }) = self.clients.get_mut(&id) else { return };
        let Some(protocol) = connection.protocol() else { return };
        let (full, done) = (protocol.is_full(), protocol.is_done());
        let (has_output, has_event) = (!protocol.output().is_empty(), protocol.has_event());
        if has_output && !connection.writable {
            connection.writable = true;
            connection.output_waits(now);
            self.writable.push(id);
        }
        if connection.closing {
            return self.set_client_timer(id);
        }
        if done {
            return self.close_client(now, id);
        }
        if has_event && !connection.queued {
            connection.queued = true;
            self.ready.push_back(id);
        }
        if full != connection.paused {
            connection.paused = full;
            self.actions.push_back(Action::Pause(id, full));
        }
        self.set_client_timer(id);
    }

    /// Makes sure that a connection's next deadline is seen; a timer may come too early, and is
    /// set again then.
    pub(super) fn set_client_timer(&mut self, id: ConnectionId) {
        let Some(Client { connection, .. }) = self.clients.get_mut(&id) else { return };
        if let Some(deadline) = connection.deadline()
            && connection.timer.is_none_or(|timer| deadline < timer)
        {
            if let Some(timer) = connection.timer.replace(deadline) {
                self.timers.remove(&(timer, Timer::Client(id)));
            }
            self.timers.insert((deadline, Timer::Client(id)));
        }
    }

    pub(super) fn on_client_timer(&mut self, now: Now, id: ConnectionId) {
        let Some(Client { connection, .. }) = self.clients.get_mut(&id) else { return };
        connection.timer = None;
        if connection.has_stalled(now) {
            self.remove_client(id);
            self.actions.push_back(Action::Close { connection: id, at_once: true });
            return;
        }
        if let Some(protocol) = self.client_protocol(id)
            && protocol.deadline().is_some_and(|deadline| deadline <= now.monotonic)
        {
            protocol.expire(now);
        }
        self.settle_client(now, id);
    }

    pub(super) fn client_written(&mut self, now: Now, id: ConnectionId, bytes: usize) {
        let Some(Client { connection, .. }) = self.clients.get_mut(&id) else { return };
        connection.written(now, bytes);
        if connection.closing {
            if connection.output().is_empty() {
                self.remove_client(id);
            }
            return;
        }
        self.resume(id);
        self.settle_client(now, id);
    }

    /// Stops reading an endpoint whose client does not keep up.
    pub(super) fn pause(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        if let Place::Asking(connection) = exchange.place
            && let Some(upstream) = self.upstreams.get_mut(&connection)
            && !upstream.paused
        {
            upstream.paused = true;
            self.paused.insert((exchange.client, id));
            self.actions.push_back(Action::Pause(connection, true));
        }
    }

    /// Reads on from the endpoints of a client that has caught up.
    fn resume(&mut self, client: ConnectionId) {
        let range = (client, ExchangeId(0))..=(client, ExchangeId(u64::MAX));
        let waiting: Vec<ExchangeId> = self.paused.range(range).map(|(_, id)| *id).collect();
        for id in waiting {
            let Some(exchange) = self.exchanges.get(&id) else { continue };
            let (stream, place) = (exchange.stream, exchange.place.clone());
            let backlog = self.client_protocol(client).map_or(0, |it| it.backlog(stream));
            if let Place::Asking(connection) = place
                && backlog < BACKLOG_BYTES_MAX / 2
            {
                self.paused.remove(&(client, id));
                if let Some(upstream) = self.upstreams.get_mut(&connection) {
                    upstream.paused = false;
                    self.actions.push_back(Action::Pause(connection, false));
                }
            }
        }
    }

    /// Closes a connection once its output is written. Its exchanges are over.
    pub(super) fn close_client(&mut self, now: Now, id: ConnectionId) {
        self.cancel_all(id);
        let Some(Client { connection, .. }) = self.clients.get_mut(&id) else { return };
        connection.closing = true;
        self.actions.push_back(Action::Close { connection: id, at_once: false });
        if connection.output().is_empty() {
            self.remove_client(id);
        } else {
            self.settle_client(now, id);
        }
    }

    /// Forgets a connection, and all that was asked for it.
    pub(super) fn remove_client(&mut self, id: ConnectionId) {
        self.cancel_all(id);
        if let Some(timer) = self.clients.remove(&id).and_then(|gone| gone.connection.timer) {
            self.timers.remove(&(timer, Timer::Client(id)));
        }
    }

    fn cancel_all(&mut self, id: ConnectionId) {
        let calls = self.clients.get(&id).map(|client| &client.connection.calls);
        let exchanges: Vec<ExchangeId> =
            calls.into_iter().flat_map(|it| it.values().copied()).collect();
        exchanges.into_iter().for_each(|exchange| self.cancel(exchange));
    }
}
