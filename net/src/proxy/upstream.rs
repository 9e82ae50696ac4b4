//! The connections that a proxy opens: to endpoints for its clients, to peers for itself.

use std::sync::Arc;

use bytes::Buf;
use quorra_core::time::{Duration, Instant, Now};

use super::{Action, ExchangeId, Proxy, Timer};
use crate::host::ConnectionId;
use crate::http1::client::{self, Event};

/// How long one is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A connection that the proxy has opened, or is opening.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Where to.
    pub(super) url: Arc<str>,
    pub(super) task: Task,
    pub(super) wire: client::Connection,
    /// It has answered before: its other side may have closed it in the meantime.
    pub(super) used: bool,
    /// It stands in the list of those that have output.
    pub(super) writable: bool,
    /// The driver was told to stop reading.
    pub(super) paused: bool,
    /// When bytes went either way last.
    pub(super) moved: Instant,
    /// For when a timer is set.
    pub(super) timer: Option<Instant>,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// It is being opened, for whoever waits at its line then.
    Dialing,
    /// Nothing: it waits at its line.
    Idle,
    /// It asks for a client.
    Exchange(ExchangeId),
    /// It asks a peer for the members; also while it is being opened.
    Refresh,
}

/// How long endpoints may keep a proxy waiting; zero is for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) write: Duration,
    pub(super) read: Duration,
}

impl Upstream {
    pub(super) fn dialing(url: Arc<str>, task: Task, now: Instant) -> Self {
        Self {
            url,
            task,
            wire: client::Connection::new(),
            used: false,
            writable: false,
            paused: false,
            moved: now,
            timer: None,
        }
    }

    /// That many bytes of the output were taken.
    pub(super) fn written(&mut self, now: Instant, bytes: usize) {
        let output = self.wire.output();
        output.advance(bytes.min(output.len()));
        self.moved = now;
    }

    /// By when bytes must have moved, if they must.
    pub(super) fn deadline(&mut self, patience: Patience) -> Option<Instant> {
        let moved = self.moved;
        let within = |time: Duration| (!time.is_zero()).then(|| moved + time);
        match self.task {
            // The driver bounds opening, and a refresh has a deadline of its own.
            Task::Dialing | Task::Refresh => None,
            Task::Idle => Some(moved + IDLE_TIMEOUT),
            Task::Exchange(_) if !self.wire.output().is_empty() => within(patience.write),
            Task::Exchange(_) if self.paused => None,
            Task::Exchange(_) => within(patience.read),
        }
    }

    /// Whether it broke only because its other side had closed it while it was idle: the request
    /// was not read.
    pub(super) fn was_stale(&self) -> bool {
        self.used && self.wire.is_unanswered()
    }
}

impl Proxy {
    /// Has the driver open a connection.
    pub(super) fn dial(&mut self, upstream: Upstream) -> ConnectionId {
        // Odd ids are the machine's.
        let id = ConnectionId(self.dials * 2 + 1);
        self.dials += 1;
        self.actions.push_back(Action::Connect(id, upstream.url.to_string()));
        self.upstreams.insert(id, upstream);
        id
    }

    pub(super) fn on_connected(&mut self, now: Now, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        upstream.moved = now.monotonic;
        match upstream.task {
            Task::Refresh => self.ask_for_members(id),
            Task::Dialing => {
                let url = upstream.url.clone();
                self.lines.dialed(&url);
                self.serve_next(now, id);
                self.dial_for(now, &url);
            }
            Task::Idle | Task::Exchange(_) => {}
        }
    }

    /// A connection is free: for the first in line, or for later.
    fn serve_next(&mut self, now: Now, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if std::mem::take(&mut upstream.paused) {
            self.actions.push_back(Action::Pause(id, false));
        }
        let url = upstream.url.clone();
        upstream.task = Task::Idle;
        upstream.moved = now.monotonic;
        if let Some(exchange) = self.lines.next_waiting(&url) {
            self.ask(now, id, exchange);
        } else if self.endpoints.contains(&url) && self.lines.keep(&url, id) {
            self.set_upstream_timer(id);
        } else {
            self.close_upstream(id);
        }
    }

