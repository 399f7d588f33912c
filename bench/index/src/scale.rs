//! The clusters that everybody is measured on.
//!
//! In: a size. Out: pods in the order in which the API server lists them, Services, and a sample
//! of pods in random order; as values, and as files for other languages. I/O: writes those files.

use crate::cluster::{Cluster, Labels, Random};
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::ops::Range;
use std::path::Path;

pub(crate) struct Size {
    pub(crate) name: &'static str,
    pods: usize,
    services: usize,
    namespaces: usize,
    /// Only this many of the pods: what a node's agent sees.
    on_node: Option<usize>,
}

/// 150,000 pods and 10,000 Services are the limits that Kubernetes is tested with.
pub(crate) const SCALES: [Size; 5] = [
    Size { name: "S", pods: 1_000, services: 200, namespaces: 20, on_node: None },
    Size { name: "M", pods: 10_000, services: 1_500, namespaces: 100, on_node: None },
    Size { name: "L", pods: 50_000, services: 5_000, namespaces: 300, on_node: None },
    Size { name: "XL", pods: 150_000, services: 10_000, namespaces: 500, on_node: None },
    Size { name: "NODE", pods: 150_000, services: 10_000, namespaces: 500, on_node: Some(200) },
];

const SEED: u64 = 42;

/// Pods tried by what takes a millisecond for each.
pub(crate) const FEW: usize = 100;
/// Pods tried by what takes microseconds.
pub(crate) const MANY: usize = 20_000;

pub(crate) struct Scale {
    pub(crate) cluster: Cluster,
    /// Places of all pods, in random order.
    pub(crate) order: Vec<usize>,
    /// What each pod is known by and its labels, one after the other, as the API server's answer has them.
    text: String,
}

impl Scale {
    pub(crate) fn of(size: &Size) -> Self {
        let mut cluster = Cluster::of(size.pods, size.services, size.namespaces, SEED);
        if let Some(pods) = size.on_node {
            cluster = cluster.node(pods);
        }
        cluster.pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let mut order: Vec<_> = (0..cluster.pods.len()).collect();
        Random(99).shuffle(&mut order);
        let mut text = String::new();
        for pod in &cluster.pods {
            text.extend([&*pod.uid, &pod.namespace, &pod.name, &joined(&pod.labels)]);
        }
        Self { cluster, order, text }
    }

    /// The first `n` pods of the random order, or all.
    pub(crate) fn sample(&self, n: usize) -> &[usize] {
        &self.order[..n.min(self.order.len())]
    }

    /// The list of all pods, decoded in place.
    pub(crate) fn decoded(&self) -> Decoded<'_> {
        let mut rest = &*self.text;
        let mut decoded = Decoded::default();
        for pod in &self.cluster.pods {
            let known_by =
                [&pod.uid, &pod.namespace, &pod.name].map(|it| front(&mut rest, it.len()));
            let first = decoded.labels.len();
            decoded.labels.extend(pairs(&mut rest, &pod.labels));
            decoded.pods.push((known_by, first..decoded.labels.len()));
        }
        decoded
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let file = |name| File::create(folder.join(name)).map(BufWriter::new);
        let mut out = file("pods.tsv")?;
        for pod in &self.cluster.pods {
            let labels = spell(&pod.labels);
            writeln!(out, "{}\t{}\t{}\t{labels}", pod.namespace, pod.name, pod.uid)?;
        }
        let mut out = file("services.tsv")?;
        for service in &self.cluster.services {
            let kind = if service.external { "ExternalName" } else { "ClusterIP" };
            let selector = service.selector.as_ref().map_or("-".into(), spell);
            writeln!(out, "{}\t{}\t{kind}\t{selector}", service.namespace, service.name)?;
        }
        let mut out = file("order.tsv")?;
        self.order.iter().try_for_each(|place| writeln!(out, "{place}"))
    }
}

/// A pod of the list.
pub(crate) struct Pod<'a> {
    pub(crate) uid: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) labels: &'a [(&'a str, &'a str)],
}

/// A list of pods that borrows from its text.
#[derive(Default)]
pub(crate) struct Decoded<'a> {
    /// UID, namespace and name of each, and where its labels are.
    pods: Vec<([&'a str; 3], Range<usize>)>,
    labels: Vec<(&'a str, &'a str)>,
}

impl Decoded<'_> {
    /// Each with its labels.
    pub(crate) fn listed(&self) -> Vec<Pod<'_>> {
        let pods = self.pods.iter();
        let listed = pods.map(|([uid, namespace, name], range)| Pod {
            uid,
            namespace,
            name,
            labels: &self.labels[range.clone()],
        });
        listed.collect()
    }
}

fn spell(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// All keys and values in one piece.
pub(crate) fn joined(labels: &Labels) -> String {
    labels.iter().flat_map(|(key, value)| [&**key, &**value]).collect()
}

/// Pairs as slices of `text`, which is all of them joined.
pub(crate) fn cut<'a>(text: &'a str, labels: &Labels) -> Vec<(&'a str, &'a str)> {
    let mut rest = text;
    pairs(&mut rest, labels).collect()
}

/// Pairs as slices from the front of `rest`.
fn pairs<'a>(rest: &mut &'a str, labels: &Labels) -> impl Iterator<Item = (&'a str, &'a str)> {
    labels.iter().map(|(key, value)| (front(rest, key.len()), front(rest, value.len())))
}

fn front<'a>(rest: &mut &'a str, len: usize) -> &'a str {
    let (front, back) = rest.split_at(len);
    *rest = back;
    front
}
