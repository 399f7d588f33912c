//! An update of the operator: what the one before wrote stays as it is.

use super::*;
use crate::stages::observe::{RawConfig, RawProbe};

const NODE_PROBES: &str = include_str!("../../../../crds/tests/releases/0.1.0/nodeprobes.json");
const CONFIGS: &str = include_str!("../../../../crds/tests/releases/0.1.0/probeconfigs.json");

/// The world that an operator finds where one of 0.1.0 was; `change` changes each `NodeProbe` as the API server has it.
fn found(change: impl Fn(&mut Value)) -> World {
    let mut world = World::default();
    for (name, pool) in [("node-1", ""), ("node-2", "gpu")] {
        let labels = Labels::new([("kubernetes.io/os", "linux"), ("pool", pool)]);
        let uid = format!("uid-{name}");
        world.node(SeenNode {
            name: name.into(),
            uid,
            labels,
            taints: Box::default(),
            down: false,
        });
    }
    for mut config in serde_json::from_str::<Vec<Value>>(CONFIGS).unwrap() {
        // Its default has changed since; who upgrades gets the new one by a rollout.
        config["spec"]["shortLived"] = "Counters".into();
        let config: RawConfig = serde_json::from_value(config).unwrap();
        world.config(judge(SeenConfig::of(config).unwrap(), None), 0);
    }
    for mut probe in serde_json::from_str::<Vec<Value>>(NODE_PROBES).unwrap() {
        change(&mut probe);
        let raw: RawProbe = serde_json::from_value(probe).unwrap();
        world.probe(SeenProbe::of(raw).unwrap(), 0);
    }
    world.lead(0);
    world
}

fn applied(world: &World) -> u32 {
    world.counts().values().map(|counts| counts.applied).sum()
}

#[test]
fn what_the_first_release_wrote_is_not_written_again() {
    let mut world = found(|_| {});

    assert_eq!(settle(&mut world, 0), Vec::<String>::new());
    assert_eq!(applied(&world), 2);
    let status = status(&world, 0);
    assert_eq!(status.rollout.unwrap().phase, probelet_crds::Phase::Complete);
}

#[test]
fn another_word_or_another_spelling_for_the_same_content_is_no_change() {
    let mut world = found(|probe| {
        probe["spec"]["hash"] = json!("0123456789abcdef");
        probe["spec"]["config"]["intervals"]["containers"] = json!("10000ms");
        probe["spec"]["config"].as_object_mut().unwrap().remove("jitterPercent");
        probe["status"]["appliedConfigHash"] = json!("0123456789abcdef");
    });

    assert_eq!(settle(&mut world, 0), Vec::<String>::new());
    assert_eq!(applied(&world), 2, "the agents echo the word");
}

#[test]
fn what_a_later_release_wrote_stays_where_it_says_the_same_as_far_as_it_is_known() {
    let mut world = found(|probe| {
        probe["spec"]["hash"] = json!("feedfeedfeedfeed");
        probe["spec"]["config"]["fromTheFuture"] = json!({"a": 1});
        probe["spec"]["config"]["limits"]["new"] = json!(7);
        probe["status"]["appliedConfigHash"] = json!("feedfeedfeedfeed");
    });

    assert_eq!(settle(&mut world, 0), Vec::<String>::new());
    assert_eq!(applied(&world), 2);
}

#[test]
fn an_agent_that_refuses_a_word_that_its_release_would_not_use_gets_its_own() {
    let mut world = found(|probe| {
        probe["spec"]["hash"] = json!("0123456789abcdef");
        probe["status"]["conditions"][1]["status"] = json!("False");
    });

    let mut assigned = settle(&mut world, 0);
    assigned.sort();
    assert_eq!(assigned, ["node-1", "node-2"]);
    assert_eq!(settle(&mut world, 1), Vec::<String>::new());
}
