//! The first list: many pods at once.
//!
//! In: pods, best in the order in which the API server lists them. Out: the same as from one
//! [`Index::upsert_pod`] after another, sooner: the tables get their final size at once, and pods
//! of one workload, which stand next to each other in a list, have their labels compared with the
//! neighbour's instead of hashed and looked up. Six of seven pods of a large cluster do, and what
//! they compare with is in the processor's cache already. Nothing is prefetched: stable Rust has no
//! way to ask for that without `unsafe`.
//!
//! Pure: no I/O.

use super::identity::Identity;
use super::observe::Observe;
use super::{Change, Index, PodId, Refused};

/// A pod of a list.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a, K, V> {
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`, best ascending by key.
    pub labels: &'a [(K, V)],
}

impl<O: Observe> Index<O> {
    /// Adds or updates pods, and tells `each` what became of every one, in order.
    pub fn upsert_pods<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        pods: &[Listed<'_, K, V>],
        mut each: impl FnMut(Result<(PodId, Change), Refused>),
    ) {
        self.reserve_pods(pods.len());
        let mut neighbour = None;
        for pod in pods {
            let result = match neighbour.and_then(|id| self.add_beside(id, pod)) {
                Some(result) => result,
                None => self.upsert_pod(pod.uid, pod.namespace, pod.name, pod.labels),
            };
            if let Ok((id, _)) = result {
                neighbour = Some(id);
            }
            each(result);
        }
    }

    /// Adds a pod to the class of a neighbour, if it is new and has the same labels.
    fn add_beside<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        neighbour: PodId,
        pod: &Listed<'_, K, V>,
    ) -> Option<Result<(PodId, Change), Refused>> {
        let class = self.class_with(neighbour, pod.namespace, pod.labels)?;
        let identity = Identity::of(self.keyed, pod.uid, pod.name)?;
        if self.find_identity(identity).is_some() {
            return None;
        }
        Some(self.add_pod(self.classes.slots[class].space, class, identity))
    }
}
