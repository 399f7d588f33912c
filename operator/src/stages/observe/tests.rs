//! What is read of objects, no matter who wrote them.

use super::*;
use serde_json::json;

fn probe(spec: &Value, status: &Value) -> SeenProbe {
    let object = json!({
        "apiVersion": "probelet.io/v1alpha1", "kind": "NodeProbe",
        "metadata": {"name": "n1", "uid": "p1", "generation": 3,
            "labels": {"probelet.io/config": "default"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1"}]},
        "spec": spec, "status": status,
    });
    SeenProbe::of(serde_json::from_value(object).unwrap()).unwrap()
}

fn spec() -> Value {
    let config = NodeConfig::default();
    json!({"origin": {"name": "default", "uid": "c1", "generation": 2},
        "hash": config.hash(), "clusterSize": 8, "config": config})
}

#[test]
fn what_we_write_is_read_back_as_sound() {
    let seen = probe(&spec(), &Value::Null);

    assert!(seen.sound);
    assert_eq!(seen.config, Some(NodeConfig::default()));
    assert_eq!(seen.owner, ProbeOwner::Node("u1".into()));
    assert_eq!(seen.said, Said::default());
}

#[test]
fn the_hash_is_a_word_and_of_a_later_release_the_known_part_is_read() {
    let mut later = spec();
    later["hash"] = json!("0123456789abcdef");
    later["config"]["new"] = json!({"x": 1});
    later["config"]["paused"] = json!(true);

    let seen = probe(&later, &Value::Null);

    assert!(seen.sound);
    assert_eq!((&*seen.hash, seen.config.unwrap().paused), ("0123456789abcdef", true));
}

#[test]
fn an_agent_that_ends_is_neither_ready_nor_unready() {
    for (reason, marked) in [("Stopping", false), ("AgentSilent", true)] {
        let status = json!({"lastReport": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "False", "reason": reason}]});

        let said = probe(&spec(), &status).said;

        assert_eq!((said.ready, said.marked), (None, marked));
        assert_eq!(&*said.beat, "2026-01-01T00:00:00Z");
    }
}

#[test]
fn of_a_node_only_what_decides_is_kept() {
    let node = json!({"metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}},
        "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "k", "effect": "NoExecute"}]},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "images": [{"names": ["x"]}]}});

    let seen = SeenNode::of(serde_json::from_value(node).unwrap()).unwrap();

    assert!(seen.down);
    assert_eq!((&*seen.taints[0].key, &*seen.taints[0].effect), ("k", "NoExecute"));
    let bare = json!({"metadata": {"name": "n", "uid": "u"}, "spec": {"taints": null}});
    assert!(!SeenNode::of(serde_json::from_value(bare).unwrap()).unwrap().down);
}

#[test]
fn an_edit_by_hand_is_noticed_wherever_it_is() {
    for (path, value) in [
        ("/origin/name", json!("other")),
        ("/clusterSize", json!(7)),
        ("/clusterSize", json!(1i64 << 40)),
    ] {
        let mut spec = spec();
        *spec.pointer_mut(path).unwrap() = value;

        assert!(!probe(&spec, &Value::Null).sound, "{path}");
    }
}

#[test]
fn a_status_of_any_shape_is_read_without_an_error() {
    for status in [json!([1]), json!({"conditions": 7, "agent": {"cpu": {}}}), json!("text")] {
        let said = probe(&spec(), &status).said;

        assert_eq!((said.applied, said.cpu), (None, None));
    }
}

#[test]
fn the_reason_is_that_of_the_condition_that_fails() {
    let status = json!({"observedGeneration": 3, "appliedConfigHash": "ab", "agent": {"cpu": "2m"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Reporting"},
            {"type": "ConfigApplied", "status": "True", "reason": "Applied"},
            {"type": "WithinBudget", "status": "False", "reason": "Exceeded"}]});

    let said = probe(&spec(), &status).said;

    assert_eq!((said.applied, said.within, said.ready), (Some(true), Some(false), Some(true)));
    assert_eq!((&*said.reason, said.cpu), ("Exceeded", Some(2_000_000)));
}

#[test]
fn a_spec_that_is_no_object_is_unsound_and_ends_nothing() {
    for odd in [json!("text"), json!([1]), json!(7), json!(null)] {
        let raw = json!({"metadata": {"name": "n1", "uid": "p1"}, "spec": odd, "status": odd});

        let seen = SeenProbe::of(serde_json::from_value(raw).unwrap()).unwrap();

        assert!(!seen.sound && seen.config.is_none() && seen.origin.is_none());
    }
}
