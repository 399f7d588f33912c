//! Nodes without an agent, and agents that are not heard of any more.

use super::*;
use crate::placement::Placement;

/// The agents are wanted on one pool only.
fn pool(name: &str) -> Placement {
    let template = json!({"nodeSelector": {"pool": name}, "tolerations": [{"operator": "Exists"}]});
    Placement::of(&json!({"template": {"spec": template}})).unwrap()
}

#[test]
fn a_node_that_can_have_no_agent_is_assigned_nothing_and_counted_as_absent_only() {
    let mut world = world(2);
    world.node(node(7, "windows"));
    world.config(config("default", 1, json!({})), 0);
    world.lead(0);

    assert_eq!(settle(&mut world, 0), ["n0", "n1"]);
    world.tick(3_000_000);
    let counts = counts(&world, "default");
    assert_eq!((counts.matched, counts.effective, counts.applied), (2, 2, 2));
    assert_eq!((counts.absent, world.wanted(), world.present()), (1, 2, 3));
}

#[test]
fn where_the_daemonset_wants_no_agent_any_more_no_one_is_waited_for() {
    let mut world = settled(4, json!({}));

    world.placement(pool("a"), 1000);

    assert_eq!(settle(&mut world, 1000), Vec::<String>::new());
    assert_eq!((counts(&world, "default").effective, counts(&world, "default").absent), (2, 2));
    // An agent that is on its way out may still write.
    assert_eq!(settle(&mut world, 30_999), Vec::<String>::new());
    let mut gone = settle(&mut world, 31_000);
    gone.sort();
    assert_eq!(gone, ["-n1", "-n3"]);
    world.placement(pool("b"), 40_000);
    let mut assigned = settle(&mut world, 40_000);
    assigned.sort();
    assert_eq!(assigned, ["n1", "n3"]);
    assert_eq!(counts(&world, "default").applied, 2);
}

#[test]
fn a_label_takes_a_node_from_the_agents_and_gives_it_back() {
    let mut world = settled(2, json!({}));
    world.placement(pool("a"), 0);
    assert_eq!(counts(&world, "default").effective, 1);

    world.node(node(1, "a"));
    settle(&mut world, 10);
    assert_eq!((counts(&world, "default").applied, counts(&world, "default").absent), (2, 0));
    world.node(node(0, "b"));
    world.node_gone("n0", 20);
    assert_eq!((counts(&world, "default").effective, counts(&world, "default").absent), (1, 0));
}

#[test]
fn a_node_is_chosen_by_its_name() {
    let mut world = settled(4, json!({}));
    let one = json!({"priority": 9, "paused": true, "nodeNames": ["n2", "elsewhere"]});

    world.config(config("paused-n2", 1, one.clone()), 1);

    assert_eq!(settle(&mut world, 1), ["n2"]);
    assert_eq!(counts(&world, "paused-n2").effective, 1);
    let mut both = one;
    both["nodeSelector"] = json!({"matchLabels": {"pool": "b"}});
    world.config(config("paused-n2", 2, both), 2);
    assert_eq!(settle(&mut world, 2), ["n2"], "a name is not enough");
    assert_eq!(counts(&world, "paused-n2").effective, 0);
}

/// The world's agents say the same again, one word later.
fn report(world: &mut World, name: &str, beat: &str, now: Millis) {
    let node = world.node_at(world.nodes.find(name).unwrap()).unwrap();
    let mut seen = probe_of(node);
    (seen.said.beat, seen.said.marked) = (beat.into(), false);
    world.probe(seen, now);
}

fn silenced(world: &mut World, now: Millis) -> Vec<String> {
    let mut names = Vec::new();
    world.tick(now);
    while let Some(id) = next_node(world, now) {
        match plan(world, id, now) {
            Step::Silent { name, .. } => {
                names.push(name.to_string());
                world.marked(id);
            }
            Step::Nothing => world.idle(id),
            other => panic!("{other:?}"),
        }
    }
    names
}

#[test]
fn an_agent_that_is_not_heard_of_is_silent_once_and_until_it_speaks() {
    let mut world = settled(2, json!({}));
    let horizon = 600 * 1500 + 60_000;
    report(&mut world, "n1", "later", horizon / 2);

    assert_eq!(silenced(&mut world, horizon - 1), Vec::<String>::new());
    assert_eq!(silenced(&mut world, horizon), ["n0"]);
    assert_eq!(silenced(&mut world, horizon + 60_000), Vec::<String>::new());
    assert_eq!((counts(&world, "default").unheard, counts(&world, "default").applied), (1, 2));

    report(&mut world, "n0", "again", horizon + 70_000);
    assert_eq!(counts(&world, "default").unheard, 0);
    assert_eq!(silenced(&mut world, horizon + horizon / 2), ["n1"]);
}

#[test]
fn our_own_word_that_an_agent_is_silent_is_no_sign_of_life() {
    let mut world = settled(1, json!({}));
    let horizon = 600 * 1500 + 60_000;
    assert_eq!(silenced(&mut world, horizon), ["n0"]);

    let mut seen = probe_of(world.node_at(world.nodes.find("n0").unwrap()).unwrap());
    (seen.said.marked, seen.said.ready) = (true, None);
    world.probe(seen.clone(), horizon + 1);

    assert_eq!(counts(&world, "default").unheard, 1);
    // Nor is it for a successor that finds it.
    let mut next = super::world(1);
    next.config(config("default", 1, json!({})), 0);
    next.probe(seen, 0);
    next.lead(0);
    assert_eq!(settle(&mut next, 0), Vec::<String>::new());
    assert!(!next.node_at(next.nodes.find("n0").unwrap()).unwrap().is_alive(0));
}

#[test]
fn while_no_one_can_be_heard_no_one_is_silent() {
    let mut world = settled(1, json!({}));
    let horizon = 600 * 1500 + 60_000;
    world.broken = Some(horizon);

    assert_eq!(silenced(&mut world, horizon), Vec::<String>::new());
    world.broken = None;
    assert_eq!(silenced(&mut world, horizon + 1000), Vec::<String>::new());
    assert_eq!(silenced(&mut world, 2 * horizon), ["n0"]);
}

#[test]
fn a_watch_that_broke_once_and_has_nothing_to_say_hides_no_silence_for_ever() {
    let mut world = settled(1, json!({}));
    let horizon = 600 * 1500 + 60_000;

    // All agents are dead, and the watch goes on where it was without a word.
    world.broken = Some(horizon - 1000);

    assert_eq!(silenced(&mut world, horizon), Vec::<String>::new());
    assert_eq!(silenced(&mut world, 2 * horizon), ["n0"]);
}
