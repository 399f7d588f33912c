//! Builds the `prometheus` crate's metric families from plain values.
//!
//! In: names, help, labels, values. Out: families, none of them empty.
//!
//! Pure: no I/O.

use crate::snapshot::{BUCKETS, Histogram};
use probelet_core::text::clean;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

/// Families under construction.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    /// A gauge, with one value per set of labels.
    pub(super) fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'a str, &'a str); N], f64)>,
    ) {
        let metrics = values.into_iter().map(|(labels, value)| {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_gauge(gauge);
            metric
        });
        self.push(name, help, MetricType::GAUGE, metrics.collect());
    }

    /// A counter, with one value per set of labels.
    pub(super) fn counter<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'a str, &'a str); N], f64)>,
    ) {
        let metrics = values.into_iter().map(|(labels, value)| {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_counter(counter);
            metric
        });
        self.push(name, help, MetricType::COUNTER, metrics.collect());
    }

    /// A gauge without labels.
    pub(super) fn value(&mut self, name: &str, help: &str, value: f64) {
        self.gauge(name, help, [([], value)]);
    }

    /// A histogram of durations.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        label: (&str, &str),
        values: &Histogram,
    ) {
        let mut below = 0;
        let buckets = BUCKETS.iter().zip(values.counts).map(|(&bound, count)| {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(values.count());
        histogram.set_sample_sum(values.sum);
        let mut metric = Metric::from_label(pairs(&[label]));
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, vec![metric]);
    }

    pub(super) fn extend(&mut self, families: Vec<MetricFamily>) {
        self.0.extend(families.into_iter().filter(|f| !f.get_metric().is_empty()));
    }

    /// All families, by name: the text is the same for the same values.
    pub(super) fn sorted(mut self) -> Vec<MetricFamily> {
        self.0.sort_by(|a, b| a.name().cmp(b.name()));
        self.0
    }

    fn push(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        // The format escapes line ends, quotes and backslashes, and nothing else that acts.
        pair.set_value(clean(value).into_owned());
        pair
    };
    labels.iter().map(pair).collect()
}
