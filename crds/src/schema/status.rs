//! The bounds of both statuses, and the rule that holds a `NodeProbe`'s below 2 KiB.
//!
//! In: the derived schema. Out: the same with every text, list and number bounded, every list and block written whole
//! (atomic), and for a `NodeProbe` a rule that counts the bytes of the status as compact JSON. The count is never too
//! low and at most [`SLACK`](crate::node_probe::bounds::SLACK) too high. Pure: values only.

use serde_json::{Value, json};

use super::{LIST, MAP, RULES, at, cel, length, set};
use crate::condition;
use crate::node_probe::bounds::{
    BYTES, CAPABILITY, COMM, COUNT, COVERAGE, CPU, DIGEST, EPOCH, GENERATION, HASH, KEPT,
    KEPT_TEXT, KEY, LEVEL_REASON, LEVELS, LOST, LOST_TEXT, MAX_STATUS, MEMORY, MESSAGE, MISSING,
    NAME, PORT, PROTOCOLS, REASON, SECONDS, SOURCES, START, STATUSES, TEXT, TOP, UNPROTECTED,
    UNRESOLVED, UNRESOLVED_REASON, VERSION,
};

/// Names of Kubernetes' objects.
const OBJECT_NAME: usize = 253;

/// Bounds the status of a `ProbeConfig`: it must not grow with the fleet.
pub(super) fn of_probe_config(root: &mut Value) {
    let status = &mut root["properties"]["status"];
    atomic(status);
    for count in ["matched", "effective", "applied", "pending", "failed", "overBudget", "absent"] {
        set(status, &format!("nodes.{count}"), [("minimum", 0.into())]);
    }
    list(status, "failures", 10);
    list(status, "fleet.worst", 5);
    for (path, most) in [
        ("failures.[].node", OBJECT_NAME),
        ("failures.[].reason", 64),
        ("fleet.worst.[].node", OBJECT_NAME),
        ("rollout.hash", HASH),
        ("rollout.previousHash", HASH),
    ] {
        set(status, path, [("maxLength", most.into())]);
    }
    list(status, "conditions", 8);
    condition(&mut status["properties"]["conditions"]["items"], &condition::OF_PROBE_CONFIG, 1024);
}

/// Bounds the status of a `NodeProbe`.
pub(super) fn of_node_probe(root: &mut Value) {
    let status = &mut root["properties"]["status"];
    atomic(status);
    for (path, most) in [
        ("observedGeneration", GENERATION),
        ("summary.processes", COUNT),
        ("summary.sockets", COUNT),
        ("summary.connections", COUNT),
        ("summary.openFileDescriptors", COUNT),
        ("summary.containers", COUNT),
        ("summary.pods", COUNT),
        ("quality.unresolved.{}", COUNT),
        ("quality.unseen", COUNT),
        ("quality.stalestSeconds", SECONDS),
        ("top.flows.[].port", PORT.into()),
        ("top.flows.[].connections", COUNT),
        ("report.epoch", EPOCH),
        ("report.bytes", BYTES),
    ] {
        set(status, path, [("minimum", 0.into()), ("maximum", most.into())]);
    }
    texts(status);
    // Whole seconds, as conditions have them.
    set(status, "lastReport", [("maxLength", 20.into())]);
    for cpu in ["agent.cpu", "agent.budget", "top.processes.[].cpu"] {
        set(status, cpu, [("maxLength", CPU.into())]);
    }
    words(status, "agent.source", &SOURCES);
    words(status, "agent.level", &LEVELS);
    words(status, "top.flows.[].protocol", &PROTOCOLS);
    list(status, "top.flows", TOP);
    list(status, "top.processes", TOP);
    list(status, "capabilities.missing", MISSING);
    list(status, "capabilities.lost", LOST);
    list(status, "rights.start", START);
    list(status, "rights.kept", KEPT);
    list(status, "rights.unprotected", UNPROTECTED);
    list(status, "conditions", condition::OF_NODE_PROBE.len());
    condition(&mut status["properties"]["conditions"]["items"], &condition::OF_NODE_PROBE, MESSAGE);
    let keys = cel::plain(
        &format!(
            "self.all(key, size(key) <= {UNRESOLVED_REASON} && key.matches({}))",
            cel::text(KEY)
        ),
        &format!("a reason has 1 to {UNRESOLVED_REASON} letters, digits, spaces or ./:_-"),
    );
    set(
        status,
        "quality.unresolved",
        [("maxProperties", UNRESOLVED.into()), (RULES, json!([keys]))],
    );
    let rule = cel::plain(
        &format!("{} <= {MAX_STATUS}", length::of_status("self")),
        &format!(
            "the status is too long; make its texts and lists shorter until it is at most {MAX_STATUS} bytes of JSON"
        ),
    );
    set(status, "", [(RULES, json!([rule]))]);
}

fn texts(status: &mut Value) {
    for (path, most) in [
        ("appliedConfigHash", HASH),
        ("agent.version", VERSION),
        ("agent.levelReason", LEVEL_REASON),
        ("agent.memory", MEMORY),
        ("quality.coverage", COVERAGE),
        ("top.flows.[].source", NAME),
        ("top.flows.[].destination", NAME),
        ("top.processes.[].comm", COMM),
        ("top.processes.[].pod", NAME),
        ("report.digest", DIGEST),
        ("capabilities.missing.[]", CAPABILITY),
        ("capabilities.lost.[]", LOST_TEXT),
        ("rights.start.[]", CAPABILITY),
        ("rights.kept.[]", KEPT_TEXT),
        ("rights.unprotected.[]", CAPABILITY),
    ] {
        set(status, path, [("maxLength", most.into()), ("pattern", TEXT.into())]);
    }
}

/// Each block and map right below the status has one entry in the managed fields.
fn atomic(status: &mut Value) {
    let Some(properties) = status["properties"].as_object_mut() else { return };
    for block in properties.values_mut().filter(|block| block["type"] == "object") {
        block[MAP] = "atomic".into();
    }
}

fn list(status: &mut Value, path: &str, most: usize) {
    set(status, path, [("maxItems", most.into()), (LIST, "atomic".into())]);
}

fn words(status: &mut Value, path: &str, words: &[&str]) {
    set(status, path, [("enum", json!(words))]);
}

/// Kubernetes' own condition, bounded and with our words.
fn condition(condition: &mut Value, types: &[&str], message: usize) {
    let refusal = [
        ("type", "What this condition is about."),
        ("status", "Whether it holds: True, False, or Unknown while it is not known."),
        ("reason", "Why, in one word for programs; the words and their meaning are in the manual."),
        ("message", "A message for people that says why; may be empty."),
        ("lastTransitionTime", "When the status last turned."),
        ("observedGeneration", "The generation of the spec that this is about."),
    ];
    for (field, text) in refusal {
        set(condition, field, [("description", text.into())]);
    }
    set(condition, "", [("description", "One condition of the object.".into())]);
    words(condition, "type", types);
    words(condition, "status", &STATUSES);
    let word = "^[A-Za-z][A-Za-z0-9]*$";
    set(condition, "reason", [("maxLength", REASON.into()), ("pattern", word.into())]);
    set(condition, "message", [("maxLength", message.into())]);
    if message == MESSAGE {
        set(condition, "message", [("pattern", TEXT.into())]);
    }
    set(condition, "lastTransitionTime", [("maxLength", 20.into())]);
    let most = [("minimum", Value::from(0)), ("maximum", GENERATION.into())];
    at(condition, "observedGeneration").extend(most.map(|(key, value)| (key.to_owned(), value)));
}
