//! What `conns`, `procs` and `netpol` are about: a pod, a Service, a workload or a node.
//!
//! In: what was typed, in any of the ways that people know. Out: a [`Target`], and which pods of a report it means. Pure:
//! values only.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::ask::Error;
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
    /// One pod.
    Pod,
    /// The pods behind a Service.
    Service,
    /// The pods of a workload of this kind, as in `Deployment`.
    Workload(&'static str),
    /// Everything on a node.
    Node,
}

/// A target that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// `namespace/name`.
    Pod(String),
    /// `namespace/name`.
    Service(String),
    /// `namespace/Kind/name`; with `*` for a kind that is not known yet.
    Workload(String),
    /// Its name.
    Node(String),
}

const KINDS: [(&[&str], Kind); 9] = [
    (&["pod", "pods", "po"], Kind::Pod),
    (&["service", "services", "svc"], Kind::Service),
    (&["node", "nodes", "no"], Kind::Node),
    (&["deployment", "deployments", "deploy"], Kind::Workload("Deployment")),
    (&["statefulset", "statefulsets", "sts"], Kind::Workload("StatefulSet")),
    (&["daemonset", "daemonsets", "ds"], Kind::Workload("DaemonSet")),
    (&["replicaset", "replicasets", "rs"], Kind::Workload("ReplicaSet")),
    (&["job", "jobs"], Kind::Workload("Job")),
    (&["cronjob", "cronjobs", "cj"], Kind::Workload("CronJob")),
];

impl Typed {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let words: Vec<&str> = text.split('/').collect();
        let kind = |word: &str| {
            let word = word.to_ascii_lowercase();
            KINDS.into_iter().find(|(names, _)| names.contains(&word.as_str())).map(|(_, k)| k)
        };
        let known = |word: &str| {
            kind(word).ok_or_else(|| {
                let names: Vec<&str> = KINDS.iter().map(|(names, _)| names[0]).collect();
                usage(
                    text,
                    &format!("{word} is no kind that can be asked for: {}", names.join(", ")),
                )
            })
        };
        let (namespace, kind, name) = match words.as_slice() {
            [name] => (None, None, *name),
            [first, name] => match kind(first) {
                Some(kind) => (None, Some(kind), *name),
                None => (Some(*first), None, *name),
            },
            [namespace, word, name] => (Some(*namespace), Some(known(word)?), *name),
            _ => return Err(usage(text, "there are too many slashes")),
        };
        for word in namespace.iter().chain([&name]) {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            if word.is_empty() || !word.bytes().all(fits) {
                return Err(usage(text, "names have small letters, digits, dashes and dots"));
            }
        }
        Ok(Self { namespace: namespace.map(str::to_owned), kind, name: name.to_owned() })
    }
}

fn usage(text: &str, why: &str) -> Error {
    Error::Usage {
        what: format!("`{text}` is not understood: {why}"),
        next: "give NAME, pod/NAME, svc/NAME, deploy/NAME, node/NAME or NAMESPACE/KIND/NAME"
            .to_owned(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(id) => write!(f, "pod {id}"),
            Self::Service(id) => write!(f, "Service {id}"),
            Self::Workload(id) => write!(f, "{id}"),
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
            Self::Service(id) | Self::Workload(id) => {
                format!("?namespace={}", id.split('/').next().unwrap_or_default())
            }
            Self::Node(_) => String::new(),
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
            Self::Pod(id) => Some(BTreeSet::from([id.clone()])),
            Self::Service(id) => of(&|pod| pod.services.contains(id)),
            Self::Workload(id) => of(&|pod| is_workload(&pod.workload, id)),
        }
    }

    /// Whether a connection of one of these pods is meant: of a Service only what comes in.
    #[must_use]
    pub fn means(&self, connection: &Connection, pods: Option<&BTreeSet<String>>) -> bool {
        let owned =
            pods.is_none_or(|pods| connection.pod.as_ref().is_some_and(|pod| pods.contains(pod)));
        owned && (!matches!(self, Self::Service(_)) || connection.direction != "outbound")
    }
}

/// Whether a workload is the one that is meant, of whatever kind if that is `*`.
fn is_workload(workload: &str, wanted: &str) -> bool {
    match wanted.split_once("/*/") {
        Some((namespace, name)) => {
            let mut words = workload.splitn(3, '/');
            (words.next(), words.nth(1)) == (Some(namespace), Some(name))
        }
        None => workload == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, Option<Kind>, String) {
        let Typed { namespace, kind, name } = Typed::parse(text).unwrap();
        (namespace, kind, name)
    }

    #[test]
    fn targets_are_typed_as_for_kubectl_or_copied_from_an_answer() {
        let ns = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("web"), (None, None, "web".to_owned()));
        assert_eq!(
            parsed("deploy/web"),
            (None, Some(Kind::Workload("Deployment")), "web".to_owned())
        );
        assert_eq!(parsed("shop/web-0"), (ns("shop"), None, "web-0".to_owned()));
        assert_eq!(
            parsed("shop/StatefulSet/db"),
            (ns("shop"), Some(Kind::Workload("StatefulSet")), "db".to_owned())
        );
        assert_eq!(parsed("node/node1"), (None, Some(Kind::Node), "node1".to_owned()));
    }

    #[test]
    fn what_cannot_be_a_name_never_reaches_a_path() {
        for text in ["", "a/b/c/d", "pod/..%2f", "pod/a?x=1", "A b", "shop/Banana/x"] {
            assert!(Typed::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_workload_of_any_kind_is_found_by_its_name() {
        assert!(is_workload("shop/Deployment/web", "shop/*/web"));
        assert!(!is_workload("shop/Deployment/web2", "shop/*/web"));
        assert!(is_workload("shop/Deployment/web", "shop/Deployment/web"));
        assert!(!is_workload("shop/StatefulSet/web", "shop/Deployment/web"));
    }
}
