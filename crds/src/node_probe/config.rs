//! What of a `ProbeConfig` concerns an agent: all but the choice of nodes and the way to them.
//!
//! In: the winner's spec. Out: the same without priority, node selector and rollout, so that an edit of these changes no
//! `NodeProbe`. Pure: values only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Budget, Intervals, Limits, Match, Metrics, ProbeConfigSpec, Reporting, ShortLived, Source,
};

/// The configuration of one agent; the fields are those of `ProbeConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// Stops all collection.
    pub paused: bool,
    /// How the kernel is read.
    pub source: Source,
    /// How often each kind of data is read while the budget allows.
    pub intervals: Intervals,
    /// How far each wait may deviate from its interval, in percent.
    pub jitter_percent: i32,
    /// How much CPU time the agent may use.
    pub budget: Budget,
    /// Upper bounds on tables and on each kind of work.
    pub limits: Limits,
    /// How connections that open and close between two passes are counted.
    pub short_lived: ShortLived,
    /// How connections are given the names of pods and Services.
    #[serde(rename = "match")]
    pub matching: Match,
    /// What Prometheus is shown.
    pub metrics: Metrics,
    /// What is written into the status.
    pub reporting: Reporting,
}

impl Default for NodeConfig {
    fn default() -> Self {
        ProbeConfigSpec::default().into()
    }
}

/// The fields that both have, for the way there and back: one that is missing here does not compile.
macro_rules! shared {
    ($($field:ident),+) => {
        impl From<ProbeConfigSpec> for NodeConfig {
            fn from(spec: ProbeConfigSpec) -> Self {
                let ProbeConfigSpec {
                    priority: _, node_selector: _, node_names: _, rollout: _, $($field),+
                } = spec;
                Self { $($field),+ }
            }
        }

        /// For all nodes, with the default priority and rollout.
        impl From<NodeConfig> for ProbeConfigSpec {
            fn from(config: NodeConfig) -> Self {
                let NodeConfig { $($field),+ } = config;
                Self { $($field,)+ ..Self::default() }
            }
        }
    };
}

shared!(
    paused,
    source,
    intervals,
    jitter_percent,
    budget,
    limits,
    short_lived,
    matching,
    metrics,
    reporting
);

impl NodeConfig {
    /// A short name for the content: that of [`ProbeConfigSpec::hash`] for the spec that says the same and leaves the
    /// rest at its defaults.
    #[must_use]
    pub fn hash(&self) -> String {
        ProbeConfigSpec::from(self.clone()).hash()
    }
}
