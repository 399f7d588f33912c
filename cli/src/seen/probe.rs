//! One node as its `NodeProbe` shows it, without what no one asks for.
//!
//! In: a `NodeProbe` as the API server has it. Out: [`Probe`], some 300 bytes for a node that is well. Pure: data.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use probelet_crds::condition::{self, CONFIG_APPLIED, READY, node_ready};
use probelet_crds::{Acknowledgement, CpuQuantity, State, Summary, Top};
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::quantity::bytes;

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Its name.
    pub name: Box<str>,
    /// The `ProbeConfig` that won; none while the built-in defaults are in force.
    pub config: Option<Box<str>>,
    /// What became of the configuration.
    pub state: State,
    /// Whether its agent has said anything at all.
    pub heard: bool,
    /// The agent.
    pub agent: Option<Agent>,
    /// How much there is on the node.
    pub summary: Option<Summary>,
    /// Of the connections opened, the share that was seen.
    pub coverage: Option<f64>,
    /// Ends of connections without a name.
    pub unresolved: i64,
    /// Sockets that the kernel counts and no source saw.
    pub unseen: i64,
    /// Conditions that are not `True`, and budgets that cost something.
    pub troubles: Vec<Trouble>,
    /// What is largest, if it was asked for.
    pub top: Option<Box<Top>>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its release.
    pub version: Box<str>,
    /// How it reads the kernel.
    pub source: Box<str>,
    /// What it gave up for its budget.
    pub level: Level,
    /// Why, and what it would take.
    pub level_reason: Box<str>,
    /// The CPU that it uses, nanocores.
    pub cpu: u64,
    /// The CPU that it may use, nanocores.
    pub budget: u64,
    /// Its memory, bytes.
    pub memory: u64,
}

/// What an agent gave up for its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// Nothing.
    Full,
    /// How often it looks.
    Stretched,
    /// The detail of processes.
    CountersOnly,
    /// Everything: it was asked to.
    Paused,
    /// A word of another release.
    Unknown,
}

/// A condition that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Trouble {
    /// The condition.
    pub condition: Box<str>,
    /// Whether it is known to be so.
    pub certain: bool,
    /// Its reason.
    pub reason: Box<str>,
    /// Its message.
    pub message: Box<str>,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    origin: Option<Origin>,
    hash: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Origin {
    name: Box<str>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    observed_generation: i64,
    applied_config_hash: String,
    agent: Option<WireAgent>,
    summary: Option<Summary>,
    quality: Quality,
    top: Option<Box<Top>>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireAgent {
    version: Box<str>,
    source: Box<str>,
    level: Box<str>,
    level_reason: Box<str>,
    cpu: Option<CpuQuantity>,
    budget: Option<CpuQuantity>,
    memory: Box<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Quality {
    coverage: Option<String>,
    unresolved: std::collections::BTreeMap<String, i64>,
    unseen: i64,
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}

impl From<Wire> for Probe {
    fn from(wire: Wire) -> Self {
        let Wire { metadata, spec, status } = wire;
        let heard = !status.conditions.is_empty() || status.agent.is_some();
        let holds = |kind: &str| {
            let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
            condition::holds(&found.status)
        };
        let answer = Acknowledgement {
            generation: status.observed_generation,
            hash: &status.applied_config_hash,
            applied: holds(CONFIG_APPLIED),
        };
        let coverage = status.quality.coverage.as_deref().and_then(|text| text.strip_suffix('%'));
        Self {
            state: answer.to(metadata.generation, &spec.hash),
            config: spec.origin.map(|origin| origin.name),
            heard,
            summary: status.summary,
            coverage: coverage.and_then(|text| text.parse().ok()).map(|share: f64| share / 100.0),
            unresolved: status.quality.unresolved.values().sum(),
            unseen: status.quality.unseen,
            troubles: status.conditions.iter().filter_map(trouble).collect(),
            agent: status.agent.map(Agent::from),
            top: status.top,
            name: metadata.name.into(),
        }
    }
}

impl From<WireAgent> for Agent {
    fn from(wire: WireAgent) -> Self {
        let nanocores = |cpu: Option<CpuQuantity>| cpu.map_or(0, CpuQuantity::nanocores);
        Self {
            version: wire.version,
            source: wire.source,
            level: level(&wire.level),
            level_reason: wire.level_reason,
            cpu: nanocores(wire.cpu),
            budget: nanocores(wire.budget),
            memory: bytes(&wire.memory).unwrap_or(0),
        }
    }
}

impl Probe {
    /// The CPU of its agent, nanocores.
    #[must_use]
    pub fn cpu(&self) -> Option<u64> {
        self.agent.as_ref().map(|agent| agent.cpu)
    }

    /// What the condition of this kind complains of.
    #[must_use]
    pub fn trouble(&self, kind: &str) -> Option<&Trouble> {
        self.troubles.iter().find(|trouble| &*trouble.condition == kind)
    }

    /// Whether its agent has a picture of it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.heard && self.trouble(READY).is_none()
    }
}

impl Trouble {
    /// Whether someone should look at it. What is not known yet is no trouble, but that an agent has fallen silent is: all
    /// that its status says is old.
    #[must_use]
    pub fn is_amiss(&self) -> bool {
        self.certain || self.is_silence()
    }

    /// Whether it is the operator's word that nothing is heard of the agent any more.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        &*self.condition == READY && &*self.reason == node_ready::AGENT_SILENT
    }
}

