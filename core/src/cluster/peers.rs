//! Who is behind an address: the rules by which the other end of a connection gets its name.
//!
//! In: an address, a port, and whether it is the one that was connected to. Out: pod, Service,
//! node or group, or the reason for which there is none. It must not name a pod by the address of
//! a node, which several pods share, unless a port distinguishes them.
//!
//! Of several Services of a pod the one is named whose address the connection used; else of those
//! that serve the port the one with a cluster address before a headless one, then the first by
//! name; else the same among all of them.
//!
//! Pure: no I/O.

use super::key::Key;
use super::objects::{Kind, Phase};
use super::pods::{Claim, Own, PodSlot};
use super::services::{API_SERVER, At};
use super::slices::{Endpoint as Place, Known as EndpointSlice, State};
use super::{Cluster, OwningPod, Peers, Settings};
use crate::facts::{Endpoint, Protocol};
use crate::names::{Name, NameId};
use crate::records::{Direction, Unresolved};
use std::cmp::Reverse;
use std::net::IpAddr;

/// One end of a connection that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The address and port.
    pub at: Endpoint,
    /// Where connections to that address went on to, if it is known.
    pub backend: Option<Endpoint>,
    /// Protocol.
    pub protocol: Protocol,
    /// Direction of the connection, seen from the end that asks.
    pub direction: Direction,
    /// When the connection was first seen, Unix milliseconds.
    pub since_ms: u64,
    /// When it may have begun; not after that.
    pub began_ms: u64,
}

/// Who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerName {
    /// A pod, Service, node or group.
    pub name: Option<NameId>,
    /// The Service by which it is known.
    pub service: Option<NameId>,
    /// Why there is no name, where there should be one.
    pub gap: Option<Unresolved>,
    /// The address is a Service's: behind it stands a backend that only the kernel knows.
    pub translated: bool,
}

/// How far a Service is believed to have an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The cluster or a controller gave it to the Service.
    Assigned,
    /// The author of the Service wrote it down (`externalIPs`).
    Claimed,
}

/// A pod that an address stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pod<'a> {
    Own(PodSlot),
    Far { namespace: &'a str, name: &'a str },
}

impl Cluster {
    /// Who is at the other end.
    pub(crate) fn peer(&mut self, q: &Question) -> PeerName {
        if q.at.is_loopback() {
            return PeerName::default();
        }
        if self.settings.alone || self.settings.peers == Peers::Off {
            let group = self.group_at(q.at.ip()).map(|group| Name::Group(group.into()));
            return group.map_or_else(PeerName::default, |group| self.named(group));
        }
        let service = match self.service_at(q) {
            Ok(service) => service,
            Err(gap) => return PeerName { gap: Some(gap), ..PeerName::default() },
        };
        let claimed = match service {
            Some((_, Trust::Claimed)) => q.backend.is_none(),
            _ => false,
        };
        if let Some(((namespace, name), _)) = service.filter(|_| !claimed) {
            let service = self.names.intern(Name::Service { namespace, name });
            let behind = q.backend.map(|at| self.pod_answer(&Question { at, ..*q }));
            let name = behind.and_then(|b| b.name).or(service);
            let gap = name.is_none().then_some(Unresolved::NamesFull);
            return PeerName { name, service, gap, translated: true };
        }
        // Whether a Service gets what it says is its own, the kernel alone can tell.
        PeerName { translated: claimed, ..self.place(q) }
    }

    /// Whether an address that is dialled may be a Service's; `None` where there are none.
    pub(crate) fn may_be_translated(&self, q: &Question) -> Option<bool> {
        let Settings { alone, peers, .. } = self.settings;
        let unknown = peers == Peers::Off || !self.known.synced[Kind::Service as usize];
        (!alone).then(|| unknown || !matches!(self.service_at(q), Ok(None)))
    }

