//! Finds what was typed: which pods it means, on which nodes they run, and their reports.
//!
//! I/O: the API server, agents behind its proxy.

use std::collections::BTreeSet;

use super::{Run, checked};
use crate::answer::netpol::workload_of;
use crate::ask::{Error, escape};
use crate::seen::Service;
use crate::seen::pod::Pod;
use crate::seen::report::Report;
use crate::target::{Kind, Target, Typed};

/// A target, and where it is.
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) nodes: Vec<String>,
}

impl Run {
    /// What was typed, in this cluster.
    pub(super) async fn find(&self, text: &str) -> Result<Found, Error> {
        let Typed { namespace, kind, name } = Typed::parse(text)?;
        let namespace = namespace.as_deref().unwrap_or(self.namespace()).to_owned();
        let id = format!("{namespace}/{name}");
        let found = match kind {
            Some(Kind::Node) => {
                return Ok(Found { target: Target::Node(name.clone()), nodes: vec![name] });
            }
            Some(Kind::Pod) => {
                let pod: Pod =
                    self.ask.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await?;
                found(Target::Pod(id), &[pod])
            }
            Some(Kind::Service) => return self.service(&namespace, &name).await,
            Some(Kind::Workload(kind)) => {
                let workload = format!("{namespace}/{kind}/{name}");
                let pods = self.pods_of(&namespace, None).await?;
                found(Target::Workload(workload.clone()), &of_workload(&pods, &workload))
            }
            None => return self.guess(&namespace, &name).await,
        };
        found.ok_or_else(|| no_pods(&namespace, &name))
    }

    /// A bare name: a pod, a workload, a Service or a node, in this order.
    async fn guess(&self, namespace: &str, name: &str) -> Result<Found, Error> {
        let pods = self.pods_of(namespace, None).await?;
        if let Some(pod) = pods.iter().find(|pod| pod.metadata.name == name) {
            let target = Target::Pod(format!("{namespace}/{name}"));
            return found(target, std::slice::from_ref(pod))
                .ok_or_else(|| no_pods(namespace, name));
        }
        let named = |workload: &String| workload.rsplit('/').next() == Some(name);
        let workloads: BTreeSet<String> = pods.iter().map(workload_of).filter(named).collect();
        if let Some(first) = workloads.first() {
            if workloads.len() > 1 {
                let all: Vec<String> = workloads.into_iter().collect();
                return Err(Error::Usage {
                    what: format!("{name} may be any of {}", all.join(", ")),
                    next: "give one of these instead of the bare name".to_owned(),
                });
            }
            let target = Target::Workload(first.clone());
            return found(target, &of_workload(&pods, first))
                .ok_or_else(|| no_pods(namespace, name));
        }
        match self.service(namespace, name).await {
            Err(Error::Missing { .. }) => {}
            found => return found,
        }
        let probe: Option<serde_json::Value> = self.ask.find(&crate::ask::probe_path(name)).await?;
        if probe.is_some() {
            let target = Target::Node(name.to_owned());
            return Ok(Found { target, nodes: vec![name.to_owned()] });
        }
        Err(Error::Absent {
            what: format!(
                "{name} is no pod, workload or Service of the namespace {namespace}, and no node"
            ),
            next: format!(
                "another namespace: -n NAME; what there is: kubectl -n {namespace} get pods,svc; kubectl get nodeprobes"
            ),
        })
    }

    async fn service(&self, namespace: &str, name: &str) -> Result<Found, Error> {
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let service: Service = self.ask.get(&path).await?;
        let selector = &service.spec.selector;
        // Without a selector any pod of the namespace may be behind it; agents know which are.
        let labels: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let labels = (!labels.is_empty()).then(|| labels.join(","));
        let pods = self.pods_of(namespace, labels.as_deref()).await?;
        found(Target::Service(format!("{namespace}/{name}")), &pods)
            .ok_or_else(|| no_pods(namespace, name))
    }

    /// The pods of a namespace.
    pub(super) async fn pods_of(
        &self,
        namespace: &str,
        labels: Option<&str>,
    ) -> Result<Vec<Pod>, Error> {
        let labels = labels.map_or(String::new(), |l| format!("?labelSelector={}", escape(l)));
        let path = format!("/api/v1/namespaces/{}/pods{labels}", checked(namespace)?);
        Ok(self.ask.pages(&path, None, "pods", |pod: Pod| pod).await?.items)
    }

    /// Reports of these nodes, and whom nobody could ask. If nobody could be asked, why.
    pub(super) async fn reports(
        &self,
        nodes: &[String],
        query: &str,
    ) -> Result<(Vec<Report>, Vec<(String, String)>), Error> {
        let agents = self.agents().await?;
        let (mut reports, mut unasked, mut first) = (Vec::new(), Vec::new(), None);
        for fetched in agents.reports(nodes, query).await {
            match fetched.report {
                Ok(report) => reports.push(report),
                Err(error) => {
                    unasked.push((fetched.node, error.to_string()));
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if reports.is_empty() => Err(error),
            _ => Ok((reports, unasked)),
        }
    }
}

fn of_workload(pods: &[Pod], workload: &str) -> Vec<Pod> {
    pods.iter().filter(|pod| workload_of(pod) == workload).cloned().collect()
}

/// Nothing if none of the pods is on a node.
fn found(target: Target, pods: &[Pod]) -> Option<Found> {
    let nodes: BTreeSet<&str> = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    let nodes: Vec<String> = nodes.into_iter().map(str::to_owned).collect();
    (!nodes.is_empty()).then_some(Found { target, nodes })
}

fn no_pods(namespace: &str, name: &str) -> Error {
    Error::Absent {
        what: format!("{name} has no pods on any node in the namespace {namespace}"),
        next: format!(
            "another namespace: -n NAME; what there is: kubectl -n {namespace} get pods -o wide"
        ),
    }
}
