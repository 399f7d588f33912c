//! One name for each end, whichever node speaks of it.
//!
//! In: the pods that all reports list, the Services' ports. Out: `namespace/Kind/name` for an end of a flow, and the
//! port on which its pods listen. Pure: values only.

use std::collections::{BTreeMap, BTreeSet};

use probelet_core::display::series::{self, OTHER, UNRESOLVED};

use crate::seen::Service;
use crate::seen::pod::Pod;
use crate::seen::report::{End, Flow, Report};

/// What ends are called.
#[derive(Debug, Default)]
pub struct Names {
    /// Workloads by the addresses of their pods.
    by_ip: BTreeMap<String, String>,
    /// Workloads by their pods, `namespace/name`.
    by_pod: BTreeMap<String, String>,
    /// Workloads by their Services, `namespace/name`.
    by_service: BTreeMap<String, BTreeSet<String>>,
    /// Of which Services all workloads are known.
    asked: Asked,
    /// Whether agents hide ends that the reader may not see.
    hides: bool,
    /// Ports of Services: what is connected to, and what pods listen on.
    ports: BTreeMap<String, BTreeMap<u16, u16>>,
}

/// Which nodes answered. What a Service leads to is a workload only where no node can have another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Asked {
    /// Some, and others may have pods of any Service.
    #[default]
    Some,
    /// All on which this namespace has pods.
    Namespace(String),
    /// All.
    Every,
}

impl Names {
    /// From the reports of the nodes that answered, and the Services that may be read.
    #[must_use]
    pub fn of(reports: &[Report], services: &[Service], asked: Asked) -> Self {
        let hides = reports.iter().any(Report::is_narrow);
        let mut names = Self { asked, hides, ..Self::default() };
        for pod in reports.iter().flat_map(|report| &report.pods) {
            names.by_pod.insert(pod.id(), pod.workload.clone());
            // Whose pod ended has no address any more: it may be another's.
            for ip in pod.ips.iter().filter(|_| !pod.host_network && pod.phase != "Ended") {
                names.by_ip.insert(ip.clone(), pod.workload.clone());
            }
            for service in &pod.services {
                names.by_service.entry(service.clone()).or_default().insert(pod.workload.clone());
            }
        }
        for service in services {
            let id = format!("{}/{}", service.metadata.namespace, service.metadata.name);
            let ports = service.spec.ports.iter().filter_map(|port| {
                let target = port.target_port.as_u64().and_then(|n| u16::try_from(n).ok());
                Some((port.port, target.filter(|&n| n > 0)?))
            });
            names.ports.insert(id, ports.collect());
        }
        names
    }

    /// Takes the workloads behind Services from these pods as well: those of nodes that did not answer.
    pub fn also(&mut self, pods: &[Pod], services: &[Service]) {
        for pod in pods.iter().filter(|pod| !pod.is_ended()) {
            for service in services
                .iter()
                .filter(|service| service.selects(&pod.metadata.namespace, &pod.metadata.labels))
            {
                let workloads = self.by_service.entry(service.metadata.id()).or_default();
                workloads.insert(pod.workload());
            }
        }
    }

    /// There are nodes of which nothing is known.
    pub fn know_some(&mut self) {
        self.asked = Asked::Some;
    }

    /// What an end is called; nothing if no one knows.
    #[must_use]
    pub fn name(&self, end: &End) -> Option<String> {
        if self.hides && end.kind == OTHER {
            return Some(OTHER.to_owned());
        }
        let name = end.name.as_deref()?;
        Some(match end.kind.as_str() {
            "pod" => match self.by_pod.get(name) {
                Some(workload) => workload.clone(),
                None => kinded(name, "Pod"),
            },
            "service" => match self.only(name) {
                Some(workload) => workload.to_owned(),
                None => kinded(name, "Service"),
            },
            "external" => {
                self.by_ip.get(name).cloned().unwrap_or_else(|| format!("external {name}"))
            }
            "node" => format!("Node/{name}"),
            "group" => format!("Group/{name}"),
            "process" | "container" => plain(&end.kind, name),
            UNRESOLVED | OTHER => return None,
            _ => name.to_owned(),
        })
    }

    /// The one workload behind a Service, if it is one.
    fn only(&self, service: &str) -> Option<&str> {
        let namespace = service.split('/').next();
        match &self.asked {
            Asked::Every => {}
            Asked::Namespace(asked) if namespace == Some(asked) => {}
            Asked::Namespace(_) | Asked::Some => return None,
        }
        let behind = self.by_service.get(service)?;
        behind.first().filter(|_| behind.len() == 1).map(String::as_str)
    }

    /// Whether a workload that is one of these may answer for an end: it is behind the Service that is known alone.
    #[must_use]
    pub(crate) fn may_be(&self, end: &End, workloads: &BTreeSet<String>) -> bool {
        let service = end.name.as_deref().filter(|_| end.kind == "service");
        let behind = service.and_then(|service| self.by_service.get(service));
        behind.is_some_and(|behind| !behind.is_disjoint(workloads))
    }

    /// What the accepting end of a flow is called, on whichever node its pods are: a Service of one workload is
    /// that workload, one of several is itself.
    #[must_use]
    pub fn destination(&self, flow: &Flow) -> Option<String> {
        let Some(service) = flow.service.as_deref() else { return self.name(&flow.destination) };
        Some(self.only(service).map_or_else(|| kinded(service, "Service"), str::to_owned))
    }

    /// Whether this is the address of a pod that a report lists.
    #[must_use]
    pub(crate) fn knows_pod(&self, end: &End) -> bool {
        let name = end.name.as_deref().filter(|_| end.kind == "external");
        name.is_some_and(|address| self.by_ip.contains_key(address))
    }

    /// The port that answers; `to` is what the accepting end is called. Older agents say which port was connected
    /// to: where that is a Service's, its pods listen on another one.
    #[must_use]
    pub fn port(&self, flow: &Flow, to: Option<&str>) -> u16 {
        let (end, port) = (&flow.destination, flow.port);
        if !flow.reporter.is_empty() {
            return port;
        }
        let translated = |service: &str| self.ports.get(service)?.get(&port).copied();
        if end.kind == "service" {
            return end.name.as_deref().and_then(translated).unwrap_or(port);
        }
        let serves = |(_, workloads): &(&String, &BTreeSet<String>)| {
            to.is_some_and(|to| workloads.contains(to))
        };
        let services = self.by_service.iter().filter(serves).map(|(service, _)| service);
        services.into_iter().find_map(|service| translated(service)).unwrap_or(port)
    }
}

/// A name that its program chose, as metrics have it: with its kind, where it could be taken for another one's. Here that
/// is also what looks like an address outside.
fn plain(kind: &str, name: &str) -> String {
    if name.starts_with("external ") {
        return format!("{kind}/{name}");
    }
    series::plain(kind, name).into()
}

/// `shop/web` as `shop/Service/web`.
fn kinded(name: &str, kind: &str) -> String {
    match name.split_once('/') {
        Some((namespace, name)) => format!("{namespace}/{kind}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
