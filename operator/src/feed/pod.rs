//! A pod as the feed hands it out: what an agent reads, in the form in which the API server writes it.
//!
//! In: `v1.Pod`. Out: [`Trimmed`]: whose it is and its text. Nothing of the spec but where the pod runs and whether it is on
//! the node's network: no environment, no volumes, and of the annotations the one that says which static pod a mirror is
//! of. What is longer than any proper pod is left out.
//!
//! Pure: no I/O.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use probelet_core::cluster::objects::{MIRROR, UID_MAX};
use probelet_core::cluster::workload::workload;
use serde::{Deserialize, Serialize};

/// A pod with a dozen labels and three containers has 1 kB; a label's value has 63 characters at most.
pub(super) const MAX_TEXT: usize = 32 << 10;
/// A pod has an address of each family; one that shows more shows what no one can check.
const IPS: usize = 4;
/// What a text begins with, so that the version can be put in later.
const HEAD: &str = r#"{"metadata":{"#;
/// The condition whose time is that of the pod's network: it is there before any container runs.
const NETWORK: &str = "PodReadyToStartContainers";
/// The condition that decides whether a Service sends connections there.
const READY: &str = "Ready";

/// A pod, of which only this is read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "k8s_openapi::api::core::v1::Pod")]
pub(super) struct RawPod {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_network: Option<bool>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    #[serde(skip_serializing)]
    start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Vec<Condition>>,
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    host_ip: Option<String>,
    #[serde(rename = "hostIPs", skip_serializing_if = "Option::is_none")]
    host_ips: Option<Vec<Address>>,
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs", skip_serializing_if = "Option::is_none")]
    pod_ips: Option<Vec<Address>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_statuses: Option<Vec<Container>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_container_statuses: Option<Vec<Container>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_container_statuses: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(rename = "lastTransitionTime", skip_serializing)]
    since: Option<Time>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Address {
    ip: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    #[serde(rename = "containerID", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<Spec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, String>>,
    /// Cgroups of a static pod have the uid of its file, and its status lists neither its sandbox nor what has just begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, &'a str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owner_references: Vec<OwnerReference<'a>>,
    /// That it is there is all that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<&'a Time>,
}

#[derive(Serialize)]
struct OwnerReference<'a> {
    kind: &'a str,
    name: &'a str,
    controller: bool,
}

/// A pod that runs on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trimmed {
    /// `namespace/name`.
    pub(super) key: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) node: Box<str>,
    /// After [`HEAD`] and the version: JSON to its end.
    pub(super) text: Arc<[u8]>,
    /// What is said of it to the nodes of its peers.
    pub(super) peer: Peer,
    /// Addresses of its node.
    pub(super) hosts: Vec<IpAddr>,
}

/// A pod as its peers on other nodes get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// Addresses that are the pod's own; none once it has ended, as they may be another's.
    pub(super) ips: Vec<IpAddr>,
    /// Since when, Unix seconds.
    pub(super) since: u64,
    /// Kind and name of what made it.
    pub(super) workload: (Box<str>, Box<str>),
}

impl Peer {
    fn of(metadata: &ObjectMeta, spec: Option<&Spec>, status: Option<&Status>) -> Self {
        let host = spec.is_some_and(|spec| spec.host_network == Some(true));
        let ended = status.and_then(|status| status.phase.as_deref());
        let ended = matches!(ended, Some("Succeeded" | "Failed"));
        let ips = if host || ended { Vec::new() } else { ips(status) };
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let mut network = conditions.filter(|one| one.kind == NETWORK && one.status == "True");
        let network = network.find_map(|one| one.since.as_ref());
        let since = network.or_else(|| status?.start_time.as_ref());
        let since = since.map_or(0, |since| u64::try_from(since.0.as_second()).unwrap_or(0));
        let mut owners = metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true));
        let owner = owner.map(|owner| (&*owner.kind, &*owner.name));
        let label = |key: &str| Some(&**metadata.labels.as_ref()?.get(key)?);
        let name = metadata.name.as_deref().unwrap_or_default();
        let (kind, made) = workload(name, owner, label);
        Self { ips, since, workload: (kind.into(), made.into()) }
    }
}

/// Why nothing can be made of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It runs nowhere yet.
    Unscheduled,
    /// It does not say which pod it is.
    Nameless,
    /// It is longer than any proper one.
    TooLarge,
}

