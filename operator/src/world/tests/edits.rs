//! Edits in the middle of a rollout, and of a selector: nodes keep what they have until their turn.

use super::canaries::says;
use super::rollouts::{edit, hold, phase, successor_with};
use super::*;
use probelet_crds::Phase;
use std::collections::BTreeMap;

/// The jitters that nodes work by, and how many of them by each; only those of `default`.
fn jitters(world: &World) -> BTreeMap<i32, usize> {
    let mut all = BTreeMap::new();
    for (_, node) in world.all_nodes() {
        let probe = node.probe.as_ref().unwrap();
        assert_eq!(probe.origin.as_ref().unwrap().name, "default", "{}", node.name);
        *all.entry(probe.content.as_ref().unwrap().config.jitter_percent).or_default() += 1;
    }
    all
}

/// A rollout from jitter 7 to 1 that has reached five canaries and one burst of a hundred nodes.
fn half_way() -> World {
    let spec = |jitter: i32| json!({"jitterPercent": jitter, "rollout": {"maxNodesPerMinute": 60}});
    let mut world = settled(100, spec(7));
    edit(&mut world, 2, spec(1), 5);
    assert_eq!(settle(&mut world, 5).len(), 5);
    // Some of the minute's tokens went to canaries.
    assert!(!settle(&mut world, 10_005).is_empty());
    assert_eq!(phase(&world), Phase::Rolling);
    assert!(jitters(&world)[&7] > 80, "{:?}", jitters(&world));
    world
}

#[test]
fn other_rules_for_a_change_on_its_way_take_nothing_from_nodes_that_wait_for_it() {
    let mut world = half_way();
    let fast = json!({"jitterPercent": 1, "rollout": {"maxNodesPerMinute": 120}});

    edit(&mut world, 3, fast, 10_006);
    settle(&mut world, 10_006);

    assert_eq!(phase(&world), Phase::Rolling);
    assert_eq!(jitters(&world).keys().collect::<Vec<_>>(), [&1, &7]);
    let rollout = world.config_named("default").unwrap().rollout.as_ref().unwrap();
    assert_eq!(rollout.previous.as_ref().unwrap().content.config.jitter_percent, 7);
    for at in 1..90 {
        settle(&mut world, 10_006 + at * 1000);
    }
    assert_eq!((jitters(&world)[&1], phase(&world)), (100, Phase::Complete));
}

#[test]
fn other_rules_for_a_change_that_is_tried_leave_the_canaries_as_they_are() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    assert_eq!(settle(&mut world, 5).len(), 5);

    edit(&mut world, 3, json!({"jitterPercent": 1, "rollout": {"maxNodesPerMinute": 600}}), 6);

    assert_eq!(settle(&mut world, 6), Vec::<String>::new());
    assert_eq!((jitters(&world)[&1], phase(&world)), (5, Phase::Canary));
    assert_eq!(settle(&mut world, 10_005).len(), 95);
}

#[test]
fn an_edit_does_not_give_the_nodes_that_wait_what_it_replaces() {
    let mut world = half_way();
    let before = jitters(&world);
    let newest =
        json!({"jitterPercent": 2, "rollout": {"maxNodesPerMinute": 60, "canaryPercent": 5}});

    hold(&mut world, 3, newest.clone(), true, 10_006);

    assert_eq!(settle(&mut world, 10_006), Vec::<String>::new());
    assert_eq!((jitters(&world), phase(&world)), (before.clone(), Phase::Canary));
    // A successor holds it as well.
    let status = status(&world, world.configs.find("default").unwrap());
    let mut next = successor_with(&world, |judged| {
        *judged = config("default", 3, newest.clone());
        judged.seen.status = status.clone();
        judged.seen.rollout_paused = true;
    });
    next.lead(0);
    assert_eq!(settle(&mut next, 0), Vec::<String>::new());
    assert_eq!(jitters(&next), before);
    // It passes, and reaches all.
    let mut now = 10_007;
    hold(&mut world, 3, newest, false, now);
    for _ in 0..200 {
        settle(&mut world, now);
        now += 1000;
    }
    assert_eq!((jitters(&world)[&2], phase(&world)), (100, Phase::Complete));
}

#[test]
fn to_go_back_to_what_most_nodes_still_have_needs_no_canaries() {
    let mut world = half_way();
    let spec = json!({"jitterPercent": 7, "rollout": {"maxNodesPerMinute": 6000}});

    edit(&mut world, 3, spec, 10_006);
    settle(&mut world, 10_006);

    assert_eq!((jitters(&world)[&7], phase(&world)), (100, Phase::Complete));
}

#[test]
fn a_leader_that_finds_a_rejected_configuration_keeps_how_far_it_had_come() {
    let world = settled(40, json!({"jitterPercent": 7}));
    let status_of = |world: &World| status(world, world.configs.find("default").unwrap());
    let before = status_of(&world);
    let mut next = successor_with(&world, |judged| {
        *judged = config("default", 2, json!({"jitterPercent": 700}));
        judged.seen.status = before.clone();
    });
    next.lead(0);
    assert_eq!(settle(&mut next, 0), Vec::<String>::new());

    let kept = status_of(&next);
    assert_eq!(kept.rollout, before.rollout);
    let mut good = config("default", 3, json!({"jitterPercent": 1}));
    good.seen.status = kept;
    next.config(good, 1);

    assert_eq!(settle(&mut next, 1).len(), 2);
    assert_eq!((jitters(&next)[&7], phase(&next)), (38, Phase::Canary));
}

#[test]
fn who_has_the_content_already_is_not_tried_when_others_come_under_it() {
    let mut world = settled(200, json!({}));
    let spec = |pools: Value| {
        let pools = json!([{"key": "pool", "operator": "In", "values": pools}]);
        json!({"priority": 1, "jitterPercent": 4, "nodeSelector": {"matchExpressions": pools}})
    };
    world.config(config("gpu", 1, spec(json!(["a"]))), 1);
    settle(&mut world, 1);
    settle(&mut world, 10_001);
    assert_eq!(counts(&world, "gpu").applied, 100);

    world.config(config("gpu", 2, spec(json!(["a", "b"]))), 20_000);

    let tried = settle(&mut world, 20_000);
    assert_eq!(tried.len(), 5);
    let of_b = |name: &String| name[1..].parse::<usize>().unwrap() % 2 == 1;
    assert!(tried.iter().all(of_b), "{tried:?}");
    says(&mut world, &tried[0], 20_001, |said| {
        (said.applied, said.reason) = (Some(false), "Invalid".into());
    });
    world.tick(20_002);
    settle(&mut world, 20_002);
    let gpu = |world: &World| counts(world, "gpu").assigned;
    assert_eq!(gpu(&world), 100, "pool a keeps it");
    let status = status(&world, world.configs.find("gpu").unwrap());
    let mut next = successor_with(&world, |judged| {
        if judged.seen.name == "gpu" {
            *judged = config("gpu", 2, spec(json!(["a", "b"])));
            judged.seen.status = status.clone();
        }
    });
    next.lead(0);
    assert_eq!((settle(&mut next, 0), gpu(&next)), (Vec::new(), 100));
}
