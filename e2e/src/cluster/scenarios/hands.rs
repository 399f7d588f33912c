//! What people should not touch: NodeProbes edited or deleted by hand are put right.
//!
//! In: edits of a NodeProbe. Out: whether its two writers restore what is theirs. I/O: kubectl.

use std::time::Duration;

use anyhow::ensure;

use crate::cluster::{
    Scenario, World,
    act::{PATIENCE, all_apply},
    look,
    probe::{has, number, text},
    wait::until,
};

/// Half of a minute's writes are kept for acknowledgements. Scenarios before may have used up the other half, so that an
/// agent puts its status right when that minute is over, and `minInterval` after its last write.
const WRITES: Duration = Duration::from_secs(60 + 10 + 5);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "hands",
            "the configuration in a NodeProbe that was edited by hand is put right",
            |world| spec(world, r#"{"config":{"intervals":{"sockets":"30s"},"paused":true}}"#),
        ),
        Scenario::new(
            "hands",
            "the hash and the origin in a NodeProbe that were edited by hand are put right",
            |world| spec(world, r#"{"hash":"0000000000000000","origin":{"name":"none"}}"#),
        ),
        Scenario::new(
            "hands",
            "the status of a NodeProbe that was edited by hand is put right",
            status,
        ),
        Scenario::new("hands", "a NodeProbe that was deleted by hand is made again", deleted),
    ]
}

fn spec(world: &World, edit: &str) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before = look::probe(kube, "node1")?;
    let edit = format!("{{\"spec\":{edit}}}");
    kube.kubectl(&["patch", "nodeprobe", "node1", "--type=merge", "-p", &edit])?;
    until("the operator's spec", PATIENCE, || {
        let now = look::probe(kube, "node1")?;
        ensure!(now["spec"] == before["spec"], "it is {}", now["spec"]);
        Ok(())
    })?;
    all_apply(kube, "default")
}

fn status(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let edit = r#"{"status":{"appliedConfigHash":"0000000000000000","conditions":[],
        "agent":{"level":"Paused"},"summary":{"processes":1}}}"#;
    let words = ["patch", "nodeprobe", "node1", "--subresource=status", "--type=merge", "-p", edit];
    kube.kubectl(&words)?;
    until("the agent's status", WRITES, || {
        let now = look::probe(kube, "node1")?;
        let level = text(&now, "/status/agent/level");
        ensure!(level != "Paused", "the level is {level}");
        ensure!(number(&now, "/status/summary/processes") > 1, "there is one process");
        has(&now, "Ready", "True")
    })?;
    all_apply(kube, "default")
}

fn deleted(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before = look::probe(kube, "node2")?;
    kube.kubectl(&["delete", "nodeprobe", "node2"])?;
    until("a new one", PATIENCE, || {
        let now = look::probe(kube, "node2")?;
        ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "still the old one");
        has(&now, "Ready", "True")
    })?;
    all_apply(kube, "default")
}
