//! Which Services select a pod of this node.
//!
//! In: labels of pods, selectors of Services. Out: the Services of a pod. It must not know of
//! readiness: selection is by labels alone.
//!
//! Pure: no I/O.

use super::objects::{Pod, Service};
use super::pods::PodSlot;
use super::services::ServiceSlot;
use rustc_hash::FxHashMap;

/// The selections.
#[derive(Debug)]
pub(super) struct Members {
    pods: FxHashMap<PodSlot, Pod>,
    selectors: FxHashMap<ServiceSlot, (Box<str>, Vec<(Box<str>, Box<str>)>)>,
}

impl Members {
    pub(super) fn new(_seed: u64) -> Self {
        Self { pods: FxHashMap::default(), selectors: FxHashMap::default() }
    }

    /// Takes in a Service; `false` when its selector is none that Kubernetes would accept.
    pub(super) fn upsert_service(&mut self, slot: ServiceSlot, service: &Service) -> bool {
        self.selectors.remove(&slot);
        if !service.external_name && !service.selector.is_empty() {
            self.selectors.insert(slot, (service.namespace.clone(), service.selector.clone()));
        }
        true
    }

    pub(super) fn remove_service(&mut self, slot: ServiceSlot, _service: &Service) {
        self.selectors.remove(&slot);
    }

    /// Takes in a pod.
    pub(super) fn upsert_pod(&mut self, slot: PodSlot, pod: &Pod) {
        self.pods.insert(slot, pod.clone());
    }

    pub(super) fn remove_pod(&mut self, slot: PodSlot) {
        self.pods.remove(&slot);
    }

    /// Calls `each` with every Service that selects the pod.
    pub(super) fn services_of(&self, slot: PodSlot, mut each: impl FnMut(ServiceSlot)) {
        let Some(pod) = self.pods.get(&slot) else { return };
        for (slot, (namespace, selector)) in &self.selectors {
            let has = |wanted: &(Box<str>, Box<str>)| pod.labels.contains(wanted);
            if *namespace == pod.namespace && selector.iter().all(has) {
                each(*slot);
            }
        }
    }
}
