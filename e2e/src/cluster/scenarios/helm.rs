//! The chart by both Helms: install an older one, edit, upgrade, roll back, uninstall.
//!
//! In: the chart, and the same one packaged as an older version with other values, for what is no older release yet has
//! to be upgraded from too. Out: whether people's edits survive and what stays behind. I/O: helm, kubectl.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{self, PATIENCE, all_apply},
    kube::{Helm, curl_verified},
    look,
    probe::{list, name, text},
    wait::until,
};

const OLD: &str = "0.0.9";
const VALUES: &str = "e2e/cluster/values.yaml";
/// What the older installation has other than the newer one.
const OLD_VALUES: &str = "e2e/cluster/old-values.yaml";

/// With Helm 3, on a cluster that never saw probelet.
pub(super) fn first_round() -> Vec<Scenario> {
    vec![
        Scenario::new("helm3", "Helm 3 installs, and every node gets its configuration", |world| {
            nothing_of_ours(world)?;
            install(world, Helm::Three)?;
            working(world, 1)
        })
        .vital(),
        Scenario::new(
            "helm3",
            "the configuration `default` is made from the chart's seed",
            |world| {
                let config = look::config(&world.kube, "default")?;
                ensure!(
                    text(&config, "/spec/budget/cpu") == "45m",
                    "its spec is {}",
                    config["spec"]
                );
                ensure!(
                    text(&config, "/spec/source") == "Auto",
                    "the schema's defaults are missing"
                );
                Ok(())
            },
        ),
        Scenario::new("helm3", "agents show a certificate of the operator's authority", verified),
        Scenario::new("helm3", "helm test passes with Helm 3", |world| test(world, Helm::Three)),
        Scenario::new(
            "helm3",
            "after an edit by kubectl Helm 3 upgrades without a conflict, and the edit stays",
            |world| {
                let generation = edited(world, "7s")?;
                upgrade(world, Helm::Three)?;
                working(world, 2)?;
                still_edited(world, "7s", generation)
            },
        ),
        Scenario::new("helm3", "Helm 3 rolls back, and the edit stays", |world| {
            let generation = edited(world, "8s")?;
            world.kube.helm(Helm::Three, &["rollback", "probelet", "1", "-n", NAMESPACE])?;
            working(world, 1)?;
            still_edited(world, "8s", generation)
        }),
        Scenario::new(
            "helm3",
            "uninstalled by Helm 3, nothing is left but the CRDs and their objects",
            |world| uninstall(world, Helm::Three),
        ),
    ]
}

/// With Helm 4, on what the first round left, up to the installation that all other scenarios use.
pub(super) fn second_round() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "helm4",
            "Helm 4 installs over what an uninstall left, and old edits are in force again",
            |world| {
                let kept = look::config(&world.kube, "default").is_ok();
                install(world, Helm::Four)?;
                working(world, 1)?;
                ensure!(!kept || socket_interval(world)? == "8s", "the edit is lost");
                Ok(())
            },
        )
        .vital(),
        Scenario::new(
            "helm4",
            "after an edit by kubectl Helm 4 upgrades without a conflict, and the edit stays",
            |world| {
                let generation = edited(world, "9s")?;
                upgrade(world, Helm::Four)?;
                working(world, 2)?;
                still_edited(world, "9s", generation)
            },
        )
        .vital(),
        Scenario::new("helm4", "helm test passes with Helm 4", |world| test(world, Helm::Four)),
    ]
}

/// The end of the installation of the second round.
pub(super) fn last_round() -> Vec<Scenario> {
    vec![
        Scenario::new("end", "Helm 4 rolls back, and the edit stays", |world| {
            let generation = edited(world, "6s")?;
            world.kube.helm(Helm::Four, &["rollback", "probelet", "1", "-n", NAMESPACE])?;
            working(world, 1)?;
            still_edited(world, "6s", generation)
        }),
        Scenario::new(
            "end",
            "uninstalled by Helm 4, nothing is left but the CRDs and their objects",
            |world| uninstall(world, Helm::Four),
        ),
    ]
}

fn chart_of_old(world: &World) -> anyhow::Result<PathBuf> {
    let folder = world.folder.join("charts");
    let (chart, out) = (path(&world.chart)?, path(&folder)?);
    let words = ["package", chart, "--version", OLD, "-d", out];
    world.kube.helm(Helm::Three, &words)?;
    Ok(folder.join(format!("probelet-{OLD}.tgz")))
}

fn path(path: &std::path::Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}

fn install(world: &World, helm: Helm) -> anyhow::Result<()> {
    let old = chart_of_old(world)?;
    let words = ["install", "probelet", path(&old)?, "-n", NAMESPACE, "--create-namespace"];
    let values = ["-f", VALUES, "-f", OLD_VALUES];
    world.kube.helm(helm, &[&words[..], &values].concat()).map(drop)
}

