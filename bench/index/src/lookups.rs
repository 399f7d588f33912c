//! Building the index, and asking it.
//!
//! In: a cluster. Out: figures, and the truth that everybody else is held to. I/O: the clock.

use crate::clock;
use crate::scale::{FEW, MANY, Pod, Scale};
use crate::table::Figures;
use crate::truth::{Pairs, Truth};
use anyhow::{Result, ensure};
use probelet_index::selector::Selector;
use probelet_index::{Index, OwnerId, PodId};

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

fn add_services(index: &mut Index, scale: &Scale, selectors: &[Option<Selector>]) -> Vec<OwnerId> {
    let services = scale.cluster.services.iter().zip(selectors);
    let owners = services.map(|(service, selector)| {
        let namespace = Some(&*service.namespace);
        let added = index.upsert_owner(namespace, &service.name, selector.as_ref(), None);
        added.expect(BELOW_LIMITS).0
    });
    owners.collect()
}

/// All of a cluster, and the ids of its pods and of its Services in the order of the cluster.
pub(crate) fn build(
    scale: &Scale,
    pods: &[Pod<'_>],
    selectors: &[Option<Selector>],
) -> (Index, Vec<PodId>, Vec<OwnerId>) {
    let mut index = Index::new(0x5eed);
    let owners = add_services(&mut index, scale, selectors);
    let ids = pods
        .iter()
        .map(|pod| index.upsert_pod(pod.uid, pod.namespace, pod.labels).expect(BELOW_LIMITS).0);
    let ids = ids.collect();
    (index, ids, owners)
}

pub(crate) fn measure(scale: &Scale, figures: &mut Figures) -> Result<Truth> {
    let selectors = selectors(scale)?;
    let decoded = scale.decoded();
    let pods = decoded.listed();
    figures.set("build", clock::milliseconds(|| build(scale, &pods, &selectors)));
    let (index, ids, owners) = build(scale, &pods, &selectors);
    ensure!(ids.len() == scale.cluster.pods.len(), "pods were refused");
    memory(&index, figures);

    let random: Vec<_> = scale.order.iter().map(|place| ids[*place]).collect();
    let sum = |pods: &[PodId]| -> u64 {
        pods.iter().flat_map(|pod| index.owners_of(*pod)).map(|owner| u64::from(owner.get())).sum()
    };
    figures.set("owners_of", clock::repeated(random.len(), || sum(&random)));
    let pods_of = || -> u64 {
        owners.iter().flat_map(|owner| index.pods_of(*owner)).map(|pod| u64::from(pod.get())).sum()
    };
    let pairs = owners.iter().map(|owner| index.pods_of(*owner).count()).sum();
    figures.set("pods_of", clock::repeated(pairs, pods_of));
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