/// Which pod it is, and the version in which it was seen.
pub(super) fn key(pod: &RawPod) -> Option<(Box<str>, u64)> {
    let metadata = &pod.metadata;
    let (namespace, name) = (metadata.namespace.as_ref()?, metadata.name.as_ref()?);
    Some((format!("{namespace}/{name}").into(), version(metadata.resource_version.as_deref())))
}

/// A version as a number, by which two of one server compare; 0 is before all of them.
pub(super) fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What is kept of a pod.
pub(super) fn trim(pod: RawPod) -> Result<Trimmed, Left> {
    let (key, _) = key(&pod).ok_or(Left::Nameless)?;
    let RawPod { metadata, spec, status } = pod;
    let node = spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    if node.is_empty() {
        return Err(Left::Unscheduled);
    }
    let node = Box::from(node);
    let uid = metadata.uid.as_deref().ok_or(Left::Nameless)?;
    let peer = Peer::of(&metadata, spec.as_ref(), status.as_ref());
    let hosts = hosts(status.as_ref());
    let mut status = status;
    if let Some(conditions) = status.as_mut().and_then(|status| status.conditions.as_mut()) {
        conditions.retain(|condition| condition.kind == READY);
    }
    let mirrors = metadata.annotations.as_ref().and_then(|all| all.get(MIRROR));
    let mirrors = mirrors.filter(|uid| uid.len() <= UID_MAX);
    let owners = metadata.owner_references.iter().flatten();
    // The one that made it; there is one at most.
    let owners = owners.filter(|owner| owner.controller == Some(true));
    let shown = Shown {
        metadata: Metadata {
            name: metadata.name.as_deref().unwrap_or_default(),
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            uid,
            labels: metadata.labels.as_ref().filter(|labels| !labels.is_empty()),
            annotations: mirrors.map(|uid| [(MIRROR, uid.as_str())].into()),
            owner_references: owners
                .map(|owner| OwnerReference {
                    kind: &owner.kind,
                    name: &owner.name,
                    controller: true,
                })
                .collect(),
            deletion_timestamp: metadata.deletion_timestamp.as_ref(),
        },
        spec,
        status,
    };
    let text = serde_json::to_string(&shown).map_err(|_| Left::Nameless)?;
    let text = text.strip_prefix(HEAD).ok_or(Left::Nameless)?;
    if text.len() > MAX_TEXT {
        return Err(Left::TooLarge);
    }
    Ok(Trimmed { key, uid: uid.into(), node, text: text.as_bytes().into(), peer, hosts })
}

