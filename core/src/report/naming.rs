//! Match: what the cluster calls the two ends of a connection.
//!
//! In: a cluster, if there is one, the containers of the node, a connection of which the kernel has
//! reported all it can. Out: the names of its ends. It must not overrule what the kernel reported: an end
//! whose socket was seen belongs to its process, whatever its address says. Without a cluster it
//! does nothing at all.
//!
//! Pure: no I/O.

use crate::cluster::{Cluster, Grain, OwningPod, Question};
use crate::facts::{Container, ContainerId, Endpoint};
use crate::hash::{self, HashSet};
use crate::names::{Name, NameId};
use crate::records::{ConnectionRecord, Direction, Named, Origin, Unresolved, Workload};
use std::sync::Arc;

/// Bits of the filter of addresses that were asked about: 8 KiB. A node with 10,000 peers fills a
/// seventh of it.
const BITS: u64 = 65_536;

/// A place, of which there are fewer.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// What else is known of the ends of a connection that are to be named.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// A container of the pod at the other end, where it is not known which of its containers it is.
    pub(super) pod: Option<ContainerId>,
    /// The end that the kernel sends it on to, or that it comes from; and this one as that end sees it.
    pub(super) behind: Option<(Endpoint, Endpoint)>,
    /// Whether this end and the other one are in the node's own network namespace.
    pub(super) of_node: [bool; 2],
    /// Whether the other end is in any namespace of this node.
    pub(super) here: bool,
    /// When the connection may have begun, Unix milliseconds: of one that was never seen open it is the time of the pass before.
    pub(super) began_ms: u64,
}

/// Who the ends of a connection are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) named: Named,
    /// This end of its flow.
    pub(super) own: Workload,
    /// The other one.
    pub(super) peer: Workload,
    /// The other end's address is a Service's.
    pub(super) translated: bool,
    /// The Service that the client used, or that serves the port which answers.
    pub(super) service: Option<NameId>,
    /// The other port, where the one that answers is not the one that was dialled.
    pub(super) port: Option<u16>,
    /// Where the client is.
    pub(super) origin: Origin,
}

/// Addresses that were asked about, give or take some: a change of any other is no one's business.
#[derive(Debug)]
struct Asked(Box<[u64]>);

impl Default for Asked {
    fn default() -> Self {
        Self(vec![0; usize::try_from(BITS / 64).unwrap_or(1)].into())
    }
}

impl Asked {
    fn place(address: u128) -> (usize, u64) {
        let bit = hash::of(address) >> 48;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    }

    fn note(&mut self, address: u128) {
        let (word, bit) = Self::place(address);
        self.0[word] |= bit;
    }

    fn perhaps(&self, address: u128) -> bool {
        let (word, bit) = Self::place(address);
        self.0[word] & bit != 0
    }
}

/// The connections that are to be asked for again.
#[derive(Debug, Default)]
pub(super) struct Affected {
    all: bool,
    containers: HashSet<ContainerId>,
    addresses: HashSet<u128>,
    ports: HashSet<u16>,
}

impl Affected {
    pub(super) fn is_empty(&self) -> bool {
        !self.all
            && self.containers.is_empty()
            && self.addresses.is_empty()
            && self.ports.is_empty()
    }

    /// Whether anything may be called otherwise.
    pub(super) fn is_everything(&self) -> bool {
        self.all
    }

    /// Whether any container is another pod's now, or its pod is called otherwise.
    pub(super) fn renames_containers(&self) -> bool {
        !self.containers.is_empty()
    }

    /// Whether a connection may be named otherwise now; `pod` as in [`Naming::ends`].
    pub(super) fn takes(
        &self,
        record: &ConnectionRecord,
        pod: Option<ContainerId>,
        backend: Option<Endpoint>,
    ) -> bool {
        let container = |id: &ContainerId| self.containers.contains(id);
        let peer = match &record.peer {
            Workload::Container(id) => container(id),
            _ => pod.as_ref().is_some_and(container),
        };
        let address = |address: u128| self.addresses.contains(&address);
        self.all
            || peer
            || record.owner.pod().as_ref().is_some_and(container)
            || address(record.remote.addr)
            || address(record.local.addr)
            || backend.is_some_and(|backend| address(backend.addr))
            || self.ports.contains(&record.remote.port)
    }
}

