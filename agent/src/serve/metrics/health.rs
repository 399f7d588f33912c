//! Metrics about what is wrong: flows that lose segments or fail to connect, and what is about to run full.
//!
//! In: a snapshot, and how much `spec.metrics.health` asks for. Out: families that are empty on a node where all
//! is well, and bounded where nothing is: the worst come first. It must not judge: the report has.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::SeriesLimits;
use super::family::Families;
use super::series::{Sample, Series};
use super::turns::in_turns;
use crate::snapshot::Snapshot;
use probelet_core::display::DisplayNames;
use probelet_core::display::series::{self, RESERVED};
use probelet_core::facts::{ContainerId, Protocol};
use probelet_core::hash::HashMap;
use probelet_core::records::{FlowRecord, Risk, RiskRecord, Workload};
use probelet_core::report::Picture;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What is shown of the health of flows: `spec.metrics.health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// Of flows with which something is wrong.
    #[default]
    Problems,
    /// Of all flows.
    All,
    /// Of none.
    Off,
}

/// Series of one flow: three of round-trip times, the share sent again, failed attempts, resets.
const PER_FLOW: usize = 6;
/// Of the series, one in so many is for the health of flows, besides those that count them.
const PART: usize = 5;
/// Risks that are shown, the nearest to their limit first; two series each.
const RISKS: usize = 32;
const NODE: &str = "node";

/// An edge, under the names that the recorded edges of the cluster have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EdgeKey {
    source: Box<str>,
    destination: Box<str>,
    port: Box<str>,
    protocol: Protocol,
}

impl EdgeKey {
    /// Whose flow it is: who opened it, or who was connected to from outside.
    fn owner(&self) -> &str {
        if RESERVED.contains(&&*self.source) { &self.destination } else { &self.source }
    }
}

fn edge(flow: &FlowRecord, labels: &DisplayNames, picture: &Picture) -> EdgeKey {
    let FlowRecord { key, .. } = flow;
    EdgeKey {
        source: series::source(key, labels, picture),
        destination: series::workload(key.destination, labels, picture),
        port: series::port(key),
        protocol: key.protocol,
    }
}

/// Failed, resets; share sent again, round-trip times in seconds: least, median, 99th percentile.
type FlowSample = Sample<2, 4>;

/// See the module.
#[derive(Default)]
pub(super) struct Health {
    flows: Series<EdgeKey, 2, 4>,
    /// Counters of each flow at the last scrape, by its id.
    last: HashMap<u64, [u64; 2]>,
    risks: usize,
    /// Risks that have no place among those that are shown.
    left_out: usize,
}

impl Health {
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        labels: &DisplayNames,
        limits: SeriesLimits,
        now: Instant,
    ) {
        let picture = &snapshot.picture;
        let mut samples: BTreeMap<EdgeKey, FlowSample> = BTreeMap::new();
        let mut last = HashMap::default();
        for flow in picture.flows.iter() {
            let counters = [flow.health.failed, flow.health.resets];
            let before = self.last.get(&flow.id).copied().unwrap_or_default();
            last.insert(flow.id, counters);
            let shown = match limits.health {
                Shown::Problems => flow.health.problems.any(),
                Shown::All => true,
                Shown::Off => false,
            };
            if shown {
                let sample = sample(flow, counters, before);
                worst(samples.entry(edge(flow, labels, picture)).or_default(), &sample);
            }
        }
        self.last = last;
        let room = limits.max_series / PART / PER_FLOW;
        self.flows.update(now, &samples, room, limits.ttl, |key| Box::<str>::from(key.owner()));
    }

    pub(super) fn add(
        &mut self,
        families: &mut Families,
        picture: &Picture,
        labels: &DisplayNames,
    ) {
        let rows: Vec<_> = self
            .flows
            .iter()
            .map(|(key, value)| (key, key.port.clone(), key.protocol.name(), value))
            .collect();
        let named = |n: usize| {
            let (key, port, protocol, _) = &rows[n];
            [
                ("destination", &*key.destination),
                ("port", &**port),
                ("protocol", *protocol),
                ("source", &*key.source),
            ]
        };
        let value = |n: usize| rows[n].3;
        let rtts = (0..rows.len()).flat_map(|n| {
            let [destination, port, protocol, source] = named(n);
            let quantiles = [("0", 1), ("0.5", 2), ("0.99", 3)];
            quantiles.into_iter().filter_map(move |(quantile, at)| {
                let seconds = value(n).gauges[at];
                let labels = [destination, port, protocol, ("quantile", quantile), source];
                (seconds > 0.0).then_some((labels, seconds))
            })
        });
        families.gauge(
            "probelet_flow_rtt_seconds",
            "Round-trip times of the open connections of a flow, smoothed by TCP: the least, the median, the 99th percentile. Shown as spec.metrics.health says.",
            rtts.collect::<Vec<_>>(),
        );
        families.gauge(
            "probelet_flow_retransmitted_ratio",
            "Of the segments with data that a flow sent lately, the share that was sent again. Shown as spec.metrics.health says.",
            (0..rows.len()).map(|n| (named(n), value(n).gauges[0])),
        );
        let counted = [
            (
                "probelet_flow_failed_attempts_total",
                "Attempts to connect that ended without a connection, or had no answer after three SYNs. Shown as spec.metrics.health says.",
            ),
            (
                "probelet_flow_resets_total",
                "Connections that ended by a reset, as far as it is certain whose they were. Shown as spec.metrics.health says.",
            ),
        ];
        for (at, (name, help)) in counted.into_iter().enumerate() {
            families.counter(
                name,
                help,
                (0..rows.len()).map(|n| (named(n), value(n).counters[at])),
            );
        }
        self.risks(families, picture, labels);
    }

    fn risks(&mut self, families: &mut Families, picture: &Picture, labels: &DisplayNames) {
        let mut risks: Vec<&RiskRecord> = picture.risks.iter().collect();
        risks.sort_by(|a, b| fullness(b).total_cmp(&fullness(a)).then(a.id.cmp(&b.id)));
        let mut shown: BTreeMap<[String; 4], (f64, f64)> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        for risk in by_owner(risks) {
            let port = if risk.port == 0 { String::new() } else { risk.port.to_string() };
            let pod = risk.owner.pod().and_then(|id| labels.get(id)).and_then(|l| l.pod.as_deref());
            let workload = match risk.owner.pod() {
                _ if risk.risk == Risk::Conntrack => NODE.into(),
                Some(id) => series::workload(Workload::Container(id), labels, picture),
                None => series::workload(risk.owner.workload(), labels, picture),
            };
            let pod = pod.unwrap_or_default().to_owned();
            let names = [pod, port, risk.risk.name().to_owned(), workload.into()];
            if shown.len() < RISKS || shown.contains_key(&names) {
                // Of several of one name the fullest came first.
                shown.entry(names).or_insert_with(|| (float(risk.used), float(risk.limit)));
            } else {
                left_out.insert(names);
            }
        }
        (self.risks, self.left_out) = (shown.len(), left_out.len());
        let rows: Vec<_> = shown.iter().collect();
        let named = |n: usize| {
            let [pod, port, risk, workload] = rows[n].0;
            [
                ("port", port.as_str()),
                ("risk", risk.as_str()),
                ("workload", workload.as_str()),
                // Prometheus gives a target's own series the label `pod`: the agent's.
                ("workload_pod", pod.as_str()),
            ]
        };
        families.gauge(
            "probelet_risk_used",
            "What is about to run full: waiting connections, connections in CLOSE_WAIT, open files, ephemeral ports for one destination, tracked connections. Absent while nothing is.",
            (0..rows.len()).map(|n| (named(n), rows[n].1.0)),
        );
        families.gauge(
            "probelet_risk_limit",
            "How much of it there may be; 0 where no limit is known.",
            (0..rows.len()).map(|n| (named(n), rows[n].1.1)),
        );
    }

    /// Series exported and folded.
    pub(super) fn count(&self) -> (f64, f64) {
        let (exported, folded) = self.flows.count();
        let shown = exported * PER_FLOW + self.risks * 2;
        let left_out = folded * PER_FLOW + self.left_out * 2;
        (float(shown as u64), float(left_out as u64))
    }
}

/// What is the node's first, then each owner's in turn, so that no one's risks take the places of another's.
fn by_owner(risks: Vec<&RiskRecord>) -> Vec<&RiskRecord> {
    let mut turns: BTreeMap<_, (usize, Vec<&RiskRecord>)> = BTreeMap::new();
    let of_node = |risk: &&RiskRecord| risk.risk == Risk::Conntrack;
    let (mut order, others): (Vec<_>, Vec<_>) = risks.into_iter().partition(of_node);
    for (at, risk) in others.into_iter().enumerate() {
        turns.entry(owner(risk)).or_insert_with(|| (at, Vec::new())).1.push(risk);
    }
    let mut turns: Vec<_> = turns.into_values().collect();
    // In each turn the nearest to its limit first.
    turns.sort_by_key(|(first, _)| *first);
    order.extend(in_turns(turns.into_iter().map(|(_, turn)| turn), usize::MAX));
    order
}

/// Whose risk it is: a pod's, else a program's of the host, by its name.
fn owner(risk: &RiskRecord) -> (Option<ContainerId>, Workload) {
    let pod = risk.owner.pod();
    (pod, if pod.is_some() { Workload::Unresolved } else { risk.owner.workload() })
}

fn sample(flow: &FlowRecord, counters: [u64; 2], before: [u64; 2]) -> FlowSample {
    let health = &flow.health;
    let grown = |at: usize| float(counters[at].saturating_sub(before[at]));
    let seconds = |us: u32| f64::from(us) / 1e6;
    let rtt = [health.rtt.min_us, health.rtt.median_us, health.rtt.p99_us].map(seconds);
    let share = health.recent.share().unwrap_or(0.0);
    let weight = share + f64::from(health.recent.failed);
    Sample { counters: [grown(0), grown(1)], gauges: [share, rtt[0], rtt[1], rtt[2]], weight }
}

/// Several flows of one name: what grew is added up, of the rest the worst is shown.
fn worst(all: &mut FlowSample, one: &FlowSample) {
    for (sum, more) in all.counters.iter_mut().zip(one.counters) {
        *sum += more;
    }
    let least = match (all.gauges[1], one.gauges[1]) {
        (known, new) if known > 0.0 && new > 0.0 => known.min(new),
        (known, new) => known.max(new),
    };
    for (worst, new) in all.gauges.iter_mut().zip(one.gauges) {
        *worst = worst.max(new);
    }
    all.gauges[1] = least;
    all.weight = all.weight.max(one.weight);
}

fn fullness(risk: &RiskRecord) -> f64 {
    if risk.limit == 0 { 0.0 } else { float(risk.used) / float(risk.limit) }
}

#[expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]
const fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::metrics::text_with;
    use crate::serve::testing::sick;
    use probelet_core::facts::Comm;
    use probelet_core::records::Owner;
    use std::sync::Arc;

    fn text(health: Shown) -> String {
        let snapshot = sick();
        let labels = DisplayNames::refresh(&Arc::default(), &snapshot.picture, &Arc::default());
        let limits = SeriesLimits { health, ..SeriesLimits::default() };
        text_with(&snapshot, &labels, limits)
    }

    fn values<'a>(text: &'a str, family: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(&format!("{family}{{"))).collect()
    }

    #[test]
    fn the_flow_that_is_lossy_is_shown_and_the_others_only_if_all_are_asked_for() {
        let problems = text(Shown::Problems);
        let ratio = values(&problems, "probelet_flow_retransmitted_ratio");
        assert_eq!(ratio.len(), 1, "{ratio:?}");
        assert!(ratio[0].contains("port=\"80\"") && ratio[0].ends_with(" 0.02"), "{ratio:?}");
        assert_eq!(values(&problems, "probelet_flow_rtt_seconds").len(), 3);

        assert_eq!(values(&text(Shown::All), "probelet_flow_retransmitted_ratio").len(), 2);
        assert!(values(&text(Shown::Off), "probelet_flow_retransmitted_ratio").is_empty());
    }

    #[test]
    fn a_risk_is_shown_with_its_port_whatever_is_asked_of_flows() {
        for health in [Shown::Problems, Shown::Off] {
            let text = text(health);
            let used = values(&text, "probelet_risk_used");
            assert!(used[0].contains("port=\"8080\",risk=\"accept-queue\""), "{used:?}");
            assert!(used[0].ends_with(" 129"), "{used:?}");
            assert!(values(&text, "probelet_risk_limit")[0].ends_with(" 128"));
        }
    }

    fn risk(id: u64, risk: Risk, comm: &str, used: u64) -> RiskRecord {
        let owner = Owner { comm: Comm::new(comm.as_bytes()), ..Owner::default() };
        RiskRecord { id, risk, owner, port: 80, used, limit: 100, ..RiskRecord::default() }
    }

    #[test]
    fn the_risks_of_one_take_no_place_of_another_and_none_of_the_node() {
        let mut risks: Vec<_> =
            (0..60).map(|id| risk(id, Risk::AcceptQueue, "hostile", 200)).collect();
        risks.push(risk(60, Risk::OpenFiles, "victim", 90));
        risks.push(risk(61, Risk::Conntrack, "", 90));

        let order: Vec<u64> = by_owner(risks.iter().collect()).iter().map(|risk| risk.id).collect();

        assert_eq!(order[..4], [61, 0, 60, 1], "{order:?}");
        assert_eq!(order.len(), risks.len());
    }

    #[test]
    fn risks_beyond_those_that_are_shown_are_counted() {
        let mut table = probelet_core::table::Table::new(256);
        for id in 0..40 {
            let port = u16::try_from(8000 + id).unwrap();
            let one = RiskRecord { port, ..risk(id, Risk::AcceptQueue, "hostile", 200) };
            table.insert(one, 1).unwrap();
        }
        let picture = Picture { risks: table.freeze(), ..Picture::default() };
        let mut health = Health::default();

        health.risks(&mut Families::default(), &picture, &DisplayNames::default());

        assert_eq!(health.count(), (64.0, 16.0));
    }
}