    /// Who is at an address that is no Service's.
    fn place(&mut self, q: &Question) -> PeerName {
        let answer = self.pod_answer(q);
        if answer.name.is_some() || answer.gap.is_some() {
            return answer;
        }
        // What connects from there is the server; what else listens there may be anything.
        let server = q.direction == Direction::Inbound
            && self.is_api_server(q.at.addr)
            && !self.is_host(q.at.addr);
        if server {
            let [namespace, name] = API_SERVER.map(Into::into);
            let service = self.names.intern(Name::Service { namespace, name });
            let gap = service.is_none().then_some(Unresolved::NamesFull);
            return PeerName { name: service, service, gap, translated: false };
        }
        if let Some(node) = self.node_at(q.at.addr) {
            return self.named(Name::Node(node.into()));
        }
        if let Some(name) = self.far_pod(q) {
            return name;
        }
        if let Some(node) = self.far.node_at(q.at.addr, q.since_ms) {
            return self.named(Name::Node(node.into()));
        }
        if let Some(group) = self.group_at(q.at.ip()) {
            return self.named(Name::Group(group.into()));
        }
        PeerName { gap: self.unexplained(q.at.ip()), ..PeerName::default() }
    }

    /// The pod of another node that had this address when the connection began, as far as it was asked about.
    fn far_pod(&mut self, q: &Question) -> Option<PeerName> {
        let pod = self.far.at(q.at.addr, q.since_ms)?;
        let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
        let (kind, made) = pod.workload.clone();
        let workload = Name::Workload { namespace: namespace.clone(), kind, name: made };
        let workload = self.names.intern(workload);
        Some(self.named(Name::Pod { namespace, name, uid: Box::default(), workload }))
    }

    /// The Service of one of this node's pods that a connection to it used, as far as can be determined.
    pub(crate) fn own_service(
        &mut self,
        owner: OwningPod,
        protocol: Protocol,
        port: Option<u16>,
    ) -> Option<NameId> {
        let (namespace, name) = self.own_primary(owner.slot, protocol, port)?;
        self.names.intern(Name::Service { namespace, name })
    }

    fn named(&mut self, name: Name) -> PeerName {
        let name = self.names.intern(name);
        let gap = name.is_none().then_some(Unresolved::NamesFull);
        PeerName { name, gap, ..PeerName::default() }
    }

    /// The Service whose own address this is, or who says so.
    pub(super) fn service_at(&self, q: &Question) -> Result<Option<(Key, Trust)>, Unresolved> {
        if q.direction == Direction::Inbound {
            return Ok(None);
        }
        let (address, port) = (q.at.addr, q.at.port);
        let (mut found, mut trust) = (self.services.at(address, q.protocol, port), Trust::Assigned);
        // A port of a node is a Service's only if it was connected to: the numbers are anybody's.
        let node = || self.is_node(address) || self.far.node_at(address, q.since_ms).is_some();
        if found == At::NoOne && q.direction == Direction::Outbound {
            let ports = self.services.at_node_port(q.protocol, port);
            if ports != At::NoOne && node() {
                found = ports;
            }
        }
        if found == At::NoOne {
            let claiming = self.services.claiming(address, q.protocol, port);
            (found, trust) = (claiming, Trust::Claimed);
        }
        match (found, trust) {
            (At::One(slot), _) => {
                let key = self.services.get(slot).map(|s| (s.namespace.clone(), s.name.clone()));
                Ok(key.map(|key| (key, trust)))
            }
            (At::Several, Trust::Assigned) => Err(Unresolved::AmbiguousAddress),
            // Who says the same as another says nothing.
            (At::Several, Trust::Claimed) | (At::NoOne, _) => Ok(None),
        }
    }

