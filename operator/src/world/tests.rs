use super::*;
use crate::labels::Labels;
use crate::seen::{ProbeOwner, Said};
use crate::stages::plan::{Order, Step, plan};
use crate::stages::validate::judge;
use probelet_crds::Origin;
use serde_json::{Value, json};

mod absent;
mod canaries;
mod edits;
mod laws;
mod releases;
mod rollouts;

/// A world with nodes n0, n1, … that alternate between the pools `a` and `b`, not yet leading.
pub(crate) fn world(nodes: usize) -> World {
    let mut world = World::default();
    for at in 0..nodes {
        world.node(node(at, if at % 2 == 0 { "a" } else { "b" }));
    }
    world
}

pub(crate) fn node(at: usize, pool: &str) -> SeenNode {
    let name = format!("n{at}");
    let system = if pool == "windows" { pool } else { "linux" };
    let labels = Labels::new([("kubernetes.io/os", system), ("pool", pool)]);
    SeenNode { uid: format!("u-{name}"), labels, taints: Box::default(), down: false, name }
}

pub(crate) fn config(name: &str, generation: i64, spec: Value) -> Judged {
    let seen = SeenConfig {
        name: name.to_owned(),
        uid: format!("c-{name}"),
        generation,
        created: 0,
        rollout_paused: false,
        spec,
        status: probelet_crds::ProbeConfigStatus::default(),
    };
    judge(seen, None)
}

pub(crate) fn good(generation: i64, hash: &str) -> Said {
    Said {
        anything: true,
        generation,
        hash: hash.into(),
        applied: Some(true),
        within: Some(true),
        ready: Some(true),
        cpu: Some(1_000_000),
        ..Said::default()
    }
}

/// The `NodeProbe` that an order makes.
pub(crate) fn written(order: &Order, generation: i64, said: Said) -> SeenProbe {
    SeenProbe {
        name: order.name.to_string(),
        uid: format!("p-{}-{}", order.name, order.uid),
        generation,
        owner: ProbeOwner::Node(order.uid.clone()),
        origin: order.origin.clone(),
        config: Some(order.content.config.clone()),
        hash: order.content.hash.as_str().into(),
        sound: true,
        said,
    }
}

/// The next node to plan for; statuses are not written here.
pub(crate) fn next_node(world: &mut World, now: Millis) -> Option<NodeId> {
    loop {
        match world.next(now)? {
            Key::Probe(id) => return Some(id),
            key => world.queue.idle(key, now),
        }
    }
}

/// Does everything that is to be done at `now`, agents answering at once; returns the names of the nodes written.
pub(crate) fn settle(world: &mut World, now: Millis) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        world.tick(now);
        let Some(id) = next_node(world, now) else {
            let (configs, mut counts): (Vec<_>, _) =
                (world.configs.ids().collect(), world.counts());
            for id in configs {
                world.complete(id, &counts.remove(&Some(id)).unwrap_or_default());
            }
            return names;
        };
        match plan(world, id, now) {
            Step::Nothing => world.idle(id),
            Step::Later(at) => {
                world.idle(id);
                world.queue.offer_at(Key::Probe(id), at);
            }
            Step::Apply(order) => {
                names.push(order.name.to_string());
                let generation = generation(world, id) + 1;
                let said = good(generation, &order.content.hash);
                world.wrote(id, written(&order, generation, said), now);
            }
            Step::Silent { .. } => world.marked(id),
            Step::Delete { uid, name } => {
                names.push(format!("-{name}"));
                world.deleted(id, &uid, now);
            }
        }
    }
}

fn generation(world: &World, id: NodeId) -> i64 {
    world.node_at(id).and_then(|node| node.probe.as_ref()).map_or(0, |probe| probe.generation)
}

fn counts(world: &World, name: &str) -> Counts {
    of(world, world.configs.find(name))
}

/// The counts of a configuration, or of the nodes that none matches.
fn of(world: &World, config: Option<ConfigId>) -> Counts {
    world.counts().remove(&config).unwrap_or_default()
}

/// What is written about a configuration.
fn status(world: &World, id: ConfigId) -> probelet_crds::ProbeConfigStatus {
    let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    crate::stages::status::status(world, id, &of(world, Some(id)), now).unwrap()
}

