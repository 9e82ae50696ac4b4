//! A client's request on its way to an endpoint, and the answer on its way back.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use quorra_core::limits;
use quorra_core::time::Now;

use super::client::Client;
use super::front::{Begun, error, with_origin};
use super::metrics::Dropped;
use super::upstream::{Task, Upstream};
use super::{Action, ExchangeId, Proxy, fields, refresh};
use crate::host::{ConnectionId, Level};
use crate::http::{Body, Headers, Method, Request, Response, StreamId};
use crate::http1::client::{Event, Head, Question};

/// How far a client may be behind before its endpoint is read no further.
pub(super) const BACKLOG_BYTES_MAX: usize = 256 << 10;
/// Bytes of all requests that no endpoint has begun to answer; others are refused beyond.
pub(super) const HELD_BYTES_MAX: usize = limits::WAITING_BYTES_MAX;

/// One request that was not answered in full.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: ConnectionId,
    pub(super) stream: StreamId,
    pub(super) place: Place,
    method: Method,
    path: Bytes,
    query: Option<Bytes>,
    headers: Headers,
    body: Bytes,
    /// Added to the answer (CORS).
    origin: Option<Bytes>,
    began: Now,
    /// How many endpoints there were to try.
    endpoints: usize,
    /// Those that were not tried yet.
    untried: VecDeque<Arc<str>>,
    progress: Progress,
}

/// Where an exchange stands.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the line of this endpoint.
    Waiting(Arc<str>),
    /// On this connection.
    Asking(ConnectionId),
}

/// How far an answer is.
#[derive(Debug)]
enum Progress {
    Due,
    /// An endpoint has begun to answer. The client is told with the first byte of the body: etcd's
    /// proxy holds the head of a watch back until its first event.
    Head(Head),
    /// The client gets the body.
    Body,
}

impl Proxy {
    /// Begins a request of a client.
    pub(super) fn begin(&mut self, now: Now, id: ConnectionId, stream: StreamId, request: Request) {
        let monotonic = now.monotonic;
        let begun = self.front.begin(&request, &self.endpoints, &self.metrics, monotonic);
        let origin = match begun {
            Begun::Respond(response) => return self.respond(now, id, stream, response),
            Begun::Forward(origin) => origin,
        };
        self.metrics.incoming(&request.method);
        let untried: VecDeque<_> = self.endpoints.available(monotonic).cloned().collect();
        let Some(first) = untried.front() else {
            self.metrics.dropped(&request.method, Dropped::ZeroEndpoints);
            let response = error(503, "zero endpoints currently available");
            return self.respond(now, id, stream, with_origin(response, origin.as_ref()));
        };
        let held = self.held_bytes.saturating_add(request.body.len() + request.headers.bytes());
        if self.exchanges.len() >= self.options.connections_max || held > HELD_BYTES_MAX {
            let response = error(503, "too many requests are under way");
            return self.respond(now, id, stream, with_origin(response, origin.as_ref()));
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        self.exchanges_begun += 1;
        let exchange = ExchangeId(self.exchanges_begun);
        client.connection.calls.insert(stream, exchange);
        let remote = client.address.as_deref();
        let entry = Exchange {
            client: id,
            stream,
            place: Place::Waiting(first.clone()),
            headers: fields::of_request(&request, remote, refresh::authority(first)),
            method: request.method,
            path: request.path,
            query: request.query,
            body: request.body,
            origin,
            began: now,
            endpoints: untried.len(),
            untried,
            progress: Progress::Due,
        };
        self.held_bytes += entry.bytes();
        self.exchanges.insert(exchange, entry);
        self.try_next(now, exchange);
    }

    /// Turns to the next endpoint, or gives up.
    fn try_next(&mut self, now: Now, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        match exchange.untried.pop_front() {
            Some(url) => self.try_endpoint(now, id, url),
            None => self.give_up(now, id),
        }
    }

    fn try_endpoint(&mut self, now: Now, id: ExchangeId, url: Arc<str>) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.place = Place::Waiting(url.clone());
        match self.lines.take(&url, id) {
            Some(connection) => self.ask(now, connection, id),
            None => self.dial_for(now, &url),
        }
    }

    /// Opens another connection to an endpoint if those who wait at it need one.
    pub(super) fn dial_for(&mut self, now: Now, url: &Arc<str>) {
        while self.lines.wants_dial(url) {
            let upstream = Upstream::dialing(url.clone(), Task::Dialing, now.monotonic);
            self.dial(upstream);
        }
    }

    /// Sends a request on a connection that is free.
    pub(super) fn ask(&mut self, now: Now, connection: ConnectionId, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some(upstream) = self.upstreams.get_mut(&connection) else { return };
        exchange.place = Place::Asking(connection);
        upstream.task = Task::Exchange(id);
        upstream.moved = now.monotonic;
        upstream.wire.ask(Question {
            method: &exchange.method,
            path: &exchange.path,
            query: exchange.query.as_deref(),
            headers: &exchange.headers,
            body: &exchange.body,
        });
        self.settle_upstream(connection);
    }

