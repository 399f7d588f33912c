//! Counts: the nodes of one configuration by what became of it, kept by increments.
//!
//! In: one node's verdict, added or taken away. Out: sums, the p99 and the worst few, each without a look at all nodes.
//! What is added must be taken away as it was added. Pure: values only.

use std::collections::{BTreeMap, BTreeSet};

pub use probelet_crds::State;

use probelet_crds::Answer;

use super::configs::ConfigId;
use super::nodes::{Node, Probe};
use crate::queue::NodeId;

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
    pub told: bool,
    /// Whether the agent could not stay within its budget.
    pub over_budget: bool,
    /// Whether it was told long ago and has not answered.
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
            told: false,
            over_budget: false,
            silent: node.silent,
            unheard: node.deaf && !node.silent,
            refused,
            cpu: None,
        };
        let Some(probe) = &node.probe else { return unknown };
        let Probe { content, origin, said, hash: word, .. } = probe;
        let carried = content.as_ref().map(|content| content.hash.as_str());
        let told = carried.is_some()
            && hash.is_none_or(|hash| carried == Some(hash))
            && origin.as_ref().map(|origin| origin.uid.as_str()) == uid;
        let answer =
            Answer { generation: said.generation, hash: &said.hash, applied: said.applied };
        // The word is that of whoever wrote it; what it stands for was compared above.
        let state = if told { answer.to(probe.generation, word) } else { State::Pending };
        let over_budget = said.within == Some(false);
        Self { state, told, over_budget, cpu: said.cpu, ..unknown }
    }

    /// Whether a person should look at the node.
    #[must_use]
    pub fn is_bad(&self) -> bool {
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
    /// See [`Verdict::told`].
    pub told: u32,
    /// See [`Verdict::over_budget`].
    pub over_budget: u32,
    /// See [`Verdict::silent`].
    pub silent: u32,
    /// See [`Verdict::unheard`].
    pub unheard: u32,
    /// See [`Verdict::refused`].
    pub refused: u32,
    /// Nodes where it would win if an agent were wanted there; in no other count.
    pub absent: u32,
    /// The CPU of all agents, nanocores.
    pub cpu: u64,
    /// Agents by their CPU.
    by_cpu: BTreeSet<(u64, NodeId)>,
    /// Nodes that a person should look at, the longest standing first, and since when each is one.
    bad: BTreeSet<(u64, NodeId)>,
    bad_since: BTreeMap<NodeId, u64>,
    /// Numbers the nodes that turned bad.
    turned_bad: u64,
}

impl Counts {
    /// Counts a node in on which the configuration wins.
    pub fn add(&mut self, id: NodeId, verdict: &Verdict) {
        self.change(verdict, |n| *n += 1);
        if let Some(cpu) = verdict.cpu {
            self.cpu += cpu;
            self.by_cpu.insert((cpu, id));
        }
        if verdict.is_bad() {
            self.turned_bad += 1;
            self.mark(id, self.turned_bad);
        }
    }

    /// Counts a node anew. One that stays bad keeps its place in the list.
    pub fn replace(&mut self, id: NodeId, old: &Verdict, new: &Verdict) {
        let since = self.bad_since.get(&id).copied().filter(|_| new.is_bad());
        self.take(id, old);
        self.add(id, new);
        if let Some(since) = since {
            self.unmark(id);
            self.mark(id, since);
        }
    }

    fn mark(&mut self, id: NodeId, since: u64) {
        self.bad.insert((since, id));
        self.bad_since.insert(id, since);
    }

    fn unmark(&mut self, id: NodeId) {
        if let Some(since) = self.bad_since.remove(&id) {
            self.bad.remove(&(since, id));
        }
    }

    /// Counts a node out, with the verdict that it was counted in with.
    pub fn take(&mut self, id: NodeId, verdict: &Verdict) {
        self.change(verdict, |n| *n -= 1);
        if let Some(cpu) = verdict.cpu {
            self.cpu -= cpu;
            self.by_cpu.remove(&(cpu, id));
        }
        self.unmark(id);
    }

    fn change(&mut self, verdict: &Verdict, by: impl Fn(&mut u32)) {
        let &Verdict { state, told, over_budget, silent, unheard, refused, cpu: _ } = verdict;
        by(&mut self.effective);
        by(match state {
            State::Applied => &mut self.applied,
            State::Pending => &mut self.pending,
            State::Failed => &mut self.failed,
        });
        for (holds, count) in [
            (told, &mut self.told),
            (over_budget, &mut self.over_budget),
            (silent, &mut self.silent),
            (unheard, &mut self.unheard),
            (refused, &mut self.refused),
        ] {
            if holds {
                by(count);
            }
        }
    }

    /// The CPU that 99 of 100 agents do not exceed.
    #[must_use]
    pub fn cpu_p99(&self) -> Option<u64> {
        let above = self.by_cpu.len() / 100;
        self.by_cpu.iter().rev().nth(above).map(|&(cpu, _)| cpu)
    }

    /// The agents that cost the most.
    pub fn worst(&self) -> impl Iterator<Item = (u64, NodeId)> + '_ {
        self.by_cpu.iter().rev().copied()
    }

    /// Nodes that a person should look at, the longest standing first.
    pub fn bad(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.bad.iter().map(|&(_, id)| id)
    }

    pub(crate) fn conflict(&mut self, with: ConfigId, is: bool) {
        let count = self.conflicts.entry(with).or_default();
        *count = if is { *count + 1 } else { *count - 1 };
        if *count == 0 {
            self.conflicts.remove(&with);
        }
    }
}
