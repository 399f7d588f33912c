//! What breaks: processes that are killed, nodes that come and go.
//!
//! In: a cluster that works. Out: whether it works again by itself, and how soon. I/O: kubectl, signals in the nodes.

use std::{time::Duration, time::Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{self, PATIENCE, all_apply, edit},
    look::{self, agent, report, token},
    probe::{applies, has},
    wait::until,
};

use super::edits::interval;

/// The longest that a Lease is held by a leader that is gone, and some more.
const FAIL_OVER: Duration = Duration::from_mins(1);
/// A kubelet that begins, and its first pods.
const NEW_NODE: Duration = Duration::from_mins(1);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "failures",
            "an agent that is killed is back with its report and its configuration",
            agent_killed,
        ),
        Scenario::new(
            "failures",
            "when the leading operator is gone the other one takes over and an edit is applied",
            fail_over,
        ),
        Scenario::new(
            "failures",
            "a node that joins gets a NodeProbe, an agent and the configuration",
            |world| {
                let began = Instant::now();
                world.kube.cluster(&["up", "--nodes", "3"])?;
                until("node3 has an agent", NEW_NODE, || {
                    has(&look::probe(&world.kube, "node3")?, "Ready", "True")
                })?;
                all_apply(&world.kube, "default")?;
                let took = began.elapsed().as_secs_f64();
                world.figures.add("a node made until its agent applies", took, "s", None);
                Ok(())
            },
        ),
        Scenario::new("failures", "a node that is deleted takes its NodeProbe along", |world| {
            let began = Instant::now();
            world.kube.cluster(&["remove", "node3"])?;
            until("its NodeProbe is gone", PATIENCE, || {
                let left = look::probes(&world.kube)?.len();
                ensure!(left == 2, "{left} NodeProbes");
                look::ready(&world.kube, "agent", 2).map(drop)
            })?;
            let took = began.elapsed().as_secs_f64();
            world.figures.add("a node deleted until its NodeProbe is gone", took, "s", None);
            all_apply(&world.kube, "default")
        }),
    ]
}

/// The process of the agent on that node, as the node numbers it.
pub(super) fn agent_process(world: &World, node: &str) -> anyhow::Result<String> {
    let said = world.kube.cluster(&["exec", node, "pgrep", "-x", "probelet-agent"])?;
    let mut pids = said.split_whitespace();
    let pid = pids.next().context("no process")?.to_owned();
    ensure!(pids.next().is_none(), "more than one agent runs on {node}");
    Ok(pid)
}

fn agent_killed(world: &mut World) -> anyhow::Result<()> {
    edit(world, &json!({"intervals": {"sockets": "2s"}}))?;
    let before = agent(&world.kube, "node1")?;
    let pid = agent_process(world, "node1")?;
    world.kube.cluster(&["exec", "node1", "kill", "-KILL", &pid])?;
    let began = Instant::now();
    until("the kubelet starts it again", PATIENCE, || {
        let now = agent(&world.kube, "node1")?;
        ensure!(now.uid == before.uid, "another pod");
        ensure!(now.restarts == before.restarts + 1, "{} restarts", now.restarts);
        Ok(())
    })?;
    let token = token(&world.kube, "probelet-viewer")?;
    until("its report", PATIENCE, || {
        let report = report(&agent(&world.kube, "node1")?, &token)?;
        let connections = report["processes"].as_array().map_or(0, Vec::len);
        ensure!(connections > 0, "the report is empty");
        Ok(())
    })?;
    let took = began.elapsed().as_secs_f64();
    world.figures.add("an agent killed until its report is back", took, "s", None);
    interval(world, &["node1"], "sockets", 2.0)?;
    edit(world, &json!({"intervals": {"sockets": "1s"}})).map(drop)
}

fn fail_over(world: &mut World) -> anyhow::Result<()> {
    let leader = look::leader(&world.kube)?;
    let pods = look::ready(&world.kube, "operator", 2)?;
    let pod = pods.iter().find(|pod| leader.contains(&pod.name)).context("the leader is no pod")?;
    world.kube.kubectl(&[
        "-n",
        NAMESPACE,
        "delete",
        "pod",
        &pod.name,
        "--grace-period=0",
        "--force",
    ])?;
    let began = Instant::now();
    let generation = act::patch(&world.kube, "default", &json!({"jitterPercent": 11}))?;
    until("the edit is applied", FAIL_OVER, || {
        look::probes(&world.kube)?
            .iter()
            .try_for_each(|probe| applies(probe, "default", generation))
    })?;
    let took = began.elapsed().as_secs_f64();
    let now = look::leader(&world.kube)?;
    ensure!(now != leader, "{leader} still leads");
    world.figures.add("the leading operator gone until an edit is applied", took, "s", None);
    until("two operators", PATIENCE, || look::ready(&world.kube, "operator", 2).map(drop))?;
    edit(world, &json!({"jitterPercent": 10})).map(drop)
}
