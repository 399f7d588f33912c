//! Objects from the future: the CRDs of a newer version let fields through that these programs do not know.
//!
//! In: CRDs that keep unknown fields, as after a downgrade of the programs alone. Out: whether a condition says so and what is
//! known is in force. I/O: kubectl; the CRDs are put back.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{PATIENCE, all_apply, patch},
    look,
    probe::{has, text},
    wait::until,
};

use super::failures::agent_process;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "future",
            "of a configuration from the future the last good state stays in force, and it says why",
            |world| with_unknown_fields(world, "probeconfigs", config_from_the_future),
        ),
        Scenario::new(
            "future",
            "an agent that is given something from the future works by what it knows of it, and says what it does not",
            |world| with_unknown_fields(world, "nodeprobes", probe_from_the_future),
        ),
    ]
}

/// Does something while the CRD keeps fields that it does not know, then puts everything back.
fn with_unknown_fields(
    world: &World,
    plural: &str,
    then: impl Fn(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let crd = format!("{plural}.probelet.io");
    let keep = |yes: Value| {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        // At all depths: the NodeProbe has what is unknown below `config`.
        let mut steps = vec![field(spec, &yes)];
        if plural == "nodeprobes" {
            steps.push(field(&format!("{spec}/properties/config"), &yes));
        }
        let steps = Value::from(steps).to_string();
        world.kube.kubectl(&["patch", "crd", &crd, "--type=json", "-p", &steps])
    };
    keep(json!(true))?;
    let result = then(world);
    keep(Value::Null)?;
    // Rewritten, the objects lose what the CRD does not know.
    world.kube.kubectl(&[
        "-n",
        NAMESPACE,
        "scale",
        "deployment/probelet-operator",
        "--replicas=2",
    ])?;
    let remove = json!([{"op": "remove", "path": "/spec/fromTheFuture"}]).to_string();
    // It is pruned already if the object was written meanwhile.
    world
        .kube
        .try_kubectl(&["patch", "probeconfig", "default", "--type=json", "-p", &remove], "")?;
    // Another value than before: what changes nothing is no one's news.
    let percent = if plural == "nodeprobes" { 12 } else { 11 };
    patch(&world.kube, "default", &json!({"jitterPercent": percent}))?;
    result.and(all_apply(&world.kube, "default"))
}

fn field(path: &str, keep: &Value) -> Value {
    let path = format!("{path}/x-kubernetes-preserve-unknown-fields");
    if keep.is_null() {
        json!({"op": "remove", "path": path})
    } else {
        json!({"op": "add", "path": path, "value": keep})
    }
}

fn config_from_the_future(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    until("the CRD takes it", PATIENCE, || {
        patch(kube, "default", &json!({"fromTheFuture": {"a": 1}}))?;
        let config = look::config(kube, "default")?;
        config.pointer("/spec/fromTheFuture").context("it was pruned").map(drop)
    })?;
    // Watches from before keep to the older schema, and programs that were replaced have none.
    kube.kubectl(&["-n", NAMESPACE, "rollout", "restart", "deployment/probelet-operator"])?;
    until("the condition", PATIENCE, || is_refused(&look::config(kube, "default")?))?;
    let before = look::probe(kube, "node1")?;

    patch(kube, "default", &json!({"jitterPercent": 33}))?;
    let edited = look::config(kube, "default")?;
    until("the condition of the edit", PATIENCE, || {
        let config = look::config(kube, "default")?;
        let (seen, wanted) =
            (&config["status"]["observedGeneration"], &edited["metadata"]["generation"]);
        ensure!(seen == wanted, "generation {seen} is observed, not {wanted}");
        is_refused(&config)
    })?;
    let after = look::probe(kube, "node1")?;
    ensure!(before["spec"] == after["spec"], "now in force: {}", after["spec"]);
    Ok(())
}

/// Whether it is not accepted, and its condition names the field.
fn is_refused(config: &Value) -> anyhow::Result<()> {
    has(config, "Accepted", "False")?;
    let status = config["status"].to_string();
    ensure!(status.contains("fromTheFuture"), "the field is not named: {status}");
    Ok(())
}

fn probe_from_the_future(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    // No one puts it right meanwhile.
    kube.kubectl(&["-n", NAMESPACE, "scale", "deployment/probelet-operator", "--replicas=0"])?;
    until("no operator runs", PATIENCE, || look::ready(kube, "operator", 0).map(drop))?;
    let assigned = json!({"spec": {"hash": "0123456789abcdef", "config": {"fromTheFuture": {"a": 1}, "jitterPercent": 33}}});
    until("the CRD takes it", PATIENCE, || {
        kube.kubectl(&[
            "patch",
            "nodeprobe",
            "node2",
            "--type=merge",
            "-p",
            &assigned.to_string(),
        ])?;
        let probe = look::probe(kube, "node2")?;
        probe.pointer("/spec/config/fromTheFuture").context("it was pruned").map(drop)
    })?;
    // The watch from before keeps to the older schema; an agent that begins has the state of its last life and a new watch.
    let pid = agent_process(world, "node2")?;
    world.kube.cluster(&["exec", "node2", "kill", "-KILL", &pid])?;
    until("the condition", PATIENCE, || {
        let probe = look::probe(kube, "node2")?;
        has(&probe, "ConfigApplied", "True")?;
        ensure!(probe["status"].to_string().contains("fromTheFuture"), "the field is not named");
        let applied = text(&probe, "/status/appliedConfigHash");
        ensure!(applied == "0123456789abcdef", "it answers for {applied}");
        Ok(())
    })
}
