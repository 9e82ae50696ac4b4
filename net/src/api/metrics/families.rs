//! Families of series, from plain numbers to Prometheus' text format.

use prometheus::proto::{Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::host::Histogram;

/// All families of a scrape, on their way to text.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

/// A series' labels: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, [(&[][..], value)]);
    }

    /// The same for each of some labels.
    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let series = series.into_iter().map(|(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = labelled(labels);
            metric.set_gauge(gauge);
            metric
        });
        self.add(name, help, MetricType::GAUGE, series.collect());
    }

    /// A number that grows.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [(&[][..], value)]);
    }

    /// The same for each of some labels.
    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let series = series.into_iter().map(|(labels, value)| counted(labels, value as f64));
        self.add(name, help, MetricType::COUNTER, series.collect());
    }

    /// A number of seconds that grows.
    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) {
        self.add(name, help, MetricType::COUNTER, vec![counted(&[], value)]);
    }

    /// How long something took.
    pub(super) fn histogram(&mut self, name: &str, help: &str, value: &Histogram) {
        self.histograms(name, help, [(&[][..], value)]);
    }

    /// The same for each of some labels.
    pub(super) fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, &'a Histogram)>,
    ) {
        let series = series.into_iter().map(|(labels, value)| {
            let mut metric = labelled(labels);
            metric.set_histogram(buckets(value));
            metric
        });
        self.add(name, help, MetricType::HISTOGRAM, series.collect());
    }

    /// A family without any series yet is left out: the format has no word for it.
    fn add(&mut self, name: &str, help: &str, kind: MetricType, series: Vec<Metric>) {
        if series.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(series);
        self.0.push(family);
    }

    /// Prometheus' text format, the families in the order of their names.
    pub(super) fn into_text(mut self) -> Vec<u8> {
        self.0.sort_by(|one, other| one.name().cmp(other.name()));
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.0, &mut text)
            .expect("a vector takes all, and no family is without a name or a series");
        text
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

fn counted(labels: Labels<'_>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = labelled(labels);
    metric.set_counter(counter);
    metric
}

fn buckets(value: &Histogram) -> prometheus::proto::Histogram {
    let bucket = |(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = prometheus::proto::Histogram::default();
    histogram.set_sample_count(value.total());
    histogram.set_sample_sum(value.seconds());
    histogram.set_bucket(value.buckets().map(bucket).collect());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_read_as_prometheus_wants_them() {
        let mut families = Families::default();
        families.counters("b_total", "Bs.", [(&[("l", "x\"y")][..], 3), (&[("l", "z")][..], 0)]);
        families.gauge("a", "As.", 1.5);
        families.counters("none", "Nothing.", []);
        let text = String::from_utf8(families.into_text()).expect("text");
        assert_eq!(
            text,
            "# HELP a As.\n# TYPE a gauge\na 1.5\n\
             # HELP b_total Bs.\n# TYPE b_total counter\n\
             b_total{l=\"x\\\"y\"} 3\nb_total{l=\"z\"} 0\n"
        );
    }
}
