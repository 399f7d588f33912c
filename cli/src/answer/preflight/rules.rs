//! What the namespace allows: Pod Security and quotas.
//!
//! In: what the namespace has. Out: findings, and values that answer them. Pure: values only.

use serde_json::Value;

use super::limits::{Asks, CHART, LIMITED, cpu_limit, limits};
use crate::answer::finding::{Finding, Mark};
use crate::seen::cluster::{Cluster, Quota};

/// The label by which a namespace says what it admits.
pub(super) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const OPERATORS: usize = 2;
/// What a quota may count besides pods and CPU limits.
const COUNTED: [&str; 5] = ["requests.cpu", "requests.memory", "limits.memory", "cpu", "memory"];

/// The namespace and its Pod Security.
pub(super) fn space(cluster: &Cluster) -> Vec<Finding> {
    let name = &cluster.namespace;
    let label = format!("kubectl label namespace {name} {ENFORCE}=privileged");
    let finding = |mark, found| Finding::new(mark, "namespace", found);
    let Ok(space) = &cluster.space else { return Vec::new() };
    let Some(space) = space else {
        let found = format!(
            "there is no namespace {name} yet; agents need one that admits privileged pods"
        );
        return vec![
            finding(Mark::Note, found).next(format!("kubectl create namespace {name}\n{label}")),
        ];
    };
    vec![match space.metadata.labels.get(ENFORCE).map(String::as_str) {
        Some("privileged") => finding(Mark::Ok, format!("{name} admits privileged pods")),
        Some(level) => finding(
            Mark::Bad,
            format!("{name} enforces Pod Security {level}, which refuses the agents: hostPID, hostNetwork, capabilities, a host path"),
        )
        .next(format!("{label} --overwrite")),
        None => finding(
            Mark::Note,
            format!("{name} has no Pod Security label; the API server may have a default, which cannot be read"),
        )
        .next(label),
    }]
}

/// Quotas and limits, and the values that they ask for.
pub(super) fn quotas(cluster: &Cluster, nodes: usize, values: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in cluster.quotas.as_deref().unwrap_or_default() {
        found.extend(quota(one, nodes, &cluster.namespace, values));
    }
    found.extend(limits(cluster.ranges.as_deref().unwrap_or_default(), values));
    found
}

fn quota(quota: &Quota, nodes: usize, namespace: &str, values: &mut Vec<Value>) -> Vec<Finding> {
    let name = &quota.metadata.name;
    let finding = |mark, found| Finding::new(mark, "quota", found);
    if !quota.spec.scopes.is_empty() || quota.spec.scope_selector.is_some() {
        return vec![finding(
            Mark::Note,
            format!("{name} is for some pods only (scopes) and is not judged"),
        )];
    }
    let (mut found, wanted) = (Vec::new(), nodes + OPERATORS);
    let pods = ["pods", "count/pods"].iter().filter_map(|key| left(quota, key)).min();
    if let Some(left) = pods.filter(|left| *left < wanted as u64) {
        found.push(
            finding(
                Mark::Bad,
                format!("{name} leaves {left} pods; agents and operators are {wanted}"),
            )
            .next(format!("raise it: kubectl edit resourcequota {name} -n {namespace}")),
        );
    }
    if quota.spec.hard.contains_key("limits.cpu") {
        found.push(
            finding(Mark::Bad, format!("{name} counts limits.cpu, so a pod without a CPU limit is refused, and agents have none"))
                .next(LIMITED),
        );
        values.extend(CHART.iter().map(cpu_limit));
    }
    let hard = quota.spec.hard.keys().map(String::as_str);
    let others: Vec<&str> = hard.filter(|key| COUNTED.contains(key)).collect();
    if !others.is_empty() {
        let [Asks { cpu_request, memory_request, memory_limit, .. }, _] = CHART;
        found.push(finding(
            Mark::Note,
            format!(
                "{name} counts {}; an agent asks for {cpu_request}m CPU and {memory_request}Mi, with a limit of {memory_limit}Mi, on each of {nodes} nodes",
                others.join(", ")
            ),
        ));
    }
    found
}

/// What is left of a quota; none if it does not count that, or in a way that is no number.
fn left(quota: &Quota, key: &str) -> Option<u64> {
    let hard: u64 = quota.spec.hard.get(key)?.parse().ok()?;
    let used = quota.status.used.get(key).and_then(|used| used.parse().ok()).unwrap_or(0);
    Some(hard.saturating_sub(used))
}
