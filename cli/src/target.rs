//! What `conns`, `procs` and `netpol` are about: a pod, a Service, a workload or a node.
//!
//! In: what was typed, in any of the ways that people know, or a name that an answer shows. Out: a [`Target`], and which
//! pods of a report it means. Pure: values only.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::ask::Error;
use crate::name::NODE;
use crate::seen::report::{Connection, Report};

/// As it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The namespace, if it was typed.
    pub namespace: Option<String>,
    /// The kind, if it was typed.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
}

/// Kinds of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One pod, or a static pod under the name that it has on all nodes.
    Pod,
    /// The pods behind a Service.
    Service,
    /// The pods of a workload of this kind, as in `Deployment`; of a custom one as it was typed.
    Workload(String),
    /// Everything on a node.
    Node,
}

/// A target that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// `namespace/name`.
    Pod(String),
    /// `namespace/name`, and the pods that it selects: agents know those of them that are ready.
    Service(String, BTreeSet<String>),
    /// `namespace/Kind/name`, as reports call it.
    Workload(String),
    /// Pods, `namespace/name`, and what they have in common. Agents of another release may call it otherwise.
    Pods(String, BTreeSet<String>),
    /// Its name.
    Node(String),
}

/// Short and plural names of the kinds that every cluster has.
const KINDS: [(&[&str], &str); 10] = [
    (&["pod", "pods", "po"], "Pod"),
    (&["service", "services", "svc"], "Service"),
    (NODE, "Node"),
    (&["deployment", "deployments", "deploy"], "Deployment"),
    (&["statefulset", "statefulsets", "sts"], "StatefulSet"),
    (&["daemonset", "daemonsets", "ds"], "DaemonSet"),
    (&["replicaset", "replicasets", "rs"], "ReplicaSet"),
    (&["replicationcontroller", "replicationcontrollers", "rc"], "ReplicationController"),
    (&["job", "jobs"], "Job"),
    (&["cronjob", "cronjobs", "cj"], "CronJob"),
];

/// Groups, with or without a version, of the kinds that every cluster has: `deploy.apps`, `cronjob.v1.batch`.
const GROUPS: [&str; 6] = ["apps", "v1.apps", "batch", "v1.batch", "v1", "v1."];

/// Ends of flows that answers name, and why no one can be asked about them.
const NO_TARGETS: [(&str, &str); 5] = [
    (
        "external",
        "an address outside of the cluster has no agent: ask for the pod or node at the other end",
    ),
    (
        "group",
        "a group of addresses (match.cidrGroups) has no agent: ask for the pod or node at the other end",
    ),
    ("process", "a process of a node is found by its node: node/NAME"),
    ("container", "a container without a pod is found by its node: node/NAME"),
    ("(no", "an end without a name cannot be asked for: ask for the pod or node at the other end"),
];

impl Kind {
    /// The kind that a word means: one of every cluster, or a custom one by its looks, for no namespace has a capital or
    /// a dot.
    fn read(word: &str) -> Option<Self> {
        let small = word.to_ascii_lowercase();
        let plain = match small.split_once('.') {
            Some((kind, group)) if GROUPS.contains(&group) => kind,
            _ => small.as_str(),
        };
        let known = KINDS.iter().find(|(names, _)| names.contains(&plain));
        match known {
            Some((_, "Pod")) => Some(Self::Pod),
            Some((_, "Service")) => Some(Self::Service),
            Some((_, "Node")) => Some(Self::Node),
            Some((_, kind)) => Some(Self::Workload((*kind).to_owned())),
            None => {
                let custom = word.contains(|c: char| c == '.' || c.is_ascii_uppercase());
                custom.then(|| Self::Workload(word.to_owned()))
            }
        }
    }
}

