//! `status`: the fleet on one screen.
//!
//! In: all nodes, configurations, the operators' lease, what Kubernetes counts. Out: cost against budget, levels,
//! coverage, rollouts, and every cause of trouble with its nodes and the next step. Pure: the time is an argument.

mod causes;
mod gaps;
mod page;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

pub use causes::{Cause, Severity};
use gaps::Gaps;
pub(super) use gaps::TOLERATED;

use crate::seen::config::Config;
use crate::seen::operator::Operator;
use crate::seen::pod::Pod;
use crate::seen::probe::{Level, Probe};
use crate::seen::{DaemonCounts, Lease};
use crate::show;

/// What a status is made from.
pub struct Seen {
    /// The API server's address.
    pub server: String,
    /// probelet's namespace and the name that its objects begin with.
    pub place: (String, String),
    /// All nodes.
    pub probes: Vec<Probe>,
    /// How many nodes Kubernetes has; none if that may not be known.
    pub nodes: Option<u64>,
    /// All configurations.
    pub configs: Vec<Config>,
    /// The operators' lease, or why it could not be read.
    pub lease: Result<Option<Lease>, String>,
    /// The operators' pods, or why they could not be listed.
    pub operators: Result<Vec<Pod>, String>,
    /// The agents as Kubernetes counts them; none if that may not be known.
    pub daemons: Option<DaemonCounts>,
    /// Nodes whose agent does not run, and why.
    pub down: Vec<(String, String)>,
    /// Now, by the API server's clock.
    pub now: Timestamp,
}

/// The fleet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    server: String,
    nodes: Option<u64>,
    node_probes: usize,
    /// Nodes on which the agents' `DaemonSet` wants none.
    absent: u64,
    agents_desired: Option<u64>,
    agents_ready: Option<u64>,
    operator: Operating,
    cost: Cost,
    levels: BTreeMap<&'static str, usize>,
    sources: BTreeMap<String, usize>,
    coverage: Option<Coverage>,
    known: Known,
    configs: Vec<Line>,
    /// What someone should look at, the worst first.
    pub causes: Vec<Cause>,
    /// What the picture lacks, a message each; what is tolerated is not among it.
    missing: Vec<String>,
    /// What may not be seen, and so not be judged.
    unjudged: Vec<String>,
    /// Nodes that do not follow.
    not_applied: Vec<String>,
    /// From which `missing` is made.
    #[serde(skip)]
    gaps: Gaps,
    /// Causes that are shown to people.
    #[serde(skip)]
    pub most: usize,
}

/// Who operates.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operating {
    /// Whether one does; none if that may not be known.
    running: Option<bool>,
    leader: Option<String>,
    /// A pod that is ready, where no one leads.
    ready: Option<String>,
    renewed_seconds_ago: Option<i64>,
}

/// CPU in nanocores and memory in bytes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    cpu_nanocores: u64,
    budget_nanocores: u64,
    p50_nanocores: u64,
    p99_nanocores: u64,
    most: Option<(String, u64)>,
    memory_bytes: u64,
    most_memory: Option<(String, u64)>,
}

#[derive(Debug, Serialize)]
struct Coverage {
    median: f64,
    least: f64,
    node: String,
}

#[derive(Debug, Default, Serialize)]
struct Known {
    processes: i64,
    connections: i64,
    containers: i64,
    pods: i64,
    unresolved: i64,
}

/// A configuration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    priority: i64,
    nodes: i64,
    applied: i64,
    pending: i64,
    failed: i64,
    over_budget: i64,
    budget: String,
    cpu: Option<String>,
    rollout: String,
}

impl Status {
    /// The fleet as it was seen.
    #[must_use]
    pub fn of(seen: &Seen, most: usize) -> Self {
        let probes = &seen.probes;
        let mut levels = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for agent in probes.iter().filter_map(|probe| probe.agent.as_ref()) {
            *levels.entry(agent.level.name()).or_default() += 1;
            *sources.entry(agent.source.to_string()).or_default() += 1;
        }
        let operator = seen.operator();
        let mut status = Self {
            server: seen.server.clone(),
            nodes: seen.nodes,
            node_probes: probes.len(),
            absent: seen.absent(),
            agents_desired: seen.daemons.map(|daemons| daemons.desired_number_scheduled),
            agents_ready: seen.daemons.map(|daemons| daemons.number_ready),
            missing: Vec::new(),
            unjudged: unjudged(seen, &operator),
            gaps: Gaps::of(probes),
            operator: operating(&operator),
            cost: cost(probes),
            levels,
            sources,
            coverage: coverage(probes),
            known: known(probes),
            configs: seen.configs.iter().map(line).collect(),
            causes: causes::causes(seen, &operator),
            not_applied: probes
                .iter()
                .filter(|probe| causes::has_not_applied(probe))
                .map(|probe| probe.name.to_string())
                .collect(),
            most,
        };
        status.tolerate(TOLERATED);
        status
    }