impl Level {
    /// The word in the object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Stretched => "Stretched",
            Self::CountersOnly => "CountersOnly",
            Self::Paused => "Paused",
            Self::Unknown => "Unknown",
        }
    }
}

fn level(word: &str) -> Level {
    match word {
        "Full" => Level::Full,
        "Stretched" => Level::Stretched,
        "CountersOnly" => Level::CountersOnly,
        "Paused" => Level::Paused,
        _ => Level::Unknown,
    }
}

fn trouble(condition: &Condition) -> Option<Trouble> {
    (condition.status != "True").then(|| Trouble {
        condition: condition.type_.as_str().into(),
        certain: condition.status == "False",
        reason: condition.reason.as_str().into(),
        message: condition.message.as_str().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_of_another_release_is_still_a_node() {
        let probe: Probe = serde_json::from_value(json!({
            "metadata": {"name": "n1", "generation": 2, "managedFields": [{"x": 1}]},
            "spec": {"hash": "ab", "config": {"quantumMode": true}, "origin": {"name": "gpu"}},
            "status": {"observedGeneration": 2, "appliedConfigHash": "ab", "mood": "fine",
                "agent": {"level": "Dreaming", "cpu": "2500u", "budget": "5m", "memory": "14Mi"},
                "quality": {"coverage": "99.8%", "unresolved": {"a": 2, "b": 1}},
                "conditions": [{"type": "ConfigApplied", "status": "True", "reason": "Applied",
                    "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        }))
        .unwrap();

        let agent = probe.agent.as_ref().unwrap();
        assert_eq!((probe.state, probe.config.as_deref()), (State::Applied, Some("gpu")));
        assert_eq!((agent.cpu, agent.budget, agent.memory), (2_500_000, 5_000_000, 14 << 20));
        assert_eq!((agent.level, probe.coverage), (Level::Unknown, Some(0.998)));
        assert_eq!((probe.unresolved, probe.troubles.len()), (3, 0));
    }

    #[test]
    fn a_node_that_never_spoke_is_pending_and_unheard() {
        let json = json!({"metadata": {"name": "n1", "generation": 1}, "spec": {"hash": "ab"}});
        let probe: Probe = serde_json::from_value(json).unwrap();

        assert_eq!((probe.state, probe.heard, probe.is_ready()), (State::Pending, false, false));
    }
}
