//! Reading the report: through the API server, by port-forward, by the pod's address; with and without a token.
//!
//! In: a small workload with Services. Out: whether those who may read it can, others cannot, and it names pods and
//! Services. I/O: kubectl, curl.

use std::{net::TcpListener, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::{
    NAMESPACE, Scenario, World,
    act::PATIENCE,
    kube::{Reply, curl},
    look::{self, agent, ask_agent, report, token},
    probe::{list, text},
    wait::until,
};

/// Where the workload is.
const SHOP: &str = "e2e/cluster/workload.yaml";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "access",
            "who may read reports gets one through the API server's proxy",
            |world| {
                let token = token(&world.kube, "probelet-viewer")?;
                let header = format!("X-Probelet-Authorization: Bearer {token}");
                let reply = by_proxy(world, &[&header])?;
                ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
                let report: Value = serde_json::from_str(&reply.body)?;
                ensure!(text(&report, "/node") == "node1", "it is of {}", report["node"]);
                Ok(())
            },
        ),
        Scenario::new(
            "access",
            "without a token the report is not to be had, through the API server or by address",
            |world| {
                let reply = by_proxy(world, &[])?;
                ensure!(reply.status == 401, "through the API server: {}", reply.status);
                for path in ["/v1/report", "/metrics"] {
                    let reply = ask_agent(&agent(&world.kube, "node1")?, path, None)?;
                    ensure!(reply.status == 401, "{path}: {} {}", reply.status, reply.body);
                }
                Ok(())
            },
        ),
        Scenario::new("access", "without a token health is to be had", |world| {
            for path in ["/healthz", "/readyz"] {
                let reply = ask_agent(&agent(&world.kube, "node1")?, path, None)?;
                ensure!(reply.status == 200, "{path}: {}", reply.status);
            }
            Ok(())
        }),
        Scenario::new("access", "someone without the right to read reports is refused", |world| {
            let token = token(&world.kube, "default")?;
            let reply = ask_agent(&agent(&world.kube, "node1")?, "/v1/report", Some(&token))?;
            ensure!(reply.status == 403, "{} {}", reply.status, reply.body);
            Ok(())
        }),
        Scenario::new("access", "a token that is no longer valid is refused", |world| {
            let kube = &world.kube;
            kube.kubectl(&["-n", NAMESPACE, "create", "serviceaccount", "e2e-gone"])?;
            let token = token(kube, "e2e-gone")?;
            kube.kubectl(&["-n", NAMESPACE, "delete", "serviceaccount", "e2e-gone"])?;
            for token in [token.as_str(), "not-a-token"] {
                let reply = ask_agent(&agent(kube, "node1")?, "/v1/report", Some(token))?;
                ensure!(reply.status == 401, "{} {}", reply.status, reply.body);
            }
            Ok(())
        }),
        Scenario::new("access", "a token for the API server is refused", for_the_server),
        Scenario::new("access", "by port-forward a token is needed, and reads", by_port_forward),
        Scenario::new("access", "the report names the pods and Services of connections", names),
        Scenario::new(
            "access",
            "a namespace viewer sees exactly its namespace in plugin, report and metrics",
            namespace_viewer,
        ),
    ]
}

fn for_the_server(world: &mut World) -> anyhow::Result<()> {
    let token = look::server_token(&world.kube, "probelet-viewer")?;
    let reply = ask_agent(&agent(&world.kube, "node1")?, "/v1/report", Some(&token))?;
    ensure!(reply.status == 401, "{} {}", reply.status, reply.body);
    ensure!(reply.body.contains("--audience probelet"), "{}", reply.body);
    Ok(())
}

fn by_proxy(world: &World, headers: &[&str]) -> anyhow::Result<Reply> {
    let pod = agent(&world.kube, "node1")?.name;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/https:{pod}:9466/proxy/v1/report");
    world.kube.through_api_server(&path, headers)
}

fn by_port_forward(world: &mut World) -> anyhow::Result<()> {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let ports = format!("{port}:9466");
    let words = ["-n", NAMESPACE, "port-forward", "daemonset/probelet-agent", &ports];
    let token = token(&world.kube, "probelet-viewer")?;
    let header = format!("Authorization: Bearer {token}");
    let mut forward = world.kube.kubectl_behind(&words)?;
    let seen = until("a report by port-forward", PATIENCE, || {
        let url = format!("https://127.0.0.1:{port}/v1/report");
        let reply = curl(&url, &[&header])?;
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        // Agents are on the nodes' network: any process there comes that way.
        let reply = curl(&url, &[])?;
        ensure!(reply.status == 401, "without a token: {} {}", reply.status, reply.body);
        Ok(())
    });
    forward.kill()?;
    forward.wait()?;
    seen
}

/// Makes the workload and waits until it runs.
pub(super) fn make_shop(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let shop = std::fs::read_to_string(SHOP).with_context(|| SHOP.to_owned())?;
    let (servers, clients) =
        shop.split_once("---\n# clients").context("the workload has no clients")?;
    let ready = |object: &str| {
        kube.kubectl(&["-n", "shop", "rollout", "status", object, "--timeout=60s"]).map(drop)
    };
    kube.kubectl_with(&["apply", "-f", "-"], servers)?;
    ready("deployment/web")?;
    // Its address goes into the command of those who call it, for nothing resolves names here.
    let service = kube.get("/api/v1/namespaces/shop/services/web")?;
    kube.kubectl_with(
        &["apply", "-f", "-"],
        &clients.replace("@WEB@", text(&service, "/spec/clusterIP")),
    )?;
    ready("daemonset/client")
}

