//! What is known of the Kubernetes cluster around this node: pods, Services, endpoints.
//!
//! In: changes of objects, from anyone who watches them. Out: who is behind a container or an address.
//! It must not ask the API server anything, and a change that comes late, twice or out of order must
//! not give a wrong name.
//!
//! ```text
//! apply: objects change, what they touched is noted      (any number of times)
//! settle: pods that were touched are shown again           (once before names are asked for)
//! owner, peer: who is it?                                 (whenever a connection is new or touched)
//! ```
//!
//! Pure: no I/O, no clock; time is an argument.

pub mod cidr;
mod far;
mod few;
mod key;
mod members;
mod nodes;
pub mod objects;
mod origin;
mod peers;
mod pods;
mod ranges;
mod services;
mod settings;
mod shares;
mod shown;
mod slices;
pub mod workload;

use crate::facts::Container;
use crate::hash::HashSet;
use crate::names::{self, FrozenNames, Name, NameId, Names};
use crate::records::Unresolved;
use crate::table::{Frozen, Table};
use far::Far;
use members::Members;
use nodes::Nodes;
use objects::{Event, Kind};
pub use peers::{PeerName, Question};
use pods::Pods;
use services::{ServiceSlot, Services};
pub use settings::{Grain, Peers, ServiceMatching, Settings};
use shown::Shown;
pub use shown::{PodRecord, PodShown};
use slices::Slices;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Addresses that are remembered as changed; beyond, everything counts as changed.
const DIRTY: usize = 4096;
/// Addresses that are kept of this node: with kube-proxy in IPVS mode it has those of all Services.
const HOST: usize = 4096;
/// Objects of others that may make way for a single one.
const EVICTIONS: usize = 1024;
/// Share of the names' room from which on names that no one holds are swept.
const CROWDED: usize = names::NAMES / 4 * 3;

/// What changed since names were last asked for.
#[derive(Debug, Default)]
pub struct Dirt {
    /// Anything may have.
    pub all: bool,
    /// A pod of this node was added, left or is called otherwise.
    pub pods: bool,
    /// Who is behind these ports of nodes may have.
    pub ports: HashSet<u16>,
    /// Who is behind these may have.
    pub addresses: HashSet<u128>,
}

impl Dirt {
    fn address(&mut self, address: u128) {
        if self.addresses.len() < DIRTY {
            self.addresses.insert(address);
        } else {
            self.all = true;
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && !self.pods && self.ports.is_empty() && self.addresses.is_empty()
    }
}

/// The pod of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwningPod {
    /// Its name.
    pub name: NameId,
    /// Grows when anything that names depend on changes about the pod.
    version: u64,
    slot: pods::PodSlot,
}

/// Objects that are known, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// How many, by [`Kind`].
    pub objects: [usize; Kind::ALL.len()],
    /// Whether a list of them was ever complete, by [`Kind`].
    pub synced: [bool; Kind::ALL.len()],
    /// Objects for which there was no room, by [`Kind`], since the start.
    pub refused: [u64; Kind::ALL.len()],
    /// Events taken in since the start.
    pub events: u64,
}

/// The cluster, as far as it concerns this node.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    names: Names,
    pods: Pods,
    services: Services,
    slices: Slices,
    nodes: Nodes,
    far: Far,
    /// Addresses of this node's own network namespace.
    host: HashSet<u128>,
    members: Members,
    seed: u64,
    shown: Vec<Option<Shown>>,
    records: Table<PodRecord>,
    next_pod: u64,
    versions: u64,
    dirt: Dirt,
    /// Namespaces in which a Service changed its members.
    reselect: BTreeSet<Box<str>>,
    /// The list of each kind that is under way, or the last one.
    rounds: [u32; Kind::ALL.len()],
    known: Known,
    /// So many names are swept.
    sweep_at: usize,
    /// Unix time less the time that pods come and go by, milliseconds.
    pub(crate) offset_ms: u64,
}

