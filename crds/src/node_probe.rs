//! `NodeProbe`: one object per node, through which the operator assigns what an agent is to do and the agent says how it is.
//!
//! In: nothing; these are the types of the wire. Out: the spec, which only the operator writes, and the status, which
//! only the agent of that node writes and which never exceeds [`MAX_STATUS`]. Numbers with a history belong in
//! metrics, and the full report on the agent's own port. Pure: data.
#![allow(clippy::duplicated_attributes, reason = "each column of kube's derive has a type")]

mod acknowledgement;
pub(crate) mod bounds;
mod config;
mod fit;
mod reading;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use acknowledgement::{Acknowledgement, State};
pub use bounds::MAX_STATUS;
pub use config::NodeConfig;
pub use reading::Unknown;
pub use status::{
    AgentStatus, Capabilities, NodeProbeStatus, Quality, ReportStatus, RightsStatus, Summary, Top,
    TopFlow, TopProcess,
};

/// What the operator decided for one node. Edits by hand are put right: edit the `ProbeConfig` that `origin` names.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "probelet.io",
    version = "v1alpha1",
    kind = "NodeProbe",
    status = "NodeProbeStatus",
    shortname = "np",
    category = "probelet",
    doc = "One node: the configuration that is in force on it, and what its agent says. Written by the operator and by that node's agent.",
    printcolumn(name = "Config", type_ = "string", json_path = ".spec.origin.name"),
    printcolumn(name = "Source", type_ = "string", json_path = ".status.agent.source"),
    printcolumn(name = "Level", type_ = "string", json_path = ".status.agent.level"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.agent.cpu"),
    printcolumn(name = "Budget", type_ = "string", json_path = ".status.agent.budget"),
    printcolumn(name = "Processes", type_ = "integer", json_path = ".status.summary.processes"),
    printcolumn(
        name = "Connections",
        type_ = "integer",
        json_path = ".status.summary.connections"
    ),
    printcolumn(name = "Coverage", type_ = "string", json_path = ".status.quality.coverage"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ConfigApplied\")].status"
    ),
    printcolumn(
        name = "Within",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"WithinBudget\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Memory",
        type_ = "string",
        json_path = ".status.agent.memory",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Reported", type_ = "date", json_path = ".status.lastReport"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeProbeSpec {
    /// The `ProbeConfig` that won on this node; absent while none matches and the built-in defaults are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// A short name for the content of `config`; the agent acknowledges with the same.
    pub hash: String,
    /// How many nodes the cluster has, rounded up to a power of two: agents spread their first writes by it.
    #[serde(default)]
    pub cluster_size: i64,
    /// The configuration in force, with the fields of `ProbeConfig.spec` that concern one node.
    pub config: NodeConfig,
}

/// The configuration that won.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its uid: one that was deleted and created again is another one.
    pub uid: String,
    /// Its generation when this was decided.
    pub generation: i64,
}
