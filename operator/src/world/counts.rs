//! Counts: the nodes of one configuration by what became of it, counted when someone asks.
//!
//! In: the world. Out: sums, the p99, the worst few. A status is written at most every five seconds, and a look at 5,000
//! nodes takes a millisecond: figures that were kept instead would have to be kept right through every change. Pure: values
//! only.

use std::collections::BTreeMap;

pub use probelet_crds::State;

use probelet_crds::Acknowledgement;

use super::World;
use super::configs::Config;
use super::nodes::{Node, Probe};
use crate::queue::{ConfigId, NodeId};

/// One node, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is counted apart, and all may hold together"
)]
pub struct Verdict {
    /// What became of the configuration.
    pub state: State,
    /// Whether the node's `NodeProbe` carries the newest content.
    pub assigned: bool,
    /// Whether the agent could not stay within its budget.
    pub over_budget: bool,
    /// Whether it was assigned it long ago and has not answered.
    pub silent: bool,
    /// Whether it has answered once, and has not been heard of for long.
    pub unheard: bool,
    /// Whether the API server refused to let us tell it.
    pub refused: bool,
    /// The agent's CPU, nanocores.
    pub cpu: Option<u64>,
}

impl Verdict {
    /// Judges a node by the content that it should work by (a hash) and by whose order (a uid).
    #[must_use]
    pub fn of(node: &Node, hash: Option<&str>, uid: Option<&str>) -> Self {
        let refused = node.refused.is_some();
        let unknown = Self {
            state: State::Pending,
            assigned: false,
            over_budget: false,
            silent: false,
            unheard: false,
            refused,
            cpu: None,
        }
        .heard(node);
        let Some(probe) = &node.probe else { return unknown };
        let Probe { content, origin, said, hash: word, .. } = probe;
        let carried = content.as_ref().map(|content| content.hash.as_str());
        let assigned = carried.is_some()
            && hash.is_none_or(|hash| carried == Some(hash))
            && origin.as_ref().map(|origin| origin.uid.as_str()) == uid;
        let answer = Acknowledgement {
            generation: said.generation,
            hash: &said.hash,
            applied: said.applied,
        };
        // The word is that of its writer; what it stands for was compared above.
        let state = if assigned { answer.to(probe.generation, word) } else { State::Pending };
        let over_budget = said.within == Some(false);
        Self { state, assigned, over_budget, cpu: said.cpu, ..unknown }
    }

    /// The same of a node that is heard of as this one is.
    pub(super) fn heard(self, node: &Node) -> Self {
        Self { silent: node.silent, unheard: node.deaf && !node.silent, ..self }
    }

    /// Whether it has not been given the newest content, and nothing stands in the way of that but its turn.
    fn waits_for_its_turn(&self) -> bool {
        self.state == State::Pending && !self.assigned && !self.refused
    }

    /// Whether a person should look at the node.
    #[must_use]
    pub(crate) fn is_bad(&self) -> bool {
        self.state == State::Failed
            || self.over_budget
            || self.refused
            || self.silent
            || self.unheard
    }
}

/// The nodes of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Nodes that the selector matches.
    pub matched: u32,
    /// Nodes on which it wins.
    pub effective: u32,
    /// Nodes where one of higher priority wins.
    pub overridden: u32,
    /// Nodes shared with one of the same priority, by which.
    pub conflicts: BTreeMap<ConfigId, u32>,
    /// [`State::Applied`].
    pub applied: u32,
    /// [`State::Pending`].
    pub pending: u32,
    /// [`State::Failed`].
    pub failed: u32,
    /// See [`Verdict::assigned`].
    pub assigned: u32,
    /// See [`Verdict::over_budget`].
    pub over_budget: u32,
    /// See [`Verdict::silent`].
    pub silent: u32,
    /// See [`Verdict::unheard`].
    pub unheard: u32,
    /// See [`Verdict::refused`].
    pub refused: u32,
    /// Pending, and waiting for a person who has paused the rollout.
    pub held: u32,
    /// Nodes where it would win if an agent were wanted there; in no other count.
    pub absent: u32,
    /// The CPU of all agents, nanocores.
    pub cpu: u64,
    /// Agents by their CPU, those that use the most first.
    pub by_cpu: Vec<(u64, NodeId)>,
    /// Nodes that a person should look at, the longest standing first.
    bad: Vec<(Option<u64>, NodeId)>,
}

impl Counts {
    fn add(&mut self, id: NodeId, node: &Node, verdict: &Verdict) {
        let &Verdict { state, assigned, over_budget, silent, unheard, refused, cpu } = verdict;
        self.effective += 1;
        *match state {
            State::Applied => &mut self.applied,
            State::Pending => &mut self.pending,
            State::Failed => &mut self.failed,
        } += 1;
        self.assigned += u32::from(assigned);
        self.over_budget += u32::from(over_budget);
        self.silent += u32::from(silent);
        self.unheard += u32::from(unheard);
        self.refused += u32::from(refused);
        if let Some(cpu) = cpu {
            self.cpu += cpu;
            self.by_cpu.push((cpu, id));
        }
        if verdict.is_bad() {
            self.bad.push((node.bad_since, id));
        }
    }

    fn sort(&mut self) {
        self.by_cpu.sort_unstable_by(|a, b| b.cmp(a));
        self.bad.sort_unstable();
    }

    /// The CPU that 99 of 100 agents do not exceed.
    #[must_use]
    pub fn cpu_p99(&self) -> Option<u64> {
        self.by_cpu.get(self.by_cpu.len() / 100).map(|&(cpu, _)| cpu)
    }

    /// Nodes that a person should look at, the longest standing first.
    pub fn bad(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.bad.iter().map(|&(_, id)| id)
    }
}

impl World {
    /// The nodes of each configuration that matches any, and under `None` those that none matches: one look at each node.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Option<ConfigId>, Counts> {
        let mut all: BTreeMap<_, Counts> = BTreeMap::new();
        for (id, node) in self.nodes.iter().filter(|(_, node)| node.object.is_some()) {
            let winner = node.matches.first().copied();
            let Some(verdict) = self.verdict(node) else {
                all.entry(winner).or_default().absent += 1;
                continue;
            };
            let counts = all.entry(winner).or_default();
            counts.add(id, node, &verdict);
            let paused =
                winner.and_then(|id| self.configs.get(id)).is_some_and(|c| c.rollout_paused);
            counts.held += u32::from(paused && verdict.waits_for_its_turn());
            for &config in &node.matches {
                all.entry(Some(config)).or_default().matched += 1;
            }
            let Some((&winner, losers)) = node.matches.split_first() else { continue };
            let priority = |id: ConfigId| self.configs.get(id).map(Config::priority);
            for &loser in losers {
                if priority(loser) == priority(winner) {
                    for (of, with) in [(winner, loser), (loser, winner)] {
                        *all.entry(Some(of)).or_default().conflicts.entry(with).or_default() += 1;
                    }
                } else {
                    all.entry(Some(loser)).or_default().overridden += 1;
                }
            }
        }
        all.values_mut().for_each(Counts::sort);
        all
    }

    /// What is to be said of a node; `None` where there is none, or no agent is wanted on it.
    #[must_use]
    pub fn verdict(&self, node: &Node) -> Option<Verdict> {
        node.object.as_ref().filter(|_| !node.absent)?;
        let Some(config) = node.matches.first().and_then(|&id| self.configs.get(id)) else {
            return Some(Verdict::of(node, Some(&self.builtin.hash), None));
        };
        let hash = config.force.as_ref().map(|force| force.content.hash.as_str());
        Some(Verdict::of(node, hash, Some(&config.uid)))
    }
}
