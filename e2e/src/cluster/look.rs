//! What there is: pods, probes, configurations, and what agents and operators serve.
//!
//! In: the cluster. Out: small values. Everything comes from the API server or from a pod's own port, nothing is kept.
//! I/O: HTTP by curl.

use std::fmt;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Kube, NAMESPACE,
    kube::{Reply, curl},
    metrics,
    probe::{list, name, number, text},
};

/// A pod of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Which of all that had that name.
    pub uid: String,
    /// Where it runs.
    pub node: String,
    /// Its address.
    pub ip: String,
    /// How often its container was started again.
    pub restarts: i64,
    /// When its container started.
    pub started: String,
    /// Whether it takes requests.
    pub ready: bool,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} since {}, {} restarts",
            self.name, self.node, self.started, self.restarts
        )
    }
}

const OBJECTS: &str = "/apis/probelet.io/v1alpha1";

/// The pods of a component, by the name of their nodes; those that are going are left out.
pub fn pods(kube: &Kube, component: &str) -> anyhow::Result<Vec<Pod>> {
    let path = format!(
        "/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component={component}"
    );
    let all = kube.get(&path)?;
    let mut pods: Vec<Pod> = list(&all, "/items")
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| Pod {
            name: name(pod).to_owned(),
            uid: text(pod, "/metadata/uid").to_owned(),
            node: text(pod, "/spec/nodeName").to_owned(),
            ip: text(pod, "/status/podIP").to_owned(),
            restarts: number(pod, "/status/containerStatuses/0/restartCount"),
            started: text(pod, "/status/containerStatuses/0/state/running/startedAt").to_owned(),
            ready: list(pod, "/status/conditions")
                .iter()
                .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True"),
        })
        .collect();
    pods.sort_by(|a, b| (&a.node, &a.name).cmp(&(&b.node, &b.name)));
    Ok(pods)
}

/// The agent of a node.
pub fn agent(kube: &Kube, node: &str) -> anyhow::Result<Pod> {
    let pod = pods(kube, "agent")?.into_iter().find(|pod| pod.node == node);
    pod.with_context(|| format!("no agent runs on {node}"))
}

/// All pods of the component are Ready, and there are so many.
pub fn ready(kube: &Kube, component: &str, count: usize) -> anyhow::Result<Vec<Pod>> {
    let pods = pods(kube, component)?;
    ensure!(pods.len() == count, "{} pods of {component}, not {count}", pods.len());
    if let Some(pod) = pods.iter().find(|pod| !pod.ready) {
        anyhow::bail!("{} is not Ready", pod.name);
    }
    Ok(pods)
}

/// All NodeProbes.
pub fn probes(kube: &Kube) -> anyhow::Result<Vec<Value>> {
    Ok(list(&kube.get(&format!("{OBJECTS}/nodeprobes"))?, "/items").to_vec())
}

/// One NodeProbe.
pub fn probe(kube: &Kube, node: &str) -> anyhow::Result<Value> {
    kube.get(&format!("{OBJECTS}/nodeprobes/{node}"))
}

/// One ProbeConfig.
pub fn config(kube: &Kube, name: &str) -> anyhow::Result<Value> {
    kube.get(&format!("{OBJECTS}/probeconfigs/{name}"))
}

/// The names of all nodes.
pub fn nodes(kube: &Kube) -> anyhow::Result<Vec<String>> {
    let all = kube.get("/api/v1/nodes")?;
    Ok(list(&all, "/items").iter().map(|node| name(node).to_owned()).collect())
}

/// What `kubectl get` shows of these objects: the names of the columns, and a row for each.
pub fn table(kube: &Kube, plural: &str) -> anyhow::Result<(Vec<String>, Vec<Vec<Value>>)> {
    let accept = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io";
    let reply = kube.through_api_server(&format!("{OBJECTS}/{plural}"), &[accept])?;
    ensure!(reply.status == 200, "the table: {}", reply.status);
    let table: Value = serde_json::from_str(&reply.body)?;
    let columns = list(&table, "/columnDefinitions");
    Ok((
        columns.iter().map(|column| text(column, "/name").to_owned()).collect(),
        list(&table, "/rows").iter().map(|row| list(row, "/cells").to_vec()).collect(),
    ))
}

/// The pod that holds the Lease of the operators.
pub fn leader(kube: &Kube) -> anyhow::Result<String> {
    let path =
        format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/probelet-operator");
    let lease = kube.get(&path)?;
    let holder = text(&lease, "/spec/holderIdentity");
    ensure!(!holder.is_empty(), "no one holds the Lease");
    Ok(holder.to_owned())
}

/// A token of that service account of ours for agents, good for an hour.
pub fn token(kube: &Kube, account: &str) -> anyhow::Result<String> {
    let words = ["-n", NAMESPACE, "create", "token", account, "--audience", "probelet"];
    Ok(kube.kubectl(&words)?.trim().to_owned())
}

/// The same for the API server.
pub fn server_token(kube: &Kube, account: &str) -> anyhow::Result<String> {
    Ok(kube.kubectl(&["-n", NAMESPACE, "create", "token", account])?.trim().to_owned())
}

/// Asks an agent by its own address.
pub fn ask_agent(pod: &Pod, path: &str, token: Option<&str>) -> anyhow::Result<Reply> {
    let header = token.map(|token| format!("Authorization: Bearer {token}"));
    curl(
        &format!("https://{}:9466{path}", pod.ip),
        &header.as_deref().into_iter().collect::<Vec<_>>(),
    )
}

/// The metrics of an agent.
pub fn agent_metrics(pod: &Pod, token: &str) -> anyhow::Result<String> {
    let reply = ask_agent(pod, "/metrics", Some(token))?;
    ensure!(reply.status == 200, "metrics of {}: {} {}", pod.node, reply.status, reply.body);
    Ok(reply.body)
}

/// The report of an agent.
pub fn report(pod: &Pod, token: &str) -> anyhow::Result<Value> {
    let reply = ask_agent(pod, "/v1/report", Some(token))?;
    ensure!(reply.status == 200, "report of {}: {} {}", pod.node, reply.status, reply.body);
    Ok(serde_json::from_str(&reply.body)?)
}

/// The metrics of an operator.
pub fn operator_metrics(pod: &Pod) -> anyhow::Result<String> {
    let reply = curl(&format!("http://{}:9467/metrics", pod.ip), &[])?;
    ensure!(reply.status == 200, "metrics of {}: {}", pod.name, reply.status);
    Ok(reply.body)
}

/// How many writes the API server took, by its own count.
#[derive(Debug, Clone, Copy)]
pub struct Writes {
    /// By agents.
    pub statuses: f64,
    /// By the operator: probes, and the status of configurations.
    pub operator: f64,
}

/// The API server's count of our writes since its start.
pub fn writes(kube: &Kube) -> anyhow::Result<Writes> {
    let metrics = kube.text("/metrics")?;
    let count = |resource: &str, subresource: &str| -> f64 {
        let by = |verb| {
            let labels = [("resource", resource), ("subresource", subresource), ("verb", verb)];
            metrics::sum(&metrics, "apiserver_request_total", &labels).unwrap_or_default()
        };
        ["APPLY", "PATCH", "PUT", "POST"].into_iter().map(by).sum()
    };
    Ok(Writes {
        statuses: count("nodeprobes", "status"),
        operator: count("nodeprobes", "") + count("probeconfigs", "status"),
    })
}
