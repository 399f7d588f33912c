//! Observe: what the API server says, as the few values that the operator works with.
//!
//! In: nodes (labels, taints, whether they are ready), `NodeProbe` and `ProbeConfig` objects as loose JSON, so that one odd or future object can
//! never stop a watch. Out: [`SeenNode`], [`SeenProbe`], [`SeenConfig`]; the objects are dropped at once. It must not
//! judge a configuration: that is `validate`'s work. Pure: values only.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use probelet_core::selector::Selector;
use probelet_core::text::clean;
use probelet_crds::{
    CpuQuantity, NodeConfig, Origin, ROLLOUT_ANNOTATION, ROLLOUT_PAUSED,
    condition::{self, node_ready},
};
use serde::Deserialize;
use serde_json::Value;

use crate::labels::Labels;
use crate::placement::Taint;
use crate::seen::{ProbeOwner, Said, SeenConfig, SeenNode, SeenProbe};

/// The label of a `NodeProbe` that names the configuration in force.
pub(crate) const CONFIG_LABEL: &str = "probelet.io/config";
/// A reason longer than this is cut: it is someone else's text and ends up in a status.
const MAX_REASON: usize = 64;
/// More nodes than this has no cluster; a larger figure was not written by us.
const MAX_CLUSTER_SIZE: i64 = 1 << 20;

/// A `NodeProbe` as loosely as it can be read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "probelet_crds::NodeProbe")]
pub struct RawProbe {
    /// Name, uid, owners.
    pub metadata: ObjectMeta,
    /// What we wrote, unless someone edited it.
    #[serde(default)]
    pub spec: Value,
    /// What the agent wrote.
    #[serde(default)]
    pub status: Value,
}

/// A `ProbeConfig` as loosely as it can be read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "probelet_crds::ProbeConfig")]
pub struct RawConfig {
    /// Name, uid, generation, age.
    pub metadata: ObjectMeta,
    /// What people wrote.
    #[serde(default)]
    pub spec: Value,
    /// What we wrote.
    #[serde(default)]
    pub status: Value,
}

