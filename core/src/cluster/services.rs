//! Services: by each address that clients connect to.
//!
//! In: Services as they are added, changed and deleted. Out: the Service of an address and port.
//! It must not name one by an address and port that two have, nor ever by an ExternalName. Addresses
//! and ports of a Service are two lists, and never a table of all pairs.
//!
//! Pure: no I/O.

use super::few::MultiMap;
use super::key::{Key, Pair};
use super::objects::Service;
use super::shares::{Shares, Space};
use super::{Dirt, address, number};
use crate::facts::Protocol;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The Service of the API server: namespace and name.
pub(super) const API_SERVER: [&str; 2] = ["default", "kubernetes"];
/// Services of a cluster; at about 600 bytes each. The largest clusters have 10,000.
pub(super) const SERVICES: usize = 32_768;

/// Bytes of all Services together: those of the largest clusters twice over.
const BYTES: usize = 16 << 20;
/// Addresses of each kind, and ports, that are kept of one Service. Kubernetes has no bound of its
/// own; who opens more than a few hundred ports wants a range.
const EACH: usize = 256;
/// Bytes of one Service's selector; each of its pairs takes 380 at most.
const SELECTOR: usize = 8192;
/// Services that are kept by one outside address: a load balancer has 50 listeners.
const SHARERS: usize = 64;

/// Place of a Service; reused.
pub(super) type ServiceSlot = u32;

#[derive(Debug)]
pub(super) struct Known {
    pub(super) service: Service,
    bytes: usize,
    seen: u32,
}

/// What became of a Service that was taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upsert {
    Same,
    Changed(ServiceSlot),
    NoRoom,
    /// There is when this one, whose namespace has the most, is removed.
    Instead(Key),
}

/// The Services at an address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    NoOne,
    One(ServiceSlot),
    /// One too many.
    Several,
}

impl At {
    fn of(mut services: impl Iterator<Item = ServiceSlot>) -> Self {
        match (services.next(), services.next()) {
            (None, _) => Self::NoOne,
            (Some(one), None) => Self::One(one),
            _ => Self::Several,
        }
    }
}

/// The Services.
#[derive(Debug)]
pub(super) struct Services {
    slots: Vec<Option<Known>>,
    free: Vec<ServiceSlot>,
    by_name: BTreeMap<Key, ServiceSlot>,
    /// Cluster addresses, which are a Service's alone whatever the port.
    by_cluster: MultiMap<u128, ServiceSlot>,
    /// Load balancer addresses, which Services may share port by port.
    by_outside: MultiMap<u128, ServiceSlot>,
    /// The addresses that Services say are theirs.
    by_external: MultiMap<u128, ServiceSlot>,
    by_node_port: MultiMap<(Protocol, u16), ServiceSlot>,
    shares: Shares,
    /// Addresses, ports and selectors that were left out.
    pub(super) cut: u64,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            by_cluster: MultiMap::default(),
            by_outside: MultiMap::default(),
            by_external: MultiMap::default(),
            by_node_port: MultiMap::default(),
            shares: Shares::new(BYTES),
            cut: 0,
        }
    }
}

/// What a Service takes, with its entries in the maps.
fn bytes(service: &Service) -> usize {
    let pairs = service.selector.iter().map(|(key, value)| key.len() + value.len() + 32);
    let texts = service.namespace.len() + service.name.len() + service.uid.len();
    let ips = service.cluster_ips.len() + service.outside_ips.len() + service.external_ips.len();
    let ports = service.ports.iter().map(|port| port.name.len() + 48);
    300 + 2 * texts + pairs.sum::<usize>() + ips * 64 + ports.sum::<usize>()
}

/// Leaves of a Service what there is space for; how much that was not.
fn cut(service: &mut Service) -> u64 {
    let mut gone = 0;
    for ips in [&mut service.cluster_ips, &mut service.outside_ips, &mut service.external_ips] {
        gone += ips.len().saturating_sub(EACH);
        ips.truncate(EACH);
        ips.shrink_to_fit();
    }
    gone += service.ports.len().saturating_sub(EACH);
    service.ports.truncate(EACH);
    service.ports.shrink_to_fit();
    let pairs = service.selector.iter().map(|(key, value)| key.len() + value.len());
    if pairs.sum::<usize>() > SELECTOR {
        // Half a selector would select what it must not.
        service.selector = Vec::new();
        gone += 1;
    }
    gone as u64
}

