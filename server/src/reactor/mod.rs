//! The loop that carries bytes between the operating system and a [`Machine`]: a member's host, or
//! a proxy.
//!
//! Each turn waits, then gathers: peers' bytes and the disk's answers first (a process that was
//! paused must read the heartbeats it missed before it may think of campaigning), then time, then
//! clients round robin within a budget. One flush ends the turn, and the host's actions are
//! performed. What the budget leaves over keeps its place in a queue, and the next wait is none.
//!
//! A connection costs a turn nothing while it is idle: turns visit only what the system named.

mod complaints;
mod connection;
mod dialer;
mod doors;
mod guest;
mod handshakes;
mod listeners;
mod operator;
mod rejections;
mod socket;
mod waiter;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};
use quorra_core::replica::{JobId, JobResult, StopReason};
use quorra_core::time::{Instant, Now};
use quorra_net::host::{Action, ConnectionId, Input, Listener, Machine, Measured};
use signal_hook::consts::SIGTERM;

use crate::clock::Clock;
use crate::disk::{Answer, Disk};
use crate::process;
use crate::tls;
use crate::workers::Workers;
use complaints::Complaints;
use connection::{Buffers, Connection, Connections, Phase, Received, Sent};
use dialer::{Attempt, Dialed, Dialer};
use doors::Doors;
use handshakes::Newcomer;
use listeners::ACCEPTED_MAX;
pub use listeners::{Listening, Network, Secure};
pub use waiter::Waiter;
use waiter::{SIGNALS, WAKER};

/// What all clients together may read in a turn.
const TURN_BYTES_MAX: usize = 1 << 20;
/// How long clients may be read from in a turn.
const TURN_TIME_MAX: Duration = Duration::from_millis(2);
/// A turn that takes longer is told to whoever looks for the reason of slow answers.
const TURN_SLOW: Duration = Duration::from_millis(10);
/// Events that are taken from the system at once; the rest wait there.
const EVENTS_MAX: usize = 1024;
/// How long a closed connection is kept for the other side to finish reading (as Go's server).
const LINGER: Duration = Duration::from_millis(500);
/// How long a member that was asked to stop may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// How a reactor's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a signal, with leadership handed over as far as that was possible; or because the
    /// member was removed.
    Gracefully,
    /// By a second signal.
    Interrupted,
    /// By the member itself, for this reason.
    Failed(String),
}

/// What happened beside the sockets, for the next turn to tell the host.
enum Pending {
    Broken(ConnectionId),
    Job(JobId, JobResult),
    Measured(Box<Measured>),
}

/// A running member, or proxy.
pub struct Reactor<M> {
    waiter: Waiter,
    clock: Clock,
    host: M,
    /// A proxy has none: it asks for no log.
    disk: Option<Disk>,
    /// A proxy has none: it asks for no job.
    workers: Option<Workers>,
    dialer: Dialer,
    doors: Doors,
    complaints: Complaints,
    accepted: u64,
    connections: Connections,
    connections_max: usize,
    ready_peers: VecDeque<ConnectionId>,
    ready_clients: VecDeque<ConnectionId>,
    /// In the order of their time.
    lingering: VecDeque<(Instant, ConnectionId)>,
    pending: Vec<Pending>,
    /// The system told of a signal that was not taken yet.
    signalled: bool,
    /// Set by the first signal.
    stop_before: Option<Instant>,
    buffers: Buffers,
}

impl<M: Machine> Reactor<M> {
    /// A member that runs as soon as [`Self::run`] is called. `clock` is the one that made the
    /// host's first `now`.
    pub fn new(
        waiter: Waiter,
        clock: Clock,
        host: M,
        disk: Option<Disk>,
        workers: Option<Workers>,
        network: Network,
    ) -> io::Result<Self> {
        let doors = Doors::open(network.listeners, network.handshakes_max, &waiter)?;
        Ok(Self {
            dialer: Dialer::new(waiter.waker.clone(), network.dial_timeout, network.dial_tls),
            complaints: Complaints::default(),
            waiter,
            clock,
            host,
            disk,
            workers,
            doors,
            accepted: 0,
            connections: Connections::default(),
            connections_max: network.connections_max,
            ready_peers: VecDeque::new(),
            ready_clients: VecDeque::new(),
            lingering: VecDeque::new(),
            pending: Vec::new(),
            signalled: false,
            stop_before: None,
            buffers: Buffers::default(),
        })
    }