impl Typed {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // As answers show it: `svc shop/web`, `node n1`.
        let shown = text.split_once(' ').and_then(|(word, rest)| Some((Kind::read(word)?, rest)));
        let first = text.split(['/', ' ']).next().unwrap_or_default().to_ascii_lowercase();
        if let Some((_, why)) = NO_TARGETS.iter().find(|(word, _)| *word == first)
            && (text.contains(' ') || text.starts_with("Group/"))
        {
            return Err(usage(text, why));
        }
        let words: Vec<&str> = shown.as_ref().map_or(text, |(_, rest)| rest).split('/').collect();
        let (namespace, kind, name) = match (shown, words.as_slice()) {
            (Some((kind, _)), [name]) => (None, Some(kind), *name),
            (Some((kind, _)), [namespace, name]) => (Some(*namespace), Some(kind), *name),
            (None, [name]) => (None, None, *name),
            (None, [first, name]) => match Kind::read(first) {
                Some(kind) => (None, Some(kind), *name),
                None => (Some(*first), None, *name),
            },
            (None, [namespace, word, name]) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                if word.is_empty() || !word.chars().all(fits) {
                    return Err(usage(text, &format!("`{word}` is not a kind")));
                }
                let kind = Kind::read(word).unwrap_or_else(|| Kind::Workload((*word).to_owned()));
                (Some(*namespace), Some(kind), *name)
            }
            _ => return Err(usage(text, "there are too many slashes")),
        };
        for word in namespace.iter().chain([&name]) {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            if word.is_empty() || word.len() > 253 || !word.bytes().all(fits) {
                return Err(usage(text, "names have small letters, digits, dashes and dots"));
            }
        }
        Ok(Self { namespace: namespace.map(str::to_owned), kind, name: name.to_owned() })
    }
}

/// Whether a kind is the one that was typed: in small letters, in the plural, with its group.
#[must_use]
pub(crate) fn is_kind(kind: &str, typed: &str) -> bool {
    let typed = typed.split('.').next().unwrap_or_default();
    let is = |form: String| form.eq_ignore_ascii_case(typed);
    let ies = kind.strip_suffix('y').map(|stem| format!("{stem}ies"));
    is(kind.to_owned()) || is(format!("{kind}s")) || is(format!("{kind}es")) || ies.is_some_and(is)
}

fn usage(text: &str, why: &str) -> Error {
    Error::Usage {
        what: format!("`{text}` is not understood: {why}"),
        next: "give NAME, pod/NAME, svc/NAME, deploy/NAME, node/NAME, KIND/NAME or NAMESPACE/KIND/NAME"
            .to_owned(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(id) => write!(f, "pod {id}"),
            Self::Service(id, _) => write!(f, "Service {id}"),
            Self::Workload(id) | Self::Pods(id, _) => write!(f, "{id}"),
            Self::Node(name) => write!(f, "node {name}"),
        }
    }
}

impl Target {
    /// The query that makes an agent send less.
    #[must_use]
    pub fn query(&self) -> String {
        match self {
            Self::Pod(id) => format!("?pod={id}"),
            Self::Service(id, _) | Self::Workload(id) | Self::Pods(id, _) => {
                format!("?namespace={}", id.split('/').next().unwrap_or_default())
            }
            Self::Node(_) => String::new(),
        }
    }