    /// The pod at an address with its Service, or the Service alone when its endpoint is no pod.
    fn pod_answer(&mut self, q: &Question) -> PeerName {
        // Only what was connected to is known by its port.
        let port = (q.direction != Direction::Inbound).then_some(q.at.port);
        let pod = match self.pod_at(q, port) {
            Ok(pod) => pod,
            Err(gap) => return PeerName { gap: Some(gap), ..PeerName::default() },
        };
        let service = match pod {
            Some(Pod::Own(slot)) => Ok(self.own_primary(slot, q.protocol, port)),
            pod => self.far_primary(q.at.addr, pod, q.protocol, port),
        };
        let service = match service {
            Ok(service) => service,
            Err(gap) => return PeerName { gap: Some(gap), ..PeerName::default() },
        };
        let known = pod.is_some() || service.is_some();
        let name = match pod {
            Some(Pod::Own(slot)) => self.shown.get(slot as usize).and_then(|s| s.as_ref()?.name),
            Some(Pod::Far { namespace, name }) => {
                let (namespace, name) = (namespace.into(), name.into());
                let pod = Name::Pod { namespace, name, uid: Box::default(), workload: None };
                self.names.intern(pod)
            }
            None => None,
        };
        let service = service
            .and_then(|(namespace, name)| self.names.intern(Name::Service { namespace, name }));
        let name = name.or(service);
        let gap = (known && name.is_none()).then_some(Unresolved::NamesFull);
        PeerName { name, service, gap, translated: false }
    }