/// The names of this node.
#[derive(Debug, Default)]
pub(super) struct Naming {
    pub(super) cluster: Option<Box<Cluster>>,
    /// The pod of each container, by its place.
    owners: Vec<Result<Option<OwningPod>, Unresolved>>,
    /// Whose pod that is: the generation of each place.
    generations: Vec<u32>,
    /// The same, for readers.
    pub(super) pods: Arc<[Option<NameId>]>,
    asked: Asked,
}

impl Naming {
    /// Takes in containers that were not there before.
    pub(super) fn extend(&mut self, containers: &[Container]) {
        let Some(cluster) = &self.cluster else { return };
        for (at, container) in containers.iter().enumerate() {
            if self.generations.get(at) == Some(&container.generation) {
                continue;
            }
            if self.owners.len() <= at {
                self.owners.resize(at + 1, Ok(None));
                self.generations.resize(at + 1, u32::MAX);
            }
            self.owners[at] = cluster.owner(container);
            self.generations[at] = container.generation;
        }
        self.share();
    }

    /// Takes in what changed about the cluster: which connections does it concern?
    pub(super) fn refresh(&mut self, containers: &[Container]) -> Affected {
        let Some(cluster) = &mut self.cluster else { return Affected::default() };
        let dirt = cluster.dirt();
        if dirt.is_empty() {
            return Affected::default();
        }
        let mut affected = Affected { all: dirt.all, ..Affected::default() };
        if dirt.pods || dirt.all {
            for ((container, owner), n) in containers.iter().zip(&mut self.owners).zip(0..) {
                let fresh = cluster.owner(container);
                if *owner != fresh {
                    *owner = fresh;
                    affected.containers.insert(ContainerId::new(n, container.generation));
                }
            }
            if !affected.containers.is_empty() {
                self.share();
            }
        }
        if dirt.all {
            // Every connection is asked for again, and its address noted again.
            self.asked = Asked::default();
        } else {
            let asked = &self.asked;
            affected.addresses = dirt.addresses.into_iter().filter(|a| asked.perhaps(*a)).collect();
            affected.ports = dirt.ports;
        }
        affected
    }

    fn share(&mut self) {
        let name = |owner: &Result<Option<OwningPod>, _>| owner.ok().flatten().map(|o| o.name);
        self.pods = self.owners.iter().map(name).collect();
    }

    fn owner(&self, id: ContainerId) -> Result<Option<OwningPod>, Unresolved> {
        if id == ContainerId::UNKNOWN {
            return Err(Unresolved::NoPodForContainer);
        }
        let at = id.place();
        let same = self.generations.get(at).is_some_and(|&g| ContainerId::new(number(at), g) == id);
        if same { self.owners[at] } else { Ok(None) }
    }

    /// Whether what was `old` is `new` now because it is gone, or another one has its address.
    pub(super) fn is_gone(&self, old: Option<NameId>, new: Option<NameId>) -> bool {
        let name = |id: Option<NameId>| self.cluster.as_ref()?.name(id?);
        match (name(old), name(new)) {
            (
                Some(Name::Pod { namespace, name, .. }),
                Some(Name::Pod { namespace: other, name: another, .. }),
            ) => (namespace, name) != (other, another),
            (Some(Name::Pod { .. }), _) | (Some(Name::Service { .. }), None) => true,
            // A pod in its place is who answers there, which was learnt late.
            (Some(old @ Name::Service { .. }), Some(new @ Name::Service { .. })) => old != new,
            _ => false,
        }
    }

    /// Whether what this end dialled may be a Service's address, as far as Services are known; `None` where there are none.
    pub(super) fn may_be_translated(&self, record: &ConnectionRecord) -> Option<bool> {
        let ConnectionRecord { remote: at, protocol, direction, since_ms, .. } = *record;
        let began_ms = since_ms;
        let question = Question { at, backend: None, protocol, direction, since_ms, began_ms };
        self.cluster.as_ref()?.may_be_translated(&question)
    }

