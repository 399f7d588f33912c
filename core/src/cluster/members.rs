//! Which Services select a pod of this node: the label index, in the words of this module.
//!
//! In: labels of pods, selectors of Services. Out: the Services of a pod. It must not know of
//! readiness: selection is by labels alone.
//!
//! Pure: no I/O.

use super::objects::{Pod, Service};
use super::pods::{PODS, PodSlot};
use super::services::{SERVICES, ServiceSlot};
use crate::index::{Index, Limits, PodId};
use crate::selector::Selector;

/// Label sets: one a pod at worst.
const LIMITS: Limits =
    Limits { pods: PODS, owners: SERVICES, classes: PODS, namespaces: SERVICES + PODS };

/// The selections.
#[derive(Debug)]
pub(super) struct Members {
    index: Index,
    /// The index's id of each pod, by its place.
    pods: Vec<Option<PodId>>,
    /// The place of each Service, by the index's id.
    services: Vec<ServiceSlot>,
}

impl Members {
    pub(super) fn new(seed: u64) -> Self {
        let index = Index::with_limits(seed, LIMITS);
        Self { index, pods: Vec::new(), services: Vec::new() }
    }

    /// Takes in a Service; `false` when its selector is none that Kubernetes would accept. A
    /// Service without a selector selects nothing, and neither does one with an empty one.
    pub(super) fn upsert_service(&mut self, slot: ServiceSlot, service: &Service) -> bool {
        let scope = Some(&*service.namespace);
        if service.external_name || service.selector.is_empty() {
            self.index.remove_owner(scope, &service.name);
            return true;
        }
        let pairs = service.selector.iter().map(|(key, value)| (&**key, &**value));
        let selected = Selector::from_labels(pairs).ok().and_then(|selector| {
            self.index.upsert_owner(scope, &service.name, Some(&selector), None).ok()
        });
        let Some((id, _)) = selected else {
            self.index.remove_owner(scope, &service.name);
            return false;
        };
        let at = id.get() as usize;
        if self.services.len() <= at {
            self.services.resize(at + 1, ServiceSlot::MAX);
        }
        self.services[at] = slot;
        true
    }

    pub(super) fn remove_service(&mut self, service: &Service) {
        self.index.remove_owner(Some(&*service.namespace), &service.name);
    }

    /// Takes in a pod; `false` when there is no room for it.
    pub(super) fn upsert_pod(&mut self, slot: PodSlot, pod: &Pod) -> bool {
        let at = slot as usize;
        if self.pods.len() <= at {
            self.pods.resize(at + 1, None);
        }
        let known = self.index.upsert_pod(&pod.uid, &pod.namespace, &pod.labels);
        self.pods[at] = known.ok().map(|(id, _)| id);
        self.pods[at].is_some()
    }

    pub(super) fn remove_pod(&mut self, slot: PodSlot, uid: &str) {
        self.index.remove_pod(uid);
        if let Some(id) = self.pods.get_mut(slot as usize) {
            *id = None;
        }
    }

    /// Calls `each` with every Service that selects the pod.
    pub(super) fn services_of(&self, slot: PodSlot, each: impl FnMut(ServiceSlot)) {
        let Some(&Some(id)) = self.pods.get(slot as usize) else { return };
        let places = self.index.owners_of(id).map(|owner| owner.get() as usize);
        places.filter_map(|at| self.services.get(at).copied()).for_each(each);
    }
}
