//! What is measured of a fleet, what it must reach, and the page about it.
//!
//! In: the number of nodes. Out: rows for the table, Markdown. What 15,000 nodes would cost is worked out from what
//! this run has measured, and says so. Pure: no I/O.

use crate::goals::{Goal, Row};

/// The size that is worked out on paper.
pub const PAPER: f64 = 15_000.0;

type Line = (&'static str, &'static str, &'static str, Goal);

const LINES: &[Line] = &[
    ("rest.cpu", "operator without nodes, CPU of a core", "%", Goal::AtMost(0.1)),
    ("rest.rss", "operator without nodes, RSS", "MiB", Goal::AtMost(20.0)),
    ("fill.seconds", "first fill: every NodeProbe created and acknowledged", "s", Goal::None),
    ("fill.writes", "writes of the operator per node for it", "", Goal::None),
    ("fill.cpu", "operator's CPU meanwhile", "%", Goal::None),
    ("edit.seconds", "one edit of `default` acknowledged by all", "s", Goal::AtMost(120.0)),
    ("edit.writes", "writes of the operator to NodeProbes, most per node", "", Goal::AtMost(1.0)),
    ("edit.minute", "most nodes that got the change within a minute", "", Goal::AtMost(3000.0)),
    ("edit.ten", "most nodes that got it within 10 s", "", Goal::None),
    ("edit.cpu", "operator's CPU during the edit", "%", Goal::AtMost(2.0)),
    ("edit.api", "API server's CPU during the edit", "%", Goal::None),
    ("edit.p50", "PATCH of a status, median", "ms", Goal::None),
    ("edit.p99", "PATCH of a status, p99", "ms", Goal::AtMost(1000.0)),
    ("idle.writes", "writes of the operator while nothing happens", "", Goal::AtMost(0.0)),
    (
        "steady.writes",
        "steady state: API writes per second, all together",
        "/s",
        Goal::AtMost(10.0),
    ),
    ("steady.operator", "of these the operator's", "/s", Goal::None),
    ("steady.cpu", "operator's CPU in the steady state", "%", Goal::AtMost(2.0)),
    ("steady.rss", "operator's RSS", "MiB", Goal::AtMost(100.0)),
    ("steady.peak", "operator's RSS at its peak, the whole run", "MiB", Goal::AtMost(100.0)),
    ("steady.api", "API server's RSS", "MiB", Goal::None),
    ("steady.etcd", "etcd's file", "MiB", Goal::None),
    (
        "canary.nodes",
        "nodes that got a refused configuration, percent of all",
        "%",
        Goal::AtMost(5.0),
    ),
    (
        "canary.seconds",
        "from the edit until the last of them had the old one back",
        "s",
        Goal::None,
    ),
    ("restart.seconds", "one edit with the operator killed in the middle", "s", Goal::None),
    (
        "restart.writes",
        "writes beyond one per node; up to 16 are cut off by the kill",
        "",
        Goal::AtMost(16.0),
    ),
    (
        "selector.seconds",
        "nodeSelector edit: a quarter of the nodes go, a quarter come",
        "s",
        Goal::None,
    ),
    ("selector.writes", "NodeProbes written that need not be", "", Goal::AtMost(0.0)),
    ("end.seconds", "nodes deleted: until the last NodeProbe is gone", "s", Goal::None),
    ("paper.edit", "15,000 nodes, on paper: one edit acknowledged by all", "s", Goal::None),
    ("paper.writes", "15,000 nodes, on paper: API writes in the steady state", "/s", Goal::None),
    ("paper.rss", "15,000 nodes, on paper: operator's RSS", "MiB", Goal::None),
    ("paper.cpu", "15,000 nodes, on paper: operator's CPU in the steady state", "%", Goal::None),
];

/// Every row; who fills it is the part of the key before the dot.
#[must_use]
pub fn rows() -> Vec<Row> {
    let row = |&(key, what, unit, goal): &Line| Row {
        key: key.to_owned(),
        by: key.split('.').next().unwrap_or(key),
        what: what.to_owned(),
        unit,
        goal,
    };
    LINES.iter().map(row).collect()
}

/// What is measured for `nodes` grows with them from what is there without any: that for [`PAPER`] nodes.
#[must_use]
pub fn on_paper(without: f64, with: f64, nodes: f64) -> f64 {
    without + (with - without) * PAPER / nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_without_nodes_is_not_multiplied() {
        assert!((on_paper(10.0, 60.0, 5000.0) - 160.0).abs() < 1e-9);
    }

    #[test]
    fn every_row_has_a_key_of_its_own() {
        let keys: std::collections::BTreeSet<String> =
            rows().into_iter().map(|row| row.key).collect();

        assert_eq!(keys.len(), LINES.len());
    }
}
