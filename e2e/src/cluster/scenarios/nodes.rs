//! Nodes that have no agent, agents that go, and who owns `default`.
//!
//! In: labels that keep agents away, pods that are deleted, an apply by another manager. Out: whether conditions, counts and
//! owners are as the manual says. I/O: kubectl; everything is put back.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{PATIENCE, all_apply, clear, create},
    look,
    probe::{condition, has, name, number, text},
    wait::until,
};

/// The last node of the cluster.
const NODE: &str = "node2";

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&World) -> anyhow::Result<()>| {
        Scenario::new("nodes", says, move |world| run(world))
    };
    vec![
        scenario("a node that no agent is wanted on is absent and keeps no one waiting", absent),
        scenario(
            "an agent whose pod is deleted says that it stops, and the next one reports",
            stops,
        ),
        scenario("a configuration that names a node is for that node alone", by_name),
        scenario("what the operator made as default can be applied by someone else", apply_default),
        scenario(
            "events tell when a rollout began and ended and when collection was paused",
            events,
        ),
    ]
}

fn absent(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let all = look::nodes(kube)?.len();
    kube.kubectl(&["label", "node", NODE, "type=virtual-kubelet"])?;
    let kept_away = until("the node is absent", PATIENCE * 3, || {
        let config = look::config(kube, "default")?;
        let (absent, effective) =
            (number(&config, "/status/nodes/absent"), number(&config, "/status/nodes/effective"));
        ensure!(absent == 1 && usize::try_from(effective)? == all - 1, "{}", config["status"]);
        has(&config, "Ready", "True")?;
        has(&config, "Degraded", "False")?;
        let probes = look::probes(kube)?;
        ensure!(probes.iter().all(|probe| name(probe) != NODE), "its NodeProbe is still there");
        Ok(())
    });
    kube.kubectl(&["label", "node", NODE, "type-"])?;
    let back = until("its agent is back", PATIENCE * 3, || {
        look::ready(kube, "agent", all)?;
        has(&look::probe(kube, NODE)?, "Ready", "True")
    });
    kept_away.and(back).and(all_apply(kube, "default"))
}

fn stops(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let pod = look::agent(kube, NODE)?;
    kube.kubectl(&["-n", NAMESPACE, "delete", "pod", &pod.name, "--wait=false"])?;
    until("its last words", PATIENCE, || {
        let probe = look::probe(kube, NODE)?;
        let reason = text(condition(&probe, "Ready")?, "/reason").to_owned();
        // The next agent may have spoken already: then the transition shows.
        ensure!(["Stopping", "Starting"].contains(&reason.as_str()), "Ready: {reason}");
        Ok(())
    })?;
    until("the next agent reports", PATIENCE * 3, || {
        has(&look::probe(kube, NODE)?, "Ready", "True")
    })
}

fn by_name(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let spec = json!({"priority": 900, "paused": true, "nodeNames": [NODE]});
    create(kube, "paused-by-name", &spec)?;
    let paused = until("that node is paused", PATIENCE, || {
        for probe in look::probes(kube)? {
            let level = text(&probe, "/status/agent/level") == "Paused";
            ensure!(level == (name(&probe) == NODE), "{} is paused: {level}", name(&probe));
        }
        Ok(())
    });
    paused.and(clear(world))
}

fn apply_default(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before = look::config(kube, "default")?;
    kube.kubectl(&["delete", "probeconfig", "default"])?;
    until("the operator makes it again", PATIENCE, || look::config(kube, "default").map(drop))?;
    let ours = json!({"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig",
        "metadata": {"name": "default"}, "spec": {"jitterPercent": 12, "reporting": {"topN": 3}}});
    let words = ["apply", "--server-side", "--field-manager=gitops", "-f", "-"];
    let applied = kube.kubectl_with(&words, &ours.to_string());
    let config = json!({"spec": before["spec"]}).to_string();
    kube.kubectl(&["patch", "probeconfig", "default", "--type=merge", "-p", &config])?;
    applied.map(drop).and(all_apply(kube, "default"))
}

fn events(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let seen = |reason: &str| -> anyhow::Result<()> {
        let field = format!("reason={reason},involvedObject.name=events");
        let words = ["-n", "default", "get", "events", "--field-selector", &field, "-o", "json"];
        let list: Value = kube.json(&words, "")?;
        ensure!(list["items"].as_array().is_some_and(|items| !items.is_empty()), "no {reason}");
        Ok(())
    };
    let spec = json!({"priority": 900, "paused": true, "nodeNames": [NODE]});
    create(kube, "events", &spec)?;
    let reported = until("a pause and the end of its rollout are reported", PATIENCE, || {
        seen("Paused")?;
        seen("RolloutCompleted")
    });
    reported.and(clear(world))
}
