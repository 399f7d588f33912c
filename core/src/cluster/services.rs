//! Services: by each address that clients connect to.
//!
//! In: Services as they are added, changed and deleted. Out: the Service of an address and port.
//! It must not name one by an address and port that two have, nor ever by an ExternalName.
//!
//! Pure: no I/O.

use super::few::MultiMap;
use super::objects::Service;
use super::{Dirt, address, number};
use crate::facts::Protocol;
use std::collections::BTreeMap;

/// Services of a cluster; at about 600 bytes each. The largest clusters have 10,000.
pub(super) const SERVICES: usize = 32_768;

/// Place of a Service; reused.
pub(super) type ServiceSlot = u32;

/// A namespace and a name.
pub(super) type Key = (Box<str>, Box<str>);

#[derive(Debug)]
pub(super) struct Known {
    pub(super) service: Service,
    seen: u32,
}

/// What became of a Service that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upsert {
    Same,
    Changed(ServiceSlot),
    NoRoom,
}

/// The Services.
#[derive(Debug, Default)]
pub(super) struct Services {
    slots: Vec<Option<Known>>,
    free: Vec<ServiceSlot>,
    by_name: BTreeMap<Key, ServiceSlot>,
    /// Cluster addresses, which are a Service's alone whatever the port.
    by_cluster: MultiMap<u128, ServiceSlot>,
    /// External and load balancer addresses, which Services may share port by port.
    by_outside: MultiMap<(u128, Protocol, u16), ServiceSlot>,
    by_node_port: MultiMap<(Protocol, u16), ServiceSlot>,
}

impl Services {
    pub(super) fn upsert(&mut self, service: Service, round: u32, dirt: &mut Dirt) -> Upsert {
        let key = (service.namespace.clone(), service.name.clone());
        let slot = if let Some(&slot) = self.by_name.get(&key) {
            if let Some(known) = self.slots[slot as usize].as_mut()
                && known.service == service
            {
                known.seen = round;
                return Upsert::Same;
            }
            self.unlink(slot, dirt);
            slot
        } else if self.by_name.len() >= SERVICES {
            return Upsert::NoRoom;
        } else {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                number(self.slots.len() - 1)
            });
            self.by_name.insert(key, slot);
            slot
        };
        self.slots[slot as usize] = Some(Known { service, seen: round });
        self.link(slot, dirt);
        Upsert::Changed(slot)
    }

    /// Forgets a Service, and gives it, if there was one.
    pub(super) fn remove(
        &mut self,
        namespace: &str,
        name: &str,
        dirt: &mut Dirt,
    ) -> Option<Service> {
        let slot = self.by_name.remove(&(namespace.into(), name.into()))?;
        self.unlink(slot, dirt);
        self.free.push(slot);
        self.slots[slot as usize].take().map(|known| known.service)
    }

    /// Names of those that the list of this round did not name.
    pub(super) fn missing(&self, round: u32) -> Vec<Key> {
        let known = self.slots.iter().flatten().filter(|known| known.seen != round);
        known.map(|k| (k.service.namespace.clone(), k.service.name.clone())).collect()
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.by_name.clear();
        self.by_cluster.clear();
        self.by_outside.clear();
        self.by_node_port.clear();
    }

    fn link(&mut self, slot: ServiceSlot, dirt: &mut Dirt) {
        self.each_address(
            slot,
            dirt,
            |map, key| map.insert(key, slot),
            |map, key| {
                map.insert(key, slot);
            },
        );
        let Self { slots, by_node_port, .. } = self;
        let Some(known) = &slots[slot as usize] else { return };
        for port in known.service.ports.iter().filter(|p| p.node_port != 0) {
            by_node_port.insert((port.protocol, port.node_port), slot);
        }
    }

    fn unlink(&mut self, slot: ServiceSlot, dirt: &mut Dirt) {
        self.each_address(
            slot,
            dirt,
            |map, key| map.remove(&key, slot),
            |map, key| {
                map.remove(&key, slot);
            },
        );
        let Self { slots, by_node_port, .. } = self;
        let Some(known) = &slots[slot as usize] else { return };
        for port in known.service.ports.iter().filter(|p| p.node_port != 0) {
            by_node_port.remove(&(port.protocol, port.node_port), slot);
        }
    }

    fn each_address(
        &mut self,
        slot: ServiceSlot,
        dirt: &mut Dirt,
        cluster: impl Fn(&mut MultiMap<u128, ServiceSlot>, u128),
        outside: impl Fn(&mut MultiMap<(u128, Protocol, u16), ServiceSlot>, (u128, Protocol, u16)),
    ) {
        let Self { slots, by_cluster, by_outside, .. } = self;
        let Some(Known { service, .. }) = &slots[slot as usize] else { return };
        if service.external_name {
            return;
        }
        for ip in service.cluster_ips.iter().map(|ip| address(*ip)) {
            cluster(by_cluster, ip);
            dirt.address(ip);
        }
        for ip in service.outside_ips.iter().map(|ip| address(*ip)) {
            for port in &service.ports {
                outside(by_outside, (ip, port.protocol, port.port));
            }
            dirt.address(ip);
        }
        dirt.ports.extend(service.ports.iter().map(|p| p.node_port).filter(|&port| port != 0));
    }

    pub(super) fn get(&self, slot: ServiceSlot) -> Option<&Service> {
        self.slots.get(slot as usize)?.as_ref().map(|known| &known.service)
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Service> {
        // The key owns its text; a look-up for a name of a slice is made once a connection.
        self.get(*self.by_name.get(&(namespace.into(), name.into()))?)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The Services that clients reach at this address: by cluster address, else by external
    /// address and port. More than one is one too many.
    pub(super) fn at(&self, address: u128, protocol: Protocol, port: u16) -> &[ServiceSlot] {
        match self.by_cluster.get(&address) {
            [] => self.by_outside.get(&(address, protocol, port)),
            cluster => cluster,
        }
    }

    /// The Services that every node forwards this port to.
    pub(super) fn at_node_port(&self, protocol: Protocol, port: u16) -> &[ServiceSlot] {
        self.by_node_port.get(&(protocol, port))
    }
}
