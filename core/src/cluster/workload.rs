//! What made a pod, from the pod alone: no further list to watch.
//!
//! In: a pod's name, its controller and its labels. Out: kind and name of its workload. This is the
//! one rule of all programs: agent, operator and plugin call a workload the same. It must not look
//! at anything but the pod: what it cannot prove it leaves at the direct owner.
//!
//! Pure: no I/O.

/// The label that a Deployment puts on the pods of each of its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same of Argo's Rollouts.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";
/// The name of an OpenShift DeploymentConfig, on the pods of its ReplicationControllers.
const DEPLOYMENT_CONFIG: &str = "deploymentconfig";
/// What has a Deployment for each of its revisions: the labels of the pods with the name of the revision and with that of
/// what it is a revision of, what the Deployment's name has behind the revision's, and the kind.
const REVISIONS: [(&str, &str, &str, &str); 3] = [
    (
        "serving.knative.dev/revision",
        "serving.knative.dev/configuration",
        "-deployment",
        "Configuration",
    ),
    ("pkg.crossplane.io/revision", "pkg.crossplane.io/provider", "", "Provider"),
    ("pkg.crossplane.io/revision", "pkg.crossplane.io/function", "", "Function"),
];
/// Controllers of which each run or replica has another one, and what makes them: the kind of the controller,
/// the label of its pods that has the maker's name, and the maker's kind.
const MAKERS: [(&str, &str, &str); 7] = [
    ("Job", "jobset.sigs.k8s.io/jobset-name", "JobSet"),
    ("Job", "scaledjob.keda.sh/name", "ScaledJob"),
    ("StatefulSet", "leaderworkerset.sigs.k8s.io/name", "LeaderWorkerSet"),
    ("GameServer", "agones.dev/fleet", "Fleet"),
    ("EphemeralRunner", "actions.github.com/scale-set-name", "AutoscalingRunnerSet"),
    ("Runner", "runner-deployment-name", "RunnerDeployment"),
    // An executor is its driver's, a pod.
    ("Pod", "sparkoperator.k8s.io/app-name", "SparkApplication"),
];
/// The run of a task of Tekton, and the pipeline or the task that it is a run of.
const TASK_RUN: &str = "tekton.dev/taskRun";
const TEKTON: [(&str, &str); 3] = [
    ("tekton.dev/pipeline", "Pipeline"),
    ("tekton.dev/task", "Task"),
    ("tekton.dev/clusterTask", "ClusterTask"),
];
/// The run of a pipeline of Tekton. One that has its pipeline written into itself says that it is a run of a pipeline of
/// its own name, which does not exist.
const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";

/// A CronJob names a Job after the minute that it was due, as minutes since 1970: eight digits,
/// from 2016-12-18 to 2046-01-19. No date written as year, month and day lies between the two.
const MINUTES: std::ops::RangeInclusive<u32> = 24_700_000..=40_000_000;

/// Kind and name of a pod's workload: of the pod itself, if it has no controller.
///
/// `controller` is kind and name of the owner reference with `controller: true`, `label` finds the
/// value of one of the pod's labels.
#[must_use]
pub fn workload<'a>(
    pod: &'a str,
    controller: Option<(&'a str, &'a str)>,
    label: impl Fn(&str) -> Option<&'a str>,
) -> (&'a str, &'a str) {
    // An owner reference is free text of who made the pod: a kind is a word.
    let word = |kind: &str| kind.bytes().all(|b| b.is_ascii_alphanumeric());
    let Some((kind, name)) = controller.filter(|(kind, _)| word(kind)) else {
        return ("Pod", pod);
    };
    if let Some(made) = maker(kind, name, &label) {
        return made;
    }
    match kind {
        "ReplicaSet" => replica_set(name, label).unwrap_or((kind, name)),
        "ReplicationController" => {
            let config = label(DEPLOYMENT_CONFIG).filter(|config| is_numbered(name, config));
            config.map_or((kind, name), |config| ("DeploymentConfig", config))
        }
        "Job" => cron_job(name).map_or((kind, name), |cron| ("CronJob", cron)),
        "TaskRun" if label(TASK_RUN) == Some(name) => {
            let run = label(PIPELINE_RUN);
            let mut of = TEKTON.iter().filter_map(|&(key, kind)| Some((kind, label(key)?)));
            of.find(|&(_, of)| !of.is_empty() && Some(of) != run).unwrap_or((kind, name))
        }
        // A static pod is the file of one node; its mirror carries the node's name.
        "Node" => {
            let bare = pod.strip_suffix(name).and_then(|n| n.strip_suffix('-'));
            ("Pod", bare.filter(|b| !b.is_empty()).unwrap_or(pod))
        }
        _ => (kind, name),
    }
}

