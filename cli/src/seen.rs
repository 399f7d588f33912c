//! What was seen of a cluster, as the small values that answers are made of.
//!
//! In: the API server's and the agents' JSON. Out: values that keep what is needed: 5,000 nodes fit into a few MiB.
//! Unknown fields are skipped, missing ones have a default: other releases of probelet are no error. Pure: data.

pub mod age;
pub mod clean;
pub mod cluster;
pub mod config;
pub mod operator;
pub mod pod;
pub mod probe;

pub use probelet_report as report;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// What is kept of an object's metadata.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// Counts all changes.
    pub resource_version: String,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// When it began to go.
    pub deletion_timestamp: Option<Timestamp>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What made it.
    pub owner_references: Vec<OwnerReference>,
}

/// What made an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// It is the one that answers for the object.
    pub controller: bool,
}

impl Meta {
    /// The one owner that answers for it.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// `namespace/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A node, as far as selectors look at it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Node {
    /// Name and labels.
    pub metadata: Meta,
}

/// The operators' lease.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// Who holds it.
    pub spec: LeaseSpec,
}

/// Who holds a lease.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LeaseSpec {
    /// The pod.
    pub holder_identity: Option<String>,
    /// How long it holds without renewal.
    pub lease_duration_seconds: Option<i64>,
    /// When it was renewed last.
    pub renew_time: Option<Timestamp>,
}

/// The agents' `DaemonSet`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Daemons {
    /// How many there are.
    pub status: DaemonCounts,
}

/// Agents, counted by Kubernetes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DaemonCounts {
    /// Nodes that should have one.
    pub desired_number_scheduled: u64,
    /// Agents that are ready.
    pub number_ready: u64,
}

/// A workload's controller, as far as its pods are to be found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Controller {
    /// Which pods it has.
    pub spec: ControllerSpec,
}

/// Which pods a controller has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ControllerSpec {
    /// By these labels.
    pub selector: ControllerSelector,
}

/// Labels of a controller's pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ControllerSelector {
    /// Each with this value.
    pub match_labels: BTreeMap<String, String>,
}

/// A Service, as far as its pods are to be found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name and namespace.
    pub metadata: Meta,
    /// Which pods it has.
    pub spec: ServiceSpec,
}

impl Service {
    /// Whether it selects the pods of a namespace that have these labels; without a selector it selects none.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let selector = &self.spec.selector;
        self.metadata.namespace == namespace && !selector.is_empty() && selects(selector, labels)
    }
}

/// Whether these labels are all there.
pub(crate) fn selects(
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Which pods a Service has, and by which ports.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Its own number.
    pub port: u16,
    /// The pods' number or name of it.
    pub target_port: serde_json::Value,
}
