//! What made a pod, from its controller's owner reference alone: no further list to watch.
//!
//! In: a pod. Out: kind and name of its workload. It must not look at anything but the pod: what
//! it cannot prove it leaves at the direct owner.
//!
//! Pure: no I/O.

use super::objects::Pod;

/// The label that a Deployment puts on the pods of each of its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// A CronJob names a Job after the minute that it was due, as minutes since 1970: eight digits from
/// 1989 to 2160.
const MINUTES: usize = 8;

/// Kind and name of the workload.
pub(super) fn workload(pod: &Pod) -> (&str, &str) {
    let Some((kind, name)) = &pod.controller else { return ("Pod", &pod.name) };
    match &**kind {
        "ReplicaSet" => deployment(pod, name).map_or(("ReplicaSet", name), |d| ("Deployment", d)),
        "Job" => cron_job(name).map_or(("Job", name), |cron| ("CronJob", cron)),
        // A static pod is the file of one node; its mirror carries the node's name.
        "Node" => {
            let bare = pod.name.strip_suffix(&**name).and_then(|n| n.strip_suffix('-'));
            ("Pod", bare.filter(|b| !b.is_empty()).unwrap_or(&pod.name))
        }
        kind => (kind, name),
    }
}

fn deployment<'a>(pod: &Pod, replica_set: &'a str) -> Option<&'a str> {
    let (_, hash) = pod.labels.iter().find(|(key, _)| &**key == TEMPLATE_HASH)?;
    let name = replica_set.strip_suffix(&**hash)?.strip_suffix('-')?;
    (!hash.is_empty() && !name.is_empty()).then_some(name)
}

fn cron_job(job: &str) -> Option<&str> {
    let (name, minutes) = job.rsplit_once('-')?;
    let due = minutes.len() >= MINUTES && minutes.bytes().all(|b| b.is_ascii_digit());
    (due && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(kind: &str, owner: &str, name: &str, hash: Option<&str>) -> Pod {
        let labels = hash.map(|h| (TEMPLATE_HASH.into(), h.into())).into_iter().collect();
        let controller = Some((kind.into(), owner.into()));
        Pod { name: name.into(), controller, labels, ..Pod::default() }
    }

    #[test]
    fn a_replica_set_named_after_its_template_is_a_deployments() {
        let pod =
            owned("ReplicaSet", "web-v2-7d9f8c6b5", "web-v2-7d9f8c6b5-x2x4k", Some("7d9f8c6b5"));

        assert_eq!(workload(&pod), ("Deployment", "web-v2"));
    }

    #[test]
    fn a_replica_set_of_its_own_stays_one() {
        for hash in [None, Some("other"), Some("")] {
            let pod = owned("ReplicaSet", "web-7d9f8c6b5", "web-7d9f8c6b5-x2x4k", hash);

            assert_eq!(workload(&pod), ("ReplicaSet", "web-7d9f8c6b5"));
        }
    }

    #[test]
    fn a_job_named_after_a_minute_is_a_cron_jobs() {
        assert_eq!(workload(&owned("Job", "backup-29384710", "p", None)), ("CronJob", "backup"));
        assert_eq!(workload(&owned("Job", "migrate-2", "p", None)), ("Job", "migrate-2"));
        assert_eq!(workload(&owned("Job", "29384710", "p", None)), ("Job", "29384710"));
    }

    #[test]
    fn a_static_pod_is_named_without_its_node() {
        let pod = owned("Node", "worker-1", "kube-proxy-worker-1", None);

        assert_eq!(workload(&pod), ("Pod", "kube-proxy"));
    }

    #[test]
    fn any_other_owner_is_the_workload() {
        for kind in ["StatefulSet", "DaemonSet", "Rollout"] {
            assert_eq!(workload(&owned(kind, "db", "db-0", None)), (kind, "db"));
        }
    }

    #[test]
    fn a_bare_pod_is_its_own_workload() {
        let pod = Pod { name: "debug".into(), ..Pod::default() };

        assert_eq!(workload(&pod), ("Pod", "debug"));
    }
}
