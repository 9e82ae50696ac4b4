//! TLS handshakes, on threads of their own: the listeners that speak TLS, and everybody who has
//! not yet shown who he is.
//!
//! A handshake costs the processor as much as a hundred requests, and whoever begins one may never
//! end it. So the reactor knows nothing of them: a thread for each kind of listener accepts, shakes
//! hands, and hands over connections that are ready to speak. A storm of clients delays clients;
//! neither the reactor, with its heartbeats, nor members that reconnect.
//!
//! # Invariants
//! - So many handshakes are under way at once, and no more: who comes then waits in the system's
//!   queue. One that keeps us waiting gives its place to who waits.
//! - A handshake is over, one way or the other, in bounded time.
//! - What is handed over has been verified: its certificate if one was demanded, and for peers that
//!   it comes from where its certificate says.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use quorra_net::host::{Listener, Security};
use quorra_net::tls::Filter;

use super::guest::{Guest, Progress};
use super::listeners::{ACCEPTED_MAX, Listening, Secure};
use super::rejections::Rejections;
use super::socket::Socket;
use crate::tls::origin;

/// How long a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a handshake may keep its place while others wait for one.
const PLACE_TIME_MIN: Duration = Duration::from_secs(1);
/// How long somebody who was refused may take to read why.
const LINGER: Duration = Duration::from_millis(500);
/// How long accepting rests when descriptors or memory run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait for the reactor to take them over; it does in every turn.
const NEWCOMERS_MAX: usize = 64;
/// Events that are taken from the system at once; the rest wait there.
const EVENTS_MAX: usize = 256;

const WAKER: Token = Token(usize::MAX);
/// Listeners have this token and those below it; guests count up from zero.
const FIRST_LISTENER: usize = usize::MAX - 1;

/// A connection that is ready to speak.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) socket: Socket,
    /// None if it speaks plain text on a listener that takes both.
    pub(super) filter: Option<Box<Filter>>,
    pub(super) listener: Listener,
    pub(super) remote: String,
    pub(super) security: Security,
    /// What it has said already.
    pub(super) early: Vec<u8>,
}

/// The handshakes' end that the reactor holds.
#[derive(Debug)]
pub(super) struct Handshakes {
    newcomers: Receiver<Newcomer>,
}

impl Handshakes {
    /// Starts a thread for each kind of listener; none for none. Each has so many handshakes under
    /// way at most, and wakes the reactor with each newcomer.
    pub(super) fn start(
        listeners: Vec<Listening>,
        under_way_max: usize,
        waker: &Arc<Waker>,
    ) -> io::Result<Self> {
        let (sender, newcomers) = sync_channel(NEWCOMERS_MAX);
        let (peers, clients): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listening| listening.kind() == Listener::Peer);
        for (name, listeners) in [("tls-peers", peers), ("tls-clients", clients)] {
            if !listeners.is_empty() {
                let porch = Porch::new(listeners, under_way_max, sender.clone(), waker.clone())?;
                std::thread::Builder::new().name(name.into()).spawn(move || porch.run())?;
            }
        }
        Ok(Self { newcomers })
    }

    /// The next connection to take over. A turn may take all there are: a handshake takes longer
    /// than taking its connection over.
    pub(super) fn next(&self) -> Option<Newcomer> {
        self.newcomers.try_recv().ok()
    }
}

/// The reactor has gone.
struct Gone;

/// Whether a guest comes from where its certificate says, or why not.
type Verdict = (Token, Result<(), String>);

/// One thread's listeners and guests.
struct Porch {
    poll: Poll,
    listeners: Vec<Listening>,
    /// No accepting before this time.
    accept_after: Instant,
    guests: BTreeMap<Token, Guest>,
    next_guest: usize,
    under_way_max: usize,
    /// Until when each guest may stay.
    deadlines: BTreeSet<(Instant, Token)>,
    /// Whether those whose origin was looked up come from there.
    origins: (Sender<Verdict>, Receiver<Verdict>),
    waker: Arc<Waker>,
    newcomers: SyncSender<Newcomer>,
    reactor: Arc<Waker>,
    rejections: Rejections,
    buffer: Vec<u8>,
}

