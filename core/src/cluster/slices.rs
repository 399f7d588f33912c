//! Endpoints of the whole cluster: which pod and Services an address stands for.
//!
//! In: EndpointSlices as they are added, changed and deleted. Out: the endpoints at an address.
//! It must not keep more of an endpoint than that: a cluster has a hundred thousand.
//!
//! Pure: no I/O.

use super::few::MultiMap;
use super::key::{Key, Pair};
use super::objects::{Backend, EndpointSlice, OnNode, SlicePort};
use super::shares::{Shares, Space};
use super::{Dirt, address, number};
use crate::facts::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Endpoints of a cluster; at about 120 bytes each. 150,000 pods are the most that Kubernetes is
/// made for.
pub(super) const ENDPOINTS: usize = 262_144;
/// Slices of a cluster; they have a hundred endpoints each unless someone makes them by hand.
const SLICES: usize = 65_536;
/// Ports that are kept of a slice; Kubernetes takes no more.
const PORTS: usize = 100;
/// Nodes whose names are kept; 5,000 are the most that Kubernetes is made for.
const NODES: usize = 16_384;

/// Anyone who may write there is believed: a Service of all kubelets is kept there by those who scrape them.
const SYSTEM: &str = "kube-system";

/// An address of a slice.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    address: u128,
    /// The name of its pod, in the slice's namespace.
    pub(super) pod: Option<Box<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) state: State,
    /// It is its node itself, as those say who may write in the system's namespace.
    pub(super) is_node: bool,
}

/// Where the life of an endpoint stands, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It ends, and does not serve any more: the address may be another's.
    Dead,
    /// It is there, but not ready.
    Unready,
    /// It ends, and still serves.
    Serving,
    /// It serves.
    Ready,
}

impl State {
    /// All states, the best first.
    pub(super) const ALL: [Self; 4] = [Self::Ready, Self::Serving, Self::Unready, Self::Dead];

    const fn of(backend: &Backend) -> Self {
        match (backend.ready, backend.serving, backend.terminating) {
            (true, ..) => Self::Ready,
            (false, true, _) => Self::Serving,
            (false, false, false) => Self::Unready,
            (false, false, true) => Self::Dead,
        }
    }
}

/// A port of a slice, small: anyone may write a hundred of them into each of 65,536 slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    /// Of its name, which is compared with those of one Service's ports and never shown.
    name: u32,
    protocol: Protocol,
    number: u16,
}

/// A slice.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) namespace: Box<str>,
    name: Box<str>,
    pub(super) service: Box<str>,
    ports: Box<[Port]>,
    /// It says that the controller of slices wrote it.
    pub(super) managed: bool,
    /// Sorted.
    endpoints: Box<[Endpoint]>,
    seen: u32,
}

impl Known {
    /// What it has of the room of its namespace.
    fn weight(&self) -> usize {
        self.endpoints.len() + 1
    }

    /// Whether it is a Service's at all: slices of other makers (of other clusters, of networks) may have no
    /// label for one.
    pub(super) fn has_service(&self) -> bool {
        !self.service.is_empty()
    }

    /// Whether its endpoints serve this port; 0 stands for all ports.
    pub(super) fn serves(&self, protocol: Protocol, port: u16) -> bool {
        self.ports.iter().any(|p| p.protocol == protocol && (p.number == port || p.number == 0))
    }
}

/// What became of a slice that was taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upsert {
    Taken,
    NoRoom,
    /// There is room when this one, whose namespace has the most, is removed: here it is again.
    Instead(Key, Box<EndpointSlice>),
}

/// The slices.
#[derive(Debug)]
pub(super) struct Slices {
    slots: Vec<Option<Known>>,
    free: Vec<u32>,
    by_name: BTreeMap<Key, u32>,
    by_address: MultiMap<u128, (u32, u32)>,
    /// Slices by the hash of their Service; whether it is the one is looked at when asked.
    by_service: MultiMap<u64, u32>,
    nodes: BTreeSet<Arc<str>>,
    /// Endpoints of each namespace.
    shares: Shares,
    /// Ports that were left out.
    pub(super) cut: u64,
}

impl Default for Slices {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            by_address: MultiMap::default(),
            by_service: MultiMap::default(),
            nodes: BTreeSet::new(),
            shares: Shares::new(ENDPOINTS),
            cut: 0,
        }
    }
}

