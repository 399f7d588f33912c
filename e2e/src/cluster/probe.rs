//! What a NodeProbe or a ProbeConfig says, as anybody with kubectl would read it.
//!
//! In: the object as the API server gives it. Out: its fields, and whether it acknowledges what it was assigned. The types of
//! `crds` are not used on purpose: this is the wire. Pure: no I/O.

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// The text at a path, or nothing.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a path, or 0.
#[must_use]
pub fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

/// The list at a path, or an empty one.
#[must_use]
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object's name.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> anyhow::Result<&'a Value> {
    list(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
        .with_context(|| format!("{} has no condition {kind}", name(object)))
}

/// The condition has this status, and its reason and message say why.
pub fn has(object: &Value, kind: &str, status: &str) -> anyhow::Result<()> {
    let condition = condition(object, kind)?;
    ensure!(
        text(condition, "/status") == status,
        "{} has {kind}={} ({}: {})",
        name(object),
        text(condition, "/status"),
        text(condition, "/reason"),
        text(condition, "/message")
    );
    ensure!(!text(condition, "/reason").is_empty(), "{kind} of {} has no reason", name(object));
    Ok(())
}

/// The agent works by what the operator wrote, and says so for this very generation.
pub fn acknowledged(probe: &Value) -> anyhow::Result<()> {
    let (name, generation) = (name(probe), number(probe, "/metadata/generation"));
    let observed = number(probe, "/status/observedGeneration");
    ensure!(observed == generation, "{name} observed generation {observed} of {generation}");
    let (assigned, applied) = (text(probe, "/spec/hash"), text(probe, "/status/appliedConfigHash"));
    ensure!(assigned.len() == 16, "{name} has the hash `{assigned}`");
    ensure!(assigned == applied, "{name} was assigned {assigned} and applied {applied}");
    has(probe, "ConfigApplied", "True")
}

/// The probe has the content of that generation of that configuration, and its agent has applied it.
pub fn applies(probe: &Value, config: &str, generation: i64) -> anyhow::Result<()> {
    let origin = (text(probe, "/spec/origin/name"), number(probe, "/spec/origin/generation"));
    ensure!(
        origin == (config, generation),
        "{} follows {} of generation {}, not {config} of {generation}",
        name(probe),
        origin.0,
        origin.1
    );
    acknowledged(probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn probe(observed: i64, applied: &str) -> Value {
        json!({
            "metadata": {"name": "node1", "generation": 4},
            "spec": {"hash": "00112233aabbccdd", "origin": {"name": "default", "generation": 7}},
            "status": {"observedGeneration": observed, "appliedConfigHash": applied, "conditions": [
                {"type": "ConfigApplied", "status": "True", "reason": "Applied", "message": ""}]}
        })
    }

    #[test]
    fn a_probe_that_says_all_of_it_has_acknowledged() {
        applies(&probe(4, "00112233aabbccdd"), "default", 7).unwrap();
    }

    #[test]
    fn an_older_generation_is_no_acknowledgement() {
        assert!(acknowledged(&probe(3, "00112233aabbccdd")).is_err());
    }

    #[test]
    fn another_hash_is_no_acknowledgement() {
        assert!(acknowledged(&probe(4, "ffffffffffffffff")).is_err());
    }

    #[test]
    fn a_probe_that_follows_an_older_edit_has_not_applied() {
        assert!(applies(&probe(4, "00112233aabbccdd"), "default", 8).is_err());
    }
}
