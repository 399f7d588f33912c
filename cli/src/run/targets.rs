//! Finds what was typed: which pods it means, on which nodes they run, and their reports.
//!
//! I/O: the API server, agents behind its proxy.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::{Run, checked};
use crate::ask::{Error, escape};
use crate::seen::Service;
use crate::seen::pod::Pod;
use crate::seen::report::Report;
use crate::target::{Kind, Target, Typed, is_kind};

/// A target, and where it is.
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) nodes: Vec<String>,
}

impl Run {
    /// What was typed, in this cluster.
    pub(super) async fn find(&self, text: &str) -> Result<Found, Error> {
        let Typed { namespace: typed, kind, name } = Typed::parse(text)?;
        let namespace = typed.as_deref().unwrap_or(self.namespace()).to_owned();
        match kind {
            Some(Kind::Node) => Ok(Found { target: Target::Node(name.clone()), nodes: vec![name] }),
            Some(Kind::Pod) => self.pod(&namespace, &name).await,
            Some(Kind::Service) => self.service(&namespace, &name).await,
            Some(Kind::Workload(kind)) => {
                let pods = self.pods_of(&namespace, None).await?;
                workload(&pods, &namespace, &kind, &name)
                    .unwrap_or_else(|| Err(no_workload(&namespace, &kind, &name)))
            }
            None => match (self.guess(&namespace, &name).await, typed) {
                // `cluster/pg` as well as `shop/pg`: which of both was meant shows only now.
                (Err(error @ (Error::Absent { .. } | Error::Forbidden { .. })), Some(word)) => {
                    let pods = self.pods_of(self.namespace(), None).await.unwrap_or_default();
                    workload(&pods, self.namespace(), &word, &name).unwrap_or(Err(error))
                }
                (found, _) => found,
            },
        }
    }

    /// A pod; static pods also by the name that they have on all nodes.
    async fn pod(&self, namespace: &str, name: &str) -> Result<Found, Error> {
        let path = format!("/api/v1/namespaces/{}/pods/{name}", checked(namespace)?);
        match self.ask.get::<Pod>(&path).await {
            Ok(pod) => found(Target::Pod(format!("{namespace}/{name}")), &[&pod])
                .ok_or_else(|| no_pods(namespace, name)),
            Err(missing @ Error::Missing { .. }) => {
                let pods = self.pods_of(namespace, None).await?;
                workload(&pods, namespace, "Pod", name).unwrap_or(Err(missing))
            }
            Err(error) => Err(error),
        }
    }

