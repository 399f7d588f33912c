//! Metrics for a reader who may see some namespaces: of what describes the node, the series of these.
//!
//! In: families, and what may be seen. Out: families in which what is foreign is called `other`, and no more than one series
//! for each set of labels. Nothing of the agent itself and no sum over all of the node is in them. It must not believe a
//! name that only looks like one of the cluster's.
//!
//! Pure: no I/O.

use crate::serve::sight::Sight;
use probelet_core::display::series::OTHER;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;

/// How series that become one are put together.
#[derive(Clone, Copy)]
enum Merge {
    /// They are amounts.
    Sum,
    /// The worst counts; of the least quantile the least.
    Worst,
}

/// The families that describe pods and their flows.
const FAMILIES: [(&str, Merge); 14] = [
    ("probelet_connections_closed_total", Merge::Sum),
    ("probelet_connections_opened_total", Merge::Sum),
    ("probelet_flow_bytes_total", Merge::Sum),
    ("probelet_flow_failed_attempts_total", Merge::Sum),
    ("probelet_flow_resets_total", Merge::Sum),
    ("probelet_flow_retransmitted_ratio", Merge::Worst),
    ("probelet_flow_rtt_seconds", Merge::Worst),
    ("probelet_flows", Merge::Sum),
    ("probelet_risk_limit", Merge::Worst),
    ("probelet_risk_used", Merge::Worst),
    ("probelet_service_pods", Merge::Sum),
    ("probelet_workload_cpu_seconds_total", Merge::Sum),
    ("probelet_workload_memory_bytes", Merge::Sum),
    ("probelet_workload_open_fds", Merge::Sum),
];

/// Labels that name an end: whose it is, the series is.
const ENDS: [&str; 5] =
    ["destination", "destination_workload", "source", "source_workload", "workload"];
/// Labels that name a Service or a pod beside an end.
const BESIDE: [&str; 3] = ["destination_service", "service", "workload_pod"];
const NAMESPACES: [&str; 2] = ["destination_namespace", "source_namespace"];
/// What names that strangers choose begin with, where they could be taken for the cluster's: namespaces that are called so
/// have no metrics of their own.
const STRANGERS: [&str; 2] = ["process", "container"];

/// The families that may be seen, as they may be.
pub(super) fn narrow(families: Vec<MetricFamily>, sight: &Sight) -> Vec<MetricFamily> {
    families.into_iter().filter_map(|family| narrowed(family, sight)).collect()
}

fn narrowed(mut family: MetricFamily, sight: &Sight) -> Option<MetricFamily> {
    let (_, merge) = FAMILIES.iter().find(|(name, _)| *name == family.name())?;
    let mut shown: BTreeMap<Vec<String>, Metric> = BTreeMap::new();
    let counts = family.get_field_type() == MetricType::COUNTER;
    for mut metric in family.take_metric() {
        if !is_own(&metric, sight) {
            continue;
        }
        metric.mut_label().iter_mut().for_each(|label| hide(label, sight));
        let key = metric.get_label().iter().map(|label| label.value().to_owned()).collect();
        if let Some(before) = shown.get(&key) {
            let least =
                metric.get_label().iter().any(|l| (l.name(), l.value()) == ("quantile", "0"));
            let [a, b] = [value(before, counts), value(&metric, counts)];
            set(
                &mut metric,
                counts,
                match merge {
                    Merge::Sum => a + b,
                    Merge::Worst if least => a.min(b),
                    Merge::Worst => a.max(b),
                },
            );
        }
        shown.insert(key, metric);
    }
    if shown.is_empty() {
        return None;
    }
    family.set_metric(shown.into_values().collect());
    Some(family)
}

fn is_own(metric: &Metric, sight: &Sight) -> bool {
    let labels = metric.get_label().iter();
    let mut whose = labels.filter(|label| {
        // Of pods elsewhere no more than the Service is known.
        ENDS.contains(&label.name()) || label.name() == "destination_service"
    });
    whose.any(|label| owns(label.value(), sight))
}

/// Whether a name is one that the cluster gave to what is in these namespaces.
fn owns(name: &str, sight: &Sight) -> bool {
    let namespace = name.split_once('/').map(|(namespace, _)| namespace);
    namespace.is_some_and(|namespace| !STRANGERS.contains(&namespace)) && sight.namespace(namespace)
}

