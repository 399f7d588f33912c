//! `top`: nodes by the cost of their agents, flows, processes.
//!
//! In: all nodes, reports of some of them, the look before. Out: a ranking. Where the cluster is too large to ask every
//! agent, flows and processes come from what each node says is largest. Pure: values only.

mod page;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use probelet_crds::condition::CONNECTIONS_HEALTHY;
use serde::Serialize;

use super::map::Map;
use super::naming::{Asked, Names};
use crate::args::Ranking;
use crate::seen::probe::{Level, Probe};
use crate::seen::report::Report;

/// One look at the cluster.
#[derive(Default)]
pub struct Look {
    /// All nodes.
    pub probes: Vec<Probe>,
    /// Reports, where they were asked for.
    pub reports: Vec<Report>,
    /// Whether nodes were asked for their reports.
    pub whole: bool,
    /// Nodes that were asked without success, and why.
    pub unasked: Vec<(String, String)>,
    /// Which nodes answered.
    pub asked: Asked,
}

/// A ranking.
#[derive(Debug, Serialize)]
pub struct Top {
    /// Of what.
    pub of: &'static str,
    rows: Vec<Row>,
    more: usize,
    note: Option<String>,
    unasked: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Node(NodeRow),
    Flow(FlowRow),
    Proc(ProcRow),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeRow {
    node: String,
    level: Level,
    source: String,
    cpu_nanocores: u64,
    budget_nanocores: u64,
    memory_bytes: u64,
    processes: i64,
    connections: i64,
    coverage: Option<f64>,
    /// What is wrong with its workloads, if that is known.
    sick: Option<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlowRow {
    from: String,
    to: String,
    port: u16,
    protocol: String,
    open: u64,
    opened_per_second: Option<f64>,
    bytes_per_second: Option<f64>,
    /// Absent where only the status of nodes was asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    health: Option<FlowHealth>,
}

/// How the connections of a flow fare.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlowHealth {
    retransmitted_share: Option<f64>,
    failed: u64,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcRow {
    node: String,
    process: String,
    pid: Option<u32>,
    pod: Option<String>,
    cpu_nanocores: Option<u64>,
    cpu_seconds: Option<f64>,
    rss_bytes: Option<u64>,
    open_fds: Option<u64>,
}

impl Row {
    const fn has_health(&self) -> bool {
        matches!(self, Self::Flow(FlowRow { health: Some(_), .. }))
    }
}

impl Top {
    /// The first `most` of a look; rates come from the one before.
    #[must_use]
    pub fn of(ranking: Ranking, look: &Look, before: Option<&Look>, most: usize) -> Self {
        let (of, mut rows) = match ranking {
            Ranking::Nodes => ("nodes", nodes(look)),
            Ranking::Flows => {
                ("flows", if look.whole { flows(look, before) } else { top_flows(look) })
            }
            Ranking::Procs => {
                ("procs", if look.whole { procs(look, before) } else { top_procs(look) })
            }
        };
        let more = rows.len().saturating_sub(most);
        rows.truncate(most);
        let partial = !look.whole && ranking != Ranking::Nodes;
        let note = partial.then(|| {
            "the largest few of each node, from its last status; --node NAME shows one node as it is now".to_owned()
        });
        Self { of, rows, more, note, unasked: look.unasked.clone() }
    }
}

fn nodes(look: &Look) -> Vec<Row> {
    let mut rows: Vec<NodeRow> = look
        .probes
        .iter()
        .filter_map(|probe| {
            let agent = probe.agent.as_ref()?;
            let live = look.reports.iter().find(|report| report.node == *probe.name);
            let nanocores =
                |cores: f64| std::time::Duration::try_from_secs_f64(cores.max(0.0)).ok();
            let cpu = live.and_then(|report| nanocores(report.agent.cpu_cores));
            let cpu =
                cpu.map_or(agent.cpu, |cpu| u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
            let summary = probe.summary.unwrap_or_default();
            Some(NodeRow {
                node: probe.name.to_string(),
                level: agent.level,
                source: agent.source.to_string(),
                cpu_nanocores: cpu,
                budget_nanocores: agent.budget,
                memory_bytes: live.map_or(agent.memory, |report| report.agent.rss_bytes),
                processes: summary.processes,
                connections: summary.connections,
                coverage: probe.coverage,
                sick: probe
                    .trouble(CONNECTIONS_HEALTHY)
                    .filter(|trouble| trouble.certain)
                    .map(|trouble| trouble.reason.to_string()),
                reason: agent.level_reason.to_string(),
            })
        })
        .collect();
    rows.sort_by(|a, b| {
        (Reverse(a.cpu_nanocores), &a.node).cmp(&(Reverse(b.cpu_nanocores), &b.node))
    });
    rows.into_iter().map(Row::Node).collect()
}

/// Whether the same agents answered both times: sums over others do not compare.
fn are_same(look: &Look, before: &Look) -> bool {
    let agents = |look: &Look| -> Vec<(String, String)> {
        look.reports.iter().map(|one| (one.node.clone(), one.instance.clone())).collect()
    };
    agents(look) == agents(before)
}

/// Seconds between two looks at the same agents.
fn elapsed(look: &Look, before: &Look) -> Option<f64> {
    let (now, then) = (look.reports.first()?, before.reports.first()?);
    Some(now.time - then.time).filter(|seconds| *seconds > 0.1)
}

#[expect(clippy::cast_precision_loss, reason = "rates of a few digits")]
fn rate(now: u64, then: Option<u64>, seconds: Option<f64>) -> Option<f64> {
    Some(now.saturating_sub(then?) as f64 / seconds?)
}

fn flows(look: &Look, before: Option<&Look>) -> Vec<Row> {
    let map = |look: &Look| {
        let names = Names::of(&look.reports, &[], look.asked.clone());
        Map::of(&look.reports, &names, None, true).edges
    };
    let before = before.filter(|before| are_same(look, before));
    let seconds = before.and_then(|before| elapsed(look, before));
    let old: BTreeMap<_, _> = before
        .into_iter()
        .flat_map(map)
        .map(|edge| {
            (
                (edge.from, edge.to, edge.port, edge.protocol),
                (edge.opened, edge.bytes_sent + edge.bytes_received),
            )
        })
        .collect();
    let mut rows: Vec<FlowRow> = map(look)
        .into_iter()
        .map(|edge| {
            let key = (edge.from.clone(), edge.to.clone(), edge.port, edge.protocol.clone());
            let then = old.get(&key);
            FlowRow {
                opened_per_second: rate(edge.opened, then.map(|t| t.0), seconds),
                bytes_per_second: rate(
                    edge.bytes_sent + edge.bytes_received,
                    then.map(|t| t.1),
                    seconds,
                ),
                from: edge.from,
                to: edge.to,
                port: edge.port,
                protocol: edge.protocol,
                open: edge.current,
                health: Some(FlowHealth {
                    retransmitted_share: edge.health.retransmitted_share,
                    failed: edge.health.failed,
                    problems: edge.health.problems.into_iter().collect(),
                }),
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        let busy = |row: &FlowRow| row.opened_per_second.unwrap_or(0.0);
        let sick = |row: &FlowRow| row.health.as_ref().is_some_and(|h| !h.problems.is_empty());
        // What is sick first: on a large cluster it would be among the many that are not shown.
        sick(b)
            .cmp(&sick(a))
            .then(b.open.cmp(&a.open))
            .then(busy(b).total_cmp(&busy(a)))
            .then(a.from.cmp(&b.from))
    });
    rows.into_iter().map(Row::Flow).collect()
}

fn top_flows(look: &Look) -> Vec<Row> {
    let mut sums: BTreeMap<(&str, &str, i32, &str), i64> = BTreeMap::new();
    for flow in look.probes.iter().filter_map(|probe| probe.top.as_ref()).flat_map(|top| &top.flows)
    {
        let key =
            (flow.source.as_str(), flow.destination.as_str(), flow.port, flow.protocol.as_str());
        *sums.entry(key).or_default() += flow.connections;
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, connections)| Reverse(*connections));
    rows.into_iter()
        .map(|((from, to, port, protocol), connections)| {
            Row::Flow(FlowRow {
                from: from.to_owned(),
                to: to.to_owned(),
                port: u16::try_from(port).unwrap_or(0),
                protocol: protocol.to_owned(),
                open: u64::try_from(connections).unwrap_or(0),
                opened_per_second: None,
                bytes_per_second: None,
                health: None,
            })
        })
        .collect()
}

fn procs(look: &Look, before: Option<&Look>) -> Vec<Row> {
    let old: BTreeMap<(&str, u32, u64), (f64, f64)> = before
        .into_iter()
        .flat_map(|look| &look.reports)
        .flat_map(|report| {
            let key = |p: &crate::seen::report::Process| {
                (report.node.as_str(), p.pid, p.start_time.to_bits())
            };
            report.processes.iter().map(move |p| (key(p), (p.cpu_seconds, report.time)))
        })
        .collect();
    let mut rows = Vec::new();
    for report in &look.reports {
        for process in &report.processes {
            let then = old.get(&(report.node.as_str(), process.pid, process.start_time.to_bits()));
            let cores = then.and_then(|(cpu, time)| {
                let seconds = report.time - time;
                (seconds > 0.1).then(|| (process.cpu_seconds - cpu).max(0.0) / seconds)
            });
            let nanocores = cores.and_then(|cores| {
                let time = std::time::Duration::try_from_secs_f64(cores).ok()?;
                u64::try_from(time.as_nanos()).ok()
            });
            rows.push(ProcRow {
                node: report.node.clone(),
                process: process.comm.clone(),
                pid: Some(process.pid),
                pod: process.pod.clone(),
                cpu_nanocores: nanocores,
                cpu_seconds: Some(process.cpu_seconds),
                rss_bytes: Some(process.rss_bytes),
                open_fds: process.open_fds,
            });
        }
    }
    rows.sort_by(|a, b| {
        let time = |row: &ProcRow| row.cpu_seconds.unwrap_or(0.0);
        b.cpu_nanocores.cmp(&a.cpu_nanocores).then(time(b).total_cmp(&time(a)))
    });
    rows.into_iter().map(Row::Proc).collect()
}

fn top_procs(look: &Look) -> Vec<Row> {
    let mut rows = Vec::new();
    for probe in &look.probes {
        for process in probe.top.iter().flat_map(|top| &top.processes) {
            rows.push(ProcRow {
                node: probe.name.to_string(),
                process: process.comm.clone(),
                pid: None,
                pod: process.pod.clone(),
                cpu_nanocores: Some(process.cpu.nanocores()),
                cpu_seconds: None,
                rss_bytes: None,
                open_fds: None,
            });
        }
    }
    rows.sort_by_key(|row| Reverse(row.cpu_nanocores));
    rows.into_iter().map(Row::Proc).collect()
}
