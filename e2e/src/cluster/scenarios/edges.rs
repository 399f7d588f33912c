//! One connection, one edge: what a workload counts itself is what the cluster's edges sum up to.
//!
//! In: a workload on both nodes that says how many connections it opened. Out: whether metrics and map say the same.
//! I/O: kubectl with the plugin, the agents' metrics.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::access::{make_shop, remove_shop};
use crate::cluster::{
    Scenario, World, look, metrics,
    probe::{list, number, text},
    wait::until,
};

const AGENTS: &str = "/apis/apps/v1/namespaces/probelet/daemonsets/probelet-agent";
const COUNTER: &str = "e2e/cluster/counter.yaml";
/// Twenty connections of two seconds, and what starts before.
const COUNTING: Duration = Duration::from_secs(150);
const OPENED: &str = "probelet_connections_opened_total";
const SOURCE: (&str, &str) = ("source_workload", "shop/DaemonSet/counter");

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario =
        |says: &str, run: fn(&mut World) -> anyhow::Result<()>| Scenario::new("edges", says, run);
    vec![
        scenario("the sum over the cluster of edges is the workload's own count", sum),
        scenario("a workload has one name on all nodes, and one edge to its Service", names),
        scenario("no probe of the kubelet has an end without a name", probes),
        Scenario::new("edges", "the workload that counted is gone", |world| remove_shop(world)),
    ]
}

/// What all pods of the workload say that they opened; an error until each has said it.
fn own_count(world: &World) -> anyhow::Result<u32> {
    let words = ["-n", "shop", "get", "pods", "-l", "app=counter", "-o", "name"];
    let pods = world.kube.kubectl(&words)?;
    let mut opened = 0;
    for pod in pods.split_whitespace() {
        let said = world.kube.kubectl(&["-n", "shop", "logs", pod])?;
        let count = said.trim().strip_prefix("opened ").context("it has not said yet")?;
        opened += count.parse::<u32>()?;
    }
    ensure!(opened > 0, "there is no pod");
    Ok(opened)
}

/// The sum over both agents.
fn counted(world: &World, reporter: &str) -> anyhow::Result<f64> {
    let token = look::token(&world.kube, "probelet-viewer")?;
    let mut sum = 0.0;
    for agent in look::pods(&world.kube, "agent")? {
        let text = look::agent_metrics(&agent, &token)?;
        sum += metrics::sum(&text, OPENED, &[("reporter", reporter), SOURCE]).unwrap_or(0.0);
    }
    Ok(sum)
}

fn sum(world: &mut World) -> anyhow::Result<()> {
    make_shop(world)?;
    let counter = std::fs::read_to_string(COUNTER).with_context(|| COUNTER.to_owned())?;
    let service = world.kube.get("/api/v1/namespaces/shop/services/web")?;
    let counter = counter.replace("@WEB@", text(&service, "/spec/clusterIP"));
    world.kube.kubectl_with(&["apply", "-f", "-"], &counter)?;
    let mut own = 0;
    until("the workload's own count", COUNTING, || {
        own = own_count(world)?;
        Ok(())
    })?;
    until("the sum of edges", Duration::from_secs(20), || {
        let sum = counted(world, "source")?;
        ensure!((sum - f64::from(own)).abs() <= f64::from(own) / 1000.0, "{sum} of {own}");
        Ok(())
    })?;
    let edges = edges(world)?;
    let opened: i64 = edges.iter().map(|edge| number(edge, "/opened")).sum();
    ensure!(opened == i64::from(own), "the map has {opened} of {own}: {edges:?}");
    Ok(())
}

/// The edges of the workload.
fn edges(world: &World) -> anyhow::Result<Vec<Value>> {
    let said = world.kube.plugin(&["map", "-o", "json"], "")?;
    ensure!(said.good, "{}{}", said.out, said.err);
    let map: Value = serde_json::from_str(&said.out)?;
    let own = |edge: &&Value| text(edge, "/from") == SOURCE.1;
    Ok(list(&map, "/edges").iter().filter(own).cloned().collect())
}

fn names(world: &mut World) -> anyhow::Result<()> {
    let edges = edges(world)?;
    let shown: Vec<String> = edges
        .iter()
        .map(|e| format!("{} {} {}", text(e, "/to"), number(e, "/port"), e["servicePorts"]))
        .collect();
    ensure!(shown == ["shop/Deployment/web 8080 [80]"], "{shown:?}");
    Ok(())
}

/// The agents' own probes come every few seconds. Who else asks an agent, such as the pod of `helm test`, uses its other port.
fn probes(world: &mut World) -> anyhow::Result<()> {
    let agents = world.kube.get(AGENTS)?;
    let ports = list(&agents, "/spec/template/spec/containers/0/ports");
    let probed = ports.iter().find(|port| text(port, "/name") == "probes");
    let port = number(probed.context("no port is for probes")?, "/containerPort");
    let token = look::token(&world.kube, "probelet-viewer")?;
    for agent in look::pods(&world.kube, "agent")? {
        let report = look::report(&agent, &token)?;
        let to_agent = |flow: &&Value| {
            text(flow, "/destination/name") == "probelet/DaemonSet/probelet-agent"
                && text(flow, "/reporter") == "source"
                && number(flow, "/port") == port
        };
        let flows: Vec<&Value> = list(&report, "/flows").iter().filter(to_agent).collect();
        ensure!(!flows.is_empty(), "{}: no probe was seen", agent.node);
        let nameless = flows.iter().find(|flow| text(flow, "/source/kind") == "unresolved");
        ensure!(nameless.is_none(), "{}: {nameless:?}", agent.node);
    }
    Ok(())
}
