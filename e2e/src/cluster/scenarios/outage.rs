//! The API server hangs for a minute: collection goes on, nothing is lost, and no storm follows.
//!
//! In: an API server that is stopped like a process that swaps. Out: what the agents do meanwhile, by their own ports, and
//! how many writes they send afterwards, by the API server's count. I/O: signals, the agents' ports.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::{
    Scenario, World,
    act::{PATIENCE, edit},
    look::{self, Pod, agent_metrics, ask_agent, report, token},
    probe::{list, text},
    wait::until,
};

use super::{edits::epoch, failures::agent_process};

/// A port that no one has.
const PORT: &str = "7071";
/// How long writes are counted after the outage.
const CALM: Duration = Duration::from_secs(20);
/// What two agents, one of which was started again, and an operator may have to say after it.
const FEW: f64 = 20.0;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new(
        "outage",
        "while the API server hangs agents collect, serve, start again, and after it all is well",
        outage,
    )]
}

fn outage(world: &mut World) -> anyhow::Result<()> {
    edit(world, &json!({"intervals": {"sockets": "1500ms"}}))?;
    let viewer = token(&world.kube, "probelet-viewer")?;
    let agents = look::ready(&world.kube, "agent", 2)?;
    let operators = look::ready(&world.kube, "operator", 2)?;
    let addresses = addresses(world)?;
    // Agents remember who this token is, as they do of everybody who scrapes them, and each right for itself.
    for agent in &agents {
        agent_metrics(agent, &viewer)?;
        report(agent, &viewer)?;
    }
    let seconds = world.outage.as_secs().to_string();
    let began = Instant::now();
    let mut away = world.kube.cluster_behind(&["outage", &seconds])?;
    let meanwhile = meanwhile(world, &agents, &viewer, &addresses, began);
    let status = away.wait()?;
    let back = Instant::now();
    meanwhile.context("while the API server hung")?;
    ensure!(status.success(), "the outage ended with {status}");
    until("the API server answers", PATIENCE, || look::nodes(&world.kube).map(drop))?;
    let picture =
        until("a report of the agent that was killed", PATIENCE, || report(&agents[1], &viewer))?;
    ensure!(epoch(&picture)? > 5, "it did not collect meanwhile: epoch {}", picture["epoch"]);
    let before = look::writes(&world.kube)?;
    edit(world, &json!({"intervals": {"sockets": "1s"}})).context("the edit after it")?;
    let applied = back.elapsed().as_secs_f64();
    thread::sleep(CALM.saturating_sub(back.elapsed()));
    let after = look::writes(&world.kube)?;
    let (statuses, others) = (after.statuses - before.statuses, after.operator - before.operator);
    world.figures.add("the API server back until an edit is applied", applied, "s", None);
    world.figures.add(
        "writes of two agents in the 20 s after the outage",
        statuses,
        "writes",
        Some(FEW),
    );
    world.figures.add("writes of the operator in them", others, "writes", Some(FEW));
    ensure!(statuses <= FEW && others <= FEW, "{statuses} writes of agents, {others} of operators");
    nothing_restarted(world, &agents, &operators)
}

/// The agent of node2 was killed, and no one else ended.
fn nothing_restarted(world: &World, agents: &[Pod], operators: &[Pod]) -> anyhow::Result<()> {
    let restarts = |before: &[Pod], component: &str| -> anyhow::Result<Vec<i64>> {
        let after = look::pods(&world.kube, component)?;
        ensure!(before.iter().map(|p| &p.uid).eq(after.iter().map(|p| &p.uid)), "other pods");
        Ok(before.iter().zip(&after).map(|(b, a)| a.restarts - b.restarts).collect())
    };
    let seen = (restarts(agents, "agent")?, restarts(operators, "operator")?);
    ensure!(
        seen == (vec![0, 1], vec![0, 0]),
        "restarts of agents {:?}, of operators {:?}",
        seen.0,
        seen.1
    );
    Ok(())
}

