//! What was seen of the API server's objects: the few values of each that the operator works with.
//!
//! In: nothing; [`observe`](crate::stages::observe) makes them. Out: plain data. It must not know an object's form. Pure: values only.

use probelet_crds::{NodeConfig, Origin, ProbeConfigStatus};
use serde_json::Value;

use crate::labels::Labels;
use crate::placement::Taint;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// Its name.
    pub name: String,
    /// Its uid: a node made again under the same name is another one.
    pub uid: String,
    /// What selectors look at.
    pub labels: Labels,
    /// What keeps pods away.
    pub taints: Box<[Taint]>,
    /// Whether the node itself is down: what its agent does not say then proves nothing.
    pub down: bool,
}

/// Whose a `NodeProbe` says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOwner {
    /// No node is named.
    NoOne,
    /// The node with this uid.
    Node(Box<str>),
}

/// A `NodeProbe`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenProbe {
    /// The node's name.
    pub name: String,
    /// Its own uid.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// Whose it is.
    pub owner: ProbeOwner,
    /// The configuration that won.
    pub origin: Option<Origin>,
    /// What the agent is assigned, as far as it is known here; `None` if it cannot be read.
    pub config: Option<NodeConfig>,
    /// The word by which its writer calls the content, and the agent acknowledges it.
    pub hash: Box<str>,
    /// Whether label and cluster size are as we would write them for this origin.
    pub sound: bool,
    /// What the agent says.
    pub said: Said,
}

/// What an agent says, as far as the operator needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it has said anything at all.
    pub anything: bool,
    /// The generation of the spec that it has judged.
    pub generation: i64,
    /// The hash of the configuration that it works by.
    pub hash: Box<str>,
    /// `ConfigApplied`, if it is known.
    pub applied: Option<bool>,
    /// Why `ConfigApplied`, `WithinBudget` or `Ready` is false, in this order.
    pub reason: Box<str>,
    /// `WithinBudget`, if it is known.
    pub within: Option<bool>,
    /// `Ready`, if it is known.
    pub ready: Option<bool>,
    /// The CPU that it uses, nanocores.
    pub cpu: Option<u64>,
    /// Changes with every report, whatever else stays the same.
    pub beat: Box<str>,
    /// Whether we wrote that it is silent, and it has not spoken since.
    pub marked: bool,
}

/// A `ProbeConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenConfig {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// When it was made, Unix seconds by the API server's clock.
    pub created: i64,
    /// Whether a person holds its rollout.
    pub rollout_paused: bool,
    /// As people wrote it.
    pub spec: Value,
    /// What we wrote about it; the default if it cannot be read.
    pub status: ProbeConfigStatus,
}
