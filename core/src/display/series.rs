//! What metrics call the ends of a flow: names that do not grow without bound on the other side.
//!
//! In: ids of a picture, and how its containers are shown. Out: `namespace/Kind/name`, a container's or process's own name,
//! or a word that stands for no workload and that nothing else can be called. The plugin's edges have the same names.
//!
//! Pure: no I/O.

use super::{DisplayNames, Label};
use crate::cluster::Grain;
use crate::facts::{Comm, ContainerId};
use crate::names::Name;
use crate::records::{FlowKey, Origin, Workload};
use crate::report::Picture;
use crate::text::{clean, clean_bytes};

/// What has no place of its own.
pub const OTHER: &str = "other";
/// What is outside of the node and of the cluster.
pub(crate) const EXTERNAL: &str = "external";
/// What should have a name and has none.
pub const UNRESOLVED: &str = "unresolved";
/// Labels that stand for no workload. What is called so has its kind before its name.
pub const RESERVED: [&str; 3] = [OTHER, EXTERNAL, UNRESOLVED];

/// A workload as a label: without anything that grows without bound on the other side.
#[must_use]
pub fn workload(end: Workload, labels: &DisplayNames, picture: &Picture) -> Box<str> {
    match end {
        Workload::Container(id) => in_cluster(id, picture)
            .or_else(|| labels.get(id).map(alone))
            .unwrap_or_else(|| UNRESOLVED.into()),
        Workload::Named(id) => {
            picture.name(id).map_or_else(|| UNRESOLVED.into(), |n| text(&n.label()))
        }
        Workload::Process(comm) => plain("process", &comm_name(comm)),
        Workload::External(_) => EXTERNAL.into(),
        Workload::Unresolved => UNRESOLVED.into(),
        Workload::Other => OTHER.into(),
    }
}

/// Who opened the connections of a flow, as a label.
#[must_use]
pub fn source(key: &FlowKey, labels: &DisplayNames, picture: &Picture) -> Box<str> {
    match (key.origin, key.source) {
        // It is not known to be outside.
        (Origin::Unknown, Workload::External(_)) => UNRESOLVED.into(),
        _ => workload(key.source, labels, picture),
    }
}

/// The port that answers, as a label.
#[must_use]
pub fn port(key: &FlowKey) -> Box<str> {
    if key.port == 0 { "unknown".into() } else { key.port.to_string().into() }
}

/// The namespace of what has its name from the cluster, or its pod from a runtime that serves Kubernetes: no other text that
/// looks like one is believed.
#[must_use]
pub fn namespace(workload: Workload, labels: &DisplayNames, picture: &Picture) -> Box<str> {
    let namespace = match workload {
        Workload::Container(id) => picture.pod(id).and_then(Name::namespace).or_else(|| {
            let (namespace, _) = labels.get(id)?.pod()?;
            Some(namespace)
        }),
        Workload::Named(id) => picture.name(id).and_then(Name::namespace),
        _ => None,
    };
    text(namespace.unwrap_or_default())
}

/// What a container counts for where no cluster knows its pod: the pod that its runtime names, or itself.
fn alone(label: &Label) -> Box<str> {
    match label.pod() {
        Some((namespace, name)) => text(&format!("{namespace}/Pod/{name}")),
        None => plain("container", &label.name),
    }
}

/// What a container counts for in a cluster: its pod's workload, or its pod.
fn in_cluster(id: ContainerId, picture: &Picture) -> Option<Box<str>> {
    let pod = picture.pod(id)?;
    let workload = match (pod, picture.cluster.as_ref()?.grain) {
        (Name::Pod { workload: Some(workload), .. }, Grain::Workload | Grain::Service) => {
            picture.name(*workload)
        }
        _ => None,
    };
    Some(text(&workload.unwrap_or(pod).label()))
}

/// A name that strangers choose, distinguished from the words that stand for no workload and from the names that
/// the cluster gives, all of which have a slash.
#[must_use]
pub fn plain(kind: &str, name: &str) -> Box<str> {
    if name.contains('/') || RESERVED.contains(&name) {
        return text(&format!("{kind}/{name}"));
    }
    text(name)
}

/// The text of a label: the format of metrics escapes line ends, quotes and backslashes, and nothing else that acts.
#[must_use]
pub fn text(name: &str) -> Box<str> {
    clean(name).into()
}

fn comm_name(comm: Comm) -> Box<str> {
    clean_bytes(comm.bytes()).into()
}
