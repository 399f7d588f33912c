//! Rollouts through the world: who gets what, and what a successor makes of it.

use super::canaries::says;
use super::*;
use crate::rollout::Stage;
use probelet_crds::Phase;

pub(super) fn assigned(world: &World) -> u32 {
    counts(world, "default").assigned
}

pub(super) fn phase(world: &World) -> Phase {
    world.config_named("default").unwrap().rollout.as_ref().unwrap().status().phase
}

pub(super) fn edit(world: &mut World, generation: i64, spec: Value, now: Millis) {
    world.config(config("default", generation, spec), now);
}

pub(super) fn jitter(world: &World, name: &str) -> i32 {
    let node = world.node_at(world.nodes.find(name).unwrap()).unwrap();
    node.probe.as_ref().unwrap().content.as_ref().unwrap().config.jitter_percent
}

pub(super) fn canary(world: &World) -> String {
    let rollout = world.config_named("default").unwrap().rollout.as_ref().unwrap();
    let (_, node) = world.nodes.iter().find(|(id, _)| rollout.watches(*id)).unwrap();
    node.name.to_string()
}

#[test]
fn a_small_cluster_gets_an_edit_at_once() {
    let mut world = settled(2, json!({}));

    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);

    assert_eq!(settle(&mut world, 5), ["n0", "n1"]);
    assert_eq!(phase(&world), Phase::Complete);
}

#[test]
fn five_of_a_hundred_nodes_go_first() {
    let mut world = settled(100, json!({}));

    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);

    assert_eq!(settle(&mut world, 5).len(), 5);
    assert_eq!(phase(&world), Phase::Canary);
    assert_eq!(settle(&mut world, 10_004), Vec::<String>::new());
    assert_eq!(settle(&mut world, 10_005).len(), 95);
    assert_eq!(phase(&world), Phase::Complete);
}

#[test]
fn a_minute_gets_no_more_nodes_than_allowed() {
    let slow = json!({"rollout": {"maxNodesPerMinute": 60, "canaryPercent": 0}});
    let mut world = settled(100, slow.clone());
    let mut spec = slow;
    spec["jitterPercent"] = json!(1);

    edit(&mut world, 2, spec, 0);

    assert_eq!(settle(&mut world, 0).len(), 10);
    assert_eq!(settle(&mut world, 30_000).len(), 10, "no more than a burst is saved up");
    let later: usize = (31..=60).map(|s| settle(&mut world, s * 1000).len()).sum();
    assert_eq!(later, 30);
    assert_eq!(phase(&world), Phase::Rolling);
}

#[test]
fn a_canary_that_refuses_takes_everything_back_and_an_edit_starts_fresh() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    settle(&mut world, 5);
    let name = canary(&world);
    let id = world.nodes.find(&name).unwrap();
    let mut probe = probe_of(world.node_at(id).unwrap());
    probe.said.applied = Some(false);
    probe.said.reason = "SourceUnavailable".into();
    world.probe(probe, 6);

    let stopped = world.tick(7);

    assert_eq!(stopped.len(), 1);
    assert_eq!(settle(&mut world, 7).len(), 5);
    assert_eq!(
        (jitter(&world, &name), assigned(&world), phase(&world)),
        (10, 0, Phase::RolledBack)
    );
    assert_eq!(settle(&mut world, 3_600_000), Vec::<String>::new());
    let now = 3_600_001;
    edit(&mut world, 3, json!({"jitterPercent": 2}), now);
    // No one was heard of for an hour: no one is a canary.
    assert_eq!(settle(&mut world, now).len(), 100);
}

#[test]
fn a_new_node_gets_the_content_before_while_canaries_are_watched() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    settle(&mut world, 5);

    world.node(node(200, "a"));
    settle(&mut world, 6);

    assert_eq!(jitter(&world, "n200"), 10);
    settle(&mut world, 20_000);
    assert_eq!(jitter(&world, "n200"), 1);
}

#[test]
fn the_kill_switch_reaches_all_at_once() {
    let mut world = settled(100, json!({"rollout": {"maxNodesPerMinute": 1}}));

    edit(&mut world, 2, json!({"paused": true, "rollout": {"maxNodesPerMinute": 1}}), 5);

    assert_eq!(settle(&mut world, 5).len(), 100);
}

#[test]
fn going_back_to_what_was_in_force_needs_no_canaries() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    settle(&mut world, 5);

    edit(&mut world, 3, json!({}), 6);

    assert_eq!(settle(&mut world, 6).len(), 5);
    assert_eq!(phase(&world), Phase::Complete);
}

