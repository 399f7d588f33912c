//! `config dry-run`: what would happen if a file were applied.
//!
//! In: configurations from a file, those of the cluster, all nodes and what they cost now. Out: what is wrong with the
//! file, or which nodes change hands or content, and what that would cost by a plain rule that is said with it. Pure:
//! values only.

use std::collections::BTreeMap;

use probelet_crds::{Budget, NodeConfig};
use serde::Serialize;

use super::configs::{Change, changes};
use super::diff;
use crate::seen::Node;
use crate::seen::config::{Config, Valid, winner};
use crate::seen::probe::{Level, Probe};
use crate::show::{self, Align, Cell, Column, Page, Table};

/// Nodes that are named for each line.
const NAMED: usize = 3;
/// How the cost is foretold.
const RULE: &str = "The expected cost is today's, times how much more often sockets are read, and never above the budget; agents that are not at Full today are taken to use all of it.";

/// What would happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// What is wrong, by object.
    pub refused: Vec<Refused>,
    edits: Vec<Edit>,
    nodes: usize,
    /// Where no agent is wanted: the operator gives those no object, and no configuration.
    without_agent: usize,
    changed: Vec<Group>,
    cost: Option<Cost>,
    advice: Vec<String>,
}

/// An object that would be refused.
#[derive(Debug, Serialize)]
pub struct Refused {
    config: String,
    errors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Edit {
    config: String,
    is_new: bool,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Group {
    from: String,
    to: String,
    nodes: usize,
    examples: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    now_nanocores: u64,
    expected_nanocores: u64,
    budget_now_nanocores: u64,
    budget_then_nanocores: u64,
    paused: usize,
    unknown: usize,
}

impl DryRun {
    /// If these were applied to that cluster.
    #[must_use]
    pub fn of(file: &[Config], live: &[Config], nodes: &[Node], probes: &[Probe]) -> Self {
        let mut refused = Vec::new();
        let mut edits = Vec::new();
        let mut then: Vec<Config> = live.to_vec();
        for wanted in file {
            let name = &wanted.metadata.name;
            let errors = match wanted.valid() {
                Err(errors) => errors,
                Ok(valid)
                    if name == probelet_crds::DEFAULT
                        && !(valid.selector.is_empty() && valid.spec.node_names.is_empty()) =>
                {
                    vec!["the configuration named default is for all nodes and can have neither nodeSelector nor nodeNames".to_owned()]
                }
                Ok(_) => Vec::new(),
            };
            if !errors.is_empty() {
                refused.push(Refused { config: name.clone(), errors });
                continue;
            }
            edits.extend(edit(wanted, live));
            match then.iter_mut().find(|config| config.metadata.name == *name) {
                Some(config) => config.spec = wanted.spec.clone(),
                None => then.push(wanted.clone()),
            }
        }
        let mut answer = Self {
            refused,
            edits,
            nodes: nodes.len(),
            without_agent: 0,
            changed: Vec::new(),
            cost: None,
            advice: Vec::new(),
        };
        if answer.refused.is_empty() {
            answer.foretell(live, &then, nodes, probes);
        }
        answer
    }

    fn foretell(&mut self, live: &[Config], then: &[Config], nodes: &[Node], probes: &[Probe]) {
        let (now, then) = (valid(live), valid(then));
        let by_name: BTreeMap<&str, &Probe> = probes.iter().map(|p| (&*p.name, p)).collect();
        let mut groups: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        let mut cost = Cost::default();
        let mut assigned: BTreeMap<&str, usize> = BTreeMap::new();
        // Before it is installed no node has an object yet.
        let wanted = |name: &str| by_name.is_empty() || by_name.contains_key(name);
        let all = nodes.len();
        let nodes: Vec<_> = nodes.iter().filter(|node| wanted(&node.metadata.name)).collect();
        (self.nodes, self.without_agent) = (nodes.len(), all - nodes.len());
        for node in nodes {
            let name = node.metadata.name.as_str();
            let (was, will) = (winner(&now, node), winner(&then, node));
            let (old, new) = (content(&now, was), content(&then, will));
            let title = |set: &[(&Config, Valid)], at: Option<usize>| {
                at.map_or("built-in defaults".to_owned(), |at| set[at].0.metadata.name.clone())
            };
            if old != new || title(&now, was) != title(&then, will) {
                groups.entry((title(&now, was), title(&then, will))).or_default().push(name);
            }
            if old != new {
                *assigned.entry(will.map_or("", |at| &then[at].0.metadata.name)).or_default() += 1;
            }
            cost.add(by_name.get(name).copied(), &old, &new);
        }
        self.cost = Some(cost);
        self.changed = groups
            .into_iter()
            .map(|((from, to), nodes)| Group {
                from,
                to,
                nodes: nodes.len(),
                examples: nodes.iter().take(NAMED).map(|&node| node.to_owned()).collect(),
            })
            .collect();
        for (name, nodes) in assigned {
            let Some((_, valid)) = then.iter().find(|(c, _)| c.metadata.name == name) else {
                continue;
            };
            self.advice.push(pace(name, nodes, valid));
        }
    }
}

/// How the change would reach its nodes.
fn pace(name: &str, nodes: usize, valid: &Valid) -> String {
    let rules = &valid.spec.rollout;
    let share = usize::try_from(rules.canary_percent).unwrap_or(0);
    let a_minute = usize::try_from(rules.max_nodes_per_minute).unwrap_or(1).max(1);
    let minutes = nodes.div_ceil(a_minute);
    let canaries = match (nodes * share) / 100 {
        _ if valid.spec.paused => "at once, for it pauses".to_owned(),
        0 => "without canaries (too few nodes for one)".to_owned(),
        n => format!("{n} canaries first, watched for 10 s"),
    };
    format!(
        "{name}: {nodes} nodes get it, {canaries}; at {a_minute} a minute that takes up to {minutes} min"
    )
}

fn valid(configs: &[Config]) -> Vec<(&Config, Valid)> {
    configs.iter().filter_map(|config| Some((config, config.valid().ok()?))).collect()
}

fn content(set: &[(&Config, Valid)], at: Option<usize>) -> NodeConfig {
    at.map_or_else(NodeConfig::default, |at| set[at].1.content())
}

fn edit(wanted: &Config, live: &[Config]) -> Option<Edit> {
    let name = &wanted.metadata.name;
    let old = live.iter().find(|config| config.metadata.name == *name);
    let from =
        old.and_then(|config| config.valid().ok()).map(|valid| valid.spec).unwrap_or_default();
    let changes = changes(&from, &wanted.valid().ok()?.spec);
    Some(Edit { config: name.clone(), is_new: old.is_none(), changes })
}

impl Cost {
    fn add(&mut self, probe: Option<&Probe>, old: &NodeConfig, new: &NodeConfig) {
        let nanocores = |budget: &Budget| budget.cpu.nanocores();
        self.budget_now_nanocores += nanocores(&old.budget);
        self.budget_then_nanocores += nanocores(&new.budget);
        let Some(agent) = probe.and_then(|probe| probe.agent.as_ref()) else {
            self.unknown += 1;
            return;
        };
        self.now_nanocores += agent.cpu;
        let millis = |config: &NodeConfig| config.intervals.sockets.duration().as_millis().max(1);
        let most = nanocores(&new.budget);
        self.expected_nanocores += if new.paused {
            self.paused += 1;
            0
        } else if old == new {
            agent.cpu
        } else if agent.level == Level::Full && !old.paused {
            let scaled = u128::from(agent.cpu) * millis(old) / millis(new);
            u64::try_from(scaled).unwrap_or(u64::MAX).min(most)
        } else {
            most
        };
    }
}

impl show::Answer for DryRun {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        for refused in &self.refused {
            page.line(Cell::bad(format!("{} would be REFUSED:", refused.config)));
            for error in &refused.errors {
                page.line(format!("  {error}"));
            }
        }
        for edit in &self.edits {
            let what = if edit.is_new { "is new" } else { "changes" };
            let none = if edit.changes.is_empty() { ": nothing" } else { "" };
            page.line(Cell::bold(format!("{} {what}{none}", edit.config)));
            diff::lines(&mut page, &edit.changes);
        }
        if !self.refused.is_empty() {
            return page;
        }
        page.gap();
        let changed: usize = self.changed.iter().map(|group| group.nodes).sum();
        page.line(Cell::bold(format!("{changed} of {} nodes change", self.nodes)));
        let mut table = Table::new(&[
            Column("NODES", Align::Right),
            Column("FROM", Align::Left),
            Column("TO", Align::Left),
            Column("SUCH AS", Align::Left),
        ]);
        for group in &self.changed {
            table.row(vec![
                group.nodes.to_string().into(),
                group.from.as_str().into(),
                group.to.as_str().into(),
                group.examples.join(", ").into(),
            ]);
        }
        page.table(table);
        for advice in &self.advice {
            page.line(advice.as_str());
        }
        if self.without_agent > 0 {
            let left = self.without_agent;
            page.line(Cell::dim(format!("Nodes without an agent, which are not counted: {left}.")));
        }
        if let Some(cost) = &self.cost {
            page.gap();
            show_cost(cost, &mut page);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        self.changed.iter().flat_map(|group| &group.examples).map(|n| format!("node/{n}")).collect()
    }
}

fn show_cost(cost: &Cost, page: &mut Page) {
    let mut table = Table::new(&[
        Column("COST", Align::Left),
        Column("NOW", Align::Right),
        Column("THEN", Align::Right),
    ]);
    let row = |what: &str, now: u64, then: u64| {
        let then_text = show::cpu(then);
        let then = if then > now { Cell::warn(then_text) } else { then_text.into() };
        vec![what.into(), show::cpu(now).into(), then]
    };
    table.row(row("expected", cost.now_nanocores, cost.expected_nanocores));
    table.row(row("at most (all budgets)", cost.budget_now_nanocores, cost.budget_then_nanocores));
    page.table(table);
    if cost.paused > 0 {
        page.line(format!("{} agents would be paused and cost next to nothing.", cost.paused));
    }
    if cost.unknown > 0 {
        page.line(Cell::dim(format!(
            "{} nodes have not reported and are not in these figures.",
            cost.unknown
        )));
    }
    page.line(Cell::dim(RULE));
}