fn hide(label: &mut LabelPair, sight: &Sight) {
    let (name, value) = (label.name(), label.value());
    let instead = match name {
        _ if value.is_empty() => return,
        _ if ENDS.contains(&name) && !owns(value, sight) => OTHER,
        _ if BESIDE.contains(&name) && !owns(value, sight) => "",
        _ if NAMESPACES.contains(&name) && !sight.namespace(Some(value)) => "",
        _ => return,
    };
    label.set_value(instead.to_owned());
}

fn value(metric: &Metric, counts: bool) -> f64 {
    if counts { metric.get_counter().get_value() } else { metric.get_gauge().get_value() }
}

fn set(metric: &mut Metric, counts: bool, value: f64) {
    if counts {
        let mut counter = metric.get_counter().clone();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = metric.get_gauge().clone();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::Families;
    use super::*;

    fn text(build: impl FnOnce(&mut Families)) -> String {
        use prometheus::Encoder as _;
        let mut families = Families::default();
        build(&mut families);
        let sight = Sight::Namespaces(["shop".into()].into());
        let mut text = Vec::new();
        let families = narrow(families.sorted(), &sight);
        prometheus::TextEncoder::new().encode(&families, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn flow<'a>(from: &'a str, to: &'a str, service: &'a str) -> [(&'a str, &'a str); 5] {
        let namespace = |name: &'a str| name.split_once('/').map_or("", |(namespace, _)| namespace);
        [
            ("destination_namespace", namespace(to)),
            ("destination_service", service),
            ("destination_workload", to),
            ("source_namespace", namespace(from)),
            ("source_workload", from),
        ]
    }

    #[test]
    fn foreign_ends_are_one_and_what_has_none_of_ours_is_not_there() {
        let text = text(|families| {
            families.gauge(
                "probelet_flows",
                "x",
                [
                    (flow("ops/Deployment/a", "shop/Deployment/web", "ops/front"), 1.0),
                    (flow("process/x", "shop/Deployment/web", "ops/front"), 2.0),
                    (flow("shop/Deployment/web", "", "bank/ledger"), 4.0),
                    (flow("ops/Deployment/a", "", "shop/web"), 8.0),
                    (flow("ops/Deployment/a", "bank/StatefulSet/db", ""), 16.0),
                    (flow("other", "other", ""), 32.0),
                ],
            );
            families.value("probelet_agent_build_info", "x", 1.0);
            families.value("probelet_connections_reset_total", "x", 1.0);
        });

        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let with = |labels: &str| {
            let line = lines.iter().find(|line| line.contains(labels));
            line.unwrap_or_else(|| panic!("{labels} in {text}")).rsplit(' ').next().unwrap()
        };
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(with("destination_workload=\"shop/Deployment/web\""), "3");
        assert_eq!(with("source_workload=\"shop/Deployment/web\""), "4");
        assert_eq!(with("destination_service=\"shop/web\""), "8");
        for foreign in ["ops", "bank", "process", "agent", "reset"] {
            assert!(!text.contains(foreign), "{foreign} in {text}");
        }
    }

    #[test]
    fn of_latencies_that_become_one_the_worst_is_shown() {
        let text = text(|families| {
            let row = |source, quantile| {
                [("destination", "shop/Deployment/web"), ("quantile", quantile), ("source", source)]
            };
            families.gauge(
                "probelet_flow_rtt_seconds",
                "x",
                [
                    (row("a/Pod/a", "0"), 1.0),
                    (row("b/Pod/b", "0"), 2.0),
                    (row("a/Pod/a", "0.99"), 3.0),
                    (row("b/Pod/b", "0.99"), 4.0),
                ],
            );
        });

        assert!(text.contains("quantile=\"0\",source=\"other\"} 1\n"), "{text}");
        assert!(text.contains("quantile=\"0.99\",source=\"other\"} 4\n"), "{text}");
    }

    #[test]
    fn a_namespace_that_is_called_as_strangers_names_begin_sees_none_of_them() {
        let sight = Sight::Namespaces(["process".into(), "container".into()].into());

        assert!(!owns("process/a/b", &sight));
        assert!(!owns("container/a/b", &sight));
    }
}
