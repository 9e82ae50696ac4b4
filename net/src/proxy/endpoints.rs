//! Where requests can go: the client URLs of the cluster's members, and which of them failed
//! lately.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorra_core::random::Random;
use quorra_core::time::{Duration, Instant};

/// The present list. Its order is the order in which endpoints are tried.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    /// How long an endpoint that failed is left alone.
    failure_wait: Duration,
}

#[derive(Debug)]
struct Endpoint {
    url: Arc<str>,
    /// None if it has not failed since the last refresh.
    failed_until: Option<Instant>,
}

impl Endpoints {
    pub(super) fn new(failure_wait: Duration) -> Self {
        Self { list: Vec::new(), failure_wait }
    }

    /// Takes a new list, in an order of chance: the proxies of a cluster should not all ask the
    /// same member. Failures are forgotten.
    pub(super) fn replace(&mut self, urls: &[String], random: &mut Random) {
        let distinct: BTreeSet<&String> = urls.iter().collect();
        let endpoint = |url: &String| Endpoint { url: url.as_str().into(), failed_until: None };
        self.list = distinct.into_iter().map(endpoint).collect();
        for last in (1..self.list.len()).rev() {
            let drawn = random.below(last as u64 + 1);
            self.list.swap(last, usize::try_from(drawn).expect("it is at most `last`"));
        }
    }

    /// Those that have not failed lately, in the order to try them.
    pub(super) fn available(&self, now: Instant) -> impl Iterator<Item = &Arc<str>> {
        let available = move |endpoint: &&Endpoint| endpoint.failed_until.is_none_or(|t| t <= now);
        self.list.iter().filter(available).map(|endpoint| &endpoint.url)
    }

    /// That one gave no answer.
    pub(super) fn fail(&mut self, url: &str, now: Instant) {
        if let Some(endpoint) = self.list.iter_mut().find(|endpoint| *endpoint.url == *url) {
            endpoint.failed_until = Some(now + self.failure_wait);
        }
    }

    pub(super) fn contains(&self, url: &str) -> bool {
        self.list.iter().any(|endpoint| *endpoint.url == *url)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn available(endpoints: &Endpoints, now: Instant) -> Vec<&str> {
        endpoints.available(now).map(|url| &**url).collect()
    }

    #[test]
    fn a_failure_is_forgotten_with_time_and_with_a_refresh() {
        let mut endpoints = Endpoints::new(WAIT);
        let urls = ["http://a:1".to_owned(), "http://b:1".to_owned()];
        endpoints.replace(&urls, &mut Random::new(1));
        let first = available(&endpoints, at(0))[0].to_owned();
        endpoints.fail(&first, at(10));
        assert_eq!(available(&endpoints, at(14)).len(), 1);
        assert!(!available(&endpoints, at(14)).contains(&first.as_str()));
        assert_eq!(available(&endpoints, at(15)).len(), 2);
        endpoints.fail(&first, at(20));
        endpoints.replace(&urls, &mut Random::new(1));
        assert_eq!(available(&endpoints, at(20)).len(), 2);
        endpoints.fail("http://unknown:1", at(20));
        assert_eq!(available(&endpoints, at(20)).len(), 2);
    }

    #[test]
    fn every_order_is_drawn_and_doubles_are_dropped() {
        let urls = ["a", "b", "c", "a"].map(str::to_owned);
        let mut random = Random::new(7);
        let mut orders = BTreeSet::new();
        for _ in 0..100 {
            let mut endpoints = Endpoints::new(WAIT);
            endpoints.replace(&urls, &mut random);
            orders.insert(available(&endpoints, at(0)).concat());
        }
        assert_eq!(orders.len(), 6, "{orders:?}");
    }
}
