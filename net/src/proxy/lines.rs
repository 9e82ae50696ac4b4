//! How connections to endpoints are shared out: who waits for one, and which are free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ExchangeId;
use crate::host::ConnectionId;

/// Connections that are being opened to one endpoint at once.
const DIALS_MAX: usize = 32;
/// Connections to all endpoints that are kept for later requests.
const IDLE_MAX: usize = 256;

/// Who waits for a connection to an endpoint, and which are there.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<Arc<str>, Line>,
    idle: usize,
}

/// Where requests to one endpoint stand in line.
#[derive(Debug, Default)]
struct Line {
    /// In the order of their beginning.
    waiting: BTreeSet<ExchangeId>,
    /// The one used last is taken first.
    idle: Vec<ConnectionId>,
    dialing: usize,
}

impl Lines {
    /// An exchange wants a connection: an idle one, or it stands in line.
    pub(super) fn take(&mut self, url: &Arc<str>, exchange: ExchangeId) -> Option<ConnectionId> {
        let line = self.lines.entry(url.clone()).or_default();
        let found = line.idle.pop();
        match found {
            Some(_) => self.idle -= 1,
            None => drop(line.waiting.insert(exchange)),
        }
        found
    }

    /// Whether another connection should be opened; it is counted then.
    pub(super) fn wants_dial(&mut self, url: &str) -> bool {
        let Some(line) = self.lines.get_mut(url) else { return false };
        let wanted = line.dialing < line.waiting.len().min(DIALS_MAX);
        line.dialing += usize::from(wanted);
        wanted
    }

    /// An attempt to open a connection is over.
    pub(super) fn dialed(&mut self, url: &str) {
        if let Some(line) = self.lines.get_mut(url) {
            line.dialing -= 1;
        }
        self.tidy(url);
    }

    /// The first in line.
    pub(super) fn next_waiting(&mut self, url: &str) -> Option<ExchangeId> {
        let next = self.lines.get_mut(url)?.waiting.pop_first();
        self.tidy(url);
        next
    }

    /// All in line: the endpoint cannot be reached.
    pub(super) fn all_waiting(&mut self, url: &str) -> BTreeSet<ExchangeId> {
        let line = self.lines.get_mut(url);
        let all = line.map(|line| std::mem::take(&mut line.waiting)).unwrap_or_default();
        self.tidy(url);
        all
    }

    /// An exchange waits no longer.
    pub(super) fn leave(&mut self, url: &str, exchange: ExchangeId) {
        if let Some(line) = self.lines.get_mut(url) {
            line.waiting.remove(&exchange);
        }
        self.tidy(url);
    }

    /// Keeps a connection for later; false if there are enough.
    pub(super) fn keep(&mut self, url: &Arc<str>, connection: ConnectionId) -> bool {
        let room = self.idle < IDLE_MAX;
        if room {
            self.lines.entry(url.clone()).or_default().idle.push(connection);
            self.idle += 1;
        }
        room
    }

    /// An idle connection is gone.
    pub(super) fn lose(&mut self, url: &str, connection: ConnectionId) {
        if let Some(line) = self.lines.get_mut(url) {
            let before = line.idle.len();
            line.idle.retain(|idle| *idle != connection);
            self.idle -= before - line.idle.len();
        }
        self.tidy(url);
    }

    /// Gives up the idle connections of endpoints that are not `wanted`.
    pub(super) fn release(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<ConnectionId> {
        let mut released = Vec::new();
        for (url, line) in &mut self.lines {
            if !wanted(url) {
                released.append(&mut line.idle);
            }
        }
        self.idle -= released.len();
        self.lines.retain(|_, line| !line.is_empty());
        released
    }

    /// Drops a line at which nothing stands.
    fn tidy(&mut self, url: &str) {
        if self.lines.get(url).is_some_and(Line::is_empty) {
            self.lines.remove(url);
        }
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.idle.is_empty() && self.dialing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_served_in_order_and_share_a_bounded_number_of_dials() {
        let mut lines = Lines::default();
        let url: Arc<str> = "http://a:1".into();
        let mut dials = 0;
        for exchange in 0..100 {
            assert_eq!(lines.take(&url, ExchangeId(exchange)), None);
            dials += usize::from(lines.wants_dial(&url));
        }
        assert_eq!(dials, DIALS_MAX);
        lines.leave(&url, ExchangeId(1));
        assert_eq!(lines.next_waiting(&url), Some(ExchangeId(0)));
        assert_eq!(lines.next_waiting(&url), Some(ExchangeId(2)));
        assert_eq!(lines.all_waiting(&url).len(), 97);
        assert_eq!(lines.next_waiting(&url), None);
        (0..dials).for_each(|_| lines.dialed(&url));
        assert!(lines.lines.is_empty(), "a line at which nothing stands is dropped");
    }

    #[test]
    fn idle_connections_are_taken_newest_first_and_given_up_with_their_endpoint() {
        let mut lines = Lines::default();
        let urls = ["http://a:1", "http://b:1"].map(Arc::<str>::from);
        assert!((1..=3).all(|id| lines.keep(&urls[0], ConnectionId(id))));
        assert!(lines.keep(&urls[1], ConnectionId(4)));
        assert_eq!(lines.take(&urls[0], ExchangeId(1)), Some(ConnectionId(3)));
        lines.lose(&urls[0], ConnectionId(1));
        assert_eq!(lines.release(|url| url == "http://b:1"), [ConnectionId(2)]);
        assert_eq!(lines.take(&urls[1], ExchangeId(1)), Some(ConnectionId(4)));
        assert_eq!(lines.idle, 0);
        let kept = (0..).take_while(|id| lines.keep(&urls[0], ConnectionId(*id))).count();
        assert_eq!(kept, IDLE_MAX);
    }
}
