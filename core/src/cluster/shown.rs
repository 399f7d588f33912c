//! Pods of this node as the report shows them: with their workload and their Services.
//!
//! In: the pods that were touched. Out: one record a pod that exists, changed only when something
//! that is shown changed. It must not show a pod that was deleted, though its name is kept for the
//! sockets that come late.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::objects::{Kind, Phase, Pod};
use super::pods::{Own, PodSlot};
use super::slices::State;
use super::workload::workload;
use super::{Cluster, ServiceMatching};
use crate::names::{Name, NameId};
use crate::table::{Epoch, Slot};
use std::net::IpAddr;
use std::sync::Arc;

/// Services that are listed for one pod. More is a mistake in someone's selectors; 10,000 were
/// seen.
const SERVICES: usize = 64;

/// A pod of this node.
#[derive(Clone, Debug)]
pub struct PodRecord {
    /// Unique while the agent runs.
    pub id: u64,
    /// What is shown of it.
    pub shown: Arc<PodShown>,
    /// The last change.
    pub changed: Epoch,
}

/// What is shown of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodShown {
    /// Namespace.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Uid.
    pub uid: Box<str>,
    /// Kind and name of what made it.
    pub workload: (Box<str>, Box<str>),
    /// The Services that it serves, of its own namespace, by name; at most 64.
    pub services: Vec<Box<str>>,
    /// How many it serves.
    pub service_count: usize,
    /// Where its life stands.
    pub phase: Phase,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has its node's addresses.
    pub host_network: bool,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Full ids of its containers, with their names.
    pub containers: Vec<(Box<str>, Box<str>)>,
}

/// How a pod is known to those who ask.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) name: Option<NameId>,
    pub(super) version: u64,
    pub(super) pod: Arc<PodShown>,
    /// The Services by which it is known while it is not ready or ends, if they are others than
    /// those that it serves.
    known_by: Option<Box<[Box<str>]>>,
    /// Its record, until it is deleted.
    record: Option<(Slot, u64)>,
}

impl Shown {
    /// The Services by which it is known: those that it serves, or would if it were ready. What is
    /// open does not lose its name when a pod drains or misses a probe.
    pub(super) fn known_by(&self) -> &[Box<str>] {
        self.known_by.as_deref().unwrap_or(&self.pod.services)
    }
}

/// What showing pods again led to.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Whether any record was added or changed.
    pub(crate) changed: bool,
    /// Ids of records that are gone.
    pub(crate) removed: Vec<u64>,
}

impl Cluster {
    /// Shows the pods that were touched again.
    pub(crate) fn settle(&mut self, epoch: Epoch, now_ms: u64) -> Settled {
        self.pods.expire(now_ms, &mut self.dirt);
        self.note_stale();
        let mut stale = std::mem::take(&mut self.pods.stale);
        stale.sort_unstable();
        stale.dedup();
        let mut settled = Settled::default();
        for slot in stale {
            self.show(slot, epoch, &mut settled);
        }
        settled
    }

    /// Pods whose Services may have changed though they did not.
    fn note_stale(&mut self) {
        let Self { pods, dirt, reselect, .. } = self;
        if dirt.all || !dirt.addresses.is_empty() {
            // What has this node's addresses shows which addresses are nodes'.
            dirt.all |= pods.hosts().any(|host| dirt.addresses.contains(&host));
            let touched = |own: &Own| {
                let mut ips = own.pod.ips.iter().map(|ip| super::address(*ip));
                dirt.all || ips.any(|ip| dirt.addresses.contains(&ip))
            };
            let slots: Vec<_> = pods.iter().filter(|(_, o)| touched(o)).map(|(s, _)| s).collect();
            pods.stale.extend(slots);
        }
        if !reselect.is_empty() {
            let slots = pods.iter().filter(|(_, own)| reselect.contains(&own.pod.namespace));
            let slots: Vec<_> = slots.map(|(slot, _)| slot).collect();
            pods.stale.extend(slots);
            reselect.clear();
        }
    }

