//! The types and reasons of conditions, each with what it tells a person.
//!
//! In and out: names only. Who sets them decides when; who reads them must not invent others. Pure: data.

/// `ProbeConfig`: the configuration is valid and in force where it wins.
pub const ACCEPTED: &str = "Accepted";
/// `ProbeConfig`: all its nodes have applied it. `NodeProbe`: the agent has a picture of its node.
pub const READY: &str = "Ready";
/// `ProbeConfig`: some of its nodes do not obey it or cannot hold their budget, or its rollout was stopped.
pub const DEGRADED: &str = "Degraded";
/// `ProbeConfig`: on some of the nodes that it matches another one wins by its priority.
pub const OVERRIDDEN: &str = "Overridden";
/// `ProbeConfig`: another one of the same priority matches some of the same nodes; the older one wins.
pub const CONFLICTED: &str = "Conflicted";
/// `NodeProbe`: the agent works by the configuration of the spec.
pub const CONFIG_APPLIED: &str = "ConfigApplied";
/// `NodeProbe`: the agent has stayed within its CPU budget, whatever it had to give up for it.
pub const WITHIN_BUDGET: &str = "WithinBudget";
/// `NodeProbe`: the report holds everything that the agent should see.
pub const DATA_COMPLETE: &str = "DataComplete";
/// `NodeProbe`: the agent may do what the chosen source needs.
pub const PERMISSIONS_OK: &str = "PermissionsOK";
