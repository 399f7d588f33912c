//! Runs `conns`, `procs`, `map` and `netpol`: what agents know.
//!
//! I/O: the API server, agents behind its proxy.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::outage::Outage;
use super::targets::Found;
use super::{Run, checked, is_unread, print};
use crate::answer::conns::{Conns, Which};
use crate::answer::map::Map;
use crate::answer::naming::{Asked, Names};
use crate::answer::netpol::{Ends, Policy, Subject};
use crate::answer::procs::Procs;
use crate::args::Format;
use crate::ask::{Error, escape};
use crate::seen::pod::Pod;
use crate::seen::report::Report;
use crate::seen::{Controller, Service};
use crate::show;
use crate::target::Target;

/// Agents answer so often without feeling it.
pub(super) const LEAST: Duration = Duration::from_millis(500);
/// The pods of a target are asked for again after so long.
const FOLLOW: Duration = Duration::from_secs(15);
/// Addresses that are looked up one by one.
const ADDRESSES: usize = 64;
/// Nodes without an answer whose pods are looked up.
const SILENT: usize = 16;
/// Pods and flows are sent whatever the filter; this one leaves the rest out.
pub(super) const FLOWS_ONLY: &str = "?pid=1&port=1";

impl Run {
    pub(super) async fn conns(
        &self,
        text: &str,
        which: Which,
        watch: Option<Duration>,
    ) -> Result<(), Error> {
        let mut found = self.find(text).await?;
        let mut before = self.conns_now(&found, which).await?;
        self.show(&before)?;
        let Some(interval) = watch else { return Ok(()) };
        let (mut outage, mut followed) = (Outage::answered(), Instant::now());
        while !is_unread() {
            tokio::time::sleep(interval.max(LEAST)).await;
            if followed.elapsed() >= FOLLOW {
                // After a release its pods are others, on other nodes; between two of them there may be none.
                found = self.find(text).await.unwrap_or(found);
                followed = Instant::now();
            }
            let now = self.conns_now(&found, which).await;
            let Some(now) = outage.bear(now, |error| self.wait_for(error))? else { continue };
            match self.common.output {
                Format::Table | Format::Wide => {
                    print(&now.since(&before, self.colours));
                    before = now.keeping(before);
                }
                _ => self.show(&now)?,
            }
        }
        Ok(())
    }

    async fn conns_now(&self, found: &Found, which: Which) -> Result<Conns, Error> {
        let (reports, unasked) = self.reports_of(found).await?;
        let mut conns = Conns::of(&found.target, &reports, which);
        conns.unasked = unasked;
        Ok(conns)
    }

    pub(super) async fn procs(&self, text: &str) -> Result<(), Error> {
        let found = self.find(text).await?;
        let (reports, unasked) = self.reports_of(&found).await?;
        let mut procs = Procs::of(&found.target, &reports);
        procs.unasked = unasked;
        self.show(&procs)
    }