/// What makes controllers like this one again and again, if its name begins with the maker's.
fn maker<'a>(
    kind: &str,
    name: &str,
    label: impl Fn(&str) -> Option<&'a str>,
) -> Option<(&'static str, &'a str)> {
    let known = MAKERS.iter().filter(|(made, ..)| *made == kind);
    let mut named = known.filter_map(|&(_, key, maker)| Some((maker, label(key)?)));
    named.find(|(_, maker)| !maker.is_empty() && (name == *maker || before(name, maker).is_some()))
}

/// What made a ReplicaSet, if its name ends in the hash that its pods carry.
fn replica_set<'a>(
    name: &'a str,
    label: impl Fn(&str) -> Option<&'a str>,
) -> Option<(&'a str, &'a str)> {
    let named = |key| {
        let hash = label(key).filter(|hash| !hash.is_empty())?;
        let made = name.strip_suffix(hash)?.strip_suffix('-')?;
        (!made.is_empty()).then_some(made)
    };
    if let Some(rollout) = named(ROLLOUT_HASH) {
        return Some(("Rollout", rollout));
    }
    let deployment = named(TEMPLATE_HASH)?;
    let mut revised = REVISIONS.iter().filter_map(|&(revision, maker, suffix, kind)| {
        let (revision, maker) = (label(revision)?, label(maker)?);
        let proved = deployment.strip_suffix(suffix) == Some(revision);
        (proved && before(revision, maker).is_some()).then_some((kind, maker))
    });
    Some(revised.next().unwrap_or(("Deployment", deployment)))
}

/// The CronJob that made a Job of this name, if the name says so.
#[must_use]
pub(crate) fn cron_job(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let digits = minute.len() == 8 && minute.bytes().all(|b| b.is_ascii_digit());
    let due = digits && minute.parse().is_ok_and(|m| MINUTES.contains(&m)) && !is_date(minute);
    (due && !name.is_empty()).then_some(name)
}

/// Whether eight digits read as day, month and year: `31122025`. Of the minutes of a CronJob one in
/// 2,000 does; its Job is then shown by its own name, which is true as well.
fn is_date(digits: &str) -> bool {
    let number = |range| digits.get(range).and_then(|d: &str| d.parse::<u32>().ok());
    let (day, month, year) = (number(0..2), number(2..4), number(4..8));
    day.is_some_and(|d| (1..=31).contains(&d))
        && month.is_some_and(|m| (1..=12).contains(&m))
        && year.is_some_and(|y| (2000..=2049).contains(&y))
}

/// `name` is `first-` and more.
fn before<'a>(name: &'a str, first: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(first)?.strip_prefix('-')?;
    (!first.is_empty() && !rest.is_empty()).then_some(rest)
}