/// A client that knows the published authorities verifies the certificate of each agent by its name.
fn verified(world: &mut World) -> anyhow::Result<()> {
    let words = ["-n", NAMESPACE, "get", "configmap", "probelet-agent-tls", "-o", "json"];
    let map = world.kube.json(&words, "")?;
    let authorities = world.folder.join("agents-ca.crt");
    std::fs::write(&authorities, text(&map, "/data/ca.crt"))?;
    for agent in look::pods(&world.kube, "agent")? {
        let at = ("probelet-agent.probelet.svc", agent.ip.as_str());
        let reply = curl_verified(at, "/healthz", &authorities)?;
        ensure!(reply.status == 200, "{}: {} {}", agent.node, reply.status, reply.body);
        let other =
            curl_verified(("probelet-agent.other.svc", &agent.ip), "/healthz", &authorities)?;
        ensure!(other.status == 0, "{}: another name was verified", agent.node);
    }
    Ok(())
}

fn upgrade(world: &World, helm: Helm) -> anyhow::Result<()> {
    let words = ["upgrade", "probelet", path(&world.chart)?, "-n", NAMESPACE, "-f", VALUES];
    world.kube.helm(helm, &words).map(drop)
}

fn test(world: &World, helm: Helm) -> anyhow::Result<()> {
    world.kube.helm(helm, &["test", "probelet", "-n", NAMESPACE, "--timeout", "60s"]).map(drop)
}

/// Pods of this very installation are Ready, so many operators among them, and every node applies.
fn working(world: &World, operators: usize) -> anyhow::Result<()> {
    let kube = &world.kube;
    for object in ["deployment/probelet-operator", "daemonset/probelet-agent"] {
        kube.kubectl(&["-n", NAMESPACE, "rollout", "status", object, "--timeout=90s"])?;
    }
    let nodes = look::nodes(kube)?.len();
    until("pods are Ready", PATIENCE, || {
        look::ready(kube, "agent", nodes)?;
        look::ready(kube, "operator", operators)
    })?;
    all_apply(kube, "default")
}

fn socket_interval(world: &World) -> anyhow::Result<String> {
    let config = look::config(&world.kube, "default")?;
    Ok(text(&config, "/spec/intervals/sockets").to_owned())
}

/// Edits as a person does: the generation after it.
fn edited(world: &World, sockets: &str) -> anyhow::Result<i64> {
    let generation =
        act::patch(&world.kube, "default", &json!({"intervals": {"sockets": sockets}}))?;
    all_apply(&world.kube, "default")?;
    Ok(generation)
}

fn still_edited(world: &World, sockets: &str, generation: i64) -> anyhow::Result<()> {
    let config = look::config(&world.kube, "default")?;
    let now = config.pointer("/metadata/generation").and_then(serde_json::Value::as_i64);
    ensure!(socket_interval(world)? == sockets, "its spec is {}", config["spec"]);
    ensure!(now == Some(generation), "generation {now:?}, not {generation}: someone else wrote it");
    Ok(())
}

/// Kinds whose objects come and go by themselves.
fn passing(kind: &str) -> bool {
    kind.starts_with("events") || kind.starts_with("componentstatuses")
}

/// Everything in the cluster that someone could call ours, as `kind/name`.
fn ours(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let kinds = world.kube.kubectl(&["api-resources", "--verbs=list", "-o", "name"])?;
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !passing(kind)).collect();
    let words = ["get", &kinds.join(","), "-A", "-o", "json", "--ignore-not-found"];
    let everything = world.kube.json(&words, "")?;
    let mut found = BTreeSet::new();
    for object in list(&everything, "/items") {
        let labelled = text(object, "/metadata/labels/app.kubernetes.io~1instance") == "probelet";
        let inside = text(object, "/metadata/namespace") == NAMESPACE;
        // What each namespace has without us.
        let usual = ["default", "kube-root-ca.crt"].contains(&name(object));
        if labelled || name(object).contains("probelet") || (inside && !usual) {
            found.insert(format!("{}/{}", text(object, "/kind"), name(object)));
        }
    }
    Ok(found)
}

fn nothing_of_ours(world: &World) -> anyhow::Result<()> {
    let before = ours(world)?;
    ensure!(before.is_empty(), "before the installation there are already {before:?}");
    Ok(())
}

fn uninstall(world: &World, helm: Helm) -> anyhow::Result<()> {
    let kept = look::config(&world.kube, "default")?;
    world.kube.helm(helm, &["uninstall", "probelet", "-n", NAMESPACE])?;
    let crds = ["nodeprobes.probelet.io", "probeconfigs.probelet.io"];
    until("nothing is left but the CRDs", PATIENCE, || {
        let mut left = ours(world)?;
        for crd in crds {
            let there = left.remove(&format!("CustomResourceDefinition/{crd}"));
            ensure!(there, "{crd} is gone");
        }
        // The API server makes it for a CRD.
        left.remove("APIService/v1alpha1.probelet.io");
        // Which installation operates the cluster: it is taken over by the next one (docs/user/uninstall.md).
        left.remove("Lease/probelet-cluster");
        // Theirs is the fate of the CRDs; the namespace was made for the release and stays, as Helm leaves it.
        left.retain(|object| !object.starts_with("NodeProbe/") && object != "Namespace/probelet");
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })?;
    let now = look::config(&world.kube, "default")?;
    ensure!(now["spec"] == kept["spec"], "the configuration is now {}", now["spec"]);
    for node in look::nodes(&world.kube)? {
        let processes = world.kube.cluster(&["exec", &node, "ps", "-eo", "comm="])?;
        ensure!(!processes.contains("probelet"), "a process of ours runs on {node}");
    }
    Ok(())
}
