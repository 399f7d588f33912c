//! What people should not touch: NodeProbes edited or deleted by hand are put right.
//!
//! In: edits of a NodeProbe. Out: whether its two writers restore what is theirs. I/O: kubectl.

use anyhow::ensure;

use crate::cluster::{
    Scenario, World,
    act::{PATIENCE, all_obey},
    look,
    probe::{has, text},
    wait::until,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "hands",
            "the spec of a NodeProbe that was edited by hand is put right",
            |world| {
                let before = look::probe(&world.kube, "node1")?;
                by_hand(
                    world,
                    r#"{"spec":{"config":{"intervals":{"sockets":"30s"},"paused":true}}}"#,
                    false,
                )?;
                until("the operator's spec", PATIENCE, || {
                    let now = look::probe(&world.kube, "node1")?;
                    ensure!(now["spec"] == before["spec"], "it is {}", now["spec"]);
                    Ok(())
                })?;
                all_obey(&world.kube, "default")
            },
        ),
        Scenario::new("hands", "a NodeProbe whose hash was edited by hand is put right", |world| {
            let before = look::probe(&world.kube, "node1")?;
            by_hand(
                world,
                r#"{"spec":{"hash":"0000000000000000","origin":{"name":"nobody"}}}"#,
                false,
            )?;
            until("the operator's spec", PATIENCE, || {
                let now = look::probe(&world.kube, "node1")?;
                ensure!(now["spec"] == before["spec"], "it is {}", now["spec"]);
                Ok(())
            })?;
            all_obey(&world.kube, "default")
        }),
        Scenario::new(
            "hands",
            "the status of a NodeProbe that was edited by hand is put right",
            |world| {
                by_hand(
                    world,
                    r#"{"status":{"appliedConfigHash":"0000000000000000","agent":{"level":"Heroic"},"conditions":[]}}"#,
                    true,
                )?;
                until("the agent's status", PATIENCE, || {
                    let now = look::probe(&world.kube, "node1")?;
                    let level = text(&now, "/status/agent/level");
                    ensure!(level != "Heroic", "the level is {level}");
                    has(&now, "Ready", "True")
                })?;
                all_obey(&world.kube, "default")
            },
        ),
        Scenario::new("hands", "a NodeProbe that was deleted by hand is made again", |world| {
            let before = look::probe(&world.kube, "node2")?;
            world.kube.kubectl(&["delete", "nodeprobe", "node2"])?;
            until("a new one", PATIENCE, || {
                let now = look::probe(&world.kube, "node2")?;
                ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "still the old one");
                has(&now, "Ready", "True")
            })?;
            all_obey(&world.kube, "default")
        }),
    ]
}

fn by_hand(world: &World, patch: &str, status: bool) -> anyhow::Result<()> {
    let mut words = vec!["patch", "nodeprobe", "node1", "--type=merge", "-p", patch];
    if status {
        words.push("--subresource=status");
    }
    world.kube.kubectl(&words).map(drop)
}