    fn pod_at(&self, q: &Question, port: Option<u16>) -> Result<Option<Pod<'_>>, Unresolved> {
        let (address, protocol) = (q.at.addr, q.protocol);
        match self.pods.at(address, q.began_ms.saturating_sub(self.offset_ms)) {
            Claim::One(slot) if !self.has_successor(slot, address) => {
                return Ok(Some(Pod::Own(slot)));
            }
            Claim::Several => return Err(Unresolved::AmbiguousAddress),
            Claim::NoOne if self.settings.peers != Peers::EndpointSlices => return Ok(None),
            Claim::NoOne | Claim::One(_) => {}
        }
        let serves = |slice: &EndpointSlice| port.is_some_and(|port| slice.serves(protocol, port));
        let believed = self.believed(address);
        // A slice may name the last owner of an address for a while, but not as ready.
        for state in State::ALL {
            let entries = || {
                let at = self.slices.at(address).filter(move |(_, e)| e.state == state);
                at.filter(|(slice, _)| self.is_believed(slice, believed))
            };
            match only(entries().filter(|(slice, _)| serves(slice))) {
                Only::One(namespace, name) => {
                    return Ok(Some(self.pod_named(address, namespace, name)));
                }
                Only::Several => return Err(Unresolved::AmbiguousAddress),
                Only::None => {}
            }
            if self.is_node(address) {
                continue;
            }
            match only(entries()) {
                Only::One(namespace, name) => {
                    return Ok(Some(self.pod_named(address, namespace, name)));
                }
                Only::Several => return Err(Unresolved::AmbiguousAddress),
                Only::None => {}
            }
        }
        Ok(None)
    }

    /// Whether an address of a pod that ends or is gone is another pod's by now, here or elsewhere.
    pub(super) fn has_successor(&self, slot: PodSlot, address: u128) -> bool {
        let leaving = |own: &&Own| {
            own.gone_ms.is_some() || own.pod.terminating || own.pod.phase == Phase::Ended
        };
        let Some(own) = self.pods.get(slot).filter(leaving) else { return false };
        let ready = self.slices.at(address).filter(|(_, e)| e.state == State::Ready);
        let believed = self.believed(address);
        let ready = ready.filter(|(slice, _)| self.is_believed(slice, believed));
        let its = |slice: &EndpointSlice, name: &str| {
            *own.pod.name == *name && own.pod.namespace == slice.namespace
        };
        let mut others = ready.filter_map(|(slice, e)| Some((slice, e.pod.as_deref()?)));
        self.settings.peers == Peers::EndpointSlices
            && others.any(|(slice, name)| !its(slice, name))
    }

    /// Of several namespaces that speak of an address those are believed whose slices the
    /// controller keeps, if there are any: who may write a slice of their own must not take the
    /// name of another's pod.
    pub(super) fn believed(&self, address: u128) -> bool {
        let mut pods = self.slices.at(address).filter(|(_, e)| e.pod.is_some());
        let Some((first, _)) = pods.next() else { return false };
        let mixed = self.slices.at(address).any(|(slice, _)| slice.namespace != first.namespace);
        let kept = |(slice, e): (&EndpointSlice, &Place)| {
            e.pod.is_some() && e.state > State::Dead && self.is_kept(slice)
        };
        mixed && self.slices.at(address).any(kept)
    }

    pub(super) fn is_believed(&self, slice: &EndpointSlice, believed: bool) -> bool {
        !believed || self.is_kept(slice)
    }

    /// Whether the controller of slices keeps a slice as the selector of its Service says: what
    /// anybody else writes into it is gone at once.
    fn is_kept(&self, slice: &EndpointSlice) -> bool {
        let service = || self.services.find(&slice.namespace, &slice.service);
        slice.managed && service().is_some_and(|s| !s.selector.is_empty() && !s.external_name)
    }

    /// Whether a slice is a Service's that may have endpoints. Of one that became an ExternalName the slices stay, as it
    /// was left by its controller or by who wrote them.
    pub(super) fn names_service(&self, slice: &EndpointSlice) -> bool {
        let external = |service: &super::objects::Service| service.external_name;
        slice.has_service()
            && !self.services.find(&slice.namespace, &slice.service).is_some_and(external)
    }

    /// A pod that a slice names: one of this node is known better, if it has the address indeed.
    fn pod_named<'a>(&'a self, address: u128, namespace: &'a str, name: &'a str) -> Pod<'a> {
        let mut own = self.pods.iter().filter(|(_, own)| {
            own.gone_ms.is_none()
                && *own.pod.name == *name
                && *own.pod.namespace == *namespace
                && own.pod.ips.iter().any(|ip| super::address(*ip) == address)
        });
        match (own.next(), own.next()) {
            (Some((slot, _)), None) => Pod::Own(slot),
            _ => Pod::Far { namespace, name },
        }
    }

    /// Whether an address is known to be a node's.
    fn is_node(&self, address: u128) -> bool {
        self.is_host(address)
            || self.nodes.at(address).is_some()
            || self.far_node(address).is_some()
    }

    /// Whether an address is this node's: as its pods say, or as its network namespace has it.
    pub(super) fn is_host(&self, address: u128) -> bool {
        self.pods.is_host(address) || self.host.contains(&address)
    }

    pub(super) fn node_at(&self, address: u128) -> Option<&str> {
        let own = self.is_host(address).then_some(&*self.settings.node);
        let own = own.filter(|node| !node.is_empty());
        own.or_else(|| self.nodes.at(address)).or_else(|| self.far_node(address))
    }

    pub(super) fn group_at(&self, ip: IpAddr) -> Option<&str> {
        let group = self.settings.ranges.find(ip)?;
        self.settings.groups.get(usize::from(group)).map(|name| &**name)
    }

    /// The node of an address, if that is a node's: because several ready pods of one node have
    /// it, because a Service whose pod here has this node's address has an endpoint there, or because an
    /// endpoint of the system's is the node itself.
    fn far_node(&self, address: u128) -> Option<&str> {
        let believed = self.believed(address);
        let at =
            || self.slices.at(address).filter(move |(slice, _)| self.is_believed(slice, believed));
        // An endpoint that names no node, as the API server's own, says nothing of one.
        let mut named = at().filter_map(|(_, endpoint)| endpoint.node.as_deref());
        let node = named.next()?;
        if named.any(|other| other != node) {
            return None;
        }
        let ready = || at().filter(|(_, e)| e.state == State::Ready && e.node.is_some());
        let hosted = |slice: &EndpointSlice| {
            let mut here = self.pods.hosts().flat_map(|host| self.slices.at(host));
            let same =
                |s: &EndpointSlice| s.service == slice.service && s.namespace == slice.namespace;
            slice.has_service() && here.any(|(s, _)| same(s))
        };
        let shared = matches!(only(ready()), Only::Several);
        (shared || ready().any(|(slice, e)| e.is_node || hosted(slice))).then_some(node)
    }

    /// The Service by which one of this node's pods is named.
    fn own_primary(&self, slot: PodSlot, protocol: Protocol, port: Option<u16>) -> Option<Key> {
        let known = self.shown.get(slot as usize)?.as_ref()?;
        let shown = &known.pod;
        let serves = |service: &str| {
            let Some(port) = port else { return false };
            let mut slices = shown.ips.iter().flat_map(|ip| self.slices.at(super::address(*ip)));
            slices.any(|(slice, endpoint)| {
                *slice.service == *service
                    && slice.namespace == shown.namespace
                    && endpoint.pod.as_deref() == Some(&*shown.name)
                    && slice.serves(protocol, port)
            })
        };
        let services = known.known_by().iter().map(|service| &**service);
        let first = services.max_by_key(|service| {
            (serves(service), self.has_address(&shown.namespace, service), Reverse(*service))
        })?;
        Some((shown.namespace.clone(), first.into()))
    }

    /// The Service by which a pod of another node is named, or an endpoint that is no pod.
    fn far_primary(
        &self,
        address: u128,
        pod: Option<Pod<'_>>,
        protocol: Protocol,
        port: Option<u16>,
    ) -> Result<Option<Key>, Unresolved> {
        if self.settings.peers != Peers::EndpointSlices {
            return Ok(None);
        }
        let serves = |slice: &EndpointSlice| port.is_some_and(|port| slice.serves(protocol, port));
        // A pod is known by its Services whether it is ready or not: open connections keep theirs.
        let its = |(slice, endpoint): &(&EndpointSlice, &Place)| match pod {
            _ if !self.names_service(slice) => false,
            Some(Pod::Far { namespace, name }) => {
                *slice.namespace == *namespace && endpoint.pod.as_deref() == Some(name)
            }
            // What is no pod is known by what it serves alone.
            _ => endpoint.pod.is_none() && endpoint.state >= State::Serving && serves(slice),
        };
        let entries = || self.slices.at(address).filter(its);
        if pod.is_none()
            && let Some((first, _)) = entries().next()
            && entries().any(|(slice, _)| slice.namespace != first.namespace)
        {
            // Two namespaces that both reach the same thing outside: whose it is no one says.
            return Err(Unresolved::AmbiguousAddress);
        }
        let best = entries().max_by_key(|&(slice, _)| {
            let (namespace, service) = (&*slice.namespace, &*slice.service);
            (serves(slice), self.has_address(namespace, service), Reverse((namespace, service)))
        });
        Ok(best.map(|(slice, _)| (slice.namespace.clone(), slice.service.clone())))
    }

    fn has_address(&self, namespace: &str, service: &str) -> bool {
        self.services.find(namespace, service).is_some_and(|s| !s.cluster_ips.is_empty())
    }

    fn unexplained(&self, ip: IpAddr) -> Option<Unresolved> {
        if !self.may_have(ip) {
            return None;
        }
        if !self.is_synced() {
            return Some(Unresolved::NotSynced);
        }
        Some(Unresolved::UnknownAddress)
    }
}

enum Only<'a> {
    None,
    One(&'a str, &'a str),
    Several,
}

/// The one pod that all of these endpoints are, if they are one.
fn only<'a>(entries: impl Iterator<Item = (&'a EndpointSlice, &'a Place)>) -> Only<'a> {
    let mut found = Only::None;
    for (slice, endpoint) in entries {
        let Some(name) = endpoint.pod.as_deref() else { continue };
        match found {
            Only::One(n, p) if (n, p) != (&*slice.namespace, name) => return Only::Several,
            Only::Several => return Only::Several,
            _ => found = Only::One(&slice.namespace, name),
        }
    }
    found
}