    /// A connection broke, or could not be opened, before its endpoint answered in full.
    pub(super) fn on_exchange_failed(&mut self, now: Now, id: ExchangeId, upstream: &Upstream) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        match exchange.progress {
            Progress::Due if upstream.was_stale() => {
                // The others that are idle are likely to be stale as well.
                let url = upstream.url.clone();
                for idle in self.lines.release(|other| *other != *url) {
                    self.close_upstream(idle);
                }
                self.try_endpoint(now, id, url);
            }
            Progress::Due => {
                self.metrics.dropped(&exchange.method, Dropped::SendingFailed);
                self.endpoints.fail(&upstream.url, now.monotonic);
                self.try_next(now, id);
            }
            Progress::Head(_) => self.give_up(now, id),
            Progress::Body => {
                let Some(exchange) = self.remove_exchange(id) else { return };
                if let Some(protocol) = self.client_protocol(exchange.client) {
                    protocol.abort(exchange.stream);
                }
                self.settle_client(now, exchange.client);
            }
        }
    }

    /// No endpoint has answered.
    fn give_up(&mut self, now: Now, id: ExchangeId) {
        let Some(exchange) = self.remove_exchange(id) else { return };
        self.metrics.dropped(&exchange.method, Dropped::NoAnswer);
        let count = exchange.endpoints;
        let path = String::from_utf8_lossy(&exchange.path);
        let line = format!("no answer from {count} endpoint(s) to a request for {path:?}");
        self.actions.push_back(Action::Log(Level::Warn, line));
        let response = error(502, &format!("unable to get response from {count} endpoint(s)"));
        let response = with_origin(response, exchange.origin.as_ref());
        self.respond(now, exchange.client, exchange.stream, response);
    }

    /// Something of an answer came in.
    pub(super) fn on_answer(&mut self, now: Now, id: ExchangeId, event: Event) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        match event {
            Event::Head(head) => {
                let took = now.monotonic.since(exchange.began.monotonic);
                self.metrics.handled(&exchange.method, head.status, took);
                self.held_bytes -= exchange.bytes();
                exchange.forget_request();
                exchange.progress = Progress::Head(head);
            }
            Event::Data(bytes) => self.on_answer_data(now, id, bytes),
            Event::End => self.on_answer_end(now, id),
        }
    }

    fn on_answer_data(&mut self, now: Now, id: ExchangeId, bytes: Bytes) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let (client, stream) = (exchange.client, exchange.stream);
        let protocol = self.clients.get_mut(&client).and_then(Client::protocol);
        let Some(protocol) = protocol else { return };
        if let Progress::Head(head) = std::mem::replace(&mut exchange.progress, Progress::Body) {
            let body = head.length.map_or(Body::Stream, Body::Sized);
            protocol.respond(now, stream, exchange.answer(&head, body));
        }
        protocol.data(stream, bytes);
        if protocol.backlog(stream) >= BACKLOG_BYTES_MAX {
            self.pause(id);
        }
        self.settle_client(now, client);
    }

    /// The endpoint has answered in full; its connection has gone on already.
    fn on_answer_end(&mut self, now: Now, id: ExchangeId) {
        let Some(mut exchange) = self.remove_exchange(id) else { return };
        let Some(protocol) = self.client_protocol(exchange.client) else { return };
        match std::mem::replace(&mut exchange.progress, Progress::Due) {
            Progress::Head(head) => {
                let body = match head.length {
                    Some(length) if exchange.method == Method::Head => Body::Sized(length),
                    _ => Body::Full(Bytes::new()),
                };
                protocol.respond(now, exchange.stream, exchange.answer(&head, body));
            }
            _ => protocol.end(exchange.stream, Vec::new()),
        }
        self.settle_client(now, exchange.client);
    }

    /// The client wants no answer any more.
    pub(super) fn cancel(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.remove_exchange(id)
            && let Place::Asking(connection) = exchange.place
        {
            self.close_upstream(connection);
        }
    }

    /// Forgets an exchange, wherever it is named.
    fn remove_exchange(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        self.held_bytes -= exchange.bytes();
        self.paused.remove(&(exchange.client, id));
        if let Place::Waiting(url) = &exchange.place {
            self.lines.leave(url, id);
        }
        if let Some(client) = self.clients.get_mut(&exchange.client) {
            client.connection.calls.remove(&exchange.stream);
        }
        Some(exchange)
    }
}

impl Exchange {
    /// What its request holds, which no other endpoint is asked once one has begun to answer.
    pub(super) fn bytes(&self) -> usize {
        self.body.len() + self.headers.bytes()
    }

    fn forget_request(&mut self) {
        (self.body, self.headers) = (Bytes::new(), Headers::default());
    }

    fn answer(&self, head: &Head, body: Body) -> Response {
        let forwarded = Some(Box::new(fields::of_answer(&head.headers)));
        let response = Response { forwarded, body, ..Response::new(head.status, Bytes::new()) };
        with_origin(response, self.origin.as_ref())
    }
}
