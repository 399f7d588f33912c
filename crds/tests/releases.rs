//! What an earlier release wrote is read, called and written as that release did. The objects in `releases` are the
//! server's own copies of what its operator wrote.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use probelet_crds::{NodeConfig, ProbeConfigSpec, ProbeConfigStatus, Unknown};
use serde_json::Value;

const NODE_PROBES: &str = include_str!("releases/0.1.0/nodeprobes.json");
const CONFIGS: &str = include_str!("releases/0.1.0/probeconfigs.json");

fn objects(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(objects.len() >= 2);
    objects
}

#[test]
fn an_agent_of_the_first_release_reads_what_this_one_writes() {
    for object in objects(NODE_PROBES) {
        let spec = &object["spec"];
        let (config, unknown) = NodeConfig::read(&spec["config"]).unwrap();

        assert_eq!(unknown, Unknown::default());
        // It computes the hash itself and refuses another one.
        assert_eq!(spec["hash"], config.hash().as_str());
        assert_eq!(spec["config"], config.written());
    }
}

#[test]
fn a_configuration_of_the_first_release_is_what_its_operator_made_of_it() {
    let probes = objects(NODE_PROBES);
    for mut object in objects(CONFIGS) {
        // Its default has changed since; who upgrades gets the new one by a rollout.
        object["spec"]["shortLived"] = "Counters".into();
        let spec = ProbeConfigSpec::from_value(&object["spec"]).unwrap();
        let carried =
            probes.iter().find(|p| p["spec"]["origin"]["name"] == object["metadata"]["name"]);

        assert_eq!(carried.unwrap()["spec"]["hash"], NodeConfig::from(spec).hash().as_str());
        let status: ProbeConfigStatus = serde_json::from_value(object["status"].clone()).unwrap();
        assert_eq!(status.nodes.absent, 0);
    }
}