impl Porch {
    fn new(
        mut listeners: Vec<Listening>,
        under_way_max: usize,
        newcomers: SyncSender<Newcomer>,
        reactor: Arc<Waker>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        for (position, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(FIRST_LISTENER - position))?;
        }
        Ok(Self {
            poll,
            listeners,
            accept_after: Instant::now(),
            guests: BTreeMap::new(),
            next_guest: 0,
            under_way_max,
            deadlines: BTreeSet::new(),
            origins: channel(),
            waker,
            newcomers,
            reactor,
            rejections: Rejections::new(Instant::now()),
            buffer: vec![0; quorra_net::tls::RECEIVED_BYTES_MAX],
        })
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout(Instant::now());
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return log::error!(error:% = error; "TLS listeners stop");
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(listener) if listener > FIRST_LISTENER - self.listeners.len() => {
                        self.listeners[FIRST_LISTENER - listener].on_event();
                    }
                    guest => {
                        if self.advance(guest).is_err() {
                            return;
                        }
                    }
                }
            }
            if self.take_origins().is_err() {
                return;
            }
            self.expire(Instant::now());
            self.accept(Instant::now());
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let waiting = self.listeners.iter().any(Listening::is_ready);
        let accept = waiting.then(|| match self.place_is_free_at() {
            Some(at) => at.max(self.accept_after),
            None => self.accept_after,
        });
        let first = deadline.into_iter().chain(accept).min()?;
        // The system counts whole milliseconds, and must not be asked again a little too early.
        Some(first.saturating_duration_since(now) + Duration::from_millis(1))
            .filter(|_| first > now)
            .or(Some(Duration::ZERO))
    }

    /// When somebody must give way; none while there is room.
    fn place_is_free_at(&self) -> Option<Instant> {
        if self.guests.len() < self.under_way_max {
            return None;
        }
        self.deadlines.first().map(|(at, _)| *at - HANDSHAKE_TIME_MAX + PLACE_TIME_MIN)
    }

    fn accept(&mut self, now: Instant) {
        if now < self.accept_after {
            return;
        }
        for position in 0..self.listeners.len() {
            if let Some(at) = self.place_is_free_at() {
                if at > now {
                    return;
                }
                self.make_room(now);
            }
            let room = self.under_way_max.saturating_sub(self.guests.len());
            let (accepted, error) = self.listeners[position].accept(room.min(ACCEPTED_MAX));
            for (socket, remote) in accepted {
                self.welcome(now, position, socket, remote);
            }
            if let Some(error) = error {
                log::warn!(error:% = error; "cannot accept connections for the moment");
                self.accept_after = now + ACCEPT_PAUSE;
            }
        }
    }

    /// Those who have kept us waiting longest go.
    fn make_room(&mut self, now: Instant) {
        let enough = now + HANDSHAKE_TIME_MAX - PLACE_TIME_MIN;
        while let Some((_, token)) = self.deadlines.first().filter(|(at, _)| *at <= enough) {
            let token = *token;
            self.refuse(token, "gave its place to others: the handshake took too long");
            self.forget(token);
        }
    }

    fn welcome(&mut self, now: Instant, listener: usize, mut socket: Socket, remote: String) {
        let token = Token(self.next_guest);
        self.next_guest += 1;
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(socket.source(), token, interests) {
            return log::warn!(error:% = error; "cannot watch a connection");
        }
        let until = now + HANDSHAKE_TIME_MAX;
        self.deadlines.insert((until, token));
        self.guests.insert(token, Guest::new(socket, listener, remote, until));
    }

    fn advance(&mut self, token: Token) -> Result<(), Gone> {
        let Some(guest) = self.guests.get_mut(&token) else { return Ok(()) };
        let secure = secure(&self.listeners, guest.listener);
        match guest.advance(secure, &mut self.buffer) {
            Progress::Waits => {}
            Progress::Done => return self.check_origin(token),
            Progress::Plain => return self.hand_over(token),
            Progress::Refused(reason) => {
                self.refuse(token, &reason);
                self.linger(token, Instant::now());
            }
            Progress::Silent => self.forget(token),
            Progress::Gone(reason) => {
                self.refuse(token, &reason);
                self.forget(token);
            }
        }
        Ok(())
    }

    /// Holds a peer's address against its certificate's names. Asking for names may block, so that
    /// is done elsewhere.
    fn check_origin(&mut self, token: Token) -> Result<(), Gone> {
        let Some(guest) = self.guests.get(&token) else { return Ok(()) };
        let names = guest.names_of_origin(secure(&self.listeners, guest.listener));
        let (Some(names), Some(address)) = (names, guest.address()) else {
            return self.hand_over(token);
        };
        if names.addresses.contains(&address) {
            return self.hand_over(token);
        }
        let (sender, waker) = (self.origins.0.clone(), self.waker.clone());
        let check = move || {
            // Both fail only when the porch is gone.
            let _gone = sender.send((token, origin::check(address, &names)));
            let _gone = waker.wake();
        };
        if let Err(error) = std::thread::Builder::new().name("origin".into()).spawn(check) {
            self.refuse(token, &format!("cannot look up its names: {error}"));
            self.forget(token);
        }
        Ok(())
    }

    fn take_origins(&mut self) -> Result<(), Gone> {
        while let Ok((token, verdict)) = self.origins.1.try_recv() {
            match verdict {
                Ok(()) => self.hand_over(token)?,
                Err(reason) => {
                    self.refuse(token, &reason);
                    self.forget(token);
                }
            }
        }
        Ok(())
    }

    /// Gives a connection to the reactor. Waits for it if it is behind: accepting rests meanwhile.
    fn hand_over(&mut self, token: Token) -> Result<(), Gone> {
        let Some(mut guest) = self.guests.remove(&token) else { return Ok(()) };
        self.deadlines.remove(&(guest.until, token));
        if let Err(error) = self.poll.registry().deregister(guest.socket.source()) {
            log::warn!(error:% = error; "cannot hand a connection over");
            return Ok(());
        }
        let kind = self.listeners[guest.listener].kind();
        let secure = secure(&self.listeners, guest.listener);
        let newcomer = guest.into_newcomer(kind, secure);
        self.newcomers.send(newcomer).map_err(|_| Gone)?;
        self.reactor.wake().map_err(|_| Gone)
    }

    fn refuse(&mut self, token: Token, reason: &str) {
        if let Some(guest) = self.guests.get(&token) {
            self.rejections.tell(Instant::now(), &guest.remote, reason);
        }
    }

    /// Lets somebody read why he was refused.
    fn linger(&mut self, token: Token, now: Instant) {
        let Some(guest) = self.guests.get_mut(&token) else { return };
        self.deadlines.remove(&(guest.until, token));
        guest.until = now + LINGER;
        self.deadlines.insert((guest.until, token));
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, token)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            let token = *token;
            if self.guests.get(&token).is_some_and(|guest| !guest.is_leaving()) {
                self.refuse(token, "the handshake took too long");
            }
            self.forget(token);
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(guest) = self.guests.remove(&token) {
            self.deadlines.remove(&(guest.until, token));
        }
    }
}

/// The TLS of one of the porch's listeners.
fn secure(listeners: &[Listening], position: usize) -> &Secure {
    listeners[position].secure().expect("only listeners with TLS stand on the porch")
}

/// The address of a remote end as listeners name it; a unix socket has none.
pub(super) fn address(remote: &str) -> Option<IpAddr> {
    remote.parse::<std::net::SocketAddr>().ok().map(|remote| remote.ip())
}