    /// Says what is missing, but for this share of the connections.
    pub fn tolerate(&mut self, share: f64) {
        self.missing = self.gaps.beyond(share);
    }

    /// Whether no one is at work: no agent, or no operator.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.agents_ready == Some(0) || self.operator.running == Some(false)
    }

    /// Whether all is as it should be, and all of it was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let harmless = |cause: &Cause| matches!(cause.severity, Severity::Sick | Severity::Note);
        self.causes.iter().all(harmless)
            && self.missing.is_empty()
            && self.unjudged.is_empty()
            && !self.is_deserted()
    }
}

impl Seen {
    fn operator(&self) -> Operator {
        Operator::of(&self.lease, &self.operators, self.now)
    }

    /// Nodes that are meant to have no agent, and so no `NodeProbe`: each is counted by the configuration that would win there.
    fn absent(&self) -> u64 {
        let absent = self.configs.iter().map(|config| config.status().nodes.absent);
        absent.filter_map(|nodes| u64::try_from(nodes).ok()).sum()
    }
}

/// What may not be seen.
fn unjudged(seen: &Seen, operator: &Operator) -> Vec<String> {
    let mut all = Vec::new();
    if let Operator::Unknown { why } = operator {
        all.push(format!("whether an operator runs: {why}"));
    }
    if seen.daemons.is_none() {
        all.push("how many agents run (get daemonsets.apps, list pods)".to_owned());
    }
    if seen.nodes.is_none() {
        all.push("how many nodes there are (list nodes)".to_owned());
    }
    all
}

impl show::Answer for Status {
    fn page(&self, wide: bool) -> show::Page {
        page::page(self, wide)
    }

    fn names(&self) -> Vec<String> {
        self.not_applied.iter().map(|node| format!("node/{node}")).collect()
    }
}

fn operating(operator: &Operator) -> Operating {
    let (leader, ready, renewed_seconds_ago) = match operator {
        Operator::Leads { pod, seconds } => (Some(pod.clone()), None, Some(*seconds)),
        Operator::Ready { pod } => (None, Some(pod.clone()), None),
        Operator::Silent { .. } | Operator::Unknown { .. } => (None, None, None),
    };
    Operating { running: operator.runs(), leader, ready, renewed_seconds_ago }
}

fn cost(probes: &[Probe]) -> Cost {
    let mut cost = Cost::default();
    let mut all = Vec::with_capacity(probes.len());
    for probe in probes {
        let Some(agent) = &probe.agent else { continue };
        all.push(agent.cpu);
        cost.cpu_nanocores += agent.cpu;
        cost.budget_nanocores += agent.budget;
        cost.memory_bytes += agent.memory;
        let name = || probe.name.to_string();
        if cost.most.as_ref().is_none_or(|(_, most)| agent.cpu > *most) {
            cost.most = Some((name(), agent.cpu));
        }
        if cost.most_memory.as_ref().is_none_or(|(_, most)| agent.memory > *most) {
            cost.most_memory = Some((name(), agent.memory));
        }
    }
    all.sort_unstable();
    let below = |percent: usize| {
        let above = all.len() * (100 - percent) / 100;
        all.iter().rev().nth(above).copied().unwrap_or(0)
    };
    (cost.p50_nanocores, cost.p99_nanocores) = (below(50), below(99));
    cost
}

fn coverage(probes: &[Probe]) -> Option<Coverage> {
    let with = |probe: &Probe| probe.coverage.map(|share| (share, probe.name.to_string()));
    let mut all: Vec<(f64, String)> = probes.iter().filter_map(with).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = all.get(all.len() / 2)?.0;
    let (least, node) = all.swap_remove(0);
    Some(Coverage { median, least, node })
}

fn known(probes: &[Probe]) -> Known {
    let mut known = Known::default();
    for probe in probes {
        known.unresolved += probe.unresolved;
        let Some(summary) = &probe.summary else { continue };
        known.processes += summary.processes;
        known.connections += summary.connections;
        known.containers += summary.containers;
        known.pods += summary.pods;
    }
    known
}

fn line(config: &Config) -> Line {
    let status = config.status();
    let text = |path: &str| config.spec.pointer(path).cloned().unwrap_or_default();
    let budget = match text("/budget/cpu") {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => probelet_crds::Budget::default().cpu.to_string(),
        other => other.to_string(),
    };
    Line {
        name: config.metadata.name.clone(),
        priority: text("/priority").as_i64().unwrap_or(0),
        nodes: status.nodes.effective,
        applied: status.nodes.applied,
        pending: status.nodes.pending,
        failed: status.nodes.failed,
        over_budget: status.nodes.over_budget,
        budget,
        cpu: status.fleet.cpu.map(|cpu| show::cpu(cpu.nanocores())),
        rollout: super::rollout::phase(config, &status),
    }
}

/// Whether a level costs something.
#[must_use]
pub(crate) const fn is_reduced(level: Level) -> bool {
    matches!(level, Level::Stretched | Level::CountersOnly)
}
