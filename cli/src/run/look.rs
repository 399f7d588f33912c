//! Runs `conns`, `procs`, `map` and `netpol`: what agents know.
//!
//! I/O: the API server, agents behind its proxy.

use std::collections::BTreeSet;
use std::time::Duration;

use super::targets::Found;
use super::{Run, checked, print};
use crate::answer::conns::{Conns, Which};
use crate::answer::map::{Map, Names};
use crate::answer::netpol::{Ends, Policy, workload_of};
use crate::answer::procs::Procs;
use crate::args::Format;
use crate::ask::{Error, escape};
use crate::seen::Service;
use crate::seen::pod::Pod;
use crate::seen::report::Report;
use crate::show;
use crate::target::Target;

/// Addresses that are looked up one by one.
const ADDRESSES: usize = 64;
/// Pods and flows are sent whatever the filter; this one leaves the rest out.
pub(super) const FLOWS_ONLY: &str = "?pid=1&port=1";

impl Run {
    pub(super) async fn conns(
        &self,
        text: &str,
        which: Which,
        watch: Option<Duration>,
    ) -> Result<(), Error> {
        let found = self.find(text).await?;
        let mut before = self.conns_now(&found, which).await?;
        self.show(&before)?;
        let Some(interval) = watch else { return Ok(()) };
        loop {
            tokio::time::sleep(interval).await;
            let now = self.conns_now(&found, which).await?;
            match self.common.output {
                Format::Table | Format::Wide => print(&now.since(&before, self.colours)),
                _ => self.show(&now)?,
            }
            before = now;
        }
    }

    async fn conns_now(&self, found: &Found, which: Which) -> Result<Conns, Error> {
        let (reports, unasked) = self.reports(&found.nodes, &found.target.query()).await?;
        let mut conns = Conns::of(&found.target, &reports, which);
        conns.unasked = unasked;
        Ok(conns)
    }

    pub(super) async fn procs(&self, text: &str) -> Result<(), Error> {
        let found = self.find(text).await?;
        let (reports, unasked) = self.reports(&found.nodes, &found.target.query()).await?;
        let mut procs = Procs::of(&found.target, &reports);
        procs.unasked = unasked;
        self.show(&procs)
    }

    pub(super) async fn map(&self, namespace: Option<String>, all: bool) -> Result<(), Error> {
        let namespace = namespace.or_else(|| self.common.namespace.clone());
        let nodes: BTreeSet<String> = match &namespace {
            Some(namespace) => {
                let pods = self.pods_of(namespace, None).await?;
                let nodes = pods.into_iter().map(|pod| pod.spec.node_name);
                nodes.filter(|node| !node.is_empty()).collect()
            }
            None => {
                self.ask.probes(false).await?.items.iter().map(|p| p.name.to_string()).collect()
            }
        };
        if nodes.is_empty() {
            let place = namespace.unwrap_or_default();
            return Err(Error::Absent {
                what: format!("there is no pod on any node in the namespace {place}"),
                next: "what there is: kubectl get pods -A".to_owned(),
            });
        }
        let nodes: Vec<String> = nodes.into_iter().collect();
        let (reports, unasked) = self.reports(&nodes, FLOWS_ONLY).await?;
        let names = Names::of(&reports, &self.services().await);
        let mut map = Map::of(&reports, &names, namespace.as_deref(), all);
        map.unasked = unasked;
        match map.picture(self.common.output) {
            Some(picture) => print(&picture),
            None => self.show(&map)?,
        }
        Ok(())
    }

    /// Services that may be read: without them a port is that of the Service.
    async fn services(&self) -> Vec<Service> {
        let all = self.ask.pages("/api/v1/services", None, "Services", |service: Service| service);
        all.await.map_or_else(|_| Vec::new(), |pages| pages.items)
    }

    pub(super) async fn netpol(&self, text: &str) -> Result<(), Error> {
        let Found { target, nodes } = self.find(text).await?;
        let workload = match &target {
            Target::Workload(workload) => workload.clone(),
            Target::Pod(id) => {
                let (namespace, name) = id.split_once('/').unwrap_or_default();
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                workload_of(&self.ask.get::<Pod>(&path).await?)
            }
            Target::Service(_) | Target::Node(_) => {
                return Err(Error::Usage {
                    what: format!("a policy is for a workload, and {target} is none"),
                    next: "give deploy/NAME, sts/NAME, ds/NAME or a pod".to_owned(),
                });
            }
        };
        let (reports, unasked) = self.reports(&nodes, FLOWS_ONLY).await?;
        if let Some((node, why)) = unasked.first() {
            // A policy from half of the pods would cut off the other half.
            return Err(Error::Agent {
                node: node.clone(),
                why: why.clone(),
                next: format!("kubectl probelet explain {node}"),
            });
        }
        let services = self.services().await;
        let names = Names::of(&reports, &services);
        let pods = self.peers(&workload, &reports, &names).await?;
        let policy = Policy::of(&workload, &reports, &names, &Ends::of(&pods, &services));
        match self.common.output {
            Format::Table | Format::Wide | Format::Yaml => print(&policy.text()),
            Format::Json => print(&show::json(&policy)),
            _ => self.show(&policy)?,
        }
        Ok(())
    }

    /// The pods that the ends of its flows may be: of their namespaces, or at their addresses.
    async fn peers(
        &self,
        workload: &str,
        reports: &[Report],
        names: &Names,
    ) -> Result<Vec<Pod>, Error> {
        let map = Map::of(reports, names, None, true);
        let concerned = map.edges.iter().filter(|e| e.from == workload || e.to == workload);
        let ends: BTreeSet<&str> = concerned
            .flat_map(|edge| [edge.from.as_str(), edge.to.as_str()])
            .chain([workload])
            .collect();
        let namespaces: BTreeSet<&str> = ends
            .iter()
            .filter(|end| end.matches('/').count() == 2)
            .filter_map(|end| end.split('/').next())
            .collect();
        let mut pods = Vec::new();
        for namespace in namespaces {
            pods.extend(self.pods_of(checked(namespace)?, None).await?);
        }
        let known: BTreeSet<String> =
            pods.iter().flat_map(|pod| &pod.status.pod_ips).map(|ip| ip.ip.clone()).collect();
        let addresses = ends.iter().filter_map(|end| end.strip_prefix("external "));
        for address in addresses.filter(|address| !known.contains(*address)).take(ADDRESSES) {
            let field = escape(&format!("status.podIP={address}"));
            let path = format!("/api/v1/pods?fieldSelector={field}");
            // Who may not look into all namespaces gets the address.
            if let Ok(found) = self.ask.pages(&path, None, "pods", |pod: Pod| pod).await {
                pods.extend(found.items);
            }
        }
        Ok(pods)
    }
}