    fn show(&mut self, slot: PodSlot, epoch: Epoch, settled: &mut Settled) {
        let at = slot as usize;
        if self.shown.len() <= at {
            self.shown.resize_with(at + 1, || None);
        }
        let Some(own) = self.pods.get(slot) else {
            if let Some(shown) = self.shown[at].take() {
                self.members.remove_pod(slot, &shown.pod.uid);
                self.unlist(shown.record, epoch, settled);
                self.dirt.pods = true;
            }
            return;
        };
        let gone = own.gone_ms.is_some();
        let old = self.shown[at].take();
        // What a deleted pod served when it was last there is what its late sockets served.
        let (fresh, known_by) = match &old {
            Some(old) if gone => (Arc::clone(&old.pod), old.known_by.clone()),
            _ => {
                if !self.members.upsert_pod(slot, &own.pod) {
                    self.known.refused[Kind::Pod as usize] += 1;
                }
                let all = match &old {
                    // What is left of the connections of one that has ended is what it served until then.
                    Some(old) if own.ended_ms.is_some() => Some(old.known_by().to_vec()),
                    _ => (!own.pod.ready || own.pod.terminating)
                        .then(|| self.services_of(slot, &own.pod, true).0),
                };
                let fresh = self.picture(slot, &own.pod);
                let known_by = all.filter(|all| *all != fresh.services).map(Into::into);
                (Arc::new(fresh), known_by)
            }
        };
        let same = old
            .as_ref()
            .is_some_and(|old| old.pod == fresh && old.known_by == known_by && old.name.is_some());
        let mut shown = match old {
            Some(old) if same => old,
            old => {
                let record = old.and_then(|old| old.record);
                self.versions += 1;
                self.dirt.pods = true;
                fresh.ips.iter().for_each(|ip| self.dirt.address(super::address(*ip)));
                let name = self.intern_pod(&fresh);
                Shown { name, version: self.versions, pod: fresh, known_by, record }
            }
        };
        if gone {
            self.unlist(shown.record.take(), epoch, settled);
        } else {
            self.list(&mut shown, same, epoch, settled);
        }
        self.shown[at] = Some(shown);
    }

    fn list(&mut self, shown: &mut Shown, same: bool, epoch: Epoch, settled: &mut Settled) {
        match shown.record {
            Some(_) if same => return,
            Some((slot, _)) => {
                if let Some(record) = self.records.get_mut(slot, epoch) {
                    record.shown = Arc::clone(&shown.pod);
                    record.changed = epoch;
                }
            }
            None => {
                self.next_pod += 1;
                let id = self.next_pod;
                let record = PodRecord { id, shown: Arc::clone(&shown.pod), changed: epoch };
                shown.record = self.records.insert(record, epoch).ok().map(|slot| (slot, id));
            }
        }
        settled.changed = true;
    }

    fn unlist(&mut self, record: Option<(Slot, u64)>, epoch: Epoch, settled: &mut Settled) {
        if let Some((slot, id)) = record {
            self.records.remove(slot, epoch);
            settled.removed.push(id);
        }
    }

    fn intern_pod(&mut self, pod: &PodShown) -> Option<NameId> {
        let (namespace, (kind, name)) = (pod.namespace.clone(), pod.workload.clone());
        let workload = self.names.intern(Name::Workload { namespace, kind, name })?;
        self.names.intern(Name::Pod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            workload: Some(workload),
        })
    }

    fn picture(&self, slot: PodSlot, pod: &Pod) -> PodShown {
        let owner = pod.controller.as_ref().map(|(kind, name)| (&**kind, &**name));
        let (kind, name) = workload(&pod.name, owner, |key| pod.label(key));
        let (services, service_count) = self.services_of(slot, pod, false);
        PodShown {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            workload: (kind.into(), name.into()),
            services,
            service_count,
            phase: pod.phase,
            ready: pod.ready,
            terminating: pod.terminating,
            host_network: pod.host_network,
            ips: pod.ips.clone(),
            containers: pod.containers.clone(),
        }
    }

    /// The Services that a pod serves: selected, alive, and ready unless the Service does not care,
    /// or no one does.
    fn services_of(&self, slot: PodSlot, pod: &Pod, anyhow: bool) -> (Vec<Box<str>>, usize) {
        let matching = self.settings.service_matching;
        let alive = pod.phase != Phase::Ended && !pod.ips.is_empty();
        if matching == ServiceMatching::Off || !alive {
            return (Vec::new(), 0);
        }
        let mut services: Vec<&str> = Vec::new();
        if matching == ServiceMatching::Selectors {
            self.members.services_of(slot, |slot| {
                let service = self.services.get(slot);
                let ready = anyhow || (pod.ready && !pod.terminating);
                services.extend(
                    service.filter(|s| ready || s.publish_not_ready).map(|service| &*service.name),
                );
            });
        }
        for ip in pod.ips.iter().map(|ip| super::address(*ip)) {
            for (slice, endpoint) in self.slices.at(ip) {
                let its = endpoint.pod.as_deref() == Some(&*pod.name)
                    && slice.namespace == pod.namespace
                    && self.names_service(slice)
                    && (anyhow || endpoint.state == State::Ready);
                if its && (matching == ServiceMatching::EndpointSlices || self.selects_none(slice))
                {
                    services.push(&slice.service);
                }
            }
        }
        services.sort_unstable();
        services.dedup();
        let count = services.len();
        (services.into_iter().take(SERVICES).map(Into::into).collect(), count)
    }

    /// Whether the Service of a slice has no selector: then only slices tell its members.
    fn selects_none(&self, slice: &super::slices::Known) -> bool {
        let service = self.services.find(&slice.namespace, &slice.service);
        service.is_some_and(|s| s.selector.is_empty() && !s.external_name)
    }
}