    /// Who the ends of a connection are.
    pub(super) fn ends(&mut self, record: &ConnectionRecord, around: &Around) -> Ends {
        let inbound = record.direction == Direction::Inbound;
        let outside = inbound && !around.here;
        // A client that is masqueraded dials what answers all the same.
        let translated = around.behind.filter(|(other, own)| {
            if inbound { *own != record.local } else { *other != record.remote }
        });
        let mut ends = Ends {
            named: Named::default(),
            own: record.owner.workload(),
            peer: record.peer,
            translated: false,
            service: None,
            port: translated.map(|(other, own)| if inbound { own.port } else { other.port }),
            origin: if outside { Origin::Outside } else { Origin::Here },
        };
        let backend = around.behind.map(|(other, _)| other);
        let owner = record.owner.pod().map_or(Ok(None), |id| self.owner(id));
        let Self { cluster: Some(cluster), asked, .. } = self else { return ends };
        asked.note(record.local.addr);
        asked.note(record.remote.addr);
        if let Some(backend) = backend {
            asked.note(backend.addr);
        }
        match owner {
            Ok(Some(owner)) => {
                if record.counted && inbound {
                    let (at, protocol) = (record.local, record.protocol);
                    let dialled = match translated {
                        Some((_, own)) => cluster.dialled(own, protocol),
                        None => cluster.holding(at, protocol),
                    };
                    ends.service =
                        dialled.or_else(|| cluster.own_service(owner, protocol, Some(at.port)));
                }
                let service = ends.service.filter(|_| cluster.grain() == Grain::Service);
                ends.own = Workload::Named(cluster.grained(owner.name, service));
            }
            // A socket of the node itself whose process was never seen: a client that lived for less than a
            // pass, such as a probe of the kubelet.
            Ok(None) if ends.own == Workload::Unresolved && around.of_node[0] => {
                ends.own = cluster.this_node().map_or(ends.own, Workload::Named);
            }
            Ok(None) => {}
            Err(gap) => ends.named.gaps[0] = Some(gap),
        }
        if outside {
            let from = backend.unwrap_or(record.remote);
            ends.origin = cluster.origin(from, record.since_ms, around.began_ms);
        }
        self.name_peer(record, around, backend, &mut ends);
        if record.direction == Direction::Outbound {
            ends.service = ends.named.service;
            if let (Some(service), None, true) = (ends.service, ends.port, ends.translated) {
                let cluster = self.cluster.as_deref();
                ends.port = cluster
                    .and_then(|c| c.answers_on(service, record.protocol, record.remote.port));
            }
        }
        ends
    }

    fn name_peer(
        &mut self,
        record: &ConnectionRecord,
        around: &Around,
        backend: Option<Endpoint>,
        ends: &mut Ends,
    ) {
        let inbound = record.direction == Direction::Inbound;
        let port = (!inbound).then_some(record.remote.port);
        let ConnectionRecord { remote: at, protocol, direction, since_ms, .. } = *record;
        let began_ms = around.began_ms;
        let question = Question { at, backend, protocol, direction, since_ms, began_ms };
        let known = match record.peer {
            Workload::Container(id) => Some(id),
            // If the pod is not known, its address may be.
            _ => around.pod.filter(|id| matches!(self.owner(*id), Ok(Some(_)))),
        };
        let (name, service) = match (record.peer, known) {
            (_, Some(id)) => {
                let owner = self.owner(id);
                let Some(cluster) = &mut self.cluster else { return };
                match owner {
                    Ok(Some(o)) => {
                        // The Service that it was translated from is the one that the client used.
                        let used = match backend {
                            Some(_) => cluster.peer(&question).service,
                            None if inbound => None,
                            None => cluster.holding(at, protocol),
                        };
                        let first = used.or_else(|| cluster.own_service(o, protocol, port));
                        (Some(o.name), first)
                    }
                    Ok(None) => (None, None),
                    Err(gap) => {
                        ends.named.gaps[1] = Some(gap);
                        (None, None)
                    }
                }
            }
            (Workload::External(_) | Workload::Unresolved, None) => {
                let Some(cluster) = &mut self.cluster else { return };
                let mut answer = cluster.peer(&question);
                // What stands behind an address that is no Service's: who it is translated to here.
                if let Some(at) = backend.filter(|_| !answer.translated) {
                    answer = cluster.peer(&Question { at, backend: None, ..question });
                }
                ends.named.gaps[1] = answer.gap;
                ends.translated = answer.translated;
                (answer.name, answer.service)
            }
            (_, None) => (None, None),
        };
        let Some(cluster) = &mut self.cluster else { return };
        let unseen = record.peer == Workload::Unresolved && around.of_node[1] && !ends.translated;
        let name = name.or_else(|| cluster.this_node().filter(|_| unseen));
        let Some(name) = name else { return };
        if unseen {
            ends.named.gaps[1] = None;
        }
        ends.named.peer = Some(name);
        ends.named.service = service;
        // Who connects is known by its workload, if that is known; a Service is what serves.
        let made = |id| matches!(cluster.name(id), Some(Name::Pod { workload: Some(_), .. }));
        let stands = if inbound && made(name) { None } else { service };
        ends.peer = Workload::Named(cluster.grained(name, stands));
    }
}
