//! Keeping the index up to date: every kind of event, on a full cluster.
//!
//! In: a cluster. Out: figures. What an event changes is undone before the next round.
//! I/O: the clock.

use crate::clock::{repeated, there_and_back};
use crate::cluster::{Labels, Random};
use crate::lookups::{BELOW_LIMITS, build, selectors};
use crate::scale::{MANY, Pod, Scale, cut, joined};
use crate::table::Figures;
use anyhow::{Result, ensure};
use probelet_index::selector::Selector;
use probelet_index::{Index, PodId};

/// Keys whose values a rollout makes again.
const ROLLED: [&str; 3] = ["pod-template-hash", "controller-revision-hash", "controller-uid"];

/// Services that go and come back.
const SERVICES: usize = 5_000;

struct Bench<'a> {
    scale: &'a Scale,
    pods: &'a [Pod<'a>],
    ids: Vec<PodId>,
}

pub(crate) fn measure(scale: &Scale, figures: &mut Figures) -> Result<()> {
    let selectors = selectors(scale)?;
    let decoded = scale.decoded();
    let pods = decoded.listed();
    let (mut index, ids, _) = build(scale, &pods, &selectors);
    let before = index.stats();
    let bench = Bench { scale, pods: &pods, ids };
    bench.unchanged(&mut index, figures);
    bench.pods(&mut index, figures);
    bench.services(&mut index, figures);
    let after = index.stats();
    ensure!(
        (before.classes, before.selectors, before.edges, before.pods)
            == (after.classes, after.selectors, after.edges, after.pods),
        "not everything was undone: {before:?} {after:?}"
    );
    Ok(())
}

impl Bench<'_> {
    fn upsert(&self, index: &mut Index, place: usize) -> bool {
        let pod = &self.pods[place];
        index.upsert_pod(pod.uid, pod.namespace, pod.labels).is_ok()
    }

    /// What most events of a watch are.
    fn unchanged(&self, index: &mut Index, figures: &mut Figures) {
        let order = &self.scale.order;
        let by_id = |index: &mut Index| {
            order
                .iter()
                .filter(|it| index.update_pod(self.ids[**it], self.pods[**it].labels).is_ok())
                .count()
        };
        figures.set("unchanged by id", repeated(order.len(), || by_id(index)));
        let each_uid = || order.iter().filter(|it| self.upsert(index, **it)).count();
        figures.set("unchanged by uid", repeated(order.len(), each_uid));
        let in_order = || (0..order.len()).filter(|it| self.upsert(index, *it)).count();
        figures.set("unchanged in order", repeated(order.len(), in_order));
    }

    fn pods(&self, index: &mut Index, figures: &mut Figures) {
        let sample = self.scale.sample(MANY);
        let uids: Vec<_> =
            (0..sample.len()).map(|n| format!("{n:08x}-0000-4000-8000-0000000000aa")).collect();
        let remove = |index: &mut Index| uids.iter().all(|uid| index.remove_pod(uid).is_some());
        let known: Vec<_> = sample.iter().map(|place| self.pods[*place].labels).collect();
        let rolled: Vec<_> =
            sample.iter().enumerate().map(|(n, place)| self.rolled(*place, n)).collect();
        let texts: Vec<String> = rolled.iter().map(joined).collect();
        let fresh: Vec<_> =
            rolled.iter().zip(&texts).map(|(labels, text)| cut(text, labels)).collect();
        let fresh: Vec<_> = fresh.iter().map(Vec::as_slice).collect();
        for (labels, add, gone) in
            [(&known, "add known", "remove"), (&fresh, "add new", "remove last")]
        {
            let forth = |index: &mut Index| {
                for ((place, uid), labels) in sample.iter().zip(&uids).zip(labels) {
                    let namespace = self.pods[*place].namespace;
                    index.upsert_pod(uid, namespace, labels).expect(BELOW_LIMITS);
                }
            };
            let back = |index: &mut Index| {
                remove(index);
            };
            let (there, again) = there_and_back(sample.len(), index, forth, back);
            figures.set(add, there);
            figures.set(gone, again);
        }
        let relabel = |index: &mut Index, to: &[&[(&str, &str)]]| {
            for (place, labels) in sample.iter().zip(to) {
                index.update_pod(self.ids[*place], labels).expect(BELOW_LIMITS);
            }
        };
        let (there, again) =
            there_and_back(sample.len(), index, |it| relabel(it, &fresh), |it| relabel(it, &known));
        figures.set("relabel", f64::midpoint(there, again));
    }

    /// A pod's labels after a rollout: a set that no one has had yet.
    fn rolled(&self, place: usize, n: usize) -> Labels {
        let mut labels = self.scale.cluster.pods[place].labels.clone();
        if let Some((_, value)) = labels.iter_mut().find(|(key, _)| ROLLED.contains(&&**key)) {
            *value = format!("roll{n}");
        }
        labels
    }

    fn services(&self, index: &mut Index, figures: &mut Figures) {
        let all = self.scale.cluster.services.iter();
        let mut some: Vec<_> = all.filter_map(|it| Some((it, it.wanted()?))).collect();
        Random(5).shuffle(&mut some);
        some.truncate(SERVICES);
        let remove = |index: &mut Index| {
            for (service, _) in &some {
                index.remove_owner(Some(&service.namespace), &service.name);
            }
        };
        let add = |index: &mut Index| {
            for (service, labels) in &some {
                let selector =
                    Selector::from_labels(labels.iter().map(|(key, value)| (key, value)));
                let namespace = Some(&*service.namespace);
                let selector = selector.as_ref().ok();
                index.upsert_owner(namespace, &service.name, selector, None).expect(BELOW_LIMITS);
            }
        };
        let (gone, come) = there_and_back(some.len(), index, remove, add);
        figures.set("service remove", gone);
        figures.set("service add", come);
    }
}