    /// Runs the member to its end.
    pub fn run(mut self) -> io::Result<Ended> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout();
            match self.waiter.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let now = self.clock.now();
            events.iter().for_each(|event| self.on_event(event));
            if let Some(ended) = self.turn(now)? {
                return Ok(ended);
            }
            let took = self.clock.monotonic().since(now.monotonic);
            if took > TURN_SLOW {
                log::debug!(took:? = took; "a turn took long: every client waited for it");
            }
        }
    }

    /// How long there will be nothing to do unless the system says otherwise.
    fn timeout(&self) -> Duration {
        let left_over = !self.ready_peers.is_empty() || !self.ready_clients.is_empty();
        if left_over || !self.pending.is_empty() {
            return Duration::ZERO;
        }
        let accept = self.doors.resume_at();
        let linger = self.lingering.front().map(|(until, _)| *until);
        let others = [accept, linger, self.stop_before].into_iter().flatten();
        self.clock.until(others.fold(self.host.deadline(), Instant::min))
    }

    /// Remembers what the system named.
    fn on_event(&mut self, event: &Event) {
        match event.token() {
            WAKER => {}
            SIGNALS => self.signalled = true,
            token if self.doors.on_event(token) => {}
            Token(connection) => {
                let id = ConnectionId(connection as u64);
                match self.connections.get_mut(&id).map(|known| known.on_event(event)) {
                    Some(true) => self.enqueue(id),
                    Some(false) => self.drop_broken(id),
                    None => {}
                }
            }
        }
    }

    fn turn(&mut self, now: Now) -> io::Result<Option<Ended>> {
        if let Some(ended) = self.take_signals(now) {
            return Ok(Some(ended));
        }
        for _ in 0..self.ready_peers.len() {
            self.ready_peers.pop_front().map(|id| self.serve(now, id));
        }
        self.take_answers(now);
        self.finish_dialing(now);
        if self.host.deadline() <= now.monotonic {
            self.host.input(now, Input::Tick);
        }
        self.accept(now);
        self.serve_clients(now);
        self.host.input(now, Input::Flush);
        self.end_lingering(now);
        self.perform(now)
    }

    /// The first signal asks the host to stop, the second ends the process.
    fn take_signals(&mut self, now: Now) -> Option<Ended> {
        // Asking costs a system call; most turns were not told of a signal.
        let signalled = std::mem::take(&mut self.signalled);
        let signals = signalled.then(|| self.waiter.signals.pending());
        for signal in signals.into_iter().flatten() {
            if self.stop_before.is_some() {
                return Some(Ended::Interrupted);
            }
            operator::stopping(if signal == SIGTERM { "SIGTERM" } else { "SIGINT" });
            self.stop_before = Some(now.monotonic + STOP_TIME_MAX);
            self.host.input(now, Input::Stop);
        }
        let late = self.stop_before.is_some_and(|deadline| deadline <= now.monotonic);
        late.then_some(Ended::Gracefully)
    }

    fn take_answers(&mut self, now: Now) {
        for answer in self.disk.iter().flat_map(Disk::answers) {
            self.host.input(
                now,
                match answer {
                    Answer::Durable(lane, ticket) => Input::Durable(lane, ticket),
                    Answer::Failed(lane, ticket, failure) => Input::Failed(lane, ticket, failure),
                    Answer::Read(id, result) => Input::Read(id, result),
                },
            );
        }
        while let Some((id, result)) = self.workers.as_mut().and_then(Workers::take) {
            self.host.input(now, Input::Job(id, result));
        }
        for pending in std::mem::take(&mut self.pending) {
            self.host.input(
                now,
                match pending {
                    Pending::Broken(id) => Input::Closed(id),
                    Pending::Job(id, result) => Input::Job(id, result),
                    Pending::Measured(measured) => Input::Measured(measured),
                },
            );
        }
    }

    fn finish_dialing(&mut self, now: Now) {
        while let Some(Attempt { id, url, result }) = self.dialer.next() {
            let registry = self.waiter.poll.registry();
            let opened = result.and_then(|dialed| {
                let Dialed { socket, filter, early } = dialed;
                let secured = filter.map(|filter| (filter, url.clone()));
                Connection::open(socket, secured, id, true, registry).map(|open| (open, early))
            });
            match opened {
                Ok((connection, early)) => {
                    self.connections.insert(id, connection);
                    self.host.input(now, Input::Connected(id));
                    if !early.is_empty() {
                        self.host.input(now, Input::Received(id, &early));
                    }
                    self.enqueue(id);
                }
                Err(error) => {
                    let reason = error.to_string();
                    let news = self.complaints.is_news(&url, &reason, now.monotonic);
                    let level = if news { log::Level::Warn } else { log::Level::Debug };
                    log::log!(
                        level, "remote-peer" = url.as_str(), error = reason.as_str();
                        "cannot connect to a peer"
                    );
                    self.host.input(now, Input::Closed(id));
                }
            }
        }
    }

    /// Makes those who have come in known to the system and to the host.
    fn accept(&mut self, now: Now) {
        let room = self.room();
        for newcomer in self.doors.newcomers(now.monotonic, room) {
            let Newcomer { socket, filter, listener, remote, security, early } = newcomer;
            let connection = ConnectionId(self.accepted * 2);
            self.accepted += 1;
            let peer = listener == Listener::Peer;
            let registry = self.waiter.poll.registry();
            let secured = filter.map(|filter| (filter, remote.clone()));
            match Connection::open(socket, secured, connection, peer, registry) {
                Ok(opened) => {
                    self.connections.insert(connection, opened);
                    let remote = &remote;
                    let input = Input::Accepted { connection, listener, remote, security };
                    self.host.input(now, input);
                    if !early.is_empty() {
                        self.host.input(now, Input::Received(connection, &early));
                    }
                }
                Err(error) => log::warn!(error:% = error; "cannot watch a connection"),
            }
        }
    }

    /// How many may come in now. Those that linger give way first; one at least comes in, to be told
    /// that there is no room.
    fn room(&mut self) -> usize {
        while self.connections.len() + ACCEPTED_MAX > self.connections_max
            && let Some((_, id)) = self.lingering.pop_front()
        {
            self.connections.remove(&id);
        }
        self.connections_max.saturating_sub(self.connections.len()).max(1)
    }

    /// Each ready client once, until the turn's budget is spent.
    fn serve_clients(&mut self, now: Now) {
        let until = now.monotonic + TURN_TIME_MAX;
        let mut received = 0;
        for _ in 0..self.ready_clients.len() {
            if received >= TURN_BYTES_MAX || self.clock.monotonic() >= until {
                break;
            }
            if let Some(id) = self.ready_clients.pop_front() {
                received += self.serve(now, id);
            }
        }
    }

    /// Writes what waits and reads once; the number of bytes read.
    fn serve(&mut self, now: Now, id: ConnectionId) -> usize {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.queued = false;
        }
        self.send(now, id);
        let Some(connection) = self.connections.get_mut(&id) else { return 0 };
        if !connection.wants_read() {
            return 0;
        }
        let open = connection.phase == Phase::Open;
        let mut count = 0;
        match connection.receive(&mut self.buffers) {
            Received::Bytes(bytes) if open => {
                count = bytes.len();
                self.host.input(now, Input::Received(id, bytes));
            }
            Received::End if open => self.host.input(now, Input::HalfClosed(id)),
            Received::Bytes(_) | Received::Nothing => {}
            Received::Refused(error) => self.drop_refused(now, id, &error),
            Received::End | Received::Broken => self.drop_broken(id),
        }
        self.enqueue(id);
        count
    }

    /// Puts a connection into its queue if serving it would get anywhere.
    fn enqueue(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.queued || !connection.is_ready() {
            return;
        }
        connection.queued = true;
        match connection.peer {
            true => self.ready_peers.push_back(id),
            false => self.ready_clients.push_back(id),
        }
    }

    fn perform(&mut self, now: Now) -> io::Result<Option<Ended>> {
        while let Some(action) = self.host.next_action() {
            match action {
                Action::Write(id) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.has_output = true;
                    }
                    self.send(now, id);
                }
                Action::Pause(id, paused) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.paused = paused;
                    }
                    self.enqueue(id);
                }
                Action::Close { connection, at_once } => self.close(now, connection, at_once),
                Action::Connect(id, url) => self.dialer.dial(id, url),
                Action::Disk(lane, ticket, operations) => {
                    self.disk().submit(lane, ticket, operations);
                }
                Action::Read(id, read) => self.disk().read(id, read),
                Action::Job(id, job) => {
                    let workers = self.workers.as_mut();
                    let done = workers.map_or(Ok(None), |workers| workers.begin(id, job))?;
                    self.pending.extend(done.map(|result| Pending::Job(id, result)));
                }
                Action::Notice(notice) => operator::notice(notice),
                Action::Ready => operator::ready(),
                Action::Log(level, line) => operator::log(level, &line),
                Action::LogLevel(level) => operator::set_log_level(level),
                Action::Measure => self.pending.push(Pending::Measured(Box::new(self.measure()))),
                Action::Stop(StopReason::Asked) => return Ok(Some(Ended::Gracefully)),
                // Not a failure that a service manager should mend by starting again (etcd).
                Action::Stop(reason @ StopReason::Removed) => {
                    log::warn!("{}", operator::reason(reason));
                    return Ok(Some(Ended::Gracefully));
                }
                Action::Stop(reason) => {
                    return Ok(Some(Ended::Failed(operator::reason(reason))));
                }
            }
        }
        Ok(None)
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("only a member has a log, and it was given a disk")
    }

    fn measure(&self) -> Measured {
        let measured = process::measure();
        match self.disk.as_ref().map(Disk::syncs) {
            Some((log_syncs, bulk_syncs)) => Measured { log_syncs, bulk_syncs, ..measured },
            None => measured,
        }
    }

    /// Writes what the host has for a connection, as far as the socket takes it.
    fn send(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.has_output {
            return;
        }
        let sent = connection.send(&mut self.host, id, now);
        match (sent, connection.phase) {
            (Sent::All, Phase::Closing) => self.linger(now, id),
            (Sent::All | Sent::Blocked, _) => {}
            (Sent::More, _) => self.enqueue(id),
            (Sent::Broken, _) => self.drop_broken(id),
        }
    }

    fn close(&mut self, now: Now, id: ConnectionId, at_once: bool) {
        if at_once {
            self.dialer.forget(id);
            self.connections.remove(&id);
        } else if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Closing;
            connection.has_output = true;
            self.send(now, id);
        }
    }

    fn linger(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.linger() {
            self.lingering.push_back((now.monotonic + LINGER, id));
            self.enqueue(id);
        } else {
            self.connections.remove(&id);
        }
    }

    fn end_lingering(&mut self, now: Now) {
        while self.lingering.front().is_some_and(|(until, _)| *until <= now.monotonic) {
            if let Some((_, id)) = self.lingering.pop_front() {
                self.connections.remove(&id);
            }
        }
    }

    /// Forgets a connection whose TLS has failed: members learn in this way that another one does
    /// not take their certificate.
    fn drop_refused(&mut self, now: Now, id: ConnectionId, error: &rustls::Error) {
        if let Some(connection) = self.connections.get(&id) {
            let (remote, reason) = (connection.remote(), tls::reason(error));
            if self.complaints.is_news(remote, &reason, now.monotonic) {
                log::warn!(
                    "remote-addr" = remote, error = reason.as_str();
                    "a TLS connection has failed"
                );
            }
        }
        self.drop_broken(id);
    }

    /// Forgets a connection; the host is told next turn unless it was done with it.
    fn drop_broken(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some_and(|known| known.phase != Phase::Lingering) {
            self.pending.push(Pending::Broken(id));
        }
    }
}
