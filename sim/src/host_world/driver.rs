//! A member's process: its host, its sockets, and the turns that it takes.
//!
//! The same shape as the production reactor's: peers' bytes and the disk's answers first (a process
//! that stood still must read the heartbeats it missed before it may think of campaigning), then
//! time, then clients within a budget; one flush; then the actions, one by one.

use std::collections::{BTreeMap, VecDeque};

use quorra_core::raft::Index;
use quorra_core::time::Now;
use quorra_net::host::{Action, ConnectionId, Host, Input, Listener, Security};

use super::step::Step;
use super::wires::{Read, WireId, Wires, Written};
use crate::chance::Chance;
use crate::check::{Verdict, require};
use crate::trace::Trace;

/// What one connection may read in a turn.
const RECEIVED_BYTES_MAX: usize = 64 << 10;
/// What all clients together may read in a turn.
const TURN_BYTES_MAX: usize = 1 << 20;
/// How long a closed connection is kept for the other side to finish reading.
const LINGER: u64 = 500_000_000;
/// More than this never waits for one reader: some answers, and the windows of HTTP/2.
const OUTPUT_BYTES_MAX: usize = 40 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The host has let go; its output is still written.
    Closing,
    /// All is written; what still comes is read and dropped.
    Lingering,
}

#[derive(Debug)]
struct Socket {
    wire: WireId,
    side: usize,
    peer: bool,
    paused: bool,
    queued: bool,
    ended: bool,
    phase: Phase,
}

/// A running member.
pub(super) struct Process {
    pub(super) host: Host,
    /// The index at which its state was compared with the others' last.
    pub(super) compared: Option<Index>,
    /// Told to the host in the next turn, before clients are.
    pub(super) inputs: Vec<Input<'static>>,
    /// When its next turn is due.
    pub(super) turn: Option<u64>,
    /// It stands still until then.
    pub(super) paused: u64,
    /// It dies in its next turn, after so many actions.
    pub(super) dies_after: Option<usize>,
    sockets: BTreeMap<ConnectionId, Socket>,
    named: BTreeMap<WireId, ConnectionId>,
    dialing: BTreeMap<WireId, ConnectionId>,
    backlog: VecDeque<(WireId, Listener)>,
    ready_peers: VecDeque<ConnectionId>,
    ready_clients: VecDeque<ConnectionId>,
    lingering: VecDeque<(u64, ConnectionId)>,
    accepted: u64,
}

impl Process {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            compared: None,
            inputs: Vec::new(),
            turn: None,
            paused: 0,
            dies_after: None,
            sockets: BTreeMap::new(),
            named: BTreeMap::new(),
            dialing: BTreeMap::new(),
            backlog: VecDeque::new(),
            ready_peers: VecDeque::new(),
            ready_clients: VecDeque::new(),
            lingering: VecDeque::new(),
            accepted: 0,
        }
    }

    /// A connection waits to be accepted.
    pub(super) fn knock(&mut self, wire: WireId, listener: Listener) {
        self.backlog.push_back((wire, listener));
    }

    /// A connection is being opened.
    pub(super) fn dials(&mut self, wire: WireId, connection: ConnectionId) {
        self.dialing.insert(wire, connection);
    }

    /// A connection that was dialed is open.
    pub(super) fn opened(&mut self, wire: WireId, wires: &mut Wires) {
        let Some(connection) = self.dialing.remove(&wire) else { return wires.reset(wire, 0) };
        self.add(connection, wire, 0, true);
        self.inputs.push(Input::Connected(connection));
    }

    fn add(&mut self, connection: ConnectionId, wire: WireId, side: usize, peer: bool) {
        let phase = Phase::Open;
        let (paused, queued, ended) = (false, false, false);
        let socket = Socket { wire, side, peer, paused, queued, ended, phase };
        self.sockets.insert(connection, socket);
        self.named.insert(wire, connection);
    }

    /// Something can be done on a connection, or it is broken.
    pub(super) fn ready(&mut self, wire: WireId, wires: &mut Wires) {
        if let Some(connection) = self.dialing.remove(&wire) {
            wires.close(wire, 0);
            self.inputs.push(Input::Closed(connection));
        } else if let Some(connection) = self.named.get(&wire).copied() {
            self.enqueue(connection);
        }
    }

    fn enqueue(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if !std::mem::replace(&mut socket.queued, true) {
            match socket.peer {
                true => self.ready_peers.push_back(id),
                false => self.ready_clients.push_back(id),
            }
        }
    }

    /// Whether the next turn should come at once.
    pub(super) fn has_more(&self) -> bool {
        !self.ready_peers.is_empty() || !self.ready_clients.is_empty() || !self.inputs.is_empty()
    }

    /// A connection of a client that is open.
    pub(super) fn client(&self) -> Option<WireId> {
        self.sockets.values().find(|socket| !socket.peer).map(|socket| socket.wire)
    }

    /// When the first lingering connection is closed for good.
    pub(super) fn linger_ends(&self) -> Option<u64> {
        self.lingering.front().map(|(until, _)| *until)
    }
}

