//! Canaries to whom something else happens than the change: only what the change did counts.

use super::rollouts::{assigned, canary, edit, jitter, phase, successor};
use super::*;
use crate::rollout::Stage;
use probelet_crds::Phase;

/// A hundred nodes, five of which try an edit.
fn trying() -> World {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    assert_eq!(settle(&mut world, 5).len(), 5);
    world
}

fn canaries(world: &World) -> Vec<String> {
    let rollout = world.config_named("default").unwrap().rollout.as_ref().unwrap();
    let watched = world.nodes.iter().filter(|(id, _)| rollout.watches(*id));
    watched.map(|(_, node)| node.name.to_string()).collect()
}

/// An agent says something else of its node.
pub(super) fn says(world: &mut World, name: &str, now: Millis, change: impl Fn(&mut Said)) {
    let node = world.node_at(world.nodes.find(name).unwrap()).unwrap();
    let mut seen = probe_of(node);
    change(&mut seen.said);
    world.probe(seen, now);
}

fn exceeds(said: &mut Said) {
    (said.within, said.reason) = (Some(false), "Exceeded".into());
}

#[test]
fn a_canary_whose_node_is_gone_is_replaced() {
    let mut world = trying();
    let name = canary(&world);

    world.node_gone(&name, 1000);

    let written = settle(&mut world, 1000);
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(canaries(&world).len(), 5);
    assert!(canaries(&world).contains(&written[0]) && !canaries(&world).contains(&name));
    assert_eq!(settle(&mut world, 10_999), Vec::<String>::new(), "the new one is watched as long");
    assert_eq!(settle(&mut world, 11_000).len(), 94);
}

#[test]
fn canaries_that_all_go_do_not_let_the_rest_follow_untried() {
    let mut world = trying();

    for name in canaries(&world) {
        world.node_gone(&name, 1000);
    }

    assert_eq!(settle(&mut world, 1000).len(), 5);
    assert_eq!((canaries(&world).len(), phase(&world)), (5, Phase::Canary));
}

#[test]
fn a_canary_whose_machine_goes_down_is_replaced_and_not_held_against_the_change() {
    let mut world = trying();
    let name = canary(&world);
    let at: usize = name[1..].parse().unwrap();

    let pool = if at.is_multiple_of(2) { "a" } else { "b" };
    world.node(SeenNode { down: true, ..node(at, pool) });

    assert_eq!(settle(&mut world, 1000).len(), 1);
    assert!(!canaries(&world).contains(&name));
    assert_eq!(settle(&mut world, 11_000).len(), 94);
    assert_eq!(jitter(&world, &name), 1);
}

#[test]
fn a_canary_that_another_configuration_takes_over_is_replaced() {
    let mut world = trying();
    let name = canary(&world);

    let pause = json!({"priority": 1000, "paused": true, "nodeNames": [name.clone()]});
    world.config(config("paused", 1, pause), 1000);

    let written = settle(&mut world, 1000);
    assert_eq!(written.len(), 2, "{written:?}: the pause and another canary");
    assert_eq!(canaries(&world).len(), 5);
    assert!(!canaries(&world).contains(&name));
}

#[test]
fn a_canary_whose_agent_is_upgraded_meanwhile_fails_nothing() {
    let mut world = trying();
    let name = canary(&world);

    // As `Said` reads "Stopping", and then what a new process says at first.
    says(&mut world, &name, 1000, |said| (said.ready, said.beat) = (None, "bye".into()));
    says(&mut world, &name, 2000, |said| (said.within, said.beat) = (None, "hello".into()));

    assert!(world.tick(2000).is_empty());
    assert_eq!(settle(&mut world, 20_000).len(), 95);
}

