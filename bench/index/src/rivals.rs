//! What is done without an index, in Rust: a selector for each Service, all tried on each pod.
//!
//! In: a cluster and the truth. Out: figures, and an error when the pairs differ. I/O: the clock.

use crate::clock;
use crate::lookups::selectors;
use crate::scale::{FEW, MANY, Scale};
use crate::table::Figures;
use crate::truth::{Pairs, Truth};
use anyhow::Result;
use kube_core::{Selector, SelectorExt};
use std::collections::BTreeMap;

/// Labels as kube-rs has them.
type Map = BTreeMap<String, String>;

struct Rivals<'a> {
    scale: &'a Scale,
    pods: Vec<Map>,
    /// What each Service asks for, and the same compiled; `None` where it selects nothing.
    wanted: Vec<Option<(Map, Selector)>>,
    by_namespace: BTreeMap<&'a str, Vec<usize>>,
}

pub(crate) fn measure(scale: &Scale, truth: &Truth, figures: &mut Figures) -> Result<()> {
    let services = &scale.cluster.services;
    let wanted = services.iter().map(|service| {
        let map: Map = service.wanted()?.iter().cloned().collect();
        let selector = map.clone().into_iter().collect();
        Some((map, selector))
    });
    let mut by_namespace = BTreeMap::<_, Vec<_>>::new();
    for (place, service) in services.iter().enumerate() {
        by_namespace.entry(&*service.namespace).or_default().push(place);
    }
    let pods = scale.cluster.pods.iter().map(|pod| pod.labels.iter().cloned().collect()).collect();
    let rivals = Rivals { scale, pods, wanted: wanted.collect(), by_namespace };
    let all = scale.order.len();

    let compile = |place: usize, service: usize| {
        let map = rivals.wanted[service].as_ref().map(|(map, _)| map);
        map.is_some_and(|map| {
            map.clone().into_iter().collect::<Selector>().matches(&rivals.pods[place])
        })
    };
    let compiled = |place: usize, service: usize| {
        let selector = rivals.wanted[service].as_ref();
        selector.is_some_and(|(_, selector)| selector.matches(&rivals.pods[place]))
    };
    let own = selectors(scale)?;
    let decoded = scale.decoded();
    let pods = decoded.listed();
    let sorted = |place: usize, service: usize| {
        own[service].as_ref().is_some_and(|selector| selector.matches(pods[place].labels))
    };
    figures.set("rust compile all", rivals.everywhere(compile));
    figures.set("kube-rs all", rivals.everywhere(compiled));
    figures.set("kube-rs namespace", rivals.in_namespace(compiled));
    figures.set("scan namespace", rivals.in_namespace(sorted));
    truth.check("compile per match", FEW.min(all), rivals.pairs(FEW, compile))?;
    truth.check("kube-rs", all, rivals.pairs(all, compiled))?;
    truth.check("scan of the namespace", all, rivals.pairs(all, sorted))
}

impl Rivals<'_> {
    /// Every Service of the cluster is tried; those of other namespaces are thrown away after.
    fn everywhere(&self, matches: impl Fn(usize, usize) -> bool) -> f64 {
        let sample = self.scale.sample(FEW);
        let services = self.wanted.len();
        clock::repeated(sample.len(), || {
            let tried = sample.iter().flat_map(|place| (0..services).map(move |it| (*place, it)));
            tried.filter(|(place, service)| matches(*place, *service)).count()
        })
    }

    fn in_namespace(&self, matches: impl Fn(usize, usize) -> bool) -> f64 {
        let sample = self.scale.sample(MANY);
        clock::repeated(sample.len(), || {
            let of =
                |place: &usize| self.of_namespace(*place).filter(|it| matches(*place, *it)).count();
            sample.iter().map(of).sum::<usize>()
        })
    }

    fn of_namespace(&self, place: usize) -> impl Iterator<Item = usize> {
        let namespace = &*self.scale.cluster.pods[place].namespace;
        self.by_namespace.get(namespace).into_iter().flatten().copied()
    }

    fn pairs(&self, pods: usize, matches: impl Fn(usize, usize) -> bool) -> Pairs {
        let mut pairs = Pairs::default();
        for place in self.scale.sample(pods) {
            let pod = &self.scale.cluster.pods[*place];
            for service in self.of_namespace(*place).filter(|it| matches(*place, *it)) {
                pairs.add(&pod.namespace, &pod.name, &self.scale.cluster.services[service].name);
            }
        }
        pairs
    }
}
