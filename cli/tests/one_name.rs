//! A container has the name that metrics give it. `agent/src/one_name.rs` keeps what an agent says of containers of all
//! kinds, and what its metrics call them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use kubectl_probelet::answer::naming::Names;
use kubectl_probelet::seen::report::End;
use serde_json::Value;

#[test]
fn the_plugin_calls_a_container_as_metrics_do() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/containers.json");
    let kept: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(kept.len() > 10);
    for one in kept {
        let end: End = serde_json::from_value(one["end"].clone()).unwrap();
        let name = Names::default().name(&end);

        // What metrics call unresolved has no name here.
        let series = one["series"].as_str().filter(|series| *series != "unresolved");
        assert_eq!(name.as_deref(), series, "{one}");
    }
}