/// A leading world in which every node works by `default`.
pub(crate) fn settled(nodes: usize, spec: Value) -> World {
    let mut world = world(nodes);
    world.config(config("default", 1, spec), 0);
    world.lead(0);
    assert_eq!(settle(&mut world, 0).len(), nodes);
    assert_eq!(counts(&world, "default").applied as usize, nodes);
    world
}

#[test]
fn nodes_that_nothing_matches_get_the_built_in_configuration() {
    let mut world = world(2);
    world.lead(0);

    assert_eq!(settle(&mut world, 0), ["n0", "n1"]);
    assert_eq!(of(&world, None).applied, 2);
}

#[test]
fn nothing_is_written_when_all_is_as_it_should_be() {
    let mut world = settled(4, json!({}));

    world.node(node(1, "c"));
    world.lead(1000);

    assert_eq!(settle(&mut world, 1000), Vec::<String>::new());
}

#[test]
fn the_highest_priority_wins_then_the_oldest_then_the_first_by_name() {
    let mut world = settled(4, json!({}));
    let gpu =
        json!({"priority": 10, "nodeSelector": {"matchLabels": {"pool": "b"}}, "jitterPercent": 1});
    world.config(config("gpu", 1, gpu), 1);
    let mut other = config("zz-older", 1, json!({"jitterPercent": 2}));
    other.seen.created = -5;
    world.config(other, 2);

    assert_eq!(counts(&world, "gpu").effective, 2);
    assert_eq!(counts(&world, "zz-older").effective, 2);
    assert_eq!(counts(&world, "zz-older").overridden, 2);
    assert_eq!(counts(&world, "default").effective, 0);
    let oldest = world.configs.find("zz-older").unwrap();
    assert_eq!(counts(&world, "default").conflicts.get(&oldest), Some(&2));
    assert_eq!(counts(&world, "default").overridden, 2);
}

#[test]
fn a_label_moves_one_node_and_no_other() {
    let mut world = settled(4, json!({}));
    let gpu = json!({"priority": 1, "nodeSelector": {"matchLabels": {"pool": "gpu"}}, "jitterPercent": 1});
    world.config(config("gpu", 1, gpu), 1);
    assert_eq!(settle(&mut world, 1), Vec::<String>::new());

    world.node(node(2, "gpu"));

    assert_eq!(settle(&mut world, 2), ["n2"]);
    assert_eq!(counts(&world, "gpu").applied, 1);
    assert_eq!(counts(&world, "default").applied, 3);
}

#[test]
fn an_edit_that_changes_no_content_rewrites_no_node() {
    let mut world = settled(4, json!({}));

    world.config(config("default", 2, json!({"priority": 3, "rollout": {"canaryPercent": 50}})), 1);

    assert_eq!(settle(&mut world, 1), Vec::<String>::new());
    assert_eq!(counts(&world, "default").applied, 4);
}

#[test]
fn a_larger_cluster_rewrites_no_one() {
    let mut world = settled(4, json!({}));

    for at in 4..100 {
        world.node(node(at, "a"));
    }

    assert_eq!(settle(&mut world, 1).len(), 96);
}

#[test]
fn an_edit_by_hand_is_put_right_without_a_token() {
    let mut world = settled(1, json!({"rollout": {"maxNodesPerMinute": 1}}));
    let id = world.nodes.find("n0").unwrap();
    let probe = world.node_at(id).unwrap().probe.clone().unwrap();
    let edited = |owner: ProbeOwner, config: NodeConfig, sound: bool, generation| SeenProbe {
        name: "n0".into(),
        uid: probe.uid.to_string(),
        generation,
        owner,
        origin: probe.origin.as_deref().cloned(),
        config: Some(config),
        hash: probe.hash.clone(),
        sound,
        said: probe.said.clone(),
    };
    let ours = probe.content.as_ref().unwrap().config.clone();
    let paused = NodeConfig { paused: true, ..ours.clone() };

    // Under our own word for something else.
    world.probe(edited(probe.owner.clone(), paused.clone(), true, 2), 1);
    assert_eq!(settle(&mut world, 1), ["n0"]);
    world.probe(edited(probe.owner.clone(), paused, false, 5), 1);
    assert_eq!(settle(&mut world, 1), ["n0"]);
    world.probe(edited(ProbeOwner::NoOne, ours, true, 9), 2);
    assert_eq!(settle(&mut world, 2), ["n0"]);
}

