//! Metrics of flows: connections between workloads, each reported by the node of its source, and by that of
//! its destination.
//!
//! In: a snapshot. Out: families whose labels are names, never a pid or an address: everything outside of the
//! node and the cluster is `external`. A connection is counted in the flow that it was first shown in, so that
//! a sum over flows counts it once; it must not be counted again when it turns out to be called otherwise.
//!
//! Pure: no I/O, no clock; time is an argument.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::SeriesLimits;
use super::family::Families;
use super::flow_key::FlowKey;
use super::keys::{Keys, Seen};
use super::series::{Sample, Series};
use super::turns::in_turns;
use super::workloads::FLOW_SHARE;
use crate::snapshot::Snapshot;
use probelet_core::display::DisplayNames;
use probelet_core::display::series::OTHER;
use probelet_core::records::Reporter;
use probelet_core::report::Picture;
use probelet_core::text::clean;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Series of one flow: current, opened, closed, bytes sent, bytes received.
const PER_FLOW: usize = 5;
/// Of the keys of flows, one of so many is for those that this node only accepted, if the others need theirs.
const ACCEPTED_PART: usize = 3;
/// Pairs of a Service and a workload. A node has some 110 pods.
const SERVICES: usize = 512;

/// A key with its value, to be written.
struct Row<'a> {
    reporter: Reporter,
    key: &'a FlowKey,
    protocol: &'static str,
    value: &'a FlowSample,
}

impl<'a> Row<'a> {
    fn labels(&self) -> [(&'static str, &'a str); 10] {
        let key = self.key;
        [
            ("destination_namespace", &key.destination_namespace),
            ("destination_service", &key.service),
            ("destination_workload", &key.destination),
            ("port", &key.port),
            ("protocol", self.protocol),
            ("reporter", self.reporter.name()),
            ("service_port", &key.service_port),
            ("source_namespace", &key.source_namespace),
            ("source_node", &key.source_node),
            ("source_workload", &key.source),
        ]
    }

    /// The same with a direction, in its place.
    fn directed(&self, direction: &'static str) -> [(&'static str, &'a str); 11] {
        let [namespace, service, workload, port, protocol, rest @ ..] = self.labels();
        let [reporter, service_port, source_namespace, node, source] = rest;
        let direction = ("direction", direction);
        [
            namespace,
            service,
            workload,
            direction,
            port,
            protocol,
            reporter,
            service_port,
            source_namespace,
            node,
            source,
        ]
    }
}

/// Opened, closed, bytes sent, bytes received; current.
type FlowSample = Sample<4, 1>;

/// The flows of one reporter.
#[derive(Default)]
struct Reported {
    keys: Keys,
    /// By the numbers of `keys`.
    series: Series<u32, 4, 1>,
}

/// The flows.
#[derive(Default)]
pub(super) struct Flows {
    /// Those whose source is on this node, and the others: apart, so that what is folded of one is not in the
    /// sum of the other.
    reported: [Reported; 2],
    seen: Seen,
}

const REPORTERS: [Reporter; 2] = [Reporter::Source, Reporter::Destination];

