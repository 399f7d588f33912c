//! Whatever happens in whatever order, who wins where and what is counted of it is as in a world that was given only how
//! things ended.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Change {
    Node(usize, u8),
    NodeGone(usize),
    Probe(usize, usize, u8),
    ProbeGone(usize),
    Config(usize, i32, u8, i32),
    ConfigGone(usize),
    Work,
    Relist,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..8_usize, 0..4_u8).prop_map(|(at, pool)| Change::Node(at, pool)),
        1 => (0..8_usize).prop_map(Change::NodeGone),
        4 => (0..8_usize, 0..4_usize, 0..32_u8).prop_map(|(at, by, bits)| Change::Probe(at, by, bits)),
        1 => (0..8_usize).prop_map(Change::ProbeGone),
        3 => (0..4_usize, 0..3_i32, 0..4_u8, 0..3_i32).prop_map(|(c, p, s, j)| Change::Config(c, p, s, j)),
        1 => (0..4_usize).prop_map(Change::ConfigGone),
        1 => Just(Change::Work),
        1 => Just(Change::Relist),
    ]
}

const POOLS: [&str; 4] = ["a", "b", "c", "windows"];

fn spec(priority: i32, pool: u8, jitter: i32) -> Value {
    let selector = match POOLS[..3].get(usize::from(pool)) {
        Some(pool) => json!({"matchLabels": {"pool": pool}}),
        None => json!({}),
    };
    json!({"priority": priority, "nodeSelector": selector, "jitterPercent": jitter})
}

/// A `NodeProbe` that carries jitter `bits & 3` by order of some configuration.
fn probe(at: usize, by: usize, bits: u8, generation: i64) -> SeenProbe {
    let config = NodeConfig { jitter_percent: i32::from(bits & 3), ..NodeConfig::default() };
    let said = Said {
        applied: Some(bits & 4 == 0),
        within: Some(bits & 8 == 0),
        cpu: Some(u64::from(bits)),
        generation: generation - i64::from(bits & 16 != 0),
        ..good(generation, &config.hash())
    };
    SeenProbe {
        name: format!("n{at}"),
        uid: format!("p-n{at}"),
        generation,
        owner: ProbeOwner::Node(format!("u-n{at}").into()),
        origin: Some(Origin { name: format!("c{by}"), uid: format!("c-c{by}"), generation: 1 }),
        hash: config.hash().into(),
        config: Some(config),
        sound: true,
        said,
    }
}

/// How things ended.
#[derive(Default)]
struct End {
    nodes: BTreeMap<usize, u8>,
    probes: BTreeMap<String, SeenProbe>,
    configs: BTreeMap<usize, Judged>,
}

impl End {
    fn tell(&self, world: &mut World) {
        for seen in self.configs.values() {
            world.config(seen.clone(), 0);
        }
        for (&at, &pool) in &self.nodes {
            world.node(node(at, POOLS[usize::from(pool)]));
        }
        for seen in self.probes.values() {
            world.probe(seen.clone(), 0);
        }
    }
}

/// By configuration: figures that do not depend on places in tables or on when things happened.
fn summary(world: &World) -> Vec<String> {
    let show = |name: &str, counts: &Counts| {
        let conflicts =
            counts.conflicts.iter().map(|(&id, n)| (&*world.configs.get(id).unwrap().name, n));
        let conflicts: BTreeMap<_, _> = conflicts.collect();
        let Counts {
            matched,
            effective,
            overridden,
            applied,
            pending,
            failed,
            assigned,
            over_budget,
            absent,
            ..
        } = counts;
        let bad: Vec<&str> = {
            let mut names: Vec<_> =
                counts.bad().map(|id| &*world.nodes.get(id).unwrap().name).collect();
            names.sort_unstable();
            names
        };
        let worst: Vec<u64> = counts.by_cpu.iter().map(|(cpu, _)| *cpu).collect();
        let cpu = (counts.cpu, counts.cpu_p99());
        format!(
            "{name} {matched} {effective} {overridden} {applied} {pending} {failed} {assigned} {over_budget} {absent} {conflicts:?} {bad:?} {worst:?} {cpu:?}"
        )
    };
    let mut lines = vec![show("", &of(world, None))];
    lines.extend(world.configs.iter().map(|(id, c)| show(&c.name, &of(world, Some(id)))));
    let names = world.nodes.len();
    lines.push(format!("{} nodes, {} absent, {names} names", world.present, world.absent));
    lines
}

fn apply(world: &mut World, end: &mut End, change: &Change, generation: i64) {
    match *change {
        Change::Node(at, pool) => {
            end.nodes.insert(at, pool);
            world.node(node(at, POOLS[usize::from(pool)]));
        }
        Change::NodeGone(at) => {
            end.nodes.remove(&at);
            world.node_gone(&format!("n{at}"), 0);
        }
        Change::Probe(at, by, bits) => {
            let seen = probe(at, by, bits, generation);
            end.probes.insert(seen.name.clone(), seen.clone());
            world.probe(seen, 0);
        }
        Change::ProbeGone(at) => {
            end.probes.remove(&format!("n{at}"));
            world.probe_gone(&format!("n{at}"), None, 0);
        }
        Change::Config(c, priority, pool, jitter) => {
            let seen = config(&format!("c{c}"), generation, spec(priority, pool, jitter));
            end.configs.insert(c, seen.clone());
            world.config(seen, 0);
        }
        Change::ConfigGone(c) => {
            end.configs.remove(&c);
            world.config_gone(&format!("c{c}"));
        }
        Change::Work => {
            world.lead(0);
            settle(world, 0);
            end.probes = world
                .nodes
                .iter()
                .filter(|(_, node)| node.probe.is_some())
                .map(|(_, node)| (node.name.to_string(), probe_of(node)))
                .collect();
        }
        Change::Relist => {
            for kind in Kind::ALL {
                world.list_begins(kind);
            }
            end.tell(world);
            for kind in Kind::ALL {
                world.list_ends(kind, 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_world_is_what_it_was_given_in_whatever_order(
        changes in prop::collection::vec(change(), 1..60)
    ) {
        let (mut world, mut end) = (World::default(), End::default());
        for (change, generation) in changes.iter().zip(1..) {
            apply(&mut world, &mut end, change, generation);
            let mut fresh = World::default();
            end.tell(&mut fresh);
            prop_assert_eq!(summary(&world), summary(&fresh), "{:?}", change);
        }
    }

    #[test]
    fn once_everything_is_written_nothing_is_left_to_write(
        changes in prop::collection::vec(change(), 1..60)
    ) {
        let (mut world, mut end) = (World::default(), End::default());
        for (change, generation) in changes.iter().zip(1..) {
            apply(&mut world, &mut end, change, generation);
        }
        world.lead(0);
        settle(&mut world, 600_000);
        settle(&mut world, 1_200_000);

        prop_assert_eq!(world.queue.nodes(), 0);
        world.lead(1_200_000);
        prop_assert_eq!(settle(&mut world, 1_200_000), Vec::<String>::new());
    }
}
