//! Which records a response shows.
//!
//! In: a checked [`Filter`], the labels of containers and what the reader may see. Out: a [`Sieve`] that says yes or no to
//! a record by the filter; by what may be seen, [`Sight`] does. Processes are asked for pid, container and pod only: a process has no port or state.
//!
//! Pure: no I/O.

use super::query::Filter;
use crate::serve::sight::Sight;
use probelet_core::cluster::PodRecord;
use probelet_core::display::DisplayNames;
use probelet_core::facts::ContainerId;
use probelet_core::records::{ConnectionRecord, ListenerRecord, Owner, ProcessRecord, RiskRecord};

/// A filter made ready for many records.
#[derive(Debug)]
pub(crate) struct Sieve {
    filter: Filter,
    /// Everything passes.
    open: bool,
    /// The containers that pass, when the filter narrows them down at all; sorted.
    containers: Option<Vec<ContainerId>>,
    /// What the reader may see at all.
    pub(super) sight: Sight,
}

impl Sieve {
    pub(crate) fn new(filter: Filter, labels: &DisplayNames) -> Self {
        let open = filter == Filter::default();
        let Filter { pod, namespaces, container, .. } = &filter;
        let narrowed = pod.is_some() || !namespaces.is_empty() || container.is_some();
        let passing = narrowed.then(|| {
            let named = container.as_deref().map(|c| labels.find(c));
            let ids = labels.ids().filter(|id| named.as_ref().is_none_or(|n| n.contains(id)));
            let ids = ids
                .filter(|&id| pod_passes(&filter, labels.get(id).and_then(|l| l.pod.as_deref())));
            let mut ids: Vec<_> = ids.collect();
            ids.sort_unstable();
            ids
        });
        Self { filter, open, containers: passing, sight: Sight::All }
    }

    /// For a reader who may see this.
    pub(crate) fn seen_by(self, sight: Sight) -> Self {
        Self { sight, ..self }
    }

    /// Whether everything passes.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn process(&self, record: &ProcessRecord) -> bool {
        self.open || (self.pid(record.fact.pid) && self.container(record.fact.container))
    }

    pub(crate) fn connection(&self, record: &ConnectionRecord) -> bool {
        self.open
            || (self.owner(&record.owner)
                && self.filter.protocol.is_none_or(|p| p == record.protocol)
                && self.filter.state.is_none_or(|s| s == record.state)
                && self.filter.direction.is_none_or(|d| d == record.direction)
                && self
                    .filter
                    .port
                    .is_none_or(|p| p == record.local.port || p == record.remote.port))
    }

    /// A listener has no direction, and its state follows from the protocol.
    pub(crate) fn listener(&self, record: &ListenerRecord) -> bool {
        self.open
            || (self.owner(&record.owner)
                && self.filter.protocol.is_none_or(|p| p == record.protocol)
                && self.filter.state.is_none_or(|s| s == listening(record))
                && self.filter.direction.is_none()
                && self.filter.port.is_none_or(|p| p == record.local.port))
    }

    /// A risk has a port, and neither protocol, state nor direction; what is the node's concerns all on it.
    pub(super) fn risk(&self, record: &RiskRecord) -> bool {
        let Filter { protocol, state, direction, port, .. } = &self.filter;
        self.open
            || ((record.netns == 0 || self.owner(&record.owner))
                && protocol.is_none()
                && state.is_none()
                && direction.is_none()
                && port.is_none_or(|p| p == record.port))
    }

    /// A pod is asked for its name and namespace, whatever else is.
    pub(crate) fn pod(&self, record: &PodRecord) -> bool {
        let pod = &record.shown;
        let named = |wanted: &str| wanted.split_once('/') == Some((&*pod.namespace, &*pod.name));
        self.open
            || (self.filter.pod.as_deref().is_none_or(named)
                && is_in(&self.filter.namespaces, Some(&pod.namespace)))
    }

    fn owner(&self, owner: &Owner) -> bool {
        // Of some sockets the pod is known and the container is not.
        let asked = self.filter.container.is_some();
        self.pid(owner.pid) && self.container(if asked { owner.container } else { owner.pod() })
    }

    fn pid(&self, pid: u32) -> bool {
        self.filter.pid.is_none_or(|p| p == pid)
    }

    fn container(&self, id: Option<ContainerId>) -> bool {
        let Some(passing) = &self.containers else { return true };
        id.is_some_and(|id| passing.binary_search(&id).is_ok())
    }
}

/// The state of a listener as `ss` shows it.
pub(crate) const fn listening(record: &ListenerRecord) -> probelet_core::facts::State {
    use probelet_core::facts::{Protocol, State};
    match record.protocol {
        Protocol::Tcp => State::Listen,
        Protocol::Udp => State::Close,
    }
}

fn pod_passes(filter: &Filter, pod: Option<&str>) -> bool {
    let namespace = pod.and_then(|p| p.split_once('/')).map(|(namespace, _)| namespace);
    filter.pod.as_deref().is_none_or(|wanted| Some(wanted) == pod)
        && is_in(&filter.namespaces, namespace)
}

fn is_in(namespaces: &[String], namespace: Option<&str>) -> bool {
    namespaces.is_empty() || namespace.is_some_and(|is| namespaces.iter().any(|name| name == is))
}
