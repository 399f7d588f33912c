//! The purpose of it all: an edit reaches every agent within seconds, and nothing restarts.
//!
//! In: ten edits, in the ways that people edit. Out: whether all agents applied, in the same processes, and how long it
//! took. I/O: kubectl, the agents' metrics.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::{
    Scenario, World,
    act::{self, PATIENCE, all_apply, edit},
    figures::median,
    look::{self, agent, agent_metrics, pods, report, token},
    metrics::sum,
    probe::{number, text},
    wait::{throughout, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "edits",
            "ten edits of everything reach every agent, and no pod restarts",
            ten_edits,
        ),
        Scenario::new(
            "edits",
            "the interval that was edited is the one in force, by the agents' metrics",
            |world| {
                edit(world, &json!({"intervals": {"sockets": "2500ms"}}))?;
                interval(world, &["node1", "node2"], "sockets", 2.5)?;
                edit(world, &json!({"intervals": {"sockets": "1s"}})).map(drop)
            },
        ),
        Scenario::new(
            "edits",
            "a paused agent collects nothing, says so, and serves its metrics",
            paused,
        ),
        Scenario::new("edits", "unpaused, it collects again", |world| {
            let token = token(&world.kube, "probelet-viewer")?;
            for agent in pods(&world.kube, "agent")? {
                let before = epoch(&report(&agent, &token)?)?;
                until("newer reports", PATIENCE, || {
                    let now = epoch(&report(&agent, &token)?)?;
                    ensure!(now > before, "{}: still epoch {now}", agent.node);
                    Ok(())
                })?;
            }
            Ok(())
        }),
        Scenario::new(
            "edits",
            "a budget that was edited is the one in force, by the agents' metrics",
            |world| {
                edit(world, &json!({"budget": {"cpu": "60m"}}))?;
                let token = token(&world.kube, "probelet-viewer")?;
                for agent in pods(&world.kube, "agent")? {
                    until("the budget", PATIENCE, || {
                        let text = agent_metrics(&agent, &token)?;
                        let cores = sum(&text, "probelet_agent_cpu_budget_cores", &[]);
                        ensure!(cores == Some(0.06), "{}: {cores:?} cores", agent.node);
                        Ok(())
                    })?;
                }
                edit(world, &json!({"budget": {"cpu": "50m"}})).map(drop)
            },
        ),
    ]
}

/// The number of the picture.
pub(super) fn epoch(report: &Value) -> anyhow::Result<u64> {
    report.get("epoch").and_then(Value::as_u64).context("the report has no epoch")
}

/// The agents of these nodes read at that interval, give or take a fifth.
pub(super) fn interval(
    world: &World,
    nodes: &[&str],
    kind: &str,
    seconds: f64,
) -> anyhow::Result<()> {
    let token = token(&world.kube, "probelet-viewer")?;
    // It is a mean of some readings, and the first ones are of the time before.
    until("the interval", 2 * PATIENCE, || {
        for node in nodes {
            let text = agent_metrics(&agent(&world.kube, node)?, &token)?;
            let name = "probelet_agent_effective_interval_seconds";
            let seen = sum(&text, name, &[("kind", kind)]).context("no such series")?;
            ensure!((seen / seconds - 1.0).abs() < 0.2, "{node}: {kind} every {seen} s");
        }
        Ok(())
    })
}

fn ten_edits(world: &mut World) -> anyhow::Result<()> {
    let before = pods(&world.kube, "agent")?;
    let mut took = Vec::new();
    for spec in [
        json!({"intervals": {"sockets": "2s"}}),
        json!({"limits": {"procfsReadsPerSecond": 4000, "netnsPerSecond": 400}}),
        json!({"budget": {"cpu": "55m"}}),
        json!({"jitterPercent": 5}),
        json!({"intervals": {"processes": "3s"}, "metrics": {"maxSeries": 400}}),
        json!({"reporting": {"topN": 3}}),
        json!({"match": {"peers": "ServiceIPs"}}),
        json!({"intervals": {"sockets": "1s", "processes": "1s"}, "budget": {"cpu": "50m"},
            "jitterPercent": 10, "match": {"peers": "EndpointSlices"}}),
    ] {
        took.push(edit(world, &spec).with_context(|| format!("the edit {spec}"))?);
    }
    took.push(by_editor(world).context("kubectl edit")?);
    took.push(by_apply(world).context("kubectl apply")?);
    let after = pods(&world.kube, "agent")?;
    ensure!(before == after, "agents were {} and are {}", names(&before), names(&after));
    let slowest = took.iter().copied().fold(0.0, f64::max);
    world.figures.add(
        "an edit until both nodes apply, median of 10, kubectl included",
        median(&mut took),
        "s",
        Some(2.0),
    );
    world.figures.add("the slowest of them", slowest, "s", None);
    Ok(())
}

fn names(pods: &[look::Pod]) -> String {
    pods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `kubectl edit probeconfig default`, as the README says.
fn by_editor(world: &World) -> anyhow::Result<f64> {
    let began = Instant::now();
    world.kube.edit(&["probeconfig", "default"], "s/maxSeries:.*/maxSeries:\\ 450/")?;
    all_apply(&world.kube, "default")?;
    let config = look::config(&world.kube, "default")?;
    ensure!(
        number(&config, "/spec/metrics/maxSeries") == 450,
        "it is {}",
        config["spec"]["metrics"]
    );
    Ok(began.elapsed().as_secs_f64())
}

/// As someone with a repository of manifests does.
fn by_apply(world: &World) -> anyhow::Result<f64> {
    let began = Instant::now();
    let object = json!({"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig",
        "metadata": {"name": "default"}, "spec": {"metrics": {"maxSeries": 500}}});
    let words = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    world.kube.kubectl_with(&words, &object.to_string())?;
    all_apply(&world.kube, "default")?;
    Ok(began.elapsed().as_secs_f64())
}

fn paused(world: &mut World) -> anyhow::Result<()> {
    let token = token(&world.kube, "probelet-viewer")?;
    edit(world, &json!({"paused": true}))?;
    let agents = pods(&world.kube, "agent")?;
    let result = agents.iter().try_for_each(|agent| {
        until("the level says so", PATIENCE, || {
            let probe = look::probe(&world.kube, &agent.node)?;
            let level = text(&probe, "/status/agent/level");
            ensure!(level == "Paused", "{} is at {level}", agent.node);
            Ok(())
        })?;
        let passes = || {
            let text = agent_metrics(agent, &token)?;
            sum(&text, "probelet_agent_pass_duration_seconds_count", &[]).context("no passes")
        };
        // The one that was under way when the word came may still end.
        thread::sleep(Duration::from_secs(1));
        let before = passes()?;
        throughout("no pass", Duration::from_secs(2), || {
            let now = passes()?;
            ensure!((now - before).abs() < 0.5, "{}: {} passes", agent.node, now - before);
            Ok(())
        })
    });
    // Whatever came of it: what follows needs agents that work.
    act::patch(&world.kube, "default", &json!({"paused": false}))?;
    all_apply(&world.kube, "default")?;
    result
}