#[test]
fn a_selector_that_takes_over_many_nodes_tries_a_few_first() {
    let mut world = settled(200, json!({}));
    let spec = |pool: &str| json!({"priority": 1, "jitterPercent": 4, "nodeSelector": {"matchLabels": {"pool": pool}}});
    world.config(config("gpu", 1, spec("none")), 1);
    settle(&mut world, 1);

    world.config(config("gpu", 2, spec("a")), 2);

    assert_eq!(settle(&mut world, 2).len(), 5);
    assert_eq!(settle(&mut world, 10_002).len(), 95);
}

/// A person holds the rollout of `default`, or lets it go.
fn hold(world: &mut World, generation: i64, spec: Value, paused: bool, now: Millis) {
    let mut judged = config("default", generation, spec);
    judged.seen.rollout_paused = paused;
    world.config(judged, now);
}

#[test]
fn a_paused_rollout_assigns_no_further_node_until_it_is_resumed() {
    let slow = |jitter: i32| json!({"jitterPercent": jitter, "rollout": {"maxNodesPerMinute": 60, "canaryPercent": 0}});
    let mut world = settled(100, slow(10));
    edit(&mut world, 2, slow(1), 0);
    assert_eq!(settle(&mut world, 0).len(), 10);

    hold(&mut world, 2, slow(1), true, 1);

    assert_eq!(settle(&mut world, 3_600_000), Vec::<String>::new());
    let id = world.configs.find("default").unwrap();
    let ready = status(&world, id).conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "RolloutPaused");
    assert_eq!((counts(&world, "default").held, counts(&world, "default").assigned), (90, 10));
    hold(&mut world, 2, slow(1), false, 3_600_001);
    assert_eq!(settle(&mut world, 3_600_001).len(), 10);
    assert_eq!(counts(&world, "default").held, 0);
}

/// An hour of a paused rollout, in which the agents of these nodes say every ten minutes that they are there.
fn hour(world: &mut World, speaks: impl Fn(&str) -> bool) {
    let names: Vec<String> = (0..100).map(|at| format!("n{at}")).collect();
    for now in (1..=6).map(|at| at * 600_000) {
        for name in names.iter().filter(|name| speaks(name)) {
            says(world, name, now, |said| said.beat = now.to_string().into());
        }
        assert_eq!(settle(world, now), Vec::<String>::new());
        assert_eq!(phase(world), Phase::Canary);
    }
}

#[test]
fn canaries_that_were_not_assigned_are_not_judged_while_a_rollout_is_paused() {
    let mut world = settled(100, json!({}));

    hold(&mut world, 2, json!({"jitterPercent": 1}), true, 5);

    hour(&mut world, |_| true);
    hold(&mut world, 2, json!({"jitterPercent": 1}), false, 3_600_001);
    assert_eq!(settle(&mut world, 3_600_001).len(), 5);
    assert_eq!(phase(&world), Phase::Canary);
}

#[test]
fn a_canary_that_falls_silent_while_a_rollout_is_paused_is_replaced() {
    let mut world = settled(100, json!({}));
    hold(&mut world, 2, json!({"jitterPercent": 1}), true, 5);
    let gone = canary(&world);

    hour(&mut world, |name| name != gone);

    hold(&mut world, 2, json!({"jitterPercent": 1}), false, 3_600_001);
    let written = settle(&mut world, 3_600_001);
    assert_eq!(written.len(), 5, "{written:?}");
    assert!(!written.contains(&gone));
    assert_eq!(phase(&world), Phase::Canary);
}

#[test]
fn a_held_rollout_whose_agents_all_fall_silent_waits_for_one_that_speaks() {
    let mut world = settled(100, json!({}));
    let spec = || json!({"jitterPercent": 1});
    hold(&mut world, 2, spec(), true, 5);
    assert_eq!(settle(&mut world, 7_200_000), Vec::<String>::new());

    hold(&mut world, 2, spec(), false, 7_200_001);

    for now in [7_200_001, 7_230_000, 7_600_000] {
        assert_eq!(settle(&mut world, now), Vec::<String>::new(), "nothing was tried yet");
        assert_eq!(phase(&world), Phase::Canary);
    }
    for at in 0..9 {
        says(&mut world, &format!("n{at}"), 7_600_001, |said| {
            (said.marked, said.beat) = (false, "back".into());
        });
    }
    let tried = settle(&mut world, 7_600_001);
    assert_eq!(tried.len(), 5, "{tried:?}");
    assert_eq!(settle(&mut world, 7_610_000), Vec::<String>::new());
    assert_eq!(settle(&mut world, 7_610_001).len(), 95);
}

