//! The edges of one small cluster, from the reports of its two agents. `agent/tests/edges.rs` keeps what these say, and
//! `e2e/dashboards/edges.py` holds the recording rules to the same list.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use kubectl_probelet::answer::map::Map;
use kubectl_probelet::answer::naming::{Asked, Names};
use kubectl_probelet::seen::report::Report;
use std::path::PathBuf;

fn kept(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../e2e/dashboards/edges").join(name)
}

fn report(name: &str) -> Report {
    serde_json::from_str(&std::fs::read_to_string(kept(name)).unwrap()).unwrap()
}

/// One line an edge: source, destination, port, protocol, connections.
fn edges(reports: &[Report]) -> String {
    let map = Map::of(reports, &Names::of(reports, &[], Asked::Every), None, false);
    let mut lines: Vec<String> = map
        .edges
        .iter()
        .map(|edge| {
            let (from, to, port) = (&edge.from, &edge.to, edge.port);
            format!("{from} → {to} {port} {} {}\n", edge.protocol, edge.current)
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[test]
fn every_connection_of_the_cluster_is_in_one_edge() {
    let text = edges(&[report("a.json"), report("b.json")]);

    let path = kept("edges.txt");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        return std::fs::write(path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    assert!(wanted == text, "the edges are now:\n{text}\nand were:\n{wanted}");
}

#[test]
fn edges_of_a_node_that_was_not_asked_come_from_the_other_end() {
    let of_b = edges(&[report("b.json")]);

    // One is reported by its source, and one, whose source is on the node that was not asked, by its destination.
    assert!(of_b.contains("shop/Deployment/web → shop/Service/api 9000 tcp 2\n"), "{of_b}");
    assert!(!of_b.contains("nightly"), "{of_b}");
}

#[test]
fn reports_of_older_agents_count_what_their_own_node_opened() {
    let flow = |source: &str, kind: &str| {
        serde_json::json!({"source": {"kind": kind, "name": source},
            "destination": {"kind": "workload", "name": "shop/Deployment/api"},
            "port": 80, "protocol": "tcp", "current": 1, "opened": 1})
    };
    let report: Report = serde_json::from_value(serde_json::json!({"node": "n1", "flows": [
        flow("shop/Deployment/web", "workload"),
        flow("shop/web", "service"),
        flow("203.0.113.9", "external"),
    ]}))
    .unwrap();

    let lines = edges(&[report]);

    let expected = "external 203.0.113.9 → shop/Deployment/api 80 tcp 1\n\
                    shop/Deployment/web → shop/Deployment/api 80 tcp 1\n";
    assert_eq!(lines, expected);
}