impl Services {
    pub(super) fn upsert(&mut self, service: &mut Service, round: u32, dirt: &mut Dirt) -> Upsert {
        let gone = cut(service);
        let key = (service.namespace.clone(), service.name.clone());
        let old = self.by_name.get(&key).copied();
        if let Some(known) = old.and_then(|slot| self.slots[slot as usize].as_mut())
            && known.service == *service
        {
            known.seen = round;
            return Upsert::Same;
        }
        let bytes = bytes(service);
        let before = old.and_then(|slot| self.slots[slot as usize].as_ref()).map_or(0, |k| k.bytes);
        let full = old.is_none() && self.by_name.len() >= SERVICES;
        match self.shares.space(&key.0, bytes.saturating_sub(before), full) {
            Space::Free => {}
            Space::From(namespace) if namespace != key.0 => {
                if let Some(key) = self.last_of(&namespace) {
                    return Upsert::Instead(key);
                }
                return Upsert::NoRoom;
            }
            Space::From(_) | Space::None => return Upsert::NoRoom,
        }
        self.cut += gone;
        let slot = if let Some(slot) = old {
            self.unlink(slot, dirt);
            self.shares.give_back(&key.0, before);
            slot
        } else {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                number(self.slots.len() - 1)
            });
            self.by_name.insert(key, slot);
            slot
        };
        self.shares.take(&service.namespace, bytes);
        self.slots[slot as usize] =
            Some(Known { service: std::mem::take(service), bytes, seen: round });
        self.link(slot, dirt);
        Upsert::Changed(slot)
    }

    /// The last Service of a namespace, by name.
    fn last_of(&self, namespace: &str) -> Option<Key> {
        let first = (Box::from(namespace), Box::from(""));
        let own = self.by_name.range(first..).take_while(|((n, _), _)| **n == *namespace);
        own.last().map(|(key, _)| key.clone())
    }

    /// Forgets a Service, and gives it, if there was one.
    pub(super) fn remove(
        &mut self,
        namespace: &str,
        name: &str,
        dirt: &mut Dirt,
    ) -> Option<Service> {
        let slot = self.by_name.remove(&(namespace, name) as &dyn Pair)?;
        self.unlink(slot, dirt);
        self.free.push(slot);
        let known = self.slots[slot as usize].take()?;
        self.shares.give_back(namespace, known.bytes);
        Some(known.service)
    }

    /// Names of those that the list of this round did not name.
    pub(super) fn missing(&self, round: u32) -> Vec<Key> {
        let known = self.slots.iter().flatten().filter(|known| known.seen != round);
        known.map(|k| (k.service.namespace.clone(), k.service.name.clone())).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self { cut: self.cut, ..Self::default() };
    }

    fn link(&mut self, slot: ServiceSlot, dirt: &mut Dirt) {
        let Self { slots, by_cluster, by_outside, by_external, by_node_port, cut, .. } = self;
        let Some(Known { service, .. }) = &slots[slot as usize] else { return };
        for port in service.ports.iter().filter(|p| p.node_port != 0) {
            by_node_port.insert((port.protocol, port.node_port), slot);
        }
        touch(service, dirt);
        if service.external_name {
            return;
        }
        let mut enter = |map: &mut MultiMap<u128, _>, ips: &[IpAddr]| {
            for ip in ips.iter().map(|ip| address(*ip)) {
                if map.get(&ip).len() < SHARERS {
                    map.insert(ip, slot);
                } else {
                    *cut += 1;
                }
            }
        };
        enter(by_cluster, &service.cluster_ips);
        enter(by_outside, &service.outside_ips);
        enter(by_external, &service.external_ips);
    }

    fn unlink(&mut self, slot: ServiceSlot, dirt: &mut Dirt) {
        let Self { slots, by_cluster, by_outside, by_external, by_node_port, .. } = self;
        let Some(Known { service, .. }) = &slots[slot as usize] else { return };
        for port in service.ports.iter().filter(|p| p.node_port != 0) {
            by_node_port.remove(&(port.protocol, port.node_port), slot);
        }
        touch(service, dirt);
        let all = [
            (by_cluster, &service.cluster_ips),
            (by_outside, &service.outside_ips),
            (by_external, &service.external_ips),
        ];
        for (map, ips) in all {
            for ip in ips {
                map.remove(&address(*ip), slot);
            }
        }
    }

    pub(super) fn get(&self, slot: ServiceSlot) -> Option<&Service> {
        self.slots.get(slot as usize)?.as_ref().map(|known| &known.service)
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.get(*self.by_name.get(&(namespace, name) as &dyn Pair)?)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The Services that clients reach at this address: by cluster address whatever the port, else
    /// by load balancer address and port.
    pub(super) fn at(&self, address: u128, protocol: Protocol, port: u16) -> At {
        match self.by_cluster.get(&address) {
            [] => At::of(self.with_port(self.by_outside.get(&address), protocol, port)),
            cluster => At::of(cluster.iter().copied()),
        }
    }

    /// Whether an address is one that the cluster gave to a Service.
    pub(super) fn has_cluster_address(&self, address: u128) -> bool {
        !self.by_cluster.get(&address).is_empty()
    }

    /// The Services that say of this address that it is theirs.
    pub(super) fn claiming(&self, address: u128, protocol: Protocol, port: u16) -> At {
        At::of(self.with_port(self.by_external.get(&address), protocol, port))
    }

    fn with_port<'a>(
        &'a self,
        slots: &'a [ServiceSlot],
        protocol: Protocol,
        port: u16,
    ) -> impl Iterator<Item = ServiceSlot> + 'a {
        let serves = move |slot: &ServiceSlot| {
            let ports = self.get(*slot).map_or(&[][..], |service| &service.ports);
            ports.iter().any(|p| (p.protocol, p.port) == (protocol, port))
        };
        slots.iter().copied().filter(serves)
    }

    /// The Services that every node forwards this port to.
    pub(super) fn at_node_port(&self, protocol: Protocol, port: u16) -> At {
        At::of(self.by_node_port.get(&(protocol, port)).iter().copied())
    }
}

/// Who is behind a Service's addresses and node ports may have changed.
fn touch(service: &Service, dirt: &mut Dirt) {
    dirt.ports.extend(service.ports.iter().map(|p| p.node_port).filter(|&port| port != 0));
    if !service.external_name {
        let ips = service.cluster_ips.iter().chain(&service.outside_ips);
        ips.chain(&service.external_ips).for_each(|ip| dirt.address(address(*ip)));
    }
}