fn names(world: &mut World) -> anyhow::Result<()> {
    make_shop(world)?;
    let kube = &world.kube;
    let token = token(kube, "probelet-viewer")?;
    for agent in look::pods(kube, "agent")? {
        until("names", Duration::from_secs(20), || {
            let report = report(&agent, &token)?;
            let named = list(&report, "/connections").iter().any(|connection| {
                text(connection, "/pod").starts_with("shop/client-")
                    && text(connection, "/peer/service") == "shop/web"
                    && text(connection, "/peer/pod").starts_with("shop/web-")
            });
            ensure!(named, "{}: no client's connection is named", agent.node);
            Ok(())
        })?;
    }
    remove_shop(world)
}

/// Someone with `view` in the namespace of the workload, the way to agents, and the right to make a token of their account.
const VIEWER: [&str; 5] = [
    "-n shop create serviceaccount viewer",
    "-n shop create rolebinding viewer --clusterrole=view --serviceaccount=shop:viewer",
    "-n shop create role viewer-token --verb=create --resource=serviceaccounts/token --resource-name=viewer",
    "-n shop create rolebinding viewer-token --role=viewer-token --serviceaccount=shop:viewer",
    "-n probelet create rolebinding e2e-tenant --role=probelet-tenant --serviceaccount=shop:viewer",
];

fn namespace_viewer(world: &mut World) -> anyhow::Result<()> {
    make_shop(world)?;
    let kube = &world.kube;
    for line in VIEWER {
        kube.kubectl(&line.split(' ').collect::<Vec<_>>())?;
    }
    let make = |more: &[&str]| {
        let words = [&["-n", "shop", "create", "token", "viewer"], more].concat();
        Ok::<_, anyhow::Error>(kube.kubectl(&words)?.trim().to_owned())
    };
    let (token, own) = (make(&["--audience", "probelet"])?, make(&[])?);
    for agent in look::pods(kube, "agent")? {
        let get = |path: &str| ask_agent(&agent, path, Some(&token));
        for path in ["/v1/report", "/metrics", "/v1/report?namespace=probelet"] {
            let reply = get(path)?;
            ensure!(reply.status == 403, "{path}: {} {}", reply.status, reply.body);
        }
        until("the part of a namespace", Duration::from_secs(20), || {
            part_of_shop(&get("/v1/report?namespace=shop")?)
        })?;
        let metrics = get("/metrics?namespace=shop")?;
        ensure!(metrics.status == 200, "metrics: {} {}", metrics.status, metrics.body);
        for foreign in ["probelet_agent_", "kube-system", "\"probelet", "Node/"] {
            ensure!(!metrics.body.contains(foreign), "{foreign} in {}", metrics.body);
        }
    }
    let said = kube.plugin_as(&own, &["map", "shop", "-n", "shop", "--account", "viewer"])?;
    ensure!(said.good, "{}{}", said.out, said.err);
    ensure!(said.out.contains("shop/DaemonSet/client"), "{}", said.out);
    ensure!(said.err.contains("you may see the namespace shop only"), "{}", said.err);
    let refused =
        kube.plugin_as(&own, &["conns", "node/node1", "--account", "viewer", "-n", "shop"])?;
    ensure!(!refused.out.contains("kubelet"), "{}", refused.out);
    kube.kubectl(&["-n", NAMESPACE, "delete", "rolebinding", "e2e-tenant"])?;
    remove_shop(world)
}

/// Pods of the workload, what they talk to there, and nothing with another name.
fn part_of_shop(reply: &Reply) -> anyhow::Result<()> {
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    let report: Value = serde_json::from_str(&reply.body)?;
    for (records, field) in [
        ("/processes", "/pod"),
        ("/connections", "/pod"),
        ("/listeners", "/pod"),
        ("/pods", "/namespace"),
    ] {
        for record in list(&report, records) {
            ensure!(text(record, field).starts_with("shop"), "{records}: {record}");
        }
    }
    let named = list(&report, "/connections").iter().any(|connection| {
        text(connection, "/pod").starts_with("shop/client-")
            && text(connection, "/peer/pod").starts_with("shop/web-")
    });
    ensure!(named, "no client's connection is named: {}", reply.body);
    for flow in list(&report, "/flows") {
        let ends = ["source", "destination"]
            .map(|end| (text(flow, &format!("/{end}/kind")), text(flow, &format!("/{end}/name"))));
        // A flow from before its pod was known keeps the name of the container, which is shown where the pod is of these.
        let own = |(kind, name): &(&str, &str)| name.starts_with("shop/") || *kind == "container";
        ensure!(ends.iter().any(own), "{flow}");
        ensure!(ends.iter().all(|end| end.1.is_empty() || own(end)), "{flow}");
    }
    ensure!(!reply.body.contains("kube-system"), "{}", reply.body);
    Ok(())
}

/// Takes it away, and waits until it is gone: others make one of the same name.
pub(super) fn remove_shop(world: &World) -> anyhow::Result<()> {
    let words = ["delete", "namespace", "shop", "--timeout=60s"];
    world.kube.kubectl(&words).map(drop)
}