#[test]
fn agents_that_were_silent_unwell_or_down_before_are_not_chosen_while_there_are_others() {
    let mut world = settled(20, json!({"rollout": {"canaryPercent": 50}}));
    for at in 0..4 {
        says(&mut world, &format!("n{at}"), 1, exceeds);
    }
    for at in 4..8_usize {
        says(&mut world, &format!("n{at}"), 1, |said| said.marked = true);
        let pool = if at.is_multiple_of(2) { "a" } else { "b" };
        world.node(SeenNode { down: true, ..node(at + 4, pool) });
    }

    edit(&mut world, 2, json!({"jitterPercent": 1, "rollout": {"canaryPercent": 50}}), 5);

    settle(&mut world, 5);
    let chosen = canaries(&world);
    assert_eq!(chosen.len(), 10);
    for at in 12..20 {
        assert!(chosen.contains(&format!("n{at}")), "{chosen:?}");
    }
    // Two more were needed: those over their budget, who can only refuse.
    assert!(!chosen.iter().any(|name| ["n4", "n5", "n6", "n7", "n8"].contains(&name.as_str())));
}

#[test]
fn while_the_api_server_is_away_no_canary_is_late() {
    let mut world = settled(100, json!({}));
    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);
    // They are assigned, and their answers are lost.
    while let Some(id) = next_node(&mut world, 5) {
        match plan(&world, id, 5) {
            Step::Apply(order) => {
                let said = Said { anything: true, ..Said::default() };
                world.wrote(id, written(&order, 2, said), 5);
            }
            _ => world.idle(id),
        }
    }
    assert_eq!(assigned(&world), 5);
    world.broken = Some(600_000);

    assert!(world.tick(600_000).is_empty());
    world.broken = None;
    assert!(world.tick(719_999).is_empty());
    assert_eq!(phase(&world), Phase::Canary);
    assert_eq!(world.tick(720_000).len(), 1, "then silence counts again");
}

/// Assigns what waits, and no agent answers.
fn assigns_without_answers(world: &mut World, now: Millis) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(id) = next_node(world, now) {
        match plan(world, id, now) {
            Step::Apply(order) => {
                names.push(order.name.to_string());
                let said = world.node_at(id).unwrap().probe.as_ref().unwrap().said.clone();
                world.wrote(id, written(&order, 2, said), now);
            }
            step => {
                assert!(!matches!(step, Step::Silent { .. }), "{step:?}");
                world.idle(id);
            }
        }
    }
    names
}

#[test]
fn canaries_that_fall_silent_with_the_change_stop_it() {
    let spec =
        |jitter: i32| json!({"jitterPercent": jitter, "reporting": {"refreshInterval": "1m"}});
    let mut world = settled(100, spec(10));
    edit(&mut world, 2, spec(1), 60_000);
    let tried = assigns_without_answers(&mut world, 60_000);
    assert_eq!(tried.len(), 5);
    let others: Vec<String> = (0..100).map(|at| format!("n{at}")).collect();
    for name in others.iter().filter(|name| !tried.contains(name)) {
        says(&mut world, name, 100_000, |said| said.beat = "1".into());
    }

    // An agent would have been heard of by 150 s.
    assert!(world.tick(179_999).is_empty());
    assert_eq!(canaries(&world).len(), 5);
    assert!(tried.iter().all(|name| canaries(&world).contains(name)));
    assert_eq!(world.tick(180_000).len(), 1);
    assert_eq!(phase(&world), Phase::RolledBack);
}

#[test]
fn a_shorter_interval_makes_no_one_silent_who_cannot_know_of_it_yet() {
    let spec = |interval: &str| json!({"reporting": {"refreshInterval": interval}});
    let mut world = settled(100, spec("10m"));

    edit(&mut world, 2, spec("1m"), 600_000);
    let tried = assigns_without_answers(&mut world, 600_000);
    world.tick(600_001);

    assert_eq!(assigns_without_answers(&mut world, 600_001), Vec::<String>::new());
    assert_eq!((tried.len(), canaries(&world).len()), (5, 5));
    assert!(tried.iter().all(|name| canaries(&world).contains(name)));
}

