//! No output of the operator holds a control byte but the end of a line: statuses, events and metrics, of a cluster in which
//! agents, webhooks and people say what they like. The log has a test of its own beside its set-up.

use k8s_openapi::jiff::Timestamp;
use kube::core::Status;
use probelet_crds::ProbeConfigStatus;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::events;
use crate::metrics::{Figures, Metrics};
use crate::queue::Key;
use crate::seen::{SeenConfig, SeenNode, SeenProbe};
use crate::stages::apply::{Error, sort};
use crate::stages::observe::{RawConfig, RawNode, RawProbe};
use crate::stages::plan::{Step, plan};
use crate::stages::status::status;
use crate::stages::validate::judge;
use crate::world::World;

/// What others call things.
fn odd() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\u{1b}]0;owned\u{7}".to_owned()),
        Just("\u{9b}2J".to_owned()),
        Just("\u{2028}kind: List #".to_owned()),
        Just("\r\t\u{0}\u{7f}\u{85}\u{202e}".to_owned()),
        Just("\"} 1\nforged 2\n# ".to_owned()),
        "[a-z]{1,8}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn acts(c: char) -> bool {
    c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)
}

/// All texts within a value.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push(key.clone());
            texts(value, into);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A cluster of eight nodes: on some the agent refuses or needs too much, on one the API server refuses what we write.
fn cluster(text: &dyn Fn() -> String) -> World {
    let mut world = World::default();
    for at in 0..8 {
        let raw: RawNode =
            read(json!({"metadata": {"name": format!("n{at}{}", text()), "uid": format!("u{at}"),
            "labels": {"kubernetes.io/os": "linux", text(): text()}},
            "spec": {"taints": [{"key": text(), "value": text(), "effect": "PreferNoSchedule"}]}}));
        world.node(SeenNode::of(raw).unwrap());
    }
    let specs = [
        json!({"rollout": {"canaryPercent": 0}}),
        json!({text(): text()}),
        json!({"source": text(), "budget": {"cpu": text()}, "priority": 3}),
        json!({"priority": 2, "nodeSelector": {"matchLabels": {text(): text()}}}),
        json!({"priority": 1, "nodeNames": [text()]}),
    ];
    for (at, spec) in specs.into_iter().enumerate() {
        let name = if at == 0 { "default".to_owned() } else { format!("c{at}{}", text()) };
        let raw: RawConfig =
            read(json!({"metadata": {"name": name, "uid": format!("c{at}"), "generation": 1,
            "annotations": {"probelet.io/rollout": text()}}, "spec": spec, "status": {}}));
        world.config(judge(SeenConfig::of(raw).unwrap(), None), 0);
    }
    world.lead(0);
    let mut at = 0;
    while let Some(key) = world.next(0) {
        let Key::Probe(id) = key else {
            world.queue.idle(key, 0);
            continue;
        };
        at += 1;
        match plan(&world, id, 0) {
            Step::Apply(_) if at % 4 == 3 => {
                let status = Status::failure(&text(), "Forbidden").with_code(403).boxed();
                let Error::Refused(why) = sort(&kube::Error::Api(status)) else { panic!() };
                world.failed(id, Some(&why), 1_000_000, 0, 0);
            }
            Step::Apply(order) => {
                let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": text(), "message": text()});
                let applied = if at % 2 == 0 { "False" } else { "True" };
                let said = json!({"observedGeneration": 1, "appliedConfigHash": order.content.hash,
                    "lastReport": text(), "agent": {"version": text(), "cpu": text()},
                    "conditions": [condition("ConfigApplied", applied), condition("WithinBudget", "False"),
                        condition("Ready", "False"), condition(&text(), &text())]});
                let raw: RawProbe = read(json!({
                    "metadata": {"name": &*order.name, "uid": format!("p{at}"), "generation": 1,
                        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": &*order.name, "uid": &*order.uid}]},
                    "spec": {"origin": order.origin, "config": order.content.config, "hash": order.content.hash,
                        "clusterSize": 8},
                    "status": said}));
                world.wrote(id, SeenProbe::of(raw).unwrap(), 0);
            }
            _ => world.idle(id),
        }
    }
    world.tick(400_000);
    world
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn no_output_moves_a_cursor(all in prop::collection::vec(odd(), 7..40)) {
        let next = std::cell::Cell::new(0);
        let text = || {
            next.set(next.get() + 1);
            all[next.get() % all.len()].clone()
        };
        let world = cluster(&text);
        let (mut shown, mut bad) = (Vec::new(), 0);
        let counts = world.counts();
        for (id, config) in world.all_configs() {
            let counts = counts.get(&Some(id)).cloned().unwrap_or_default();
            let status = status(&world, id, &counts, Timestamp::UNIX_EPOCH).unwrap();
            bad += status.failures.len();
            texts(&serde_json::to_value(&status).unwrap(), &mut shown);
            let before = ProbeConfigStatus::default();
            let notes = events::notes(&config.name, "u", &before, &status).into_iter();
            for note in notes.chain(events::turns(&config.name, "u", &before, &status, Some(true))) {
                shown.extend([note.reason, note.message]);
            }
        }
        prop_assert!(bad > 0, "nothing went wrong in this cluster");
        for text in shown {
            prop_assert!(!text.contains(acts), "{text:?}");
        }

        let metrics = Metrics::new().unwrap().render(Some(&Figures::of(&world)));
        let metrics = String::from_utf8(metrics).unwrap();
        for line in metrics.lines() {
            prop_assert!(!line.contains(acts), "{line:?}");
            let value = line.rsplit(' ').next().unwrap_or_default();
            prop_assert!(line.starts_with("# ") || value.parse::<f64>().is_ok(), "{line:?}");
        }
    }
}
