//! Agents get the pods of their node from the operator, and could get no others.
//!
//! In: the agents' account and tokens, a pod that starts, an operator that is gone. Out: what the API server allows, what agents
//! name, and what they say of the age of it. I/O: kubectl, the agents' ports.

use std::{thread, time::Duration, time::Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::{PATIENCE, all_apply},
    look::{self, Pod, agent, agent_metrics, report, token},
    metrics::sum,
    probe::{list, text},
    wait::until,
};

/// A pod that was bound: its image is there, and its container starts.
const SECONDS: Duration = Duration::from_secs(20);
/// How long there is no operator.
const AWAY: Duration = Duration::from_mins(2);
const AGE: &str = "probelet_agent_kubernetes_contact_age_seconds";
const AGENT_PORT: &str = ":9466";
const POD: &str = "handed-out";
/// A port that no one has.
const PORT: u16 = 7072;

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario =
        |says: &str, run: fn(&mut World) -> anyhow::Result<()>| Scenario::new("feed", says, run);
    vec![
        scenario("an agent's account may not list pods", may_not_list),
        scenario("an agent's own token is refused the pods of its own node too", refused),
        scenario("agents get pods from the operator, and a new one within seconds", handed_out),
        scenario("a pod of another node that no Service selects has its name and node", stranger),
        scenario("while there is no operator names stay and their age is shown", no_operator),
        scenario("at rest each end of a connection has a name, on both nodes", all_named),
    ]
}

/// By the API server's own judgement, in one namespace and in all.
fn may_not_list(world: &mut World) -> anyhow::Result<()> {
    let user = format!("system:serviceaccount:{NAMESPACE}:probelet-agent");
    let groups = ["system:serviceaccounts", "system:authenticated"];
    for (verb, namespace) in
        ["get", "list", "watch"].into_iter().flat_map(|verb| ["", "default"].map(|ns| (verb, ns)))
    {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": user, "groups": groups,
            "resourceAttributes": {"verb": verb, "resource": "pods", "namespace": namespace}}});
        let words = ["create", "--validate=false", "-o", "json", "-f", "-"];
        let said = world.kube.json(&words, &review.to_string())?;
        ensure!(
            said["status"]["allowed"] == json!(false),
            "{verb} in '{namespace}': {}",
            said["status"]
        );
    }
    Ok(())
}

fn refused(world: &mut World) -> anyhow::Result<()> {
    let pod = agent(&world.kube, "node1")?;
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", &pod.name];
    let mut words = vec!["-n", NAMESPACE, "create", "token", "probelet-agent"];
    words.extend(bound);
    words.extend(["--bound-object-uid", &pod.uid]);
    let own = world.kube.kubectl(&words)?;
    let token = format!("--token={}", own.trim());
    let path = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode1";
    // Without the certificate by which kubectl is an administrator.
    let said =
        world.kube.refused(&["--kubeconfig", &plain(world)?, &token, "get", "--raw", path], "")?;
    ensure!(said.contains("cannot list resource \"pods\""), "{said}");
    Ok(())
}

/// A kubeconfig of no one.
fn plain(world: &World) -> anyhow::Result<String> {
    let words = ["config", "view", "--raw", "--minify", "-o", "json"];
    let mut config = world.kube.json(&words, "")?;
    config["users"][0]["user"] = json!({});
    let path = world.folder.join("no-one.kubeconfig");
    std::fs::write(&path, config.to_string())?;
    Ok(path.display().to_string())
}

fn handed_out(world: &mut World) -> anyhow::Result<()> {
    let viewer = token(&world.kube, "probelet-viewer")?;
    for agent in look::ready(&world.kube, "agent", 2)? {
        let metrics = agent_metrics(&agent, &viewer)?;
        let from = |source| sum(&metrics, "probelet_agent_pods_source", &[("source", source)]);
        ensure!((from("feed"), from("api")) == (Some(1.0), Some(0.0)), "{}", agent.node);
    }
    let agent = agent(&world.kube, "node1")?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": "default"},
        "spec": {"nodeName": "node1", "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "c", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sleep", "600"]}]}});
    world.kube.kubectl_with(&["apply", "-f", "-"], &pod.to_string())?;
    let began = Instant::now();
    until("its processes are the pod's", SECONDS, || {
        let report = report(&agent, &viewer)?;
        let named = |process: &Value| text(process, "/pod") == format!("default/{POD}");
        ensure!(list(&report, "/processes").iter().any(named), "no process of it");
        Ok(())
    })?;
    let took = began.elapsed().as_secs_f64();
    world.figures.add("a pod made until its processes have its name", took, "s", None);
    let other = report(&look::agent(&world.kube, "node2")?, &viewer)?;
    let known = list(&other, "/pods").iter().any(|pod| text(pod, "/name") == POD);
    ensure!(!known, "the agent of node2 knows a pod of node1");
    world.kube.kubectl(&["-n", "default", "delete", "pod", POD, "--wait=true"])?;
    until("it is gone", SECONDS, || {
        ensure!(!names(&agent, &viewer)?.contains(&format!("default/{POD}")), "it is still there");
        Ok(())
    })
}

