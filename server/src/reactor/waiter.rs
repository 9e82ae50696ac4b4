//! What ends a reactor's wait, sockets aside.

use std::io;
use std::sync::Arc;

use mio::{Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

pub(super) const WAKER: Token = Token(usize::MAX);
pub(super) const SIGNALS: Token = Token(usize::MAX - 1);

/// What a reactor waits with; made before what it drives, because the disk wakes it.
pub struct Waiter {
    pub(super) poll: Poll,
    pub(super) waker: Arc<Waker>,
    pub(super) signals: Signals,
}

impl Waiter {
    /// From here on signals are held for the reactor.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        Ok(Self { poll, waker, signals })
    }

    /// Ends a wait from another thread.
    pub fn wake(&self) -> impl Fn() + Send + Sync + 'static {
        let waker = self.waker.clone();
        move || {
            if let Err(error) = waker.wake() {
                log::error!(error:% = error; "cannot wake the reactor");
            }
        }
    }
}
