//! What the service accounts may do, and that it is not more.
//!
//! In: tokens of both accounts, as their pods have them. Out: whether the API server allows exactly what it should.
//! I/O: kubectl.

use std::{collections::BTreeSet, fs};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::cluster::{
    NAMESPACE, Scenario, World,
    kube::Reply,
    look,
    probe::{list, text},
};

/// `verb group/resource` or `verb path`; `name` of the only object, if it is only one.
const AGENT: &[&str] = &[
    "get probelet.io/nodeprobes",
    "watch probelet.io/nodeprobes",
    "patch probelet.io/nodeprobes/status",
    "get /configmaps probelet-operator-tls",
    "list /services",
    "watch /services",
    "list discovery.k8s.io/endpointslices",
    "watch discovery.k8s.io/endpointslices",
    "create authentication.k8s.io/tokenreviews",
    "create authorization.k8s.io/subjectaccessreviews",
];
const OPERATOR: &[&str] = &[
    "get /secrets probelet-operator-tls",
    "patch /secrets probelet-operator-tls",
    "get /configmaps probelet-operator-tls",
    "patch /configmaps probelet-operator-tls",
    "get apps/daemonsets probelet-agent",
    "list apps/daemonsets probelet-agent",
    "watch apps/daemonsets probelet-agent",
    "create coordination.k8s.io/leases",
    "get coordination.k8s.io/leases probelet-operator",
    "update coordination.k8s.io/leases probelet-operator",
    "patch coordination.k8s.io/leases probelet-operator",
];
/// Where objects without a namespace have their events, and the cluster its Lease.
const OPERATOR_IN_DEFAULT: &[&str] = &[
    "create events.k8s.io/events",
    "patch events.k8s.io/events",
    "create coordination.k8s.io/leases",
    "get coordination.k8s.io/leases probelet-cluster",
    "update coordination.k8s.io/leases probelet-cluster",
];
const OPERATOR_EVERYWHERE: &[&str] = &[
    "get probelet.io/probeconfigs",
    "list probelet.io/probeconfigs",
    "watch probelet.io/probeconfigs",
    "create probelet.io/probeconfigs",
    "patch probelet.io/probeconfigs default",
    "patch probelet.io/probeconfigs/status",
    "get probelet.io/nodeprobes",
    "list probelet.io/nodeprobes",
    "watch probelet.io/nodeprobes",
    "create probelet.io/nodeprobes",
    "patch probelet.io/nodeprobes",
    "delete probelet.io/nodeprobes",
    "patch probelet.io/nodeprobes/status",
    "get /nodes",
    "list /nodes",
    "watch /nodes",
    "list /pods",
    "watch /pods",
    "create authentication.k8s.io/tokenreviews",
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&World) -> anyhow::Result<()>| {
        Scenario::new("rights", says, move |world| run(world))
    };
    vec![
        scenario("an agent may do what it must, and nothing else", |world| {
            exactly(world, "probelet-agent", NAMESPACE, &[AGENT])
        }),
        scenario("the operator may do what it must, and nothing else", |world| {
            let (account, all) = ("probelet-operator", OPERATOR_EVERYWHERE);
            exactly(world, account, NAMESPACE, &[all, OPERATOR])?;
            exactly(world, account, "default", &[all, OPERATOR_IN_DEFAULT])
        }),
        scenario("an agent's token writes the status of its own node's NodeProbe", |world| {
            let reply = write(world, "node1", "node1", true, true)?;
            ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
            Ok(())
        }),
        scenario("an agent's token cannot write the status of another node's NodeProbe", |world| {
            let reply = write(world, "node1", "node2", true, true)?;
            forbidden(&reply, "only the NodeProbe of its own node, node1")
        }),
        scenario("an agent's token cannot write the spec of its own NodeProbe", |world| {
            forbidden(&write(world, "node1", "node1", false, true)?, "nodeprobes")
        }),
        scenario("a token of the agents' account that names no node writes nothing", |world| {
            forbidden(&write(world, "node1", "node1", true, false)?, "names no node")
        }),
        scenario("a running agent has given its capabilities back", given_back),
    ]
}

