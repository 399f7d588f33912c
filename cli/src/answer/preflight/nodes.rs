//! What the nodes mean: on which of them agents run, which source their kernels allow, which platform they are.
//!
//! In: nodes as their kubelets describe them. Out: groups of alike ones, findings. A kernel is judged by its version, as
//! that is all that can be seen from outside; an agent chooses by loading the programs. Pure: values only.

use std::collections::BTreeMap;

use probelet_core::cluster::objects::VIRTUAL_NODES;
use serde::Serialize;

use crate::answer::finding::{Finding, Mark};
use crate::seen::cluster::{Machine, NodeInfo};

/// Kernels on which `bpf` runs, and `bpf-compat` (docs/sources.md).
const BPF: (u32, u32) = (6, 2);
const COMPAT: (u32, u32) = (5, 19);
/// What images are built for.
const BUILT: [&str; 2] = ["amd64", "arm64"];

/// Alike nodes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alike {
    pub(super) nodes: usize,
    pub(super) os: String,
    pub(super) architecture: String,
    pub(super) kernel: String,
    pub(super) runtime: String,
    pub(super) kubelet: String,
    /// The source that this kernel allows; none where no agent runs.
    pub(super) source: Option<&'static str>,
    /// Why no agent runs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left_out: Option<&'static str>,
}

/// A platform with values of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Platform {
    OpenShift,
    Talos,
    Bottlerocket,
    Eks,
    Aks,
    Gke,
    K3s,
    Kind,
}

impl Platform {
    /// Its name, its page below docs/user/platforms, and the values that the chart is tested with.
    pub(super) const fn about(self) -> (&'static str, &'static str, &'static str) {
        macro_rules! values {
            ($name:literal) => {
                include_str!(concat!("../../../../charts/probelet/ci/", $name, "-values.yaml"))
            };
        }
        match self {
            Self::OpenShift => ("OpenShift", "openshift", values!("openshift")),
            Self::Talos => ("Talos Linux", "talos", values!("talos")),
            Self::Bottlerocket => ("Bottlerocket", "bottlerocket", values!("bottlerocket")),
            Self::Eks => ("Amazon EKS", "eks", values!("eks")),
            Self::Aks => ("Microsoft AKS", "aks", values!("aks")),
            Self::Gke => ("Google GKE", "gke", values!("gke")),
            Self::K3s => ("k3s or RKE2", "k3s", values!("k3s")),
            Self::Kind => ("kind", "kind", values!("kind")),
        }
    }

    fn of(machine: &Machine) -> Option<Self> {
        let info = &machine.status.node_info;
        let label =
            |prefix: &str| machine.metadata.labels.keys().any(|key| key.starts_with(prefix));
        let by = |prefix: &str| machine.spec.provider_id.starts_with(prefix);
        let (image, kubelet) = (info.os_image.as_str(), info.kubelet_version.as_str());
        // A system that is strict comes before the cloud that it runs in.
        Some(match () {
            () if label("node.openshift.io/")
                || image.contains("CoreOS") && image.contains("Red Hat") =>
            {
                Self::OpenShift
            }
            () if image.starts_with("Talos") => Self::Talos,
            () if label("eks.amazonaws.com/") || kubelet.contains("-eks-") => Self::Eks,
            () if image.starts_with("Bottlerocket") => Self::Bottlerocket,
            () if label("kubernetes.azure.com/") => Self::Aks,
            () if label("cloud.google.com/gke-") || kubelet.contains("-gke.") => Self::Gke,
            () if kubelet.contains("+k3s") || kubelet.contains("+rke2") => Self::K3s,
            () if by("kind://") => Self::Kind,
            () => return None,
        })
    }
}

/// What the nodes are.
pub(super) struct Nodes {
    pub(super) alike: Vec<Alike>,
    /// Nodes on which agents run.
    pub(super) wanted: usize,
    /// By how many nodes they have.
    pub(super) platforms: Vec<Platform>,
    pub(super) findings: Vec<Finding>,
    /// Of those on which agents run: nodes whose kernel is too old for BPF.
    pub(super) old: usize,
}