/// A process in a turn, and what it touches.
pub(super) struct Turn<'a> {
    pub(super) seat: usize,
    pub(super) time: u64,
    pub(super) now: Now,
    pub(super) process: &'a mut Process,
    pub(super) wires: &'a mut Wires,
    pub(super) chance: &'a mut Chance,
    pub(super) trace: &'a mut Trace,
}

impl Turn<'_> {
    /// Takes in what came, up to the flush.
    pub(super) fn gather(&mut self) -> Verdict {
        let now = self.now;
        for _ in 0..self.process.ready_peers.len() {
            if let Some(id) = self.process.ready_peers.pop_front() {
                self.serve(id)?;
            }
        }
        for input in std::mem::take(&mut self.process.inputs) {
            self.process.host.input(now, input);
        }
        if self.process.host.deadline() <= now.monotonic {
            self.process.host.input(now, Input::Tick);
        }
        self.accept();
        self.serve_clients()?;
        self.process.host.input(now, Input::Flush);
        self.end_lingering();
        Ok(())
    }

    fn accept(&mut self) {
        while let Some((wire, listener)) = self.process.backlog.pop_front() {
            let connection = ConnectionId(self.process.accepted * 2);
            self.process.accepted += 1;
            let peer = listener == Listener::Peer;
            self.process.add(connection, wire, 1, peer);
            self.trace.record(self.time, &Step::Accepted { seat: self.seat, wire, peer });
            let remote = "10.0.0.9:1";
            let security = Security::Plain;
            let input = Input::Accepted { connection, listener, remote, security };
            self.process.host.input(self.now, input);
            self.process.enqueue(connection);
        }
    }

    fn serve_clients(&mut self) -> Verdict {
        let mut received = 0;
        for _ in 0..self.process.ready_clients.len() {
            if received >= TURN_BYTES_MAX || self.chance.per_mille(20) {
                break;
            }
            if let Some(id) = self.process.ready_clients.pop_front() {
                received += self.serve(id)?;
            }
        }
        Ok(())
    }

    /// Writes what waits and reads once; the number of bytes read.
    fn serve(&mut self, id: ConnectionId) -> Result<usize, crate::check::Violation> {
        let Some(socket) = self.process.sockets.get_mut(&id) else { return Ok(0) };
        socket.queued = false;
        if self.wires.is_broken(socket.wire, socket.side) {
            self.broken(id);
            return Ok(0);
        }
        self.send(id)?;
        let Some(socket) = self.process.sockets.get_mut(&id) else { return Ok(0) };
        let open = socket.phase == Phase::Open;
        if socket.paused || socket.ended || socket.phase == Phase::Closing {
            return Ok(0);
        }
        let (wire, side) = (socket.wire, socket.side);
        let mut count = 0;
        match self.wires.read(wire, side, RECEIVED_BYTES_MAX) {
            Read::Bytes(bytes) => {
                count = bytes.len();
                let step = Step::Received { seat: self.seat, wire, bytes: &bytes };
                self.trace.record(self.time, &step);
                if open {
                    self.process.host.input(self.now, Input::Received(id, &bytes));
                }
                if self.wires.is_readable(wire, side) {
                    self.process.enqueue(id);
                }
            }
            Read::End => {
                socket.ended = true;
                if open {
                    self.process.host.input(self.now, Input::HalfClosed(id));
                } else {
                    self.forget(id, false);
                }
            }
            Read::Broken => self.broken(id),
            Read::Nothing => {}
        }
        Ok(count)
    }

    /// Writes what the host has for a connection, as far as there is room.
    fn send(&mut self, id: ConnectionId) -> Verdict {
        while let Some(socket) = self.process.sockets.get(&id) {
            if socket.phase == Phase::Lingering {
                return Ok(());
            }
            let output = self.process.host.output(id);
            require(output.len() <= OUTPUT_BYTES_MAX, || {
                format!("m{} keeps {} bytes for one reader", self.seat, output.len())
            })?;
            if output.is_empty() {
                if socket.phase == Phase::Closing {
                    self.linger(id);
                }
                return Ok(());
            }
            match self.wires.write(socket.wire, socket.side, output) {
                Written::Taken(count) => {
                    let bytes = &output[..count];
                    let step = Step::Wrote { seat: self.seat, wire: socket.wire, bytes };
                    self.trace.record(self.time, &step);
                    self.process.host.written(self.now, id, count);
                }
                Written::Blocked => return Ok(()),
                Written::Broken => {
                    self.broken(id);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn linger(&mut self, id: ConnectionId) {
        let Some(socket) = self.process.sockets.get_mut(&id) else { return };
        socket.phase = Phase::Lingering;
        socket.paused = false;
        self.wires.finish(socket.wire, socket.side);
        if socket.ended {
            self.forget(id, false);
        } else {
            self.process.lingering.push_back((self.time + LINGER, id));
            self.process.enqueue(id);
        }
    }

    fn end_lingering(&mut self) {
        while self.process.linger_ends().is_some_and(|until| until <= self.time) {
            if let Some((_, id)) = self.process.lingering.pop_front() {
                self.forget(id, false);
            }
        }
    }

    fn broken(&mut self, id: ConnectionId) {
        let lingered = self.process.sockets.get(&id).map(|socket| socket.phase);
        self.forget(id, true);
        if lingered.is_some_and(|phase| phase != Phase::Lingering) {
            self.process.inputs.push(Input::Closed(id));
        }
    }

    /// Closes a socket.
    fn forget(&mut self, id: ConnectionId, reset: bool) {
        let Some(socket) = self.process.sockets.remove(&id) else { return };
        self.process.named.remove(&socket.wire);
        match reset {
            true => self.wires.reset(socket.wire, socket.side),
            false => self.wires.close(socket.wire, socket.side),
        }
    }

    /// Carries out what concerns connections that exist.
    pub(super) fn perform(&mut self, action: &Action) -> Verdict {
        match action {
            Action::Write(id) => self.send(*id)?,
            Action::Pause(id, paused) => {
                if let Some(socket) = self.process.sockets.get_mut(id) {
                    socket.paused = *paused;
                }
                self.process.enqueue(*id);
            }
            Action::Close { connection, at_once: true } => {
                self.process.dialing.retain(|_, dialed| dialed != connection);
                self.forget(*connection, true);
            }
            Action::Close { connection, at_once: false } => {
                if let Some(socket) = self.process.sockets.get_mut(connection) {
                    socket.phase = Phase::Closing;
                }
                self.send(*connection)?;
            }
            _ => {}
        }
        Ok(())
    }
}
