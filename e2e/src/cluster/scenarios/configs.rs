//! Several configurations: pools of nodes, priorities, conflicts, many at once.
//!
//! In: configurations that select nodes. Out: whether the right one wins on each node, and all of them say how they fare.
//! I/O: kubectl.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::{
    Kube, Scenario, World,
    act::{self, PATIENCE, all_apply, clear, create, label, object, until_applied},
    look::{self, config, pods},
    probe::{has, name, number, text},
    wait::{throughout, until},
};

/// More than anybody has.
const MANY: i32 = 200;

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&mut World) -> anyhow::Result<()>| {
        Scenario::new("configs", says, move |world| {
            let result = run(world);
            // Whatever came of it: the next one begins with `default` alone.
            let cleared = tidy(world);
            result.and(cleared)
        })
    };
    vec![
        scenario("two pools of nodes follow two configurations", pools),
        scenario("a node whose label changes follows another configuration within seconds", moved),
        scenario(
            "a higher priority wins, the loser says that it is overridden, and takes over when the winner goes",
            priority,
        ),
        scenario(
            "of two with the same priority the older wins, and both say that they conflict",
            conflict,
        ),
        scenario("a selector that matches nothing is accepted and changes nothing", nothing),
        scenario(
            "with 200 configurations the right one wins, and the operator stays as it is",
            many,
        ),
        scenario("a deleted `default` is made again from the seed", seed),
    ]
}

fn tidy(world: &World) -> anyhow::Result<()> {
    for node in ["node1", "node2"] {
        label(&world.kube, node, "pool-")?;
    }
    clear(world)
}

fn pool(of: &str, sockets: &str) -> Value {
    json!({"priority": 10, "nodeSelector": {"matchLabels": {"pool": of}}, "intervals": {"sockets": sockets}})
}

fn pools(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    label(kube, "node1", "pool=blue")?;
    label(kube, "node2", "pool=green")?;
    for (node, color, sockets) in [("node1", "blue", "2s"), ("node2", "green", "3s")] {
        let generation = create(kube, color, &pool(color, sockets))?;
        until_applied(kube, &[node], color, generation)?;
        let assigned = look::probe(kube, node)?;
        ensure!(
            text(&assigned, "/spec/config/intervals/sockets") == sockets,
            "{node}: {}",
            assigned["spec"]
        );
    }
    for color in ["blue", "green"] {
        until("counts", PATIENCE, || counts(kube, color, 1, 1))?;
    }
    until("`default` is overridden", PATIENCE, || {
        counts(kube, "default", 2, 0)?;
        has(&config(kube, "default")?, "Overridden", "True")
    })
}

/// The configuration matches so many nodes, and so many work by it.
fn counts(kube: &Kube, name: &str, matched: i64, applied: i64) -> anyhow::Result<()> {
    let config = config(kube, name)?;
    let seen = (number(&config, "/status/nodes/matched"), number(&config, "/status/nodes/applied"));
    ensure!(seen == (matched, applied), "{name} has {}", config["status"]["nodes"]);
    Ok(())
}

fn moved(world: &mut World) -> anyhow::Result<()> {
    label(&world.kube, "node2", "pool=blue")?;
    let blue = create(&world.kube, "blue", &pool("blue", "2s"))?;
    let green = create(&world.kube, "green", &pool("green", "3s"))?;
    until_applied(&world.kube, &["node2"], "blue", blue)?;
    let began = Instant::now();
    label(&world.kube, "node2", "pool=green")?;
    until_applied(&world.kube, &["node2"], "green", green)?;
    let took = began.elapsed().as_secs_f64();
    world.figures.add(
        "a label changed until the node works by its other configuration",
        took,
        "s",
        Some(2.0),
    );
    Ok(())
}

fn priority(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let both = &["node1", "node2"];
    let low = create(kube, "low", &json!({"priority": 5, "intervals": {"sockets": "2s"}}))?;
    until_applied(kube, both, "low", low)?;
    let high = create(kube, "high", &json!({"priority": 6, "intervals": {"sockets": "3s"}}))?;
    until_applied(kube, both, "high", high)?;
    until("the loser says so", PATIENCE, || {
        has(&config(kube, "low")?, "Overridden", "True")?;
        has(&config(kube, "low")?, "Conflicted", "False")?;
        has(&config(kube, "high")?, "Overridden", "False")
    })?;
    kube.kubectl(&["delete", "probeconfig", "high"])?;
    until_applied(kube, both, "low", low)?;
    until("it says so", PATIENCE, || has(&config(kube, "low")?, "Overridden", "False"))
}

