//! What an installation looks like to the one who made it.
//!
//! In: an installation that works. Out: whether kubectl shows what it should. I/O: kubectl.

use anyhow::ensure;
use serde_json::Value;

use crate::cluster::{
    Scenario, World,
    act::PATIENCE,
    look,
    probe::{condition, has, list, name, text},
    wait::until,
};

const OF_NODE_PROBE: &[&str] =
    &["Config", "Source", "Level", "CPU", "Budget", "Processes", "Connections", "Applied", "Ready"];
const OF_PROBE_CONFIG: &[&str] = &["Priority", "Nodes", "Applied", "Budget", "CPU", "Ready"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&World) -> anyhow::Result<()>| {
        Scenario::new("install", says, move |world| run(world))
    };
    vec![
        scenario("both CRDs are Established", established),
        scenario("every node has a NodeProbe that is Ready and belongs to the Node", |world| {
            until("NodeProbes are Ready", PATIENCE, || probes_belong_to_nodes(world))
        }),
        scenario("the configuration is Ready, and counts every node as applied", |world| {
            until("it is Ready", PATIENCE, || counted(world))
        }),
        scenario("kubectl get nodeprobes shows a value in every column", |world| {
            until("columns", PATIENCE, || filled(world, "nodeprobes", OF_NODE_PROBE))
        }),
        scenario("kubectl get probeconfigs shows a value in every column", |world| {
            until("columns", PATIENCE, || filled(world, "probeconfigs", OF_PROBE_CONFIG))
        }),
        scenario("short names and the category work", |world| {
            for word in ["np", "pcfg", "probelet"] {
                let seen = world.kube.kubectl(&["get", word, "-o", "name"])?;
                ensure!(seen.lines().count() >= 1, "kubectl get {word} shows nothing");
            }
            Ok(())
        }),
        scenario("kubectl explain is the manual", explained),
        scenario("one of two operators leads", |world| {
            until("a leader", PATIENCE, || {
                let holder = look::leader(&world.kube)?;
                let pods = look::ready(&world.kube, "operator", 2)?;
                ensure!(pods.iter().any(|pod| holder.contains(&pod.name)), "{holder} leads");
                Ok(())
            })
        }),
    ]
}

fn established(world: &World) -> anyhow::Result<()> {
    for crd in ["probeconfigs", "nodeprobes"] {
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}.probelet.io");
        has(&world.kube.get(&path)?, "Established", "True")?;
    }
    Ok(())
}

fn counted(world: &World) -> anyhow::Result<()> {
    let config = look::config(&world.kube, "default")?;
    has(&config, "Accepted", "True")?;
    has(&config, "Ready", "True")?;
    let nodes = look::nodes(&world.kube)?.len();
    for count in ["matched", "effective", "applied"] {
        let seen = config["status"]["nodes"][count].as_u64();
        ensure!(seen == Some(nodes as u64), "{count}: {seen:?} of {nodes}");
    }
    Ok(())
}

fn explained(world: &World) -> anyhow::Result<()> {
    let whole = world.kube.kubectl(&["explain", "probeconfig.spec", "--recursive"])?;
    for field in
        ["nodeSelector", "intervals", "maxNodesPerMinute", "procfsReadsPerSecond", "cidrGroups"]
    {
        ensure!(whole.contains(field), "it does not name {field}");
    }
    let budget = world.kube.kubectl(&["explain", "probeconfig.spec.budget.cpu"])?;
    ensure!(budget.contains("default 5m") && budget.contains("From 1m"), "it says {budget}");
    Ok(())
}

fn probes_belong_to_nodes(world: &World) -> anyhow::Result<()> {
    let nodes = world.kube.get("/api/v1/nodes")?;
    let probes = look::probes(&world.kube)?;
    ensure!(probes.len() == list(&nodes, "/items").len(), "{} NodeProbes", probes.len());
    for node in list(&nodes, "/items") {
        let probe = look::probe(&world.kube, name(node))?;
        has(&probe, "Ready", "True")?;
        for kind in
            ["ConfigApplied", "WithinBudget", "DataComplete", "PermissionsOK", "ConnectionsHealthy"]
        {
            condition(&probe, kind)?;
        }
        let owners = list(&probe, "/metadata/ownerReferences");
        ensure!(owners.len() == 1, "{} has {} owners", name(node), owners.len());
        let owner = (text(&owners[0], "/kind"), text(&owners[0], "/uid"));
        ensure!(
            owner == ("Node", text(node, "/metadata/uid")),
            "{} belongs to {owner:?}",
            name(node)
        );
        let size = probe["status"].to_string().len();
        ensure!(size <= 2048, "the status of {} has {size} bytes", name(node));
    }
    Ok(())
}

fn filled(world: &World, plural: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let (columns, rows) = look::table(&world.kube, plural)?;
    ensure!(!rows.is_empty(), "there are no {plural}");
    for want in wanted {
        let column = columns.iter().position(|column| column == want);
        let Some(column) = column else { anyhow::bail!("no column {want} in {columns:?}") };
        for row in &rows {
            let empty = matches!(&row[column], Value::Null) || row[column].as_str() == Some("");
            ensure!(!empty, "{want} of {} is empty", row[0]);
        }
    }
    Ok(())
}