    pub(super) fn on_upstream_received(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        upstream.moved = now.monotonic;
        upstream.wire.receive(bytes);
        // Delivering an event may close the connection.
        while let Some(upstream) = self.upstreams.get_mut(&id) {
            match upstream.wire.next_event() {
                Ok(Some(event)) => self.deliver(now, id, event),
                Ok(None) => return self.set_upstream_timer(id),
                Err(malformed) => return self.fail_upstream(now, id, &malformed.to_string()),
            }
        }
    }

    /// The other side sends no more: some answers end so.
    pub(super) fn on_upstream_half_closed(&mut self, now: Now, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        match upstream.wire.ended() {
            Ok(Some(event)) => self.deliver(now, id, event),
            Ok(None) => self.fail_upstream(now, id, "closed by its other side"),
            Err(malformed) => self.fail_upstream(now, id, &malformed.to_string()),
        }
    }

    fn deliver(&mut self, now: Now, id: ConnectionId, event: Event) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        match upstream.task {
            Task::Exchange(exchange) => {
                if event == Event::End {
                    upstream.used = true;
                    if upstream.wire.is_reusable() {
                        self.serve_next(now, id);
                    } else {
                        self.close_upstream(id);
                    }
                }
                self.on_answer(now, exchange, event);
            }
            Task::Refresh => self.on_members(now, id, event),
            Task::Dialing | Task::Idle => unreachable!("an event answers a question"),
        }
    }

    /// A connection is of no more use: it broke, or took too long, or what came is nonsense.
    pub(super) fn fail_upstream(&mut self, now: Now, id: ConnectionId, reason: &str) {
        let Some(upstream) = self.close_upstream(id) else { return };
        match upstream.task {
            Task::Exchange(exchange) => {
                self.log_failure(&upstream.url, reason);
                self.on_exchange_failed(now, exchange, &upstream);
            }
            Task::Dialing => {
                self.log_failure(&upstream.url, reason);
                for exchange in self.lines.all_waiting(&upstream.url) {
                    self.on_exchange_failed(now, exchange, &upstream);
                }
            }
            Task::Refresh => self.ask_next_peer(now),
            Task::Idle => {}
        }
    }

    /// Closes a connection, and forgets it.
    pub(super) fn close_upstream(&mut self, id: ConnectionId) -> Option<Upstream> {
        let upstream = self.upstreams.remove(&id)?;
        self.actions.push_back(Action::Close { connection: id, at_once: true });
        match upstream.task {
            Task::Idle => self.lines.lose(&upstream.url, id),
            Task::Dialing => self.lines.dialed(&upstream.url),
            Task::Exchange(_) | Task::Refresh => {}
        }
        if let Some(timer) = upstream.timer {
            self.timers.remove(&(timer, Timer::Upstream(id)));
        }
        Some(upstream)
    }

    pub(super) fn upstream_written(&mut self, now: Now, id: ConnectionId, bytes: usize) {
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.written(now.monotonic, bytes);
            self.set_upstream_timer(id);
        }
    }

    /// After a question: names its output to the driver, and sets its timer.
    pub(super) fn settle_upstream(&mut self, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if !upstream.wire.output().is_empty() && !upstream.writable {
            upstream.writable = true;
            self.writable.push(id);
        }
        self.set_upstream_timer(id);
    }

    /// Makes sure that a connection's next deadline is seen; a timer may come too early, and is
    /// set again then.
    fn set_upstream_timer(&mut self, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if let Some(deadline) = upstream.deadline(self.options.patience())
            && upstream.timer.is_none_or(|timer| deadline < timer)
        {
            if let Some(timer) = upstream.timer.replace(deadline) {
                self.timers.remove(&(timer, Timer::Upstream(id)));
            }
            self.timers.insert((deadline, Timer::Upstream(id)));
        }
    }

    pub(super) fn on_upstream_timer(&mut self, now: Now, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        upstream.timer = None;
        let deadline = upstream.deadline(self.options.patience());
        if deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            self.fail_upstream(now, id, "timed out");
        } else {
            self.set_upstream_timer(id);
        }
    }
}