    /// A bare name: a pod, a workload, a Service or a node, in this order.
    async fn guess(&self, namespace: &str, name: &str) -> Result<Found, Error> {
        let pods = self.pods_of(namespace, None).await?;
        if let Some(pod) = pods.iter().find(|pod| pod.metadata.name == name) {
            return found(Target::Pod(format!("{namespace}/{name}")), &[pod])
                .ok_or_else(|| no_pods(namespace, name));
        }
        let mut named = kinds(pods.iter().map(Pod::workload), name);
        if named.is_empty() {
            named = kinds(pods.iter().flat_map(owners), name);
        }
        if let Some(first) = named.first() {
            if named.len() > 1 {
                let all: Vec<String> =
                    named.iter().map(|kind| format!("{namespace}/{kind}/{name}")).collect();
                return Err(Error::Usage {
                    what: format!("{name} may be any of {}", all.join(", ")),
                    next: "give one of these instead of the bare name".to_owned(),
                });
            }
            if let Some(found) = workload(&pods, namespace, first, name) {
                return found;
            }
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
                "{name} is not a pod, workload or Service of the namespace {namespace}, and not a node"
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
        let pods: Vec<&Pod> = pods.iter().collect();
        let selected = pods.iter().filter(|_| labels.is_some()).map(|pod| pod.metadata.id());
        found(Target::Service(format!("{namespace}/{name}"), selected.collect()), &pods)
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

    /// Reports of the nodes of a target, and whom no one could ask. If all could be asked, one of them knows it.
    pub(super) async fn reports_of(
        &self,
        found: &Found,
    ) -> Result<(Vec<Report>, Vec<(String, String)>), Error> {
        let namespace = self.common.namespace.as_deref();
        let (reports, unasked) =
            self.reports(&found.nodes, &found.target.query(), namespace).await?;
        if unasked.is_empty() && found.target.is_unknown_to(&reports) {
            return Err(unknown(found));
        }
        Ok((reports, unasked))
    }

    /// Reports of these nodes, and whom no one could ask. If no one could be asked, why. Where no more may be seen, those of
    /// the namespace, which is said.
    pub(super) async fn reports(
        &self,
        nodes: &[String],
        query: &str,
        namespace: Option<&str>,
    ) -> Result<(Vec<Report>, Vec<(String, String)>), Error> {
        let agents = self.agents().await?;
        let (mut reports, mut unasked, mut first) = (Vec::new(), Vec::new(), None);
        for fetched in agents.reports(nodes, query, namespace).await {
            match fetched.report {
                Ok(report) => reports.push(report),
                Err(error) => {
                    unasked.push((fetched.node, error.to_string()));
                    first.get_or_insert(error);
                }
            }
        }
        if first.is_some() {
            self.forget_agents();
        }
        self.say_what_is_hidden(&reports);
        match first {
            Some(error) if reports.is_empty() => Err(error),
            _ => Ok((reports, unasked)),
        }
    }
}

impl Run {
    /// An answer of which parts are hidden must not look like a whole one: said once, beside the answer.
    fn say_what_is_hidden(&self, reports: &[Report]) {
        let Some(narrow) = reports.iter().find(|report| report.is_narrow()) else { return };
        if !self.hidden_said.replace(true) {
            self.ask.progress.clear();
            let namespaces = crate::seen::clean::lines(&narrow.namespaces.join(", "));
            // No one is left to tell that the terminal is gone.
            writeln!(
                std::io::stderr(),
                "note: you may see the namespace {namespaces} only: what is in others, on the nodes and outside is hidden, and shown as `other` where it is the other end"
            )
            .ok();
        }
    }
}

/// The kinds of what has this name, of `namespace/Kind/name`.
fn kinds(ids: impl Iterator<Item = String>, name: &str) -> BTreeSet<String> {
    let parts = |id: String| {
        let mut words = id.splitn(3, '/').skip(1);
        let (kind, called) = (words.next()?, words.next()?);
        (called == name).then(|| kind.to_owned())
    };
    ids.filter_map(parts).collect()
}

/// Everything that owns a pod, `namespace/Kind/name`, whether it answers for it or not.
fn owners(pod: &Pod) -> Vec<String> {
    let owners = &pod.metadata.owner_references;
    let namespace = &pod.metadata.namespace;
    // A static pod belongs to its node, which is no workload.
    let owners = owners.iter().filter(|owner| owner.kind != "Node");
    owners.map(|owner| format!("{namespace}/{}/{}", owner.kind, owner.name)).collect()
}

/// The pods of a workload by the name that reports have for it, else by whatever owns them: a Job of a CronJob, a
/// ReplicaSet of a Deployment, a custom object that is no controller. Nothing if no pod is of it.
fn workload(pods: &[Pod], namespace: &str, kind: &str, name: &str) -> Option<Result<Found, Error>> {
    let is = |id: &str| {
        let mut words = id.splitn(3, '/').skip(1);
        words.next().is_some_and(|k| is_kind(k, kind)) && words.next() == Some(name)
    };
    let named: Vec<(String, &Pod)> = pods
        .iter()
        .filter_map(|pod| Some((Some(pod.workload()).filter(|id| is(id))?, pod)))
        .collect();
    let (id, pods) = if let Some((id, _)) = named.first() {
        (id.clone(), named.iter().map(|(_, pod)| *pod).collect::<Vec<_>>())
    } else {
        let owned = |pod: &&Pod| owners(pod).iter().any(|id| is(id));
        let owned: Vec<&Pod> = pods.iter().filter(owned).collect();
        (owners(owned.first()?).into_iter().find(|id| is(id))?, owned)
    };
    let target = Target::Pods(id, pods.iter().map(|pod| pod.metadata.id()).collect());
    Some(found(target, &pods).ok_or_else(|| no_pods(namespace, name)))
}

/// Nothing if none of the pods is on a node.
fn found(target: Target, pods: &[&Pod]) -> Option<Found> {
    let nodes: BTreeSet<&str> = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    let nodes: Vec<String> = nodes.into_iter().map(str::to_owned).collect();
    (!nodes.is_empty()).then_some(Found { target, nodes })
}

fn no_workload(namespace: &str, kind: &str, name: &str) -> Error {
    Error::Absent {
        what: format!("no pod of the namespace {namespace} belongs to a {kind} named {name}"),
        next: format!(
            "another namespace: -n NAME; what there is: kubectl probelet map {namespace}; kubectl -n {namespace} get pods"
        ),
    }
}

/// Why an empty answer is none: the agents know nothing of what was asked for.
fn unknown(found: &Found) -> Error {
    let (target, nodes) = (&found.target, found.nodes.join(", "));
    Error::Absent {
        what: format!("{target} is there, and no agent knows a pod of it (asked: {nodes})"),
        next: format!(
            "it may have ended, or be too new; what the agent knows of the cluster: kubectl probelet doctor {}",
            found.nodes.first().map_or("NODE", String::as_str)
        ),
    }
}

fn no_pods(namespace: &str, name: &str) -> Error {
    Error::Absent {
        what: format!("{name} has no pods on any node in the namespace {namespace}"),
        next: format!(
            "another namespace: -n NAME; what there is: kubectl -n {namespace} get pods -o wide"
        ),
    }
}