fn is_numbered(name: &str, first: &str) -> bool {
    before(name, first).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made<'a>(
        kind: &'a str,
        owner: &'a str,
        pod: &'a str,
        labels: &[(&str, &'a str)],
    ) -> (&'a str, &'a str) {
        workload(pod, Some((kind, owner)), |key| {
            labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
        })
    }

    #[test]
    fn a_replica_set_named_after_its_template_is_a_deployments() {
        let labels = [(TEMPLATE_HASH, "7d9f8c6b5")];

        let made = made("ReplicaSet", "web-v2-7d9f8c6b5", "web-v2-7d9f8c6b5-x2x4k", &labels);

        assert_eq!(made, ("Deployment", "web-v2"));
    }

    #[test]
    fn a_replica_set_of_its_own_stays_one() {
        for labels in [&[][..], &[(TEMPLATE_HASH, "other")], &[(TEMPLATE_HASH, "")]] {
            let made = made("ReplicaSet", "web-7d9f8c6b5", "web-7d9f8c6b5-x2x4k", labels);

            assert_eq!(made, ("ReplicaSet", "web-7d9f8c6b5"));
        }
    }

    #[test]
    fn all_revisions_of_an_argo_rollout_are_one_workload() {
        for hash in ["6c7865774c", "6d588fb886"] {
            let owner = format!("checkout-{hash}");

            let made = made("ReplicaSet", &owner, "p", &[(ROLLOUT_HASH, hash)]);

            assert_eq!(made, ("Rollout", "checkout"));
        }
        let foreign = [(ROLLOUT_HASH, "other"), (TEMPLATE_HASH, "6c7865774c")];
        let owner = "checkout-6c7865774c";
        assert_eq!(made("ReplicaSet", owner, "p", &foreign), ("Deployment", "checkout"));
    }

    #[test]
    fn all_revisions_of_an_openshift_deployment_config_are_one_workload() {
        let labels = [("deployment", "frontend-3"), (DEPLOYMENT_CONFIG, "frontend")];
        let made = |owner, labels: &[_]| made("ReplicationController", owner, "p", labels);

        assert_eq!(made("frontend-3", &labels), ("DeploymentConfig", "frontend"));
        assert_eq!(made("frontend-3", &[]), ("ReplicationController", "frontend-3"));
        for other in ["frontend-x3", "frontend-", "frontend", "backend-3"] {
            assert_eq!(made(other, &labels), ("ReplicationController", other));
        }
    }

    #[test]
    fn all_revisions_of_a_knative_configuration_are_one_workload() {
        let labels = |revision| {
            [
                (TEMPLATE_HASH, "5d9c8f7b6"),
                ("serving.knative.dev/revision", revision),
                ("serving.knative.dev/configuration", "hello"),
            ]
        };
        let owner = "hello-00002-deployment-5d9c8f7b6";

        let own = made("ReplicaSet", owner, "p", &labels("hello-00002"));
        let foreign = made("ReplicaSet", owner, "p", &labels("hello-00001"));

        assert_eq!(own, ("Configuration", "hello"));
        assert_eq!(foreign, ("Deployment", "hello-00002-deployment"));
    }

    #[test]
    fn all_revisions_of_a_crossplane_provider_are_one_workload() {
        let owner = "provider-aws-s3-1a2b3c4d5e6f-5d9c8f7b6";
        let of = |revision, provider| {
            let labels = [
                (TEMPLATE_HASH, "5d9c8f7b6"),
                ("pkg.crossplane.io/revision", revision),
                ("pkg.crossplane.io/provider", provider),
            ];
            made("ReplicaSet", owner, "p", &labels)
        };
        let revision = "provider-aws-s3-1a2b3c4d5e6f";

        assert_eq!(of(revision, "provider-aws-s3"), ("Provider", "provider-aws-s3"));
        // The package may be called otherwise than what installed it.
        for other in [(revision, "other"), ("provider-aws-s3-000000000000", "provider-aws-s3")] {
            assert_eq!(of(other.0, other.1), ("Deployment", revision), "{other:?}");
        }
    }

    #[test]
    fn what_each_run_or_replica_has_another_of_counts_for_what_makes_it() {
        for (kind, owner, label, maker) in [
            ("GameServer", "simple-abcde-12345", "agones.dev/fleet", ("Fleet", "simple")),
            ("Job", "train-workers-0", "jobset.sigs.k8s.io/jobset-name", ("JobSet", "train")),
            ("Job", "import-x7k2p", "scaledjob.keda.sh/name", ("ScaledJob", "import")),
            (
                "StatefulSet",
                "llm-3",
                "leaderworkerset.sigs.k8s.io/name",
                ("LeaderWorkerSet", "llm"),
            ),
            ("StatefulSet", "llm", "leaderworkerset.sigs.k8s.io/name", ("LeaderWorkerSet", "llm")),
            (
                "EphemeralRunner",
                "arc-set-rmrgw-runner-p9p5n",
                "actions.github.com/scale-set-name",
                ("AutoscalingRunnerSet", "arc-set"),
            ),
            ("Runner", "ci-2k4lm-x9", "runner-deployment-name", ("RunnerDeployment", "ci")),
            ("Pod", "etl-driver", "sparkoperator.k8s.io/app-name", ("SparkApplication", "etl")),
        ] {
            assert_eq!(made(kind, owner, "p", &[(label, maker.1)]), maker, "{kind}");
            // A label that was copied from elsewhere proves nothing.
            for foreign in ["other", "", "trai", "train-workers-0-more"] {
                assert_eq!(made(kind, owner, "p", &[(label, foreign)]), (kind, owner), "{foreign}");
            }
            assert_eq!(made("Widget", owner, "p", &[(label, maker.1)]), ("Widget", owner));
        }
    }

    #[test]
    fn runs_of_tekton_count_for_their_pipeline_or_task() {
        let run = "deploy-run-6f92p-git-clone";
        let of = |labels: &[(&str, &'static str)]| made("TaskRun", run, "p", labels);
        let (own, task) = ((TASK_RUN, run), ("tekton.dev/task", "git-clone"));

        assert_eq!(of(&[own, task, ("tekton.dev/pipeline", "deploy")]), ("Pipeline", "deploy"));
        assert_eq!(of(&[own, task]), ("Task", "git-clone"));
        assert_eq!(of(&[own]), ("TaskRun", run));
        assert_eq!(of(&[(TASK_RUN, "other"), task]), ("TaskRun", run));
        assert_eq!(of(&[own, ("tekton.dev/clusterTask", "kaniko")]), ("ClusterTask", "kaniko"));
    }

    #[test]
    fn a_run_that_has_its_pipeline_in_itself_is_a_run_of_no_pipeline() {
        let run = "deploy-run-6f92p-git-clone";
        let own = [
            (TASK_RUN, run),
            ("tekton.dev/pipelineRun", "deploy-run-6f92p"),
            ("tekton.dev/pipeline", "deploy-run-6f92p"),
        ];
        let task = ("tekton.dev/task", "git-clone");
        let of = |labels: &[(&str, &'static str)]| made("TaskRun", run, "p", labels);

        assert_eq!(of(&[own[0], own[1], own[2], task]), ("Task", "git-clone"));
        assert_eq!(of(&own), ("TaskRun", run));
        assert_eq!(
            of(&[own[0], own[1], ("tekton.dev/pipeline", "deploy")]),
            ("Pipeline", "deploy")
        );
    }

    #[test]
    fn a_job_named_after_a_minute_is_a_cron_jobs() {
        assert_eq!(made("Job", "backup-29384710", "p", &[]), ("CronJob", "backup"));
        assert_eq!(made("Job", "a-b-24700000", "p", &[]), ("CronJob", "a-b"));
    }

    #[test]
    fn a_job_with_any_other_number_keeps_its_name() {
        for job in [
            "migrate-2",
            "29384710",
            "-29384710",
            // Dates, either way round; a Unix time; a counter; a build; a minute of 1999 and of 2047.
            "import-orders-20240131",
            "import-31122025",
            "import-20240115123000",
            "load-1700000000",
            "reindex-1000000000042",
            "build-00000042",
            "old-15500000",
            "late-40500000",
            "plus-+2938471",
        ] {
            assert_eq!(made("Job", job, "p", &[]), ("Job", job));
        }
    }

    #[test]
    fn a_static_pod_is_named_without_its_node() {
        let made = |node| made("Node", node, "kube-proxy-worker-1", &[]);

        assert_eq!(made("worker-1"), ("Pod", "kube-proxy"));
        assert_eq!(made("worker-2"), ("Pod", "kube-proxy-worker-1"));
    }

    #[test]
    fn any_other_owner_is_the_workload() {
        for kind in [
            "StatefulSet",
            "DaemonSet",
            "Rollout",
            "CloneSet",
            "Cluster",
            "StrimziPodSet",
            "TaskRun",
        ] {
            assert_eq!(made(kind, "db", "db-0", &[]), (kind, "db"));
        }
    }

    #[test]
    fn a_bare_pod_is_its_own_workload_and_so_is_one_of_a_kind_that_is_no_word() {
        assert_eq!(workload("debug", None, |_| None), ("Pod", "debug"));
        assert_eq!(made("Deployment/x", "pay", "debug", &[]), ("Pod", "debug"));
    }
}
