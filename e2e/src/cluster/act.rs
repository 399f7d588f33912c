//! What people do: edit a configuration, label a node, and wait until all agents apply it.
//!
//! In: patches as people write them. Out: the generation that the edit got, and how long all agents took to say that they
//! work by it. I/O: kubectl.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Kube, World, look,
    probe::{applies, name, number},
    wait::until,
};

/// Far more than an edit takes; the figure is another matter.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Changes a configuration by a merge patch: its new generation.
pub fn patch(kube: &Kube, config: &str, spec: &Value) -> anyhow::Result<i64> {
    let patch = json!({ "spec": spec }).to_string();
    let words = ["patch", "probeconfig", config, "--type=merge", "-p", &patch, "-o", "json"];
    Ok(number(&kube.json(&words, "")?, "/metadata/generation"))
}

/// Makes a configuration: its generation.
pub fn create(kube: &Kube, config: &str, spec: &Value) -> anyhow::Result<i64> {
    let object = object(config, spec).to_string();
    Ok(number(&kube.json(&["create", "-o", "json", "-f", "-"], &object)?, "/metadata/generation"))
}

/// A configuration as people write it. The label is for taking all of them away. So many edits in a minute are not
/// acknowledged in time by agents that may write six times in it, as is the default.
#[must_use]
pub fn object(config: &str, spec: &Value) -> Value {
    let mut object = json!({"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig",
        "metadata": {"name": config, "labels": {"e2e": "yes"}}, "spec": spec});
    object["spec"]["limits"]["apiWritesPerMinute"] = 60.into();
    object["spec"]["budget"]["cpu"] = "50m".into();
    object
}

/// Takes away all configurations that scenarios made, and waits until `default` is in force again.
pub fn clear(world: &World) -> anyhow::Result<()> {
    world.kube.kubectl(&["delete", "probeconfig", "-l", "e2e=yes", "--wait=false"])?;
    all_apply(&world.kube, "default")
}

/// Waits until these nodes have that generation and say so.
pub fn until_applied(
    kube: &Kube,
    nodes: &[&str],
    config: &str,
    generation: i64,
) -> anyhow::Result<()> {
    until(&format!("{config} in force"), PATIENCE, || {
        for probe in look::probes(kube)?.iter().filter(|p| nodes.contains(&name(p))) {
            applies(probe, config, generation)?;
        }
        Ok(())
    })
}

/// Waits until every node works by that configuration as it is now.
pub fn all_apply(kube: &Kube, config: &str) -> anyhow::Result<()> {
    let nodes = look::nodes(kube)?;
    until(&format!("{config} in force on all nodes"), PATIENCE, || {
        let generation = number(&look::config(kube, config)?, "/metadata/generation");
        let probes = look::probes(kube)?;
        anyhow::ensure!(probes.len() == nodes.len(), "{} NodeProbes", probes.len());
        probes.iter().try_for_each(|probe| applies(probe, config, generation))
    })
}

/// Edits `default` and waits until all nodes say that they work by it: seconds from the command's start.
pub fn edit(world: &World, spec: &Value) -> anyhow::Result<f64> {
    let began = Instant::now();
    let generation = patch(&world.kube, "default", spec)?;
    let nodes = look::nodes(&world.kube)?;
    until_applied(
        &world.kube,
        &nodes.iter().map(String::as_str).collect::<Vec<_>>(),
        "default",
        generation,
    )?;
    Ok(began.elapsed().as_secs_f64())
}

/// Gives a node a label, or takes it away when the word ends in `-`.
pub fn label(kube: &Kube, node: &str, word: &str) -> anyhow::Result<()> {
    kube.kubectl(&["label", "node", node, word, "--overwrite"]).map(drop)
}
