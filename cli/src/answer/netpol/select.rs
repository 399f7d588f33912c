//! How ends of flows are selected in a policy.
//!
//! In: pods with their labels and owners, Services with their selectors. Out: a peer for an end, or why there is none.
//! Labels that change with every release select nothing after the next one and are left out. Pure: values only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::map::NAMELESS;
use crate::seen::Service;
use crate::seen::pod::Pod;

/// Labels that controllers put on pods, which are other ones after a release or for each pod.
const VOLATILE: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

type Labels = BTreeMap<String, String>;

/// What ends can be selected by.
#[derive(Debug, Default)]
pub struct Ends {
    /// Labels that all pods of a workload have.
    workloads: BTreeMap<String, Labels>,
    /// Labels of pods, `namespace/Pod/name`.
    pods: BTreeMap<String, Labels>,
    /// Selectors of Services, `namespace/Service/name`.
    services: BTreeMap<String, Labels>,
    /// Namespace and labels of pods by their addresses.
    by_ip: BTreeMap<String, (String, Labels)>,
}

impl Ends {
    /// From these pods and Services.
    #[must_use]
    pub fn of(pods: &[Pod], services: &[Service]) -> Self {
        let mut ends = Self::default();
        for pod in pods {
            let (meta, labels) = (&pod.metadata, lasting(&pod.metadata.labels));
            ends.pods.insert(format!("{}/Pod/{}", meta.namespace, meta.name), labels.clone());
            for ip in pod.status.pod_ips.iter().filter(|_| !pod.spec.host_network) {
                ends.by_ip.insert(ip.ip.clone(), (meta.namespace.clone(), labels.clone()));
            }
            let common = ends.workloads.entry(workload_of(pod)).or_insert_with(|| labels.clone());
            common.retain(|key, value| labels.get(key) == Some(value));
        }
        for service in services {
            let meta = &service.metadata;
            let id = format!("{}/Service/{}", meta.namespace, meta.name);
            ends.services.insert(id, service.spec.selector.clone());
        }
        ends
    }

    /// The labels that all pods of a workload have.
    #[must_use]
    pub fn labels(&self, workload: &str) -> Option<Labels> {
        self.workloads.get(workload).cloned()
    }

    /// The peer that stands for an end, or why none can.
    pub fn peer(&self, end: &str) -> Result<Value, String> {
        if let Some(address) = end.strip_prefix("external ") {
            return Ok(match self.by_ip.get(address) {
                Some((namespace, labels)) if !labels.is_empty() => peer(namespace, labels),
                _ => {
                    let bits = if address.contains(':') { 128 } else { 32 };
                    json!({"ipBlock": {"cidr": format!("{address}/{bits}")}})
                }
            });
        }
        if end == NAMELESS {
            return Err("the other end has no name: a probe of the kubelet, which needs no rule, or a connection that closed before it was attributed".to_owned());
        }
        if end.starts_with("Node/") {
            return Err(
                "policies cannot select nodes; most networks let a node reach its own pods"
                    .to_owned(),
            );
        }
        let found = [&self.workloads, &self.services, &self.pods];
        let labels = found.iter().find_map(|map| map.get(end));
        let namespace = end.split('/').next().unwrap_or_default();
        match labels {
            Some(labels) if !labels.is_empty() => Ok(peer(namespace, labels)),
            Some(_) => Err(
                "it has no labels to select it by (for a Service without selector add an ipBlock)"
                    .to_owned(),
            ),
            None => Err("it has no name, or its pods are not to be seen".to_owned()),
        }
    }
}

fn peer(namespace: &str, labels: &Labels) -> Value {
    json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": labels},
    })
}

fn lasting(labels: &Labels) -> Labels {
    let lasts = |(key, _): &(&String, &String)| !VOLATILE.contains(&key.as_str());
    labels.iter().filter(lasts).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The workload of a pod as the report calls it, `namespace/Kind/name`.
#[must_use]
pub fn workload_of(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let Some(owner) = meta.owner_references.first() else {
        return format!("{}/Pod/{}", meta.namespace, meta.name);
    };
    let hash = meta.labels.get("pod-template-hash");
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    let minute = |name: &str| name.len() >= 8 && name.bytes().all(|b| b.is_ascii_digit());
    let cron = owner.name.rsplit_once('-').filter(|(_, end)| owner.kind == "Job" && minute(end));
    match (deployment, cron) {
        (Some(name), _) => format!("{}/Deployment/{name}", meta.namespace),
        (None, Some((name, _))) => format!("{}/CronJob/{name}", meta.namespace),
        (None, None) => format!("{}/{}/{}", meta.namespace, owner.kind, owner.name),
    }
}