/// The nodes' addresses.
fn addresses(world: &World) -> anyhow::Result<Vec<String>> {
    let nodes = world.kube.get("/api/v1/nodes")?;
    list(&nodes, "/items")
        .iter()
        .map(|node| {
            let address =
                list(node, "/status/addresses").iter().find(|a| text(a, "/type") == "InternalIP");
            Ok(text(address.context("a node without address")?, "/address").to_owned())
        })
        .collect()
}

/// All of it must be true before the API server is back.
fn meanwhile(
    world: &World,
    agents: &[Pod],
    viewer: &str,
    addresses: &[String],
    began: Instant,
) -> anyhow::Result<()> {
    let left =
        || world.outage.saturating_sub(began.elapsed()).saturating_sub(Duration::from_secs(2));
    let first = epoch(&report(&agents[0], viewer)?)?;
    let pid = agent_process(world, "node2")?;
    world.kube.cluster(&["exec", "node2", "kill", "-KILL", &pid])?;

    // Both end by themselves: there is no one to end them inside.
    let listen =
        ["exec", "node1", "timeout", "120", "busybox", "nc", "-ll", "-p", PORT, "-e", "cat"];
    let mut server = world.kube.cluster_behind(&listen)?;
    until("someone listens", PATIENCE, || {
        let said = world.kube.cluster(&["exec", "node1", "ss", "-Htln", "sport", "=", PORT])?;
        ensure!(!said.is_empty(), "no one does");
        Ok(())
    })?;
    let call = format!("sleep 100 | busybox nc {} {PORT}", addresses[0]);
    let mut client =
        world.kube.cluster_behind(&["exec", "node2", "timeout", "120", "sh", "-c", &call])?;
    let seen = until("a new connection", left().min(PATIENCE), || {
        let report = report(&agents[0], viewer)?;
        open(&report, &format!("{}:{PORT}", addresses[0]))?;
        let now = epoch(&report)?;
        ensure!(now > first, "still epoch {now}");
        Ok(())
    });
    let restarted = until("the killed agent collects by its last configuration", left(), || {
        // Ready is: it has a picture. What that shows it shows to no one whom it cannot ask about.
        inside(world, "node2", "http://127.0.0.1:9468/readyz")?;
        let said = said(world, &agents[1])?;
        ensure!(said.contains("using the last good configuration"), "it says {said}");
        let reply = ask_agent(&agents[1], "/v1/report", Some(viewer))?;
        // 503 after six seconds, of which curl waits for five.
        ensure!([0, 503].contains(&reply.status), "its report: {} {}", reply.status, reply.body);
        Ok(())
    });
    for child in [&mut server, &mut client] {
        child.kill()?;
        child.wait()?;
    }
    seen?;
    restarted?;
    // To the end of it, for anyone who scrapes.
    while !left().is_zero() {
        agent_metrics(&agents[0], viewer)?;
        thread::sleep(Duration::from_secs(1));
    }
    ensure!(epoch(&report(&agents[0], viewer)?)? > first + 5, "hardly any new picture");
    Ok(())
}

/// The report has an open connection with that end.
fn open(report: &Value, end: &str) -> anyhow::Result<()> {
    let found = list(report, "/connections").iter().any(|connection| {
        text(connection, "/state") == "established"
            && [text(connection, "/local"), text(connection, "/remote")].contains(&end)
    });
    ensure!(found, "no connection with {end} among {}", list(report, "/connections").len());
    Ok(())
}

/// Asks an agent from its node, as the kubelet does.
fn inside(world: &World, node: &str, url: &str) -> anyhow::Result<String> {
    world.kube.cluster(&["exec", node, "curl", "-sf", "-m", "5", url])
}

/// The log of an agent, of which the API server can be asked no more: all of its starts.
fn said(world: &World, agent: &Pod) -> anyhow::Result<String> {
    let files = format!("/var/log/pods/probelet_{}_{}/agent/*.log", agent.name, agent.uid);
    world.kube.cluster(&["exec", &agent.node, "sh", "-c", &format!("cat {files}")])
}
