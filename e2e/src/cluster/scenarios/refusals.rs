//! Bad edits: the API server refuses each with a check that names the field.
//!
//! In: edits that break a rule. Out: whether they were refused by that name, and changed nothing. I/O: kubectl.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::cluster::{Scenario, World, act::object, look, probe::number};

pub(super) fn scenarios() -> Vec<Scenario> {
    let rule = |edit: Value, field: &'static str| {
        let says = format!("the edit {edit} is refused, and {field} is named");
        Scenario::new("refusals", says, move |world| refused(world, &edit, field))
    };
    let mut scenarios = vec![
        rule(json!({"priority": 1001}), "spec.priority"),
        rule(json!({"budget": {"cpu": "500u"}}), "spec.budget.cpu"),
        rule(json!({"budget": {"cpu": "9"}}), "spec.budget.cpu"),
        rule(json!({"intervals": {"sockets": "50ms"}}), "spec.intervals.sockets"),
        rule(json!({"intervals": {"processes": "soon"}}), "spec.intervals.processes"),
        rule(json!({"intervals": {"sockets": "20s", "bytes": "10s"}}), "spec.intervals.bytes"),
        rule(
            json!({"budget": {"window": "10s"}, "intervals": {"sockets": "30s", "bytes": "30s"}}),
            "spec.budget.window",
        ),
        rule(
            json!({"reporting": {"minInterval": "20m", "refreshInterval": "10m"}}),
            "spec.reporting.refreshInterval",
        ),
        rule(json!({"source": "Magic"}), "spec.source"),
        rule(json!({"shortLived": "Trace"}), "spec.shortLived"),
        rule(
            json!({"match": {"cidrGroups": [{"name": "a", "cidrs": ["10.0.0.0/33"]}]}}),
            "spec.match.cidrGroups",
        ),
        rule(
            json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.nodeSelector.matchExpressions",
        ),
        rule(json!({"limits": {"apiWritesPerMinute": 0}}), "spec.limits.apiWritesPerMinute"),
        rule(json!({"rollout": {"canaryPercent": 101}}), "spec.rollout.canaryPercent"),
    ];
    scenarios.push(Scenario::new("refusals", "a misspelt field is refused by its name", |world| {
        let misspelt = object("misspelt", &json!({"budgte": {"cpu": "5m"}})).to_string();
        let why = world.kube.refused(&["create", "--dry-run=server", "-f", "-"], &misspelt)?;
        ensure!(why.contains("spec.budgte"), "kubectl said: {why}");
        Ok(())
    }));
    scenarios.push(Scenario::new(
        "refusals",
        "a field that this version does not know is not kept",
        |world| {
            let future = object("future", &json!({"fromTheFuture": 1})).to_string();
            let words = ["create", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"];
            let kept = world.kube.json(&words, &future)?;
            ensure!(kept.pointer("/spec/fromTheFuture").is_none(), "kept: {}", kept["spec"]);
            Ok(())
        },
    ));
    scenarios
}

fn refused(world: &World, edit: &Value, field: &str) -> anyhow::Result<()> {
    let before = look::config(&world.kube, "default")?;
    let patch = json!({ "spec": edit }).to_string();
    let words = ["patch", "probeconfig", "default", "--type=merge", "-p", &patch];
    let why = world.kube.refused(&words, "")?;
    ensure!(why.contains(field), "kubectl said: {}", why.trim());
    let after = look::config(&world.kube, "default")?;
    let generation = |config| number(config, "/metadata/generation");
    ensure!(generation(&before) == generation(&after), "it was changed");
    Ok(())
}
