//! What carries the network, and what that means for names and policies.
//!
//! In: groups of the API, `DaemonSets`. Out: findings. Pure: values only.

use crate::answer::finding::{Finding, Mark};
use crate::seen::cluster::Cluster;

/// What carries the network: a `DaemonSet` of kube-system or a group of the API that gives it away, its name, whether it
/// enforces NetworkPolicies.
const CARRIERS: [(&str, &str, &str, bool); 11] = [
    ("cilium", "cilium.io", "Cilium", true),
    ("anetd", "", "GKE Dataplane V2 (Cilium)", true),
    ("calico-node", "crd.projectcalico.org", "Calico", true),
    ("canal", "", "Canal", true),
    ("antrea-agent", "crd.antrea.io", "Antrea", true),
    ("ovnkube-node", "k8s.ovn.org", "OVN-Kubernetes", true),
    ("weave-net", "", "Weave Net", true),
    ("kube-router", "", "kube-router", true),
    ("aws-node", "crd.k8s.amazonaws.com", "Amazon VPC CNI", false),
    ("kindnet", "", "kindnet", true),
    ("kube-flannel", "", "flannel", false),
];

pub(super) fn network(cluster: &Cluster) -> Vec<Finding> {
    let daemons = cluster.daemons.as_deref().unwrap_or_default();
    let groups = cluster.groups.as_deref().unwrap_or_default();
    let runs = |prefix: &str| daemons.iter().any(|daemon| daemon.metadata.name.starts_with(prefix));
    let serves = |group: &str| !group.is_empty() && groups.iter().any(|have| have.name == group);
    let carriers: Vec<_> =
        CARRIERS.iter().filter(|(daemon, group, ..)| runs(daemon) || serves(group)).collect();
    let mut found = Vec::new();
    if carriers.is_empty() {
        // Without a right to look there is nothing to say but that, which is said elsewhere.
        if cluster.daemons.is_ok() && cluster.groups.is_ok() {
            found.push(Finding::new(Mark::Note, "network", "the CNI plugin was not recognised; agents work with any, as they read the kernel and not the plugin"));
        }
        return found;
    }
    let names: Vec<&str> = carriers.iter().map(|(_, _, name, _)| *name).collect();
    let finding = Finding::new(
        Mark::Ok,
        "network",
        format!("{}: agents read the kernel, so nothing is to be set for it", names.join(", ")),
    );
    found.push(if carriers.iter().any(|(.., enforces)| *enforces) {
        finding.next("the chart's NetworkPolicy of the operator is enforced; agents are on the nodes' network, where none holds: their token says who reads")
    } else {
        finding.next("NetworkPolicies may not be enforced, and agents are on the nodes' network, where none holds: their token says who reads")
    });
    // Agents ask connection tracking which pod is behind a Service's address; with socket-level load balancing there is none to ask.
    if cluster.daemons.is_ok()
        && names.iter().any(|name| name.contains("Cilium"))
        && !runs("kube-proxy")
    {
        found.push(Finding::new(
            Mark::Note,
            "network",
            "no kube-proxy runs as a DaemonSet: if Cilium takes its place, pods behind Services are known without connection tracking; agent.capabilities.conntrack=false then loses half of the ends of short connections in pods, and nothing else",
        ));
    }
    found
}