    /// Its namespace; none for a node.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pod(id) | Self::Service(id, _) | Self::Workload(id) | Self::Pods(id, _) => {
                id.split('/').next()
            }
            Self::Node(_) => None,
        }
    }

    /// The pods of a report that it means; none for a node, which means everything.
    #[must_use]
    pub fn pods(&self, report: &Report) -> Option<BTreeSet<String>> {
        let of = |fits: &dyn Fn(&crate::seen::report::Pod) -> bool| {
            Some(
                report
                    .pods
                    .iter()
                    .filter(|pod| fits(pod))
                    .map(crate::seen::report::Pod::id)
                    .collect(),
            )
        };
        match self {
            Self::Node(_) => None,
            Self::Pod(id) => of(&|pod| pod.id() == *id),
            Self::Service(id, ids) => {
                of(&|pod| ids.contains(&pod.id()) || pod.services.contains(id))
            }
            Self::Workload(id) => of(&|pod| pod.workload == *id),
            Self::Pods(called, ids) => {
                of(&|pod| ids.contains(&pod.id()) || pod.workload == *called)
            }
        }
    }

    /// Whether none of these reports knows any pod that is meant: then there is nothing to show, and that is no answer.
    #[must_use]
    pub(crate) fn is_unknown_to(&self, reports: &[Report]) -> bool {
        reports.iter().all(|report| self.pods(report).is_some_and(|pods| pods.is_empty()))
    }

    /// Whether a connection of one of these pods is meant: of a Service only what comes in.
    #[must_use]
    pub fn means(&self, connection: &Connection, pods: Option<&BTreeSet<String>>) -> bool {
        let owned =
            pods.is_none_or(|pods| connection.pod.as_ref().is_some_and(|pod| pods.contains(pod)));
        owned && (!matches!(self, Self::Service(..)) || connection.direction != "outbound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, Option<Kind>, String) {
        let Typed { namespace, kind, name } = Typed::parse(text).unwrap();
        (namespace, kind, name)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
    fn workload(kind: &str) -> Option<Kind> {
        Some(Kind::Workload(kind.to_owned()))
    }

    #[test]
    fn targets_are_typed_as_for_kubectl_or_copied_from_an_answer() {
        let ns = |text: &str| Some(text.to_owned());
        for (text, namespace, kind, name) in [
            ("web", None, None, "web"),
            ("deploy/web", None, workload("Deployment"), "web"),
            ("shop/web-0", ns("shop"), None, "web-0"),
            ("shop/StatefulSet/db", ns("shop"), workload("StatefulSet"), "db"),
            ("node/node1", None, Some(Kind::Node), "node1"),
            ("Node/node1", None, Some(Kind::Node), "node1"),
            ("nodeprobe.probelet.io/node1", None, Some(Kind::Node), "node1"),
            ("kube-system/Pod/etcd", ns("kube-system"), Some(Kind::Pod), "etcd"),
            ("svc shop/web", ns("shop"), Some(Kind::Service), "web"),
            ("node n1.example.com", None, Some(Kind::Node), "n1.example.com"),
            ("sts.apps/db", None, workload("StatefulSet"), "db"),
            ("deployment.v1.apps/web", None, workload("Deployment"), "web"),
            ("cj.batch/nightly.2", None, workload("CronJob"), "nightly.2"),
            ("shop/deploy.apps/web", ns("shop"), workload("Deployment"), "web"),
        ] {
            assert_eq!(parsed(text), (namespace, kind, name.to_owned()), "{text}");
        }
    }

    #[test]
    fn kinds_that_only_some_clusters_have_are_targets_too() {
        let db = Some("db".to_owned());
        assert_eq!(parsed("db/Cluster/pg"), (db.clone(), workload("Cluster"), "pg".to_owned()));
        assert_eq!(parsed("db/cluster/pg"), (db, workload("cluster"), "pg".to_owned()));
        assert_eq!(parsed("Cluster/pg"), (None, workload("Cluster"), "pg".to_owned()));
        let knative = "services.serving.knative.dev";
        assert_eq!(parsed(&format!("{knative}/web")), (None, workload(knative), "web".to_owned()));
        let long = "clusters.postgresql.cnpg.io";
        assert_eq!(parsed(&format!("{long}/pg")), (None, workload(long), "pg".to_owned()));
        for typed in ["Cluster", "cluster", "clusters", long] {
            assert!(is_kind("Cluster", typed), "{typed}");
        }
        assert!(is_kind("Proxy", "proxies") && !is_kind("Cluster", "clu"));
    }

    #[test]
    fn what_cannot_be_a_name_never_reaches_a_path() {
        for text in [
            "",
            "a/b/c/d",
            "pod/..%2f",
            "pod/a?x=1",
            "A%b",
            "A /b",
            "shop/Ba?na/x",
            "shop//x",
            "a/b?c/d",
        ] {
            assert!(Typed::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ends_that_no_one_answers_for_say_whom_to_ask_instead() {
        for text in
            ["external 10.1.2.3", "Group/office", "process sshd", "container web", "(no name)"]
        {
            let error = Typed::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("found by its node") || error.contains("at the other end"),
                "{text}: {error}"
            );
        }
        assert_eq!(parsed("group/web"), (Some("group".to_owned()), None, "web".to_owned()));
    }
}
