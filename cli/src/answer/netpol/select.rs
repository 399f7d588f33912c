//! How ends of flows are selected in a policy.
//!
//! In: pods with their labels and owners, Services and controllers with their selectors, groups of addresses. Out: peers
//! for an end and ports for a flow, never narrower than what was observed; and the one selector that means the subject
//! and no one else. Pure: values only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::labels::{Labels, common, lasting, usual};
use super::{Refusal, Subject};
use crate::seen::pod::Pod;
use crate::seen::report::{End, Report};
use crate::seen::{Service, selects};

/// What ends can be selected by.
#[derive(Debug, Default)]
pub struct Ends {
    pods: Vec<One>,
    services: BTreeMap<String, Service>,
    /// Selectors of controllers by `namespace/Kind/name`.
    controllers: BTreeMap<String, Labels>,
    /// Ranges of addresses by the name of their group.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Services could not be read: a port may be one of theirs.
    blind: bool,
}

#[derive(Debug)]
struct One {
    id: String,
    namespace: String,
    workload: String,
    /// What else agents may call it.
    also: BTreeSet<String>,
    labels: Labels,
    host: bool,
    ended: bool,
    ips: Vec<String>,
    ports: BTreeMap<String, u16>,
}

/// Who stands for an end.
#[derive(Debug)]
pub(super) enum Peer {
    /// These, as a policy has them.
    These(Vec<Value>),
    /// No one can, for this reason.
    Everyone(String),
}

/// Ports of a rule: none in particular means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ports {
    some: BTreeSet<(String, u16)>,
    all: bool,
}

impl Ports {
    pub(super) fn add(&mut self, other: Self) {
        self.all |= other.all;
        self.some.extend(other.some);
    }

    /// As a policy has them; nothing for all.
    pub(super) fn values(self) -> Option<Vec<Value>> {
        let port = |(protocol, port)| json!({"protocol": protocol, "port": port});
        (!self.all).then(|| self.some.into_iter().map(port).collect())
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all {
            return f.write_str("all ports");
        }
        let ports: Vec<String> =
            self.some.iter().map(|(proto, port)| format!("{proto} {port}")).collect();
        f.write_str(&ports.join(", "))
    }
}

impl Ends {
    /// From these pods and Services.
    #[must_use]
    pub fn of(pods: &[Pod], services: &[Service]) -> Self {
        let pods = pods.iter().map(One::of).collect();
        let services = services.iter().map(|s| (s.metadata.id(), s.clone())).collect();
        Self { pods, services, ..Self::default() }
    }

    /// Takes the names that agents have for pods.
    pub fn called(&mut self, reports: &[Report]) {
        let known = reports.iter().flat_map(|report| &report.pods);
        let known: BTreeMap<String, &str> =
            known.map(|pod| (pod.id(), pod.workload.as_str())).collect();
        for pod in &mut self.pods {
            let called = known.get(&pod.id).filter(|called| **called != pod.workload);
            pod.also.extend(called.map(|called| (*called).to_owned()));
        }
    }

    /// Services could not be read.
    pub fn be_blind(&mut self) {
        self.blind = true;
    }

    /// The selector of a controller, `namespace/Kind/name`.
    pub fn controller(&mut self, id: &str, selector: BTreeMap<String, String>) {
        self.controllers.insert(id.to_owned(), selector);
    }

    /// Ranges of a group of addresses.
    pub fn group(&mut self, name: &str, ranges: impl Iterator<Item = String>) {
        self.groups.entry(name.to_owned()).or_default().extend(ranges);
    }

    /// The pods of a workload that still run.
    fn of_workload<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a One> {
        self.pods.iter().filter(move |pod| pod.is(id) && !pod.ended)
    }

    /// Selectors for these pods, the most lasting first: the controller's, the Services', what is usual, what all have.
    fn selectors(&self, ids: &BTreeSet<&str>, pods: &[&One]) -> Vec<Labels> {
        let all = |selector: &Labels| {
            !selector.is_empty() && pods.iter().all(|pod| selects(selector, &pod.labels))
        };
        let mut found: Vec<Labels> = Vec::new();
        found.extend(ids.iter().filter_map(|id| self.controllers.get(*id)).map(lasting));
        let namespace = pods.first().map_or("", |pod| pod.namespace.as_str());
        let mut services: Vec<Labels> = self
            .services
            .values()
            .filter(|service| service.metadata.namespace == namespace)
            .map(|service| lasting(&service.spec.selector))
            .collect();
        services.sort_by_key(|selector| std::cmp::Reverse(selector.len()));
        found.extend(services);
        let shared = lasting(&common(pods.iter().map(|pod| &pod.labels)));
        found.push(usual(&shared));
        found.push(shared);
        found.retain(all);
        found
    }

