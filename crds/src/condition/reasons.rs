//! The reasons of conditions: one module a type, one line each, with the status that goes with it.
//!
//! In and out: names only. A reason is a promise to those who write alerts: new ones may come, none changes its meaning.
//! Pure: data.

/// Reasons of `Accepted` (`ProbeConfig`).
pub mod accepted {
    /// True: every rule holds.
    pub const VALID: &str = "Valid";
    /// False: a rule is broken; the last good configuration stays in force.
    pub const INVALID: &str = "Invalid";
    /// False: it has fields that this version does not know; the last good configuration stays in force.
    pub const UNKNOWN_FIELD: &str = "UnknownField";
    /// False: its budget is more than the operator allows (`--max-budget`); the last good configuration stays in force.
    pub const BUDGET_TOO_LARGE: &str = "BudgetTooLarge";
}

/// Reasons of `Ready` of a `ProbeConfig`.
pub mod ready {
    /// True: every node of this configuration has applied it.
    pub const ALL_APPLIED: &str = "AllApplied";
    /// True: there is no node on which it wins, so nothing is left to do.
    pub const NO_NODES: &str = "NoNodes";
    /// False: it is being rolled out, or agents have not applied it yet.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// False: the canaries have it and are watched; the others wait for them.
    pub const CANARIES_WATCHED: &str = "CanariesWatched";
    /// False: its rollout is paused by annotation, and not all nodes have it.
    pub const ROLLOUT_PAUSED: &str = "RolloutPaused";
    /// False: all nodes have it, and some agents have been silent for long.
    pub const NODES_SILENT: &str = "NodesSilent";
    /// False: some agents refused it.
    pub const NODES_FAILED: &str = "NodesFailed";
    /// False: canaries failed, and the content before is in force again.
    pub const ROLLED_BACK: &str = "RolledBack";
    /// False: it was not accepted.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// Unknown: the operator has not seen all nodes yet.
    pub const STARTING: &str = "Starting";
}

/// Reasons of `Degraded` (`ProbeConfig`).
pub mod degraded {
    /// False: nothing to worry about.
    pub const AS_EXPECTED: &str = "AsExpected";
    /// True: some agents refused it.
    pub const NODES_FAILED: &str = "NodesFailed";
    /// True: some agents could not stay within their budget.
    pub const NODES_OVER_BUDGET: &str = "NodesOverBudget";
    /// True: some agents have been silent for long.
    pub const NODES_SILENT: &str = "NodesSilent";
    /// True: canaries failed, and the rollout was rolled back.
    pub const ROLLED_BACK: &str = "RolledBack";
    /// True: the API server refuses our writes (a webhook, a quota, missing rights).
    pub const WRITES_REFUSED: &str = "WritesRefused";
}

/// Reasons of `Overridden` (`ProbeConfig`).
pub mod overridden {
    /// False: it wins on every node that it matches, or loses to none of higher priority.
    pub const NOT_OVERRIDDEN: &str = "NotOverridden";
    /// True: one of higher priority wins on some of the nodes that it matches.
    pub const HIGHER_PRIORITY: &str = "HigherPriority";
}

/// Reasons of `Conflicted` (`ProbeConfig`).
pub mod conflicted {
    /// False: no other one of its priority matches the same nodes.
    pub const NO_CONFLICT: &str = "NoConflict";
    /// True: another one of its priority matches some of the same nodes; the older one wins there.
    pub const SAME_PRIORITY: &str = "SamePriority";
}

/// Reasons of `Ready` of a `NodeProbe`.
pub mod node_ready {
    /// True: the agent reports its node and keeps the report fresh.
    pub const REPORTING: &str = "Reporting";
    /// Unknown: the agent has just started.
    pub const STARTING: &str = "Starting";
    /// False: collection is stopped because the configuration says so.
    pub const PAUSED: &str = "Paused";
    /// False: no source works, or the last passes failed.
    pub const SOURCE_FAILED: &str = "SourceFailed";
    /// False: the agent is shutting down.
    pub const STOPPING: &str = "Stopping";
    /// Unknown: no report from the agent for longer than it may be silent; written by the operator.
    pub const AGENT_SILENT: &str = "AgentSilent";
}