#[test]
fn a_node_made_fresh_under_its_name_gets_a_new_node_probe() {
    let mut world = settled(2, json!({}));

    world.node(SeenNode { uid: "another".into(), ..node(0, "a") });

    assert_eq!(settle(&mut world, 1), ["-n0", "n0"]);
}

#[test]
fn an_orphan_is_swept_when_kubernetes_did_not() {
    let mut world = settled(2, json!({}));

    world.node_gone("n0", 1000);

    assert_eq!(settle(&mut world, 1000), Vec::<String>::new());
    assert_eq!(settle(&mut world, 31_000), ["-n0"]);
    assert_eq!(world.names(), 1);
}

#[test]
fn a_node_that_comes_back_at_once_waits_for_no_sweep() {
    let mut world = settled(2, json!({}));
    world.node_gone("n0", 1000);
    assert_eq!(settle(&mut world, 1000), Vec::<String>::new());

    world.tick(2000);
    world.node(SeenNode { uid: "another".into(), ..node(0, "a") });

    assert_eq!(settle(&mut world, 2000), ["-n0", "n0"]);
}

#[test]
fn an_empty_list_of_nodes_sweeps_nothing() {
    let mut world = settled(2, json!({}));

    world.list_begins(Kind::Nodes);
    world.list_ends(Kind::Nodes, 1000);

    assert_eq!(settle(&mut world, 100_000), Vec::<String>::new());
    assert_eq!(world.names(), 2);
}

#[test]
fn a_bad_edit_leaves_the_last_good_content_in_force() {
    let mut world = settled(2, json!({"jitterPercent": 7}));

    world.config(config("default", 2, json!({"jitterPercent": 99})), 1);

    assert_eq!(settle(&mut world, 1), Vec::<String>::new());
    assert!(world.config_named("default").unwrap().rejected.is_some());
    assert_eq!(counts(&world, "default").applied, 2);
}

#[test]
fn after_a_restart_a_bad_configuration_leaves_its_nodes_as_they_are() {
    let mut before = settled(2, json!({"jitterPercent": 7}));
    let probes: Vec<SeenProbe> = before.nodes.iter().map(|(_, node)| probe_of(node)).collect();
    before.lead(0);
    let mut after = world(3);
    for probe in probes {
        after.probe(probe, 0);
    }
    after.config(config("default", 2, json!({"fromTheFuture": true})), 0);
    after.lead(0);

    // The third node never had it: it gets the built-in one.
    assert_eq!(settle(&mut after, 0), ["n2"]);
    assert_eq!(counts(&after, "default").effective, 2);
    assert_eq!(of(&after, None).effective, 1);
}

pub(crate) fn probe_of(node: &Node) -> SeenProbe {
    let probe = node.probe.clone().unwrap();
    SeenProbe {
        name: node.name.to_string(),
        uid: probe.uid.to_string(),
        generation: probe.generation,
        owner: probe.owner,
        origin: probe.origin.as_deref().cloned(),
        config: probe.content.map(|content| content.config.clone()),
        hash: probe.hash,
        sound: probe.sound,
        said: probe.said,
    }
}

/// A node that got its configuration at the beginning, and the order for it; its agent has said nothing.
fn unanswered() -> (World, Box<Order>) {
    let mut world = world(1);
    world.config(config("default", 1, json!({})), 0);
    world.lead(0);
    let id = next_node(&mut world, 0).unwrap();
    let Step::Apply(order) = plan(&world, id, 0) else { panic!() };
    world.wrote(id, written(&order, 1, Said::default()), 0);
    (world, order)
}

#[test]
fn an_agent_that_never_answers_is_silent_after_five_minutes() {
    let (mut world, order) = unanswered();

    world.tick(299_999);
    assert_eq!(counts(&world, "default").silent, 0);
    world.tick(300_000);
    assert_eq!(counts(&world, "default").silent, 1);

    world.probe(written(&order, 1, good(1, &order.content.hash)), 300_001);
    assert_eq!((counts(&world, "default").silent, counts(&world, "default").applied), (0, 1));
}