    /// Labels that all pods of the subject have and no pod of anybody else.
    pub(super) fn only(&self, subject: &Subject) -> Result<Labels, Refusal> {
        let called = || subject.called.clone();
        let namespace = subject.called.split('/').next().unwrap_or_default();
        let is =
            |pod: &One| pod.namespace == namespace && subject.workloads.iter().any(|id| pod.is(id));
        let pods: Vec<&One> = self.pods.iter().filter(|pod| is(pod) && !pod.ended).collect();
        if pods.is_empty() {
            return Err(Refusal::NoPods(called()));
        }
        if pods.iter().any(|pod| pod.host) {
            return Err(Refusal::HostNetwork(called()));
        }
        let ids = subject.workloads.iter().map(String::as_str).collect();
        let mut others = BTreeSet::new();
        for selector in self.selectors(&ids, &pods) {
            let strangers: BTreeSet<&str> = self
                .pods
                .iter()
                .filter(|pod| pod.namespace == namespace && !pod.ended && !pod.host && !is(pod))
                .filter(|pod| selects(&selector, &pod.labels))
                .map(|pod| pod.workload.as_str())
                .collect();
            if strangers.is_empty() {
                return Ok(selector);
            }
            others = strangers;
        }
        let mut others: Vec<&str> = others.into_iter().take(3).collect();
        if others.is_empty() {
            others.push("the rest of the namespace");
        }
        Err(Refusal::Shared { subject: called(), others: others.join(", ") })
    }

    /// Who stands for an end that is called `name`.
    pub(super) fn peer(&self, end: &End, name: Option<&str>) -> Peer {
        let Some(name) = name else {
            let why = "an end without a name: a probe of the kubelet, or a connection that closed before it was attributed";
            return Peer::Everyone(why.to_owned());
        };
        let everyone = |why: &str| Peer::Everyone(format!("{name}: {why}"));
        if matches!(end.kind.as_str(), "process" | "container") {
            return everyone("it is not a pod of the cluster");
        }
        if let Some(address) = name.strip_prefix("external ") {
            return self.address(address).unwrap_or_else(|| everyone("it is not an address"));
        }
        if let Some(group) = name.strip_prefix("Group/") {
            let ranges = self.groups.get(group).filter(|ranges| !ranges.is_empty());
            return ranges.map_or_else(
                || everyone("the ranges of this group are not known any more"),
                |ranges| Peer::These(ranges.iter().map(|cidr| block(cidr)).collect()),
            );
        }
        if name.starts_with("Node/") {
            return everyone("policies cannot select nodes");
        }
        // Other workloads may be behind a Service than the one that is seen.
        if let Some(id) = end.name.as_deref().filter(|_| end.kind == "service") {
            return self.service(id).unwrap_or_else(everyone);
        }
        let words: Vec<&str> = name.split('/').collect();
        let [namespace, _, _] = words.as_slice() else {
            return everyone("it is not a pod of the cluster");
        };
        self.workload(name, namespace).unwrap_or_else(everyone)
    }

    fn address(&self, address: &str) -> Option<Peer> {
        let parsed: IpAddr = address.parse().ok()?;
        let has = |pod: &&One| !pod.host && pod.has(address);
        if let Some(pod) = self.pods.iter().find(has)
            && let Ok(peer) = self.workload(&pod.workload, &pod.namespace)
        {
            return Some(peer);
        }
        if self.pods.iter().any(|pod| pod.host && pod.has(address)) {
            // Cilium, for one, takes a range of addresses to mean no node.
            let why = "it is a node's address, and policies cannot select nodes";
            return Some(Peer::Everyone(format!("external {address}: {why}")));
        }
        let bits = if parsed.is_ipv4() { 32 } else { 128 };
        Some(Peer::These(vec![block(&format!("{parsed}/{bits}"))]))
    }

    fn has(&self, address: &str) -> bool {
        self.pods.iter().any(|pod| pod.has(address))
    }