/// Reasons of `ConfigApplied` (`NodeProbe`).
pub mod config_applied {
    /// True: the agent has applied the configuration of the spec.
    pub const APPLIED: &str = "Applied";
    /// False: a rule is broken; the agent keeps using the last good configuration, paused or not as this one says.
    pub const INVALID: &str = "Invalid";
    /// False: it has fields that this agent does not know. Agents of 0.1.0 only: later ones ignore such fields and say so.
    pub const UNKNOWN_FIELD: &str = "UnknownField";
    /// False: the hash is not that of the content. Agents of 0.1.0 only: later ones do not check it.
    pub const HASH_MISMATCH: &str = "HashMismatch";
    /// False: the source that it asks for does not work on this node; the agent uses another one.
    pub const SOURCE_UNAVAILABLE: &str = "SourceUnavailable";
    /// Unknown: the agent has not processed it yet.
    pub const PENDING: &str = "Pending";
}

/// Reasons of `WithinBudget` (`NodeProbe`).
pub mod within_budget {
    /// True: everything that is configured fits.
    pub const WITHIN: &str = "Within";
    /// True: it fits because passes come less often.
    pub const STRETCHED: &str = "Stretched";
    /// True: it fits because the detail of processes is left out.
    pub const COUNTERS_ONLY: &str = "CountersOnly";
    /// False: the agent used more than its budget over the last window.
    pub const EXCEEDED: &str = "Exceeded";
    /// Unknown: the first window is not over yet.
    pub const MEASURING: &str = "Measuring";
}

/// Reasons of `DataComplete` (`NodeProbe`).
pub mod data_complete {
    /// True: nothing that counts is missing.
    pub const COMPLETE: &str = "Complete";
    /// False: a table was full; what did not fit is counted.
    pub const TABLE_FULL: &str = "TableFull";
    /// False: too many connections opened and closed unseen between two passes.
    pub const LOW_COVERAGE: &str = "LowCoverage";
    /// False: too many connections have no owner or no name for their remote end.
    pub const UNRESOLVED: &str = "Unresolved";
    /// False: the API server, or the operator's feed of pods, has not been reached for a while, so names may be stale or missing.
    pub const NAMES_STALE: &str = "NamesStale";
    /// False: a part of the data is much older than its interval.
    pub const STALE: &str = "Stale";
    /// False: what was given up for the budget is not in the report.
    pub const REDUCED: &str = "Reduced";
    /// False: collection is stopped because the configuration says so.
    pub const PAUSED: &str = "Paused";
    /// Unknown: the first scan is not complete yet.
    pub const STARTING: &str = "Starting";
}

/// Reasons of `PermissionsOK` (`NodeProbe`).
pub mod permissions_ok {
    /// True: nothing is missing.
    pub const GRANTED: &str = "Granted";
    /// False: the container lacks capabilities that the chosen source or its detail needs.
    pub const CAPABILITIES_MISSING: &str = "CapabilitiesMissing";
    /// False: the kernel or a seccomp profile refuses what the capabilities allow.
    pub const KERNEL_REFUSED: &str = "KernelRefused";
    /// False: the API server refuses requests that the agent's role should allow.
    pub const API_REFUSED: &str = "ApiRefused";
    /// Unknown: nothing was tried yet.
    pub const UNTRIED: &str = "Untried";
}

/// Reasons of `ConnectionsHealthy` (`NodeProbe`).
pub mod connections_healthy {
    /// True: no flow is lossy or failing, and nothing is about to run full.
    pub const HEALTHY: &str = "Healthy";
    /// False: attempts to connect fail; the message names the worst flow.
    pub const FLOW_FAILING: &str = "FlowFailing";
    /// False: a flow has to send a noticeable share of its segments again; the message names the worst one.
    pub const FLOW_LOSSY: &str = "FlowLossy";
    /// False: connections wait to be accepted, nearly as many as the listener lets wait.
    pub const ACCEPT_QUEUE_FULL: &str = "AcceptQueueFull";
    /// False: a process leaves connections open that the other end closed.
    pub const CLOSE_WAIT_LEAK: &str = "CloseWaitLeak";
    /// False: a process has nearly as many files open as it may.
    pub const OPEN_FILES_FULL: &str = "OpenFilesFull";
    /// False: the ephemeral ports for a destination are nearly used up.
    pub const PORTS_USED_UP: &str = "PortsUsedUp";
    /// False: the node tracks nearly as many connections as it may.
    pub const CONNTRACK_FULL: &str = "ConntrackFull";
    /// Unknown: nothing was read yet, or collection is stopped because the configuration says so.
    pub const NOT_READ: &str = "NotRead";
}
