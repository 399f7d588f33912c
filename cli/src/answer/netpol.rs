//! `netpol`: a NetworkPolicy that allows what was observed of a workload.
//!
//! In: the flows of its nodes, pods and Services by which ends are selected. Out: the policy, and in comments all that it
//! cannot know: how long was looked, what was not seen, which ends have no name. Pure: values only.

mod select;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

pub use select::{Ends, workload_of};

use super::map::{Edge, Map, Names};
use crate::seen::report::Report;
use crate::show::{self, Page};

/// A policy.
#[derive(Debug, Serialize)]
pub struct Policy {
    /// The object.
    #[serde(flatten)]
    object: Value,
    #[serde(skip)]
    comments: Vec<String>,
    #[serde(skip)]
    name: String,
}

/// What comes in or goes out: peers, each with its ports.
type Rules = BTreeMap<String, (Value, BTreeSet<(String, u16)>)>;

impl Policy {
    /// For a workload, `namespace/Kind/name`.
    #[must_use]
    pub fn of(workload: &str, reports: &[Report], names: &Names, ends: &Ends) -> Self {
        let map = Map::of(reports, names, None, true);
        let mut comments = seen(workload, reports);
        let (mut ingress, mut egress) = (Rules::new(), Rules::new());
        let mut left_out = BTreeSet::new();
        for edge in &map.edges {
            if edge.to == workload {
                put(&mut ingress, ends, edge, &edge.from, &mut left_out);
            }
            if edge.from == workload {
                put(&mut egress, ends, edge, &edge.to, &mut left_out);
            }
        }
        if !left_out.is_empty() {
            comments.push("Seen, and not in the policy:".to_owned());
            comments.extend(left_out.into_iter().map(|line| format!("- {line}")));
        }
        let mut words = workload.splitn(3, '/');
        let (namespace, _, name) = (words.next(), words.next(), words.next().unwrap_or("workload"));
        let labels = ends.labels(workload).unwrap_or_default();
        if labels.is_empty() {
            comments.push(
                "THE POD SELECTOR IS EMPTY: no labels common to its pods were found. Do not apply it as it is: it would select every pod of the namespace.".to_owned(),
            );
        }
        let object = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": format!("{name}-observed"), "namespace": namespace},
            "spec": {
                "podSelector": {"matchLabels": labels},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": rules(ingress, "from"),
                "egress": rules(egress, "to"),
            },
        });
        Self { object, comments, name: format!("{name}-observed") }
    }

    /// As YAML that can be applied, with its comments.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.comments {
            show::put(&mut text, format_args!("# {line}\n"));
        }
        text + &show::yaml(&self.object)
    }
}

fn put(rules: &mut Rules, ends: &Ends, edge: &Edge, peer: &str, left_out: &mut BTreeSet<String>) {
    match ends.peer(peer) {
        Ok(selector) => {
            let rule =
                rules.entry(selector.to_string()).or_insert_with(|| (selector, BTreeSet::new()));
            rule.1.insert((edge.protocol.to_uppercase(), edge.port));
        }
        Err(why) => {
            left_out.insert(format!("{} → {} port {}: {why}", edge.from, edge.to, edge.port));
        }
    }
}

fn rules(rules: Rules, word: &str) -> Vec<Value> {
    rules
        .into_values()
        .map(|(peer, ports)| {
            let ports: Vec<Value> = ports
                .into_iter()
                .map(|(protocol, port)| json!({"protocol": protocol, "port": port}))
                .collect();
            json!({word: [peer], "ports": ports})
        })
        .collect()
}

/// For how long was looked, and what cannot have been seen.
fn seen(workload: &str, reports: &[Report]) -> Vec<String> {
    let since = |report: &Report| report.time - report.agent.started;
    let shortest = reports.iter().map(since).fold(f64::INFINITY, f64::min);
    let age = std::time::Duration::try_from_secs_f64(shortest.max(0.0)).unwrap_or_default();
    let opened: u64 = reports.iter().map(|report| report.coverage.total.opened).sum();
    let least = reports.iter().filter_map(|report| report.coverage.total.ratio).fold(1.0, f64::min);
    let nodes: Vec<&str> = reports.iter().map(|report| report.node.as_str()).collect();
    vec![
        format!("What probelet observed of {workload} on {}.", nodes.join(", ")),
        format!(
            "Its agents have looked for {} and saw at least {} of the {} connections that opened on these nodes.",
            show::age(age),
            show::percent(least),
            show::count(opened)
        ),
        "Not seen, and so not allowed unless you add it:".to_owned(),
        "- what did not happen in that time: failovers, nightly jobs, releases; flows that were idle for long are forgotten".to_owned(),
        "- UDP without connect(), which is how most programs ask DNS: add port 53 to kube-dns".to_owned(),
        "- connections that were refused or timed out, and some of those that lived for less than a second".to_owned(),
        "- traffic of pods on the host network: policies do not apply to it".to_owned(),
    ]
}

impl show::Answer for Policy {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        for line in self.text().lines() {
            page.line(line);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("networkpolicy.networking.k8s.io/{}", self.name)]
    }
}
