//! `kubectl probelet`, as a plugin of kubectl: what a person sees of a real cluster, without another port.
//!
//! In: the program beside this one, a small workload with Services. Out: whether its answers are those of the cluster.
//! I/O: kubectl with the plugin, which asks the API server only.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::access::{make_shop, remove_shop};
use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{PATIENCE, all_apply},
    look,
    probe::{list, number, text},
    wait::until,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario =
        |says: &str, run: fn(&mut World) -> anyhow::Result<()>| Scenario::new("cli", says, run);
    vec![
        scenario(
            "kubectl finds the plugin, and a client certificate is enough to read reports",
            certificate,
        ),
        scenario("status says that all nodes apply it and what their agents cost", status),
        scenario("conns names both ends of a connection between two nodes", conns),
        scenario("procs lists the process of a pod with the port that it listens on", procs),
        scenario("map shows each flow once, from workload to workload", map),
        scenario("netpol selects the peers that were seen, and the API server takes it", netpol),
        scenario("config effective says where each value comes from", effective),
        scenario(
            "config dry-run foretells the nodes that an edit changes, and refuses a bad one",
            dry_run,
        ),
        scenario("explain and doctor say what a node's agent does and may do", explain),
        scenario(
            "preflight names the nodes with their source, and that probelet is here",
            preflight,
        ),
        scenario("bench measures the sources of a node and gives it back", bench),
        scenario("pause stops a configuration's nodes and resume starts them", pause),
        scenario("a node that is paused by itself stops alone", pause_node),
        scenario(
            "a paused rollout assigns to no further node until it is resumed, and undo puts the content back",
            rollout,
        ),
        scenario("dump is a bundle with objects, logs and metrics and without a token", dump),
        scenario("who may not read agents learns which right is missing", refused),
        Scenario::new("cli", "the workload of these checks is gone", |world| remove_shop(world)),
    ]
}

/// `kubectl probelet …`
fn cli(world: &World, words: &[&str]) -> anyhow::Result<String> {
    let said = world.kube.plugin(words, "")?;
    ensure!(said.good, "kubectl probelet {}: {}{}", words.join(" "), said.out, said.err);
    Ok(said.out)
}

fn json(world: &World, words: &[&str]) -> anyhow::Result<Value> {
    let words = [words, &["-o", "json"]].concat();
    Ok(serde_json::from_str(&cli(world, &words)?)?)
}

fn preflight(world: &mut World) -> anyhow::Result<()> {
    // The exit code is about what is in the way, which is another matter in each cluster.
    let said = world.kube.plugin(&["preflight", "-o", "json"], "")?;
    let answer: Value =
        serde_json::from_str(&said.out).with_context(|| format!("{}{}", said.out, said.err))?;
    ensure!(list(&answer, "/unseen").is_empty(), "{}", answer["unseen"]);
    let nodes: i64 = list(&answer, "/nodes").iter().map(|group| number(group, "/nodes")).sum();
    ensure!(nodes == 2, "{}", answer["nodes"]);
    ensure!(list(&answer, "/nodes").iter().all(|group| group["source"].is_string()), "{answer}");
    let about = |what: &str| list(&answer, "/findings").iter().any(|one| one["about"] == what);
    ensure!(about("probelet") && about("namespace"), "{}", answer["findings"]);
    Ok(())
}

fn bench(world: &mut World) -> anyhow::Result<()> {
    let one = json(world, &["bench", "node1", "--time", "3s"])?;
    ensure!(one["sources"][0]["measured"]["cores"].as_f64() > Some(0.0), "{one}");
    let each = json(world, &["bench", "node1", "--each", "--time", "2s"])?;
    ensure!(list(&each, "/sources").len() == 4, "{each}");
    until("the node's own configuration is gone", PATIENCE, || {
        let effective = json(world, &["config", "effective", "node1"])?;
        ensure!(!effective.to_string().contains("bench-node1"), "{effective}");
        Ok(())
    })?;
    // It was started again for each source that takes rights. What the kubelet waits after that belongs to its pod.
    let agent = look::agent(&world.kube, "node1")?;
    world.kube.kubectl(&["-n", NAMESPACE, "delete", "pod", &agent.name])?;
    until("another agent", PATIENCE, || {
        let agents = look::ready(&world.kube, "agent", 2)?;
        ensure!(agents.iter().all(|other| other.name != agent.name), "the old one is there");
        Ok(())
    })
}

