//! The status of `NodeProbe`: a digest of one node, small enough for 15,000 of them.
//!
//! In: nothing; the agent fills it. Out: numbers of two significant digits, so that what hardly changed is not written
//! again, and short lists. Lists are written whole (atomic): keyed ones cost more in managed fields than they hold.
//! [`NodeProbeStatus::fit`] makes one that the API server accepts. Pure: data.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::CpuQuantity;

/// What an agent says of its node and of itself. At most 2 KiB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeProbeStatus {
    /// The generation of the spec that the agent has judged.
    pub observed_generation: i64,
    /// The hash of the configuration that the agent has applied.
    pub applied_config_hash: String,
    /// When the agent wrote this, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_report: Option<Time>,
    /// The agent itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
    /// How much there is on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// How far the picture can be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// What is largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<Top>,
    /// The full report that this digest was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportStatus>,
    /// What the agent may not do; absent if nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// What the agent could do at its start, and what of that it kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightsStatus>,
    /// `Ready`, `ConfigApplied`, `WithinBudget`, `DataComplete`, `PermissionsOK` and `ConnectionsHealthy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// How it reads the kernel: `bpf`, `bpf-compat`, `netlink`, `procfs`, or `none` while no way works.
    pub source: String,
    /// What it gave up to stay within its budget: `Full` (nothing), `Stretched`, `CountersOnly` or `Paused`.
    pub level: String,
    /// Why, and what it would take; absent at `Full`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub level_reason: String,
    /// The CPU that it used over the last window.
    pub cpu: CpuQuantity,
    /// The CPU that it may use.
    pub budget: CpuQuantity,
    /// Its resident memory, such as `14Mi`.
    pub memory: String,
}

/// How much there is on the node, to two significant digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Summary {
    /// Processes.
    pub processes: i64,
    /// Sockets of all kinds that are kept.
    pub sockets: i64,
    /// Connections.
    pub connections: i64,
    /// Open file descriptors.
    pub open_file_descriptors: i64,
    /// Containers.
    pub containers: i64,
    /// Pods.
    pub pods: i64,
}

/// How far the picture can be trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Quality {
    /// Connections seen of those opened in the last minute, by the kernel's own count, such as `99.8%`; absent if none
    /// was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// Connections without an owner or without a name for their remote end, by reason; the largest few. What had none for
    /// less than some 15 s is not counted: names arrive a moment after their pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unresolved: BTreeMap<String, i64>,
    /// Sockets that the kernel counts and that the last reading of everything did not meet; absent if it met all.
    #[serde(skip_serializing_if = "is_zero")]
    pub unseen: i64,
    /// Age of the oldest part of the picture, seconds.
    pub stalest_seconds: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it over")]
const fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// What is largest on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Top {
    /// Flows with the most connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<TopFlow>,
    /// Programs with the most CPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<TopProcess>,
}

/// A flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopFlow {
    /// Where it comes from, as in the report.
    pub source: String,
    /// Where it goes to, as in the report.
    pub destination: String,
    /// The port of the serving end.
    pub port: i32,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Connections, to two significant digits.
    pub connections: i64,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopProcess {
    /// Its name, as the kernel has it.
    pub comm: String,
    /// Its pod as `namespace/name`; absent if it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its CPU, to two significant digits.
    pub cpu: CpuQuantity,
}

/// The full report that a digest was made from: with it a reader can tell whether it reads the same or a newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportStatus {
    /// Its epoch.
    pub epoch: i64,
    /// Its entity tag, without quotes.
    pub digest: String,
    /// About how long it is, bytes, to two significant digits.
    pub bytes: i64,
}

/// What an agent may not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Capabilities {
    /// Capabilities that it lacks, such as `BPF`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What is not seen for that, a few words each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// What an agent could do at its start, and what of that it kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RightsStatus {
    /// Capabilities that it was started with, such as `BPF`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<String>,
    /// Those that it keeps while it runs, and what for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Protections that are not in force, such as `landlock-tcp`; the report says why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unprotected: Vec<String>,
}