impl Nodes {
    pub(super) fn of(machines: &[Machine]) -> Self {
        let mut groups: BTreeMap<(Option<&'static str>, &NodeInfo), usize> = BTreeMap::new();
        let mut platforms: BTreeMap<Platform, usize> = BTreeMap::new();
        for machine in machines {
            let info = &machine.status.node_info;
            *groups.entry((left_out(machine), info)).or_default() += 1;
            if let Some(platform) = Platform::of(machine) {
                *platforms.entry(platform).or_default() += 1;
            }
        }
        let mut alike: Vec<Alike> =
            groups.iter().map(|((out, info), nodes)| group(info, *out, *nodes)).collect();
        alike.sort_by_key(|group| (group.left_out.is_some(), std::cmp::Reverse(group.nodes)));
        let of = |test: &dyn Fn(&Alike) -> bool| {
            alike.iter().filter(|group| test(group)).map(|group| group.nodes).sum::<usize>()
        };
        let wanted = of(&|group| group.left_out.is_none());
        let old = of(&|group| group.source == Some("netlink"));
        let mut platforms: Vec<(Platform, usize)> = platforms.into_iter().collect();
        platforms.sort_by_key(|(_, nodes)| std::cmp::Reverse(*nodes));
        let mut nodes = Self {
            wanted,
            old,
            platforms: platforms.into_iter().map(|(platform, _)| platform).collect(),
            findings: Vec::new(),
            alike,
        };
        nodes.findings = nodes.findings(machines);
        nodes
    }

    fn findings(&self, machines: &[Machine]) -> Vec<Finding> {
        let mut found = Vec::new();
        let all = machines.len();
        if self.wanted == 0 {
            found.push(Finding::new(
                Mark::Bad,
                "nodes",
                format!("an agent runs on none of {all} nodes: it needs Linux on amd64 or arm64"),
            ));
            return found;
        }
        found.push(Finding::new(
            Mark::Ok,
            "nodes",
            format!("agents run on {} of {}", self.wanted, nodes_of(all)),
        ));
        let mut out: BTreeMap<&str, usize> = BTreeMap::new();
        for group in &self.alike {
            if let Some(why) = group.left_out {
                *out.entry(why).or_default() += group.nodes;
            }
        }
        found.extend(out.into_iter().map(|(why, nodes)| {
            Finding::new(
                Mark::Lost,
                "nodes",
                format!(
                    "{} left out: {why}; their pods are seen by their peers only",
                    nodes_of(nodes)
                ),
            )
        }));
        if machines.iter().any(|machine| machine.metadata.name.starts_with("gk3-")) {
            found.push(
                Finding::new(Mark::Bad, "nodes", "this is GKE Autopilot: it refuses hostPID, capabilities and host paths of workloads that are not on Google's list")
                    .next("there is no value that helps; GKE Standard runs it"),
            );
        }
        found.push(self.kernels());
        found
    }

    fn kernels(&self) -> Finding {
        let newer = self.wanted - self.old;
        let finding = match (newer, self.old) {
            (_, 0) => Finding::new(
                Mark::Ok,
                "kernels",
                "all are 5.19 or newer: BPF, the cheapest source, if they have BTF",
            ),
            (0, _) => Finding::new(
                Mark::Lost,
                "kernels",
                "all are older than 5.19: source netlink, which costs several times as much as BPF",
            ),
            (newer, old) => Finding::new(
                Mark::Lost,
                "kernels",
                format!(
                    "{old} older than 5.19: source netlink, which costs several times as much as BPF on the other {newer}"
                ),
            ),
        };
        if self.old > 0 {
            return finding.next("agent.capabilities.fallback is in the values below: without it their source is procfs, which sees next to nothing; RHEL's 5.14 has parts of newer kernels, and an agent tries. What it means: docs/user/security.md#capabilities");
        }
        finding.next("whether a node has BTF cannot be seen from here: ls /sys/kernel/btf/vmlinux on one. Without it the source is procfs, which sees next to nothing, unless agent.capabilities.fallback is true; what that means: docs/user/security.md#capabilities")
    }
}

fn left_out(machine: &Machine) -> Option<&'static str> {
    let info = &machine.status.node_info;
    let label =
        |key: &str, value: &str| machine.metadata.labels.get(key).is_some_and(|have| have == value);
    if info.operating_system != "linux" {
        return Some("not Linux");
    }
    if label("eks.amazonaws.com/compute-type", "fargate") {
        return Some("Fargate, which runs no DaemonSets");
    }
    if VIRTUAL_NODES.into_iter().any(|(key, value)| label(key, value)) {
        return Some("virtual nodes without a machine of their own");
    }
    (!BUILT.contains(&info.architecture.as_str())).then_some("no image for their architecture")
}

fn group(info: &NodeInfo, left_out: Option<&'static str>, nodes: usize) -> Alike {
    let source = match kernel(&info.kernel_version) {
        version if version >= BPF => "bpf",
        version if version >= COMPAT => "bpf-compat",
        _ => "netlink",
    };
    Alike {
        nodes,
        os: info.os_image.clone(),
        architecture: info.architecture.clone(),
        kernel: info.kernel_version.clone(),
        runtime: info.container_runtime_version.clone(),
        kubelet: info.kubelet_version.clone(),
        source: left_out.is_none().then_some(source),
        left_out,
    }
}

fn nodes_of(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// Major and minor; nothing is older than what cannot be read.
fn kernel(release: &str) -> (u32, u32) {
    let words = release.split(|c: char| !c.is_ascii_digit());
    let mut numbers = words.map_while(|word| word.parse().ok()).fuse();
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_their_numbers() {
        for (release, numbers) in [
            ("6.8.0-45-generic", (6, 8)),
            ("5.14.0-427.el9.x86_64", (5, 14)),
            ("6.12", (6, 12)),
            ("10.2.1", (10, 2)),
            ("", (0, 0)),
            ("unknown", (0, 0)),
            ("99999999999.1", (0, 0)),
        ] {
            assert_eq!(kernel(release), numbers, "{release}");
        }
    }
}
