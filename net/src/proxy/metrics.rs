//! What a proxy counts, under etcd's names.

use std::collections::BTreeMap;
use std::fmt::Write;

use quorra_core::time::Duration;

use crate::http::Method;

/// The upper bounds of the histogram's buckets: 0.5 ms, and twice as much each (etcd).
const BUCKETS: u32 = 13;
const BUCKET_FIRST: Duration = Duration::from_micros(500);

/// Why a request was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    /// There was nobody to ask.
    ZeroEndpoints,
    /// An endpoint could not be asked, or did not answer.
    SendingFailed,
    /// No endpoint answered.
    NoAnswer,
}

/// Methods by their names; whatever strangers make up counts as one.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    incoming: BTreeMap<&'static str, u64>,
    handled: BTreeMap<(&'static str, u16), u64>,
    dropped: BTreeMap<(&'static str, Dropped), u64>,
    durations: BTreeMap<&'static str, Histogram>,
}

#[derive(Debug, Default)]
struct Histogram {
    /// How many took no longer than the bucket's bound.
    buckets: [u64; BUCKETS as usize],
    count: u64,
    sum: Duration,
}

impl Metrics {
    /// A request that is to be passed on.
    pub(super) fn incoming(&mut self, method: &Method) {
        *self.incoming.entry(name(method)).or_default() += 1;
    }

    /// An endpoint has begun to answer, so long after the request came.
    pub(super) fn handled(&mut self, method: &Method, status: u16, took: Duration) {
        *self.handled.entry((name(method), status)).or_default() += 1;
        self.durations.entry(name(method)).or_default().observe(took);
    }

    pub(super) fn dropped(&mut self, method: &Method, why: Dropped) {
        *self.dropped.entry((name(method), why)).or_default() += 1;
    }

    /// In Prometheus's text format. A family appears with its first series, as in etcd.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        family(out, "requests_total", "counter", "Counter requests incoming by method.");
        for (method, count) in &self.incoming {
            series(out, "requests_total", &format!("method=\"{method}\""), count);
        }
        let help = "Counter of requests fully handled (by authoratitave servers)";
        family(out, "handled_total", "counter", help);
        for ((method, status), count) in &self.handled {
            let labels = format!("code=\"{status}\",method=\"{method}\"");
            series(out, "handled_total", &labels, count);
        }
        family(out, "dropped_total", "counter", "Counter of requests dropped on the proxy.");
        for ((method, why), count) in &self.dropped {
            let labels = format!("method=\"{method}\",proxying_error=\"{}\"", why.label());
            series(out, "dropped_total", &labels, count);
        }
        let help = "Bucketed histogram of handling time of successful events (non-watches), by \
                    method (GET/PUT etc.).";
        family(out, "handling_duration_seconds", "histogram", help);
        for (method, histogram) in &self.durations {
            histogram.put(out, method);
        }
        text
    }
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        for (bound, bucket) in bounds().zip(&mut self.buckets) {
            *bucket += u64::from(took <= bound);
        }
        self.count += 1;
        self.sum += took;
    }

    fn put(&self, out: &mut String, method: &str) {
        for (bound, bucket) in bounds().zip(&self.buckets) {
            let labels = format!("method=\"{method}\",le=\"{}\"", bound.as_secs_f64());
            series(out, "handling_duration_seconds_bucket", &labels, bucket);
        }
        let labels = format!("method=\"{method}\"");
        let endless = format!("{labels},le=\"+Inf\"");
        series(out, "handling_duration_seconds_bucket", &endless, self.count);
        series(out, "handling_duration_seconds_sum", &labels, self.sum.as_secs_f64());
        series(out, "handling_duration_seconds_count", &labels, self.count);
    }
}

impl Dropped {
    fn label(self) -> &'static str {
        match self {
            Self::ZeroEndpoints => "zero_endpoints",
            Self::SendingFailed => "failed_sending_request",
            Self::NoAnswer => "failed_getting_response",
        }
    }
}

fn bounds() -> impl Iterator<Item = Duration> {
    (0..BUCKETS).map(|power| BUCKET_FIRST * (1 << power))
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    put(out, format_args!("# HELP etcd_proxy_{name} {help}\n# TYPE etcd_proxy_{name} {kind}\n"));
}

fn series(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    put(out, format_args!("etcd_proxy_{name}{{{labels}}} {value}\n"));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

fn name(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
        Method::Patch => "PATCH",
        Method::Other(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_durations_read_as_etcds() {
        let mut metrics = Metrics::default();
        metrics.incoming(&Method::Get);
        metrics.incoming(&Method::Get);
        metrics.handled(&Method::Get, 404, Duration::from_millis(3));
        metrics.handled(&Method::Get, 404, Duration::from_secs(60));
        metrics.dropped(&Method::Put, Dropped::ZeroEndpoints);
        let text = metrics.text();
        for line in [
            "# TYPE etcd_proxy_requests_total counter",
            "etcd_proxy_requests_total{method=\"GET\"} 2",
            "etcd_proxy_handled_total{code=\"404\",method=\"GET\"} 2",
            "etcd_proxy_dropped_total{method=\"PUT\",proxying_error=\"zero_endpoints\"} 1",
            "etcd_proxy_handling_duration_seconds_bucket{method=\"GET\",le=\"0.002\"} 0",
            "etcd_proxy_handling_duration_seconds_bucket{method=\"GET\",le=\"0.004\"} 1",
            "etcd_proxy_handling_duration_seconds_bucket{method=\"GET\",le=\"2.048\"} 1",
            "etcd_proxy_handling_duration_seconds_bucket{method=\"GET\",le=\"+Inf\"} 2",
            "etcd_proxy_handling_duration_seconds_count{method=\"GET\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