fn hosts(status: Option<&Status>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let listed = status.host_ips.iter().flatten().map(|at| &at.ip).chain(&status.host_ip);
    let mut hosts: Vec<IpAddr> = listed.filter_map(|ip| ip.parse().ok()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.truncate(IPS);
    hosts
}

fn ips(status: Option<&Status>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let listed: Vec<IpAddr> = match &status.pod_ips {
        Some(all) if !all.is_empty() => all.iter().filter_map(|at| at.ip.parse().ok()).collect(),
        _ => status.pod_ip.iter().filter_map(|ip| ip.parse().ok()).collect(),
    };
    listed.into_iter().take(IPS).collect()
}

/// Appends the object in this version.
pub(super) fn write(into: &mut Vec<u8>, version: u64, text: &[u8]) {
    into.extend_from_slice(HEAD.as_bytes());
    into.extend_from_slice(format!(r#""resourceVersion":"{version}","#).as_bytes());
    into.extend_from_slice(text);
}

/// What is left to say of a pod that is gone: which it was.
pub(super) fn tombstone(key: &str, uid: &str) -> Arc<[u8]> {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    // Names of the API server's own, which hold nothing that JSON would have to escape.
    let text = format!(r#""name":"{name}","namespace":"{namespace}","uid":"{uid}"}}}}"#);
    text.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(pod: &Value) -> Result<Trimmed, Left> {
        trim(serde_json::from_value(pod.clone()).unwrap())
    }

    fn shown(trimmed: &Trimmed) -> Value {
        let mut text = Vec::new();
        write(&mut text, 7, &trimmed.text);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn an_agent_gets_what_it_reads_and_nothing_of_the_spec_besides() {
        let pod = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "6",
                "labels": {"app": "web"}, "annotations": {"secret": "s"},
                "managedFields": [{"manager": "m", "fieldsV1": {}}],
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true},
                    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"}]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "env": [{"name": "P", "value": "secret"}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}],
                "hostIP": "192.168.0.1", "qosClass": "Burstable", "startTime": "2026-01-01T00:00:05Z",
                "conditions": [{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z"},
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    {"type": "Initialized", "status": "True"}],
                "containerStatuses": [{"name": "c", "containerID": "containerd://ab", "image": "i", "ready": true}]},
        });

        let trimmed = read(&pod).unwrap();

        assert_eq!((&*trimmed.key, &*trimmed.uid, &*trimmed.node), ("shop/web-1", "u-1", "node-1"));
        let ips = ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd::1".parse().unwrap()];
        assert_eq!((&*trimmed.peer.ips, trimmed.peer.since), (&ips[..], 1_767_225_607));
        assert_eq!(trimmed.peer.workload, ("ReplicaSet".into(), "web".into()));
        assert_eq!(trimmed.hosts, [IpAddr::from([192, 168, 0, 1])]);
        assert_eq!(
            shown(&trimmed),
            json!({
                "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "7",
                    "labels": {"app": "web"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": true}]},
                "spec": {"nodeName": "node-1"},
                "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}],
                    "hostIP": "192.168.0.1", "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{"name": "c", "containerID": "containerd://ab"}]},
            })
        );
    }

    #[test]
    fn a_pod_that_runs_nowhere_is_no_nodes_and_one_that_is_huge_is_left_out() {
        let metadata = json!({"name": "a", "namespace": "n", "uid": "u"});
        let labels: BTreeMap<String, String> =
            (0..1000).map(|n| (format!("{n:0>40}"), "v".repeat(60))).collect();
        let huge = json!({"name": "a", "namespace": "n", "uid": "u", "labels": labels});

        assert_eq!(read(&json!({"metadata": metadata})), Err(Left::Unscheduled));
        assert_eq!(
            read(&json!({"metadata": metadata, "spec": {"nodeName": ""}})),
            Err(Left::Unscheduled)
        );
        assert_eq!(
            read(&json!({"metadata": huge, "spec": {"nodeName": "m"}})),
            Err(Left::TooLarge)
        );
        assert_eq!(
            read(&json!({"metadata": {"name": "a"}, "spec": {"nodeName": "m"}})),
            Err(Left::Nameless)
        );
    }

    #[test]
    fn a_pod_on_the_nodes_network_or_one_that_has_ended_has_no_address_of_its_own() {
        let pod = |host: bool, phase: &str| {
            json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"},
                "spec": {"nodeName": "m", "hostNetwork": host}, "status": {"podIP": "192.168.0.1", "phase": phase}})
        };

        assert_eq!(read(&pod(false, "Running")).unwrap().peer.ips.len(), 1);
        assert_eq!(read(&pod(true, "Running")).unwrap().peer.ips.len(), 0);
        assert_eq!(read(&pod(false, "Succeeded")).unwrap().peer.ips.len(), 0);
    }

    #[test]
    fn the_mirror_of_a_static_pod_says_what_it_mirrors_and_nothing_else_of_its_annotations() {
        let pod = |annotations: Value| {
            let metadata = json!({"name": "etcd-m", "namespace": "kube-system", "uid": "u",
                "annotations": annotations});
            shown(&read(&json!({"metadata": metadata, "spec": {"nodeName": "m"}})).unwrap())
        };
        let mirror =
            json!({MIRROR: "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1", "kubernetes.io/config.hash": "x"});

        let annotated = pod(mirror);

        let kept = json!({MIRROR: "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1"});
        assert_eq!(annotated["metadata"]["annotations"], kept);
        for none in [json!(null), json!({}), json!({"kubernetes.io/config.hash": "x"})] {
            assert_eq!(pod(none)["metadata"].get("annotations"), None);
        }
        let long = "x".repeat(UID_MAX + 1);
        assert_eq!(pod(json!({MIRROR: long}))["metadata"].get("annotations"), None);
    }

    #[test]
    fn of_a_pod_that_is_gone_its_name_and_uid_are_left() {
        let mut text = Vec::new();
        write(&mut text, 9, &tombstone("n/a", "u-1"));

        let gone: Value = serde_json::from_slice(&text).unwrap();

        assert_eq!(
            gone["metadata"],
            json!({"resourceVersion": "9", "name": "a", "namespace": "n", "uid": "u-1"})
        );
    }
}
