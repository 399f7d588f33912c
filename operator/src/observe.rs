//! Observe: what the API server says, as the few values that the operator works with.
//!
//! In: nodes (metadata only), `NodeProbe` and `ProbeConfig` objects as loose JSON, so that one odd or future object can
//! never stop a watch. Out: [`SeenNode`], [`SeenProbe`], [`SeenConfig`]; the objects are dropped at once. It must not
//! judge a configuration: that is `validate`'s work. Pure: values only.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use probelet_core::selector::Selector;
use probelet_crds::{
    CpuQuantity, NodeConfig, Origin, ProbeConfigStatus, ROLLOUT_ANNOTATION, ROLLOUT_PAUSED,
    condition,
};
use serde::Deserialize;
use serde_json::Value;

use crate::world::Labels;

/// The label of a `NodeProbe` that names the configuration in force.
pub const CONFIG_LABEL: &str = "probelet.io/config";
/// A reason longer than this is cut: it is somebody else's text and ends up in a status.
const MAX_REASON: usize = 64;
/// More nodes than this has no cluster; a larger figure was not written by us.
const MAX_CLUSTER_SIZE: i64 = 1 << 20;

/// A `NodeProbe` as loosely as it can be read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "probelet_crds::NodeProbe")]
pub struct RawProbe {
    /// Name, uid, owners.
    pub metadata: ObjectMeta,
    /// What we wrote, unless somebody edited it.
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

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// Its name.
    pub name: String,
    /// Its uid: a node made anew under the same name is another one.
    pub uid: String,
    /// What selectors look at.
    pub labels: Labels,
}

/// Whose a `NodeProbe` says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// No node is named.
    Nobody,
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
    pub owner: Owner,
    /// The configuration that won.
    pub origin: Option<Origin>,
    /// What the agent is told; `None` if it cannot be read.
    pub config: Option<NodeConfig>,
    /// Whether label, hash and cluster size are as we would write them for this origin and content.
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

impl SeenNode {
    /// Takes what is needed of a node; `None` for one without a name or uid, which no API server sends.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let labels = metadata.labels.iter().flatten().map(|(key, value)| (&**key, &**value));
        Some(Self {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            labels: Labels::new(labels),
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
        let origin: Option<Origin> = serde_json::from_value(spec["origin"].take()).ok().flatten();
        let config = match spec.get_mut("config") {
            Some(config @ Value::Object(_)) => serde_json::from_value(config.take()).ok(),
            _ => None,
        };
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(CONFIG_LABEL));
        let wanted = origin.as_ref().and_then(|origin| label_value(&origin.name));
        let size = spec["clusterSize"].as_i64().unwrap_or(0);
        let hash_fits = config
            .as_ref()
            .is_some_and(|config: &NodeConfig| spec["hash"].as_str() == Some(&config.hash()));
        let size_fits = (1..=MAX_CLUSTER_SIZE).contains(&size) && size.count_ones() == 1;
        Some(Self {
            owner: owner(metadata.owner_references.as_deref().unwrap_or_default(), &name),
            uid: metadata.uid?,
            generation: metadata.generation.unwrap_or(0),
            sound: hash_fits && size_fits && label.map(String::as_str) == wanted,
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
        Self {
            anything: true,
            generation: status["observedGeneration"].as_i64().unwrap_or(0),
            hash: status["appliedConfigHash"].as_str().unwrap_or("").into(),
            applied: holds(condition::CONFIG_APPLIED),
            reason: cut(reason, MAX_REASON).into(),
            within: holds(condition::WITHIN_BUDGET),
            ready: holds(condition::READY),
            cpu: cpu.map(CpuQuantity::nanocores),
        }
    }
}

fn owner(references: &[OwnerReference], name: &str) -> Owner {
    let ours = |reference: &&OwnerReference| {
        reference.api_version == "v1" && reference.kind == "Node" && reference.name == name
    };
    references.iter().find(ours).map_or(Owner::Nobody, |r| Owner::Node(r.uid.as_str().into()))
}

/// The name as a label's value, if it may be one.
#[must_use]
pub fn label_value(name: &str) -> Option<&str> {
    Selector::from_labels([(CONFIG_LABEL, name)]).is_ok().then_some(name)
}

/// The beginning of `text`, at most `most` bytes of it.
#[must_use]
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn probe(spec: &Value, status: &Value) -> SeenProbe {
        let object = json!({
            "apiVersion": "probelet.io/v1alpha1", "kind": "NodeProbe",
            "metadata": {"name": "n1", "uid": "p1", "generation": 3,
                "labels": {"probelet.io/config": "default"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1"}]},
            "spec": spec, "status": status,
        });
        SeenProbe::of(serde_json::from_value(object).unwrap()).unwrap()
    }

    fn spec() -> Value {
        let config = NodeConfig::default();
        json!({"origin": {"name": "default", "uid": "c1", "generation": 2},
            "hash": config.hash(), "clusterSize": 8, "config": config})
    }

    #[test]
    fn what_we_write_is_read_back_as_sound() {
        let seen = probe(&spec(), &Value::Null);

        assert!(seen.sound);
        assert_eq!(seen.config, Some(NodeConfig::default()));
        assert_eq!(seen.owner, Owner::Node("u1".into()));
        assert_eq!(seen.said, Said::default());
    }

    #[test]
    fn an_edit_by_hand_is_noticed_wherever_it_is() {
        for (path, value) in [
            ("/hash", json!("0123456789abcdef")),
            ("/config/paused", json!(true)),
            ("/config/budget/cpu", json!("50m")),
            ("/config/budget/cpu", json!(["no"])),
            ("/origin/name", json!("other")),
            ("/clusterSize", json!(7)),
            ("/clusterSize", json!(1i64 << 40)),
        ] {
            let mut spec = spec();
            *spec.pointer_mut(path).unwrap() = value;

            assert!(!probe(&spec, &Value::Null).sound, "{path}");
        }
    }

    #[test]
    fn a_status_of_any_shape_is_read_without_an_error() {
        for status in [json!([1]), json!({"conditions": 7, "agent": {"cpu": {}}}), json!("text")] {
            let said = probe(&spec(), &status).said;

            assert_eq!((said.applied, said.cpu), (None, None));
        }
    }

    #[test]
    fn the_reason_is_that_of_the_condition_that_fails() {
        let status = json!({"observedGeneration": 3, "appliedConfigHash": "ab", "agent": {"cpu": "2m"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Reporting"},
                {"type": "ConfigApplied", "status": "True", "reason": "Applied"},
                {"type": "WithinBudget", "status": "False", "reason": "Exceeded"}]});

        let said = probe(&spec(), &status).said;

        assert_eq!((said.applied, said.within, said.ready), (Some(true), Some(false), Some(true)));
        assert_eq!((&*said.reason, said.cpu), ("Exceeded", Some(2_000_000)));
    }
}