impl Slices {
    /// Takes in a slice, if there is space.
    pub(super) fn upsert(&mut self, slice: EndpointSlice, round: u32, dirt: &mut Dirt) -> Upsert {
        let key = (slice.namespace.clone(), slice.name.clone());
        let old = self.by_name.get(&key).copied();
        let before = old.and_then(|slot| self.slots[slot as usize].as_ref());
        let before = before.map_or(0, Known::weight);
        let weight = slice.endpoints.len() + 1;
        let full = old.is_none() && self.by_name.len() >= SLICES;
        match self.shares.space(&key.0, weight.saturating_sub(before), full) {
            Space::Free => {}
            Space::From(namespace) if namespace != key.0 => {
                return match self.last_of(&namespace) {
                    Some(other) => Upsert::Instead(other, Box::new(slice)),
                    None => Upsert::NoRoom,
                };
            }
            Space::From(_) | Space::None => {
                // What was known of it is not so any more.
                self.remove(&key.0, &key.1, dirt);
                return Upsert::NoRoom;
            }
        }
        let known = Known { seen: round, ..self.cut(slice) };
        let held = old.and_then(|slot| self.slots[slot as usize].as_mut());
        if let Some(held) = held {
            held.seen = round;
            let said = |k: &Known| (k.service.clone(), k.ports.clone(), k.managed);
            let same = said(held) == said(&known);
            if same && held.endpoints == known.endpoints {
                return Upsert::Taken;
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
        if let Some(slot) = old {
            self.unlink(slot);
        }
        let slot = old.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        self.shares.take(&known.namespace, known.weight());
        self.by_name.insert(key, slot);
        for (n, endpoint) in known.endpoints.iter().enumerate() {
            self.by_address.insert(endpoint.address, (slot, number(n)));
        }
        self.by_service.insert(hash(&known.namespace, &known.service), slot);
        self.slots[slot as usize] = Some(known);
        Upsert::Taken
    }

    /// The last slice of a namespace, by name.
    fn last_of(&self, namespace: &str) -> Option<Key> {
        let first = (Box::from(namespace), Box::from(""));
        let own = self.by_name.range(first..).take_while(|((n, _), _)| **n == *namespace);
        own.last().map(|(key, _)| key.clone())
    }

    fn cut(&mut self, slice: EndpointSlice) -> Known {
        let EndpointSlice { namespace, name, service, endpoints, mut ports, managed } = slice;
        self.cut += ports.len().saturating_sub(PORTS) as u64;
        ports.truncate(PORTS);
        let mut cut = Vec::with_capacity(endpoints.len());
        for backend in endpoints {
            let state = State::of(&backend);
            let is_node = backend.on_node == OnNode::Is && *namespace == *SYSTEM;
            // A reference to another namespace is no pod of this Service.
            let pod = backend.pod.filter(|(n, ..)| *n == namespace).map(|(_, name, _)| name);
            let node = backend.node.and_then(|node| self.node(&node));
            // What further addresses mean is undefined: anyone who uses endpoints uses the first.
            if let Some(ip) = backend.addresses.first() {
                cut.push(Endpoint { address: address(*ip), pod, node, state, is_node });
            }
        }
        cut.sort_unstable();
        cut.dedup();
        let ports = ports.into_iter().map(|SlicePort { name, protocol, port }| Port {
            name: tag(&name),
            protocol,
            number: port,
        });
        let (ports, endpoints) = (ports.collect(), cut.into());
        Known { namespace, name, service, ports, managed, endpoints, seen: 0 }
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
        let Some(slot) = self.by_name.remove(&(namespace, name) as &dyn Pair) else {
            return false;
        };
        self.unlink(slot);
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
        *self = Self { cut: self.cut, ..Self::default() };
    }

    /// Takes its endpoints out of the map.
    fn unlink(&mut self, slot: u32) {
        let Some(known) = &self.slots[slot as usize] else { return };
        for (n, endpoint) in known.endpoints.iter().enumerate() {
            self.by_address.remove(&endpoint.address, (slot, number(n)));
        }
        self.by_service.remove(&hash(&known.namespace, &known.service), slot);
        self.shares.give_back(&known.namespace, known.weight());
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

    /// The port that all slices of a Service have for a port of it, if it is one.
    pub(super) fn only_port(
        &self,
        namespace: &str,
        service: &str,
        (name, protocol): (&str, Protocol),
    ) -> Option<u16> {
        let name = tag(name);
        let slots = self.by_service.get(&hash(namespace, service)).iter();
        let slices = slots.filter_map(|&slot| self.slots.get(slot as usize)?.as_ref());
        let slices = slices.filter(|k| *k.service == *service && *k.namespace == *namespace);
        let ports = slices.flat_map(|known| &known.ports);
        let mut ports = ports.filter(|p| (p.protocol, p.name) == (protocol, name));
        let first = ports.next()?.number;
        (first > 0 && ports.all(|p| p.number == first)).then_some(first)
    }

    /// Slices.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Half of the seeded hash of a port's name.
fn tag(name: &str) -> u32 {
    (crate::hash::of(name) >> 32) as u32
}

fn hash(namespace: &str, service: &str) -> u64 {
    crate::hash::of((namespace, service))
}
