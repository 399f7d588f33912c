//! The ports that agents take on each node, as they are on its network.
//!
//! In: `DaemonSets` with the ports that they take. Out: findings, and another port where one is taken. Processes that are no
//! pods cannot be seen from here; an agent that finds its port taken says so and ends. Pure: values only.

use serde_json::{Value, json};

use crate::answer::finding::{Finding, Mark};
use crate::seen::cluster::{Cluster, Daemon};

/// The chart's defaults (charts/probelet/values.yaml), and what is tried instead.
const PORTS: [(&str, u16); 2] = [("port", 9466), ("probePort", 9468)];
const FURTHER: u16 = 10_000;

pub(super) fn ports(cluster: &Cluster, values: &mut Vec<Value>) -> Vec<Finding> {
    // Without a right to look there is nothing to say but that, which is said elsewhere.
    let Ok(daemons) = &cluster.daemons else { return Vec::new() };
    let others: Vec<&Daemon> = daemons.iter().filter(|daemon| !is_ours(daemon)).collect();
    let holder = |port: u16| others.iter().find(|daemon| daemon.taken().any(|one| one == port));
    let mut found = Vec::new();
    for (value, port) in PORTS {
        let Some(daemon) = holder(port) else { continue };
        let free = (0..5).map(|n| port + FURTHER + n).find(|port| holder(*port).is_none());
        let free = free.unwrap_or(port + FURTHER);
        let name = format!("{}/{}", daemon.metadata.namespace, daemon.metadata.name);
        found.push(
            Finding::new(
                Mark::Bad,
                "ports",
                format!("DaemonSet {name} has port {port} of nodes, on which agents listen: their pods stay pending"),
            )
            .next(format!("another one, as in the values below: agent.{value}={free}")),
        );
        values.push(json!({"agent": {value: free}}));
    }
    if found.is_empty() {
        found.push(
            Finding::new(
                Mark::Ok,
                "ports",
                "agents listen on port 9466 of each node, and on 9468 of its loopback: no DaemonSet has them",
            )
            .next("Prometheus and the API server must get through the nodes' firewall to 9466; what else listens there: ss -Hltn 'sport = :9466' on a node"),
        );
    }
    found
}

fn is_ours(daemon: &Daemon) -> bool {
    let label = |key: &str| daemon.metadata.labels.get(key).map(String::as_str);
    label("app.kubernetes.io/part-of") == Some("probelet")
        && label("app.kubernetes.io/component") == Some("agent")
}