/// By what each agent says of itself; agent/tests/rights.rs holds that to the kernel.
fn given_back(world: &World) -> anyhow::Result<()> {
    let token = look::token(&world.kube, "probelet-viewer")?;
    let held = json!([{"thread": "connection-tracking", "capabilities": ["NET_ADMIN"]}]);
    for agent in look::pods(&world.kube, "agent")? {
        let report = look::report(&agent, &token)?;
        let rights = &report["agent"]["rights"];
        ensure!(rights["held"] == held, "{}: {rights}", agent.node);
        ensure!(rights["refusedCalls"] == 0, "{}: {rights}", agent.node);
        let protections = rights["protections"].as_array();
        let capabilities = protections.into_iter().flatten().take(4);
        let missing: Vec<_> = capabilities.filter(|one| one["inForce"] != true).collect();
        ensure!(missing.is_empty(), "{}: {missing:?}", agent.node);
    }
    Ok(())
}

/// A file by which kubectl is someone else.
fn become_someone(world: &World, token: &str) -> anyhow::Result<String> {
    let words = ["config", "view", "--raw", "--minify", "-o", "json"];
    let mut config = world.kube.json(&words, "")?;
    config["users"][0]["user"] = json!({ "token": token });
    let path = world.folder.join("someone.kubeconfig");
    fs::write(&path, config.to_string())?;
    Ok(path.display().to_string())
}

/// Patches a NodeProbe with the token of the agent of `from`.
fn write(
    world: &World,
    from: &str,
    node: &str,
    status: bool,
    bound: bool,
) -> anyhow::Result<Reply> {
    let pod = look::agent(&world.kube, from)?;
    let mut words = vec!["-n", NAMESPACE, "create", "token", "probelet-agent"];
    if bound {
        words.extend(["--bound-object-kind=Pod", "--bound-object-name", &pod.name]);
        words.extend(["--bound-object-uid", &pod.uid]);
    }
    let token = world.kube.kubectl(&words)?;
    let mut path = format!("/apis/probelet.io/v1alpha1/nodeprobes/{node}");
    let change = if status {
        path.push_str("/status");
        json!({"status": {"report": {"epoch": 1, "digest": "by-hand", "bytes": 1}}})
    } else {
        json!({"spec": {"config": {"paused": true}}})
    };
    world.kube.patch_as(token.trim(), &path, &change.to_string())
}

/// It was forbidden, for that reason.
fn forbidden(reply: &Reply, why: &str) -> anyhow::Result<()> {
    ensure!(reply.status == 403 && reply.body.contains(why), "{} {}", reply.status, reply.body);
    Ok(())
}

/// The account's rules are these, besides those of everybody.
fn exactly(
    world: &World,
    account: &str,
    namespace: &str,
    wanted: &[&[&str]],
) -> anyhow::Result<()> {
    let no_one = rules(world, "default", namespace)?;
    let all = rules(world, account, namespace)?;
    let rules: BTreeSet<String> = all.difference(&no_one).cloned().collect();
    let wanted: BTreeSet<String> =
        wanted.iter().copied().flatten().map(ToString::to_string).collect();
    let more: Vec<_> = rules.difference(&wanted).collect();
    let less: Vec<_> = wanted.difference(&rules).collect();
    ensure!(more.is_empty() && less.is_empty(), "it may besides: {more:?}; it may not: {less:?}");
    Ok(())
}

/// What the API server says that an account may do in a namespace.
fn rules(world: &World, account: &str, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let file = become_someone(world, &look::server_token(&world.kube, account)?)?;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    let words = ["--kubeconfig", &file, "create", "--validate=false", "-o", "json", "-f", "-"];
    let said = world.kube.json(&words, &review.to_string())?;
    let words = |rule: &Value, field: &str| -> Vec<String> {
        list(rule, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = BTreeSet::new();
    for rule in list(&said, "/status/resourceRules") {
        let names = words(rule, "/resourceNames");
        let only = if names.is_empty() { String::new() } else { format!(" {}", names.join(",")) };
        for group in words(rule, "/apiGroups") {
            for resource in words(rule, "/resources") {
                let verbs = words(rule, "/verbs");
                found.extend(verbs.iter().map(|verb| format!("{verb} {group}/{resource}{only}")));
            }
        }
    }
    for rule in list(&said, "/status/nonResourceRules") {
        for url in words(rule, "/nonResourceURLs") {
            found.extend(words(rule, "/verbs").iter().map(|verb| format!("{verb} {url}")));
        }
    }
    ensure!(text(&said, "/status/evaluationError").is_empty(), "{}", said["status"]);
    Ok(found)
}
