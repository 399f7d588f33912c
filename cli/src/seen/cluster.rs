//! A cluster before probelet is in it: its machines, what decides who may run there, what else is installed.
//!
//! In: the API server's JSON. Out: values that keep what `preflight` looks at, and for each part that was refused the
//! reason. It must not judge. Pure: data.

use std::collections::BTreeMap;

use probelet_core::selector::{Expression, Selector};
use serde::Deserialize;

use super::Meta;

/// What was read, or why it could not be.
pub type Known<T> = Result<T, String>;

/// All that was read.
#[derive(Debug)]
pub struct Cluster {
    /// The API server's address.
    pub server: String,
    /// Where probelet is to be installed.
    pub namespace: String,
    /// Of the API server.
    pub version: Version,
    /// Every node.
    pub machines: Known<Vec<Machine>>,
    /// Groups of the API: what is installed by its kinds.
    pub groups: Known<Vec<Group>>,
    /// Kinds of prometheus-operator that are served; none where it is not there.
    pub monitors: Known<Vec<String>>,
    /// The namespace, if it is there.
    pub space: Known<Option<Space>>,
    /// Its quotas.
    pub quotas: Known<Vec<Quota>>,
    /// Its limits.
    pub ranges: Known<Vec<Range>>,
    /// Webhooks that may refuse.
    pub validating: Known<Vec<Webhooks>>,
    /// Webhooks that may change.
    pub mutating: Known<Vec<Webhooks>>,
    /// Policies that the API server judges by itself.
    pub policies: Known<Vec<Policy>>,
    /// All `DaemonSets`: the network's among them, and those that take ports of nodes.
    pub daemons: Known<Vec<Daemon>>,
    /// The operators' lease for the whole cluster: probelet is here already.
    pub operated: Known<bool>,
}

/// Of the API server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Version {
    /// As in `1`.
    pub major: String,
    /// As in `36` or `27+`.
    pub minor: String,
}

/// A node, as its kubelet describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Name and labels.
    pub metadata: Meta,
    /// Who made it.
    pub spec: MachineSpec,
    /// What it is.
    pub status: MachineStatus,
}

/// Who made a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MachineSpec {
    /// As in `aws:///eu-west-1a/i-0abc`.
    #[serde(rename = "providerID")]
    pub provider_id: String,
}

/// What a node is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MachineStatus {
    /// Its system.
    pub node_info: NodeInfo,
}

/// The system of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// `linux` or `windows`.
    pub operating_system: String,
    /// As in `amd64`.
    pub architecture: String,
    /// As in `Ubuntu 24.04.1 LTS`.
    pub os_image: String,
    /// As in `6.8.0-45-generic`.
    pub kernel_version: String,
    /// As in `containerd://2.0.0`.
    pub container_runtime_version: String,
    /// As in `v1.33.1-eks-…`.
    pub kubelet_version: String,
}

/// A group of the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Group {
    /// As in `cilium.io`.
    pub name: String,
}

/// The answer of `/apis`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Groups {
    /// All of them.
    pub groups: Vec<Group>,
}

/// The answer of `/apis/GROUP/VERSION`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kinds {
    /// All of them, those of subresources too.
    pub resources: Vec<Kind>,
}

/// A kind of the API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// As in `ServiceMonitor`.
    pub kind: String,
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Space {
    /// Its labels.
    pub metadata: Meta,
}

/// A `DaemonSet`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Daemon {
    /// Its name and labels.
    pub metadata: Meta,
    /// Its pods.
    pub spec: DaemonSpec,
}

/// The pods of a `DaemonSet`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DaemonSpec {
    /// What each is made from.
    pub template: Template,
}

/// What pods are made from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// Their spec.
    pub spec: TemplateSpec,
}

/// What a pod of it takes of its node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateSpec {
    /// It is on the node's network.
    pub host_network: bool,
    /// Its containers.
    pub containers: Vec<Listening>,
}

/// What a container listens on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Listening {
    /// As far as it says.
    pub ports: Vec<Port>,
}

/// A port.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Port {
    /// In the pod.
    pub container_port: u16,
    /// On the node; 0 if it is not.
    pub host_port: u16,
    /// `UDP` and others are not ours; TCP if empty.
    pub protocol: String,
}

