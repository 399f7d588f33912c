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
pub(super) fn hold(world: &mut World, generation: i64, spec: Value, paused: bool, now: Millis) {
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

/// What a successor sees of this world.
pub(super) fn successor(world: &World) -> World {
    successor_with(world, |_| {})
}

/// The same, where configurations were changed meanwhile.
pub(super) fn successor_with(world: &World, change: impl Fn(&mut Judged)) -> World {
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