    fn service(&self, id: &str) -> Result<Peer, &'static str> {
        let service = self.services.get(id).ok_or("the Service is not to be seen any more")?;
        let namespace = &service.metadata.namespace;
        if service.spec.selector.is_empty() {
            return Err(
                "a Service without selector; put an ipBlock in its place if you know its addresses",
            );
        }
        let behind = self.behind(service);
        if behind.clone().any(|pod| pod.host) {
            return Err("pods on the host network are behind it, which policies cannot select");
        }
        // What a release changes in the pods it may change in the Service as well.
        let selector = lasting(&service.spec.selector);
        if behind.clone().all(|pod| selects(&selector, &pod.labels)) {
            return Ok(Peer::These(vec![peer(namespace, &selector)]));
        }
        Ok(Peer::These(vec![peer(namespace, &Labels::new())]))
    }

    fn behind<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a One> + Clone {
        self.pods.iter().filter(move |pod| service.selects(&pod.namespace, &pod.labels))
    }

    fn workload(&self, id: &str, namespace: &str) -> Result<Peer, &'static str> {
        // A pod that is named by itself stands for its workload: the next one has another name.
        let id = self.of_workload(id).next().map_or(id, |pod| pod.workload.as_str());
        let pods: Vec<&One> = self.of_workload(id).collect();
        if pods.iter().any(|pod| pod.host) {
            return Err("it is on the host network, which policies cannot select");
        }
        // Who is gone may come back under other labels: its namespace at least will be the same.
        let selector = self.selectors(&BTreeSet::from([id]), &pods).into_iter().next();
        let selector = selector.filter(|_| !pods.is_empty()).unwrap_or_default();
        Ok(Peer::These(vec![peer(namespace, &selector)]))
    }

    /// The ports on which the accepting pods listen: policies look at those, and a flow may know the Service's only.
    pub(super) fn ports(&self, end: &End, name: Option<&str>, port: u16, protocol: &str) -> Ports {
        // One end of a connection that went before it was looked at, or flows beyond those that are kept.
        if port == 0 {
            return Ports { all: true, ..Ports::default() };
        }
        let mut ports = Ports::default();
        ports.some.insert((protocol.to_owned(), port));
        let service = end.name.as_deref().filter(|_| end.kind == "service");
        // Anyone who stands behind a node or has no name may have been called by any Service.
        let known = matches!(end.kind.as_str(), "pod" | "workload" | "external" | "group");
        let at = name.and_then(|name| name.strip_prefix("external "));
        let concerns = |service: &&Service| {
            service.spec.ports.iter().any(|one| one.port == port)
                && (!known
                    || self.behind(service).any(|pod| {
                        name.is_some_and(|name| pod.is(name)) || at.is_some_and(|ip| pod.has(ip))
                    }))
        };
        let concerned: Vec<&Service> = match service {
            Some(id) => self.services.get(id).into_iter().collect(),
            None => self.services.values().filter(concerns).collect(),
        };
        let pods =
            !matches!(end.kind.as_str(), "external" | "group") || at.is_some_and(|ip| self.has(ip));
        ports.all |= (self.blind && pods) || (service.is_some() && concerned.is_empty());
        for service in concerned {
            for known in service.spec.ports.iter().filter(|known| known.port == port) {
                match (&known.target_port, known.target_port.as_u64()) {
                    (_, Some(target)) => {
                        let target = u16::try_from(target).ok().filter(|target| *target > 0);
                        ports.some.extend(target.map(|target| (protocol.to_owned(), target)));
                    }
                    (Value::String(named), None) => {
                        let found = self.behind(service).map(|pod| pod.ports.get(named));
                        let found: Vec<Option<&u16>> = found.collect();
                        ports.all |= found.is_empty() || found.contains(&None);
                        let found = found.into_iter().flatten();
                        ports.some.extend(found.map(|target| (protocol.to_owned(), *target)));
                    }
                    // It is the Service's own.
                    _ => {}
                }
            }
        }
        ports
    }
}

impl One {
    /// Whether it is at this address; where a pod ended, another one may be.
    fn has(&self, address: &str) -> bool {
        !self.ended && self.ips.iter().any(|ip| ip == address)
    }

    fn is(&self, workload: &str) -> bool {
        self.workload == workload || self.also.contains(workload)
    }

    fn of(pod: &Pod) -> Self {
        let containers = pod.spec.containers.iter().flat_map(|container| &container.ports);
        Self {
            id: pod.metadata.id(),
            namespace: pod.metadata.namespace.clone(),
            workload: pod.workload(),
            // As an end of a flow it may be named by itself.
            also: BTreeSet::from([format!("{}/Pod/{}", pod.metadata.namespace, pod.metadata.name)]),
            labels: pod.metadata.labels.clone(),
            host: pod.spec.host_network,
            ended: pod.is_ended(),
            ips: pod.status.pod_ips.iter().map(|ip| ip.ip.clone()).collect(),
            ports: containers.map(|port| (port.name.clone(), port.container_port)).collect(),
        }
    }
}

fn block(cidr: &str) -> Value {
    json!({"ipBlock": {"cidr": cidr}})
}

fn peer(namespace: &str, labels: &Labels) -> Value {
    let mut peer = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    });
    if !labels.is_empty() {
        peer["podSelector"] = json!({ "matchLabels": labels });
    }
    peer
}
