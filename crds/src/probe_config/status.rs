//! The status of `ProbeConfig`: whether the fleet applies it, in a size that does not grow with the fleet.
//!
//! In: nothing; the operator fills it from what the agents say. Out: counts, the few worst nodes, conditions. A map by
//! node does not belong here: that is what `NodeProbe` objects are. Pure: data.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CpuQuantity;

/// What has become of a configuration. Written by the operator, at most every 5 s and only when it changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProbeConfigStatus {
    /// The generation of the object that this status is about.
    pub observed_generation: i64,
    /// The nodes of this configuration, counted.
    pub nodes: NodeCounts,
    /// Up to ten nodes that refused the configuration or did not apply it, the longest standing first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// What the agents of these nodes cost.
    pub fleet: Fleet,
    /// How far the newest change has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// `Accepted`, `Ready`, `Degraded`, `Overridden` and `Conflicted`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Nodes of a configuration by what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeCounts {
    /// Nodes that the selector matches.
    pub matched: i64,
    /// Nodes on which this configuration wins.
    pub effective: i64,
    /// Nodes whose agent has applied its newest content.
    pub applied: i64,
    /// Nodes that do not have it yet or whose agent has not acknowledged it.
    pub pending: i64,
    /// Nodes whose agent refused it.
    pub failed: i64,
    /// Nodes whose agent could not stay within its budget.
    pub over_budget: i64,
    /// Nodes that this configuration would be for if they had an agent: none is wanted on them, by the agents' `DaemonSet`.
    /// They are in no other count.
    pub absent: i64,
}

/// A node that has not applied the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The node's name.
    pub node: String,
    /// Why, as a reason of the agent's condition.
    pub reason: String,
}

/// What the agents cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Fleet {
    /// The CPU of all agents together, from their last summaries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuQuantity>,
    /// The CPU that 99 of 100 agents stay below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_p99: Option<CpuQuantity>,
    /// Up to five agents that cost the most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<NodeCpu>,
}

/// A node and what its agent costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCpu {
    /// The node's name.
    pub node: String,
    /// The agent's CPU.
    pub cpu: CpuQuantity,
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation that is being rolled out.
    pub generation: i64,
    /// The hash of its content, as `NodeProbe.spec.hash` has it.
    pub hash: String,
    /// The hash of the content before, which a stopped rollout goes back to; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    /// The content before, with the fields of `spec` that concern agents: what `kubectl probelet rollout undo` puts back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub previous: Option<Value>,
    /// Where the rollout is.
    pub phase: Phase,
    /// How many nodes are the canaries.
    #[serde(default)]
    pub canaries: i64,
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum Phase {
    /// The first few nodes have it and are watched.
    Canary,
    /// The other nodes are getting it.
    Rolling,
    /// All nodes have it.
    Complete,
    /// Canaries failed: they were given the content before, and the others never got the new one.
    RolledBack,
}

/// An older or newer release's content must not make the whole status unreadable: its fields are not listed.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}