#[test]
fn the_answer_to_a_write_may_overtake_the_watch() {
    let mut world = settled(1, json!({}));
    let id = world.nodes.find("n0").unwrap();
    let old = probe_of(world.node_at(id).unwrap());
    world.config(config("default", 2, json!({"jitterPercent": 3})), 1);
    settle(&mut world, 1);

    world.probe(old, 2);

    assert_eq!(settle(&mut world, 2), Vec::<String>::new());
}

#[test]
fn the_most_expensive_agents_and_the_99th_percentile_are_known() {
    let mut world = settled(200, json!({}));
    for at in 0..200 {
        canaries::says(&mut world, &format!("n{at}"), 1, |said| said.cpu = Some(at + 1));
    }

    let counts = counts(&world, "default");

    assert_eq!(counts.cpu, 20_100);
    assert_eq!(counts.cpu_p99(), Some(198));
    assert_eq!(counts.by_cpu[0], (200, world.nodes.find("n199").unwrap()));
}

#[test]
fn who_has_been_bad_for_longest_is_named_first_and_keeps_its_place() {
    let mut world = settled(9, json!({}));
    let exceeds = |said: &mut Said| (said.within, said.cpu) = (Some(false), Some(7));
    for (now, name) in ["n7", "n1", "n5"].into_iter().enumerate() {
        canaries::says(&mut world, name, now as Millis, exceeds);
    }

    canaries::says(&mut world, "n7", 9, |said| said.cpu = Some(9));
    canaries::says(&mut world, "n1", 9, |said| said.within = Some(true));
    canaries::says(&mut world, "n1", 9, exceeds);

    let failures = status(&world, 0).failures;
    assert_eq!(failures.iter().map(|f| &*f.node).collect::<Vec<_>>(), ["n7", "n5", "n1"]);
}

#[test]
fn an_edit_that_no_agent_notices_does_not_hide_one_that_never_answered() {
    let (mut world, _) = unanswered();

    world.config(config("default", 2, json!({"priority": 3})), 200_000);
    world.tick(300_000);

    assert_eq!(counts(&world, "default").silent, 1);
}

#[test]
fn a_configuration_made_fresh_is_another_one() {
    let mut world = settled(1, json!({}));
    let mut fresh = config("default", 1, json!({}));
    fresh.seen.uid = "another".into();

    world.config(fresh, 1);

    assert_eq!(settle(&mut world, 1), ["n0"]);
    let id = world.nodes.find("n0").unwrap();
    let origin = world.node_at(id).unwrap().probe.as_ref().unwrap().origin.clone().unwrap();
    assert_eq!(*origin, Origin { name: "default".into(), uid: "another".into(), generation: 1 });
}

#[test]
fn what_a_list_names_is_as_it_says_though_a_backup_of_etcd_put_it_back() {
    let mut world = settled(1, json!({}));
    world.config(config("default", 2, json!({"budget": {"cpu": "9m"}})), 1);
    assert_eq!(settle(&mut world, 1), ["n0"]);
    world.config(config("default", 1, json!({})), 2);
    assert_eq!(settle(&mut world, 2), Vec::<String>::new(), "the watch may be late");
    let id = world.nodes.find("n0").unwrap();
    let now = world.node_at(id).unwrap().probe.clone().unwrap();
    let back = SeenProbe {
        name: "n0".to_owned(),
        uid: now.uid.to_string(),
        generation: 1,
        owner: now.owner,
        origin: None,
        config: Some(probelet_crds::NodeConfig::default()),
        hash: "of-the-backup".into(),
        sound: true,
        said: good(1, "of-the-backup"),
    };

    for kind in [Kind::Configs, Kind::Probes] {
        world.list_begins(kind);
        match kind {
            Kind::Configs => world.config(config("default", 1, json!({})), 3),
            _ => world.probe(back.clone(), 3),
        }
        world.list_ends(kind, 3);
    }

    let force = world.config_named("default").unwrap().force.as_ref().unwrap();
    assert_eq!(force.generation, 1);
    let probe = world.node_at(id).unwrap().probe.as_ref().unwrap();
    assert_eq!((probe.generation, &*probe.hash), (1, "of-the-backup"));
    assert_eq!(settle(&mut world, 3), ["n0"], "it is written again");
}