fn certificate(world: &mut World) -> anyhow::Result<()> {
    make_shop(world)?;
    let said = cli(world, &["procs", "node/node1"])?;
    ensure!(said.contains("probelet-agent"), "{said}");
    Ok(())
}

fn status(world: &mut World) -> anyhow::Result<()> {
    until("a fleet that applies it", PATIENCE, || {
        let status = json(world, &["status"])?;
        ensure!(list(&status, "/notApplied").is_empty(), "{}", status["notApplied"]);
        ensure!(number(&status, "/nodeProbes") == 2, "{status}");
        ensure!(status["operator"]["running"] == true, "{}", status["operator"]);
        ensure!(number(&status, "/cost/cpuNanocores") > 0, "{}", status["cost"]);
        Ok(())
    })?;
    let shown = cli(world, &["status"])?;
    ensure!(
        shown.contains("CPU") && shown.contains("LEVELS") && shown.contains("default"),
        "{shown}"
    );
    Ok(())
}

fn conns(world: &mut World) -> anyhow::Result<()> {
    until("named connections", Duration::from_secs(20), || {
        let conns = json(world, &["conns", "ds/client", "-n", "shop"])?;
        let named = |c: &&Value| {
            text(c, "/who").starts_with("shop/client-")
                && text(c, "/peer").starts_with("shop/web-")
                && text(c, "/via") == "shop/web"
        };
        let count = list(&conns, "/connections").iter().filter(named).count();
        ensure!(count == 2, "{count} connections are named: {conns}");
        Ok(())
    })
}

fn procs(world: &mut World) -> anyhow::Result<()> {
    let procs = json(world, &["procs", "deploy/web", "-n", "shop"])?;
    let listens = |p: &&Value| list(p, "/listens").iter().any(|l| l == "8080/tcp");
    ensure!(list(&procs, "/processes").iter().any(|p| listens(&p)), "{procs}");
    Ok(())
}

fn map(world: &mut World) -> anyhow::Result<()> {
    until("the flow", Duration::from_secs(20), || {
        let map = json(world, &["map", "shop"])?;
        let flow = |e: &&Value| {
            text(e, "/from") == "shop/DaemonSet/client"
                && text(e, "/to") == "shop/Deployment/web"
                && number(e, "/port") == 8080
        };
        let count = list(&map, "/edges").iter().filter(flow).count();
        ensure!(count == 1, "{count} times: {map}");
        Ok(())
    })?;
    let svg = cli(world, &["map", "shop", "-o", "svg"])?;
    ensure!(svg.starts_with("<svg ") && svg.contains("Deployment/web"), "{svg}");
    Ok(())
}

fn netpol(world: &mut World) -> anyhow::Result<()> {
    let policy = cli(world, &["netpol", "deploy/web", "-n", "shop"])?;
    ensure!(
        policy.contains("# What probelet observed") && policy.contains("app: client"),
        "{policy}"
    );
    world.kube.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &policy)?;
    Ok(())
}

fn effective(world: &mut World) -> anyhow::Result<()> {
    let effective = json(world, &["config", "effective", "node1"])?;
    ensure!(text(&effective, "/config") == "default", "{effective}");
    let field = |name: &str| {
        list(&effective, "/fields")
            .iter()
            .find(|f| text(f, "/field") == name)
            .context(name.to_owned())
    };
    ensure!(text(field("limits.maxSockets")?, "/origin") == "schema default", "{effective}");
    Ok(())
}

fn dry_run(world: &mut World) -> anyhow::Result<()> {
    let edit = |spec: &str| {
        format!(
            "apiVersion: probelet.io/v1alpha1\nkind: ProbeConfig\nmetadata: {{name: one}}\nspec: {spec}\n"
        )
    };
    let good = edit(
        "{priority: 9, nodeSelector: {matchLabels: {kubernetes.io/hostname: node1}}, jitterPercent: 3}",
    );
    let words = ["config", "dry-run", "-f", "-", "-o", "json"];
    let said = world.kube.plugin(&words, &good)?;
    let answer: Value = serde_json::from_str(&said.out).context(said.err)?;
    ensure!(number(&answer, "/changed/0/nodes") == 1, "{answer}");
    let said = world.kube.plugin(&words, &edit("{budget: {cpu: 1u}}"))?;
    ensure!(!said.good && said.out.contains("budget.cpu"), "{}{}", said.out, said.err);
    Ok(())
}

