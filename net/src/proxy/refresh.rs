//! Keeping up with the cluster: who its members are now.
//!
//! The peers known so far are asked for `/members`, one after the other; the first that answers
//! tells both the endpoints and the peers to ask next time.

use std::collections::VecDeque;

use bytes::BytesMut;
use quorra_core::time::{Duration, Instant, Now};
use serde_json::Value;

use super::upstream::{Task, Upstream};
use super::{Action, Proxy};
use crate::host::{ConnectionId, Level};
use crate::http::{Headers, Method};
use crate::http1::client::{Event, Question};

/// How long each peer may take (etcd).
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// From this interval on, a proxy without endpoints asks every second (etcd).
const INTERVAL_LONG: Duration = Duration::from_secs(30);
const INTERVAL_WITHOUT_ENDPOINTS: Duration = Duration::from_secs(1);
/// The largest list of members that is taken.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Whom a proxy asks, and when.
#[derive(Debug)]
pub(super) struct Refresh {
    /// The peer URLs of the newest list.
    pub(super) peers: Vec<String>,
    interval: Duration,
    pub(super) state: State,
    /// The operator was told that nobody answers.
    complained: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Until then.
    Resting(Instant),
    /// A peer is asked.
    Asking {
        connection: ConnectionId,
        until: Instant,
        /// Those to ask if it does not answer.
        others: VecDeque<String>,
        /// Its body so far.
        answer: BytesMut,
    },
}

/// A cluster as one of its members describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
}

impl Refresh {
    /// A refresh is due at once.
    pub(super) fn new(peers: Vec<String>, interval: Duration, now: Instant) -> Self {
        Self { peers, interval, state: State::Resting(now), complained: false }
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Instant {
        match &self.state {
            State::Resting(until) | State::Asking { until, .. } => *until,
        }
    }

    /// Rests until the next refresh.
    pub(super) fn rest(&mut self, now: Instant, has_endpoints: bool) {
        let interval = match has_endpoints || self.interval < INTERVAL_LONG {
            true => self.interval,
            false => INTERVAL_WITHOUT_ENDPOINTS,
        };
        self.state = State::Resting(now + interval);
    }
}

impl Proxy {
    /// Begins a refresh.
    pub(super) fn refresh(&mut self, now: Now) {
        let others = self.refresh.peers.iter().cloned().collect();
        self.ask_peer(now, others);
    }

    /// A peer did not answer, or not well.
    pub(super) fn ask_next_peer(&mut self, now: Now) {
        if let State::Asking { others, .. } = &mut self.refresh.state {
            let others = std::mem::take(others);
            self.ask_peer(now, others);
        }
    }

    fn ask_peer(&mut self, now: Now, mut others: VecDeque<String>) {
        let Some(peer) = others.pop_front() else {
            return self.learn(now, None);
        };
        let upstream = Upstream::dialing(peer.as_str().into(), Task::Refresh, now.monotonic);
        let connection = self.dial(upstream);
        let until = now.monotonic + PEER_TIMEOUT;
        let answer = BytesMut::new();
        self.refresh.state = State::Asking { connection, until, others, answer };
    }

    pub(super) fn ask_for_members(&mut self, id: ConnectionId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        let mut headers = Headers::default();
        headers.push(b"Host", authority(&upstream.url).as_bytes());
        headers.push(b"Connection", b"close");
        upstream.wire.ask(Question {
            method: &Method::Get,
            path: b"/members",
            query: None,
            headers: &headers,
            body: b"",
        });
        self.settle_upstream(id);
    }

    /// Something of a peer's answer came in.
    pub(super) fn on_members(&mut self, now: Now, id: ConnectionId, event: Event) {
        let State::Asking { answer, .. } = &mut self.refresh.state else { return };
        let good = match &event {
            Event::Head(head) => {
                head.status == 200 && head.headers.first("x-etcd-cluster-id").is_some()
            }
            Event::Data(bytes) => {
                answer.extend_from_slice(bytes);
                answer.len() <= ANSWER_BYTES_MAX
            }
            Event::End => {
                let learned = read(answer);
                self.close_upstream(id);
                return match learned {
                    Some(learned) => self.learn(now, Some(learned)),
                    None => self.ask_next_peer(now),
                };
            }
        };
        if !good {
            self.fail_upstream(now, id, "this is not a member's answer");
        }
    }

