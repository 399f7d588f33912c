//! The edges of the cluster: which flows of which reports count, so that each connection is in one.
//!
//! In: reports of several nodes. Out: the flows that count, with one name for each end. A connection is counted by
//! its source where the source's node was asked, else by its destination: as the recording rules do it for Prometheus.
//! Pure: values only.

use std::collections::BTreeSet;

use super::naming::Names;
use crate::seen::report::{Flow, Report};

/// A flow, and whether it counts.
#[derive(Debug)]
pub struct Counted<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Who opened; nothing if it is not known.
    pub from: Option<String>,
    /// Who accepted, wherever its pods are: the workload of a Service of one, else the Service.
    pub to: Option<String>,
    /// The port that answers.
    pub port: u16,
    /// Whether it is not known which node the source is on: it may be reported by that one as well.
    pub unattributed: bool,
    /// Whether its connections are in no other flow.
    pub counts: bool,
}

/// All flows, those as well whose connections the source's node counts: what is known of an edge by its other end.
pub(crate) fn all_flows<'a>(
    reports: &'a [Report],
    names: &'a Names,
) -> impl Iterator<Item = Counted<'a>> + 'a {
    let asked: BTreeSet<&str> = reports.iter().map(|report| report.node.as_str()).collect();
    let flows = reports.iter().flat_map(|report| &report.flows);
    flows.map(move |flow| {
        let standing = standing(flow, &asked, names);
        let unattributed = matches!(standing, Standing::Unattributed);
        let counts = !matches!(standing, Standing::Elsewhere);
        let (from, to) = (names.name(&flow.source), names.destination(flow));
        let port = names.port(flow, to.as_deref());
        Counted { flow, from, to, port, unattributed, counts }
    })
}

enum Standing {
    Counts,
    /// The source's node reports it.
    Elsewhere,
    /// Nothing says whether any node does.
    Unattributed,
}

fn standing(flow: &Flow, asked: &BTreeSet<&str>, names: &Names) -> Standing {
    // An agent of before there were reporters: what its own node opened, and what came from outside.
    let own = matches!(flow.source.kind.as_str(), "workload" | "container" | "process");
    let outside = matches!(flow.source.kind.as_str(), "external" | "group");
    match (flow.reporter.as_str(), flow.source_node.as_deref()) {
        ("destination", Some(node)) if asked.contains(node) => Standing::Elsewhere,
        ("destination", Some("node:unknown")) if names.knows_pod(&flow.source) => {
            Standing::Elsewhere
        }
        ("destination", Some("node:unknown" | "node:other")) => Standing::Unattributed,
        ("source" | "destination", _) => Standing::Counts,
        _ if own || (outside && !names.knows_pod(&flow.source)) => Standing::Counts,
        _ => Standing::Unattributed,
    }
}
