//! What came of judging a configuration: the value between validating it and putting it in force.
//!
//! In: nothing; [`validate`](crate::stages::validate) makes it. Out: plain data. It must not judge. Pure: values only.

use std::collections::BTreeSet;

use probelet_core::selector::Selector;
use probelet_crds::{NodeConfig, Rollout};

use crate::seen::SeenConfig;

/// A configuration, and whether it may be put in force.
#[derive(Debug, Clone)]
pub struct Judged {
    /// As it was seen.
    pub seen: SeenConfig,
    /// What came of its spec.
    pub verdict: Result<Valid, Rejected>,
}

/// A configuration that may be put in force.
#[derive(Debug, Clone)]
pub struct Valid {
    /// Which one wins.
    pub priority: i32,
    /// Which nodes it is for.
    pub selector: Selector,
    /// Their names, if it names any; a node must be among them and fit the selector.
    pub names: BTreeSet<Box<str>>,
    /// What agents are assigned.
    pub config: NodeConfig,
    /// How it reaches them.
    pub rollout: Rollout,
}

/// Why a configuration is not put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// A reason of the condition `Accepted`.
    pub reason: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
    /// Its priority, if at least that can be read: what is in force by it keeps its rank.
    pub priority: i32,
}
