//! An API server that refuses our writes: by a policy, as a webhook or a quota would, and by 429.
//!
//! In: objects that make it refuse. Out: whether the configuration says so, no one storms, and all heals when it is over.
//! I/O: kubectl; the objects are taken away again.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::cluster::{
    Kube, Scenario, World,
    act::{self, PATIENCE, all_apply, edit},
    look, metrics,
    probe::has,
    wait::{throughout, until},
};

/// How long attempts are counted.
const WATCHED: Duration = Duration::from_secs(8);
/// Attempts in that time that are no storm: three clients that wait a second, and some more.
const FEW: f64 = 40.0;

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&mut World) -> anyhow::Result<()>| {
        Scenario::new("refusing", says, run)
    };
    vec![
        scenario(
            "where a policy refuses our writes the configuration says so in its words, and it heals",
            |world| {
                while_there(world, &policy(), refused)?;
                until("it is well again", PATIENCE, || {
                    let config = look::config(&world.kube, "default")?;
                    has(&config, "Degraded", "False")?;
                    has(&config, "Ready", "True")
                })
            },
        ),
        scenario(
            "while the API server answers 429 no one storms, and after it the edit is applied",
            |world| while_there(world, &no_seats(), too_many_requests),
        ),
    ]
}

/// Does something while these objects are there; afterwards the last edit must be applied, and the next one.
fn while_there(
    world: &mut World,
    objects: &Value,
    then: fn(&mut World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let objects = objects.to_string();
    world.kube.kubectl_with(&["create", "-f", "-"], &objects)?;
    let result = then(world);
    world.kube.kubectl_with(&["delete", "-f", "-"], &objects)?;
    result?;
    all_apply(&world.kube, "default")?;
    edit(world, &json!({"jitterPercent": 10})).map(drop)
}

/// An admission policy that refuses every write to NodeProbes.
fn policy() -> Value {
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "e2e-refuse"}, "spec": {"failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["probelet.io"], "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"], "resources": ["nodeprobes", "nodeprobes/status"]}]},
            "validations": [{"expression": "false", "message": "not today"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "e2e-refuse"},
        "spec": {"policyName": "e2e-refuse", "validationActions": ["Deny"]}});
    json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
}

fn refused(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    // The API server takes a moment to take a policy up.
    until("writes are refused", PATIENCE, || {
        let words = ["label", "nodeprobe", "node1", "e2e=x", "--overwrite", "--dry-run=server"];
        kube.refused(&words, "").map(drop)
    })?;
    act::patch(kube, "default", &json!({"jitterPercent": 14}))?;
    until("the configuration says so", PATIENCE, || {
        let config = look::config(kube, "default")?;
        has(&config, "Degraded", "True")?;
        has(&config, "Ready", "False")?;
        let said = config["status"]["conditions"].to_string();
        ensure!(said.contains("not today"), "the API server's words are missing: {said}");
        Ok(())
    })
}

/// A share of the API server for our writes that has no seats: each is answered with 429.
fn no_seats() -> Value {
    let level = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "e2e-no-seats"}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}}});
    let rule = json!({"subjects": [{"kind": "Group", "group": {"name": "system:serviceaccounts:probelet"}}],
        "resourceRules": [{"apiGroups": ["probelet.io"], "clusterScope": true,
            "resources": ["nodeprobes", "nodeprobes/status"], "verbs": ["patch", "create"]}]});
    let schema = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": "e2e-no-seats"}, "spec": {"matchingPrecedence": 2, "rules": [rule],
            "distinguisherMethod": {"type": "ByUser"}, "priorityLevelConfiguration": {"name": "e2e-no-seats"}}});
    json!({"apiVersion": "v1", "kind": "List", "items": [level, schema]})
}

/// How many requests got no seat.
fn turned_away(kube: &Kube) -> anyhow::Result<f64> {
    let labels = [("flow_schema", "e2e-no-seats")];
    let name = "apiserver_flowcontrol_rejected_requests_total";
    Ok(metrics::sum(&kube.text("/metrics")?, name, &labels).unwrap_or_default())
}

fn too_many_requests(world: &mut World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let mut percent = 20;
    until("a write is turned away", PATIENCE, || {
        percent += 1;
        act::patch(kube, "default", &json!({"jitterPercent": percent}))?;
        until("it", Duration::from_secs(1), || {
            let count = turned_away(kube)?;
            ensure!(count > 0.0, "none was");
            Ok(())
        })
    })?;
    let before = turned_away(kube)?;
    throughout("it stays away", WATCHED, || {
        let attempts = turned_away(kube)? - before;
        ensure!(attempts <= FEW, "{attempts} attempts");
        Ok(())
    })?;
    let attempts = turned_away(kube)? - before;
    world.figures.add("attempts in 8 s of 429, all clients", attempts, "requests", Some(FEW));
    Ok(())
}
