//! The objects people edit: their types, their defaults and the rules that an edit must follow.
//!
//! In: what a person wrote, as a JSON or YAML value. Out: a spec that is complete (every field has its default) and
//! valid, or messages that name the field, what was written and what would be right. The agent, the operator and the
//! command line all judge an edit with this crate, so they cannot disagree. It must not know a Kubernetes client.
//! Pure: no I/O, no clock, no async.
#![forbid(unsafe_code)]

mod cidr;
pub mod condition;
mod cpu_quantity;
mod field_error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod interval;
mod label_selector;
mod node_probe;
mod probe_config;
pub mod schema;
mod variants;

pub use cidr::{Cidr, CidrError};
pub use cpu_quantity::CpuQuantity;
pub use field_error::FieldError;
pub use interval::Interval;
pub use label_selector::{LabelSelector, LabelSelectorOperator, LabelSelectorRequirement};
pub use node_probe::{
    Acknowledgement, AgentStatus, Capabilities, MAX_STATUS, NodeConfig, NodeProbe, NodeProbeSpec,
    NodeProbeStatus, Origin, Quality, ReportStatus, RightsStatus, State, Summary, Top, TopFlow,
    TopProcess, Unknown,
};
pub use probe_config::{
    Budget, BudgetPolicy, CidrGroup, Failure, Fleet, FlowHealth, Granularity, Intervals, Limits,
    Match, Metrics, NodeCounts, NodeCpu, Peers, Phase, ProbeConfig, ProbeConfigSpec,
    ProbeConfigStatus, Rank, Reporting, ReportingMode, Rollout, RolloutStatus, ServiceMatching,
    ShortLived, Source,
};

/// The API group of all our objects.
pub const GROUP: &str = "probelet.io";
/// The version of the API that this crate describes.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in an object.
pub const API_VERSION: &str = "probelet.io/v1alpha1";
/// `kind` of the object whose spec is [`ProbeConfigSpec`].
pub const PROBE_CONFIG: &str = "ProbeConfig";
/// `kind` of the object whose spec is [`NodeProbeSpec`].
pub const NODE_PROBE: &str = "NodeProbe";
/// The configuration that the operator creates where there is none.
pub const DEFAULT: &str = "default";
/// Annotation of a `ProbeConfig` that pauses its rollout: with the value [`ROLLOUT_PAUSED`] no further node
/// gets it. Canaries that fail are still rolled back, and `paused: true` still reaches all nodes at once.
pub const ROLLOUT_ANNOTATION: &str = "probelet.io/rollout";
/// The value of [`ROLLOUT_ANNOTATION`].
pub const ROLLOUT_PAUSED: &str = "paused";
/// Who owns the fields that the operator writes (server-side apply).
pub const OPERATOR: &str = "probelet-operator";
/// Who owns the fields of the configuration that the operator creates from its seed.
pub const SEED: &str = "probelet-seed";
/// Who owns the fields that agents write.
pub const AGENT: &str = "probelet-agent";