/// A node: of all that the API server sends, what decides.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "Node")]
pub struct RawNode {
    /// Name, uid, labels.
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: RawNodeSpec,
    #[serde(default)]
    status: RawNodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RawNodeSpec {
    #[serde(default)]
    taints: Option<Vec<Taint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RawNodeStatus {
    #[serde(default)]
    conditions: Option<Vec<RawCondition>>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// The agents' `DaemonSet`, as loosely as it can be read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "DaemonSet")]
pub struct RawDaemonSet {
    /// Its name.
    pub metadata: ObjectMeta,
    /// Its template.
    #[serde(default)]
    pub spec: Value,
}

impl SeenNode {
    /// Takes what is needed of a node; `None` for one without a name or uid, which no API server sends.
    #[must_use]
    pub fn of(raw: RawNode) -> Option<Self> {
        let RawNode { metadata, spec, status } = raw;
        let labels = metadata.labels.iter().flatten().map(|(key, value)| (&**key, &**value));
        let down =
            |condition: &RawCondition| condition.kind == "Ready" && condition.status != "True";
        Some(Self {
            labels: Labels::new(labels),
            taints: spec.taints.unwrap_or_default().into(),
            down: status.conditions.unwrap_or_default().iter().any(down),
            name: metadata.name?,
            uid: metadata.uid?,
        })
    }
}

impl SeenConfig {
    /// Takes what is needed of a configuration.
    #[must_use]
    pub fn of(raw: RawConfig) -> Option<Self> {
        let RawConfig { metadata, spec, status } = raw;
        let annotations = metadata.annotations.unwrap_or_default();
        Some(Self {
            rollout_paused: annotations
                .get(ROLLOUT_ANNOTATION)
                .is_some_and(|w| w == ROLLOUT_PAUSED),
            name: metadata.name?,
            uid: metadata.uid?,
            generation: metadata.generation.unwrap_or(0),
            created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
            spec,
            status: serde_json::from_value(status).unwrap_or_default(),
        })
    }
}

impl SeenProbe {
    /// Takes what is needed of a `NodeProbe`.
    #[must_use]
    pub fn of(raw: RawProbe) -> Option<Self> {
        let RawProbe { metadata, mut spec, status } = raw;
        let name = metadata.name?;
        let origin: Option<Origin> = spec
            .get_mut("origin")
            .and_then(|origin| serde_json::from_value(origin.take()).ok().flatten());
        let config = NodeConfig::read(&spec["config"]).map(|(config, _)| config);
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(CONFIG_LABEL));
        let wanted = origin.as_ref().and_then(|origin| label_value(&origin.name));
        let size = spec["clusterSize"].as_i64().unwrap_or(0);
        let size_fits = (1..=MAX_CLUSTER_SIZE).contains(&size) && size.count_ones() == 1;
        Some(Self {
            owner: owner(metadata.owner_references.as_deref().unwrap_or_default(), &name),
            uid: metadata.uid?,
            generation: metadata.generation.unwrap_or(0),
            hash: cut(spec["hash"].as_str().unwrap_or(""), MAX_REASON).into(),
            sound: size_fits && label.map(String::as_str) == wanted,
            origin,
            config,
            said: Said::of(&status),
            name,
        })
    }
}

impl Said {
    fn of(status: &Value) -> Self {
        if !status.is_object() {
            return Self::default();
        }
        let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let find = |kind: &str| conditions.iter().find(|c| c["type"] == kind);
        let holds = |kind: &str| condition::holds(find(kind)?["status"].as_str()?);
        let kinds = [condition::CONFIG_APPLIED, condition::WITHIN_BUDGET, condition::READY];
        let failing = kinds.into_iter().find(|kind| holds(kind) == Some(false)).and_then(find);
        let reason = failing.and_then(|condition| condition["reason"].as_str()).unwrap_or("");
        let cpu = status["agent"]["cpu"].as_str().and_then(|text| text.parse().ok());
        let why = find(condition::READY).and_then(|ready| ready["reason"].as_str());
        // Agents of 0.1.0 do not say when they report; their report's digest shows as much.
        let beat = status["lastReport"].as_str().or(status["report"]["digest"].as_str());
        // One that ends in good order is replaced or taken away: that is no effect of a configuration.
        let ending = matches!(why, Some(node_ready::STOPPING | node_ready::AGENT_SILENT));
        Self {
            anything: true,
            generation: status["observedGeneration"].as_i64().unwrap_or(0),
            hash: status["appliedConfigHash"].as_str().unwrap_or("").into(),
            applied: holds(condition::CONFIG_APPLIED),
            reason: clean(cut(reason, MAX_REASON)).into(),
            within: holds(condition::WITHIN_BUDGET),
            ready: holds(condition::READY).filter(|_| !ending),
            cpu: cpu.map(CpuQuantity::nanocores),
            beat: cut(beat.unwrap_or(""), MAX_REASON).into(),
            marked: why == Some(node_ready::AGENT_SILENT),
        }
    }
}

fn owner(references: &[OwnerReference], name: &str) -> ProbeOwner {
    let ours = |reference: &&OwnerReference| {
        reference.api_version == "v1" && reference.kind == "Node" && reference.name == name
    };
    references
        .iter()
        .find(ours)
        .map_or(ProbeOwner::NoOne, |r| ProbeOwner::Node(r.uid.as_str().into()))
}

/// The name as a label's value, if it may be one.
#[must_use]
pub(crate) fn label_value(name: &str) -> Option<&str> {
    Selector::from_labels([(CONFIG_LABEL, name)]).is_ok().then_some(name)
}

/// The beginning of `text`, at most `most` bytes of it.
#[must_use]
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests;