    pub(super) async fn map(&self, mut namespace: Option<String>, all: bool) -> Result<(), Error> {
        let all_nodes = match &namespace {
            Some(_) => None,
            None => match self.ask.probes(false).await {
                Ok(probes) => Some(probes.items),
                // Who may not see the nodes may see the namespace that they are in.
                Err(Error::Forbidden { .. }) => {
                    namespace = Some(self.namespace().to_owned());
                    None
                }
                Err(error) => return Err(error),
            },
        };
        let nodes: BTreeSet<String> = match (all_nodes, &namespace) {
            (Some(probes), _) => probes.iter().map(|probe| probe.name.to_string()).collect(),
            (None, namespace) => {
                self.nodes_of(namespace.as_deref().unwrap_or(self.namespace())).await?
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
        let (reports, unasked) = self.reports(&nodes, FLOWS_ONLY, namespace.as_deref()).await?;
        let services = self.services(namespace.as_deref()).await;
        let asked = namespace.clone().map_or(Asked::Every, Asked::Namespace);
        let mut names = Names::of(&reports, &services, asked);
        if !unasked.is_empty() {
            match self.pods_on(&unasked, namespace.as_deref()).await {
                Some(pods) => names.also(&pods, &services),
                None => names.know_some(),
            }
        }
        let mut map = Map::of(&reports, &names, namespace.as_deref(), all);
        map.unasked = unasked;
        match map.picture(self.common.output) {
            Some(picture) => {
                print(&picture);
                Self::say_unasked(&map);
            }
            None => self.show(&map)?,
        }
        Ok(())
    }

    /// The pods on nodes that could not be asked, of one namespace or of all; nothing if those are too many, or may not be read.
    async fn pods_on(
        &self,
        unasked: &[(String, String)],
        namespace: Option<&str>,
    ) -> Option<Vec<Pod>> {
        let mut pods = Vec::new();
        for (node, _) in unasked.iter().take(SILENT) {
            let place = namespace.map_or(String::new(), |name| format!("namespaces/{name}/"));
            let field = escape(&format!("spec.nodeName={node}"));
            let path = format!("/api/v1/{place}pods?fieldSelector={field}");
            pods.extend(self.ask.pages(&path, None, "pods", |pod: Pod| pod).await.ok()?.items);
        }
        (unasked.len() <= SILENT).then_some(pods)
    }

    /// Services that may be read: without them a port is that of the Service.
    async fn services(&self, namespace: Option<&str>) -> Vec<Service> {
        match (self.all_services().await, namespace) {
            (Err(Error::Forbidden { .. }), Some(namespace)) => {
                let path = format!("/api/v1/namespaces/{namespace}/services");
                let own = self.ask.pages(&path, None, "Services", |service: Service| service).await;
                own.map(|pages| pages.items).unwrap_or_default()
            }
            (services, _) => services.unwrap_or_default(),
        }
    }

    /// The nodes on which a namespace has pods.
    pub(super) async fn nodes_of(&self, namespace: &str) -> Result<BTreeSet<String>, Error> {
        let pods = self.pods_of(namespace, None).await?;
        let nodes = pods.into_iter().map(|pod| pod.spec.node_name);
        Ok(nodes.filter(|node| !node.is_empty()).collect())
    }

    async fn all_services(&self) -> Result<Vec<Service>, Error> {
        let all = self.ask.pages("/api/v1/services", None, "Services", |service: Service| service);
        Ok(all.await?.items)
    }

    pub(super) async fn netpol(&self, text: &str) -> Result<(), Error> {
        let Found { target, nodes } = self.find(text).await?;
        let mut subject = self.subject(&target).await?;
        let nodes = self.nodes_of_subject(&subject, nodes).await?;
        let (reports, unasked) = self
            .reports(&nodes, FLOWS_ONLY, target.namespace().or(self.common.namespace.as_deref()))
            .await?;
        if reports.iter().any(Report::is_narrow) {
            // A policy without the ends that are hidden would cut them off.
            return Err(Error::Usage {
                what: "a policy needs both ends of every connection, and you may see one namespace only".to_owned(),
                next: "ask someone who may see the whole: the ClusterRole PROBELET-viewer".to_owned(),
            });
        }
        if let Some((node, why)) = unasked.first() {
            // A policy from half of the pods would cut off the other half.
            return Err(Error::Absent {
                what: format!("a policy needs the report of every node of {target}, and {why}"),
                next: format!("kubectl probelet explain {node}"),
            });
        }
        subject.be_called(&target, &reports);
        let services = self.all_services().await;
        let known = services.as_deref().unwrap_or_default();
        let names = Names::of(&reports, known, Asked::Some);
        let pods = self.peers(&subject, &reports, &names).await?;
        let mut ends = Ends::of(&pods, known);
        ends.called(&reports);
        if services.is_err() {
            ends.be_blind();
        }
        self.controllers(&subject, &reports, &names, &mut ends).await;
        self.groups(&mut ends).await;
        let policy = Policy::of(&subject, &reports, &names, &ends)
            .map_err(|refusal| Error::Absent { what: refusal.to_string(), next: refusal.next() })?;
        match self.common.output {
            Format::Table | Format::Wide | Format::Yaml => print(&policy.text()),
            Format::Json => print(&show::json(&policy)),
            _ => self.show(&policy)?,
        }
        Ok(())
    }

    /// The nodes of all its pods: a pod that is named stands for its workload, and the policy is for all of that.
    async fn nodes_of_subject(
        &self,
        subject: &Subject,
        nodes: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let namespace = subject.called.split('/').next().unwrap_or_default();
        let pods = self.pods_of(namespace, None).await?;
        let own = pods.into_iter().filter(|pod| {
            !pod.is_ended()
                && !pod.spec.node_name.is_empty()
                && subject.workloads.contains(&pod.workload())
        });
        let all: BTreeSet<String> = own.map(|pod| pod.spec.node_name).chain(nodes).collect();
        Ok(all.into_iter().collect())
    }

    /// Whom a policy is for.
    async fn subject(&self, target: &Target) -> Result<Subject, Error> {
        let workload = match target {
            Target::Workload(workload) => workload.clone(),
            Target::Pod(id) => {
                let (namespace, name) = id.split_once('/').unwrap_or_default();
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                self.ask.get::<Pod>(&path).await?.workload()
            }
            Target::Pods(called, ids) => {
                let namespace = called.split('/').next().unwrap_or_default();
                let pods = self.pods_of(namespace, None).await?;
                let pods = pods.iter().filter(|pod| ids.contains(&pod.metadata.id()));
                let workloads = pods.map(Pod::workload).collect();
                return Ok(Subject { called: called.clone(), workloads });
            }
            Target::Service(..) | Target::Node(_) => {
                return Err(Error::Usage {
                    what: format!("a policy is for a workload, and {target} is not one"),
                    next: "give deploy/NAME, sts/NAME, ds/NAME or a pod".to_owned(),
                });
            }
        };
        Ok(Subject::workload(&workload))
    }

    /// The selectors of the workloads concerned, as far as they may be read: no one changes those.
    async fn controllers(
        &self,
        subject: &Subject,
        reports: &[Report],
        names: &Names,
        ends: &mut Ends,
    ) {
        let concerned = subject.ends(reports, names);
        for id in concerned.iter().take(ADDRESSES) {
            let words: Vec<&str> = id.split('/').collect();
            let [namespace, kind, name] = words.as_slice() else { continue };
            let plural = match *kind {
                "Deployment" => "deployments",
                "StatefulSet" => "statefulsets",
                "DaemonSet" => "daemonsets",
                _ => continue,
            };
            if checked(namespace).is_err() || checked(name).is_err() {
                continue;
            }
            let path = format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}");
            // Who may not read them is left with what the pods have in common.
            if let Ok(Some(controller)) = self.ask.find::<Controller>(&path).await {
                ends.controller(id, controller.spec.selector.match_labels);
            }
        }
    }

    /// The ranges of groups of addresses, of all configurations: which was in force when is not known.
    async fn groups(&self, ends: &mut Ends) {
        for config in self.ask.configs().await.unwrap_or_default() {
            let Ok(valid) = config.valid() else { continue };
            for group in &valid.spec.matching.cidr_groups {
                ends.group(&group.name, group.cidrs.iter().cloned());
            }
        }
    }

    /// The pods that the ends of its flows may be: of their namespaces, or at their addresses.
    async fn peers(
        &self,
        subject: &Subject,
        reports: &[Report],
        names: &Names,
    ) -> Result<Vec<Pod>, Error> {
        let ends = subject.ends(reports, names);
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