#[test]
fn canaries_that_could_not_be_assigned_are_not_late() {
    let mut world = settled(100, json!({}));

    edit(&mut world, 2, json!({"jitterPercent": 1}), 5);

    // The API server refuses the writes.
    assert!(world.tick(600_000).is_empty());
    assert_eq!(phase(&world), Phase::Canary);
}

#[test]
fn what_a_first_edit_did_to_a_canary_is_no_excuse_for_a_second_one() {
    let mut world = settled(20, json!({"rollout": {"canaryPercent": 100}}));
    let spec = |jitter: i32| json!({"jitterPercent": jitter, "rollout": {"canaryPercent": 100}});
    edit(&mut world, 2, spec(1), 5);
    settle(&mut world, 5);
    // Over its budget by the first edit, which is replaced before it is judged.
    says(&mut world, "n3", 6, exceeds);

    edit(&mut world, 3, spec(2), 7);
    settle(&mut world, 7);
    says(&mut world, "n3", 8, exceeds);

    assert_eq!(world.tick(9).len(), 1);
    assert_eq!(phase(&world), Phase::RolledBack);
}

#[test]
fn a_successor_holds_against_a_change_what_it_did_before() {
    let mut world = trying();
    let name = canary(&world);
    says(&mut world, &name, 6, exceeds);

    let mut next = successor(&world);
    next.lead(0);

    assert_eq!(next.tick(0).len(), 1);
    assert_eq!(phase(&next), Phase::RolledBack);
}

#[test]
fn a_successor_assigns_no_further_canary_because_some_fell_silent() {
    let mut world = trying();
    let names = canaries(&world);
    says(&mut world, &names[0], 6, |said| said.marked = true);

    let mut next = successor(&world);
    next.lead(0);

    assert_eq!((settle(&mut next, 0), canaries(&next)), (Vec::new(), names));
}

/// A canary is over its budget, and stays so or not once the change is taken back.
fn taken_back(recovers: bool) -> World {
    let mut world = trying();
    let name = canary(&world);
    says(&mut world, &name, 6, exceeds);
    assert_eq!(world.tick(7).len(), 1);
    assert_eq!(settle(&mut world, 7).len(), 5);
    assert_eq!((assigned(&world), phase(&world)), (0, Phase::RolledBack));
    if !recovers {
        // A pod on it means to stop every change.
        says(&mut world, &name, 8, exceeds);
    }
    settle(&mut world, 10);
    world
}

#[test]
fn a_canary_that_is_no_better_off_without_the_change_does_not_stop_it_for_ever() {
    let mut world = taken_back(false);
    let Stage::RolledBack { why, .. } =
        &world.config_named("default").unwrap().rollout.as_ref().unwrap().stage
    else {
        panic!()
    };
    let name = why.split(' ').next().unwrap().to_owned();
    assert_eq!(settle(&mut world, 200_000), Vec::<String>::new());

    let tried = settle(&mut world, 210_010);

    assert_eq!(tried.len(), 5);
    assert!(!tried.contains(&name), "{name} of {tried:?}");
    assert_eq!(phase(&world), Phase::Canary);
    assert_eq!(settle(&mut world, 220_010).len(), 95);
    assert_eq!(phase(&world), Phase::Complete);
}

#[test]
fn a_canary_that_is_well_again_without_the_change_has_shown_what_it_does() {
    let mut world = taken_back(true);

    assert_eq!(settle(&mut world, 500_000), Vec::<String>::new());
    assert_eq!((assigned(&world), phase(&world)), (0, Phase::RolledBack));
}

#[test]
fn the_clocks_of_agents_decide_nothing() {
    let mut world = trying();

    for (at, name) in canaries(&world).iter().enumerate() {
        let beat =
            if at.is_multiple_of(2) { "1970-01-01T00:00:00Z" } else { "2150-01-01T00:00:00Z" };
        says(&mut world, name, 1000, |said| said.beat = beat.into());
    }

    assert_eq!(settle(&mut world, 10_005).len(), 95);
}