impl Daemon {
    /// The TCP ports that it takes on each node.
    pub fn taken(&self) -> impl Iterator<Item = u16> + '_ {
        let spec = &self.spec.template.spec;
        let ports = spec.containers.iter().flat_map(|container| &container.ports);
        let tcp = ports.filter(|port| matches!(port.protocol.as_str(), "" | "TCP"));
        tcp.filter_map(|port| match port.host_port {
            0 => spec.host_network.then_some(port.container_port),
            port => Some(port),
        })
    }
}

/// A `ResourceQuota`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Its name.
    pub metadata: Meta,
    /// What it counts.
    pub spec: QuotaSpec,
    /// What is used.
    pub status: QuotaStatus,
}

/// What a quota counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QuotaSpec {
    /// Pods of which kind; all if empty.
    pub scopes: Vec<String>,
    /// The same, with values.
    pub scope_selector: Option<serde_json::Value>,
    /// The most of each.
    pub hard: BTreeMap<String, String>,
}

/// What is used of a quota.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct QuotaStatus {
    /// Of each.
    pub used: BTreeMap<String, String>,
}

/// A `LimitRange`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Range {
    /// Its name.
    pub metadata: Meta,
    /// Its limits.
    pub spec: RangeSpec,
}

/// Limits by kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RangeSpec {
    /// Each for a kind of object.
    pub limits: Vec<Limit>,
}

/// Limits of a kind of object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Limit {
    /// `Container` or `Pod`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a container without limits gets.
    pub default: BTreeMap<String, String>,
    /// The most.
    pub max: BTreeMap<String, String>,
    /// The least.
    pub min: BTreeMap<String, String>,
    /// How many times its request a limit may be.
    #[serde(rename = "maxLimitRequestRatio")]
    pub max_limit_request_ratio: BTreeMap<String, String>,
}

/// A configuration of webhooks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Webhooks {
    /// Its name.
    pub metadata: Meta,
    /// Each of them.
    pub webhooks: Vec<Webhook>,
}

/// A webhook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Webhook {
    /// `Fail` refuses where it does not answer.
    pub failure_policy: String,
    /// What it is asked about.
    pub rules: Vec<Rule>,
    /// In which namespaces.
    pub namespace_selector: Labelled,
}

/// What an admission rule is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    /// `*` is all.
    pub api_groups: Vec<String>,
    /// `*` is all.
    pub resources: Vec<String>,
    /// `*` is all.
    pub operations: Vec<String>,
}

/// A `ValidatingAdmissionPolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Its name.
    pub metadata: Meta,
    /// What it is about.
    pub spec: PolicySpec,
}

/// What a policy is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicySpec {
    /// Its rules.
    pub match_constraints: Constraints,
}

/// Which requests a policy is asked about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Constraints {
    /// Each for some kinds.
    pub resource_rules: Vec<Rule>,
    /// In which namespaces.
    pub namespace_selector: Labelled,
}

/// A selector of namespaces.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Labelled {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Labelled {
    /// Whether a namespace with these labels is meant; one that cannot be read means all.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let expressions = self.match_expressions.iter().map(|one| Expression {
            key: &one.key,
            operator: &one.operator,
            values: &one.values,
        });
        Selector::from_requirements(&self.match_labels, expressions)
            .map_or(true, |selector| selector.matches(labels))
    }
}

impl Rule {
    /// Whether it is about new pods, or about the `DaemonSets` and `Deployments` that make them.
    #[must_use]
    pub(crate) fn is_about_pods(&self) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
        let of = |group: &str, resources: &[&str]| {
            let all = self.resources.iter().any(|one| one == "*/*");
            has(&self.api_groups, group)
                && (all || resources.iter().any(|one| has(&self.resources, one)))
        };
        has(&self.operations, "CREATE")
            && (of("", &["pods"]) || of("apps", &["daemonsets", "deployments"]))
    }
}

impl Version {
    /// Major and minor, as numbers.
    #[must_use]
    pub fn numbers(&self) -> Option<(u32, u32)> {
        Some((self.major.parse().ok()?, self.minor.trim_end_matches('+').parse().ok()?))
    }
}