fn explain(world: &mut World) -> anyhow::Result<()> {
    let said = cli(world, &["explain", "node1"])?;
    ensure!(said.starts_with("node1: ") && said.contains("uses default"), "{said}");
    let said = cli(world, &["doctor", "node1"])?;
    ensure!(said.contains("source") && said.contains("probelet-agent doctor"), "{said}");
    Ok(())
}

fn level(world: &World, node: &str) -> anyhow::Result<String> {
    Ok(text(&look::probe(&world.kube, node)?, "/status/agent/level").to_owned())
}

fn until_level(world: &World, node: &str, paused: bool) -> anyhow::Result<()> {
    until("the level", PATIENCE, || {
        let level = level(world, node)?;
        ensure!((level == "Paused") == paused, "the level of {node} is {level}");
        Ok(())
    })
}

fn pause(world: &mut World) -> anyhow::Result<()> {
    cli(world, &["pause"])?;
    let paused = until_level(world, "node1", true).and_then(|()| until_level(world, "node2", true));
    cli(world, &["resume"])?;
    paused?;
    until_level(world, "node1", false)?;
    all_apply(&world.kube, "default")
}

fn pause_node(world: &mut World) -> anyhow::Result<()> {
    cli(world, &["pause", "--node", "node2"])?;
    let paused = until_level(world, "node2", true);
    let other = level(world, "node1")?;
    cli(world, &["resume", "--node", "node2"])?;
    paused?;
    ensure!(other != "Paused", "node1 was paused as well");
    until_level(world, "node2", false)?;
    all_apply(&world.kube, "default")
}

fn rollout(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before = text(&look::config(kube, "default")?, "/spec/intervals/sockets").to_owned();
    cli(world, &["rollout", "pause"])?;
    let patch = r#"{"spec":{"intervals":{"sockets":"3s"}}}"#;
    kube.kubectl(&["patch", "probeconfig", "default", "--type=merge", "-p", patch])?;
    until("the paused rollout", PATIENCE, || {
        let said = cli(world, &["rollout", "status", "default"])?;
        ensure!(said.contains("paused"), "{said}");
        Ok(())
    })?;
    std::thread::sleep(Duration::from_secs(2));
    let assigned = text(&look::probe(kube, "node1")?, "/spec/config/intervals/sockets").to_owned();
    cli(world, &["rollout", "resume"])?;
    ensure!(assigned != "3s", "node1 was assigned it though the rollout was paused");
    until("the new content", PATIENCE, || all_apply(kube, "default"))?;
    let diff = cli(world, &["config", "diff", "default"])?;
    ensure!(diff.contains("+ intervals.sockets: 3s"), "{diff}");
    cli(world, &["rollout", "undo"])?;
    all_apply(kube, "default")?;
    let now = look::probe(kube, "node1")?;
    let now = text(&now, "/spec/config/intervals/sockets");
    let wanted = if before.is_empty() { "1s" } else { &before };
    ensure!(now == wanted, "node1 reads sockets every {now}, not every {wanted}");
    Ok(())
}

fn dump(world: &mut World) -> anyhow::Result<()> {
    let path = world.folder.join("dump.tar.gz");
    let path = path.to_str().context("a path that is text")?;
    cli(world, &["dump", "--file", path])?;
    let tar = |words: &[&str]| -> anyhow::Result<String> {
        let output = std::process::Command::new("tar").args(words).output()?;
        ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let names = tar(&["-tzf", path])?;
    for name in [
        "probeconfigs.json",
        "nodeprobes.jsonl",
        "status.txt",
        "logs/probelet-agent",
        "metrics/probelet-operator",
    ] {
        ensure!(names.contains(name), "no {name} in {names}");
    }
    ensure!(!names.contains("reports/"), "reports were not asked for: {names}");
    let all = tar(&["-xzOf", path])?;
    ensure!(!all.contains("eyJhbGciOi"), "there is a token in it");
    Ok(())
}

fn refused(world: &mut World) -> anyhow::Result<()> {
    let token = look::server_token(&world.kube, "default")?;
    let said = world.kube.plugin_as(&token, &["status"])?;
    ensure!(!said.good, "a stranger sees the fleet: {}", said.out);
    ensure!(
        said.err.contains("not allowed to list nodeprobes.probelet.io")
            && said.err.contains("kubectl auth can-i"),
        "{}",
        said.err
    );
    Ok(())
}
