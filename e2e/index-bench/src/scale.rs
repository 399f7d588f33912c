//! The clusters that everybody is measured on.
//!
//! In: a size. Out: pods in the order in which the API server lists them, Services, and a sample
//! of pods in random order; as values, and as files for other languages. I/O: writes those files.

use crate::cluster::{Cluster, Labels, Random};
use std::fs::File;
use std::io::{BufWriter, Result, Write};
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
    /// Labels of each pod in one piece, as a decoder hands them over.
    texts: Vec<String>,
}

impl Scale {
    pub(crate) fn of(size: &Size) -> Self {
        let mut cluster = Cluster::of(size.pods, size.services, size.namespaces, SEED);
        if let Some(pods) = size.on_node {
            cluster = cluster.node(pods);
        }
        cluster.pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        // Copied in this order, so that they stand in memory as a decoder would leave them.
        let copy = cluster.pods.clone();
        cluster.pods = copy;
        let mut order: Vec<_> = (0..cluster.pods.len()).collect();
        Random(99).shuffle(&mut order);
        let texts = cluster.pods.iter().map(|pod| joined(&pod.labels)).collect();
        Self { cluster, order, texts }
    }

    /// The first `n` pods of the random order, or all.
    pub(crate) fn sample(&self, n: usize) -> &[usize] {
        &self.order[..n.min(self.order.len())]
    }

    /// Labels of every pod, borrowed from one text each.
    pub(crate) fn labels(&self) -> Vec<Vec<(&str, &str)>> {
        self.cluster
            .pods
            .iter()
            .zip(&self.texts)
            .map(|(pod, text)| cut(text, &pod.labels))
            .collect()
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
    let mut pairs = Vec::with_capacity(labels.len());
    for (key, value) in labels {
        let (front, back) = rest.split_at(key.len());
        let (middle, end) = back.split_at(value.len());
        pairs.push((front, middle));
        rest = end;
    }
    pairs
}
