//! Who is asked about new pods: webhooks, admission policies, policy engines.
//!
//! In: what the cluster has. Out: findings. What a webhook would say cannot be known without asking it, so it is named and
//! not judged. Pure: values only.

use std::collections::BTreeMap;

use super::rules::ENFORCE;
use crate::answer::finding::{Finding, Mark};
use crate::seen::cluster::{Cluster, Labelled, Rule, Space, Webhooks};

/// So many names of one kind are shown.
const NAMES: usize = 5;
/// The end of its API's group, its name, what to do.
const ENGINES: [(&str, &str, &str); 3] = [
    (
        "gatekeeper.sh",
        "OPA Gatekeeper",
        "exclude the namespace in the constraints about privileged pods, hostPID and capabilities: kubectl get constraints",
    ),
    (
        "kyverno.io",
        "Kyverno",
        "exclude the namespace with a PolicyException or in the policies: kubectl get clusterpolicies",
    ),
    (
        "kubewarden.io",
        "Kubewarden",
        "exclude the namespace in its policies: kubectl get clusteradmissionpolicies",
    ),
];

type Labels = BTreeMap<String, String>;

pub(super) fn admission(cluster: &Cluster) -> Vec<Finding> {
    let labels = labels(cluster);
    let mut found = webhooks(cluster, &labels);
    let policies = cluster.policies.as_deref().unwrap_or_default().iter().filter(|policy| {
        let matched = &policy.spec.match_constraints;
        is_asked(&matched.namespace_selector, &matched.resource_rules, &labels)
    });
    let policies: Vec<&str> = policies.map(|policy| policy.metadata.name.as_str()).collect();
    if !policies.is_empty() {
        let finding = Finding::new(
            Mark::Note,
            "admission",
            format!("admission policies about pods: {}", some(&policies)),
        );
        found.push(
            finding.next("see their bindings: kubectl get validatingadmissionpolicybindings"),
        );
    }
    let groups = cluster.groups.as_deref().unwrap_or_default();
    for (end, engine, next) in ENGINES {
        let is = |name: &str| {
            name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if groups.iter().any(|group| is(&group.name)) {
            found.push(
                Finding::new(Mark::Note, "admission", format!("{engine} is installed")).next(next),
            );
        }
    }
    let looked = [
        cluster.validating.is_ok(),
        cluster.mutating.is_ok(),
        cluster.policies.is_ok(),
        cluster.groups.is_ok(),
    ];
    if found.is_empty() && !looked.contains(&false) {
        found.push(Finding::new(Mark::Ok, "admission", "no webhook or policy is about pods there"));
    }
    found
}

/// Those of the namespace, as they are or as they will be.
fn labels(cluster: &Cluster) -> Labels {
    let mut labels = match &cluster.space {
        Ok(Some(Space { metadata })) => metadata.labels.clone(),
        _ => Labels::from([(ENFORCE.to_owned(), "privileged".to_owned())]),
    };
    labels.insert("kubernetes.io/metadata.name".to_owned(), cluster.namespace.clone());
    labels
}

fn is_asked(selector: &Labelled, rules: &[Rule], labels: &Labels) -> bool {
    selector.matches(labels) && rules.iter().any(Rule::is_about_pods)
}

fn webhooks(cluster: &Cluster, labels: &Labels) -> Vec<Finding> {
    let mut found = Vec::new();
    for (list, verb) in [(&cluster.validating, "may refuse"), (&cluster.mutating, "may change")] {
        let list = list.as_deref().unwrap_or_default();
        for (strict, then) in [(true, "; while they do not answer, pods are refused"), (false, "")]
        {
            let is = |one: &&Webhooks| {
                let mut asked = one
                    .webhooks
                    .iter()
                    .filter(|hook| is_asked(&hook.namespace_selector, &hook.rules, labels));
                asked.any(|hook| (hook.failure_policy != "Ignore") == strict)
            };
            let names: Vec<&str> =
                list.iter().filter(is).map(|one| one.metadata.name.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let namespace = &cluster.namespace;
            let what = format!("webhooks that {verb} pods in {namespace}: {}{then}", some(&names));
            found.push(Finding::new(Mark::Note, "admission", what).next(format!(
                "if they insist on unprivileged pods, exempt the namespace there; a refusal shows as an event: kubectl describe daemonset -n {namespace}"
            )));
        }
    }
    found
}

/// The first few names.
fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMES);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