/// A client on node2 of a server on node1, which no endpoint shows.
fn stranger(world: &mut World) -> anyhow::Result<()> {
    let viewer = token(&world.kube, "probelet-viewer")?;
    let run = |name: &str, node: &str, command: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [
                {"name": "c", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", command]}]}});
        world.kube.kubectl_with(&["apply", "-f", "-"], &pod.to_string()).map(drop)
    };
    run("asked-server", "node1", &format!("nc -ll -p {PORT} -e cat"))?;
    let address = until("the server has an address", SECONDS, || {
        let pod = world.kube.get("/api/v1/namespaces/default/pods/asked-server")?;
        let address = text(&pod, "/status/podIP").to_owned();
        ensure!(!address.is_empty() && text(&pod, "/status/phase") == "Running", "none yet");
        Ok(address)
    })?;
    run("asked-client", "node2", &format!("sleep 600 | nc {address} {PORT}"))?;
    let began = Instant::now();
    let agent = agent(&world.kube, "node1")?;
    let named = until("the server's node names the client", SECONDS * 2, || {
        let report = report(&agent, &viewer)?;
        let here = format!("{address}:{PORT}");
        let connection = list(&report, "/connections")
            .iter()
            .find(|c| text(c, "/local") == here && text(c, "/state") == "established");
        let peer = &connection.context("no connection")?["peer"];
        ensure!(text(peer, "/pod") == "default/asked-client", "the peer is {peer}");
        Ok(())
    });
    let took = began.elapsed().as_secs_f64();
    let words = ["-n", "default", "delete", "pod", "asked-server", "asked-client", "--wait=true"];
    world.kube.kubectl(&words)?;
    named?;
    world.figures.add(
        "a client without a Service made until its server's node names it",
        took,
        "s",
        None,
    );
    Ok(())
}

/// Other nodes are among the ends: what their own processes dial through a Service comes from their address. What began with pods
/// that are gone by now may take some minutes to end.
fn all_named(world: &mut World) -> anyhow::Result<()> {
    let viewer = token(&world.kube, "probelet-viewer")?;
    let agents = look::ready(&world.kube, "agent", 2)?;
    until("no end is without a name", AWAY, || {
        for agent in &agents {
            let report = report(agent, &viewer)?;
            let reasons = report["unresolved"].as_object().context("no reasons")?;
            let unnamed: u64 = reasons.values().filter_map(Value::as_u64).sum();
            let (ours, others) = outside(&report);
            let all =
                || format!("{unnamed} on {}: {} of {others:?}", agent.node, report["unresolved"]);
            ensure!(unnamed == ours, all());
        }
        Ok(())
    })
}

/// How many connections are of those who ask the agent from outside of the cluster, as this test does from a private address: each is an end
/// without a name, and a scan meets them for as long as they wait for the readers' share. And the other ones with a peer outside: the
/// rest of what is unresolved is among them.
fn outside(report: &Value) -> (u64, Vec<String>) {
    let outside = |one: &&Value| ["external", "unresolved"].contains(&text(one, "/peer/kind"));
    let asks = |one: &&Value| text(one, "/local").ends_with(AGENT_PORT);
    let (ours, others): (Vec<&Value>, Vec<&Value>) =
        list(report, "/connections").iter().filter(outside).partition(asks);
    (ours.len() as u64, others.iter().map(ToString::to_string).collect())
}

/// The pods that an agent knows.
fn names(agent: &Pod, viewer: &str) -> anyhow::Result<Vec<String>> {
    let report = report(agent, viewer)?;
    let name = |pod: &Value| format!("{}/{}", text(pod, "/namespace"), text(pod, "/name"));
    let mut names: Vec<String> = list(&report, "/pods").iter().map(name).collect();
    names.sort_unstable();
    Ok(names)
}

fn age(agent: &Pod, viewer: &str) -> anyhow::Result<f64> {
    let metrics = agent_metrics(agent, viewer)?;
    sum(&metrics, AGE, &[("kind", "pods")]).context("no age of the pods")
}

fn no_operator(world: &mut World) -> anyhow::Result<()> {
    let viewer = token(&world.kube, "probelet-viewer")?;
    let agents = look::ready(&world.kube, "agent", 2)?;
    // Of pods that are there before and after: no operator, and none that a former scenario has just deleted.
    let ours = |names: &[String]| -> Vec<String> {
        let stays = |name: &&String| name.starts_with(NAMESPACE) && !name.contains("operator");
        names.iter().filter(stays).cloned().collect()
    };
    let before: Vec<_> =
        agents.iter().map(|agent| names(agent, &viewer)).collect::<anyhow::Result<_>>()?;
    scale(world, 0)?;
    let gone = until("no operator", PATIENCE, || {
        ensure!(look::pods(&world.kube, "operator")?.is_empty(), "one is still there");
        Ok(Instant::now())
    });
    let kept = gone.and_then(|gone| {
        thread::sleep(AWAY.saturating_sub(gone.elapsed()));
        for (agent, before) in agents.iter().zip(&before) {
            let now = names(agent, &viewer)?;
            ensure!(
                !ours(before).is_empty() && ours(&now) == ours(before),
                "{}: {now:?}, before {before:?}",
                agent.node
            );
            let age = age(agent, &viewer)?;
            ensure!(age > AWAY.as_secs_f64() - 40.0, "{}: {age:.0} s old", agent.node);
        }
        Ok(())
    });
    scale(world, 2)?;
    until("two operators", PATIENCE, || look::ready(&world.kube, "operator", 2).map(drop))?;
    kept?;
    let back = Instant::now();
    // Waits grow to 20 s while it is away, and an attempt that no one answers takes 30 s.
    until("what agents know is current", PATIENCE + Duration::from_mins(1), || {
        for agent in &agents {
            let age = age(agent, &viewer)?;
            ensure!(age < 40.0, "{}: {age:.0} s old", agent.node);
        }
        Ok(())
    })?;
    let took = back.elapsed().as_secs_f64();
    world.figures.add("an operator back until agents hear of it", took, "s", None);
    all_apply(&world.kube, "default")
}

fn scale(world: &World, replicas: u32) -> anyhow::Result<()> {
    let replicas = format!("--replicas={replicas}");
    let words = ["-n", NAMESPACE, "scale", "deployment", "probelet-operator", &replicas];
    world.kube.kubectl(&words).map(drop)
}