impl Flows {
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        labels: &Arc<DisplayNames>,
        limits: SeriesLimits,
        now: Instant,
    ) {
        let mut samples: [BTreeMap<u32, FlowSample>; 2] = Default::default();
        let picture = &snapshot.picture;
        self.seen.begin(labels, picture);
        for flow in picture.flows.iter() {
            let of = usize::from(flow.key.reporter() == Reporter::Destination);
            let keys = &mut self.reported[of].keys;
            let (number, grown) = self.seen.number(flow, keys, labels, picture);
            let weight = flow.opened as f64 + f64::from(flow.current);
            let counters = grown.map(|grown| grown as f64);
            let sample = Sample { counters, gauges: [f64::from(flow.current)], weight };
            samples[of].entry(number).or_default().add(&sample);
        }
        self.seen.end();
        // One key's worth of the share is for each `other`.
        let room = (limits.max_series * FLOW_SHARE / 10 / PER_FLOW).saturating_sub(2);
        let accepted = room / ACCEPTED_PART;
        let [out, inward] = [samples[0].len(), samples[1].len()];
        let rooms = [room - inward.min(accepted), room - out.min(room - accepted)];
        for ((reported, samples), room) in self.reported.iter_mut().zip(&samples).zip(rooms) {
            let Reported { keys, series } = reported;
            series.update(now, samples, room, limits.ttl, |number| keys.get(*number).owner());
            keys.keep(|number| samples.contains_key(&number) || series.has(&number));
        }
    }

    pub(super) fn add(&self, families: &mut Families) {
        let folded = REPORTERS.map(FlowKey::folded);
        let mut rows: Vec<Row<'_>> = Vec::new();
        for ((reporter, reported), folded) in REPORTERS.into_iter().zip(&self.reported).zip(&folded)
        {
            let row = |key, protocol, value| Row { reporter, key, protocol, value };
            let first = rows.len();
            rows.extend(reported.series.iter().map(|(number, value)| {
                let key = reported.keys.get(*number);
                row(key, key.protocol.name(), value)
            }));
            rows[first..].sort_unstable_by_key(|row| row.key);
            rows.extend(reported.series.other().map(|value| row(folded, OTHER, value)));
        }
        families.gauge(
            "probelet_flows",
            "Connections that are open now, by source and destination.",
            rows.iter().map(|row| (row.labels(), row.value.gauges[0])),
        );
        families.counter(
            "probelet_connections_opened_total",
            "Connections seen to open, by source and destination.",
            rows.iter().map(|row| (row.labels(), row.value.counters[0])),
        );
        families.counter(
            "probelet_connections_closed_total",
            "Connections seen to close, by source and destination.",
            rows.iter().map(|row| (row.labels(), row.value.counters[1])),
        );
        let bytes = rows.iter().flat_map(|row| {
            let [.., sent, received] = row.value.counters;
            [(row.directed("received"), received), (row.directed("sent"), sent)]
        });
        families.counter(
            "probelet_flow_bytes_total",
            "Bytes of connections: sent from source to destination, or received by the source.",
            bytes,
        );
    }

    /// Series exported and folded.
    pub(super) fn count(&self) -> (f64, f64) {
        let counts = self.reported.each_ref().map(|reported| reported.series.count());
        let exported: usize = counts.iter().map(|count| count.0).sum();
        let folded: usize = counts.iter().map(|count| count.1).sum();
        ((exported * PER_FLOW) as f64, (folded * PER_FLOW) as f64)
    }
}

/// Which workloads serve each Service, as far as their pods are on this node: what a pod elsewhere, known by its
/// Service alone, is called.
pub(super) fn add_services(families: &mut Families, picture: &Picture) {
    let Some(cluster) = &picture.cluster else { return };
    let mut pairs: BTreeMap<&str, BTreeMap<(String, String), u32>> = BTreeMap::new();
    for pod in cluster.pods.iter() {
        let pod = &*pod.shown;
        let (kind, workload) = (&*pod.workload.0, &*pod.workload.1);
        for service in &pod.services {
            let service = format!("{}/{service}", pod.namespace);
            let workload = format!("{}/{kind}/{workload}", pod.namespace);
            let pair = (clean(&service).into_owned(), clean(&workload).into_owned());
            *pairs.entry(&*pod.namespace).or_default().entry(pair).or_default() += 1;
        }
    }
    // In turns, so that no namespace takes the places of another.
    let mut rows = in_turns(pairs.into_values(), SERVICES);
    rows.sort_unstable();
    families.gauge(
        "probelet_service_pods",
        "Pods of this node that serve a Service, by the workload that they belong to.",
        rows.iter().map(|((service, workload), pods)| {
            ([("service", &**service), ("workload", &**workload)], f64::from(*pods))
        }),
    );
}