#[test]
fn a_successor_lets_nothing_follow_untried_because_all_agents_are_silent() {
    let mut world = settled(100, json!({}));
    hold(&mut world, 2, json!({"jitterPercent": 1}), true, 5);
    settle(&mut world, 7_200_000);
    for at in 0..100 {
        says(&mut world, &format!("n{at}"), 7_200_000, |said| said.marked = true);
    }
    settle(&mut world, 7_200_001);

    let mut next = successor(&world);
    next.lead(0);

    assert_eq!(settle(&mut next, 60_000), Vec::<String>::new());
    assert_eq!(phase(&next), Phase::Canary);
    says(&mut next, "n7", 60_001, |said| (said.marked, said.beat) = (false, "back".into()));
    assert_eq!(settle(&mut next, 60_001), ["n7"]);
}

#[test]
fn a_rollout_that_no_node_is_left_for_ends() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    settle(&mut world, 5);

    for at in 0..100 {
        world.node_gone(&format!("n{at}"), 6);
    }

    settle(&mut world, 6);
    settle(&mut world, 10_006);
    assert_eq!(phase(&world), Phase::Complete);
}

#[test]
fn the_kill_switch_reaches_all_though_the_rollout_is_paused() {
    let mut world = settled(100, json!({}));

    hold(&mut world, 2, json!({"paused": true}), true, 5);

    assert_eq!(settle(&mut world, 5).len(), 100);
}

#[test]
fn a_successor_knows_the_content_before_though_no_node_carries_it() {
    let mut world = settled(2, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    assert_eq!(settle(&mut world, 5).len(), 2);

    let mut next = successor(&world);
    next.lead(0);

    let rollout = next.config_named("default").unwrap().rollout.clone().unwrap();
    assert_eq!(rollout.previous.unwrap().content.config.jitter_percent, 10);
    assert_eq!(settle(&mut next, 0), Vec::<String>::new());
}

/// The jitters that nodes work by, and how many of them by each; only those of `default`.
fn jitters(world: &World) -> std::collections::BTreeMap<i32, usize> {
    let mut all = std::collections::BTreeMap::new();
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

/// What a successor sees of this world.
pub(super) fn successor(world: &World) -> World {
    successor_with(world, |_| {})
}

/// The same, where configurations were changed meanwhile.
fn successor_with(world: &World, change: impl Fn(&mut Judged)) -> World {
    let mut next = super::world(0);
    for (_, config) in world.configs.iter() {
        let status = status(world, world.configs.find(&config.name).unwrap());
        let spec = match config.generation {
            1 => json!({}),
            n => json!({"jitterPercent": n - 1}),
        };
        let mut judged = self::config(&config.name, config.generation, spec);
        judged.seen.status = status;
        change(&mut judged);
        next.config(judged, 0);
    }
    for (at, (_, node)) in world.nodes.iter().enumerate() {
        let uid = node.object.as_ref().unwrap().uid.to_string();
        let seen = super::node(at, if at % 2 == 0 { "a" } else { "b" });
        next.node(SeenNode { name: node.name.to_string(), uid, ..seen });
        next.probe(probe_of(node), 0);
    }
    next
}

#[test]
fn a_successor_goes_on_with_the_same_canaries() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    settle(&mut world, 5);
    let name = canary(&world);

    let mut next = successor(&world);
    next.lead(0);

    assert_eq!(settle(&mut next, 0), Vec::<String>::new());
    assert_eq!((phase(&next), canary(&next)), (Phase::Canary, name));
    let previous = next.config_named("default").unwrap().rollout.clone().unwrap().previous.unwrap();
    assert_eq!(previous.content.config.jitter_percent, 10);
    assert_eq!(settle(&mut next, 10_000).len(), 95);
}

#[test]
fn a_successor_leaves_a_stopped_rollout_stopped() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    let rollout = world.config_named("default").unwrap().rollout.clone().unwrap();
    let ids: std::collections::BTreeSet<_> =
        world.nodes.ids().filter(|id| rollout.watches(*id)).collect();
    let id = world.configs.find("default").unwrap();
    world.configs.get_mut(id).unwrap().rollout.as_mut().unwrap().stage =
        Stage::RolledBack { canaries: ids, why: "n1 (Invalid)".into() };

    let mut next = successor(&world);
    next.lead(0);

    assert_eq!(settle(&mut next, 0), Vec::<String>::new());
    assert_eq!(phase(&next), Phase::RolledBack);
    let status = status(&next, 0);
    assert_eq!(
        probelet_crds::condition::get(&status.conditions, "Degraded").unwrap().message,
        "n1 (Invalid)"
    );
}

#[test]
fn an_edit_made_while_no_one_led_is_rolled_out_from_what_was_in_force() {
    let world = settled(100, json!({}));
    let mut next = successor(&world);
    let mut judged = config("default", 2, json!({"jitterPercent": 1}));
    judged.seen.status = next.config_named("default").unwrap().status.clone();
    next.config(judged, 0);

    next.lead(0);

    assert_eq!(settle(&mut next, 0).len(), 5);
    assert_eq!(phase(&next), Phase::Canary);
}
