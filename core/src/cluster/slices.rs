//! Endpoints of the whole cluster: which pod and Services an address stands for.
//!
//! In: EndpointSlices as they are added, changed and deleted. Out: the endpoints at an address.
//! It must not keep more of an endpoint than that: a cluster has a hundred thousand.
//!
//! Pure: no I/O.

use super::few::MultiMap;
use super::objects::Slice;
use super::services::Key;
use super::{Dirt, address, number};
use crate::facts::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Endpoints of a cluster; at about 120 bytes each. 150,000 pods are the most that Kubernetes is
/// made for.
pub(super) const ENDPOINTS: usize = 262_144;
/// Nodes whose names are kept; 5,000 are the most that Kubernetes is made for.
const NODES: usize = 16_384;

/// An address of a slice.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    address: u128,
    /// The name of its pod, in the slice's namespace.
    pub(super) pod: Option<Box<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) ready: bool,
}

/// A slice.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) namespace: Box<str>,
    name: Box<str>,
    pub(super) service: Box<str>,
    ports: Box<[(Protocol, u16)]>,
    /// Sorted.
    endpoints: Box<[Endpoint]>,
    seen: u32,
}

impl Known {
    /// Whether its endpoints serve this port; 0 stands for all ports.
    pub(super) fn serves(&self, protocol: Protocol, port: u16) -> bool {
        self.ports.iter().any(|&(p, n)| p == protocol && (n == port || n == 0))
    }
}

/// The slices.
#[derive(Debug, Default)]
pub(super) struct Slices {
    slots: Vec<Option<Known>>,
    free: Vec<u32>,
    by_name: BTreeMap<Key, u32>,
    by_address: MultiMap<u128, (u32, u32)>,
    /// Slices by the hash of their Service; whether it is the one is looked at when asked.
    by_service: MultiMap<u64, u32>,
    nodes: BTreeSet<Arc<str>>,
    endpoints: usize,
}

impl Slices {
    /// Takes in a slice; `None` when there is no room for it, else whether anything changed.
    pub(super) fn upsert(&mut self, slice: Slice, round: u32, dirt: &mut Dirt) -> Option<bool> {
        let mut known = self.cut(slice);
        known.seen = round;
        let key = (known.namespace.clone(), known.name.clone());
        let old = self.by_name.get(&key).copied();
        let held = old.and_then(|slot| self.slots[slot as usize].as_mut());
        if let Some(held) = held {
            held.seen = round;
            let same = (&held.service, &held.ports) == (&known.service, &known.ports);
            if same && held.endpoints == known.endpoints {
                return Some(false);
            }
            // Only what differs is news, unless what differs is said of all.
            let news = |a: &[Endpoint], b: &[Endpoint], dirt: &mut Dirt| {
                for endpoint in a.iter().filter(|e| !same || b.binary_search(e).is_err()) {
                    dirt.address(endpoint.address);
                }
            };
            news(&held.endpoints, &known.endpoints, dirt);
            news(&known.endpoints, &held.endpoints, dirt);
        } else {
            known.endpoints.iter().for_each(|e| dirt.address(e.address));
        }
        let before = old.map_or(0, |slot| self.unlink(slot));
        if self.endpoints - before + known.endpoints.len() > ENDPOINTS {
            self.endpoints -= before;
            self.by_name.remove(&key);
            if let Some(slot) = old {
                self.slots[slot as usize] = None;
                self.free.push(slot);
            }
            return None;
        }
        self.endpoints = self.endpoints - before + known.endpoints.len();
        let slot = old.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        self.by_name.insert(key, slot);
        for (n, endpoint) in known.endpoints.iter().enumerate() {
            self.by_address.insert(endpoint.address, (slot, number(n)));
        }
        self.by_service.insert(hash(&known.namespace, &known.service), slot);
        self.slots[slot as usize] = Some(known);
        Some(true)
    }

    fn cut(&mut self, slice: Slice) -> Known {
        let Slice { namespace, name, service, endpoints, ports } = slice;
        let mut cut = Vec::with_capacity(endpoints.len());
        for backend in endpoints {
            // A reference to another namespace is no pod of this Service.
            let pod = backend.pod.filter(|(n, ..)| *n == namespace).map(|(_, name, _)| name);
            let node = backend.node.and_then(|node| self.node(&node));
            for ip in backend.addresses {
                let (pod, node) = (pod.clone(), node.clone());
                cut.push(Endpoint { address: address(ip), pod, node, ready: backend.ready });
            }
        }
        cut.sort_unstable();
        cut.dedup();
        let (ports, endpoints) = (ports.into(), cut.into());
        Known { namespace, name, service, ports, endpoints, seen: 0 }
    }

    fn node(&mut self, name: &str) -> Option<Arc<str>> {
        if let Some(node) = self.nodes.get(name) {
            return Some(Arc::clone(node));
        }
        if self.nodes.len() >= NODES {
            self.nodes.retain(|node| Arc::strong_count(node) > 1);
        }
        if self.nodes.len() >= NODES {
            return None;
        }
        let node: Arc<str> = name.into();
        self.nodes.insert(Arc::clone(&node));
        Some(node)
    }

    /// Forgets a slice.
    pub(super) fn remove(&mut self, namespace: &str, name: &str, dirt: &mut Dirt) -> bool {
        let Some(slot) = self.by_name.remove(&(namespace.into(), name.into())) else {
            return false;
        };
        self.endpoints -= self.unlink(slot);
        if let Some(known) = self.slots[slot as usize].take() {
            known.endpoints.iter().for_each(|e| dirt.address(e.address));
        }
        self.free.push(slot);
        true
    }

    /// Names of those that the list of this round did not name.
    pub(super) fn missing(&self, round: u32) -> Vec<Key> {
        let known = self.slots.iter().flatten().filter(|known| known.seen != round);
        known.map(|k| (k.namespace.clone(), k.name.clone())).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes its endpoints out of the map; how many.
    fn unlink(&mut self, slot: u32) -> usize {
        let Some(known) = &self.slots[slot as usize] else { return 0 };
        for (n, endpoint) in known.endpoints.iter().enumerate() {
            self.by_address.remove(&endpoint.address, (slot, number(n)));
        }
        self.by_service.remove(&hash(&known.namespace, &known.service), slot);
        known.endpoints.len()
    }

    /// The endpoints at an address, with their slices.
    pub(super) fn at(&self, address: u128) -> impl Iterator<Item = (&Known, &Endpoint)> + '_ {
        self.by_address.get(&address).iter().filter_map(|&(slot, n)| {
            let known = self.slots.get(slot as usize)?.as_ref()?;
            Some((known, known.endpoints.get(n as usize)?))
        })
    }

    /// Calls `each` with every address of a Service's endpoints.
    pub(super) fn each_address_of(&self, namespace: &str, service: &str, each: impl FnMut(u128)) {
        let slots = self.by_service.get(&hash(namespace, service)).iter();
        let slices = slots.filter_map(|&slot| self.slots.get(slot as usize)?.as_ref());
        let slices = slices.filter(|k| *k.service == *service && *k.namespace == *namespace);
        slices.flat_map(|known| &known.endpoints).map(|e| e.address).for_each(each);
    }

    /// Slices.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

fn hash(namespace: &str, service: &str) -> u64 {
    crate::hash::of((namespace, service))
}