fn conflict(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    // By name the other one would win.
    let elder = create(kube, "z-elder", &json!({"priority": 5, "intervals": {"sockets": "2s"}}))?;
    until_applied(kube, &["node1", "node2"], "z-elder", elder)?;
    // Ages have whole seconds: in the same one the name would decide.
    let born = text(&config(kube, "z-elder")?, "/metadata/creationTimestamp").to_owned();
    until("another second", PATIENCE, || {
        let fresh = object("a-younger", &json!({"priority": 5, "intervals": {"sockets": "3s"}}));
        let words = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let now = kube.json(&words, &fresh.to_string())?;
        ensure!(text(&now, "/metadata/creationTimestamp") > born.as_str(), "still the same second");
        Ok(())
    })?;
    create(kube, "a-younger", &json!({"priority": 5, "intervals": {"sockets": "3s"}}))?;
    until("both say so", PATIENCE, || {
        for name in ["z-elder", "a-younger"] {
            has(&config(kube, name)?, "Conflicted", "True")?;
        }
        Ok(())
    })?;
    until_applied(kube, &["node1", "node2"], "z-elder", elder)
}

fn nothing(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before: Vec<Value> = look::probes(kube)?.iter().map(|p| p["spec"].clone()).collect();
    create(kube, "nowhere", &pool("of-none", "2s"))?;
    until("it is accepted", PATIENCE, || {
        let config = config(kube, "nowhere")?;
        has(&config, "Accepted", "True")?;
        ensure!(number(&config, "/status/observedGeneration") == 1, "not yet seen");
        counts(kube, "nowhere", 0, 0)
    })?;
    let after: Vec<Value> = look::probes(kube)?.iter().map(|p| p["spec"].clone()).collect();
    ensure!(before == after, "the nodes' configuration changed");
    Ok(())
}

fn many(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let before = pods(kube, "operator")?;
    let items: Vec<Value> = (0..MANY)
        .map(|n| {
            object(&format!("many-{n:03}"), &json!({"priority": n - 100, "jitterPercent": n % 50}))
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    kube.kubectl_with(&["create", "-f", "-"], &list)?;
    let began = Instant::now();
    until_applied(kube, &["node1", "node2"], "many-199", 1)?;
    let took = began.elapsed().as_secs_f64();
    until("the operator has judged all", PATIENCE, || {
        has(&config(kube, "many-000")?, "Overridden", "True")?;
        has(&config(kube, "many-199")?, "Ready", "True")
    })?;
    let after = pods(kube, "operator")?;
    ensure!(before == after, "the operators were {before:?} and are {after:?}");
    world.figures.add(
        "200 configurations made until the nodes work by the right one",
        took,
        "s",
        None,
    );
    Ok(())
}

fn seed(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let old = config(kube, "default")?;
    kube.kubectl(&["delete", "probeconfig", "default"])?;
    until("a new one", PATIENCE, || {
        let new = config(kube, "default")?;
        ensure!(new["metadata"]["uid"] != old["metadata"]["uid"], "still the old one");
        // What the chart's values say now, not what they said when the old one was made.
        ensure!(text(&new, "/spec/budget/cpu") == "50m", "its spec is {}", new["spec"]);
        Ok(())
    })?;
    all_apply(kube, "default")?;
    throughout("no second one", std::time::Duration::from_secs(1), || {
        let list = kube.get("/apis/probelet.io/v1alpha1/probeconfigs")?;
        let items = list["items"].as_array().context("no list")?;
        ensure!(items.iter().all(|item| name(item) == "default"), "{} configurations", items.len());
        Ok(())
    })?;
    // The edits of the round before are gone with the old one; the scenarios that follow expect this.
    act::edit(world, &json!({"budget": {"cpu": "50m"}})).map(drop)
}
