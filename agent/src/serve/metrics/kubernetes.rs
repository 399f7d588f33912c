//! Metrics about the Kubernetes feed: what it is doing, how old its news are, what went wrong.
//!
//! In: the feed's counters. Out: families. It must not add a label whose values are not an enum's. What never happened
//! has no series, for there is a lot that may.
//!
//! Pure: no I/O.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::family::Families;
use crate::kube::{Class, FeedStatus, KindStatus, Malformed, State};
use crate::names::Origin;
use crate::node_probe::NodeProbe;
use crate::node_probe::status::Account;
use probelet_core::cluster::objects::Kind;
use std::time::Instant;

pub(super) fn add(
    families: &mut Families,
    feed: &FeedStatus,
    probe: Option<&NodeProbe>,
    now: Instant,
) {
    let mut kinds = Vec::from(Kind::ALL.map(|kind| (kind.name(), feed.of(kind))));
    if let Some(probe) = probe {
        kinds.push(("nodeprobes", probe.watch.now()));
        status(families, &probe.writes);
    }
    let watches = kinds.iter().flat_map(|(kind, status)| {
        let of = |state: State| {
            ([("kind", *kind), ("state", state.name())], flag(state == status.state))
        };
        State::ALL.map(of)
    });
    families.gauge(
        "probelet_agent_kubernetes_watch_state",
        "What the watch of each kind of object is doing: 1 for the state.",
        watches,
    );
    let pods = feed.of(Kind::Pod).origin;
    families.gauge(
        "probelet_agent_pods_source",
        "Where this node's pods come from: 1 for the API server (api) or the operator's feed (feed).",
        Origin::ALL.map(|origin| ([("source", origin.name())], flag(origin == pods))),
    );
    families.gauge(
        "probelet_agent_kubernetes_contact_age_seconds",
        "Time since the source of objects of this kind, the API server (api) or the operator's feed (feed), last sent anything, in seconds; an idle watch gets a bookmark once a minute.",
        kinds.iter().filter_map(|(kind, status)| {
            let age = now.saturating_duration_since(status.contact?);
            Some(([("kind", *kind), ("source", status.origin.name())], age.as_secs_f64()))
        }),
    );
    let mut counter = |name: &str, help: &str, value: fn(&KindStatus) -> f64| {
        families.counter(name, help, kinds.iter().map(|(kind, s)| ([("kind", *kind)], value(s))));
    };
    counter(
        "probelet_agent_kubernetes_events_total",
        "Objects that were listed or changed.",
        |status| status.events as f64,
    );
    counter(
        "probelet_agent_kubernetes_lists_total",
        "List requests that were started.",
        |status| status.lists as f64,
    );
    counter(
        "probelet_agent_kubernetes_resumes_total",
        "Watches that resumed where the last one ended.",
        |status| status.resumes as f64,
    );
    counter(
        "probelet_agent_kubernetes_received_bytes_total",
        "Bytes received from the API server.",
        |status| status.bytes as f64,
    );
    faults(families, &kinds);
}

/// The status of the node's `NodeProbe`.
fn status(families: &mut Families, writes: &Account) {
    families.counter(
        "probelet_agent_status_writes_total",
        "Attempts to write the status of the node's NodeProbe, by result.",
        writes.results().map(|(result, n)| ([("result", result)], n as f64)),
    );
    families.value(
        "probelet_agent_status_bytes",
        "Size of the status that was last written, in bytes.",
        writes.bytes() as f64,
    );
    families.value(
        "probelet_agent_config_acknowledged_generation",
        "The generation of the NodeProbe that the agent has acknowledged; 0 before the first.",
        writes.acknowledged() as f64,
    );
}

fn faults(families: &mut Families, kinds: &[(&str, KindStatus)]) {
    let errors = kinds.iter().flat_map(|(kind, status)| {
        let of = |class: Class| (status.errors(class), [("class", class.name()), ("kind", *kind)]);
        Class::ALL.map(of)
    });
    families.counter(
        "probelet_agent_kubernetes_errors_total",
        "Requests and watches that failed, by cause.",
        errors.filter(|(count, _)| *count != 0).map(|(count, labels)| (labels, count as f64)),
    );
    let malformed = kinds.iter().flat_map(|(kind, status)| {
        let of = |fault: Malformed| {
            (status.malformed(fault), [("kind", *kind), ("reason", fault.name())])
        };
        Malformed::ALL.map(of)
    });
    families.counter(
        "probelet_agent_kubernetes_malformed_total",
        "Parts of objects that were ignored because they are malformed, by reason.",
        malformed.filter(|(count, _)| *count != 0).map(|(count, labels)| (labels, count as f64)),
    );
    let waits = kinds.iter().flat_map(|(kind, status)| {
        [("budget", status.budget_wait), ("engine", status.engine_wait)]
            .map(|(cause, wait)| ([("cause", cause), ("kind", *kind)], wait.as_secs_f64()))
    });
    families.counter(
        "probelet_agent_kubernetes_held_back_seconds_total",
        "Time for which reading was held back, in seconds: the CPU budget was used up, or the engine was busy.",
        waits.filter(|(_, seconds)| *seconds > 0.0),
    );
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Encoder as _, TextEncoder};
    use std::time::Duration;

    fn text(feed: &FeedStatus, now: Instant) -> String {
        let mut families = Families::default();
        add(&mut families, feed, None, now);
        let mut text = Vec::new();
        TextEncoder::new().encode(&families.sorted(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_feed_that_did_nothing_has_states_and_counters_but_no_faults() {
        let text = text(&FeedStatus::default(), Instant::now());

        for line in [
            "probelet_agent_kubernetes_watch_state{kind=\"pods\",state=\"off\"} 1",
            "probelet_agent_kubernetes_watch_state{kind=\"pods\",state=\"watching\"} 0",
            "probelet_agent_kubernetes_events_total{kind=\"endpointslices\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for absent in ["errors_total", "malformed_total", "held_back", "contact_age"] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
    }

    #[test]
    fn the_nodes_own_object_is_a_kind_like_the_others_and_writes_are_counted() {
        let probe = NodeProbe::default();
        let mut families = Families::default();
        add(&mut families, &FeedStatus::default(), Some(&probe), Instant::now());

        let mut text = Vec::new();
        TextEncoder::new().encode(&families.sorted(), &mut text).unwrap();

        let text = String::from_utf8(text).unwrap();
        for line in [
            "probelet_agent_kubernetes_watch_state{kind=\"nodeprobes\",state=\"off\"} 1",
            "probelet_agent_status_writes_total{result=\"written\"} 0",
            "probelet_agent_config_acknowledged_generation 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_went_wrong_is_counted_by_cause() {
        let (feed, now) = (FeedStatus::default(), Instant::now());
        {
            let mut services = feed.at(Kind::Service);
            services.state = State::Forbidden;
            services.contact = Some(now);
            services.errors[Class::Forbidden as usize] = 3;
            services.malformed[Malformed::Port as usize] = 2;
            services.engine_wait = Duration::from_millis(1500);
        }

        let text = text(&feed, now + Duration::from_secs(7));

        for line in [
            "probelet_agent_kubernetes_watch_state{kind=\"services\",state=\"forbidden\"} 1",
            "probelet_agent_kubernetes_contact_age_seconds{kind=\"services\",source=\"api\"} 7",
            "probelet_agent_kubernetes_errors_total{class=\"forbidden\",kind=\"services\"} 3",
            "probelet_agent_kubernetes_malformed_total{kind=\"services\",reason=\"port\"} 2",
            "probelet_agent_kubernetes_held_back_seconds_total{cause=\"engine\",kind=\"services\"} 1.5",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
