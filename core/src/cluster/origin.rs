//! Where the client of a connection is, and which Service it dialled: what decides who reports a connection.
//!
//! In: addresses. Out: this node, another one, outside, or that it is not known. It must not take an address for
//! one outside that may be a pod's of another node: that one reports the connection as well.
//!
//! Pure: no I/O.

use super::peers::Question;
use super::pods::Claim;
use super::services::{API_SERVER, At};
use super::slices::{Endpoint as Place, Known as EndpointSlice, State};
use super::{Cluster, Peers};
use crate::facts::{Endpoint, Protocol};
use crate::names::{Name, NameId};
use crate::records::{Direction, Origin};
use std::net::IpAddr;

impl Cluster {
    /// Where the source of a connection that was accepted here is. Only an address that is certainly none of a
    /// node is outside.
    pub(crate) fn origin(&mut self, at: Endpoint, unix_ms: u64, began_ms: u64) -> Origin {
        let address = at.addr;
        if self.settings.alone {
            return Origin::Outside;
        }
        if at.is_loopback() || self.is_host(address) {
            return Origin::Here;
        }
        if let Claim::One(slot) = self.pods.at(address, began_ms.saturating_sub(self.offset_ms))
            && !self.has_successor(slot, address)
        {
            return Origin::Here;
        }
        let far = || self.far.at(address, unix_ms).map(|pod| &*pod.node);
        let node = self.pod_node(address).or_else(|| self.node_at(address)).or_else(far);
        let node = node.or_else(|| self.far.node_at(address, unix_ms));
        if let Some(node) = node {
            if *node == *self.settings.node {
                return Origin::Here;
            }
            let node = Name::Node(node.into());
            return self.names.intern(node).map_or(Origin::Unknown, Origin::Node);
        }
        if self.group_at(at.ip()).is_some() {
            return Origin::Outside;
        }
        if self.may_have(at.ip()) || is_of_a_link(at.ip()) || self.is_api_server(address) {
            return Origin::Unknown;
        }
        Origin::Outside
    }

    /// This node itself: who holds a socket of its own network namespace that no process is known to.
    pub(crate) fn this_node(&mut self) -> Option<NameId> {
        if self.settings.alone || self.settings.node.is_empty() {
            return None;
        }
        let node = Name::Node(self.settings.node.clone());
        self.names.intern(node)
    }

    /// The Service that a client used who connected to this address, if that is a Service's.
    pub(crate) fn dialled(&mut self, at: Endpoint, protocol: Protocol) -> Option<NameId> {
        if self.settings.alone || self.settings.peers == Peers::Off {
            return None;
        }
        let direction = Direction::Outbound;
        let question =
            Question { at, backend: None, protocol, direction, since_ms: 0, began_ms: 0 };
        // The kernel translated it, so the object that claims the address is right.
        let ((namespace, name), _) = self.service_at(&question).ok()??;
        self.names.intern(Name::Service { namespace, name })
    }

    /// The Service that this address was given to, where what answers there has the address itself and nothing
    /// is translated: a cache of DNS on each node, a balancer that answers directly.
    pub(crate) fn holding(&mut self, at: Endpoint, protocol: Protocol) -> Option<NameId> {
        if self.settings.alone || self.settings.peers == Peers::Off {
            return None;
        }
        let At::One(slot) = self.services.at(at.addr, protocol, at.port) else { return None };
        let service = self.services.get(slot)?;
        let (namespace, name) = (service.namespace.clone(), service.name.clone());
        self.names.intern(Name::Service { namespace, name })
    }

    /// The port on which a Service's endpoints answer who dials this port of it or of a node, where all have the same.
    pub(crate) fn answers_on(
        &self,
        service: NameId,
        protocol: Protocol,
        dialled: u16,
    ) -> Option<u16> {
        let Some(Name::Service { namespace, name }) = self.names.get(service) else { return None };
        let service = self.services.find(namespace, name)?;
        let mut ports = service.ports.iter().filter(|p| p.protocol == protocol);
        // No client dials the port 0, which is that of a Service without ports of nodes.
        let port = ports.find(|p| p.port == dialled || p.node_port == dialled)?;
        self.slices.only_port(namespace, name, (&port.name, protocol))
    }

    /// The node on which the pod at an address is, if all endpoints there are of one.
    fn pod_node(&self, address: u128) -> Option<&str> {
        let believed = self.believed(address);
        let alive = |(slice, e): &(&EndpointSlice, &Place)| {
            e.pod.is_some() && e.state > State::Dead && self.is_believed(slice, believed)
        };
        let mut at = self.slices.at(address).filter(alive);
        let node = at.next()?.1.node.as_deref()?;
        at.all(|(_, e)| e.node.as_deref() == Some(node)).then_some(node)
    }

    /// Whether an address is the API server's: an endpoint that is no pod of the Service `kubernetes`, which
    /// the server keeps itself.
    pub(super) fn is_api_server(&self, address: u128) -> bool {
        let [namespace, name] = API_SERVER;
        self.slices.at(address).any(|(slice, e)| {
            e.pod.is_none() && *slice.namespace == *namespace && *slice.service == *name
        })
    }
}

/// Addresses that mean something on one link: who has one is next to this node, and may be another one (routers
/// of the nodes speak to each other so).
const fn is_of_a_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