/// A `u32` of what is bounded far below it.
fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// An address as [`crate::facts::Endpoint`] has it.
pub(crate) const fn address(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Cluster {
    /// A cluster of which nothing is known yet. The seed must be random, once per process: labels
    /// are text that strangers choose.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            names: Names::default(),
            pods: Pods::default(),
            services: Services::default(),
            slices: Slices::default(),
            nodes: Nodes::default(),
            far: Far::default(),
            host: HashSet::default(),
            members: Members::new(seed),
            seed,
            shown: Vec::new(),
            records: Table::new(pods::PODS),
            next_pod: 0,
            versions: 0,
            dirt: Dirt::default(),
            reselect: BTreeSet::new(),
            rounds: [0; Kind::ALL.len()],
            known: Known::default(),
            sweep_at: CROWDED,
            offset_ms: 0,
        }
    }

    /// Other settings: everything is named again.
    pub fn set(&mut self, settings: Settings) {
        if settings != self.settings {
            self.settings = settings;
            self.dirt.all = true;
            self.restale();
        }
    }

    /// The addresses that this node's own network namespace has, bridges and tunnels included.
    pub fn set_host(&mut self, addresses: &[IpAddr]) {
        // Those of Services are known as such: with IPVS they must not take the places of the others.
        let of_service = |address: &u128| self.services.has_cluster_address(*address);
        let (services, own): (Vec<u128>, Vec<u128>) =
            addresses.iter().map(|ip| address(*ip)).partition(of_service);
        let host: HashSet<u128> = own.into_iter().chain(services).take(HOST).collect();
        if host != self.host {
            self.host = host;
            self.dirt.all = true;
        }
    }

    /// What flows are counted by.
    #[must_use]
    pub const fn grain(&self) -> Grain {
        self.settings.grain
    }

    /// Takes in a change.
    pub fn apply(&mut self, event: Event, now_ms: u64) {
        self.known.events += 1;
        let rounds = self.rounds;
        let round = |kind: Kind| rounds[kind as usize];
        match event {
            Event::Pod(pod) => {
                let room = self.pods.upsert(pod, round(Kind::Pod), now_ms, &mut self.dirt);
                self.refused(Kind::Pod, !room);
            }
            Event::PodGone(_, _, uid) => self.pods.remove(&uid, now_ms, &mut self.dirt),
            Event::Service(service) => self.take_service(service, round(Kind::Service)),
            Event::ServiceGone(namespace, name) => self.remove_service(&namespace, &name),
            Event::EndpointSlice(slice) => self.take_slice(slice, round(Kind::EndpointSlice)),
            Event::EndpointSliceGone(namespace, name) => {
                self.slices.remove(&namespace, &name, &mut self.dirt);
            }
            Event::Far(found) => self.far.take(found, &mut self.dirt),
            Event::FarNodes(found) => self.far.take_nodes(found, &mut self.dirt),
            Event::Nodes(nodes) => self.dirt.all |= self.nodes.replace(nodes),
            Event::Listing(kind) => {
                self.rounds[kind as usize] = self.rounds[kind as usize].wrapping_add(1);
            }
            Event::Listed(kind) => self.listed(kind, now_ms),
            Event::Unwatched(kind) => self.unwatched(kind),
        }
    }

    fn take_service(&mut self, mut service: objects::Service, round: u32) {
        use services::Upsert;
        let (namespace, name) = (service.namespace.clone(), service.name.clone());
        for _ in 0..EVICTIONS {
            match self.services.upsert(&mut service, round, &mut self.dirt) {
                Upsert::Same => return,
                Upsert::Changed(slot) => return self.select(slot, namespace),
                Upsert::NoRoom => break,
                Upsert::Instead((namespace, name)) => {
                    self.refused(Kind::Service, true);
                    self.remove_service(&namespace, &name);
                }
            }
        }
        // What was known of it is not so any more.
        self.remove_service(&namespace, &name);
        self.refused(Kind::Service, true);
    }

    fn take_slice(&mut self, mut slice: objects::EndpointSlice, round: u32) {
        use slices::Upsert;
        for _ in 0..EVICTIONS {
            match self.slices.upsert(slice, round, &mut self.dirt) {
                Upsert::Taken => return,
                Upsert::NoRoom => break,
                Upsert::Instead((namespace, name), again) => {
                    self.refused(Kind::EndpointSlice, true);
                    self.slices.remove(&namespace, &name, &mut self.dirt);
                    slice = *again;
                }
            }
        }
        self.refused(Kind::EndpointSlice, true);
    }

    fn refused(&mut self, kind: Kind, refused: bool) {
        self.known.refused[kind as usize] += u64::from(refused);
    }

    /// A Service is new or changed: its selector, and who it may select.
    fn select(&mut self, slot: ServiceSlot, namespace: Box<str>) {
        if let Some(service) = self.services.get(slot)
            && !self.members.upsert_service(slot, service)
        {
            self.known.refused[Kind::Service as usize] += 1;
        }
        self.announce(slot);
        self.reselect.insert(namespace);
    }

    /// Anyone who is an endpoint of this Service may be known by it now, or not any more. Until the
    /// first list is complete that goes for everybody anyway.
    fn announce(&mut self, slot: ServiceSlot) {
        let Self { services, slices, dirt, known, .. } = self;
        if let Some(service) = services.get(slot)
            && known.synced[Kind::Service as usize]
        {
            slices.each_address_of(&service.namespace, &service.name, |ip| dirt.address(ip));
        }
    }

    fn remove_service(&mut self, namespace: &str, name: &str) {
        if let Some(service) = self.services.remove(namespace, name, &mut self.dirt) {
            self.members.remove_service(&service);
            let dirt = &mut self.dirt;
            self.slices.each_address_of(&service.namespace, &service.name, |ip| dirt.address(ip));
            self.reselect.insert(service.namespace);
        }
    }

    fn listed(&mut self, kind: Kind, now_ms: u64) {
        let round = self.rounds[kind as usize];
        match kind {
            Kind::Pod => self.pods.sweep(round, now_ms, &mut self.dirt),
            Kind::Service => {
                for (namespace, name) in self.services.missing(round) {
                    self.remove_service(&namespace, &name);
                }
            }
            Kind::EndpointSlice => {
                for (namespace, name) in self.slices.missing(round) {
                    self.slices.remove(&namespace, &name, &mut self.dirt);
                }
            }
        }
        if !std::mem::replace(&mut self.known.synced[kind as usize], true) {
            self.dirt.all = true;
        }
    }

    fn unwatched(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.clear(&mut self.dirt),
            Kind::Service => {
                self.services.clear();
                self.members = Members::new(self.seed);
            }
            Kind::EndpointSlice => self.slices.clear(),
        }
        self.known.synced[kind as usize] = false;
        self.dirt.all = true;
        self.restale();
    }

    /// Every pod is to be shown again.
    fn restale(&mut self) {
        let all: Vec<_> = self.pods.iter().map(|(slot, _)| slot).collect();
        self.pods.stale.extend(all);
    }

    /// What names are to be asked for again; asked once, it is forgotten.
    pub(crate) fn dirt(&mut self) -> Dirt {
        std::mem::take(&mut self.dirt)
    }

    /// The pod that a container belongs to: `None` when it is no pod's, as far as its cgroup shows.
    pub(crate) fn owner(&self, container: &Container) -> Result<Option<OwningPod>, Unresolved> {
        if container.foreign {
            return Ok(None);
        }
        let uid = container.pod_uid.as_deref();
        let slot = self.pods.of_container(&container.id, uid);
        let shown = slot.and_then(|slot| Some((slot, self.shown.get(slot as usize)?.as_ref()?)));
        match shown {
            Some((_, Shown { name: None, .. })) => Err(Unresolved::NamesFull),
            Some((slot, &Shown { name: Some(name), version, .. })) => {
                Ok(Some(OwningPod { name, version, slot }))
            }
            None if uid.is_none() || self.settings.alone => Ok(None),
            None if !self.known.synced[Kind::Pod as usize] => Err(Unresolved::NotSynced),
            None => Err(Unresolved::NoPodForContainer),
        }
    }

    /// The name of an id.
    #[must_use]
    pub fn name(&self, id: NameId) -> Option<&Name> {
        self.names.get(id)
    }

    /// Who a flow is counted for, given a pod, and a Service of it where that may stand for it.
    pub(crate) fn grained(&self, id: NameId, service: Option<NameId>) -> NameId {
        let Some(Name::Pod { workload, .. }) = self.names.get(id) else { return id };
        match self.settings.grain {
            Grain::Pod => id,
            Grain::Service => service.or(*workload).unwrap_or(id),
            Grain::Workload => workload.or(service).unwrap_or(id),
        }
    }

    /// Whether names that no one holds are to be swept.
    pub(crate) const fn crowded(&self) -> bool {
        self.names.len() >= self.sweep_at
    }

    /// Forgets the names that neither `held` nor a pod of this node nor a held pod names.
    pub(crate) fn sweep(&mut self, mut held: HashSet<NameId>) {
        held.extend(self.shown.iter().flatten().filter_map(|shown| shown.name));
        let workload = |id: &NameId| match self.names.get(*id) {
            Some(Name::Pod { workload, .. }) => *workload,
            _ => None,
        };
        let workloads: Vec<NameId> = held.iter().filter_map(workload).collect();
        held.extend(workloads);
        self.names.sweep(|id| held.contains(&id));
        // What is held in earnest is not looked through again for every new name.
        self.sweep_at = CROWDED.max(self.names.len() + names::NAMES / 16);
    }

    /// Whether every list that names depend on was complete once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let Settings { service_matching, peers, .. } = &self.settings;
        let slices =
            *peers == Peers::EndpointSlices || *service_matching == ServiceMatching::EndpointSlices;
        let services = *peers != Peers::Off || *service_matching == ServiceMatching::Selectors;
        let synced = |kind: Kind| self.known.synced[kind as usize];
        synced(Kind::Pod)
            && (synced(Kind::Service) || !services)
            && (synced(Kind::EndpointSlice) || !slices)
    }

    /// What is known, in numbers.
    #[must_use]
    pub fn known(&self) -> Known {
        let objects = [self.pods.len(), self.services.len(), self.slices.len()];
        let mut refused = self.known.refused;
        refused[Kind::Pod as usize] += self.pods.cut;
        refused[Kind::Service as usize] += self.services.cut;
        refused[Kind::EndpointSlice as usize] += self.slices.cut;
        Known { objects, refused, ..self.known }
    }

    pub(crate) fn freeze_names(&self) -> FrozenNames {
        self.names.freeze()
    }

    pub(crate) fn freeze_pods(&self) -> Frozen<PodRecord> {
        self.records.freeze()
    }
}
