//! Building the index, and asking it.
//!
//! In: a cluster. Out: figures, and the truth that everybody else is held to. I/O: the clock.

use crate::clock;
use crate::scale::{FEW, MANY, Pod, Scale};
use crate::table::Figures;
use crate::truth::{Pairs, Truth};
use anyhow::{Result, ensure};
use probelet_index::selector::Selector;
use probelet_index::{Index, PodId};

/// Why nothing here is refused.
pub(crate) const BELOW_LIMITS: &str = "the clusters are far below the index's limits";

/// The selector of every Service; `None` for one that selects nothing.
pub(crate) fn selectors(scale: &Scale) -> Result<Vec<Option<Selector>>> {
    let services = scale.cluster.services.iter();
    let selectors = services.map(|service| {
        service.wanted().map(|labels| Selector::from_labels(labels.iter().map(|(k, v)| (k, v))))
    });
    Ok(selectors.map(Option::transpose).collect::<Result<_, _>>()?)
}

pub(crate) fn add_services(index: &mut Index, scale: &Scale, selectors: &[Option<Selector>]) {
    for (service, selector) in scale.cluster.services.iter().zip(selectors) {
        let namespace = Some(&*service.namespace);
        index.upsert_owner(namespace, &service.name, selector.as_ref(), None).expect(BELOW_LIMITS);
    }
}

/// All of a cluster, and the ids of its pods in the order of the cluster.
pub(crate) fn build(
    scale: &Scale,
    pods: &[Pod<'_>],
    selectors: &[Option<Selector>],
) -> (Index, Vec<PodId>) {
    let mut index = Index::new(0x5eed);
    add_services(&mut index, scale, selectors);
    let mut ids = Vec::with_capacity(pods.len());
    index.upsert_pods(pods, |result| ids.extend(result.map(|(id, _)| id)));
    (index, ids)
}

pub(crate) fn measure(scale: &Scale, figures: &mut Figures) -> Result<Truth> {
    let selectors = selectors(scale)?;
    let decoded = scale.decoded();
    let pods = decoded.listed();
    figures.set("build list", clock::milliseconds(|| build(scale, &pods, &selectors)));
    figures.set("build single", clock::milliseconds(|| one_by_one(scale, &pods, &selectors)));
    let (index, ids) = build(scale, &pods, &selectors);
    ensure!(ids.len() == scale.cluster.pods.len(), "pods were refused");
    memory(&index, figures);

    let random: Vec<_> = scale.order.iter().map(|place| ids[*place]).collect();
    let sum = |pods: &[PodId]| -> u64 {
        pods.iter().flat_map(|pod| index.owners_of(*pod)).map(|owner| u64::from(owner.get())).sum()
    };
    figures.set("owners_of", clock::repeated(random.len(), || sum(&random)));
    let by_class = || {
        let mut pairs = 0;
        index.each_class(|owners, pods| pairs += owners.count() * pods.len());
        pairs
    };
    figures.set("by class", clock::repeated(random.len(), by_class));
    let owners: Vec<_> = scale
        .cluster
        .services
        .iter()
        .filter_map(|service| index.find_owner(Some(&service.namespace), &service.name))
        .collect();
    let pods_of = || -> u64 {
        owners.iter().flat_map(|owner| index.pods_of(*owner)).map(|pod| u64::from(pod.get())).sum()
    };
    figures.set("pods_of", clock::repeated(by_class(), pods_of));
    let sample = scale.sample(MANY);
    let mut out = Vec::new();
    let mut ad_hoc = || {
        for place in sample {
            out.clear();
            index.match_labels(pods[*place].namespace, pods[*place].labels, &mut out);
        }
        out.len()
    };
    figures.set("match_labels", clock::repeated(sample.len(), &mut ad_hoc));
    truth(scale, &pods, &index, &random)
}

fn one_by_one(scale: &Scale, pods: &[Pod<'_>], selectors: &[Option<Selector>]) -> Index {
    let mut index = Index::new(0x5eed);
    add_services(&mut index, scale, selectors);
    for pod in pods {
        index.upsert_pod(pod.uid, pod.namespace, pod.name, pod.labels).expect(BELOW_LIMITS);
    }
    index
}

#[allow(clippy::cast_precision_loss, reason = "ratios")]
fn memory(index: &Index, figures: &mut Figures) {
    let stats = index.stats();
    figures.set("classes", stats.classes as f64);
    figures.set("bytes per pod", stats.bytes as f64 / stats.pods as f64);
    figures.set("bytes per service", stats.bytes as f64 / stats.owners as f64);
    let counts = stats.counts;
    figures.set("candidates", counts.candidates as f64 / counts.new_classes as f64);
}

/// What the index says of every pod, by its edges and by matching its labels again.
fn truth(scale: &Scale, pods: &[Pod<'_>], index: &Index, random: &[PodId]) -> Result<Truth> {
    let mut truth = Truth::default();
    let (mut kept, mut again) = (Pairs::default(), Pairs::default());
    let mut out = Vec::new();
    for (i, (place, id)) in scale.order.iter().zip(random).enumerate() {
        let pod = &pods[*place];
        out.clear();
        index.match_labels(pod.namespace, pod.labels, &mut out);
        for (owners, pairs) in
            [(&index.owners_of(*id).collect::<Vec<_>>(), &mut kept), (&out, &mut again)]
        {
            for (_, service) in owners.iter().filter_map(|owner| index.owner(*owner)) {
                pairs.add(pod.namespace, pod.name, service);
            }
        }
        if [FEW, MANY, random.len()].contains(&(i + 1)) {
            truth.by_pods.insert(i + 1, kept);
        }
    }
    ensure!(kept == again, "owners_of gives {kept:?}, match_labels {again:?}");
    Ok(truth)
}