    /// A refresh is due, or the peer that was asked takes too long.
    pub(super) fn on_refresh_due(&mut self, now: Now) {
        match self.refresh.state {
            State::Resting(_) => self.refresh(now),
            State::Asking { connection, .. } => self.fail_upstream(now, connection, "timed out"),
        }
    }

    /// Takes over what a refresh has brought; nothing empties the list.
    fn learn(&mut self, now: Now, learned: Option<Learned>) {
        let had_endpoints = !self.endpoints.is_empty();
        let answered = learned.is_some();
        let urls = match learned {
            Some(Learned { peer_urls, client_urls }) => {
                if self.kept.as_ref() != Some(&peer_urls) {
                    self.kept = Some(peer_urls.clone());
                    self.news = true;
                }
                self.refresh.peers = peer_urls;
                client_urls
            }
            None => Vec::new(),
        };
        self.endpoints.replace(&urls, &mut self.random);
        let endpoints = &self.endpoints;
        for idle in self.lines.release(|url| endpoints.contains(url)) {
            self.close_upstream(idle);
        }
        let has_endpoints = !self.endpoints.is_empty();
        if has_endpoints != had_endpoints || (!answered && !self.refresh.complained) {
            self.refresh.complained = !answered;
            let line = match has_endpoints {
                true => format!("found the endpoints {}", urls.join(",")),
                false => format!("none of {} tells any endpoint", self.refresh.peers.join(",")),
            };
            let level = if has_endpoints { Level::Info } else { Level::Warn };
            self.actions.push_back(Action::Log(level, line));
        }
        self.refresh.rest(now.monotonic, has_endpoints);
    }
}

/// Reads a list of members; none if it is not one, or names nobody.
pub(super) fn read(body: &[u8]) -> Option<Learned> {
    let Value::Array(members) = serde_json::from_slice(body).ok()? else { return None };
    let texts = |key: &str| -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for member in &members {
            let Some(Value::Array(urls)) = member.as_object()?.get(key) else { continue };
            for url in urls {
                texts.push(url.as_str().filter(|url| is_url(url))?.to_owned());
            }
        }
        texts.sort();
        texts.dedup();
        Some(texts)
    };
    let learned = Learned { peer_urls: texts("peerURLs")?, client_urls: texts("clientURLs")? };
    (!learned.peer_urls.is_empty()).then_some(learned)
}

/// Whether a text can be dialed and named in a head.
fn is_url(text: &str) -> bool {
    let known = ["http://", "https://", "unix://", "unixs://"];
    known.iter().any(|scheme| text.starts_with(scheme))
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// What stands behind the scheme of a URL.
pub(super) fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_is_read_or_refused() {
        let member = |peer: &str, client: &str| {
            format!(r#"{{"id":1,"peerURLs":{peer},"name":"x","clientURLs":{client}}}"#)
        };
        let list = format!(
            "[{},{}]\n",
            member(r#"["http://b:2","http://b:3"]"#, r#"["http://b:1"]"#),
            member(r#"["http://a:2"]"#, "null")
        );
        let learned = read(list.as_bytes()).expect("as etcd's peers answer");
        assert_eq!(learned.peer_urls, ["http://a:2", "http://b:2", "http://b:3"]);
        assert_eq!(learned.client_urls, ["http://b:1"]);
        for bad in [
            "",
            "[]",
            "{}",
            "[1]",
            "[{}]",
            r#"[{"peerURLs":[1]}]"#,
            r#"[{"peerURLs":["ftp://a:1"]}]"#,
            r#"[{"peerURLs":["http://a:1"],"clientURLs":["http://a:1\r\nX: y"]}]"#,
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_proxy_without_endpoints_asks_more_often() {
        let seconds = |refresh: &Refresh| refresh.deadline().0 / 1_000_000_000;
        let mut refresh = Refresh::new(Vec::new(), Duration::from_secs(30), Instant(0));
        assert_eq!(seconds(&refresh), 0);
        refresh.rest(Instant(0), true);
        assert_eq!(seconds(&refresh), 30);
        refresh.rest(Instant(0), false);
        assert_eq!(seconds(&refresh), 1);
        let mut often = Refresh::new(Vec::new(), Duration::from_secs(29), Instant(0));
        often.rest(Instant(0), false);
        assert_eq!(seconds(&often), 29);
    }
}
