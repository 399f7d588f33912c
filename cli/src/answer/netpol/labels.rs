//! Labels that outlive a release.
//!
//! In: labels of pods. Out: those by which the pods of the next release will be found as well. Pure: values only.

use std::collections::BTreeMap;

pub(super) type Labels = BTreeMap<String, String>;

/// Labels that are other ones after a release, in the middle of one, or for each pod.
const VOLATILE: [&str; 26] = [
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "controller-revision-hash",
    "controller.kubernetes.io/hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
    "controller-uid",
    "job-name",
    "helm.sh/chart",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "chart",
    "heritage",
    "version",
    "revision",
    "deployment",
    "role",
    "track",
    "canary",
    "istio.io/rev",
    "security.istio.io/tlsMode",
    "service.istio.io/canonical-revision",
];
/// Parts of labels whose values are of one release or one pod.
const VOLATILE_PARTS: [&str; 9] = [
    "hash",
    "revision",
    "pod-name",
    "instancename",
    "instancerole",
    "generation",
    "checksum",
    "version",
    "canary",
];
/// By which people and charts mean their pods to be found.
const USUAL: [&str; 6] = [
    "app",
    "k8s-app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "component",
];

fn lasts(key: &str) -> bool {
    let small = key.to_ascii_lowercase();
    !VOLATILE.contains(&key) && !VOLATILE_PARTS.iter().any(|part| small.contains(part))
}

/// Without what will be another value soon.
pub(super) fn lasting(labels: &Labels) -> Labels {
    labels.iter().filter(|(key, _)| lasts(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Those that are meant for finding pods.
pub(super) fn usual(labels: &Labels) -> Labels {
    let usual = |(key, _): &(&String, &String)| USUAL.contains(&key.as_str());
    labels.iter().filter(usual).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// What all of them have.
pub(super) fn common<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut common = all.next().cloned().unwrap_or_default();
    for labels in all {
        common.retain(|key, value| labels.get(key) == Some(value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_changes_selects_nothing() {
        for key in [
            "helm.sh/chart",
            "app.kubernetes.io/version",
            "rollouts-pod-template-hash",
            "apps.openshift.io/deployment-revision",
            "serving.knative.dev/revisionUID",
            "cnpg.io/instanceName",
            "strimzi.io/pod-name",
            "istio.io/rev-hash",
        ] {
            assert!(!lasts(key), "{key}");
        }
        for key in
            ["app", "app.kubernetes.io/name", "tier", "strimzi.io/cluster", "deploymentconfig"]
        {
            assert!(lasts(key), "{key}");
        }
    }
}
